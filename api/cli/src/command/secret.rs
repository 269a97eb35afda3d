//! `slipway secret`.

use std::path::PathBuf;

use anyhow::Result;
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::{Exit, Global, in_path};
use crate::output::{ago, json as print_json, say, table, text};
use crate::secret_input;

/// For whom a secret is. Who asks gets that of the narrowest scope: environment, application, team, everybody.
#[derive(Debug, Args)]
pub(crate) struct ScopeArgs {
    /// For this application alone
    #[arg(long, value_name = "APP", conflicts_with = "team")]
    app: Option<String>,
    /// For the application in this environment alone
    #[arg(long, value_name = "NAME", requires = "app")]
    env: Option<String>,
    /// For the applications of this team
    #[arg(long, value_name = "TEAM")]
    team: Option<String>,
}

impl ScopeArgs {
    fn query(&self) -> Vec<(&'static str, String)> {
        let given = [("application", &self.app), ("environment", &self.env), ("team", &self.team)];
        given.into_iter().filter_map(|(key, value)| Some((key, value.clone()?))).collect()
    }

    /// An address with the scope as its query.
    fn address(&self, path: &str) -> String {
        let query = self.query();
        let pairs: Vec<String> =
            query.iter().map(|(key, value)| format!("{key}={}", in_path(value))).collect();
        if pairs.is_empty() { path.to_owned() } else { format!("{path}?{}", pairs.join("&")) }
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum SecretCommand {
    /// Set a secret from standard input or a file
    #[command(after_help = "Example: slipway secret set db --app shop --env prod < password.txt")]
    Set {
        /// Its name
        name: String,
        #[command(flatten)]
        scope: ScopeArgs,
        /// Read the value from this file instead of standard input
        #[arg(long, value_name = "FILE")]
        from_file: Option<PathBuf>,
    },
    /// List secrets: names, scopes and versions, never values
    #[command(after_help = "Example: slipway secret list --app shop")]
    List {
        #[command(flatten)]
        scope: ScopeArgs,
    },
    /// Tell who uses a secret, and which version each has
    #[command(after_help = "Example: slipway secret used-by db --app shop --env prod")]
    UsedBy {
        /// Its name, or a reference secret://kubernetes/…
        name: String,
        #[command(flatten)]
        scope: ScopeArgs,
    },
    /// Give a secret its next value, tell who uses it, and restart those if asked
    #[command(
        after_help = "Ends with 1 if one of those could not be restarted; the value is set all the same.\nExample: slipway secret rotate db --app shop --env prod --restart < password.txt"
    )]
    Rotate {
        /// Its name
        name: String,
        #[command(flatten)]
        scope: ScopeArgs,
        /// Read the value from this file instead of standard input
        #[arg(long, value_name = "FILE")]
        from_file: Option<PathBuf>,
        /// Deploy what runs with it again: the same revisions, with nothing moved but versions of secrets
        #[arg(long)]
        restart: bool,
        /// Why; kept with the restarts
        #[arg(long, requires = "restart")]
        reason: Option<String>,
    },
    /// Remove a secret
    #[command(
        after_help = "Who uses it is told by `slipway secret used-by`.\nExample: slipway secret remove npm-token --yes"
    )]
    Remove {
        /// Its name
        name: String,
        #[command(flatten)]
        scope: ScopeArgs,
        /// Really
        #[arg(long)]
        yes: bool,
    },
}

