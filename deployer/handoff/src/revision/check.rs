//! What is wrong with a revision, all at once.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use slipway_types::{SecretReference, Violation};

use super::{FORMAT, Revision};
use crate::canonical::{canonical, has_fraction};
use crate::graph::NodeName;
use crate::manifests::{self, Manifests};
use crate::node::{APPROVALS_MAX, Call, Node, Object, ObjectRef, Output, RETRY_LIMIT_MAX, Ready};
use crate::receiver::ReceiverError;
use crate::secret::{self, SecretPlace};
use crate::tasks::is_task;

/// What a revision may be at most.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Nodes of a graph.
    pub max_nodes: usize,
    /// Objects of a graph.
    pub max_objects: usize,
    /// One manifest, in bytes. Kubernetes itself refuses objects much above 1 MiB.
    pub max_manifest_bytes: usize,
    /// The document, in bytes. Argo CD reads no larger configuration of an artifact.
    pub max_document_bytes: usize,
    /// A node's timeout or hold, in milliseconds.
    pub max_timeout_ms: u64,
    /// A CEL expression, in bytes.
    pub max_expression_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_nodes: 5_000,
            max_objects: 5_000,
            max_manifest_bytes: 2 << 20,
            max_document_bytes: 4 << 20,
            max_timeout_ms: 7 * 24 * 3_600_000,
            max_expression_bytes: 4 << 10,
        }
    }
}

const METHODS: [&str; 5] = ["GET", "POST", "PUT", "PATCH", "DELETE"];

impl Revision {
    /// What is wrong with the document by itself.
    pub fn violations(&self, limits: &Limits) -> Vec<Violation> {
        let mut found = Vec::new();
        if self.format != FORMAT {
            let message = format!("format {} is not known here, {FORMAT} is", self.format);
            found.push(Violation::new("format_unknown", "format", message));
        }
        self.sizes(limits, &mut found);
        // What is too large is not looked at further: the looks below take longer than its length.
        if !found.is_empty() {
            return found;
        }
        if self.graph.is_empty() && !self.allow_empty {
            let empty = Violation::new("empty_graph", "graph", "no node does anything");
            found.push(empty.hint("say allow_empty if nothing at all is meant to run"));
        }
        let owners = self.owners(&mut found);
        for (name, node) in self.graph.nodes() {
            let at = format!("graph[{name}]");
            Checked { revision: self, name, node, at, limits }.check(&mut found);
        }
        for (index, used) in self.secrets.iter().enumerate() {
            for place in &used.used_in {
                if !owners.contains_key(&place.object) || !place.object.is_secret() {
                    let message = format!("{} is no Secret of this graph", place.object);
                    found.push(Violation::new("secret_place_unknown", format!("secrets[{index}]"), message));
                }
            }
        }
        found
    }

    fn sizes(&self, limits: &Limits, found: &mut Vec<Violation>) {
        let objects = self.graph.nodes().values().map(|node| node.objects.len()).sum();
        for (what, is, name, most) in [
            ("nodes", self.graph.nodes().len(), "max_nodes", limits.max_nodes),
            ("objects", objects, "max_objects", limits.max_objects),
            ("bytes", canonical(self).len(), "max_document_bytes", limits.max_document_bytes),
        ] {
            if is > most {
                let message = format!("the revision has {is} {what}, the limit {name} is {most}");
                let large = Violation::new("revision_too_large", "graph", message);
                found.push(large.hint("split the application, or deploy fewer components at once"));
            }
        }
    }

    /// Which node has which object.
    fn owners(&self, found: &mut Vec<Violation>) -> BTreeMap<&ObjectRef, &NodeName> {
        let mut owners = BTreeMap::new();
        let mut seen = BTreeMap::new();
        for (name, object) in self.graph.objects() {
            if let Some(other) = seen.insert(object.object.identity(), name) {
                let message = format!("{} stands in the nodes {other} and {name}", object.object);
                found.push(Violation::new("object_twice", format!("graph[{name}].objects"), message));
            }
            owners.insert(&object.object, name);
        }
        owners
    }

