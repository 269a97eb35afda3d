//! `slipway app`.

use anyhow::Result;
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::{Exit, Global, in_path};
use crate::output::{ago, data, json as print_json, say, table, text};

#[derive(Debug, Subcommand)]
pub(crate) enum AppCommand {
    /// Make an application
    #[command(
        after_help = "Example: slipway app create shop\nExample: slipway app create shop --source https://git.example.com/shop.git --path deploy"
    )]
    Create(CreateArgs),
    /// List applications
    #[command(after_help = "Example: slipway app list")]
    List,
    /// Show one application
    #[command(after_help = "Example: slipway app show shop")]
    Show {
        /// The application
        name: String,
    },
    /// Hide an application of which nothing is deployed; its versions stay pullable
    #[command(
        after_help = "Made again with `slipway app create`, it comes back with its versions and goes on with its numbers.\nExample: slipway app delete shop --yes"
    )]
    Delete {
        /// The application
        name: String,
        /// Really
        #[arg(long)]
        yes: bool,
    },
}

#[derive(Debug, Args)]
pub(crate) struct CreateArgs {
    /// Name, or TEAM/NAME
    name: String,
    /// HTTPS clone address, or the name of a source that exists; none: Slipway's own git remote
    #[arg(long, value_name = "URL|NAME")]
    source: Option<String>,
    /// Directory of slipway.yaml in the source
    #[arg(long, default_value = "", value_name = "DIR")]
    path: String,
    /// Credential of the source, as secret://…
    #[arg(long, value_name = "REF")]
    credential: Option<String>,
    /// How often the source's heads are compared, e.g. 5m
    #[arg(long, value_name = "DURATION", value_parser = super::run::duration, allow_hyphen_values = true)]
    poll: Option<std::time::Duration>,
}

pub(crate) async fn run(command: AppCommand, global: &Global) -> Result<Exit> {
    let client = global.client()?;
    match command {
        AppCommand::Create(args) => {
            let made = client.post("/api/v1/applications", &body(&args)).await?;
            show_created(&made, args.source.is_some(), global);
        }
        AppCommand::List => {
            let rows = client.whole("/api/v1/applications", &[]).await?;
            if global.json() {
                print_json(&Value::Array(rows));
            } else {
                let cells: Vec<_> = rows
                    .iter()
                    .map(|app| {
                        vec![
                            text(&app["name"]),
                            text(&app["git_url"]),
                            text(&app["path"]),
                            ago(&app["created_at"]),
                        ]
                    })
                    .collect();
                table(
                    &["NAME", "GIT", "PATH", "CREATED"],
                    &cells,
                    "No application yet. Make the first one: slipway app create NAME",
                );
            }
        }
        AppCommand::Show { name } => {
            let app = client.get(&format!("/api/v1/applications/{}", in_path(&name)), &[]).await?;
            if global.json() {
                print_json(&app);
            } else {
                show(&app);
            }
        }
        AppCommand::Delete { name, yes } => {
            let path = format!("/api/v1/applications/{}", in_path(&name));
            // Nobody is asked about what is not there.
            client.get(&path, &[]).await?;
            super::confirmed(yes, &format!("the application {name} would be hidden"))?;
            let left = client.delete(&path).await?;
            let told = json!({"name": name, "removed": true, "secrets_left": left["secrets_left"]});
            global.tell(&told, format!("Application {name} is hidden; its versions stay pullable."));
            say(format!("It comes back with all it had by: slipway app create {name}"));
            super::secret::tell_left(&left);
        }
    }
    Ok(Exit::OK)
}

fn body(args: &CreateArgs) -> Value {
    let mut body = json!({"name": args.name, "path": args.path});
    if let Some(source) = &args.source {
        let key = if source.contains(':') || source.contains('/') { "source_url" } else { "source" };
        body[key] = source.as_str().into();
    }
    if let Some(credential) = &args.credential {
        body["credential"] = credential.as_str().into();
    }
    if let Some(poll) = args.poll {
        body["poll_interval_s"] = poll.as_secs().into();
    }
    body
}

fn show_created(made: &Value, from_forge: bool, global: &Global) {
    if global.json() {
        print_json(made);
        return;
    }
    show(made);
    if let Some(secret) = made["webhook_secret"].as_str() {
        data(format!("webhook secret  {secret}"));
        say("The webhook secret is shown this once.");
    }
    if from_forge {
        say(format!(
            "Next: give your forge one of the webhook addresses and the secret, and see that all is well: slipway source check {}",
            text(&made["name"])
        ));
        return;
    }
    say(format!(
        "Next: git push {} HEAD:main  (any user name, your token as the password)",
        text(&made["git_url"])
    ));
}

fn show(app: &Value) {
    data(format!("application     {}", text(&app["name"])));
    data(format!("git             {}", text(&app["git_url"])));
    if app["path"].as_str().is_some_and(|path| !path.is_empty()) {
        data(format!("path            {}", text(&app["path"])));
    }
    for (forge, address) in app["webhook_urls"].as_object().into_iter().flatten() {
        data(format!("webhook {forge:<8}{}", text(address)));
    }
}
