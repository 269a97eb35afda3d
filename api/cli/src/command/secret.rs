//! `slipway secret`.

use std::path::PathBuf;

use anyhow::Result;
use clap::Subcommand;
use serde_json::{Value, json};

use super::{Exit, Global, in_path};
use crate::output::{ago, json as print_json, table, text};
use crate::secret_input;

#[derive(Debug, Subcommand)]
pub(crate) enum SecretCommand {
    /// Set a secret from standard input or a file
    #[command(after_help = "Example: slipway secret set npm-token < token.txt")]
    Set {
        /// Its name
        name: String,
        /// Read the value from this file instead of standard input
        #[arg(long, value_name = "FILE")]
        from_file: Option<PathBuf>,
    },
    /// List secrets: names and versions, never values
    #[command(after_help = "Example: slipway secret list")]
    List,
    /// Remove a secret
    #[command(after_help = "Example: slipway secret remove npm-token")]
    Remove {
        /// Its name
        name: String,
    },
}

pub(crate) async fn run(command: SecretCommand, global: &Global) -> Result<Exit> {
    let client = global.client()?;
    match command {
        SecretCommand::Set { name, from_file } => {
            let value = secret_input::read("value", from_file.as_deref())?;
            let row =
                client.put(&format!("/api/v1/secrets/{}", in_path(&name)), &json!({"value": value})).await?;
            let (version, reference) = (text(&row["version"]), text(&row["reference"]));
            global.tell(&row, format!("Secret {name} has version {version}; name it as {reference}."));
        }
        SecretCommand::List => {
            let rows = client.list("/api/v1/secrets", &[], 1000).await?;
            if global.json() {
                print_json(&Value::Array(rows));
            } else {
                let cells: Vec<_> = rows
                    .iter()
                    .map(|s| {
                        vec![
                            text(&s["name"]),
                            text(&s["version"]),
                            text(&s["set_by"]),
                            ago(&s["set_at"]),
                            text(&s["reference"]),
                        ]
                    })
                    .collect();
                let empty = "No secret yet. Set one: slipway secret set NAME < FILE";
                table(&["NAME", "VERSION", "SET BY", "SET", "REFERENCE"], &cells, empty);
            }
        }
        SecretCommand::Remove { name } => {
            client.delete(&format!("/api/v1/secrets/{}", in_path(&name))).await?;
            global.tell(&json!({"name": name, "removed": true}), format!("Secret {name} is removed."));
        }
    }
    Ok(Exit::OK)
}
