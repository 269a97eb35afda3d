//! `slipway source`.

use anyhow::Result;
use clap::Subcommand;
use serde_json::{Value, json};

use super::{Exit, Global, in_path};
use crate::output::{ago, data, json as print_json, say, table, text};

#[derive(Debug, Subcommand)]
pub(crate) enum SourceCommand {
    /// List sources
    #[command(after_help = "Example: slipway source list")]
    List,
    /// Show one source
    #[command(after_help = "Example: slipway source show shop")]
    Show {
        /// The source
        name: String,
    },
    /// Say what keeps a source from working
    #[command(after_help = "Example: slipway source check shop")]
    Check {
        /// The source
        name: String,
    },
    /// List what a source received: pushes, webhooks, ignored events
    #[command(after_help = "Example: slipway source deliveries shop")]
    Deliveries {
        /// The source
        name: String,
        /// How many at most
        #[arg(long, default_value_t = 30, value_parser = super::rows, allow_negative_numbers = true)]
        limit: usize,
    },
    /// Judge a delivery anew, e.g. one that failed
    #[command(after_help = "Example: slipway source redeliver shop 01989d2c-7c3e-7a10-9f6b-3f1d2a4b5c6d")]
    Redeliver {
        /// The source
        name: String,
        /// The delivery's id, as `source deliveries` lists it
        delivery: String,
    },
    /// List webhook requests that proved nothing
    #[command(after_help = "Example: slipway source refusals shop")]
    Refusals {
        /// The source
        name: String,
    },
    /// Replace the webhook secret and show the new one once
    #[command(after_help = "Example: slipway source rotate-secret shop")]
    RotateSecret {
        /// The source
        name: String,
    },
}

pub(crate) async fn run(command: SourceCommand, global: &Global) -> Result<Exit> {
    let client = global.client()?;
    match command {
        SourceCommand::List => {
            let rows = client.whole("/api/v1/sources", &[]).await?;
            list(rows, global);
        }
        SourceCommand::Show { name } => {
            let source = client.get(&format!("/api/v1/sources/{}", in_path(&name)), &[]).await?;
            show(&source, global);
        }
        SourceCommand::Check { name } => {
            let found = client.post(&format!("/api/v1/sources/{}/check", in_path(&name)), &json!({})).await?;
            return Ok(check(&found, global));
        }
        SourceCommand::Deliveries { name, limit } => {
            let path = format!("/api/v1/sources/{}/deliveries", in_path(&name));
            let rows = client.list(&path, &[], limit).await?;
            deliveries(rows, global);
        }
        SourceCommand::Redeliver { name, delivery } => {
            let path =
                format!("/api/v1/sources/{}/deliveries/{}/redeliver", in_path(&name), in_path(&delivery));
            let made = client.post(&path, &json!({})).await?;
            if global.json() {
                print_json(&made);
            } else {
                data(text(&made["id"]));
                say(format!("See what becomes of it: slipway source deliveries {name}"));
            }
        }
        SourceCommand::Refusals { name } => {
            let refusals = client.get(&format!("/api/v1/sources/{}/refusals", in_path(&name)), &[]).await?;
            show_refusals(&refusals, global);
        }
        SourceCommand::RotateSecret { name } => {
            let path = format!("/api/v1/sources/{}/webhook-secret", in_path(&name));
            let made = client.post(&path, &json!({})).await?;
            if global.json() {
                print_json(&made);
            } else {
                data(text(&made["webhook_secret"]));
                say("This secret is shown this once; the one before no longer works.");
            }
        }
    }
    Ok(Exit::OK)
}

fn list(rows: Vec<Value>, global: &Global) {
    if global.json() {
        return print_json(&Value::Array(rows));
    }
    let cells: Vec<_> = rows
        .iter()
        .map(|s| {
            vec![
                text(&s["name"]),
                text(&s["kind"]),
                text(&s["url"]),
                ago(&s["swept_at"]),
                text(&s["last_error"]),
            ]
        })
        .collect();
    table(
        &["NAME", "KIND", "URL", "COMPARED", "ERROR"],
        &cells,
        "No source yet; `slipway app create` makes one.",
    );
}

fn show(source: &Value, global: &Global) {
    if global.json() {
        return print_json(source);
    }
    for key in ["name", "kind", "url", "credential", "poll_interval_s", "last_error"] {
        data(format!("{key:<16}{}", text(&source[key])));
    }
    data(format!("{:<16}{}", "compared", ago(&source["swept_at"])));
    for (forge, address) in source["webhook_urls"].as_object().into_iter().flatten() {
        data(format!("{:<16}{}", format!("webhook {forge}"), text(address)));
    }
}

fn check(found: &Value, global: &Global) -> Exit {
    let findings = found.as_array().or_else(|| found["items"].as_array()).cloned().unwrap_or_default();
    let all_well = findings.iter().all(|finding| finding["ok"] == true);
    if global.json() {
        print_json(&Value::Array(findings));
    } else {
        for finding in &findings {
            let mark = if finding["ok"] == true { "ok  " } else { "FAIL" };
            // Further lines stand below the first, so that they pass for no finding of their own.
            let detail = text(&finding["detail"]).replace('\n', &format!("\n{:20}", ""));
            data(format!("{mark} {:<14} {detail}", text(&finding["check"])));
        }
    }
    Exit(u8::from(!all_well))
}

fn deliveries(rows: Vec<Value>, global: &Global) {
    if global.json() {
        return print_json(&Value::Array(rows));
    }
    let cells: Vec<_> = rows
        .iter()
        .map(|d| {
            let commit = text(&d["commit"]).chars().take(8).collect();
            let mut row =
                vec![ago(&d["received_at"]), text(&d["origin"]), text(&d["event"]), text(&d["ref"]), commit];
            row.extend([text(&d["actor"]), text(&d["state"]), text(&d["id"]), text(&d["reason"])]);
            row
        })
        .collect();
    let head = ["RECEIVED", "ORIGIN", "EVENT", "REF", "COMMIT", "ACTOR", "STATE", "ID", "REASON"];
    table(&head, &cells, "Nothing was received yet.");
}

fn show_refusals(refusals: &Value, global: &Global) {
    if global.json() {
        return print_json(refusals);
    }
    let rows: Vec<_> = refusals["items"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|r| vec![ago(&r["at"]), text(&r["address"]), text(&r["reason"])])
        .collect();
    table(&["WHEN", "ADDRESS", "REASON"], &rows, "No request was refused.");
    say(format!("{} in all", text(&refusals["total"])));
}
