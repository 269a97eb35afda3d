use super::super::same::is_same;
use super::*;

fn live() -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": "web", "namespace": "shop", "uid": "1", "resourceVersion": "5", "labels": {"app": "web"},
            "managedFields": [
                {"manager": "other", "operation": "Apply", "apiVersion": "apps/v1", "fieldsV1": {"f:spec": {"f:paused": {}}}},
                {"manager": "slipway", "operation": "Update", "apiVersion": "apps/v1", "fieldsV1": {"f:spec": {"f:paused": {}}}},
                {"manager": "slipway", "operation": "Apply", "apiVersion": "apps/v1", "subresource": "status", "fieldsV1": {}},
                {"manager": "slipway", "operation": "Apply", "apiVersion": "apps/v1", "fieldsV1": {
                    "f:metadata": {"f:labels": {"f:app": {}}},
                    "f:spec": {
                        "f:replicas": {}, "f:selector": {}, "f:gates": {"v:\"a\"": {}, "v:\"b\"": {}},
                        "f:template": {"f:spec": {"f:containers": {
                            "k:{\"name\":\"side\"}": {".": {}, "f:image": {}, "f:name": {}},
                            "k:{\"name\":\"web\"}": {".": {}, "f:image": {}, "f:name": {}, "f:tmp": {}, "f:ports": {
                                "k:{\"containerPort\":80,\"protocol\":\"TCP\"}": {".": {}, "f:containerPort": {}}
                            }}
                        }}}
                    }
                }}
            ]},
        "spec": {
            "replicas": 2, "paused": false, "selector": {"matchLabels": {"app": "web"}}, "gates": ["z", "a", "b"],
            "template": {"spec": {"containers": [
                {"name": "injected", "image": "x"},
                {"name": "web", "image": "i:1", "ports": [{"containerPort": 80, "protocol": "TCP"}], "tty": false, "tmp": {}},
                {"name": "side", "image": "s:1"}
            ]}}
        },
        "status": {"replicas": 2}
    })
}

fn sent() -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": "web", "namespace": "shop", "labels": {"app": "web"}, "creationTimestamp": null},
        "spec": {
            "replicas": 2, "selector": {"matchLabels": {"app": "web"}}, "gates": ["a", "b"], "nothing": null,
            "template": {"spec": {"containers": [
                {"name": "web", "image": "i:1", "ports": [{"containerPort": 80}], "tmp": {}},
                {"name": "side", "image": "s:1"}
            ]}}
        }
    })
}

fn same(live: &Value, sent: &Value) -> bool {
    is_same(&Live::of(live).unwrap(), sent, FIELD_MANAGER)
}

#[test]
fn what_others_and_the_server_added_is_no_difference() {
    assert!(same(&live(), &sent()));
    assert!(!is_same(&Live::of(&live()).unwrap(), &sent(), "nobody"));
}

#[test]
fn what_pods_were_made_anew_for_is_no_difference() {
    let mut live = live();
    live["spec"]["template"]["metadata"] = json!({"annotations": {"slipway.dev/secrets": "1"}});
    let entry = json!({"manager": PODS_MANAGER, "operation": "Update", "apiVersion": "apps/v1", "fieldsV1": {
        "f:spec": {"f:template": {"f:metadata": {"f:annotations": {".": {}, "f:slipway.dev/secrets": {}}}}}}});
    live["metadata"]["managedFields"].as_array_mut().unwrap().push(entry);
    assert!(same(&live, &sent()));
    // Where the manifest has annotations of its own too.
    live["metadata"]["managedFields"][3]["fieldsV1"]["f:spec"]["f:template"]["f:metadata"] =
        json!({"f:annotations": {"f:own": {}}});
    live["spec"]["template"]["metadata"]["annotations"]["own"] = "yes".into();
    let mut sent = sent();
    sent["spec"]["template"]["metadata"] = json!({"annotations": {"own": "yes"}});
    assert!(same(&live, &sent));
    let seen = Live::of(&live).unwrap();
    assert_eq!(writer_of(&seen, &["spec", "template", "metadata"]), None, "nobody else changed it");
}

