//! Objects of somebody else under a name that is wanted.

use serde_json::Value;
use slipway_tests::namespace::Namespace;

use crate::cluster;
use crate::ground::{Ground, LIVE_WITHIN, MOVES_WITHIN, gated};
use crate::inventory::assert_whole;

/// Somebody makes the ConfigMap that the shop is to have.
fn make_theirs(space: &Namespace) -> (Value, Value) {
    space.kubectl(&["create", "configmap", "shop-settings", "--from-literal=currency=USD"]);
    theirs(space)
}

fn theirs(space: &Namespace) -> (Value, Value) {
    assert_eq!(cluster::field(space, "configmap", "shop-settings", "/data/currency"), "USD");
    cluster::version(space, "configmap", "shop-settings")
}

#[test]
fn somebody_elses_object_is_refused() {
    let ground = Ground::prepare();
    let before = make_theirs(&ground.namespace);
    let version = ground.publish("one\n");
    let made = ground.deploy("prod", &version, None);
    let rejected = ground.wait(&made, &["rejected"], MOVES_WITHIN);
    let violation = &rejected["violations"][0];
    assert_eq!(violation["code"], "object_owned_elsewhere", "{rejected:#}");
    assert!(
        violation["message"].as_str().is_some_and(|told| told.contains("shop-settings")),
        "{violation:#}"
    );
    assert_eq!(theirs(&ground.namespace), before);
    assert_eq!(cluster::object(&ground.namespace, "deployment", "web"), None, "nothing was written");
}

#[test]
fn somebody_elses_object_that_came_after_freezing_is_left_alone() {
    let ground = Ground::prepare();
    let space = Namespace::create();
    ground.environment("late", &space, &gated());
    let version = ground.publish("one\n");
    let made = ground.deploy("late", &version, None);
    ground.wait(&made, &["awaiting"], MOVES_WITHIN);
    let before = make_theirs(&space);
    ground.approve(&made);
    let failed = ground.wait(&made, &["failed"], LIVE_WITHIN);
    let told = format!("{} {}", failed["reason"], failed["receiver"]["nodes"]);
    assert!(told.contains("shop-settings"), "{failed:#}");
    assert_eq!(theirs(&space), before);

    // Taking away what there is of the shop takes nothing of theirs.
    let removal = ground.remove("late");
    ground.approve(&removal);
    ground.wait(&removal, &["deleted"], LIVE_WITHIN);
    assert_eq!(theirs(&space), before);
    assert_eq!(cluster::object(&space, "deployment", "web"), None);

    space.kubectl(&["delete", "configmap", "shop-settings"]);
    let made = ground.deploy("late", &version, None);
    ground.approve(&made);
    let live = ground.live(&made);
    assert_eq!(cluster::field(&space, "configmap", "shop-settings", "/data/currency"), "EUR");
    assert_whole(&ground, &space, &live, None);
}