pub(crate) async fn run(command: SecretCommand, global: &Global) -> Result<Exit> {
    let client = global.client()?;
    match command {
        SecretCommand::Set { name, scope, from_file } => {
            let value = secret_input::read("value", from_file.as_deref())?;
            let address = scope.address(&format!("/api/v1/secrets/{}", in_path(&name)));
            let row = client.put(&address, &json!({"value": value})).await?;
            let (version, reference) = (text(&row["version"]), text(&row["reference"]));
            let scope = text(&row["scope"]);
            global.tell(
                &row,
                format!("Secret {name} ({scope}) has version {version}; name it as {reference}."),
            );
        }
        SecretCommand::List { scope } => {
            let rows = client.list("/api/v1/secrets", &scope.query(), 1000).await?;
            if global.json() {
                print_json(&Value::Array(rows));
            } else {
                list(&rows);
            }
        }
        SecretCommand::UsedBy { name, scope } => {
            let path = format!("/api/v1/secrets/{}/users", in_path(&name));
            let found = client.get(&path, &scope.query()).await?;
            if global.json() {
                print_json(&found["items"]);
            } else {
                users(&found["items"], "Nobody uses it.");
            }
        }
        SecretCommand::Rotate { name, scope, from_file, restart, reason } => {
            let mut body =
                json!({"value": secret_input::read("value", from_file.as_deref())?, "restart": restart});
            if let Some(reason) = reason {
                body["reason"] = reason.into();
            }
            let address = scope.address(&format!("/api/v1/secrets/{}/rotate", in_path(&name)));
            let done = client.post(&address, &body).await?;
            return Ok(rotated(&name, &done, restart, global));
        }
        SecretCommand::Remove { name, scope, yes } => {
            super::confirmed(yes, &format!("the secret {name} would be gone for all who name it"))?;
            client.delete(&scope.address(&format!("/api/v1/secrets/{}", in_path(&name)))).await?;
            global.tell(&json!({"name": name, "removed": true}), format!("Secret {name} is removed."));
        }
    }
    Ok(Exit::OK)
}

fn list(rows: &[Value]) {
    let cells: Vec<_> = rows
        .iter()
        .map(|s| {
            vec![
                text(&s["name"]),
                text(&s["scope"]),
                text(&s["version"]),
                text(&s["set_by"]),
                ago(&s["set_at"]),
                text(&s["reference"]),
            ]
        })
        .collect();
    let empty = "No secret yet. Set one: slipway secret set NAME < FILE";
    table(&["NAME", "SCOPE", "VERSION", "SET BY", "SET", "REFERENCE"], &cells, empty);
}

fn users(rows: &Value, empty: &str) {
    let cells: Vec<_> = rows
        .as_array()
        .into_iter()
        .flatten()
        .map(|user| {
            let components: Vec<String> =
                user["components"].as_array().into_iter().flatten().map(text).collect();
            vec![
                text(&user["kind"]),
                text(&user["application"]),
                text(&user["environment"]),
                if components.is_empty() { "-".into() } else { components.join(",") },
                text(&user["version"]),
                match user["problem"].as_str() {
                    Some(problem) => format!("{}: {problem}", text(&user["detail"])),
                    None => text(&user["detail"]),
                },
            ]
        })
        .collect();
    table(&["KIND", "APPLICATION", "ENVIRONMENT", "COMPONENTS", "HAS VERSION", "DETAIL"], &cells, empty);
}

/// Says which secrets stay of what was removed.
pub(super) fn tell_left(removed: &Value) {
    let left: Vec<String> = removed["secrets_left"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|one| format!("{} ({})", text(&one["name"]), text(&one["scope"])))
        .collect();
    if !left.is_empty() {
        say(format!(
            "Its secrets stay, and whatever gets its name gets them: {}. An administrator takes them away: \
             slipway secret remove NAME --app APP [--env ENV] --yes",
            left.join(", ")
        ));
    }
}

/// Tells what a rotation came to; 1 if something was not restarted.
fn rotated(name: &str, done: &Value, restart: bool, global: &Global) -> Exit {
    let restarts = done["restarts"].as_array().cloned().unwrap_or_default();
    let failed = restarts.iter().filter(|one| !one["problem"].is_null()).count();
    if global.json() {
        print_json(done);
    } else {
        say(format!("Secret {name} has version {}.", text(&done["secret"]["version"])));
        if done["problem"].is_null() {
            users(&done["users"], "Nobody uses it.");
        }
        for one in &restarts {
            let place = format!("{}@{}", text(&one["application"]), text(&one["environment"]));
            if one["problem"].is_null() {
                say(format!(
                    "{place}: restarts as generation {0}. Watch it: slipway deploy watch {place}",
                    text(&one["generation"])
                ));
            } else {
                say(format!("{place}: not restarted: {}", text(&one["problem"])));
                if !one["hint"].is_null() {
                    say(format!("  {}", text(&one["hint"])));
                }
            }
        }
        let runs = done["users"].as_array().into_iter().flatten().any(|user| user["kind"] == "running");
        if runs && !restart {
            say(
                "What runs keeps the version it has until it is deployed again: slipway deploy restart, or --restart",
            );
        }
    }
    if let Some(problem) = done["problem"].as_str() {
        say(format!("The value is set, but {problem}. Look again: slipway secret used-by {name}"));
    }
    Exit(u8::from(failed > 0 || !done["problem"].is_null()))
}
