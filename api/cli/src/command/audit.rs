//! `slipway audit`: who changed what, and whether that record is whole.

use anyhow::Result;
use clap::Subcommand;
use serde_json::Value;

use super::{Exit, Global};
use crate::client::Client;
use crate::output::{ago, data, json as print_json, table, text};

/// Rows asked for at once.
const PAGE: usize = 200;
/// As much of an entry's detail as fits a line, in characters.
const DETAIL_CHARS: usize = 80;

#[derive(Debug, Subcommand)]
pub(crate) enum AuditCommand {
    /// List what was changed, newest first
    #[command(after_help = "Example: slipway audit list --subject environment/prod")]
    List {
        /// Only about this, e.g. environment/prod
        #[arg(long)]
        subject: Option<String>,
        /// Only entries before this number
        #[arg(long, value_name = "NUMBER")]
        before: Option<i64>,
        /// How many at most
        #[arg(long, default_value_t = 30, value_parser = super::rows, allow_negative_numbers = true)]
        limit: usize,
    },
    /// Say whether an entry was altered or taken out
    #[command(
        after_help = "Entries cut off at the end leave a whole record: keep the digest that is printed elsewhere, and expect it\nthe next time.\nExit codes: 0 the record is whole, 1 it is not.\nExample: slipway audit verify\n         slipway audit verify --expect sha256:…"
    )]
    Verify {
        /// Fail unless an entry has this digest, which an earlier look printed
        #[arg(long, value_name = "DIGEST")]
        expect: Option<String>,
    },
}

pub(crate) async fn run(command: AuditCommand, global: &Global) -> Result<Exit> {
    let client = global.client()?;
    match command {
        AuditCommand::List { subject, before, limit } => {
            let is_all = subject.is_none() && before.is_none();
            let rows = entries(&client, subject, before, limit).await?;
            list(rows, if is_all { "Nothing was changed yet." } else { "No such entry." }, global);
            Ok(Exit::OK)
        }
        AuditCommand::Verify { expect } => {
            let query: Vec<_> = expect.into_iter().map(|digest| ("expect", digest)).collect();
            let found = client.get("/api/v1/audit/verify", &query).await?;
            let is_whole = found["ok"] == true;
            if global.json() {
                print_json(&found);
            } else if is_whole {
                data(format!("whole: {} entries, each follows the one before", text(&found["entries"])));
                data(format!("newest: {}", text(&found["newest"])));
            } else if found["has_expected"] == false {
                data(
                    "the entry that was expected is not there: it was altered, or cut off with what followed",
                );
            } else {
                data(format!(
                    "broken at entry {}: it or one before it was altered",
                    text(&found["broken_at"])
                ));
            }
            Ok(if is_whole { Exit::OK } else { Exit(1) })
        }
    }
}

/// The record is read backwards by number, not by pages of the usual kind.
async fn entries(
    client: &Client,
    subject: Option<String>,
    mut before: Option<i64>,
    limit: usize,
) -> Result<Vec<Value>> {
    let mut rows: Vec<Value> = Vec::new();
    while rows.len() < limit {
        let wanted = (limit - rows.len()).min(PAGE);
        let mut query = vec![("limit", wanted.to_string())];
        query.extend(subject.clone().map(|subject| ("subject", subject)));
        query.extend(before.map(|before| ("before", before.to_string())));
        let page = client.get("/api/v1/audit", &query).await?;
        let items = page["items"].as_array().cloned().unwrap_or_default();
        before = items.last().and_then(|last| last["seq"].as_i64());
        let is_last = items.len() < wanted || before.is_none();
        rows.extend(items);
        if is_last {
            break;
        }
    }
    Ok(rows)
}

fn list(rows: Vec<Value>, empty: &str, global: &Global) {
    if global.json() {
        return print_json(&Value::Array(rows));
    }
    let cells: Vec<_> = rows
        .iter()
        .map(|e| {
            vec![
                text(&e["seq"]),
                ago(&e["at"]),
                text(&e["actor"]),
                text(&e["action"]),
                text(&e["subject"]),
                detail(&e["detail"]),
            ]
        })
        .collect();
    table(&["NUMBER", "WHEN", "WHO", "WHAT", "OF", "DETAIL"], &cells, empty);
}

/// `key value, key value`, cut to a line.
fn detail(detail: &Value) -> String {
    let whole = match detail {
        Value::Object(fields) => {
            let given = fields.iter().filter(|(_, value)| !value.is_null() && *value != "");
            given.map(|(key, value)| format!("{key} {}", text(value))).collect::<Vec<_>>().join(", ")
        }
        other => text(other),
    };
    if whole.chars().count() <= DETAIL_CHARS {
        return whole;
    }
    whole.chars().take(DETAIL_CHARS - 1).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn details_fit_a_line() {
        assert_eq!(
            detail(&json!({"generation": 3, "path": "", "reason": null, "version": "1.4.2"})),
            "generation 3, version 1.4.2"
        );
        assert_eq!(detail(&json!({"reason": "é".repeat(200)})).chars().count(), DETAIL_CHARS);
    }
}
