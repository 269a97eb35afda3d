//! The core makes what stock tools make of the same revision.

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};
use slipway_tests::namespace::Namespace;
use slipway_tests::server::run_within;
use slipway_tests::services;

use crate::cluster;
use crate::ground::{Ground, MOVES_WITHIN, document};

const TOOL_WITHIN: Duration = Duration::from_secs(90);
/// Labels that the revision itself has.
const REVISIONS: [&str; 4] =
    ["slipway.dev/team", "slipway.dev/application", "slipway.dev/component", "slipway.dev/stage"];

/// Pulls an artifact and applies it, with stock tools.
fn apply(ground: &Ground, space: &Namespace, artifact: &str) {
    let directory = ground.server.scratch().join("pulled");
    fs::create_dir(&directory).expect("a directory");
    let mut oras = Command::new(services::tool("oras"));
    oras.args(["pull", "--plain-http", "--username", "any", "--password", ground.server.token(), "--output"]);
    oras.arg(&directory).arg(artifact);
    let pulled = run_within(oras, TOOL_WITHIN);
    assert_eq!(pulled.code, 0, "oras pull {artifact}: {}", pulled.stderr);
    let objects = directory.join("objects");
    fs::create_dir(&objects).expect("a directory");
    for entry in fs::read_dir(&directory).expect("a directory").flatten() {
        if entry.path().extension().is_some_and(|end| end == "gz") {
            let mut tar = Command::new("tar");
            tar.arg("-xzf").arg(entry.path()).arg("-C").arg(&objects);
            assert_eq!(run_within(tar, TOOL_WITHIN).code, 0);
        }
    }
    let files = objects.display().to_string();
    space.kubectl(&["apply", "--server-side", "--field-manager=slipway", "--filename", &files]);
}

fn leave_out(value: &mut Value, names: &[&str]) {
    if let Some(fields) = value.as_object_mut() {
        fields.retain(|name, _| !names.contains(&name.as_str()));
    }
}

/// Takes out what tells one object from another that is the same: what the cluster writes, and the core's marks.
fn stripped(space: &Namespace, object: &Value) -> Value {
    let text = object.to_string().replace(&space.name, "NAMESPACE");
    let mut object: Value = serde_json::from_str(&text).expect("JSON");
    // The cluster gives a ServiceAccount its token under a name by chance.
    leave_out(&mut object, &["status", "secrets"]);
    leave_out(&mut object["spec"], &["clusterIP", "clusterIPs"]);
    let metadata = &mut object["metadata"];
    let own = ["uid", "resourceVersion", "creationTimestamp", "managedFields", "selfLink"];
    leave_out(metadata, &own);
    for field in ["labels", "annotations"] {
        if let Some(marks) = metadata[field].as_object_mut() {
            marks.retain(|name, _| !name.starts_with("slipway.dev/") || REVISIONS.contains(&name.as_str()));
        }
        if metadata[field].as_object().is_none_or(serde_json::Map::is_empty) {
            leave_out(metadata, &[field]);
        }
    }
    object
}

fn objects(space: &Namespace) -> BTreeMap<String, Value> {
    let found = cluster::all(space, "slipway.dev/application=shop");
    found.iter().map(|object| (cluster::name_of(object), stripped(space, object))).collect()
}

#[test]
fn the_core_and_kubectl_apply_make_the_same_objects() {
    let ground = Ground::prepare();
    let pulled = Namespace::create();
    ground.environment("pulled", &pulled, &json!({"receiver": {"type": "oci"}}));
    let paths = json!({"domain": "shop.example.com", "http": {"/": 8080}});
    let document = document(&json!({"components": [{
        "name": "web",
        "properties": {"env": {"GREETING": "hello"}},
        "traits": [
            {"type": "ingress", "properties": paths},
            {"type": "scaler", "properties": {"replicas": 2}},
            {"type": "service-account", "properties": {
                "name": "clerk",
                "create": true,
                "privileges": [{"verbs": ["get"], "resources": ["configmaps"]}],
            }},
        ],
    }]}));
    let version = ground.publish("one\n");
    ground.deployed("prod", &version, Some(&document));
    let made = ground.deploy("pulled", &version, Some(&document));
    let delivered = ground.wait(&made, &["delivered"], MOVES_WITHIN);
    apply(&ground, &pulled, delivered["reason"].as_str().expect("an artifact"));
    pulled.kubectl(&["rollout", "status", "deployment/web", "--timeout", "90s"]);

    let (ours, theirs) = (objects(&ground.namespace), objects(&pulled));
    let names: Vec<&String> = theirs.keys().collect();
    assert_eq!(names.len(), 7, "{names:?}");
    assert_eq!(ours.keys().collect::<Vec<_>>(), names);
    for (name, theirs) in &theirs {
        assert_eq!(&ours[name], theirs, "{name}");
    }
}
