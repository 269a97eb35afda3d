//! `slipway channel`.

use anyhow::Result;
use clap::Subcommand;
use serde_json::{Value, json};

use super::{Exit, Global, in_path};
use crate::client::Client;
use crate::output::{ago, json as print_json, say, table, text};

/// How many moves are asked for at once.
const PAGE_ROWS: usize = 200;

#[derive(Debug, Subcommand)]
pub(crate) enum ChannelCommand {
    /// Make a channel name a bundle version
    #[command(
        after_help = "Example: slipway channel set shop stable 1.4.2 --if-current 1.4.1 --reason 'soaked a week'"
    )]
    Set {
        /// The application
        app: String,
        /// The channel
        channel: String,
        /// The bundle version
        version: String,
        /// Only if the channel names this version now (`none`: only if it does not exist)
        #[arg(long, value_name = "VERSION")]
        if_current: Option<String>,
        /// Why; kept in the history
        #[arg(long)]
        reason: Option<String>,
    },
    /// Show which versions a channel has named: from, to, when, by whom and why, newest first
    #[command(after_help = "Example: slipway channel history shop stable")]
    History {
        /// The application
        app: String,
        /// The channel
        channel: String,
        /// How many moves at most
        #[arg(long, default_value_t = 30, value_parser = super::rows, allow_negative_numbers = true)]
        limit: usize,
    },
    /// List an application's channels
    #[command(after_help = "Example: slipway channel list shop")]
    List {
        /// The application
        app: String,
    },
}

pub(crate) async fn run(command: ChannelCommand, global: &Global) -> Result<Exit> {
    let client = global.client()?;
    match command {
        ChannelCommand::Set { app, channel, version, if_current, reason } => {
            let mut body = json!({"version": version, "reason": reason});
            match if_current.as_deref() {
                Some("none") => body["if_current"] = Value::Null,
                Some(current) => body["if_current"] = current.into(),
                None => {}
            }
            let path = format!("/api/v1/channels/{}/{}", in_path(&app), in_path(&channel));
            let moved = client.put(&path, &body).await?;
            if global.json() {
                print_json(&moved);
            } else {
                say(format!("Channel {channel} of {app} names {}.", text(&moved["version"])));
            }
        }
        ChannelCommand::History { app, channel, limit } => {
            let path = format!("/api/v1/channels/{}/{}/history", in_path(&app), in_path(&channel));
            history(&moves(&client, &path, limit).await?, global);
        }
        ChannelCommand::List { app } => {
            let rows = client.whole("/api/v1/channels", &[("application", app.clone())]).await?;
            if global.json() {
                print_json(&Value::Array(rows));
            } else {
                let cells: Vec<_> = rows
                    .iter()
                    .map(|c| {
                        vec![text(&c["name"]), text(&c["version"]), ago(&c["moved_at"]), text(&c["moved_by"])]
                    })
                    .collect();
                let empty = format!("No channel yet. Make one: slipway channel set {app} stable VERSION");
                table(&["CHANNEL", "VERSION", "MOVED", "BY"], &cells, &empty);
            }
        }
    }
    Ok(Exit::OK)
}

/// Page after page of a channel's moves, newest first.
async fn moves(client: &Client, path: &str, limit: usize) -> Result<Vec<Value>> {
    let mut moves: Vec<Value> = Vec::new();
    while moves.len() < limit {
        let wanted = (limit - moves.len()).min(PAGE_ROWS);
        let mut query = vec![("limit", wanted.to_string())];
        query.extend(moves.last().map(|last| ("before", text(&last["seq"]))));
        let page = client.get(path, &query).await?["items"].as_array().cloned().unwrap_or_default();
        let ended = page.len() < wanted;
        moves.extend(page);
        if ended {
            break;
        }
    }
    Ok(moves)
}

fn history(moves: &[Value], global: &Global) {
    if global.json() {
        return print_json(&Value::Array(moves.to_vec()));
    }
    let cells: Vec<_> = moves
        .iter()
        .map(|one| {
            ["from", "to"]
                .map(|key| text(&one[key]))
                .into_iter()
                .chain([ago(&one["at"]), text(&one["by"]), text(&one["reason"])])
                .collect()
        })
        .collect();
    table(&["FROM", "TO", "MOVED", "BY", "WHY"], &cells, "It was never moved.");
}
