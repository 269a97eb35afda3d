//! A wait is over as soon as nobody wants its end any more.

use serde_json::{Value, json};
use slipway_tests::wait;

use crate::cluster::{assert_serves, assert_variable};
use crate::ground::{Ground, MOVES_WITHIN, document, of_web};
use crate::inventory::assert_whole;

/// Never ready, and different each time.
fn never_ready(attempt: &str) -> Value {
    of_web(&json!({"properties": {
        "env": {"ATTEMPT": attempt},
        "probes": {"ready": {"exec": ["/bin/busybox", "false"]}},
    }}))
}

#[test]
fn a_newer_revision_ends_older_waits_at_once() {
    let ground = Ground::prepare();
    let version = ground.publish("one\n");
    // Each of them would have minutes left.
    let mut waiting = Vec::new();
    for attempt in ["1", "2"] {
        let made = ground.deploy("prod", &version, Some(&never_ready(attempt)));
        wait::until("web is waited for", MOVES_WITHIN, || {
            let shown = ground.show(&made);
            let is_web =
                shown["reason"].as_str().is_some_and(|why| why.starts_with("web: apps/v1/Deployment"));
            if shown["state"] == "progressing" && is_web { Ok(()) } else { Err(shown.to_string()) }
        });
        waiting.push(made);
    }
    let person = document(&json!({
        "components": [],
        "workflow": {"steps": [{"name": "person", "type": "suspend"}, {"name": "roll", "type": "deploy"}]},
    }));
    let held = ground.deploy("prod", &version, Some(&person));
    ground.wait(&held, &["progressing", "suspended"], MOVES_WITHIN);
    waiting.push(held);

    let fix = of_web(&json!({"properties": {"env": {"ATTEMPT": "last"}}}));
    let live = ground.deployed("prod", &version, Some(&fix));
    assert_serves(&ground.namespace, "web", "one\n");
    assert_variable(&ground.namespace, "web", "ATTEMPT", "last");
    for made in &waiting {
        assert_eq!(ground.show(made)["state"], "superseded");
    }
    assert_whole(&ground, &ground.namespace, &live, Some(&fix));
}
