//! `slipway secret`. Values come from standard input or a file, never from an argument, where every
//! process of the machine could read them.

use std::io::{IsTerminal, Read as _};
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::Subcommand;
use serde_json::{Value, json};

use super::{Exit, Global, in_path};
use crate::client::Usage;
use crate::output::{ago, json as print_json, say, table, text};

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
            let value = read(from_file)?;
            let row =
                client.put(&format!("/api/v1/secrets/{}", in_path(&name)), &json!({"value": value})).await?;
            if global.json() {
                print_json(&row);
            } else {
                say(format!(
                    "Secret {name} has version {}; name it as {}.",
                    text(&row["version"]),
                    text(&row["reference"])
                ));
            }
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
            say(format!("Secret {name} is removed."));
        }
    }
    Ok(Exit::OK)
}

fn read(file: Option<PathBuf>) -> Result<String> {
    let mut value = String::new();
    match file {
        Some(path) => {
            value =
                std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        }
        None => {
            if std::io::stdin().is_terminal() {
                say("Type the value, then Ctrl-D:");
            }
            std::io::stdin().read_to_string(&mut value).context("cannot read standard input")?;
        }
    }
    let value = value.trim_end_matches(['\r', '\n']).to_owned();
    if value.is_empty() {
        bail!(Usage("the value is empty".into()));
    }
    Ok(value)
}
