//! People are told of a failure in the cluster, and of its end.

use std::time::Duration;

use serde_json::{Value, json};
use slipway_tests::listener::Listener;
use slipway_tests::wait;

use crate::ground::{Ground, LIVE_WITHIN, document, of_web};

/// Where notices go, and what they are signed with.
const HOOK: &str = "/notices";
const SECRET: &str = "fedcba9876543210fedcba9876543210";
/// Where another team hears of its own.
const OTHERS: &str = "/others";
/// How long a notice may take to come.
const TOLD_WITHIN: Duration = Duration::from_secs(60);

/// The notices that came, once there are so many.
fn await_told(hook: &Listener, count: usize) -> Vec<Value> {
    wait::until(&format!("{count} notices came"), TOLD_WITHIN, || {
        let told: Vec<Value> = hook.bodies(HOOK).iter().map(|body| body["notice"].clone()).collect();
        if told.len() >= count { Ok(told) } else { Err(json!(told)) }
    })
}

#[test]
fn a_failure_in_the_cluster_is_told_and_so_is_its_end_once_the_fix_is_live() {
    let hook = Listener::start();
    let channel = |name: &str, url: &str, more: &str| {
        format!(
            "{{name = {name:?}, kind = \"webhook\", url = {url:?}, secret = \"secret://builtin/hook\"{more}}}"
        )
    };
    let of_others = channel("others", &hook.url(OTHERS), ", teams = [\"other\"]");
    let channels = format!("[{}, {of_others}]", channel("ops", &hook.url(HOOK), ""));
    let ground = Ground::with(&[
        ("SLIPWAY__NOTICES__CHANNELS", &channels),
        ("SLIPWAY__NOTICES__ALLOW_PLAIN", "true"),
        ("SLIPWAY__NOTICES__ALLOW_PRIVATE_NETWORKS", "127.0.0.0/8"),
        ("SLIPWAY__NOTICES__GRACE_S", "0"),
    ]);
    ground.server.set_secret("hook", SECRET);
    let version = ground.publish("one\n");
    let roll = json!({"name": "roll", "type": "deploy", "timeout": "10s"});
    let web = json!({"name": "web", "properties": {"cmd": ["/bin/busybox", "false"]}});
    let broken = document(&json!({"components": [web], "workflow": {"steps": [roll]}}));
    let made = ground.deploy("prod", &version, Some(&broken));
    ground.wait(&made, &["failed", "timed_out"], LIVE_WITHIN);

    let began = await_told(&hook, 1).remove(0);
    let event = began["event"].as_str().unwrap_or_default();
    assert!(["failed", "timed_out"].contains(&event), "{began:#}");
    assert_eq!((&began["deployment"], &began["version"]), (&made["id"], &json!(version)), "{began:#}");
    assert!(began["blocker"].is_string() && began["until"].is_null(), "{began:#}");
    let open = ground.server.json(&["incident", "list", "shop", "--env", "prod", "--open"]);
    assert_eq!(open[0]["id"], began["incident"], "{open:#}");

    let fix = of_web(&json!({"properties": {"env": {"FIXED": "yes"}}}));
    let fixed = ground.deployed("prod", &version, Some(&fix));
    let told = await_told(&hook, 2);
    let ended = &told[1];
    assert_eq!((&ended["event"], &ended["incident"]), (&json!("recovered"), &began["incident"]), "{told:#?}");
    assert_eq!(ended["deployment"], fixed["id"], "{ended:#}");
    assert!(ended["until"].is_string(), "{ended:#}");
    let incidents = ground.server.json(&["incident", "list", "shop"]);
    assert_eq!(incidents.as_array().map(Vec::len), Some(1), "{incidents:#}");
    let over = &incidents[0];
    assert_eq!((&over["open"], &over["ended"]["state"]), (&json!(false), &json!("live")), "{over:#}");
    assert_eq!(hook.bodies(HOOK).len(), 2, "each is told once");
    assert!(hook.bodies(OTHERS).is_empty(), "it is of another team");
}
