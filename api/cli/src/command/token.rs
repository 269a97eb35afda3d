//! `slipway token`.

use anyhow::Result;
use clap::Subcommand;
use serde_json::{Value, json};

use super::{Exit, Global, in_path};
use crate::output::{ago, data, json as print_json, say, table, text};

#[derive(Debug, Subcommand)]
pub(crate) enum TokenCommand {
    /// Make a token and show it once
    #[command(after_help = "Example: slipway token create ci --role developer --app shop --expires 90d")]
    Create {
        /// Its name, shown as the actor of what it does
        name: String,
        /// reader, developer, operator or admin
        #[arg(long, default_value = "developer")]
        role: String,
        /// Whose it is, by one name for all their tokens; approvals count people
        #[arg(long)]
        person: Option<String>,
        /// Let it go past closed gates, with a reason
        #[arg(long)]
        break_glass: bool,
        /// Limit it to this application
        #[arg(long)]
        app: Option<String>,
        /// How long it lives, e.g. 90d, 12h; for ever if absent
        #[arg(long, value_parser = life, allow_hyphen_values = true)]
        expires: Option<u64>,
    },
    /// List tokens, never the tokens themselves
    #[command(after_help = "Example: slipway token list")]
    List,
    /// End a token at once
    #[command(after_help = "Example: slipway token revoke ci")]
    Revoke {
        /// Its name or id
        // Not `token`: that is the id of the global `--token`.
        #[arg(value_name = "TOKEN")]
        revoked: String,
    },
}

/// Reads `90d` or a duration; gives seconds.
fn life(text: &str) -> Result<u64, String> {
    match text.strip_suffix('d') {
        Some(days) => {
            let days: u64 = days.parse().map_err(|_| format!("`{text}` is no duration: write 90d or 12h"))?;
            days.checked_mul(86_400).ok_or_else(|| "that is too long".to_owned())
        }
        None => super::run::duration(text)
            .map(|life| life.as_secs())
            .map_err(|_| format!("`{text}` is no duration: write 90d or 12h")),
    }
}

pub(crate) async fn run(command: TokenCommand, global: &Global) -> Result<Exit> {
    let client = global.client()?;
    match command {
        TokenCommand::Create { name, role, person, break_glass, app, expires } => {
            let mut body = json!({"name": name, "role": role});
            if let Some(person) = person {
                body["person"] = person.into();
            }
            if break_glass {
                body["break_glass"] = true.into();
            }
            if let Some(app) = app {
                body["application"] = app.into();
            }
            if let Some(expires) = expires {
                body["expires_in_s"] = expires.into();
            }
            let made = client.post("/api/v1/tokens", &body).await?;
            if global.json() {
                print_json(&made);
            } else {
                data(text(&made["token"]));
                say("This token is shown this once.");
            }
        }
        TokenCommand::List => {
            let rows = client.whole("/api/v1/tokens", &[]).await?;
            if global.json() {
                print_json(&Value::Array(rows));
            } else {
                let cells: Vec<_> = rows
                    .iter()
                    .map(|t| {
                        let ends =
                            if t["revoked_at"].is_null() { text(&t["expires_at"]) } else { "revoked".into() };
                        // Some are no people's: nodes of an environment pull by them.
                        let role = match t["pulls_for"].as_str() {
                            Some(environment) => format!("pulls for {environment}"),
                            None => text(&t["role"]),
                        };
                        vec![text(&t["name"]), role, text(&t["application"]), ago(&t["last_used_at"]), ends]
                    })
                    .collect();
                table(&["NAME", "ROLE", "APPLICATION", "LAST USED", "ENDS"], &cells, "No token.");
            }
        }
        TokenCommand::Revoke { revoked } => {
            client.delete(&format!("/api/v1/tokens/{}", in_path(&revoked))).await?;
            global.tell(&json!({"token": revoked, "revoked": true}), format!("Token {revoked} is revoked."));
        }
    }
    Ok(Exit::OK)
}