    /// What is wrong with the objects: that they are what the document says, and hold no secret.
    pub async fn object_violations(
        &self,
        source: &dyn Manifests,
        limits: &Limits,
    ) -> Result<Vec<Violation>, ReceiverError> {
        let mut found = Vec::new();
        let mut markers: BTreeMap<SecretPlace, SecretReference> = BTreeMap::new();
        for (name, node) in self.graph.nodes() {
            for object in &node.objects {
                let bytes = manifests::read(source, &object.manifest, limits.max_manifest_bytes).await?;
                let at = format!("graph[{name}].objects[{}]", object.object);
                let places = check_object(node, object, &bytes, &at, &mut found);
                markers.extend(places);
            }
        }
        let declared: BTreeSet<(&SecretPlace, &SecretReference)> = self
            .secrets
            .iter()
            .flat_map(|used| used.used_in.iter().map(move |place| (place, &used.reference)))
            .collect();
        let standing: BTreeSet<(&SecretPlace, &SecretReference)> = markers.iter().collect();
        for (place, reference) in declared.symmetric_difference(&standing) {
            let message = if standing.contains(&(*place, *reference)) {
                format!("{} uses {reference} in `{}` and no version of it is frozen", place.object, place.key)
            } else {
                format!("{} does not use {reference} in `{}`", place.object, place.key)
            };
            found.push(Violation::new("secret_not_declared", "secrets", message));
        }
        Ok(found)
    }
}

fn check_object(
    node: &Node,
    object: &Object,
    bytes: &[u8],
    at: &str,
    found: &mut Vec<Violation>,
) -> Vec<(SecretPlace, SecretReference)> {
    let manifest: Value = match serde_json::from_slice(bytes) {
        Ok(manifest) => manifest,
        Err(error) => {
            found.push(Violation::new("manifest_invalid", at, format!("the manifest is no JSON: {error}")));
            return Vec::new();
        }
    };
    if ObjectRef::of(&manifest).as_ref() != Some(&object.object) {
        let message = format!("the manifest {} is of another object", object.manifest);
        found.push(Violation::new("manifest_invalid", at, message));
    }
    for hole in node.inputs.iter().flat_map(|input| &input.holes).filter(|hole| hole.object == object.object)
    {
        if !hole.path.fits(&manifest) {
            let message = format!("{} has no place {} that could be filled", object.object, hole.path);
            found.push(Violation::new("hole_unknown", at, message));
        }
    }
    let (references, misuses) = secret::references(&object.object, &manifest);
    for misuse in misuses {
        let code = if misuse.clear { "secret_in_the_clear" } else { "secret_misplaced" };
        let wrong = Violation::new(code, format!("{at}.{}", misuse.path), misuse.why);
        found.push(wrong.hint("keep the value in the secret store and refer to it: secret://builtin/NAME"));
    }
    let place = |key| SecretPlace { object: object.object.clone(), key };
    references.into_iter().map(|(key, reference)| (place(key), reference)).collect()
}

/// One node on its way through the checks.
struct Checked<'a> {
    revision: &'a Revision,
    name: &'a NodeName,
    node: &'a Node,
    at: String,
    limits: &'a Limits,
}

