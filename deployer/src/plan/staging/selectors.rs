//! Selectors of a package that mean its own pods.
//!
//! Without the stage in them a Service would lead to the pods of every stage of the namespace, and an
//! autoscaler would count them.

use serde_json::{Map, Value, json};
use slipway_definitions::label;
use slipway_types::Address;

use super::mark;
use super::places::{POD_SPECS, each};

/// Below an object: selectors of the form `matchLabels` that mean pods.
const SELECTORS: [(&str, &str); 3] = [
    ("PodDisruptionBudget", "spec/selector"),
    ("PodMonitor", "spec/selector"),
    ("NetworkPolicy", "spec/podSelector"),
];
/// Whom a NetworkPolicy lets in or out to.
const PEERS: [&str; 2] = ["spec/ingress/*/from/*", "spec/egress/*/to/*"];
/// Below the specification of a pod: terms with a `labelSelector`.
const TERMS: [&str; 5] = [
    "topologySpreadConstraints/*",
    "affinity/podAffinity/requiredDuringSchedulingIgnoredDuringExecution/*",
    "affinity/podAntiAffinity/requiredDuringSchedulingIgnoredDuringExecution/*",
    "affinity/podAffinity/preferredDuringSchedulingIgnoredDuringExecution/*/podAffinityTerm",
    "affinity/podAntiAffinity/preferredDuringSchedulingIgnoredDuringExecution/*/podAffinityTerm",
];
/// Where the labels of the pods that an object makes stand.
const TEMPLATES: [&str; 2] = ["/spec/template", "/spec/jobTemplate/spec/template"];

/// Puts the stage on the pods of a package and into every selector that means them.
pub(super) fn carry_stage(objects: &mut [&mut Value], address: &Address) {
    let stage = address.stage();
    let pods = Labelled(objects.iter().flat_map(|object| labels_of_pods(object)).collect());
    let services = Labelled(objects.iter().filter_map(|object| labels_of_service(object)).collect());
    for object in objects {
        mark_pods(object, stage);
        mark_workload(object, stage);
        mark_selectors(object, &pods, stage);
        if object["kind"] == "ServiceMonitor" {
            each(object, "spec/selector", &mut |found| services.mark(found, stage));
        }
        // A policy for all pods of the namespace is, in a stage of its own, one for all pods of the stage.
        if object["kind"] == "NetworkPolicy" && !address.is_default_stage() {
            each(object, "spec/podSelector", &mut |found| {
                if found.as_object().is_some_and(Map::is_empty) {
                    mark_below(found, "matchLabels", stage);
                }
            });
        }
    }
}

/// The labels of the pods or Services that a package makes, as it wrote them.
struct Labelled(Vec<Map<String, Value>>);

impl Labelled {
    /// Puts the stage into a selector that means some of them.
    fn mark(&self, selector: &mut Value, stage: &str) {
        if self.meant_by_selector(selector) {
            mark_below(selector, "matchLabels", stage);
        }
    }

    /// Whether a selector by labels alone means some of them, or any objects of Slipway. One that says its
    /// stage means just that, be it another.
    fn meant_by(&self, labels: &Map<String, Value>) -> bool {
        if labels.contains_key(label::STAGE) {
            return false;
        }
        let ours = labels.keys().any(|key| key.starts_with("slipway.dev/"));
        let holds = |pod: &Map<String, Value>| labels.iter().all(|(key, value)| pod.get(key) == Some(value));
        !labels.is_empty() && (ours || self.0.iter().any(holds))
    }

    /// The same of a selector with `matchLabels` and `matchExpressions`.
    fn meant_by_selector(&self, selector: &Value) -> bool {
        let empty = Map::new();
        let labels = selector["matchLabels"].as_object().unwrap_or(&empty);
        let expressions = selector["matchExpressions"].as_array().map(Vec::as_slice).unwrap_or_default();
        if expressions.is_empty() {
            return self.meant_by(labels);
        }
        let says_stage = |expression: &Value| expression["key"] == label::STAGE;
        if labels.contains_key(label::STAGE) || expressions.iter().any(says_stage) {
            return false;
        }
        self.0.iter().any(|pod| {
            labels.iter().all(|(key, value)| pod.get(key) == Some(value))
                && expressions.iter().all(|expression| holds(expression, pod))
        })
    }
}

