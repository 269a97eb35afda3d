//! Steps of a workflow that nothing and nobody lets go on.

use serde_json::json;

use super::case::{Case, hold, overtake};

/// Steps that never end by themselves.
fn never_done() -> [Case; 4] {
    [
        Case::new("condition", &["shop-settings"], |seed| {
            let object =
                json!({"apiVersion": "v1", "kind": "ConfigMap", "name": "shop-settings", "until": "1 == 2"});
            let wait =
                json!({"name": "until", "type": "wait-for", "timeout": seed.timeout, "properties": object});
            json!({"components": [], "steps": [wait]})
        }),
        Case::new("approval", &["approv"], |seed| {
            let message = json!({"message": "May it go on?"});
            let ask =
                json!({"name": "ask", "type": "approval", "timeout": seed.timeout, "properties": message});
            json!({"components": [], "steps": [ask]})
        }),
        Case::new("output", &["absent"], |seed| {
            let object = json!({"apiVersion": "v1", "kind": "ConfigMap", "name": "absent"});
            let read = json!({
                "name": "read",
                "type": "collect-outputs",
                "timeout": seed.timeout,
                "properties": object,
                "outputs": [{"name": "currency", "valueFrom": "output.data.currency"}],
            });
            json!({"components": [], "steps": [read]})
        }),
        Case::new("call", &["answer", "time"], |seed| {
            let url = json!({"url": {"value": format!("{}/never", seed.silent)}});
            let call = json!({"name": "call", "type": "webhook", "timeout": seed.timeout, "properties": url});
            json!({"components": [], "steps": [call]})
        }),
    ]
}

#[test]
fn steps_that_nobody_lets_go_on_end_by_their_deadline_and_a_fix_goes_through() {
    hold(&never_done(), &[]);
}

#[test]
fn a_fix_goes_through_while_steps_that_nobody_lets_go_on_are_waited_for() {
    overtake(&never_done());
}
