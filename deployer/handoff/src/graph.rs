//! The closed graph of a revision: nodes and what each waits for.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use slipway_types::Digest;

/// A node's name, unique in its graph.
pub type NodeName = String;

/// One node: some objects that become ready together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Node {
    /// Nodes that must be ready before it starts.
    #[serde(default)]
    pub needs: BTreeSet<NodeName>,
    /// Its rendered objects, by digest of the manifest.
    pub manifest: Option<Digest>,
    /// Values it gives when ready.
    #[serde(default)]
    pub outputs: BTreeSet<String>,
}

/// A graph without cycles whose every need is one of its nodes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "BTreeMap<NodeName, Node>", into = "BTreeMap<NodeName, Node>")]
pub struct Graph(BTreeMap<NodeName, Node>);

/// Why some nodes are no graph.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidGraph {
    /// A node waits for one that is not there.
    #[error("node `{node}` needs `{need}`, which does not exist")]
    Unknown {
        /// The node that waits.
        node: NodeName,
        /// What it waits for.
        need: NodeName,
    },
    /// Nodes wait for each other.
    #[error("these nodes wait for each other: {}", .0.join(", "))]
    Cycle(Vec<NodeName>),
}

impl Graph {
    /// The nodes by name.
    pub fn nodes(&self) -> &BTreeMap<NodeName, Node> {
        &self.0
    }

    /// Names such that each comes after all that it needs.
    pub fn order(&self) -> Vec<&NodeName> {
        sorted(&self.0).0
    }
}

/// What can be ordered, and what cannot because it lies on or behind a cycle.
fn sorted(nodes: &BTreeMap<NodeName, Node>) -> (Vec<&NodeName>, Vec<&NodeName>) {
    let mut order: Vec<&NodeName> = Vec::with_capacity(nodes.len());
    let mut done: BTreeSet<&NodeName> = BTreeSet::new();
    let mut left: Vec<(&NodeName, &Node)> = nodes.iter().collect();
    loop {
        let (ready, waiting): (Vec<_>, Vec<_>) =
            left.into_iter().partition(|(_, node)| node.needs.iter().all(|need| done.contains(need)));
        if ready.is_empty() {
            return (order, waiting.into_iter().map(|(name, _)| name).collect());
        }
        for (name, _) in ready {
            order.push(name);
            done.insert(name);
        }
        left = waiting;
    }
}

impl TryFrom<BTreeMap<NodeName, Node>> for Graph {
    type Error = InvalidGraph;

    fn try_from(nodes: BTreeMap<NodeName, Node>) -> Result<Self, InvalidGraph> {
        for (name, node) in &nodes {
            if let Some(need) = node.needs.iter().find(|need| !nodes.contains_key(*need)) {
                return Err(InvalidGraph::Unknown { node: name.clone(), need: need.clone() });
            }
        }
        let (_, stuck) = sorted(&nodes);
        if stuck.is_empty() {
            Ok(Self(nodes))
        } else {
            Err(InvalidGraph::Cycle(stuck.into_iter().cloned().collect()))
        }
    }
}

impl From<Graph> for BTreeMap<NodeName, Node> {
    fn from(graph: Graph) -> Self {
        graph.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nodes(edges: &[(&str, &[&str])]) -> BTreeMap<NodeName, Node> {
        edges
            .iter()
            .map(|(name, needs)| {
                let needs = needs.iter().map(|&need| need.to_owned()).collect();
                ((*name).to_owned(), Node { needs, manifest: None, outputs: BTreeSet::new() })
            })
            .collect()
    }

    #[test]
    fn a_node_comes_after_all_that_it_needs() {
        let graph = Graph::try_from(nodes(&[("a", &["c"]), ("b", &["a"]), ("c", &[])])).unwrap();
        assert_eq!(graph.order(), ["c", "a", "b"]);
    }

    #[test]
    fn cycles_and_unknown_needs_are_refused() {
        assert_eq!(
            Graph::try_from(nodes(&[("a", &["b"]), ("b", &["a"]), ("c", &[])])),
            Err(InvalidGraph::Cycle(vec!["a".into(), "b".into()]))
        );
        assert!(matches!(Graph::try_from(nodes(&[("a", &["x"])])), Err(InvalidGraph::Unknown { .. })));
        assert!(serde_json::from_str::<Graph>(r#"{"a":{"needs":["a"],"manifest":null}}"#).is_err());
    }
}
