//! `slipway secret`.

mod restarts;

use std::path::PathBuf;

use anyhow::Result;
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::waiting::WaitArgs;
use super::{Exit, Global, in_path};
use crate::client::Client;
use crate::output::{ago, json as print_json, say, table, text};
use crate::secret_input;

use restarts::Restarts;

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

    /// The same as a command has them, with a space before each.
    fn arguments(&self) -> String {
        let given = [("app", &self.app), ("env", &self.env), ("team", &self.team)];
        given.into_iter().filter_map(|(key, value)| Some(format!(" --{key} {}", value.as_ref()?))).collect()
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
        after_help = "With --restart it waits until each of those is deployed again or left alone; that goes on if the command is ended.\nExit codes: 0 done, 1 one of those is left alone, or without --restart it is not known who uses it, 3 the wait ran out. The value is set in any case.\nExample: slipway secret rotate db --app shop --env prod --restart < password.txt"
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
        #[command(flatten)]
        wait: WaitArgs,
    },
    /// Show what became of what ran with a secret when it was rotated with --restart
    #[command(
        after_help = "Exit codes: 0 all is deployed again, 1 something is left alone, 3 the restarts go on.\nExample: slipway secret restarts db --app shop --env prod"
    )]
    Restarts {
        /// Its name
        name: String,
        #[command(flatten)]
        scope: ScopeArgs,
        /// When it got this version, instead of the newest that was rotated so
        #[arg(id = "secret_version", long = "version", value_name = "NUMBER", allow_negative_numbers = true)]
        version: Option<u32>,
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
            let rows = client.whole("/api/v1/secrets", &scope.query()).await?;
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
        SecretCommand::Rotate { name, scope, from_file, restart, reason, wait } => {
            let mut body =
                json!({"value": secret_input::read("value", from_file.as_deref())?, "restart": restart});
            if let Some(reason) = reason {
                body["reason"] = reason.into();
            }
            let address = scope.address(&format!("/api/v1/secrets/{}/rotate", in_path(&name)));
            let done = client.post(&address, &body).await?;
            if !restart {
                return Ok(rotated(&name, &done, global));
            }
            return restarted(&client, (name.as_str(), &scope), done, &wait, global).await;
        }
        SecretCommand::Restarts { name, scope, version } => {
            let version = version.map(|version| version.to_string());
            let found = Restarts { client: &client, name: &name, scope: &scope, version }.found().await?;
            if global.json() {
                print_json(&found);
            } else {
                restarts::show(&found);
            }
            return Ok(restarts::exit(&found));
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

/// Tells that a secret has its next value, and who uses it; whether that is known.
fn tell_rotated(name: &str, done: &Value, global: &Global) -> bool {
    if !global.json() {
        say(format!("Secret {name} has version {}.", text(&done["secret"]["version"])));
        if done["problem"].is_null() {
            users(&done["users"], "Nobody uses it.");
        }
    }
    if let Some(problem) = done["problem"].as_str() {
        say(format!("The value is set, but {problem}. Look again: slipway secret used-by {name}"));
    }
    done["problem"].is_null()
}

/// Tells what a rotation without restarts came to; 1 if it is not known who uses the secret.
fn rotated(name: &str, done: &Value, global: &Global) -> Exit {
    let is_known = tell_rotated(name, done, global);
    if global.json() {
        print_json(done);
    } else if done["users"].as_array().into_iter().flatten().any(|user| user["kind"] == "running") {
        say(
            "What runs keeps the version it has until it is deployed again: slipway deploy restart, or --restart",
        );
    }
    Exit(u8::from(!is_known))
}

/// The same of one with restarts, once these have ended.
async fn restarted(
    client: &Client,
    (name, scope): (&str, &ScopeArgs),
    mut done: Value,
    wait: &WaitArgs,
    global: &Global,
) -> Result<Exit> {
    tell_rotated(name, &done, global);
    let restarts = Restarts { client, name, scope, version: Some(text(&done["secret"]["version"])) };
    let exit = if wait.no_wait {
        say(format!("What runs with it is being restarted. Look at it: {}", restarts.look()));
        Exit::OK
    } else {
        let found = restarts.ended(wait).await?;
        if let Some(problem) = found["problem"].as_str() {
            say(format!("Not all were come to: {problem}"));
        }
        done["restarts"] = found["restarts"].clone();
        done["restarting"] = found["ended_at"].is_null().into();
        restarts::exit(&found)
    };
    if global.json() {
        print_json(&done);
    }
    Ok(exit)
}
