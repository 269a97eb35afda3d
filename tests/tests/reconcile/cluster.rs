//! What is in the cluster, as `kubectl` tells it.

use std::fs;
use std::time::Duration;

use serde_json::{Value, json};
use slipway_tests::namespace::Namespace;
use slipway_tests::wait;

/// Kinds that revisions of these tests have in a namespace. Endpoints are not among them: the cluster makes them
/// itself, and gives them the labels of their Service.
const KINDS: &str = "deployments.apps,statefulsets.apps,daemonsets.apps,jobs.batch,services,configmaps,secrets,\
serviceaccounts,persistentvolumeclaims,ingresses.networking.k8s.io,horizontalpodautoscalers.autoscaling,\
roles.rbac.authorization.k8s.io,rolebindings.rbac.authorization.k8s.io";
/// How long a pod may take to come or to go.
const PODS_WITHIN: Duration = Duration::from_secs(120);

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("no JSON ({error}): {text}"))
}

/// Objects of some kinds that a selector of labels finds.
fn listed(space: &Namespace, kinds: &str, selector: &str) -> Vec<Value> {
    let list = json(&space.kubectl(&["get", kinds, "--selector", selector, "--output", "json"]));
    list["items"].as_array().cloned().unwrap_or_default()
}

/// Objects that a selector of labels finds.
pub(crate) fn all(space: &Namespace, selector: &str) -> Vec<Value> {
    listed(space, KINDS, selector)
}

/// An object, if it is there.
pub(crate) fn object(space: &Namespace, kind: &str, name: &str) -> Option<Value> {
    let found = space.kubectl(&["get", kind, name, "--ignore-not-found", "--output", "json"]);
    (!found.trim().is_empty()).then(|| json(&found))
}

/// A field of an object that must be there.
pub(crate) fn field(space: &Namespace, kind: &str, name: &str, pointer: &str) -> Value {
    let object = object(space, kind, name).unwrap_or_else(|| panic!("there is no {kind} {name}"));
    object.pointer(pointer).cloned().unwrap_or_default()
}

/// By which an object is told from all others, and from what it was before any change.
pub(crate) fn version(space: &Namespace, kind: &str, name: &str) -> (Value, Value) {
    let metadata = field(space, kind, name, "/metadata");
    (metadata["uid"].clone(), metadata["resourceVersion"].clone())
}

/// `Kind/name`.
pub(crate) fn name_of(object: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    format!("{}/{}", text(&object["kind"]), text(&object["metadata"]["name"]))
}

/// Makes an object with the tool.
pub(crate) fn make(space: &Namespace, object: &Value) {
    let file = tempfile::NamedTempFile::new().expect("a temporary file");
    fs::write(file.path(), object.to_string()).expect("a file");
    space.kubectl(&["create", "--filename", &file.path().display().to_string()]);
}

/// Pods of a component that are to stay.
pub(crate) fn pods(space: &Namespace, component: &str) -> Vec<Value> {
    let selector = format!("slipway.dev/component={component}");
    let mut found = listed(space, "pods", &selector);
    found.retain(|pod| pod["metadata"]["deletionTimestamp"].is_null());
    found
}

/// Waits until a component has so many pods, each with this image, and no others.
pub(crate) fn assert_pods(space: &Namespace, component: &str, count: usize, image: &str) {
    wait::until(&format!("{count} pods of {component} run {image}"), PODS_WITHIN, || {
        let found = pods(space, component);
        let images = found.iter().map(|pod| pod["spec"]["containers"][0]["image"].clone());
        let phases = found.iter().map(|pod| pod["status"]["phase"].clone());
        let seen: Vec<(Value, Value)> = images.zip(phases).collect();
        let fit = seen.iter().all(|(found, phase)| found == image && phase == "Running");
        if seen.len() == count && fit { Ok(()) } else { Err(format!("{seen:?}")) }
    });
}

/// Waits until a program in a pod of a Deployment says this.
fn assert_says(space: &Namespace, deployment: &str, program: &[&str], expected: &str) {
    let within = format!("deployment/{deployment}");
    let look = [&["exec", &within, "--", "/bin/busybox"][..], program].concat();
    wait::until(&format!("{program:?} in {deployment} says {expected:?}"), PODS_WITHIN, || {
        match space.try_kubectl(&look) {
            Ok(said) if said == expected => Ok(()),
            Ok(other) | Err(other) => Err(other),
        }
    });
}

/// Waits until a Deployment serves this page.
pub(crate) fn assert_serves(space: &Namespace, deployment: &str, page: &str) {
    assert_says(space, deployment, &["wget", "-q", "-O", "-", "http://127.0.0.1:8080/"], page);
}

/// Waits until a variable of a Deployment's pods has this value.
pub(crate) fn assert_variable(space: &Namespace, deployment: &str, name: &str, value: &str) {
    assert_says(space, deployment, &["sh", "-c", &format!("echo ${name}")], &format!("{value}\n"));
}

/// Runs a container to its end in a pod that knows this address by this name, as there is no DNS; gives what it printed,
/// `Err` if it failed.
pub(crate) fn run(
    space: &Namespace,
    container: &Value,
    (host, address): (&Value, &Value),
) -> Result<String, String> {
    let mut container = container.clone();
    container["name"] = "run".into();
    let pod = json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "run"},
        "spec": {
            "restartPolicy": "Never",
            "terminationGracePeriodSeconds": 0,
            "hostAliases": [{"ip": address, "hostnames": [host]}],
            "containers": [container],
        },
    });
    make(space, &pod);
    let phase = wait::until("a container ends", PODS_WITHIN, || {
        let phase = field(space, "pod", "run", "/status/phase");
        if phase == "Succeeded" || phase == "Failed" { Ok(phase) } else { Err(phase) }
    });
    let printed = space.kubectl(&["logs", "run"]).trim().to_owned();
    space.kubectl(&["delete", "pod", "run"]);
    if phase == "Succeeded" { Ok(printed) } else { Err(printed) }
}

/// Waits until nothing that a selector finds is left, no pod either.
pub(crate) fn assert_none(space: &Namespace, selector: &str) {
    wait::until(&format!("nothing of {selector} is left"), PODS_WITHIN, || {
        let left = listed(space, &format!("{KINDS},pods,replicasets.apps"), selector);
        let left: Vec<String> = left.iter().map(name_of).collect();
        if left.is_empty() { Ok(()) } else { Err(left.join(", ")) }
    });
}
