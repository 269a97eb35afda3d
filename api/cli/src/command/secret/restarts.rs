//! What becomes of what runs with a rotated secret.

use std::collections::BTreeSet;

use anyhow::Result;
use serde_json::Value;

use super::ScopeArgs;
use crate::client::Client;
use crate::command::waiting::{NOT_ENDED, WaitArgs, Waiting};
use crate::command::{Exit, in_path};
use crate::output::{say, table, text};

/// Restarts of a secret.
pub(super) struct Restarts<'a> {
    pub(super) client: &'a Client,
    pub(super) name: &'a str,
    pub(super) scope: &'a ScopeArgs,
    /// That came with this version; `None`: the newest.
    pub(super) version: Option<String>,
}

impl Restarts<'_> {
    fn path(&self) -> String {
        let path = format!("/api/v1/secrets/{}/restarts", in_path(self.name));
        self.version.as_ref().map_or_else(|| path.clone(), |version| format!("{path}/{}", in_path(version)))
    }

    /// The command that looks at them.
    pub(super) fn look(&self) -> String {
        let version = self.version.as_ref().map(|version| format!(" --version {version}"));
        format!(
            "slipway secret restarts {}{}{}",
            self.name,
            self.scope.arguments(),
            version.unwrap_or_default()
        )
    }

    /// As they stand.
    pub(super) async fn found(&self) -> Result<Value> {
        self.client.get(&self.path(), &self.scope.query()).await
    }

    /// As they stand once they have ended or the wait ran out; each is told as it is settled.
    pub(super) async fn ended(&self, wait: &WaitArgs) -> Result<Value> {
        let (path, query) = (self.path(), self.scope.query());
        let waiting = Waiting::new(self.client, wait.timeout, self.look());
        let mut told = BTreeSet::new();
        loop {
            let found = waiting.ask(|| self.client.get(&path, &query)).await?;
            for one in rows(&found).filter(|one| one["state"] != "waiting") {
                let place = place(one);
                if !told.contains(&place) {
                    tell(one);
                    told.insert(place);
                }
            }
            if has_ended(&found) {
                return Ok(found);
            }
            if waiting.is_over() {
                let waits = rows(&found).count().saturating_sub(told.len());
                say(format!(
                    "The restarts go on; of those that are known {waits} wait. Look again: {}",
                    self.look()
                ));
                return Ok(found);
            }
            waiting.pause().await;
        }
    }
}

fn rows(found: &Value) -> impl Iterator<Item = &Value> {
    found["restarts"].as_array().into_iter().flatten()
}

fn has_ended(found: &Value) -> bool {
    !found["ended_at"].is_null()
}

fn place(one: &Value) -> String {
    format!("{}@{}", text(&one["application"]), text(&one["environment"]))
}

/// Says what became of one place.
fn tell(one: &Value) {
    let place = place(one);
    if one["problem"].is_null() {
        let generation = text(&one["generation"]);
        say(format!("{place}: restarts as generation {generation}. Watch it: slipway deploy watch {place}"));
        return;
    }
    say(format!("{place}: not restarted: {}", text(&one["problem"])));
    if let Some(hint) = one["hint"].as_str() {
        say(format!("  {hint}"));
    }
}

/// 0: all that ran with an earlier value is restarted; 1: something is not; 3: they go on.
pub(super) fn exit(found: &Value) -> Exit {
    if !has_ended(found) {
        return NOT_ENDED;
    }
    let is_left = rows(found).any(|one| one["state"] == "left");
    Exit(u8::from(is_left || !found["problem"].is_null()))
}

/// Shows them as a table.
pub(super) fn show(found: &Value) {
    let cells: Vec<_> = rows(found)
        .map(|one| {
            vec![
                text(&one["application"]),
                text(&one["environment"]),
                text(&one["state"]),
                text(&one["generation"]),
                match (one["problem"].as_str(), one["hint"].as_str()) {
                    (Some(problem), Some(hint)) => format!("{problem}. {hint}"),
                    (problem, _) => problem.unwrap_or("-").to_owned(),
                },
            ]
        })
        .collect();
    table(
        &["APPLICATION", "ENVIRONMENT", "STATE", "GENERATION", "DETAIL"],
        &cells,
        "Nothing is known that ran with an earlier value.",
    );
    let version = text(&found["version"]);
    match found["problem"].as_str() {
        Some(problem) => say(format!("Not all were come to after version {version}: {problem}")),
        None if has_ended(found) => say(format!("The restarts for version {version} have ended.")),
        None => say(format!("The restarts for version {version} go on.")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_exit_says_whether_all_is_restarted() {
        let found = |ended: Value, problem: Value, states: &[&str]| {
            let restarts: Vec<Value> = states.iter().map(|state| json!({"state": state})).collect();
            json!({"ended_at": ended, "problem": problem, "restarts": restarts})
        };
        let ended = || json!("2026-01-01T00:00:00Z");
        for (found, expected) in [
            (found(Value::Null, Value::Null, &["restarted"]), NOT_ENDED),
            (found(ended(), Value::Null, &[]), Exit::OK),
            (found(ended(), Value::Null, &["restarted"]), Exit::OK),
            (found(ended(), Value::Null, &["restarted", "left"]), Exit(1)),
            (found(ended(), json!("the database"), &[]), Exit(1)),
        ] {
            assert_eq!(exit(&found).0, expected.0, "{found}");
        }
    }
}
