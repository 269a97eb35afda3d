//! Back to what ran before.

use serde_json::json;

use crate::cluster::assert_serves;
use crate::ground::{Ground, LIVE_WITHIN, document};
use crate::inventory::assert_whole;

#[test]
fn rollback_returns_to_the_last_live_revision() {
    let ground = Ground::prepare();
    let space = &ground.namespace;
    ground.deployed("prod", &ground.publish("one\n"), None);
    let version = ground.publish("two\n");
    let second = ground.deployed("prod", &version, None);
    let broken = document(&json!({
        "components": [{"name": "web", "properties": {"cmd": ["/bin/busybox", "false"]}}],
        "workflow": {"steps": [{"name": "roll", "type": "deploy", "timeout": "20s"}]},
    }));
    let failed = ground.deploy("prod", &version, Some(&broken));
    ground.wait(&failed, &["failed", "timed_out"], LIVE_WITHIN);

    let rollback = ["deploy", "rollback", "shop", "--env", "prod", "--reason", "it crashes", "--no-wait"];
    let back = ground.live(&ground.server.json(&rollback));
    assert_eq!((&back["generation"], &back["cause"]), (&json!(4), &json!("rollback")), "{back:#}");
    assert_eq!(back["revision"], second["revision"]);
    assert_serves(space, "web", "two\n");
    assert_whole(&ground, space, &back, None);

    let further = ground.live(&ground.server.json(&[&rollback[..], &["--to", "1"]].concat()));
    assert_eq!(further["generation"], 5);
    assert_serves(space, "web", "one\n");
    assert_whole(&ground, space, &further, None);
}
