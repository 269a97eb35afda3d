//! Watching a deployment until it arrived, failed, or waits for people.

use std::time::Duration;

use anyhow::Result;
use serde_json::Value;

use super::target;
use super::view::{gates, name_of, state_of};
use crate::client::Client;
use crate::command::waiting::{NOT_ENDED, Waiting};
use crate::command::{Exit, Global};
use crate::output::{data, json as print_json, say, span, text, violations};

/// What a state means for those who wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    UnderWay,
    AtGates,
    Arrived,
    Failed,
    TakenBack,
}

fn verdict(state: &str, cause: &str) -> Verdict {
    match state {
        "awaiting" => Verdict::AtGates,
        "live" | "delivered" => Verdict::Arrived,
        "deleted" if cause == "remove" => Verdict::Arrived,
        "rejected" | "broken" | "declined" | "expired" | "failed" | "timed_out" | "degraded"
        | "unreachable" | "terminated" | "deleted" => Verdict::Failed,
        "withdrawn" | "superseded" => Verdict::TakenBack,
        _ => Verdict::UnderWay,
    }
}

/// How to watch.
pub(super) struct Watch {
    /// How long.
    pub(super) timeout: Duration,
    /// Whether to go on while it waits at its gates.
    pub(super) through_gates: bool,
}

impl Watch {
    /// Watches, and says what became of it.
    pub(super) async fn run(&self, client: &Client, id: &str, global: &Global) -> Result<Exit> {
        let waiting = Waiting::new(client, self.timeout, format!("slipway deploy watch {id}"));
        let mut said = String::new();
        loop {
            let deployment = waiting.ask(|| target::view(client, id)).await?;
            let word = |key: &str| deployment[key].as_str().unwrap_or_default();
            let verdict = verdict(word("state"), word("cause"));
            let exit = match verdict {
                Verdict::UnderWay => None,
                Verdict::AtGates => (!self.through_gates).then_some(NOT_ENDED),
                Verdict::Arrived => Some(Exit::OK),
                Verdict::Failed => Some(Exit(1)),
                Verdict::TakenBack => Some(Exit(4)),
            };
            if let Some(exit) = exit {
                tell(&deployment, verdict, global);
                return Ok(exit);
            }
            let state = state_of(&deployment);
            if state != said {
                say(format!("{} {state}", name_of(&deployment)));
                if verdict == Verdict::AtGates {
                    what_next(&deployment).iter().for_each(say);
                }
                said = state;
            }
            if waiting.is_over() {
                say(format!(
                    "It has not ended within {} s. Watch on: slipway deploy watch {}",
                    self.timeout.as_secs(),
                    name_of(&deployment)
                ));
                if global.json() {
                    print_json(&deployment);
                }
                return Ok(NOT_ENDED);
            }
            waiting.pause().await;
        }
    }
}

fn tell(deployment: &Value, verdict: Verdict, global: &Global) {
    if global.json() {
        print_json(deployment);
    } else {
        data(format!("{} {} {}", name_of(deployment), text(&deployment["bundle"]), state_of(deployment)));
        violations(&deployment["violations"]);
        if verdict == Verdict::AtGates {
            gates(&deployment["gates"]);
        }
    }
    let name = name_of(deployment);
    match verdict {
        Verdict::AtGates => what_next(deployment).iter().for_each(say),
        Verdict::Failed => say(format!("See all of it: slipway deploy show {name}")),
        Verdict::Arrived | Verdict::TakenBack | Verdict::UnderWay => {}
    }
}

/// What opens the gates that are closed: for each a command, or the time it takes.
fn what_next(deployment: &Value) -> Vec<String> {
    let (app, version) = (text(&deployment["application"]), text(&deployment["bundle"]));
    let name = name_of(deployment);
    let closed = deployment["gates"].as_array().into_iter().flatten().filter(|gate| gate["open"] != true);
    let mut next: Vec<String> = closed
        .map(|gate| {
            let detail = text(&gate["detail"]);
            let way = match (gate["gate"].as_str(), gate["opens_in_s"].as_i64()) {
                (Some("approvals"), _) => format!("slipway deploy approve {name}"),
                (Some("check"), _) => format!("slipway check report {app} {version} NAME --state passed"),
                (Some("labels"), _) => format!("slipway label set {app} {version} KEY=VALUE"),
                (Some("channel"), _) => format!("slipway channel set {app} CHANNEL {version}"),
                (_, Some(seconds)) => {
                    return format!("Waits: {detail}. It goes on by itself in {}.", span(seconds));
                }
                _ => return format!("Waits: {detail}."),
            };
            format!("Waits: {detail}. Next: {way}")
        })
        .collect();
    next.push(format!("Watch on: slipway deploy watch {name}"));
    next
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_state_has_one_meaning() {
        for state in ["draft", "frozen", "approved", "handed_off", "progressing", "suspended", "terminating"]
        {
            assert_eq!(verdict(state, "deploy"), Verdict::UnderWay, "{state}");
        }
        assert_eq!(verdict("awaiting", "deploy"), Verdict::AtGates);
        assert_eq!(verdict("delivered", "deploy"), Verdict::Arrived);
        assert_eq!(verdict("rejected", "deploy"), Verdict::Failed);
        assert_eq!(verdict("superseded", "deploy"), Verdict::TakenBack);
        assert_eq!(verdict("deleting", "remove"), Verdict::UnderWay);
        assert_eq!(verdict("deleted", "remove"), Verdict::Arrived);
        assert_eq!(verdict("deleted", "deploy"), Verdict::Failed);
    }

    #[test]
    fn a_closed_gate_names_the_command_that_opens_it() {
        let deployment = json!({
            "application": "shop", "environment": "prod", "generation": 7, "bundle": "1.4.2",
            "gates": [
                {"gate": "approvals", "open": false, "detail": "0 of 2 approvals"},
                {"gate": "labels", "open": true, "detail": "`tested` holds"},
                {"gate": "window", "open": false, "detail": "outside of mon 09:00-17:00", "opens_in_s": 3600},
                {"gate": "signature", "open": false, "detail": "no signature by `release` over this bundle"},
            ],
        });
        let wanted = [
            "Waits: 0 of 2 approvals. Next: slipway deploy approve shop@prod#7",
            "Waits: outside of mon 09:00-17:00. It goes on by itself in 1 h.",
            "Waits: no signature by `release` over this bundle.",
            "Watch on: slipway deploy watch shop@prod#7",
        ];
        assert_eq!(what_next(&deployment), wanted);
    }
}
