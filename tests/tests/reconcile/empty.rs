//! What must not go by mistake.

use std::fs;

use serde_json::{Value, json};
use slipway_tests::namespace::Namespace;

use crate::cluster;
use crate::ground::{Ground, MOVES_WITHIN, document, settings};

/// A list of objects without one.
const NOTHING: &str = "apiVersion: v1\nkind: List\nitems: []\n";

/// Somebody removes an object and puts a copy in its place, marks and all; gives the copy's UID.
fn is_restored(space: &Namespace, name: &str) -> Value {
    let mut copy = cluster::object(space, "configmap", name).expect("it is there");
    let metadata = copy["metadata"].as_object_mut().expect("an object has metadata");
    metadata.retain(|key, _| ["name", "namespace", "labels", "annotations"].contains(&key.as_str()));
    space.kubectl(&["delete", "configmap", name]);
    cluster::make(space, &copy);
    cluster::field(space, "configmap", name, "/metadata/uid")
}

/// A component may be called what the node of the environment's namespace is called.
fn is_planned_beside_its_namespace(ground: &Ground, version: &str) {
    let own = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "own"}});
    let component = json!({"name": "namespace", "type": "manifests", "properties": {"objects": [own]}});
    let plan = ground.plan("prod", version, Some(&document(&json!({"components": [component]}))));
    let names: Vec<String> = plan["objects"].as_array().into_iter().flatten().map(cluster::name_of).collect();
    for name in ["ConfigMap/own", "ConfigMap/shop-settings", &format!("Namespace/{}", ground.namespace.name)]
    {
        assert!(names.iter().any(|found| found == name), "no {name} in {names:?}");
    }
}

#[test]
fn only_what_is_its_own_goes_and_never_all_of_it() {
    let ground = Ground::prepare();
    let space = &ground.namespace;
    // Its namespace is in every revision, and no reason to take all else away.
    ground.set("prod", &json!({"receiver": {"type": "core"}, "createNamespace": true}));
    ground.declare(&[settings()]);
    for name in ["fair", "gone"] {
        let text = format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}}}\ndata: {{a: b}}\n");
        ground.repository.write(&format!("settings/{name}.yaml"), text);
    }
    let version = ground.publish("one\n");
    is_planned_beside_its_namespace(&ground, &version);
    ground.deployed("prod", &version, None);
    let theirs = is_restored(space, "fair");
    for name in ["fair", "gone"] {
        fs::remove_file(ground.repository.path().join(format!("settings/{name}.yaml"))).expect("a file");
    }
    let live = ground.deployed("prod", &ground.publish("two\n"), None);
    assert_eq!(cluster::object(space, "configmap", "gone"), None);
    assert_eq!(cluster::field(space, "configmap", "fair", "/metadata/uid"), theirs, "it is somebody else's");

    let before = cluster::version(space, "configmap", "shop-settings");
    ground.repository.write("settings/settings.yaml", NOTHING);
    let version = ground.publish("three\n");
    let plan = ["deploy", "plan", "shop", "--env", "prod", "--bundle", &version, "-o", "json"];
    let planned = ground.server.cli(&plan);
    assert_eq!(planned.code, 1, "{planned:?}");
    let violation = planned.json()["violations"][0].clone();
    assert_eq!(violation["code"], "nothing_rendered", "{violation:#}");
    let way_out = violation["hint"].as_str().unwrap_or_default();
    assert!(way_out.contains("slipway deploy remove shop --env prod"), "{violation:#}");
    ground.wait(&ground.deploy("prod", &version, None), &["rejected"], MOVES_WITHIN);
    assert_eq!(cluster::version(space, "configmap", "shop-settings"), before);
    let place = ground.server.json(&["where", "shop", "--env", "prod"])[0].clone();
    assert_eq!(place["generation"], live["generation"], "{place:#}");

    // Taken away when that is said, by its other name.
    let delete = ["deploy", "delete", "shop", "--env", "prod", "--reason", "the fair is over", "--yes"];
    let removal = ground.server.json(&[&delete[..], &["--no-wait"]].concat());
    ground.wait(&removal, &["deleted"], MOVES_WITHIN);
    assert_eq!(cluster::object(space, "configmap", "shop-settings"), None);
    assert_eq!(cluster::field(space, "configmap", "fair", "/metadata/uid"), theirs);
}