#[test]
fn every_value_that_is_sent_counts() {
    for (pointer, value) in [
        ("/apiVersion", json!("apps/v2")),
        ("/metadata/labels/app", json!("other")),
        ("/metadata/labels", json!({"app": "web", "more": "1"})),
        ("/spec/replicas", json!(3)),
        ("/spec/selector/matchLabels", json!({"app": "web", "more": "1"})),
        // It stands there, and by another's will.
        ("/spec/nothing", json!("x")),
        ("/spec/gates", json!(["a", "c"])),
        ("/spec/gates", json!(["b", "a"])),
        ("/spec/template/spec/containers/0/image", json!("i:2")),
        ("/spec/template/spec/containers/0/tmp", json!({"sizeLimit": "1Gi"})),
        ("/spec/template/spec/containers/0/ports/0", json!({"containerPort": 80, "name": "http"})),
        ("/spec/template/spec/containers/0/ports/0", json!({"containerPort": 81})),
        ("/spec/template/spec/containers/1/name", json!("aside")),
    ] {
        let mut sent = sent();
        *sent.pointer_mut(pointer).unwrap() = value;
        assert!(!same(&live(), &sent), "{pointer}");
    }
    let mut sent = sent();
    sent["spec"]["paused"] = json!(false);
    assert!(!same(&live(), &sent), "the value stands there, but another put it");
}

#[test]
fn every_field_that_is_owned_counts() {
    for (parent, field) in [
        ("/metadata", "labels"),
        ("/metadata/labels", "app"),
        ("/spec", "replicas"),
        ("/spec", "selector"),
        ("/spec", "gates"),
        ("/spec", "template"),
        ("/spec/template/spec/containers/0", "ports"),
        ("/spec/template/spec/containers/0", "image"),
    ] {
        let mut sent = sent();
        sent.pointer_mut(parent).and_then(Value::as_object_mut).unwrap().remove(field);
        assert!(!same(&live(), &sent), "{parent}/{field}");
    }
    for (list, index) in [("/spec/gates", 0), ("/spec/template/spec/containers", 1)] {
        let mut sent = sent();
        sent.pointer_mut(list).and_then(Value::as_array_mut).unwrap().remove(index);
        assert!(!same(&live(), &sent), "{list}/{index}");
    }
}

#[test]
fn the_order_of_items_counts() {
    let mut sent = sent();
    sent.pointer_mut("/spec/template/spec/containers").and_then(Value::as_array_mut).unwrap().swap(0, 1);
    assert!(!same(&live(), &sent));
}

#[test]
fn what_the_cluster_lost_or_changed_is_a_difference() {
    for (pointer, value) in [
        ("/metadata/labels/app", json!("x")),
        ("/metadata/managedFields", json!([])),
        ("/metadata/managedFields/3/apiVersion", json!("apps/v1beta2")),
        ("/metadata/managedFields/3/operation", json!("Update")),
        ("/metadata/managedFields/3/fieldsV1/f:spec/f:gates", json!({"x:y": {}})),
        ("/spec/replicas", json!(1)),
        ("/spec/gates", json!(["a"])),
        ("/spec/template/spec/containers", json!([])),
        ("/spec/template", json!("broken")),
    ] {
        let mut live = live();
        *live.pointer_mut(pointer).unwrap() = value;
        assert!(!same(&live, &sent()), "{pointer}");
    }
}

#[test]
fn what_a_server_would_leave_as_it_is_shows_in_values_and_in_owners() {
    for (pointer, value, is_same) in [
        ("/metadata/resourceVersion", json!("6"), true),
        ("/status/replicas", json!(3), true),
        ("/metadata/managedFields/0/manager", json!("third"), true),
        ("/metadata/managedFields/3/fieldsV1/f:metadata", json!({}), false),
        ("/metadata/managedFields/3/apiVersion", json!("apps/v2"), false),
        ("/metadata/labels/app", json!("other"), false),
        ("/spec/replicas", json!(3), false),
    ] {
        let mut applied = live();
        *applied.pointer_mut(pointer).unwrap() = value;
        assert_eq!(changes_nothing(&live(), &applied), is_same, "{pointer}");
    }
    assert!(!changes_nothing(&sent(), &sent()), "no cluster gave it");
}
