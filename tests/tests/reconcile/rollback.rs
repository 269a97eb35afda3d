//! Back to what ran before.

use chrono::{TimeDelta, Utc};
use serde_json::{Value, json};
use slipway_tests::wait;

use crate::cluster::{assert_serves, object};
use crate::ground::{Ground, LIVE_WITHIN, MOVES_WITHIN, document, gated, served, settings};
use crate::inventory::assert_whole;

const ROLLBACK: [&str; 8] =
    ["deploy", "rollback", "shop", "--env", "prod", "--reason", "it crashes", "--no-wait"];

/// Gives `prod` other settings.
fn set(ground: &Ground, settings: &Value) {
    let file = ground.file("settings.json", settings);
    ground.server.cli(&["env", "set", "prod", "-f", &file]).ok();
}

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

    set(&ground, &gated());
    let forth = ground.live(&ground.server.json(&[&ROLLBACK[..], &["--to", "2"]].concat()));
    assert_eq!(forth["revision"], second["revision"], "it was live: no gate is asked");
    let never = ground.server.json(&[&ROLLBACK[..], &["--to", "3"]].concat());
    let never = ground.wait(&never, &["awaiting"], MOVES_WITHIN);
    assert!(never["reason"].as_str().is_some_and(|why| why.contains("0 of 1 approvals")), "{never:#}");
}

/// A week's minute three days from now.
fn elsewhen() -> String {
    let day = (Utc::now() + TimeDelta::days(3)).format("%a").to_string().to_lowercase();
    format!("{day} 00:00-00:01")
}

#[test]
fn at_night_it_is_live_again_and_nothing_moves_it_until_it_is_released() {
    let ground = Ground::prepare();
    let space = &ground.namespace;
    let workload = json!({"type": "task", "properties": {"cmd": ["/bin/busybox", "true"]}});
    let load = json!({"name": "load", "kit": "dockerfile", "context": "web", "workload": workload});
    ground.declare(&[served("web"), settings(), load]);
    let first = ground.deployed("prod", &ground.publish("one\n"), None);
    assert!(object(space, "job", "load").is_some());
    ground.declare(&[served("web"), settings()]);
    ground.deployed("prod", &ground.publish("two\n"), None);
    assert_eq!(object(space, "job", "load"), None);

    set(
        &ground,
        &json!({
            "receiver": {"type": "core"},
            "follow": {"branch": "main"},
            "gates": {"windows": [elsewhen()], "approvals": {"count": 1, "of": ["nobody"]}, "labels": "tested"},
        }),
    );
    let back = ground.live(&ground.server.json(&ROLLBACK));
    assert_eq!((&back["generation"], &back["revision"]), (&json!(3), &first["revision"]), "{back:#}");
    assert_serves(space, "web", "one\n");
    assert_eq!(object(space, "job", "load"), None, "it ran when this was live before");

    let newest =
        || ground.server.json(&["deploy", "list", "shop", "--env", "prod", "--limit", "1"])[0].clone();
    let third = ground.publish("three\n");
    let place = ground.server.json(&["where", "shop", "--env", "prod"])[0].clone();
    assert_eq!((&place["generation"], &place["pin"]["rollback_to"]), (&json!(3), &json!(1)), "{place:#}");
    assert_eq!(newest()["generation"], 3);
    ground.server.cli(&["release", "shop", "--env", "prod"]).ok();
    let followed = wait::until("it is followed again, through the gates", MOVES_WITHIN, || {
        let newest = newest();
        if newest["state"] == "awaiting" { Ok(newest) } else { Err(newest) }
    });
    assert_eq!((&followed["bundle"], &followed["cause"]), (&json!(third), &json!("follow")), "{followed:#}");
}
