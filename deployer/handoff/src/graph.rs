//! The closed graph of a revision: nodes and what each waits for.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::node::{Node, Object};

/// A node's name, unique in its graph.
pub type NodeName = String;

/// A graph without cycles whose every need is one of its nodes.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
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

    /// Names such that each comes after all that it waits for; by name where nothing else decides.
    pub fn order(&self) -> Vec<&NodeName> {
        sorted(&self.0).0
    }

    /// All objects with the node they belong to, in the order they are applied.
    pub fn objects(&self) -> impl Iterator<Item = (&NodeName, &Object)> {
        self.order()
            .into_iter()
            .flat_map(|name| self.0[name].objects.iter().map(move |object| (name, object)))
    }

    /// Nodes that must have ended before `name` starts, directly or through others.
    pub fn before(&self, name: &str) -> BTreeSet<&NodeName> {
        let mut found = BTreeSet::new();
        let mut open: Vec<&NodeName> = self.0.get(name).into_iter().flat_map(Node::before).collect();
        while let Some(before) = open.pop() {
            if found.insert(before) {
                open.extend(self.0[before].before());
            }
        }
        found
    }

    /// Whether no node does anything.
    pub fn is_empty(&self) -> bool {
        self.0.values().all(|node| node.objects.is_empty() && node.call.is_none())
    }
}

/// What can be ordered, and what cannot because it lies on or behind a cycle.
fn sorted(nodes: &BTreeMap<NodeName, Node>) -> (Vec<&NodeName>, Vec<&NodeName>) {
    let mut order: Vec<&NodeName> = Vec::with_capacity(nodes.len());
    let mut left: BTreeMap<&NodeName, usize> =
        nodes.iter().map(|(name, node)| (name, node.before().count())).collect();
    let mut needed_by: BTreeMap<&NodeName, Vec<&NodeName>> = BTreeMap::new();
    for (name, node) in nodes {
        node.before().for_each(|need| needed_by.entry(need).or_default().push(name));
    }
    let mut ready: BTreeSet<&NodeName> =
        left.iter().filter(|(_, count)| **count == 0).map(|(name, _)| *name).collect();
    while let Some(name) = ready.pop_first() {
        left.remove(name);
        order.push(name);
        for waiting in needed_by.get(name).into_iter().flatten() {
            if let Some(count) = left.get_mut(waiting) {
                *count -= 1;
                if *count == 0 {
                    ready.insert(waiting);
                }
            }
        }
    }
    (order, left.into_keys().collect())
}

impl TryFrom<BTreeMap<NodeName, Node>> for Graph {
    type Error = InvalidGraph;

    fn try_from(nodes: BTreeMap<NodeName, Node>) -> Result<Self, InvalidGraph> {
        for (name, node) in &nodes {
            if let Some(need) = node.before().find(|need| !nodes.contains_key(*need)) {
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
    use proptest::prelude::*;

    use super::*;

    fn nodes(edges: &[(&str, &[&str])]) -> BTreeMap<NodeName, Node> {
        edges
            .iter()
            .map(|(name, needs)| {
                let needs = needs.iter().map(|&need| need.to_owned()).collect();
                ((*name).to_owned(), Node { needs, ..Node::default() })
            })
            .collect()
    }

    #[test]
    fn a_node_comes_after_all_that_it_needs() {
        let graph = Graph::try_from(nodes(&[("a", &["c"]), ("b", &["a"]), ("c", &[])])).unwrap();
        assert_eq!(graph.order(), ["c", "a", "b"]);
        assert_eq!(graph.before("b").into_iter().collect::<Vec<_>>(), ["a", "c"]);
    }

    #[test]
    fn cycles_and_unknown_needs_are_refused() {
        assert_eq!(
            Graph::try_from(nodes(&[("a", &["b"]), ("b", &["a"]), ("c", &[])])),
            Err(InvalidGraph::Cycle(vec!["a".into(), "b".into()]))
        );
        assert!(matches!(Graph::try_from(nodes(&[("a", &["x"])])), Err(InvalidGraph::Unknown { .. })));
        assert!(serde_json::from_str::<Graph>(r#"{"a":{"needs":["a"]}}"#).is_err());
    }

    /// Any graph of up to twelve nodes, with or without cycles.
    fn any_graph() -> impl Strategy<Value = BTreeMap<NodeName, Node>> {
        (1usize..12).prop_flat_map(|count| {
            prop::collection::vec((0..count, 0..count), 0..count * 2).prop_map(move |edges| {
                let mut nodes: BTreeMap<NodeName, Node> =
                    (0..count).map(|at| (format!("n{at}"), Node::default())).collect();
                for (from, to) in edges {
                    nodes.get_mut(&format!("n{from}")).unwrap().needs.insert(format!("n{to}"));
                }
                nodes
            })
        })
    }

    /// The obvious way: a node reaches itself.
    fn has_cycle(nodes: &BTreeMap<NodeName, Node>) -> bool {
        fn reaches(nodes: &BTreeMap<NodeName, Node>, from: &str, to: &str, left: usize) -> bool {
            left > 0 && nodes[from].needs.iter().any(|need| need == to || reaches(nodes, need, to, left - 1))
        }
        // Longer paths than there are nodes repeat one.
        nodes.keys().any(|name| reaches(nodes, name, name, nodes.len().min(6)))
    }

    proptest! {
        #[test]
        fn every_graph_is_ordered_or_has_a_cycle(nodes in any_graph()) {
            match Graph::try_from(nodes.clone()) {
                Ok(graph) => {
                    prop_assert!(!has_cycle(&nodes));
                    let order: Vec<&NodeName> = graph.order();
                    prop_assert_eq!(order.len(), nodes.len());
                    for (at, name) in order.iter().enumerate() {
                        prop_assert!(nodes[*name].needs.iter().all(|need| order[..at].contains(&need)));
                        let before = graph.before(name);
                        prop_assert!(before.iter().all(|need| order[..at].contains(need)));
                    }
                    let text = serde_json::to_string(&graph).unwrap();
                    prop_assert_eq!(serde_json::from_str::<Graph>(&text).unwrap(), graph);
                }
                Err(InvalidGraph::Cycle(stuck)) => prop_assert!(!stuck.is_empty()),
                Err(other) => prop_assert!(false, "{}", other),
            }
        }
    }
}
