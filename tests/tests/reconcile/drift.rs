//! What others change of what is live.

use std::time::Duration;

use serde_json::{Value, json};
use slipway_tests::wait;

use crate::cluster::{self, assert_serves};
use crate::ground::{Ground, of_web};
use crate::inventory::assert_whole;

/// How soon a change is to be told, or undone, on a machine that is busy with others: before the half minute over which
/// those are looked at whose watch broke.
const SEEN_WITHIN: Duration = Duration::from_secs(25);
/// How soon one is to be told that has pods made anew first.
const ROLLED_OUT_WITHIN: Duration = Duration::from_secs(120);
const PASSWORD: &str = "not-to-be-seen-anywhere";

/// What the page says of the deployment, its nodes included.
fn told(shown: &Value) -> String {
    format!("{} {} {}", shown["state"], shown["reason"], shown["receiver"]["nodes"]).to_lowercase()
}

/// Waits until the page tells `what`; nobody asked for more, so it stays as it was made.
fn assert_seen(ground: &Ground, live: &Value, what: &str, within: Duration, stays: impl Fn() -> bool) {
    wait::until(&format!("{what:?} is told"), within, || {
        let shown = ground.show(live);
        let told = told(&shown);
        let is_told = told.contains("degraded") && told.contains(what);
        if is_told { Ok(()) } else { Err(shown) }
    });
    assert!(stays(), "{what:?} was undone where it is to be told alone");
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
    assert_seen(&ground, &live, "changed spec.replicas", SEEN_WITHIN, || replicas() == 1);
    space.kubectl(&["scale", "deployment/web", "--replicas=2"]);
    ground.live(&live);

    let pointer = "/spec/template/spec/containers/0/image";
    let runs = || cluster::field(space, "deployment", "web", pointer);
    space.kubectl(&["set", "image", "deployment/web", &format!("web={other}")]);
    assert_seen(&ground, &live, "changed spec.template", ROLLED_OUT_WITHIN, || runs() == other.as_str());
    space.kubectl(&["set", "image", "deployment/web", &format!("web={image}")]);
    ground.live(&live);

    let is_there = || cluster::object(space, "configmap", "shop-settings").is_some();
    space.kubectl(&["delete", "configmap", "shop-settings"]);
    assert_seen(&ground, &live, "shop-settings is not there", SEEN_WITHIN, || !is_there());
    // Deployed once more everything is as wanted.
    let again = ground.deployed("prod", &version, Some(&document));
    assert!(is_there());
    assert_eq!((replicas(), runs()), (json!(2), json!(image)));
    assert_serves(space, "web", "one\n");
    assert_whole(&ground, space, &again, Some(&document));
}

#[test]
fn drift_is_corrected_where_the_environment_says_so() {
    let ground = Ground::prepare();
    let space = &ground.namespace;
    ground.server.cli(&["env", "set", "prod", "--drift", "correct"]).ok();
    ground.set_secret("db", PASSWORD);
    let document = of_web(&json!({
        "properties": {"env": {"DB_PASSWORD": "secret://builtin/db"}},
        "traits": [{"type": "scaler", "properties": {"replicas": 2}}],
    }));
    let live = ground.deployed("prod", &ground.publish("one\n"), Some(&document));

    let replicas = || cluster::field(space, "deployment", "web", "/spec/replicas");
    space.kubectl(&["scale", "deployment/web", "--replicas=1"]);
    wait::holds("the replicas are two again", SEEN_WITHIN, || replicas() == 2);
    space.kubectl(&["delete", "configmap", "shop-settings"]);
    wait::holds("the ConfigMap is there again", SEEN_WITHIN, || {
        cluster::object(space, "configmap", "shop-settings").is_some()
    });
    let password = || cluster::field(space, "secret", "web-env", "/data/DB_PASSWORD");
    let applied = password();
    space.kubectl(&["patch", "secret", "web-env", "--patch", r#"{"data": {"DB_PASSWORD": "bm8="}}"#]);
    // It is written again at once: the page tells it for a moment only, and the events keep it.
    let events = || ground.server.value("select group_concat(event) from reconcile_event").to_lowercase();
    wait::holds("it is told what was changed", SEEN_WITHIN, || events().contains("changed data.db_password"));
    wait::holds("the password is the applied one", SEEN_WITHIN, || password() == applied);
    ground.live(&live);
    let kept = ground.server.value("select document from reconcile_state");
    for text in [kept, ground.server.log(), ground.show(&live).to_string()] {
        assert!(!text.contains(PASSWORD) && !applied.as_str().is_some_and(|data| text.contains(data)));
    }

    // Whoever does it again is not written against at once.
    space.kubectl(&["scale", "deployment/web", "--replicas=1"]);
    assert_told(&ground, &live, "written back once");
    assert_eq!(replicas(), 1);
    space.kubectl(&["scale", "deployment/web", "--replicas=2"]);
    ground.live(&live);

    // What people hold stays as it is until they release it.
    let component = || cluster::field(space, "service", "web", "/metadata/labels/slipway.dev~1component");
    ground.server.cli(&["hold", "shop", "--env", "prod", "--reason", "an incident"]).ok();
    space.kubectl(&["label", "service", "web", "slipway.dev/component=other", "--overwrite"]);
    assert_told(&ground, &live, "holds it (an incident)");
    assert_told(&ground, &live, "kubectl");
    assert_eq!(component(), "other");
    ground.server.cli(&["release", "shop", "--env", "prod"]).ok();
    wait::holds("the label is as it was", SEEN_WITHIN, || component() == "web");
    let live = ground.live(&live);
    assert_whole(&ground, space, &live, Some(&document));
}

/// Waits until the page tells this.
pub(crate) fn assert_told(ground: &Ground, live: &Value, what: &str) {
    wait::until(&format!("{what:?} is told"), SEEN_WITHIN, || {
        let shown = ground.show(live);
        if told(&shown).contains(what) { Ok(()) } else { Err(shown) }
    });
}
