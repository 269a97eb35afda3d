//! A workflow by way of two clusters.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use slipway_tests::namespace::Namespace;

use crate::cluster::{all, assert_serves, name_of};
use crate::flow::node_of;
use crate::ground::{Ground, LIVE_WITHIN, core, document, id_of};
use crate::hole::Hole;
use crate::inventory::{INVENTORY, assert_whole};

/// To the one cluster, then, once a person says so, to the other.
fn course(near: &Namespace, far: &Namespace) -> Value {
    let place = |name: &str, cluster: &str, space: &Namespace| {
        let properties = json!({"clusters": [cluster], "namespace": space.name});
        json!({"name": name, "type": "topology", "properties": properties})
    };
    document(&json!({
        "components": [],
        "policies": [place("to-near", "test", near), place("to-far", "hole", far)],
        "workflow": {"steps": [
            {"name": "first", "type": "deploy", "properties": {"policies": ["to-near"]}},
            {"name": "look", "type": "suspend", "properties": {"message": "Is it well there?"}},
            {"name": "then", "type": "deploy", "properties": {"policies": ["to-far"]}},
        ]},
    }))
}

/// What is the application's in a namespace, and by which inventory.
fn owned(space: &Namespace) -> (BTreeSet<String>, BTreeSet<String>) {
    let objects = all(space, INVENTORY);
    let label = |object: &Value| object["metadata"]["labels"][INVENTORY].to_string();
    (objects.iter().map(name_of).collect(), objects.iter().map(label).collect())
}

#[test]
fn a_bundle_goes_to_one_cluster_then_to_the_other_and_leaves_both() {
    let ground = Ground::prepare();
    let hole = Hole::dig(&ground);
    let (near, far) = (&ground.namespace, &hole.space);
    let address = format!("local/hole/{}", far.name);
    let file = ground.file("far.json", &core());
    ground.server.cli(&["env", "create", "far", "--address", &address, "-f", &file]).ok();

    let made = ground.deploy("far", &ground.publish("one\n"), Some(&course(near, far)));
    let held = ground.wait(&made, &["suspended"], LIVE_WITHIN);
    let why = node_of(&held, "step.look")["reason"].to_string();
    assert!(why.contains("Is it well there?"), "{held:#}");
    let first = ground.live(&ground.newest("prod"));
    assert_serves(near, "web", "one\n");
    assert!(all(far, INVENTORY).is_empty(), "nobody has said yet that it goes on");

    ground.server.cli(&["deploy", "resume", id_of(&made), "--node", "step.look"]).ok();
    let second = ground.live(&made);
    assert_serves(far, "web", "one\n");
    assert_serves(near, "web", "one\n");
    assert_eq!(second["bundle"], first["bundle"], "one bundle lives in both");
    assert_whole(&ground, near, &first, None);
    let (here, there) = (owned(near), owned(far));
    assert_eq!(there.0, here.0);
    assert!(there.1.is_disjoint(&here.1), "each cluster has an inventory of its own: {there:?} {here:?}");

    ground.wait(&ground.remove("far"), &["deleted"], LIVE_WITHIN);
    assert!(all(far, INVENTORY).is_empty());
    assert_eq!(owned(near), here, "the other cluster is not touched");
    ground.wait(&ground.remove("prod"), &["deleted"], LIVE_WITHIN);
    assert!(all(near, INVENTORY).is_empty());
}
