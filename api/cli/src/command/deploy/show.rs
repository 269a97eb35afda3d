//! `slipway deploy show`: a deployment, and why its nodes failed.

use anyhow::Result;
use serde_json::Value;

use super::target::Target;
use super::{logs, view};
use crate::client::Client;
use crate::command::Global;
use crate::command::place::tell_kept;
use crate::output::{data, json as print_json, one_line, text};

/// So many of the last warnings are shown.
const WARNINGS: usize = 3;

/// Shows all that is known of a deployment.
pub(super) async fn run(client: &Client, target: &Target, global: &Global) -> Result<()> {
    let mut deployment = target.view(client).await?;
    let failures = logs::failures(client, &deployment).await?;
    if global.json() {
        deployment["failures"] = Value::Array(failures);
        print_json(&deployment);
        return Ok(());
    }
    view::show(&deployment);
    let name = view::name_of(&deployment);
    let nodes = deployment["receiver"]["nodes"].as_array();
    for node in nodes.into_iter().flatten() {
        of_node(&name, node, &failures).into_iter().for_each(data);
    }
    if view::is_place_gone(&deployment) {
        return Ok(());
    }
    let (app, env) = (text(&deployment["application"]), text(&deployment["environment"]));
    tell_kept(client, Some(&app), &env).await
}

/// What is kept of the attempts of a node that failed, in lines: all of the last one if that is how it stands, else
/// why it began anew.
fn of_node(name: &str, node: &Value, failures: &[Value]) -> Vec<String> {
    let own: Vec<&Value> = failures.iter().filter(|failure| failure["node"] == node["node"]).collect();
    let is_lost = node["state"] == "failed" || node["state"] == "timed_out";
    let Some((last, before)) = own.split_last() else { return Vec::new() };
    let (whole, earlier) = if is_lost { (Some(*last), before) } else { (None, own.as_slice()) };
    let mut lines = whole.map(|failure| why(name, failure)).unwrap_or_default();
    lines.extend(earlier.iter().map(|failure| attempt(name, failure)));
    lines
}

/// One line of an attempt that was not the last.
fn attempt(name: &str, failure: &Value) -> String {
    let (node, number) = (text(&failure["node"]), text(&failure["attempt"]));
    let (state, why) = (text(&failure["state"]).replace('_', " "), one_line(&text(&failure["blocker"])));
    let wrote = worst(failure).is_some_and(|container| piece(container)["bytes"].as_u64() > Some(0));
    let more = if wrote {
        format!(" (slipway deploy logs {name} --node {node} --attempt {number})")
    } else {
        String::new()
    };
    format!("attempt {number} of node {node} {state}: {why}{more}")
}

/// Why a node failed, in lines.
fn why(name: &str, failure: &Value) -> Vec<String> {
    let (node, state) = (text(&failure["node"]), text(&failure["state"]).replace('_', " "));
    let mut lines =
        vec![String::new(), format!("node {node} {state}: {}", one_line(&text(&failure["blocker"])))];
    let mut more = format!("  more        slipway deploy logs {name} --node {node}");
    let container = worst(failure);
    if let Some(container) = container {
        lines.extend(said(container));
        let before = if is_before(container) { " --previous" } else { "" };
        more.push_str(&format!(" --container {}{before}", text(&container["container"])));
    }
    let events = failure["events"].as_array().map(Vec::as_slice).unwrap_or_default();
    let warnings: Vec<&Value> = events.iter().filter(|event| event["type"] == "Warning").collect();
    for event in &warnings[warnings.len().saturating_sub(WARNINGS)..] {
        let told =
            format!("{}: {}: {}", text(&event["object"]), text(&event["reason"]), text(&event["message"]));
        lines.push(format!("  warning     {}", one_line(&told)));
    }
    for note in failure["notes"].as_array().into_iter().flatten() {
        lines.push(format!("  note        {}", one_line(&text(note))));
    }
    if container.is_some_and(|container| piece(container)["bytes"].as_u64() > Some(0)) {
        lines.push(more);
    }
    lines
}

/// The container that tells most: one that ended badly, else one that wrote something, else the first.
fn worst(failure: &Value) -> Option<&Value> {
    let containers = failure["containers"].as_array()?;
    let wrote = |container: &&Value| piece(container)["bytes"].as_u64() > Some(0);
    let ended = |container: &&Value| container["exit_code"].as_i64().is_some_and(|code| code != 0);
    let found = containers.iter().find(|container| ended(container) && wrote(container));
    found.or_else(|| containers.iter().find(wrote)).or_else(|| containers.first())
}

