//! `slipway audit`: who changed what, and whether that record is whole.

use anyhow::{Result, bail};
use clap::Subcommand;
use serde_json::{Value, json};

use super::{Exit, Global};
use crate::client::Client;
use crate::output::{ago, data, json as print_json, say, table, text};

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
            let found = verify(&client, expect).await?;
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

/// What the server says of a whole record: of a long one it looks through a piece at a time.
async fn verify(client: &Client, mut expect: Option<String>) -> Result<Value> {
    let is_expected = expect.is_some();
    let (mut entries, mut broken_at, mut newest) = (0, Value::Null, Value::Null);
    let mut begin: Option<(i64, String)> = None;
    loop {
        let mut query: Vec<_> = expect.iter().map(|digest| ("expect", digest.clone())).collect();
        if let Some((from, digest)) = &begin {
            query.extend([("from", from.to_string()), ("digest", digest.clone())]);
        }
        let piece = client.get("/api/v1/audit/verify", &query).await?;
        entries += piece["entries"].as_u64().unwrap_or_default();
        if newest.is_null() {
            newest = piece["newest"].clone();
        }
        // Pieces go back: what is told last is the first that is broken.
        if !piece["broken_at"].is_null() {
            broken_at = piece["broken_at"].clone();
        }
        if piece["has_expected"] == true {
            expect = None;
        }
        let Some(next) = piece["next"].as_i64() else { break };
        if begin.is_some_and(|(from, _)| from <= next) {
            bail!("the server does not get on with the record: it names entry {next} again");
        }
        say(format!("{entries} entries looked through, back to entry {next}"));
        begin = Some((next, text(&piece["next_digest"])));
    }
    let has_expected = is_expected.then_some(expect.is_none());
    let ok = broken_at.is_null() && has_expected != Some(false);
    Ok(json!({
        "ok": ok, "entries": entries, "broken_at": broken_at, "newest": newest, "has_expected": has_expected,
    }))
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
    use std::collections::BTreeMap;

    use axum::extract::Query;
    use axum::routing::get;
    use axum::{Json, Router};

    use super::*;

    /// A record of seven entries, looked through in two pieces; `old` is in the second.
    async fn piece(Query(asked): Query<BTreeMap<String, String>>) -> Json<Value> {
        let asked = |name: &str| asked.get(name).map(String::as_str);
        Json(match (asked("from"), asked("digest")) {
            (None, None) => {
                json!({"ok": false, "entries": 4, "newest": "new", "next": 3, "next_digest": "third"})
            }
            (Some("3"), Some("third")) => {
                let has_expected = asked("expect").map(|expected| expected == "old");
                json!({"ok": has_expected != Some(false), "entries": 3, "newest": "third", "has_expected": has_expected})
            }
            other => panic!("{other:?} is no piece"),
        })
    }

    #[tokio::test]
    async fn a_long_record_is_looked_through_to_its_first_entry() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let router = Router::new().route("/api/v1/audit/verify", get(piece));
        let serving = tokio::spawn(async move { axum::serve(listener, router).await });
        drop(rustls::crypto::ring::default_provider().install_default());
        let client = Client::connect(&base, None).unwrap();
        for (expect, ok, has_expected) in [
            (None, true, Value::Null),
            (Some("old"), true, json!(true)),
            (Some("other"), false, json!(false)),
        ] {
            let found = verify(&client, expect.map(ToOwned::to_owned)).await.unwrap();
            let wanted = json!({
                "ok": ok, "entries": 7, "broken_at": null, "newest": "new", "has_expected": has_expected,
            });
            assert_eq!(found, wanted, "{expect:?}");
        }
        serving.abort();
    }

    #[test]
    fn details_fit_a_line() {
        assert_eq!(
            detail(&json!({"generation": 3, "path": "", "reason": null, "version": "1.4.2"})),
            "generation 3, version 1.4.2"
        );
        assert_eq!(detail(&json!({"reason": "é".repeat(200)})).chars().count(), DETAIL_CHARS);
    }
}
