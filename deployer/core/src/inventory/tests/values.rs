//! What an apply would change of values, whoever owns them.

use super::*;

fn live() -> Value {
    json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web", "uid": "1", "resourceVersion": "1", "managedFields": [
            {"manager": "slipway", "operation": "Apply", "fieldsV1": {
                "f:metadata": {"f:labels": {"f:app": {}}},
                "f:spec": {
                    "f:replicas": {},
                    "f:template": {"f:spec": {"f:containers": {
                        "k:{\"name\":\"web\"}": {".": {}, "f:image": {}, "f:name": {}, "f:ports": {
                            "k:{\"containerPort\":80,\"protocol\":\"TCP\"}": {".": {}, "f:containerPort": {}}
                        }}
                    }}},
                    "f:finalizers": {"v:\"a\"": {}}
                }
            }},
            {"manager": "other", "operation": "Apply", "fieldsV1": {"f:spec": {"f:paused": {}}}}
        ]},
        "spec": {
            "replicas": 2, "paused": false, "finalizers": ["a"],
            "template": {"spec": {"containers": [
                {"name": "web", "image": "i:1", "ports": [{"containerPort": 80, "protocol": "TCP"}], "tty": false}
            ]}}
        }
    })
}

fn wanted() -> Value {
    json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web", "labels": {"app": "web"}},
        "spec": {
            "replicas": 2, "finalizers": ["a"],
            "template": {"spec": {"containers": [
                {"name": "web", "image": "i:1", "ports": [{"containerPort": 80}]}
            ]}}
        }
    })
}

fn with(pointer: &str, value: Value) -> Value {
    let mut object = wanted();
    *object.pointer_mut(pointer).unwrap() = value;
    object
}

#[test]
fn a_value_that_is_missing_or_other_is_a_difference() {
    let mut labelled = live();
    assert!(!changes_no_value(&labelled, &wanted(), "slipway"), "the label is missing");
    labelled["metadata"]["labels"] = json!({"app": "web", "team": "a"});
    assert!(changes_no_value(&labelled, &wanted(), "slipway"));
    for (pointer, value) in [
        ("/spec/replicas", json!(3)),
        ("/spec/finalizers", json!(["a", "b"])),
        ("/spec/template/spec/containers/0/image", json!("i:2")),
        ("/spec/template/spec/containers/0/ports/0", json!({"containerPort": 80, "name": "http"})),
    ] {
        assert!(!changes_no_value(&labelled, &with(pointer, value), "slipway"), "{pointer}");
    }
}

#[test]
fn a_field_that_was_applied_and_is_no_longer_wanted_is_a_difference() {
    let mut live = live();
    live["metadata"]["labels"] = json!({"app": "web"});
    for (parent, field) in [
        ("/spec", "replicas"),
        ("/metadata", "labels"),
        ("/spec/template/spec/containers/0", "image"),
        ("/spec/template/spec/containers/0", "ports"),
        ("/spec", "finalizers"),
    ] {
        let mut less = wanted();
        less.pointer_mut(parent).and_then(Value::as_object_mut).unwrap().remove(field);
        assert!(!changes_no_value(&live, &less, "slipway"), "{parent}/{field}");
        assert!(changes_no_value(&live, &less, "nobody"), "{parent}/{field} is another's");
    }
}
