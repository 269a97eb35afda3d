//! The graph of a revision while it is drawn: nodes, the objects behind them, and what is wrong with it.

use std::collections::BTreeMap;

use serde_json::Value;
use slipway_definitions::Verb;
use slipway_handoff::{Call, ManifestSet, Node, NodeName, Object, ObjectRef, Output, Wait};
use slipway_types::{Digest, Violation};

use super::expressions;
use super::objects::Dressing;
use super::secrets::Uses;

/// The graph while it is drawn.
#[derive(Default)]
pub(super) struct Drawing {
    pub(super) nodes: BTreeMap<NodeName, Node>,
    pub(super) manifests: ManifestSet,
    pub(super) uses: Uses,
    pub(super) violations: Vec<Violation>,
    /// First and last nodes by component.
    pub(super) ends: BTreeMap<String, Ends>,
    /// What people should know of it.
    pub(super) notes: Vec<String>,
}

/// Where a component or step begins and ends.
#[derive(Debug, Clone, Default)]
pub(super) struct Ends {
    pub(super) first: Vec<NodeName>,
    pub(super) last: Vec<NodeName>,
}

impl Drawing {
    /// Keeps an object's bytes and notes its secrets.
    pub(super) fn keep(&mut self, component: &str, object: &Value) -> Option<Object> {
        self.keep_of(|| format!("components[{component}]"), object)
    }

    /// The same of what is told of as `path`.
    pub(super) fn keep_of(&mut self, path: impl FnOnce() -> String, object: &Value) -> Option<Object> {
        let Some(reference) = ObjectRef::of(object) else {
            let message = "an object has no apiVersion, kind or name";
            self.violations.push(Violation::new("invalid_object", path(), message));
            return None;
        };
        self.uses.note(&reference, object);
        Some(Object::new(reference, self.manifests.insert(object)))
    }

    /// Forgets an object that gets another name.
    pub(super) fn forget(&mut self, object: &ObjectRef) {
        self.uses.forget(object);
    }

    /// The object behind a reference.
    pub(super) fn manifest(&self, digest: &Digest) -> Option<Value> {
        serde_json::from_slice(self.manifests.get(digest)?).ok()
    }

    /// Notes a violation.
    pub(super) fn wrong(&mut self, violation: Violation) {
        self.violations.push(violation);
    }

    /// Gives a node an output.
    pub(super) fn give(&mut self, node: &str, name: &str, output: Output) {
        if let Some(node) = self.nodes.get_mut(node) {
            node.outputs.insert(name.to_owned(), output);
        }
    }

    /// Gives a component an output. What is read from an object that comes after the workload is given by the node that
    /// makes it: the workload's own would wait for it, and that one for the workload.
    pub(super) fn give_of(&mut self, component: &str, name: &str, output: Output) {
        let late = format!("{component}.post");
        let is_late = match &output {
            Output::From { object, .. } | Output::Message { object, .. } => {
                let after = self.nodes.get(&late);
                after.is_some_and(|node| node.objects.iter().any(|kept| kept.object == *object))
            }
            Output::Value(_) => false,
        };
        let giver = if is_late { late.as_str() } else { component };
        self.give(giver, name, output);
    }

    /// Lets the nodes `first` wait for `after`.
    pub(super) fn after(&mut self, first: &[NodeName], after: &[NodeName]) {
        for name in first {
            if let Some(node) = self.nodes.get_mut(name) {
                node.needs.extend(after.iter().filter(|needed| *needed != name).cloned());
            }
        }
    }

    /// Puts what a verb does into a node.
    pub(super) fn add_verb(
        &mut self,
        node: &mut Node,
        dressing: &Dressing<'_>,
        (component, path): (&str, &str),
        verb: &Verb,
    ) {
        match verb {
            Verb::ObjectApply { object } | Verb::JobRun { object } => {
                let dressed = dressing.dress(component, object.clone(), false);
                node.objects.extend(self.keep(component, &dressed));
            }
            Verb::HttpCall { method, url, body, secret } => {
                let secret = match secret.as_deref().map(str::parse).transpose() {
                    Ok(secret) => secret,
                    Err(error) => {
                        let message = format!("its secret is no reference: {error}");
                        let wrong = Violation::new("invalid_property", path, message);
                        return self.wrong(wrong.hint("write secret://builtin/NAME"));
                    }
                };
                node.call =
                    Some(Call { method: method.clone(), url: url.clone(), body: body.clone(), secret });
            }
            Verb::Wait { object, until } => {
                let object = ObjectRef {
                    api_version: object.api_version.clone(),
                    kind: object.kind.clone(),
                    namespace: Some(dressing.address.namespace().to_owned()),
                    name: object.name.clone(),
                };
                self.violations.extend(expressions::objection(path, until));
                node.waits.push(Wait { object, until: until.clone() });
            }
            // Add-ons alone may have it.
            Verb::ContainerRun(_)
            | Verb::OutputSet(_)
            | Verb::ChartRender { .. }
            | Verb::KustomizeBuild { .. }
            | Verb::FilesObjects { .. } => {}
        }
    }
}