/// Whether a container has written nothing since its last start, but before.
fn is_before(container: &Value) -> bool {
    let wrote = |piece: &Value| piece["bytes"].as_u64() > Some(0);
    !wrote(&container["log"]) && wrote(&container["previous"])
}

/// What a container wrote last.
fn piece(container: &Value) -> &Value {
    &container[if is_before(container) { "previous" } else { "log" }]
}

/// How a container ended, and its last lines.
fn said(container: &Value) -> Vec<String> {
    let mut how = text(&container["state"]);
    if let Some(reason) = container["reason"].as_str().filter(|reason| !reason.is_empty()) {
        how.push_str(&format!(", {reason}"));
    }
    if let Some(code) = container["exit_code"].as_i64() {
        how.push_str(&format!(", exit code {code}"));
    }
    if let Some(restarts) = container["restarts"].as_u64().filter(|restarts| *restarts > 0) {
        how.push_str(&format!(", restarted {restarts} times"));
    }
    let (pod, name) = (text(&container["pod"]), text(&container["container"]));
    let mut lines = vec![one_line(&format!("  container   {name} of pod {pod}: {how}"))];
    let piece = piece(container);
    if let Some(problem) = piece["problem"].as_str() {
        lines.push(format!("  log         {}", one_line(problem)));
    }
    let tail = piece["tail"].as_array().into_iter().flatten();
    lines.extend(tail.map(|line| format!("    | {}", one_line(&text(line)))));
    lines
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_failed_node_shows_its_blocker_its_warnings_and_what_its_container_wrote() {
        let failure = json!({
            "node": "web", "state": "timed_out", "blocker": "0 of 1 are\navailable",
            "containers": [
                {"pod": "web-1", "container": "side", "state": "running", "log": {"bytes": 4, "tail": ["fine"]}},
                {"pod": "web-1", "container": "main", "state": "waiting", "reason": "CrashLoopBackOff",
                 "exit_code": 1, "restarts": 2, "log": {"bytes": 9, "tail": ["no\u{1b}[31m", "database"]}},
            ],
            "events": [
                {"type": "Normal", "object": "Pod web-1", "reason": "Pulled", "message": "it is there"},
                {"type": "Warning", "object": "Pod web-1", "reason": "BackOff", "message": "back-off"},
            ],
            "notes": ["2 more pods cannot run"],
        });
        let expected = [
            "",
            "node web timed out: 0 of 1 are available",
            "  container   main of pod web-1: waiting, CrashLoopBackOff, exit code 1, restarted 2 times",
            "    | no [31m",
            "    | database",
            "  warning     Pod web-1: BackOff: back-off",
            "  note        2 more pods cannot run",
            "  more        slipway deploy logs shop@prod#7 --node web --container main",
        ];
        assert_eq!(why("shop@prod#7", &failure), expected);
    }

    #[test]
    fn attempts_that_others_followed_are_told_in_a_line_each() {
        let failure = |attempt: u32, bytes: u32| {
            json!({"node": "web", "attempt": attempt, "state": "failed", "blocker": "the Job\nfailed",
                "containers": [{"pod": "web-1", "container": "main", "log": {"bytes": bytes}}]})
        };
        let failures = [failure(1, 0), json!({"node": "db", "attempt": 1}), failure(2, 5)];
        let first = "attempt 1 of node web failed: the Job failed";
        let second = "attempt 2 of node web failed: the Job failed (slipway deploy logs shop@prod#7 --node web --attempt 2)";
        let told = |state: &str| of_node("shop@prod#7", &json!({"node": "web", "state": state}), &failures);
        assert_eq!(told("ready"), [first, second]);
        let lost = told("failed");
        assert_eq!(lost.last().map(String::as_str), Some(first));
        assert_eq!(lost[1], "node web failed: the Job failed");
        assert!(of_node("shop@prod#7", &json!({"node": "none", "state": "failed"}), &failures).is_empty());
    }

    #[test]
    fn what_never_ran_says_so_and_what_began_anew_shows_what_was_before() {
        let container = json!({"pod": "web-1", "container": "main", "state": "waiting", "reason": "ImagePullBackOff",
            "log": {"bytes": 0, "problem": "it has not started"}, "previous": null});
        let lines = why("shop@prod#7", &json!({"node": "web", "state": "failed", "containers": [container]}));
        assert_eq!(lines.last().map(String::as_str), Some("  log         it has not started"));
        let container = json!({"log": {"bytes": 0, "problem": "it wrote nothing"}, "previous": {"bytes": 3}});
        assert_eq!(piece(&container)["bytes"], 3);
    }
}
