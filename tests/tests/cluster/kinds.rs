//! Kinds that come and go. Their group and its versions stay, so that whoever looks at all that the cluster serves
//! never meets one that is half gone.

use std::time::Duration;

use serde_json::{Value, json};
use slipway_kubernetes::{Applied, Deleted, ObjectKey};
use slipway_tests::wait::wait_until;

use crate::{Field, WRITER, text};

const WITHIN: Duration = Duration::from_secs(60);
const GROUP: &str = "cluster.slipway.test";
const VERSIONS: [&str; 2] = ["v1alpha1", "v1"];

/// A kind of the test's own; with it go its objects.
struct Defined<'a> {
    field: &'a Field,
    name: String,
}

impl<'a> Defined<'a> {
    async fn with(field: &'a Field) -> Self {
        define(field, "Anchor", "anchors", &VERSIONS).await;
        Self { field, name: field.namespace.name.replace('-', "") }
    }

    fn plural(&self) -> String {
        format!("{}s", self.name)
    }

    async fn serve(&self, served: &[&str]) {
        define(self.field, &self.name, &self.plural(), served).await;
    }

    fn object(&self, version: &str) -> ObjectKey {
        self.field.key(&format!("{GROUP}/{version}"), &self.name, "one")
    }
}

/// Defines a kind, served in these versions.
async fn define(field: &Field, kind: &str, plural: &str, served: &[&str]) {
    let schema = json!({"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}});
    let versions = VERSIONS.map(|version| {
        json!({
            "name": version,
            "served": served.contains(&version),
            "storage": version == "v1",
            "schema": schema,
        })
    });
    let names = json!({
        "kind": kind,
        "listKind": format!("{kind}List"),
        "plural": plural,
        "singular": kind.to_lowercase(),
    });
    let spec = json!({"group": GROUP, "scope": "Namespaced", "names": names, "versions": versions});
    let name = format!("{plural}.{GROUP}");
    let key = field.key("apiextensions.k8s.io/v1", "CustomResourceDefinition", &name);
    let manifest = json!({
        "apiVersion": key.api_version, "kind": key.kind, "metadata": {"name": key.name}, "spec": spec,
    });
    let applied = field.cluster.apply_at(&key, &manifest, WRITER, true).await;
    assert!(matches!(applied, Ok(Applied::Done(_))), "{applied:?}");
}

impl Drop for Defined<'_> {
    fn drop(&mut self) {
        let name = format!("{}.{GROUP}", self.plural());
        let delete = ["delete", "customresourcedefinition", &name, "--ignore-not-found", "--wait=false"];
        drop(self.field.namespace.try_kubectl(&delete));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_is_found_once_the_version_it_was_written_in_is_not_served() {
    let field = Field::prepare().await;
    let defined = Defined::with(&field).await;
    let (first, second) = (defined.object("v1alpha1"), defined.object("v1"));
    assert!(field.get(&first).await.is_none(), "there is no such kind");

    defined.serve(&VERSIONS).await;
    let manifest = |size: u32| -> Value { field.manifest(&first, &json!({"spec": {"size": size}})) };
    let made = wait_until("its kind is served", WITHIN, || async {
        match field.cluster.apply_at(&first, &manifest(1), WRITER, true).await {
            Ok(Applied::Done(made)) => Some(made),
            _ => None,
        }
    })
    .await;
    let uid = text(&made, "/metadata/uid");
    assert_eq!(text(&made, "/apiVersion"), first.api_version);

    defined.serve(&["v1"]).await;
    let found = wait_until("it is found in the version that is left", WITHIN, || async {
        match field.cluster.get(&first).await {
            Ok(None) => panic!("it was taken for gone"),
            Ok(Some(found)) => (found["apiVersion"] == second.api_version.as_str()).then_some(found),
            Err(_) => None,
        }
    })
    .await;
    assert_eq!(text(&found, "/metadata/uid"), uid);
    let answer = field.cluster.apply_at(&first, &manifest(2), WRITER, true).await;
    assert_eq!(answer.expect("an answer"), Applied::NotServed, "it is written in no other version");

    let deleted = field.cluster.delete_exactly(&first, uid, None).await;
    assert_eq!(deleted.expect("an answer"), Deleted::Ordered);
    assert!(field.get(&second).await.is_none());
}
