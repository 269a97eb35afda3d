//! Filling holes of a node's objects with what other nodes gave.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use serde_json::Value;
use slipway_handoff::{Filled, Hole, Input, NodeName, ObjectRef};

use super::Schedule;

/// Why a hole cannot be filled. None of these goes away by trying again, and none names a value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FillError {
    /// The graph has no such node.
    #[error("there is no node `{0}`")]
    UnknownNode(NodeName),
    /// The node that gives the value is not ready.
    #[error("`{0}` is not ready: it gives nothing yet")]
    NotReady(NodeName),
    /// It gives no such output.
    #[error("`{node}` gives no output `{output}`")]
    NoOutput {
        /// Which node.
        node: NodeName,
        /// Which output.
        output: String,
    },
    /// The object is not among those that are written.
    #[error("{0} is not there to be filled")]
    NoObject(ObjectRef),
    /// Outputs are recorded and shown, so they go into no Secret.
    #[error("{0} is a Secret: outputs are recorded and shown")]
    Secret(ObjectRef),
    /// The value is not of the hole's type, and nothing is converted.
    #[error(
        "output `{output}` of `{node}` does not fit {} of {}: expected {:?}",
        hole.path, hole.object, hole.accepts
    )]
    Type {
        /// The node that gives it.
        node: NodeName,
        /// Which output.
        output: String,
        /// Where it was to go.
        hole: Box<Hole>,
    },
    /// What is to hold the place does not exist.
    #[error("{} has no place {}: what holds it must exist", .0.object, .0.path)]
    NoPlace(Box<Hole>),
    /// The value would make another object of it.
    #[error("{} of {} is what the object is called: no output goes there", .0.path, .0.object)]
    Identity(Box<Hole>),
}

impl Schedule {
    /// Fills the holes of a node's `objects`; gives what was put where. All or nothing is filled.
    pub fn fill(
        &self,
        node: &str,
        objects: &mut BTreeMap<ObjectRef, Value>,
    ) -> Result<Vec<Filled>, FillError> {
        let inputs = match self.plan.node(node) {
            Some(node) => &node.inputs,
            None => return Err(FillError::UnknownNode(node.to_owned())),
        };
        let mut changed: BTreeMap<&ObjectRef, Value> = BTreeMap::new();
        let mut filled = Vec::new();
        for input in inputs {
            let value = self.given(input)?;
            for hole in &input.holes {
                let object = match changed.entry(&hole.object) {
                    Entry::Occupied(entry) => entry.into_mut(),
                    Entry::Vacant(entry) => {
                        let object = objects.get(&hole.object).cloned();
                        entry.insert(object.ok_or_else(|| FillError::NoObject(hole.object.clone()))?)
                    }
                };
                put(object, hole, input, value)?;
                filled.push(Filled {
                    hole: hole.clone(),
                    value: value.clone(),
                    node: input.node.clone(),
                    output: input.output.clone(),
                });
            }
        }
        for (reference, object) in changed {
            objects.insert(reference.clone(), object);
        }
        Ok(filled)
    }

    fn given(&self, input: &Input) -> Result<&Value, FillError> {
        let giver = self.node(&input.node).ok_or_else(|| FillError::UnknownNode(input.node.clone()))?;
        if !giver.standing.is_ready() {
            return Err(FillError::NotReady(input.node.clone()));
        }
        let missing = || FillError::NoOutput { node: input.node.clone(), output: input.output.clone() };
        giver.outputs.get(&input.output).ok_or_else(missing)
    }
}

fn put(object: &mut Value, hole: &Hole, input: &Input, value: &Value) -> Result<(), FillError> {
    if hole.object.is_secret() {
        return Err(FillError::Secret(hole.object.clone()));
    }
    if !hole.accepts.takes(value) {
        let (node, output) = (input.node.clone(), input.output.clone());
        return Err(FillError::Type { node, output, hole: Box::new(hole.clone()) });
    }
    let was = ObjectRef::of(object);
    if !hole.path.set(object, value.clone()) {
        return Err(FillError::NoPlace(Box::new(hole.clone())));
    }
    if ObjectRef::of(object) != was {
        return Err(FillError::Identity(Box::new(hole.clone())));
    }
    Ok(())
}
