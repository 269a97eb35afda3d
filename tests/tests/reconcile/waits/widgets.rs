//! Custom resources that have no controller: a kind for each namespace, all of one group. The group itself stays,
//! so that whoever looks at all that the cluster serves never meets one that is half gone.

use std::fs;
use std::time::Duration;

use serde_json::{Value, json};
use slipway_tests::namespace::Namespace;
use slipway_tests::wait;

const GROUP: &str = "reconcile.slipway.test";
/// How long the API server may take to serve a kind.
const SERVED_WITHIN: Duration = Duration::from_secs(90);

/// What is a namespace's own in its name.
fn mark(space: &Namespace) -> &str {
    space.name.trim_start_matches("test-")
}

/// The plural by which the namespace's kind is asked for.
fn plural(space: &Namespace) -> String {
    format!("w{}", mark(space))
}

fn definition(kind: &str, plural: &str, singular: &str) -> Value {
    let schema = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    let version = json!({
        "name": "v1",
        "served": true,
        "storage": true,
        "subresources": {"status": {}},
        "schema": {"openAPIV3Schema": schema},
    });
    let names =
        json!({"kind": kind, "listKind": format!("{singular}List"), "plural": plural, "singular": singular});
    json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("{plural}.{GROUP}")},
        "spec": {"group": GROUP, "scope": "Namespaced", "names": names, "versions": [version]},
    })
}

fn apply(space: &Namespace, object: &Value) {
    let file = tempfile::NamedTempFile::new().expect("a temporary file");
    fs::write(file.path(), object.to_string()).expect("a file");
    let file = file.path().display().to_string();
    space.kubectl(&["apply", "--server-side", "--force-conflicts", "--filename", &file]);
}

/// The definition of the namespace's kind, for whoever is to bring it to the cluster.
pub(crate) fn definition_of(space: &Namespace) -> Value {
    apply(space, &definition("Anchor", "anchors", "anchor"));
    let plural = plural(space);
    definition(&kind(space), &plural, &plural)
}

/// Has the cluster serve the namespace's kind.
pub(crate) fn define(space: &Namespace) {
    apply(space, &definition_of(space));
    let name = format!("{}.{GROUP}", plural(space));
    wait::until(&format!("{name} is served"), SERVED_WITHIN, || space.try_kubectl(&["get", &name]));
}

/// The kind of the namespace's own.
pub(crate) fn kind(space: &Namespace) -> String {
    format!("W{}", mark(space))
}

/// An object of that kind; its controller never writes a status.
pub(crate) fn widget(space: &Namespace) -> Value {
    json!({
        "apiVersion": format!("{GROUP}/v1"),
        "kind": kind(space),
        "metadata": {"name": "lonely"},
        "spec": {"size": 1},
    })
}

/// Writes the status of the namespace's widget, as its controller would.
pub(crate) fn report(space: &Namespace, phase: &str) {
    let path = format!("/apis/{GROUP}/v1/namespaces/{}/{}/lonely", space.name, plural(space));
    let mut object: Value = serde_json::from_str(&space.kubectl(&["get", "--raw", &path])).expect("JSON");
    object["status"] = json!({"phase": phase, "observedGeneration": object["metadata"]["generation"]});
    let file = tempfile::NamedTempFile::new().expect("a temporary file");
    fs::write(file.path(), object.to_string()).expect("a file");
    let file = file.path().display().to_string();
    space.kubectl(&["replace", "--raw", &format!("{path}/status"), "--filename", &file]);
}

/// Another definition of the same kind: the cluster keeps it, and never accepts its names.
pub(crate) fn rival(space: &Namespace) -> Value {
    let plural = format!("x{}", mark(space));
    definition(&kind(space), &plural, &plural)
}

/// Has the cluster no longer serve the kind.
pub(crate) fn withdraw(space: &Namespace) {
    let name = format!("{}.{GROUP}", plural(space));
    space.kubectl(&["delete", "customresourcedefinition", &name]);
    wait::until(&format!("{name} is not served"), SERVED_WITHIN, || {
        match space.try_kubectl(&["get", &name]) {
            Ok(said) => Err(said),
            Err(_) => Ok(()),
        }
    });
}

/// Takes away the definitions.
pub(crate) fn forget(space: &Namespace) {
    for plural in [plural(space), format!("x{}", mark(space))] {
        let name = format!("{plural}.{GROUP}");
        let delete = ["delete", "customresourcedefinition", &name, "--ignore-not-found", "--wait=false"];
        drop(space.try_kubectl(&delete));
    }
}
