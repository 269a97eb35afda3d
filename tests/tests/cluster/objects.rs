//! Single objects: removed by their UID and the version that was read, applied to the version that was read.

use std::time::Duration;

use serde_json::{Value, json};
use slipway_kubernetes::{Applied, CallError, Deleted};
use slipway_tests::wait::wait_until;

use crate::{Field, WRITER, text};

#[tokio::test(flavor = "multi_thread")]
async fn an_object_is_removed_by_its_own_uid_and_as_it_was_read() {
    let field = Field::prepare().await;
    let key = field.key("v1", "ConfigMap", "settings");
    let made = field.apply(&key, &json!({"data": {"a": "1"}})).await;
    let uid = text(&made, "/metadata/uid");

    let other = field.cluster.delete_exactly(&key, "00000000-0000-0000-0000-000000000000", None).await;
    assert_eq!(other.expect("an answer"), Deleted::Other);
    assert!(field.get(&key).await.is_some(), "the object of another UID is left alone");

    let read = text(&made, "/metadata/resourceVersion");
    field.apply(&key, &json!({"data": {"a": "changed"}})).await;
    let late = field.cluster.delete_exactly(&key, uid, Some(read)).await;
    assert_eq!(late.expect("an answer"), Deleted::Other);
    let left = field.get(&key).await.expect("what was changed since is left alone");
    assert_eq!(text(&left, "/data/a"), "changed");

    assert_eq!(field.cluster.delete_exactly(&key, uid, None).await.expect("an answer"), Deleted::Ordered);
    assert!(field.get(&key).await.is_none());
    assert_eq!(field.cluster.delete_exactly(&key, uid, None).await.expect("an answer"), Deleted::Gone);

    field.apply(&key, &json!({"data": {"a": "2"}})).await;
    assert_eq!(field.cluster.delete_exactly(&key, uid, None).await.expect("an answer"), Deleted::Other);

    let unserved = field.key("nowhere.test/v1", "Thing", "a");
    assert_eq!(field.cluster.delete_exactly(&unserved, uid, None).await.expect("an answer"), Deleted::Gone);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_with_a_finalizer_is_ordered_away_until_that_has_done() {
    let field = Field::prepare().await;
    let key = field.key("v1", "ConfigMap", "held");
    field.apply(&key, &json!({})).await;
    let hold = r#"{"metadata": {"finalizers": ["slipway.dev/test"]}}"#;
    field.namespace.kubectl(&["patch", "configmap", "held", "--type", "merge", "--patch", hold]);
    let held = field.get(&key).await.expect("the object");
    let uid = text(&held, "/metadata/uid");

    let first = field.cluster.delete_exactly(&key, uid, None).await;
    let second = field.cluster.delete_exactly(&key, uid, None).await;
    let still = field.get(&key).await;
    let free = r#"{"metadata": {"finalizers": null}}"#;
    field.namespace.kubectl(&["patch", "configmap", "held", "--type", "merge", "--patch", free]);

    assert_eq!(first.expect("an answer"), Deleted::Ordered);
    assert_eq!(second.expect("an answer"), Deleted::Ordered);
    text(&still.expect("still there"), "/metadata/deletionTimestamp");
    assert!(field.get(&key).await.is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_manifest_of_an_older_version_is_outrun() {
    let field = Field::prepare().await;
    let key = field.key("v1", "ConfigMap", "settings");
    let first = field.apply(&key, &json!({"data": {"a": "1"}})).await;
    let by_hand = r#"{"data": {"a": "by hand"}}"#;
    field.namespace.kubectl(&["patch", "configmap", "settings", "--type", "merge", "--patch", by_hand]);
    let live = field.get(&key).await.expect("the object");

    let mut manifest = field.manifest(&key, &json!({"data": {"a": "2"}}));
    manifest["metadata"]["resourceVersion"] = first["metadata"]["resourceVersion"].clone();
    let outrun = field.cluster.apply_at(&key, &manifest, WRITER, true).await;
    assert_eq!(outrun.expect("an answer"), Applied::Outrun);
    assert_eq!(field.get(&key).await.as_ref(), Some(&live), "what is outrun changes nothing");

    manifest["metadata"]["resourceVersion"] = live["metadata"]["resourceVersion"].clone();
    let done = field.cluster.apply_at(&key, &manifest, WRITER, true).await.expect("an answer");
    let Applied::Done(done) = done else { panic!("{done:?}") };
    assert_eq!(text(&done, "/data/a"), "2");
    let same = field.apply(&key, &json!({"data": {"a": "2"}})).await;
    assert_eq!(text(&same, "/metadata/resourceVersion"), text(&done, "/metadata/resourceVersion"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_applied_says_why() {
    let field = Field::prepare().await;
    let settings = field.key("v1", "ConfigMap", "settings");
    let plain = json!({"data": {"a": "1"}});

    let unserved = field.key("nowhere.test/v1", "Thing", "a");
    let answer =
        field.cluster.apply_at(&unserved, &field.manifest(&unserved, &json!({})), WRITER, true).await;
    assert_eq!(answer.expect("an answer"), Applied::NotServed);

    let mut elsewhere = settings.clone();
    elsewhere.namespace = format!("{}-not", field.namespace.name);
    let error = field.cluster.apply_at(&elsewhere, &field.manifest(&elsewhere, &plain), WRITER, true).await;
    let error = error.expect_err("there is no such namespace");
    assert!(error.is_not_found(), "{error}");
    assert_eq!(error.says(), format!("there is no namespace {}: create it", elsewhere.namespace));

    let wrong = field.manifest(&settings, &json!({"data": {"not a key": "1"}}));
    let error = field.cluster.apply_at(&settings, &wrong, WRITER, true).await.expect_err("a wrong key");
    assert!(matches!(&error, CallError::Refused(status) if status.code == 422), "{error}");
    assert!(error.says().contains("data[not a key]"), "{}", error.says());

    let secret = field.key("v1", "Secret", "password");
    for data in [json!({"a": "hunter2 is not base64"}), json!({"not a key": "aHVudGVyMg=="})] {
        let wrong = field.manifest(&secret, &json!({"data": data}));
        let error = field.cluster.apply_at(&secret, &wrong, WRITER, true).await.expect_err("a wrong Secret");
        let told = format!("{error} {error:?} {}", error.says());
        assert!(!told.contains("hunter2") && !told.contains("aHVudGVyMg"), "{told}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_apply_leaves_behind_is_taken_out() {
    let field = Field::prepare().await;
    let key = field.key("apps/v1", "Deployment", "web");
    let spec = |container: Value| {
        json!({"spec": {
            "replicas": 0,
            "selector": {"matchLabels": {"app": "web"}},
            "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [container]}},
        }})
    };
    let probe = json!({"httpGet": {"path": "/", "port": 80}});
    let probed = json!({"name": "web", "image": "nowhere.test/web", "readinessProbe": probe});
    field.apply(&key, &spec(probed)).await;
    let plain = field.manifest(&key, &spec(json!({"name": "web", "image": "nowhere.test/web"})));
    let refused =
        field.cluster.apply_at(&key, &plain, WRITER, true).await.expect_err("a probe without a port");
    // The API server had filled in how the port is asked, and now misses the port.
    let invalid = "spec.template.spec.containers[0].readinessProbe.httpGet.port";
    assert_eq!(refused.invalid_fields(), Some(vec![invalid]), "{refused}");

    let without = |live: &Value| {
        let mut trimmed = live.clone();
        let container = trimmed.pointer_mut("/spec/template/spec/containers/0").expect("a container");
        container.as_object_mut().expect("a map").remove("readinessProbe");
        trimmed
    };
    let live = field.get(&key).await.expect("the object");
    field.namespace.kubectl(&["annotate", "deployment", "web", "by=hand"]);
    let outrun = field.cluster.trim(&key, &live, &without(&live), WRITER).await;
    assert_eq!(outrun.expect("an answer"), Applied::Outrun, "it is another than was read");

    // Its controller writes its status meanwhile.
    wait_until("it is trimmed", Duration::from_secs(30), || async {
        let live = field.get(&key).await.expect("the object");
        let trimmed = field.cluster.trim(&key, &live, &without(&live), WRITER).await.expect("an answer");
        matches!(trimmed, Applied::Done(_)).then_some(())
    })
    .await;
    let done = field.cluster.apply_at(&key, &plain, WRITER, true).await.expect("an answer");
    let Applied::Done(done) = done else { panic!("{done:?}") };
    assert_eq!(done.pointer("/spec/template/spec/containers/0/readinessProbe"), None);
    assert_eq!(text(&done, "/metadata/annotations/by"), "hand", "what others wrote stays");
}
