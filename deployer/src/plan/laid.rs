//! What is known of steps while they are laid: what they come behind, where they end, and what conditions may ask
//! of them.

use std::collections::BTreeMap;

use slipway_handoff::{Node, NodeName, Retry};
use slipway_oam::Input;

use super::asking::Known;
use super::drawing::Drawing;

/// Where a step ends.
#[derive(Debug, Clone, Default)]
pub(super) struct End {
    /// The nodes it ends with.
    pub(super) last: Vec<NodeName>,
    /// Nodes that it did not mind if they failed, and that what comes after it minds.
    pub(super) owed: Vec<NodeName>,
    /// All its nodes.
    pub(super) nodes: Vec<NodeName>,
}

/// What a step comes after.
#[derive(Debug, Clone, Default)]
pub(super) struct Behind {
    /// Nodes that must be ready.
    pub(super) needs: Vec<NodeName>,
    /// Nodes that must have ended.
    pub(super) after: Vec<NodeName>,
    /// What must hold then, all of it: conditions of the groups around, and its own.
    pub(super) when: Vec<String>,
    /// How often the step begins again.
    pub(super) retry: Option<Retry>,
}

/// Where a group begins.
#[derive(Debug, Default)]
pub(super) struct Begun {
    pub(super) behind: Behind,
    /// What it does not mind, and what comes after it does.
    pub(super) owed: Vec<NodeName>,
    /// What each of its steps may take.
    pub(super) most_ms: Option<u64>,
}

/// The nodes of a step.
#[derive(Debug, Default)]
pub(super) struct Laid {
    /// Those that it ends with.
    pub(super) last: Vec<NodeName>,
    /// All of them.
    pub(super) all: Vec<NodeName>,
}

impl Laid {
    /// With what comes behind it.
    pub(super) fn then(self, next: Self) -> Self {
        let last = if next.last.is_empty() { self.last } else { next.last };
        Self { last, all: self.all.into_iter().chain(next.all).collect() }
    }
}

/// What a step's condition may ask for.
pub(super) struct Asked<'a> {
    pub(super) ends: &'a BTreeMap<String, End>,
    pub(super) nodes: &'a BTreeMap<NodeName, Node>,
    pub(super) inputs: &'a [Input],
}

impl Known for Asked<'_> {
    fn nodes(&self, step: &str) -> &[NodeName] {
        self.ends.get(step).map_or(&[][..], |end| end.nodes.as_slice())
    }

    fn giver(&self, output: &str) -> Option<NodeName> {
        let is_taken = self.inputs.iter().any(|input| input.from == output);
        let mut nodes = self.nodes.iter().filter(|(_, node)| is_taken && node.outputs.contains_key(output));
        nodes.next().map(|(name, _)| name.clone())
    }
}

impl Drawing {
    /// The nodes of a component.
    pub(super) fn nodes_of(&self, component: &str) -> Vec<NodeName> {
        let own = |node: &Node| node.component.as_ref().is_some_and(|name| name.as_str() == component);
        self.nodes.iter().filter(|(_, node)| own(node)).map(|(name, _)| name.clone()).collect()
    }

    /// Lets the nodes `first` wait for what a step comes behind.
    pub(super) fn behind(&mut self, first: &[NodeName], behind: &Behind) {
        self.after(first, &behind.needs);
        for name in first {
            if let Some(node) = self.nodes.get_mut(name) {
                node.after.extend(behind.after.iter().filter(|before| *before != name).cloned());
            }
        }
    }
}