fn holds(expression: &Value, pod: &Map<String, Value>) -> bool {
    let value = expression["key"].as_str().and_then(|key| pod.get(key));
    let listed = |value: &Value| expression["values"].as_array().is_some_and(|list| list.contains(value));
    match expression["operator"].as_str() {
        Some("In") => value.is_some_and(listed),
        Some("NotIn") => !value.is_some_and(listed),
        Some("Exists") => value.is_some(),
        Some("DoesNotExist") => value.is_none(),
        _ => false,
    }
}

fn labels_of_pods(object: &Value) -> Vec<Map<String, Value>> {
    let own = if object["kind"] == "Pod" { object.pointer("/metadata/labels") } else { None };
    let templates =
        TEMPLATES.iter().filter_map(|pointer| object.pointer(pointer)?.pointer("/metadata/labels"));
    own.into_iter().chain(templates).filter_map(|labels| labels.as_object().cloned()).collect()
}

fn labels_of_service(object: &Value) -> Option<Map<String, Value>> {
    let labels = object.pointer("/metadata/labels").filter(|_| object["kind"] == "Service")?;
    labels.as_object().cloned()
}

fn mark_pods(object: &mut Value, stage: &str) {
    for pointer in TEMPLATES {
        let Some(template) =
            object.pointer_mut(pointer).filter(|found| found["spec"]["containers"].is_array())
        else {
            continue;
        };
        let Some(template) = template.as_object_mut() else { continue };
        let metadata = template.entry("metadata").or_insert_with(|| json!({}));
        mark_below(metadata, "labels", stage);
    }
}

/// A workload's own selector, where it has one: Jobs get theirs from the API server. It means the pods that
/// the workload makes, whose stage is this one whatever was written.
fn mark_workload(object: &mut Value, stage: &str) {
    let plain = object["kind"] == "ReplicationController";
    if object.pointer("/spec/template/spec/containers").is_none() {
        return;
    }
    let Some(selector) = object.pointer_mut("/spec/selector") else { return };
    match selector.as_object_mut() {
        Some(labels) if plain => mark(labels, stage),
        Some(_) => mark_below(selector, "matchLabels", stage),
        None => {}
    }
}

fn mark_selectors(object: &mut Value, pods: &Labelled, stage: &str) {
    let kind = object["kind"].as_str().unwrap_or_default().to_owned();
    if kind == "Service"
        && let Some(labels) = object.pointer_mut("/spec/selector").and_then(Value::as_object_mut)
        && pods.meant_by(labels)
    {
        mark(labels, stage);
    }
    for (_, path) in SELECTORS.iter().filter(|(of, _)| *of == kind) {
        each(object, path, &mut |found| pods.mark(found, stage));
    }
    for path in PEERS.iter().filter(|_| kind == "NetworkPolicy") {
        each(object, path, &mut |peer| {
            let elsewhere = peer.get("namespaceSelector").is_some();
            if let Some(selector) = peer.get_mut("podSelector").filter(|_| !elsewhere) {
                pods.mark(selector, stage);
            }
        });
    }
    for pointer in POD_SPECS {
        let Some(pod) = object.pointer_mut(pointer).filter(|pod| pod["containers"].is_array()) else {
            continue;
        };
        for path in TERMS {
            each(pod, path, &mut |term| {
                // A term of other namespaces means other stages too.
                let everywhere = term.get("namespaces").is_some() || term.get("namespaceSelector").is_some();
                if let Some(selector) = term.get_mut("labelSelector").filter(|_| !everywhere) {
                    pods.mark(selector, stage);
                }
            });
        }
    }
}

/// Puts the stage into the map `field` of `value`, which is made if it is not there.
fn mark_below(value: &mut Value, field: &str, stage: &str) {
    let Some(fields) = value.as_object_mut() else { return };
    let labels = fields.entry(field).or_insert_with(|| json!({}));
    if labels.is_null() {
        *labels = json!({});
    }
    if let Some(labels) = labels.as_object_mut() {
        mark(labels, stage);
    }
}
