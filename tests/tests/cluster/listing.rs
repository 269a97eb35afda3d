//! Objects found by their label.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use slipway_kubernetes::{CallError, ClusterOptions, Deleted, Followed, Freshness, digest_of};

use crate::{Field, text};

/// Kind and name of each.
fn names(objects: &[Value]) -> Vec<(String, String)> {
    let name = |object| (text(object, "/kind").to_owned(), text(object, "/metadata/name").to_owned());
    objects.iter().map(name).collect()
}

fn kinds(kinds: &[(&str, &str)]) -> BTreeSet<(String, String)> {
    kinds.iter().map(|(api_version, kind)| ((*api_version).to_owned(), (*kind).to_owned())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn labelled_finds_what_is_labelled_and_no_more() {
    // Two pages and a bit.
    let field = Field::with(ClusterOptions { page_objects: 2, ..ClusterOptions::default() }).await;
    for name in ["a", "b", "c", "d", "e"] {
        field.apply(&field.key("v1", "ConfigMap", name), &json!({})).await;
    }
    field.apply(&field.key("v1", "Secret", "s"), &json!({"data": {"a": "MQ=="}})).await;
    field
        .apply(
            &field.key("v1", "Service", "not-asked-for"),
            &json!({"spec": {"ports": [{"port": 80, "protocol": "TCP"}]}}),
        )
        .await;
    field.namespace.kubectl(&["create", "configmap", "foreign"]);

    let wanted = kinds(&[("v1", "ConfigMap"), ("v1", "Secret"), ("nowhere.test/v1", "Thing")]);
    let mine = Some(field.namespace.name.as_str());
    let found =
        field.cluster.labelled(&field.selector(), &wanted, mine, Freshness::Now).await.expect("a list");
    let expected = [
        ("ConfigMap", "a"),
        ("ConfigMap", "b"),
        ("ConfigMap", "c"),
        ("ConfigMap", "d"),
        ("ConfigMap", "e"),
        ("Secret", "s"),
    ];
    assert_eq!(names(&found), expected.map(|(kind, name)| (kind.to_owned(), name.to_owned())));
    assert!(found.iter().all(|object| object["apiVersion"] == "v1"));
    let anywhere =
        field.cluster.labelled(&field.selector(), &wanted, None, Freshness::Now).await.expect("a list");
    assert_eq!(names(&anywhere), names(&found));
    let elsewhere =
        field.cluster.labelled(&field.selector(), &wanted, Some("default"), Freshness::Lately).await;
    assert!(elsewhere.expect("a list").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn more_objects_than_allowed_are_an_error_that_names_the_limit() {
    let field = Field::with(ClusterOptions { max_listed_objects: 2, ..ClusterOptions::default() }).await;
    for name in ["a", "b", "c"] {
        field.apply(&field.key("v1", "ConfigMap", name), &json!({})).await;
    }
    let wanted = kinds(&[("v1", "ConfigMap")]);
    let error = field
        .cluster
        .labelled(&field.selector(), &wanted, None, Freshness::Lately)
        .await
        .expect_err("too many");
    assert!(matches!(error, CallError::Refused(_)), "asked again it is the same: {error}");
    assert!(error.says().contains("max_listed_objects"), "{}", error.says());
}

#[tokio::test(flavor = "multi_thread")]
async fn labelled_everywhere_finds_each_object_once_whatever_its_kind() {
    let field = Field::prepare().await;
    let name = field.namespace.name.clone();
    field.apply(&field.key("v1", "ConfigMap", "settings"), &json!({"data": {"a": "1"}})).await;
    let rule = json!({"rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}]});
    field.apply(&field.key("rbac.authorization.k8s.io/v1", "Role", "reader"), &rule).await;
    // Older servers serve it in two groups.
    let backend = json!({"spec": {"defaultBackend": {"service": {"name": "web", "port": {"number": 80}}}}});
    field.apply(&field.key("networking.k8s.io/v1", "Ingress", "web"), &backend).await;
    let everywhere = field.key("rbac.authorization.k8s.io/v1", "ClusterRole", &name);
    let made = field.apply(&everywhere, &rule).await;
    field.namespace.kubectl(&["create", "configmap", "foreign"]);

    let found = field.cluster.labelled_everywhere(&field.selector()).await;
    // No namespace takes it along.
    let removed = field.cluster.delete_exactly(&everywhere, text(&made, "/metadata/uid"), None).await;
    assert_eq!(removed.expect("an answer"), Deleted::Ordered);

    let found = found.expect("a list");
    assert_eq!(found.unreadable, Vec::<String>::new());
    let mut all = names(&found.objects);
    all.sort();
    let expected =
        [("ClusterRole", name.as_str()), ("ConfigMap", "settings"), ("Ingress", "web"), ("Role", "reader")];
    assert_eq!(all, expected.map(|(kind, name)| (kind.to_owned(), name.to_owned())));
    let ingress = found.objects.iter().find(|object| object["kind"] == "Ingress").expect("the Ingress");
    assert_eq!(ingress["apiVersion"], "networking.k8s.io/v1");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_glimpse_tells_of_an_object_what_a_watch_does() {
    let field = Field::prepare().await;
    let key = |name: &str| field.key("v1", "ConfigMap", name);
    let glimpses = || async {
        let found = field.cluster.glimpses("v1", "ConfigMap", None, &field.selector()).await.expect("a list");
        let digests = found.into_iter().map(|found| (found.key.name, found.digest));
        digests.collect::<BTreeMap<_, _>>()
    };
    assert!(glimpses().await.is_empty());
    let made = field.apply(&key("a"), &json!({"data": {"round": "1"}})).await;
    field.apply(&key("b"), &json!({"data": {"round": "1"}})).await;
    let first = glimpses().await;
    assert_eq!(first.len(), 2);
    assert_eq!(first.get("a"), Some(&digest_of(&made)));
    assert_eq!(glimpses().await, first, "nothing changed");
    field.apply(&key("a"), &json!({"data": {"round": "2"}})).await;
    let second = glimpses().await;
    assert!(second["a"] != first["a"] && second["b"] == first["b"]);
    let unserved = field.cluster.glimpses("nowhere.test/v1", "Thing", None, &field.selector()).await;
    assert!(unserved.expect("a list").is_empty());
    for (api_version, kind) in [("v1", "ConfigMap"), ("apps/v1", "Deployment"), ("nowhere.test/v1", "Thing")]
    {
        let followed = field.cluster.may_follow(api_version, kind, None).await.expect("an answer");
        assert_eq!(followed, Followed::Watched, "{kind}");
    }
}
