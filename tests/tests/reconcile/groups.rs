//! Groups in groups, what steps give each other inside them, and people who hold, let go on, stop and finish.

use serde_json::{Value, json};
use slipway_tests::wait;

use crate::cluster::field;
use crate::flow::{applies, find_node, is_there, node_of, workflow};
use crate::ground::{Ground, LIVE_WITHIN, MOVES_WITHIN, id_of};

/// All of a group at once but for what waits by `dependsOn`; in it a group of steps one after the other.
fn course() -> Value {
    let settings = json!({
        "apiVersion": "v1", "kind": "ConfigMap", "name": "shop-settings",
        "until": "object.data.currency == 'EUR'",
    });
    let read = json!({
        "name": "read",
        "type": "wait-for",
        "properties": settings,
        "outputs": [{"name": "currency", "valueFrom": "output.data.currency"}],
    });
    let inner = json!({
        "name": "inner",
        "type": "step-group",
        "mode": "StepByStep",
        "dependsOn": ["left"],
        "subSteps": [
            read,
            {"name": "person", "type": "suspend"},
            applies("deep", &json!({"inputs": [{"from": "currency", "parameterKey": "value.data.a"}]})),
        ],
    });
    let mut file = workflow(&json!([
        {"name": "roll", "type": "deploy"},
        {
            "name": "outer",
            "type": "step-group",
            "mode": "DAG",
            "subSteps": [
                applies("beside", &json!({"dependsOn": ["inner"]})),
                inner,
                applies("left", &json!({})),
                applies("free", &json!({})),
            ],
        },
        applies("after", &json!({})),
    ]));
    // Time enough to hold it before it is ready.
    let probes = json!({"ready": {"tcp": 8080, "initialDelaySeconds": 8}});
    file["spec"]["components"] = json!([{"name": "web", "properties": {"probes": probes}}]);
    file
}

/// Waits until a person is asked for, and everything before that is done.
fn await_person(ground: &Ground, made: &Value) {
    wait::until("a person is asked for", LIVE_WITHIN, || {
        let shown = ground.show(made);
        let is = |name: &str, state: &str| find_node(&shown, name).is_some_and(|node| node["state"] == state);
        let is_held = is("step.person", "suspended");
        if is_held && is("step.left", "ready") && is("step.free", "ready") { Ok(()) } else { Err(shown) }
    });
}

/// Whether a text tells something.
fn says(text: &Value, what: &str) -> bool {
    text.as_str().is_some_and(|text| text.contains(what))
}

/// Which steps have made what they apply.
fn made(ground: &Ground) -> [bool; 5] {
    ["left", "free", "deep", "beside", "after"].map(|name| is_there(&ground.namespace, name))
}

#[test]
fn people_hold_let_go_on_stop_and_finish_groups_in_groups() {
    let ground = Ground::prepare();
    let (server, space) = (&ground.server, &ground.namespace);
    let [bob, eve] = ["bob", "eve"].map(|name| {
        let token = server.json(&["token", "create", name, "--role", "operator", "--person", name]);
        token["token"].as_str().expect("a token").to_owned()
    });
    let way = ground.deploy("prod", &ground.publish("one\n"), Some(&course()));
    let id = id_of(&way);
    ground.wait(&way, &["progressing"], MOVES_WITHIN);
    server.cli_as(&bob, &["deploy", "suspend", id, "--reason", "the database is slow"]).ok();
    let held = ground.wait(&way, &["suspended"], MOVES_WITHIN);
    assert!(says(&held["reason"], "bob (the database is slow)"), "{held:#}");
    assert_eq!(made(&ground), [false; 5]);
    server.cli_as(&eve, &["deploy", "resume", id, "--reason", "it is well again"]).ok();
    await_person(&ground, &way);
    assert_eq!(made(&ground), [true, true, false, false, false]);

    // Stopped where it stands, and finished by somebody else.
    server.cli_as(&bob, &["deploy", "terminate", id, "--yes", "--reason", "wrong day"]).ok();
    let stopped = ground.wait(&way, &["terminated"], MOVES_WITHIN);
    assert!(says(&stopped["reason"], "bob (wrong day)"), "{stopped:#}");
    for node in ["step.deep", "step.beside", "step.after"] {
        assert!(says(&node_of(&stopped, node)["reason"], "as it was before"), "{stopped:#}");
    }
    assert_eq!(node_of(&stopped, "step.left")["state"], "ready", "{stopped:#}");
    server.cli_as(&eve, &["deploy", "retry", id, "--reason", "it is the right day"]).ok();
    await_person(&ground, &way);
    server.cli_as(&eve, &["deploy", "resume", id, "--node", "step.person"]).ok();
    ground.live(&way);
    assert_eq!(made(&ground), [true; 5]);
    assert_eq!(field(space, "configmap", "deep", "/data/a"), "EUR");
    let audit = server.json(&["audit", "list", "--subject", &format!("deployment/{id}")]).to_string();
    for said in ["the database is slow", "it is well again", "wrong day", "it is the right day"] {
        assert!(audit.contains(said), "{said}: {audit}");
    }
}
