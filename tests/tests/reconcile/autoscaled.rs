//! Fields that a controller of the cluster writes, and objects that no generation changes.

use serde_json::{Value, json};
use slipway_tests::namespace::Namespace;

use crate::cluster;
use crate::ground::{Ground, of_web};

/// How often what runs is deployed once more.
const ROUNDS: usize = 10;

/// How many pods are wanted, and everything else that is. `metadata.generation` does not tell: the API
/// server counts it on for an annotation of a Deployment as well.
fn wanted(space: &Namespace) -> (Value, Value) {
    let of = |pointer: &str| cluster::field(space, "deployment", "web", pointer);
    (of("/spec/replicas"), of("/spec"))
}

/// Whether Slipway has ever written how many pods are wanted.
fn is_claimed(space: &Namespace) -> bool {
    // Newer tools leave out who wrote what.
    let path = format!("/apis/apps/v1/namespaces/{}/deployments/web", space.name);
    let object: Value = serde_json::from_str(&space.kubectl(&["get", "--raw", &path])).expect("JSON");
    let entries = object["metadata"]["managedFields"].as_array().cloned().unwrap_or_default();
    let ours: Vec<&Value> = entries.iter().filter(|entry| entry["manager"] == "slipway").collect();
    assert!(!ours.is_empty(), "{object:#}");
    ours.iter().any(|entry| entry.pointer("/fieldsV1/f:spec/f:replicas").is_some())
}

/// What tells that objects were written: versions of those that nobody else writes, and which generation wrote the
/// others.
fn written(space: &Namespace) -> [Value; 4] {
    let version = |kind: &str, name: &str| cluster::field(space, kind, name, "/metadata/resourceVersion");
    let mark =
        |kind: &str| cluster::field(space, kind, "web", "/metadata/annotations/slipway.dev~1generation");
    [
        version("configmap", "shop-settings"),
        version("service", "web"),
        mark("deployment"),
        mark("horizontalpodautoscaler"),
    ]
}

#[test]
fn an_autoscalers_replicas_are_left_alone() {
    let mut ground = Ground::prepare();
    let traits = json!({"traits": [{"type": "hpa", "properties": {"min": 1, "max": 10}}]});
    let document = of_web(&traits);
    let version = ground.publish("one\n");
    ground.deployed("prod", &version, Some(&document));
    assert!(cluster::object(&ground.namespace, "horizontalpodautoscaler", "web").is_some());
    assert!(!is_claimed(&ground.namespace));

    ground.namespace.kubectl(&["scale", "deployment/web", "--replicas=3"]);
    let before = wanted(&ground.namespace);
    assert_eq!(before.0, 3);
    let untouched = written(&ground.namespace);
    assert_eq!(untouched[2], "1");
    for round in 0..ROUNDS {
        if round == ROUNDS / 2 {
            ground.server.stop();
            ground.server.restart();
        }
        ground.deployed("prod", &version, Some(&document));
        assert_eq!(wanted(&ground.namespace), before, "after {} rounds", round + 1);
        if round < ROUNDS / 2 {
            assert_eq!(written(&ground.namespace), untouched, "after {} rounds", round + 1);
        }
    }
    assert!(!is_claimed(&ground.namespace));
    let restart = ["deploy", "restart", "shop", "--env", "prod", "--reason", "to see", "--no-wait"];
    let made = ground.server.json(&restart);
    ground.live(&made);
    assert_eq!(wanted(&ground.namespace), before);
}
