//! `slipway notice` and `slipway incident`.

use anyhow::Result;
use clap::Subcommand;
use serde_json::{Value, json};

use super::{Exit, Global, in_path};
use crate::output::{ago, data, json as print_json, say, table, text};

#[derive(Debug, Subcommand)]
pub(crate) enum NoticeCommand {
    /// List the channels that people are told by, and how they do
    #[command(
        after_help = "Channels are the server's settings: [[notices.channels]] in its configuration.\nExample: slipway notice list"
    )]
    List,
    /// Send a test to a channel and show what it answers
    #[command(after_help = "Exit codes: 0 it has taken it, 1 it has not.\nExample: slipway notice test ops")]
    Test {
        /// The channel
        name: String,
    },
    /// List notices that were given up, newest first, and why
    #[command(
        after_help = "A notice is given up when its channel refuses it, or has not taken it for an hour.\nExample: slipway notice failed --channel ops"
    )]
    Failed {
        /// Only to this channel
        #[arg(long, value_name = "CHANNEL")]
        channel: Option<String>,
        /// How many at most
        #[arg(long, default_value_t = 30, value_parser = super::rows, allow_negative_numbers = true)]
        limit: usize,
    },
    /// Send again what was given up: one notice, or all of a channel
    #[command(after_help = "Example: slipway notice resend --channel ops")]
    Resend {
        /// The notice, as `slipway notice failed` shows it
        #[arg(required_unless_present = "channel", conflicts_with = "channel")]
        notice: Option<String>,
        /// Everything that was given up for this channel
        #[arg(long, value_name = "CHANNEL")]
        channel: Option<String>,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum IncidentCommand {
    /// List applications that are, or were, not as wanted somewhere, newest first
    #[command(after_help = "Example: slipway incident list --open --env prod")]
    List {
        /// Only of this application
        app: Option<String>,
        /// Only in this environment
        #[arg(long, value_name = "ENV")]
        env: Option<String>,
        /// Only those that are not over
        #[arg(long)]
        open: bool,
        /// How many at most
        #[arg(long, default_value_t = 30, value_parser = super::rows, allow_negative_numbers = true)]
        limit: usize,
    },
}

pub(crate) async fn run(command: NoticeCommand, global: &Global) -> Result<Exit> {
    let client = global.client()?;
    match command {
        NoticeCommand::Failed { channel, limit } => {
            let query: Vec<_> = channel.into_iter().map(|channel| ("channel", channel)).collect();
            let rows = client.list("/api/v1/notices/failed", &query, limit).await?;
            given_up(rows, global);
        }
        NoticeCommand::Resend { notice, channel } => {
            let path = match (&notice, &channel) {
                (Some(notice), _) => format!("/api/v1/notices/failed/{}/resend", in_path(notice)),
                (None, channel) => {
                    let channel = channel.as_deref().unwrap_or_default();
                    format!("/api/v1/notices/channels/{}/resend", in_path(channel))
                }
            };
            let sent = client.post(&path, &json!({})).await?;
            if global.json() {
                print_json(&sent);
            } else {
                let (count, channel) = (text(&sent["notices"]), text(&sent["channel"]));
                say(format!("{count} to be sent again to {channel}"));
            }
        }
        NoticeCommand::List => {
            channels(client.whole("/api/v1/notices/channels", &[]).await?, global);
        }
        NoticeCommand::Test { name } => {
            let path = format!("/api/v1/notices/channels/{}/test", in_path(&name));
            let tested = client.post(&path, &json!({})).await?;
            if global.json() {
                print_json(&tested);
            } else {
                data(text(&tested["answer"]));
                if let Some(hint) = tested["hint"].as_str() {
                    say(format!("hint: {hint}"));
                }
            }
            return Ok(if tested["ok"] == true { Exit::OK } else { Exit(1) });
        }
    }
    Ok(Exit::OK)
}

pub(crate) async fn incidents(command: IncidentCommand, global: &Global) -> Result<Exit> {
    let IncidentCommand::List { app, env, open, limit } = command;
    let mut query = Vec::new();
    query.extend(app.map(|app| ("application", app)));
    query.extend(env.map(|env| ("environment", env)));
    query.extend(open.then(|| ("open", "true".to_owned())));
    let rows = global.client()?.list("/api/v1/incidents", &query, limit).await?;
    if global.json() {
        print_json(&Value::Array(rows));
        return Ok(Exit::OK);
    }
    let cells: Vec<_> = rows
        .iter()
        .map(|row| {
            let about = &row["about"];
            vec![
                text(&row["application"]),
                text(&row["environment"]),
                text(&about["version"]),
                standing(row),
                ago(&row["opened_at"]),
                told(row),
                text(&about["blocker"]),
            ]
        })
        .collect();
    let head = ["APPLICATION", "ENVIRONMENT", "VERSION", "STATE", "OPENED", "TOLD", "BLOCKER"];
    table(&head, &cells, "There was no incident.");
    if rows.iter().any(has_given_up) {
        say("Some were not told: `slipway notice failed` says why.");
    }
    Ok(Exit::OK)
}

/// The state of what is open; of what is over that it is.
fn standing(incident: &Value) -> String {
    let state = text(&incident["about"]["state"]);
    match (incident["open"] == true, incident["ended"].is_null()) {
        (true, true) => state,
        (true, false) => format!("{} again", text(&incident["ended"]["state"])),
        (false, _) => format!("over (was {state})"),
    }
}

/// The channels that were told, with what did not go well.
fn told(incident: &Value) -> String {
    let notices = incident["notices"].as_array().into_iter().flatten();
    let opened = notices.filter(|notice| notice["told"] == "opened");
    let words = opened.map(|notice| match notice["state"].as_str() {
        Some("sent") => text(&notice["channel"]),
        _ => format!("{} ({})", text(&notice["channel"]), text(&notice["state"])),
    });
    let words: Vec<String> = words.collect();
    if words.is_empty() { "-".to_owned() } else { words.join(", ") }
}

/// Whether a notice of an incident was given up.
fn has_given_up(incident: &Value) -> bool {
    incident["notices"].as_array().into_iter().flatten().any(|notice| notice["state"] == "failed")
}

fn given_up(rows: Vec<Value>, global: &Global) {
    if global.json() {
        return print_json(&Value::Array(rows));
    }
    let cells: Vec<_> = rows
        .iter()
        .map(|row| {
            vec![
                text(&row["id"]),
                text(&row["channel"]),
                text(&row["event"]),
                text(&row["application"]),
                text(&row["environment"]),
                ago(&row["failed_at"]),
                text(&row["attempts"]),
                text(&row["reason"]),
            ]
        })
        .collect();
    let head = ["NOTICE", "CHANNEL", "EVENT", "APPLICATION", "ENVIRONMENT", "GIVEN UP", "TRIES", "REASON"];
    table(&head, &cells, "No notice was given up.");
    if !cells.is_empty() {
        say("To send one again: slipway notice resend NOTICE; all of a channel: --channel CHANNEL");
    }
}

fn channels(rows: Vec<Value>, global: &Global) {
    if global.json() {
        return print_json(&Value::Array(rows));
    }
    let cells: Vec<_> = rows
        .iter()
        .map(|row| {
            let last = &row["last"];
            let came = match last["state"].as_str() {
                None => "-".to_owned(),
                Some("sent") => format!("sent {}", ago(&last["at"])),
                Some(state) => format!("{state} {}: {}", ago(&last["at"]), text(&last["answer"])),
            };
            vec![
                text(&row["name"]),
                text(&row["kind"]),
                words(&row["teams"], "all"),
                places(row),
                words(&row["events"], "-"),
                text(&row["pending"]),
                text(&row["failed"]),
                came,
            ]
        })
        .collect();
    let head = ["CHANNEL", "KIND", "TEAMS", "ENVIRONMENTS", "EVENTS", "PENDING", "FAILED", "LAST"];
    table(&head, &cells, "No channel is configured: add [[notices.channels]] to the server's configuration.");
}

fn words(list: &Value, none: &str) -> String {
    let words: Vec<String> = list.as_array().into_iter().flatten().map(text).collect();
    if words.is_empty() { none.to_owned() } else { words.join(",") }
}

fn places(channel: &Value) -> String {
    let names = words(&channel["environments"], "all");
    match channel["selector"].as_str() {
        None | Some("") => names,
        Some(selector) => format!("{names} where {selector}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_incident_says_whether_it_is_over_and_who_was_told() {
        let incident = |open: bool, ended: Value| {
            json!({"open": open, "about": {"state": "failed"}, "ended": ended, "notices": [
                {"channel": "ops", "told": "opened", "state": "sent"},
                {"channel": "mail", "told": "opened", "state": "pending"},
                {"channel": "ops", "told": "recovered", "state": "sent"},
            ]})
        };
        let live = json!({"state": "live"});
        assert_eq!(standing(&incident(true, Value::Null)), "failed");
        assert_eq!(standing(&incident(true, live.clone())), "live again");
        assert_eq!(standing(&incident(false, live)), "over (was failed)");
        assert_eq!(told(&incident(true, Value::Null)), "ops, mail (pending)");
        assert_eq!(told(&json!({})), "-");
        assert!(!has_given_up(&incident(true, Value::Null)));
        assert!(has_given_up(&json!({"notices": [{"state": "sent"}, {"state": "failed"}]})));
    }
}
