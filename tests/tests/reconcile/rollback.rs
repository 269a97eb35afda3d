//! Back to what ran before.

use serde_json::json;

use crate::cluster::assert_serves;
use crate::ground::{Ground, LIVE_WITHIN, MOVES_WITHIN, document, gated};
use crate::inventory::assert_whole;

/// Back in `prod`, without waiting.
pub(crate) const ROLLBACK: [&str; 8] =
    ["deploy", "rollback", "shop", "--env", "prod", "--reason", "it crashes", "--no-wait"];

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

    let back = ground.live(&ground.server.json(&ROLLBACK));
    assert_eq!((&back["generation"], &back["cause"]), (&json!(4), &json!("rollback")), "{back:#}");
    assert_eq!(back["revision"], second["revision"]);
    assert_serves(space, "web", "two\n");
    assert_whole(&ground, space, &back, None);

    // Not to what failed, nor to what was left: further back.
    let further = ground.live(&ground.server.json(&ROLLBACK));
    assert_eq!(further["generation"], 5);
    assert_serves(space, "web", "one\n");
    assert_whole(&ground, space, &further, None);

    ground.set("prod", &gated());
    let forth = ground.live(&ground.server.json(&[&ROLLBACK[..], &["--to", "2"]].concat()));
    assert_eq!(forth["revision"], second["revision"], "it was live: no gate is asked");
    let never = ground.server.json(&[&ROLLBACK[..], &["--to", "3"]].concat());
    let never = ground.wait(&never, &["awaiting"], MOVES_WITHIN);
    assert!(never["reason"].as_str().is_some_and(|why| why.contains("0 of 1 approvals")), "{never:#}");
}
