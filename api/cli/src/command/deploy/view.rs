//! How deployments are shown.

use serde_json::Value;

use crate::output::{ago, data, span, table, text, violations};

/// `APP@ENV#GENERATION`.
pub(super) fn name_of(deployment: &Value) -> String {
    let part = |key: &str| text(&deployment[key]);
    format!("{}@{}#{}", part("application"), part("environment"), part("generation"))
}

/// The first line of a text, cut to what fits a table.
pub(super) fn first_line(value: &Value) -> String {
    text(value).lines().next().unwrap_or_default().chars().take(80).collect()
}

/// The state, and why.
pub(super) fn state_of(deployment: &Value) -> String {
    match deployment["reason"].as_str() {
        Some(reason) => format!("{}: {reason}", text(&deployment["state"])),
        None => text(&deployment["state"]),
    }
}

/// Everything known of one.
pub(super) fn show(deployment: &Value) {
    data(format!("deployment  {} ({})", name_of(deployment), text(&deployment["id"])));
    data(format!("bundle      {} {}", text(&deployment["bundle"]), text(&deployment["bundle_digest"])));
    for line in deployment["explanation"].as_array().into_iter().flatten() {
        data(format!("            {}", text(line)));
    }
    let (cause, by) = (text(&deployment["cause"]), text(&deployment["created_by"]));
    data(format!("cause       {cause} by {by}, {}", ago(&deployment["created_at"])));
    data(format!("state       {}", state_of(deployment)));
    for (key, name) in [("revision", "revision"), ("predecessor", "replaces")] {
        if !deployment[key].is_null() {
            data(format!("{name:<12}{}", text(&deployment[key])));
        }
    }
    for (key, name) in [("frozen_at", "frozen"), ("handed_off_at", "handed off"), ("finished_at", "ended")] {
        if !deployment[key].is_null() {
            data(format!("{name:<12}{}", ago(&deployment[key])));
        }
    }
    for note in deployment["notes"].as_array().into_iter().flatten() {
        data(format!("note        {}", text(note)));
    }
    if deployment["violations"].as_array().is_some_and(|found| !found.is_empty()) {
        data("");
        data("what stands against it");
        violations(&deployment["violations"]);
    }
    gates(&deployment["gates"]);
    approvals(&deployment["approvals"]);
    receiver(&deployment["receiver"]);
}

/// What the receiver says.
fn receiver(receiver: &Value) {
    if receiver.is_null() {
        return;
    }
    data("");
    data(format!("run         {}", text(&receiver["run"])));
    if !receiver["deadline"].is_null() {
        data(format!("deadline    {}", text(&receiver["deadline"])));
    }
    if !receiver["looked_at"].is_null() {
        data(format!("last heard  {}", ago(&receiver["looked_at"])));
    }
    if !receiver["trouble"].is_null() {
        data(format!(
            "no answer   since {}: {}",
            ago(&receiver["trouble_since"]),
            text(&receiver["trouble"])
        ));
    }
    let nodes = receiver["nodes"].as_array();
    let rows: Vec<_> = nodes
        .into_iter()
        .flatten()
        .map(|node| {
            vec![
                text(&node["node"]),
                text(&node["state"]),
                ago(&node["observed_at"]),
                first_line(&node["reason"]),
            ]
        })
        .collect();
    if !rows.is_empty() {
        data("");
        table(&["NODE", "STATE", "SEEN", "REASON"], &rows, "");
    }
}

/// How gates stand.
pub(super) fn gates(gates: &Value) {
    let rows: Vec<_> = gates.as_array().into_iter().flatten().map(gate).collect();
    if !rows.is_empty() {
        data("");
        table(&["GATE", "", "DETAIL"], &rows, "");
    }
}

fn gate(gate: &Value) -> Vec<String> {
    let stands = match (gate["open"] == true, gate["opens_in_s"].as_i64()) {
        (true, _) => "open".into(),
        (false, Some(seconds)) => format!("closed, opens in {}", span(seconds)),
        (false, None) => "closed".into(),
    };
    vec![text(&gate["gate"]), stands, text(&gate["detail"])]
}

fn approvals(approvals: &Value) {
    let rows: Vec<_> = approvals
        .as_array()
        .into_iter()
        .flatten()
        .map(|a| {
            let counts = if a["counts"] == true { "counts" } else { "does not count" };
            vec![text(&a["person"]), counts.to_owned(), ago(&a["at"]), text(&a["token"]), text(&a["reason"])]
        })
        .collect();
    if !rows.is_empty() {
        data("");
        table(&["APPROVED BY", "", "WHEN", "TOKEN", "REASON"], &rows, "");
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_gate_says_when_it_opens() {
        let closed = json!({"gate": "window", "open": false, "detail": "outside", "opens_in_s": 7200});
        assert_eq!(gate(&closed), ["window", "closed, opens in 2 h", "outside"]);
        assert_eq!(gate(&json!({"gate": "soak", "open": true, "detail": "ran"}))[1], "open");
    }

    #[test]
    fn a_deployment_has_a_name_for_people() {
        let view =
            json!({"application": "pay/shop", "environment": "prod", "generation": 7, "state": "live"});
        assert_eq!(name_of(&view), "pay/shop@prod#7");
        assert_eq!(state_of(&view), "live");
    }
}
