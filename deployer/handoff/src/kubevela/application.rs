//! The `Application` object of a revision.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use slipway_types::Digest;

use super::annotated;
use crate::graph::{Graph, NodeName};
use crate::manifests::{self, Manifests};
use crate::node::{Collect, Object, ObjectRef};
use crate::oci::{
    ANNOTATION_APPLICATION, ANNOTATION_ENVIRONMENT, ANNOTATION_GENERATION, ANNOTATION_REVISION,
};
use crate::receiver::ReceiverError;
use crate::secret;
use crate::submission::{Key, Submission};

/// KubeVela starts over when this changes.
const ANNOTATION_PUBLISH_VERSION: &str = "app.oam.dev/publishVersion";
/// The node of a component, whose own name may be shortened.
pub(super) const ANNOTATION_NODES: &str = "dev.slipway.nodes";
/// Names become values of labels.
const NAME_CHARS_MAX: usize = 63;

/// The name of the Application of a key.
pub fn object_name(key: &Key) -> String {
    let name = key.application.bare().as_str();
    let full = if key.environment.is_default_stage() {
        name.to_owned()
    } else {
        format!("{name}-{}", key.environment.stage())
    };
    label_value(&full)
}

/// `text` as a DNS label; another text gives another label.
fn label_value(text: &str) -> String {
    let safe = |c: char| if c.is_ascii_lowercase() || c.is_ascii_digit() { c } else { '-' };
    let plain: String = text.chars().map(safe).collect();
    let is_same = plain == text && !plain.starts_with('-') && !plain.ends_with('-');
    if is_same && (1..=NAME_CHARS_MAX).contains(&plain.len()) {
        return plain;
    }
    let kept: String = plain.trim_matches('-').chars().take(NAME_CHARS_MAX - 9).collect();
    let digest = Digest::of(text).hex();
    format!("{}-{}", if kept.is_empty() { "n" } else { kept.trim_end_matches('-') }, &digest[..8])
}

/// Which object the Application of a key is.
pub(super) fn reference(key: &Key, namespace: Option<&str>) -> ObjectRef {
    ObjectRef {
        api_version: "core.oam.dev/v1beta1".to_owned(),
        kind: "Application".to_owned(),
        namespace: Some(namespace.unwrap_or_else(|| key.environment.namespace()).to_owned()),
        name: object_name(key),
    }
}

/// Which object remembers that an Application was removed, and by which generation.
pub(super) fn mark_reference(application: &ObjectRef) -> ObjectRef {
    ObjectRef {
        api_version: "v1".to_owned(),
        kind: "ConfigMap".to_owned(),
        namespace: application.namespace.clone(),
        name: format!("{}-slipway-removed", application.name),
    }
}

fn head(object: &ObjectRef, submission: &Submission) -> Value {
    json!({
        "apiVersion": object.api_version,
        "kind": object.kind,
        "metadata": {
            "name": object.name,
            "namespace": object.namespace,
            "labels": {"app.kubernetes.io/managed-by": "slipway"},
            "annotations": {
                ANNOTATION_GENERATION: submission.generation.to_string(),
                ANNOTATION_REVISION: submission.revision.to_string(),
                ANNOTATION_APPLICATION: submission.key.application.path(),
                ANNOTATION_ENVIRONMENT: submission.key.environment.to_string(),
            },
        },
    })
}

/// The object that remembers a removal.
pub(super) fn mark(application: &ObjectRef, submission: &Submission) -> Value {
    head(&mark_reference(application), submission)
}

/// The object that remembers a removal where there is no Application: beside what was removed.
pub(crate) fn removed(submission: &Submission) -> (ObjectRef, Value) {
    let application = reference(&submission.key, None);
    (mark_reference(&application), mark(&application, submission))
}

/// The generation and revision that an object of ours carries; `None` if it is not this key's.
pub(super) fn origin(object: &Value, key: &Key) -> Option<(u64, Digest)> {
    let annotations = &object["metadata"]["annotations"];
    let is_ours = annotations[ANNOTATION_APPLICATION] == key.application.path()
        && annotations[ANNOTATION_ENVIRONMENT] == key.environment.to_string();
    annotated(object).filter(|_| is_ours)
}

