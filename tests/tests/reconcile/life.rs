//! The whole life of an application in one environment.

use serde_json::{Value, json};

use crate::cluster::{self, assert_none, assert_pods, assert_serves, assert_variable};
use crate::ground::{Ground, LIVE_WITHIN, of_web, served, settings};
use crate::inventory::{INVENTORY, assert_whole};

#[test]
fn web_is_deployed_upgraded_configured_and_removed() {
    let ground = Ground::prepare();
    let space = &ground.namespace;
    space.kubectl(&["create", "configmap", "theirs", "--from-literal=a=b"]);
    let theirs = cluster::version(space, "configmap", "theirs");
    let version = is_upgraded(&ground);
    is_configured(&ground, &version);
    is_scaled(&ground, &version);
    loses_a_component(&ground);
    is_renamed(&ground);
    is_removed(&ground);
    assert_eq!(cluster::version(space, "configmap", "theirs"), theirs, "it is nobody's of ours");
}

/// The first version, then the second; gives that.
fn is_upgraded(ground: &Ground) -> String {
    let space = &ground.namespace;
    let mut versions = Vec::new();
    for page in ["one\n", "two\n"] {
        let version = ground.publish(page);
        let live = ground.deployed("prod", &version, None);
        let nodes = live["receiver"]["nodes"].as_array().cloned().unwrap_or_default();
        assert!(!nodes.is_empty() && nodes.iter().all(|node| node["state"] == "ready"), "{live:#}");
        let watched = ground.server.cli(&["deploy", "watch", "shop@prod"]).ok();
        assert!(watched.stdout.contains("live"), "{}", watched.stdout);
        assert_pods(space, "web", 1, &ground.image("prod", &version));
        assert_serves(space, "web", page);
        assert_whole(ground, space, &live, None);
        versions.push(version);
    }
    assert_eq!(cluster::field(space, "service", "web", "/spec/ports/0/port"), 8080);
    let template = cluster::field(space, "deployment", "web", "/spec/template/metadata");
    assert!(!template.to_string().contains(INVENTORY), "a mark in pods restarts them: {template:#}");
    versions.pop().expect("a version")
}

/// Says something of `web` for the environment, and deploys what runs once more.
fn configured(ground: &Ground, version: &str, fields: &Value) -> Value {
    let level = format!("local/test/{}", ground.namespace.name);
    let file = ground.file("level.json", &of_web(fields));
    let set = ["env", "config", "shop", "--level", &level, "--set", &file, "--reason", "the fair"];
    ground.server.cli(&set).ok();
    ground.deployed("prod", version, None)
}

fn is_configured(ground: &Ground, version: &str) {
    let live = configured(ground, version, &json!({"properties": {"env": {"GREETING": "hello"}}}));
    assert_variable(&ground.namespace, "web", "GREETING", "hello");
    assert_whole(ground, &ground.namespace, &live, None);
}

fn is_scaled(ground: &Ground, version: &str) {
    let space = &ground.namespace;
    let fields = json!({
        "properties": {"env": {"GREETING": "hello"}},
        "traits": [{"type": "scaler", "properties": {"replicas": 2}}],
    });
    let live = configured(ground, version, &fields);
    assert_eq!(cluster::field(space, "deployment", "web", "/spec/replicas"), 2);
    assert_pods(space, "web", 2, &ground.image("prod", version));
    assert_whole(ground, space, &live, None);
    let level = format!("local/test/{}", space.name);
    ground.server.cli(&["env", "config", "shop", "--level", &level, "--remove"]).ok();
    ground.deployed("prod", version, None);
}

/// What the bundle no longer has goes, and nothing else is touched.
fn loses_a_component(ground: &Ground) {
    let space = &ground.namespace;
    let identity = || {
        let of = |kind: &str| cluster::field(space, kind, "web", "/metadata/uid");
        (of("deployment"), of("service"), cluster::field(space, "deployment", "web", "/spec"))
    };
    let before = identity();
    assert!(cluster::object(space, "configmap", "shop-settings").is_some());
    ground.declare(&[served("web")]);
    let live = ground.deployed("prod", &ground.publish("two\n"), None);
    assert_eq!(cluster::object(space, "configmap", "shop-settings"), None);
    assert_eq!(identity(), before);
    assert_whole(ground, space, &live, None);
}

fn is_renamed(ground: &Ground) {
    let space = &ground.namespace;
    ground.declare(&[served("front"), settings()]);
    let live = ground.deployed("prod", &ground.publish("two\n"), None);
    for kind in ["deployment", "service"] {
        assert_eq!(cluster::object(space, kind, "web"), None, "{kind}");
        assert!(cluster::object(space, kind, "front").is_some(), "{kind}");
    }
    assert_serves(space, "front", "two\n");
    assert_whole(ground, space, &live, None);
}

fn is_removed(ground: &Ground) {
    let made = ground.remove("prod");
    ground.wait(&made, &["deleted"], LIVE_WITHIN);
    assert!(cluster::all(&ground.namespace, INVENTORY).is_empty(), "it is deleted when all is gone");
    assert_none(&ground.namespace, "slipway.dev/application=shop");
    ground.server.cli(&["env", "remove", "prod", "--yes"]).ok();
}
