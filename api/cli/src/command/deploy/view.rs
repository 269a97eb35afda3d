//! How deployments are shown.

use serde_json::Value;

use crate::output::{ago, data, first_line, one_line, say, span, table, text, violations};

/// `APP@ENV#GENERATION`.
pub(super) fn name_of(deployment: &Value) -> String {
    let part = |key: &str| text(&deployment[key]);
    format!("{}@{}#{}", part("application"), part("environment"), part("generation"))
}

/// The state, and why.
pub(super) fn state_of(deployment: &Value) -> String {
    match deployment["reason"].as_str() {
        Some(reason) => format!("{}: {reason}", text(&deployment["state"])),
        None => text(&deployment["state"]),
    }
}

/// The name, and whether its environment is no more.
pub(super) fn cell_of(deployment: &Value) -> String {
    let gone = if is_place_gone(deployment) { " (environment removed)" } else { "" };
    format!("{}{gone}", name_of(deployment))
}

/// Whether its environment was removed.
pub(super) fn is_place_gone(deployment: &Value) -> bool {
    !deployment["environment_removed_at"].is_null()
}

/// The name of what took its place.
fn successor_of(deployment: &Value) -> Option<String> {
    let generation = deployment["superseded_by"]["generation"].as_u64()?;
    let part = |key: &str| text(&deployment[key]);
    Some(format!("{}@{}#{generation}", part("application"), part("environment")))
}

/// Everything known of one.
pub(super) fn show(deployment: &Value) {
    data(format!("deployment  {} ({})", name_of(deployment), text(&deployment["id"])));
    if is_place_gone(deployment) {
        data(format!("environment removed {}", ago(&deployment["environment_removed_at"])));
    }
    data(format!("bundle      {} {}", text(&deployment["bundle"]), text(&deployment["bundle_digest"])));
    for line in deployment["explanation"].as_array().into_iter().flatten() {
        data(format!("            {}", text(line)));
    }
    let (cause, by) = (text(&deployment["cause"]), text(&deployment["created_by"]));
    data(format!("cause       {cause} by {by}, {}", ago(&deployment["created_at"])));
    data(format!("state       {}", state_of(deployment)));
    if let Some(newer) = successor_of(deployment) {
        data(format!("superseded  by {newer} ({})", text(&deployment["superseded_by"]["id"])));
    }
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
    orders(&deployment["orders"]).into_iter().for_each(data);
    let is_stopped = deployment["state"] == "terminated";
    receiver(&deployment["receiver"], is_stopped);
    next_steps(deployment).iter().for_each(say);
}

/// The orders since the last that the receiver took, in lines, newest first.
fn orders(orders: &Value) -> Vec<String> {
    let orders = orders.as_array().into_iter().flatten();
    let open = orders.take_while(|order| order["state"] != "told");
    open.map(|order| format!("order       {}", order_line(order))).collect()
}

/// An order, and what came of it.
fn order_line(order: &Value) -> String {
    let node = order["node"].as_str().map(|node| format!(" of node {node}")).unwrap_or_default();
    let (word, by, at) = (text(&order["word"]), text(&order["person"]), ago(&order["given_at"]));
    let why = order["why"].as_str().map(|why| format!(": {why}")).unwrap_or_default();
    one_line(&format!("{word}{node} by {by}, {at}, is {}{why}", text(&order["state"])))
}

/// What people are told of orders that the receiver has not answered.
pub(super) fn waiting_orders(deployment: &Value) -> Vec<String> {
    let orders = deployment["orders"].as_array().into_iter().flatten();
    let waiting = orders.filter(|order| order["state"] == "pending");
    waiting.map(|order| format!("Kept, and told until its receiver answers: {}", order_line(order))).collect()
}

/// What people may do next with what is stopped or held.
fn next_steps(deployment: &Value) -> Vec<String> {
    let (name, part) = (name_of(deployment), |key: &str| text(&deployment[key]));
    let back = format!(
        "go back:  slipway deploy rollback {} --env {} --reason …",
        part("application"),
        part("environment")
    );
    if deployment["state"] == "terminated" {
        return vec![format!("finish:   slipway deploy retry {name}"), back];
    }
    let nodes = deployment["receiver"]["nodes"].as_array();
    let held = nodes.into_iter().flatten().filter(|node| node["state"] == "suspended");
    let on = |node: &Value| format!("go on:    slipway deploy resume {name} --node {}", text(&node["node"]));
    let mut steps: Vec<String> = held.map(on).collect();
    if !steps.is_empty() {
        steps.push(back);
    }
    steps
}

