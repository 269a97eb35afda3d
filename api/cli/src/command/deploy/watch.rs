//! Watching a deployment until it arrived, failed, or waits for people.

use std::time::{Duration, Instant};

use anyhow::Result;
use serde_json::Value;

use super::target;
use super::view::{gates, name_of, state_of};
use crate::client::{Client, Problem};
use crate::command::{Exit, Global};
use crate::output::{data, json as print_json, say, span, text, violations};

/// It has not ended: it waits at a gate, or the wait ran out.
const NOT_ENDED: Exit = Exit(3);
/// How often the server is asked.
const EVERY: Duration = Duration::from_millis(700);
/// So many times in a row the server may not answer.
const UNANSWERED_MAX: u32 = 20;

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
        let deadline = Instant::now() + self.timeout;
        let mut said = String::new();
        let mut unanswered = 0;
        loop {
            let deployment = match target::view(client, id).await {
                Ok(deployment) => deployment,
                // A server that is being replaced is back soon.
                Err(error) if unanswered < UNANSWERED_MAX && !error.is::<Problem>() => {
                    unanswered += 1;
                    tokio::time::sleep(EVERY).await;
                    continue;
                }
                Err(error) => return Err(error),
            };
            unanswered = 0;
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
            if Instant::now() >= deadline {
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
            tokio::time::sleep(EVERY).await;
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
