//! `slipway check`: what is said of a bundle by those who tested it.

use anyhow::Result;
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::{Exit, Global, in_path, log};
use crate::output::{ago, json as print_json, say, table, text};

#[derive(Debug, Subcommand)]
pub(crate) enum CheckCommand {
    /// Report how a check of a bundle stands
    #[command(
        after_help = "An environment's gates count a report only if its settings name you as the check's owner.\nYour report takes the place of your earlier one, and of nobody else's.\nExample: slipway check report shop 1.4.2 e2e --state passed --url https://ci.example.com/812"
    )]
    Report(ReportArgs),
    /// Run a check again that slipway.yaml declares
    #[command(
        after_help = "Until it is green, its bundle is held.\nExample: slipway check rerun shop 1.4.2 source/unit"
    )]
    Rerun(NamedArgs),
    /// Print the log of a check that slipway.yaml declares
    #[command(
        after_help = "With -o json each line is one JSON document: offset, the byte where it begins, and text.\nExample: slipway check log shop 1.4.2 source/unit --follow"
    )]
    Log {
        #[command(flatten)]
        named: NamedArgs,
        /// Go on until the check ends
        #[arg(short, long)]
        follow: bool,
    },
    /// Stop a check that slipway.yaml declares
    #[command(
        after_help = "What it holds, it goes on to hold.\nExample: slipway check cancel shop 1.4.2 source/unit"
    )]
    Cancel(NamedArgs),
    /// Let a bundle go although this check that slipway.yaml declares is not green
    #[command(
        after_help = "An operator's word, kept in the audit record. It opens no gate.\nExample: slipway check waive shop 1.4.2 source/unit --reason 'the test server is down'"
    )]
    Waive {
        #[command(flatten)]
        named: NamedArgs,
        /// Why
        #[arg(long)]
        reason: String,
    },
    /// List the checks of a bundle
    #[command(after_help = "Example: slipway check list shop 1.4.2")]
    List {
        /// The application
        app: String,
        /// The bundle version
        version: String,
    },
}

#[derive(Debug, Args)]
pub(crate) struct NamedArgs {
    /// The application
    app: String,
    /// The bundle version
    version: String,
    /// The check, with or without source/
    name: String,
}

impl NamedArgs {
    fn name(&self) -> String {
        format!("source/{}", self.name.strip_prefix("source/").unwrap_or(&self.name))
    }

    fn path(&self, act: &str) -> String {
        format!("{}/{}/{act}", path(&self.app, &self.version), in_path(&self.name()))
    }
}

#[derive(Debug, Args)]
pub(crate) struct ReportArgs {
    /// The application
    app: String,
    /// The bundle version
    version: String,
    /// The check
    name: String,
    /// How it stands
    #[arg(long, value_parser = ["passed", "failed", "pending"])]
    state: String,
    /// What was found
    #[arg(long)]
    detail: Option<String>,
    /// Where more is to be read
    #[arg(long)]
    url: Option<String>,
}

pub(crate) async fn run(command: CheckCommand, global: &Global) -> Result<Exit> {
    let client = global.client()?;
    match command {
        CheckCommand::Report(args) => {
            let path = format!("{}/{}", path(&args.app, &args.version), in_path(&args.name));
            let mut body = json!({"state": args.state});
            let given = [("detail", args.detail), ("url", args.url)];
            for (key, value) in given.into_iter().filter_map(|(key, value)| Some((key, value?))) {
                body[key] = value.into();
            }
            client.put(&path, &body).await?;
            let given = [("application", &args.app), ("version", &args.version), ("name", &args.name)];
            for (key, value) in given {
                body[key] = value.as_str().into();
            }
            global.tell(&body, format!("{} {}: {} {}.", args.app, args.version, args.name, args.state));
        }
        CheckCommand::Rerun(named) => {
            let queued = client.post(&named.path("rerun"), &json!({})).await?;
            global.tell(&queued, format!("{} {}: {} is queued.", named.app, named.version, named.name()));
        }
        CheckCommand::Log { named, follow } => {
            let (app, version, name) = (&named.app, &named.version, named.name());
            let again = follow.then(|| format!("slipway check log {app} {version} {name} --follow"));
            if !log::print(&client, &named.path("log"), 0, again.as_deref(), global).await? {
                say(format!(
                    "No line yet: `slipway check list {} {}` tells how it stands.",
                    named.app, named.version
                ));
            }
        }
        CheckCommand::Cancel(named) => {
            let stopped = client.post(&named.path("cancel"), &json!({})).await?;
            global.tell(&stopped, format!("{} {}: {} is stopped.", named.app, named.version, named.name()));
        }
        CheckCommand::Waive { named, reason } => {
            let waived = client.post(&named.path("waive"), &json!({"reason": reason})).await?;
            let said = format!("{} {}: {} holds it no more.", named.app, named.version, named.name());
            global.tell(&waived, said);
        }
        CheckCommand::List { app, version } => {
            let rows = client.whole(&path(&app, &version), &[]).await?;
            if global.json() {
                print_json(&Value::Array(rows));
                return Ok(Exit::OK);
            }
            let cells: Vec<_> = rows
                .iter()
                .map(|c| {
                    vec![
                        text(&c["name"]),
                        standing(c),
                        text(&c["reported_by"]),
                        ago(&c["reported_at"]),
                        text(&c["detail"]),
                        text(&c["url"]),
                    ]
                })
                .collect();
            let empty = "No check is declared for this bundle, and nobody reported one yet.";
            table(&["CHECK", "STATE", "BY", "REPORTED", "DETAIL", "URL"], &cells, empty);
        }
    }
    Ok(Exit::OK)
}

/// The state, with what it means for the bundle.
fn standing(check: &Value) -> String {
    let state = text(&check["state"]);
    match (check["holds"].as_bool(), check["waived_by"].as_str()) {
        (Some(true), _) => format!("{state}, holds"),
        (_, Some(by)) => format!("{state}, waived by {by}"),
        _ => state,
    }
}

fn path(app: &str, version: &str) -> String {
    format!("/api/v1/bundles/{}/{}/checks", in_path(app), in_path(version))
}