/// Why a node stands where it does; of what was stopped, also whether it is old or new.
fn reason_of(node: &Value, is_stopped: bool) -> String {
    let reason = first_line(&node["reason"]);
    match node["state"].as_str() {
        Some("ready") if is_stopped && reason.is_empty() => "its objects are new".to_owned(),
        Some("skipped") if is_stopped => format!("it is as it was before: {reason}"),
        _ => reason,
    }
}

/// What the receiver says.
fn receiver(receiver: &Value, is_stopped: bool) {
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
    if !receiver["application"].is_null() {
        data(format!("application {}", text(&receiver["application"]).replace('_', " ")));
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
                reason_of(node, is_stopped),
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
    fn what_is_stopped_or_held_says_what_may_be_done() {
        let node = |state: &str, reason: &str| json!({"node": "step.look", "state": state, "reason": reason});
        let of = |state: &str, nodes: Value| {
            json!({"application": "shop", "environment": "prod", "generation": 7, "state": state,
                "receiver": {"nodes": nodes}})
        };
        let stopped = next_steps(&of("terminated", json!([node("terminated", "stopped by ann")])));
        assert_eq!(stopped[0], "finish:   slipway deploy retry shop@prod#7");
        assert_eq!(stopped[1], "go back:  slipway deploy rollback shop --env prod --reason …");
        let held = next_steps(&of("suspended", json!([node("suspended", "look"), node("ready", "")])));
        assert_eq!(held[0], "go on:    slipway deploy resume shop@prod#7 --node step.look");
        assert_eq!((held.len(), next_steps(&of("live", json!([node("ready", "")]))).len()), (2, 0));
        assert_eq!(reason_of(&node("ready", ""), true), "its objects are new");
        assert_eq!(reason_of(&node("skipped", "`a` failed"), true), "it is as it was before: `a` failed");
        assert_eq!(reason_of(&node("ready", ""), false), "");
    }

    #[test]
    fn orders_are_told_until_the_receiver_takes_one() {
        let order = |word: &str, state: &str| json!({"word": word, "state": state, "person": "ann", "node": "web", "why": "it is away\nnow"});
        let orders = json!([order("resume", "pending"), order("suspend", "told"), order("retry", "refused")]);
        let deployment = json!({"orders": orders});
        let shown = super::orders(&deployment["orders"]);
        assert_eq!(shown.len(), 1, "{shown:?}");
        assert!(shown[0].starts_with("order       resume of node web by ann, "), "{shown:?}");
        assert!(shown[0].ends_with(", is pending: it is away now"), "{shown:?}");
        let waiting = waiting_orders(&deployment);
        assert!(waiting.len() == 1 && waiting[0].starts_with("Kept, and told"), "{waiting:?}");
        assert!(waiting_orders(&json!({})).is_empty());
    }

    #[test]
    fn a_deployment_has_a_name_for_people() {
        let view =
            json!({"application": "pay/shop", "environment": "prod", "generation": 7, "state": "live"});
        assert_eq!(name_of(&view), "pay/shop@prod#7");
        assert_eq!(state_of(&view), "live");
        assert_eq!((cell_of(&view), successor_of(&view)), ("pay/shop@prod#7".to_owned(), None));
    }

    #[test]
    fn what_is_past_says_what_came_of_it() {
        let view = json!({"application": "shop", "environment": "prod", "generation": 7, "state": "superseded",
            "environment_removed_at": "2026-01-02T03:04:05Z", "reason": "failed before that: no such kind",
            "superseded_by": {"id": "01a1fd91-1437-758d-9532-782b688bbc74", "generation": 8}});
        assert_eq!(cell_of(&view), "shop@prod#7 (environment removed)");
        assert_eq!(successor_of(&view).as_deref(), Some("shop@prod#8"));
        assert_eq!(state_of(&view), "superseded: failed before that: no such kind");
    }
}