impl Checked<'_> {
    fn check(&self, found: &mut Vec<Violation>) {
        self.times(found);
        self.inputs(found);
        for (name, output) in &self.node.outputs {
            if let Output::Value(value) = output
                && has_fraction(value)
            {
                let message = format!("output `{name}` is a number with a fraction");
                found.push(self.violation("fraction", "outputs", message).hint("give it as text"));
            }
        }
        self.messages(found);
        let cel = self.node.objects.iter().filter_map(|object| match &object.ready {
            Ready::Cel(expression) => Some(expression),
            _ => None,
        });
        let waits = self.node.waits.iter().map(|wait| &wait.until);
        for expression in cel.chain(waits).chain(&self.node.when) {
            let (is, most) = (expression.len(), self.limits.max_expression_bytes);
            if expression.trim().is_empty() || is > most {
                let message =
                    format!("a condition has {is} bytes: expected 1 to max_expression_bytes = {most}");
                found.push(self.violation("condition_invalid", "ready", message));
            }
        }
        self.node.call.iter().for_each(|call| self.call(call, found));
        self.course(found);
    }

    /// Only Jobs end, and those of other nodes may be gone.
    fn messages(&self, found: &mut Vec<Violation>) {
        for (name, output) in &self.node.outputs {
            let Output::Message { object, key } = output else { continue };
            let is_own = self.node.objects.iter().any(|own| own.object == *object);
            if !is_own || !is_task(object) || key.is_empty() {
                let message = format!("output `{name}`: {object} is no Job of this node that leaves a key");
                found.push(self.violation("output_invalid", "outputs", message));
            }
        }
    }

    /// How often it begins anew, and how many people let it go on.
    fn course(&self, found: &mut Vec<Violation>) {
        let counted = |is: u32, most: u32, path: &str, code: &str| {
            let message = format!("expected 1 to {most}, is {is}");
            (is == 0 || is > most).then(|| self.violation(code, path, message))
        };
        if let Some(retry) = &self.node.retry {
            found.extend(counted(retry.limit, RETRY_LIMIT_MAX, "retry.limit", "retry_invalid"));
        }
        if let Some(hold) = &self.node.hold
            && let Some(approvals) = &hold.approvals
        {
            found.extend(counted(approvals.count, APPROVALS_MAX, "hold.approvals.count", "hold_invalid"));
            if hold.for_ms.is_some() {
                let message = "a hold that people approve does not go on by itself";
                found.push(self.violation("hold_invalid", "hold.for_ms", message));
            }
        }
    }

    fn violation(&self, code: &str, path: &str, message: impl Into<String>) -> Violation {
        Violation::new(code, format!("{}.{path}", self.at), message)
    }

    fn times(&self, found: &mut Vec<Violation>) {
        let most = self.limits.max_timeout_ms;
        let hold = self.node.hold.as_ref().and_then(|hold| hold.for_ms);
        let backoff = self.node.retry.map(|retry| retry.backoff_ms);
        for (path, ms) in
            [("timeout_ms", Some(self.node.timeout_ms)), ("hold.for_ms", hold), ("retry.backoff_ms", backoff)]
        {
            if ms.is_some_and(|ms| ms == 0 || ms > most) {
                let message = format!("expected 1 to max_timeout_ms = {most}");
                found.push(self.violation("timeout_invalid", path, message));
            }
        }
    }

    fn inputs(&self, found: &mut Vec<Violation>) {
        if self.node.inputs.is_empty() {
            return;
        }
        let before = self.revision.graph.before(self.name);
        let own: BTreeSet<&ObjectRef> = self.node.objects.iter().map(|object| &object.object).collect();
        let mut filled = BTreeSet::new();
        for (index, input) in self.node.inputs.iter().enumerate() {
            let path = format!("inputs[{index}]");
            let giver = self.revision.graph.nodes().get(&input.node);
            if !before.contains(&input.node) {
                let message = format!("`{}` is not ready before this node", input.node);
                found.push(self.violation("input_unordered", &path, message).hint("name it in `needs`"));
            }
            match giver.and_then(|node| node.outputs.get(&input.output)) {
                None => {
                    let message = format!("`{}` gives no output `{}`", input.node, input.output);
                    found.push(self.violation("output_unknown", &path, message));
                }
                Some(Output::Value(value)) if input.holes.iter().any(|hole| !hole.accepts.takes(value)) => {
                    let message = format!("the value of `{}` does not fit its hole", input.output);
                    found.push(self.violation("output_type", &path, message));
                }
                Some(_) => {}
            }
            for hole in &input.holes {
                if !own.contains(&hole.object) {
                    let message = format!("{} is no object of this node", hole.object);
                    found.push(self.violation("hole_unknown", &path, message));
                }
                if hole.object.is_secret() {
                    let message = format!("{} is a Secret: outputs are recorded and shown", hole.object);
                    found.push(self.violation("hole_in_secret", &path, message));
                }
                if !filled.insert((&hole.object, &hole.path)) {
                    let message = format!("{} of {} is filled twice", hole.path, hole.object);
                    found.push(self.violation("hole_twice", &path, message));
                }
            }
        }
    }

    fn call(&self, call: &Call, found: &mut Vec<Violation>) {
        if !METHODS.contains(&call.method.as_str()) {
            let message = format!("`{}` is no method: expected {}", call.method, METHODS.join(", "));
            found.push(self.violation("call_invalid", "call.method", message));
        }
        let url = url::Url::parse(&call.url).ok();
        let plain = url.is_some_and(|url| {
            matches!(url.scheme(), "http" | "https") && url.username().is_empty() && url.password().is_none()
        });
        if !plain {
            let message = "expected http:// or https:// without user and password";
            found.push(self.violation("call_invalid", "call.url", message));
        }
        if call.body.as_ref().is_some_and(has_fraction) {
            let message = "the body holds a number with a fraction";
            found.push(self.violation("fraction", "call.body", message).hint("give it as text"));
        }
    }
}

#[cfg(test)]
mod tests;
