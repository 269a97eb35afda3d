//! What others change of what is live.

use std::time::Duration;

use serde_json::{Value, json};
use slipway_tests::wait;

use crate::cluster::{self, assert_serves};
use crate::ground::{Ground, of_web};
use crate::inventory::assert_whole;

/// How soon a change is to be told, or undone.
const SEEN_WITHIN: Duration = Duration::from_secs(10);

/// What the page says of the deployment, its nodes included.
fn told(shown: &Value) -> String {
    format!("{} {} {}", shown["state"], shown["reason"], shown["receiver"]["nodes"]).to_lowercase()
}

/// Waits until the page tells that something is not as wanted, naming `what`; or until it is as wanted again.
fn assert_seen(ground: &Ground, live: &Value, what: &str, is_back: impl Fn() -> bool) {
    wait::until(&format!("{what} is told, or undone"), SEEN_WITHIN, || {
        let shown = ground.show(live);
        let told = told(&shown);
        let is_told = told.contains("degraded") || told.contains("drift");
        if is_back() || (is_told && told.contains(what)) { Ok(()) } else { Err(shown) }
    });
}

#[test]
fn drift_is_seen() {
    let ground = Ground::prepare();
    let space = &ground.namespace;
    let document = of_web(&json!({"traits": [{"type": "scaler", "properties": {"replicas": 2}}]}));
    let other = ground.image("prod", &ground.publish("other\n"));
    let version = ground.publish("one\n");
    let image = ground.image("prod", &version);
    let live = ground.deployed("prod", &version, Some(&document));

    let replicas = || cluster::field(space, "deployment", "web", "/spec/replicas");
    space.kubectl(&["scale", "deployment/web", "--replicas=1"]);
    assert_seen(&ground, &live, "web", || replicas() == 2);
    space.kubectl(&["scale", "deployment/web", "--replicas=2"]);
    ground.live(&live);

    let pointer = "/spec/template/spec/containers/0/image";
    let runs = || cluster::field(space, "deployment", "web", pointer);
    space.kubectl(&["set", "image", "deployment/web", &format!("web={other}")]);
    assert_seen(&ground, &live, "web", || runs() == image.as_str());
    space.kubectl(&["set", "image", "deployment/web", &format!("web={image}")]);
    ground.live(&live);

    let is_there = || cluster::object(space, "configmap", "shop-settings").is_some();
    space.kubectl(&["delete", "configmap", "shop-settings"]);
    assert_seen(&ground, &live, "shop-settings", is_there);
    // Deployed once more everything is as wanted, whoever undid what before.
    let again = ground.deployed("prod", &version, Some(&document));
    assert!(is_there());
    assert_eq!((replicas(), runs()), (json!(2), json!(image)));
    assert_serves(space, "web", "one\n");
    assert_whole(&ground, space, &again, Some(&document));
}
