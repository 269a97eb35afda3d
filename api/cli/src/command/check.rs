//! `slipway check`: what is said of a bundle by those who tested it.

use anyhow::Result;
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::{Exit, Global, in_path};
use crate::output::{ago, json as print_json, table, text};

#[derive(Debug, Subcommand)]
pub(crate) enum CheckCommand {
    /// Report how a check of a bundle stands
    #[command(
        after_help = "An environment's gates count a report only if its settings name you as the check's owner.\nExample: slipway check report shop 1.4.2 e2e --state passed --url https://ci.example.com/812"
    )]
    Report(ReportArgs),
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
            let kept = client.put(&path, &body).await?;
            global.tell(&kept, format!("{} {}: {} {}.", args.app, args.version, args.name, args.state));
        }
        CheckCommand::List { app, version } => {
            let rows = client.list(&path(&app, &version), &[], 1000).await?;
            if global.json() {
                print_json(&Value::Array(rows));
                return Ok(Exit::OK);
            }
            let cells: Vec<_> = rows
                .iter()
                .map(|c| {
                    vec![
                        text(&c["name"]),
                        text(&c["state"]),
                        text(&c["reported_by"]),
                        ago(&c["reported_at"]),
                        text(&c["detail"]),
                        text(&c["url"]),
                    ]
                })
                .collect();
            let empty = "Nobody reported a check of this bundle yet.";
            table(&["CHECK", "STATE", "BY", "REPORTED", "DETAIL", "URL"], &cells, empty);
        }
    }
    Ok(Exit::OK)
}

fn path(app: &str, version: &str) -> String {
    format!("/api/v1/bundles/{}/{version}/checks", in_path(app))
}
