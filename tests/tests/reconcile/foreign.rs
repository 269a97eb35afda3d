//! Objects of somebody else under a name that is wanted.

use serde_json::{Value, json};
use slipway_tests::namespace::Namespace;
use slipway_tests::server::GitRepository;

use crate::cluster;
use crate::ground::{Ground, LIVE_WITHIN, MOVES_WITHIN, gated, settings};
use crate::inventory::{INVENTORY, assert_whole};
use crate::waits::widgets;

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

#[test]
fn a_definition_that_an_application_leaves_is_of_the_next_that_brings_it() {
    let ground = Ground::prepare();
    let definition = widgets::definition_of(&ground.namespace);
    let name = definition["metadata"]["name"].as_str().expect("a name");
    let label = || cluster::field(&ground.namespace, "crd", name, "/metadata/labels")[INVENTORY].clone();
    let uid = || cluster::field(&ground.namespace, "crd", name, "/metadata/uid");
    ground.declare(&[settings()]);
    ground.repository.write("settings/definition.json", definition.to_string());
    ground.deployed("prod", &ground.publish("one\n"), None);
    assert!(label().as_str().is_some_and(|owner| owner.starts_with("shop-")), "{}", label());
    let first = uid();
    let removal = ground.remove("prod");
    ground.wait(&removal, &["deleted"], LIVE_WITHIN);
    assert_eq!((label(), uid()), (Value::Null, first.clone()), "it stays, and is nobody's");

    let app = ground.server.create_app("stall");
    let repository = GitRepository::new();
    let declared = json!({
        "apiVersion": "slipway.dev/v1",
        "kind": "Application",
        "metadata": {"name": "stall"},
        "components": [settings()],
    });
    repository.write("slipway.yaml", declared.to_string());
    repository.write("settings/definition.json", definition.to_string());
    let bundle = ground.server.publish(&app, &repository, "main", "Bring the definition");
    let version = bundle["version"].as_str().expect("a version");
    let create = ["deploy", "create", "stall", "--env", "prod", "--bundle", version, "--no-wait"];
    ground.live(&ground.server.json(&create));
    assert!(label().as_str().is_some_and(|owner| owner.starts_with("stall-")), "{}", label());
    assert_eq!(uid(), first);
    ground.namespace.kubectl(&["delete", "crd", name]);
}