/// The Application of a submission whose objects were checked.
pub(super) async fn build(
    reference: &ObjectRef,
    submission: &Submission,
    source: &dyn Manifests,
    max_manifest_bytes: usize,
) -> Result<Value, ReceiverError> {
    let graph = submission.graph();
    let graph = graph.as_ref();
    let (mut components, mut names) = (Vec::new(), BTreeMap::new());
    let mut written: BTreeSet<&NodeName> = BTreeSet::new();
    for name in graph.order() {
        let mut objects = Vec::new();
        for object in &graph.nodes()[name].objects {
            let bytes = manifests::read(source, &object.manifest, max_manifest_bytes).await?;
            let manifest: Value = serde_json::from_slice(&bytes).map_err(|error| {
                ReceiverError::Manifest { digest: object.manifest, why: format!("it is no JSON: {error}") }
            })?;
            if secret::references(&object.object, &manifest).0.is_empty() {
                objects.push(manifest);
            }
        }
        if objects.is_empty() {
            continue;
        }
        let mut component = json!({
            "name": label_value(name),
            "type": "k8s-objects",
            "properties": {"objects": objects},
        });
        let needs: Vec<String> = component_needs(graph, name, &written).map(label_value).collect();
        if !needs.is_empty() {
            component["dependsOn"] = json!(needs);
        }
        components.push(component);
        names.insert(label_value(name), name);
        written.insert(name);
    }
    let mut application = head(reference, submission);
    let annotations = &mut application["metadata"]["annotations"];
    annotations[ANNOTATION_PUBLISH_VERSION] = generation_name(submission.generation).into();
    annotations[ANNOTATION_NODES] = json!(names).to_string().into();
    application["spec"] = json!({"components": components});
    let policies = policies(graph);
    if !policies.is_empty() {
        application["spec"]["policies"] = policies.into();
    }
    Ok(application)
}

/// What [`ANNOTATION_PUBLISH_VERSION`] says for a generation.
pub(super) fn generation_name(generation: u64) -> String {
    format!("g{generation}")
}

/// The nearest nodes with a component that `name` needs, through those without one.
fn component_needs<'a>(
    graph: &'a Graph,
    name: &NodeName,
    written: &BTreeSet<&'a NodeName>,
) -> impl Iterator<Item = &'a str> + use<'a> {
    let (mut found, mut seen) = (BTreeSet::new(), BTreeSet::new());
    let mut open: Vec<&NodeName> = graph.nodes()[name].needs.iter().collect();
    while let Some(need) = open.pop() {
        if written.contains(need) {
            found.insert(need.as_str());
        } else if seen.insert(need) {
            open.extend(&graph.nodes()[need].needs);
        }
    }
    found.into_iter()
}

/// What Slipway says of single objects, in KubeVela's words.
fn policies(graph: &Graph) -> Vec<Value> {
    let objects: Vec<&Object> = graph.objects().map(|(_, object)| object).collect();
    let rules = |rule: &dyn Fn(&Object) -> Option<Value>| -> Vec<Value> {
        objects.iter().filter_map(|object| rule(object)).collect()
    };
    let selector = |object: &Object| json!({"resourceTypes": [object.object.kind], "resourceNames": [object.object.name]});
    let collect = rules(&|object| {
        let strategy = match object.collect {
            Collect::OnUpdate => return None,
            Collect::OnDelete => "onAppDelete",
            Collect::Never => "never",
        };
        Some(json!({"selector": selector(object), "strategy": strategy}))
    });
    let once = rules(&|object| {
        let paths: Vec<String> = object.once.iter().map(dotted).collect();
        let rule = || json!({"selector": selector(object), "strategy": {"path": paths}});
        (!paths.is_empty()).then(rule)
    });
    let shared = rules(&|object| object.shared.then(|| json!({"selector": selector(object)})));
    [
        ("collect", "garbage-collect", collect),
        ("once", "apply-once", once),
        ("shared", "shared-resource", shared),
    ]
    .into_iter()
    .filter(|(_, _, rules)| !rules.is_empty())
    .map(|(name, kind, rules)| {
        let mut properties = json!({"rules": rules});
        if kind == "apply-once" {
            properties["enable"] = true.into();
        }
        json!({"name": name, "type": kind, "properties": properties})
    })
    .collect()
}

/// A pointer as KubeVela writes it: `spec.containers[0].image`.
fn dotted(pointer: &crate::Pointer) -> String {
    let mut path = String::new();
    for step in pointer.steps() {
        if step.bytes().all(|b| b.is_ascii_digit()) {
            path.push_str(&format!("[{step}]"));
        } else if step.contains(['.', '/', '[', ']']) {
            path.push_str(&format!("[\"{step}\"]"));
        } else {
            if !path.is_empty() {
                path.push('.');
            }
            path.push_str(&step);
        }
    }
    path
}
