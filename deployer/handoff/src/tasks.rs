//! Tasks: what a revision does once. One that was live and comes back has done it.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::graph::{Graph, NodeName};
use crate::node::{Node, ObjectRef, Output};

/// Whether what a revision does once is to be done: its Jobs, its HTTP requests, its stops for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tasks {
    /// It is.
    #[default]
    Run,
    /// It was done when the revision was live before. No Job is made and none removed that the graph has, nothing
    /// is requested, nobody is waited for.
    Done,
}

/// What tasks gave: the values of outputs that are read from Jobs, by node and name.
pub type TaskOutputs = BTreeMap<NodeName, BTreeMap<String, Value>>;

/// Whether an object runs to its end and is ready then.
pub fn is_task(object: &ObjectRef) -> bool {
    object.group() == "batch" && object.kind == "Job"
}

impl Graph {
    /// What is left of it where every task is done. `known` is what they gave; an output that is not among it is
    /// read from its Job all the same, for that may still be there.
    #[must_use]
    pub fn with_tasks_done(&self, known: &TaskOutputs) -> Self {
        let nodes = self.nodes().iter();
        let nodes: BTreeMap<NodeName, Node> =
            nodes.map(|(name, node)| (name.clone(), done(node, known.get(name)))).collect();
        Self::try_from(nodes).expect("invariant: what nodes need is as it was in a graph")
    }

    /// Names of the outputs that are read from Jobs, by node.
    pub fn task_outputs(&self) -> BTreeMap<NodeName, BTreeSet<String>> {
        let mut found = BTreeMap::new();
        for (name, node) in self.nodes() {
            let given = node.outputs.iter().filter(|(_, output)| is_given(output));
            let given: BTreeSet<String> = given.map(|(output, _)| output.clone()).collect();
            if !given.is_empty() {
                found.insert(name.clone(), given);
            }
        }
        found
    }
}

fn is_given(output: &Output) -> bool {
    matches!(output, Output::From { object, .. } | Output::Message { object, .. } if is_task(object))
}

fn done(node: &Node, known: Option<&BTreeMap<String, Value>>) -> Node {
    let mut node = node.clone();
    node.objects.retain(|object| !is_task(&object.object));
    node.waits.retain(|wait| !is_task(&wait.object));
    // One that fills nothing any more still says whether the node runs.
    for input in &mut node.inputs {
        input.holes.retain(|hole| !is_task(&hole.object));
    }
    node.call = None;
    node.hold = None;
    for (name, output) in &mut node.outputs {
        let value = known.and_then(|known| known.get(name)).filter(|_| is_given(output));
        if let Some(value) = value {
            *output = Output::Value(value.clone());
        }
    }
    node
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use slipway_types::Digest;

    use super::*;
    use crate::node::{Call, Hold, Hole, HoleType, Input, Object, Wait};

    fn reference(api_version: &str, kind: &str, name: &str) -> ObjectRef {
        ObjectRef {
            api_version: api_version.into(),
            kind: kind.into(),
            namespace: Some("shop".into()),
            name: name.into(),
        }
    }

    fn hole(object: &ObjectRef) -> Hole {
        Hole { object: object.clone(), path: "/data/x".parse().unwrap(), accepts: HoleType::String }
    }

    #[test]
    fn what_is_done_once_is_left_out_and_what_it_gave_stays() {
        let (job, map) = (reference("batch/v1", "Job", "migrate"), reference("v1", "ConfigMap", "settings"));
        let read =
            |object: &ObjectRef| Output::From { object: object.clone(), path: "/data/x".parse().unwrap() };
        let migrate = Node {
            objects: [&job, &map].map(|object| Object::new(object.clone(), Digest::of("m"))).into(),
            outputs: [("schema".into(), read(&job)), ("late".into(), read(&job)), ("map".into(), read(&map))]
                .into(),
            waits: [&job, &map].map(|object| Wait { object: object.clone(), until: "true".into() }).into(),
            call: Some(Call {
                method: "POST".into(),
                url: "https://example.com".into(),
                body: None,
                secret: None,
            }),
            hold: Some(Hold::default()),
            ..Node::default()
        };
        let input =
            |output: &str, holes: Vec<Hole>| Input { node: "migrate".into(), output: output.into(), holes };
        let web = Node {
            needs: ["migrate".to_owned()].into(),
            inputs: vec![input("schema", vec![hole(&job), hole(&map)]), input("map", vec![hole(&job)])],
            ..Node::default()
        };
        let nodes = BTreeMap::from([("migrate".to_owned(), migrate), ("web".to_owned(), web)]);
        let graph = Graph::try_from(nodes).unwrap();
        let outputs = BTreeSet::from(["late".to_owned(), "schema".to_owned()]);
        assert_eq!(graph.task_outputs(), BTreeMap::from([("migrate".to_owned(), outputs)]));

        // What a ConfigMap says is read from it as ever.
        let given = BTreeMap::from([("schema".to_owned(), json!(7)), ("map".to_owned(), json!("old"))]);
        let left = graph.with_tasks_done(&TaskOutputs::from([("migrate".to_owned(), given)]));
        let (migrate, web) = (&left.nodes()["migrate"], &left.nodes()["web"]);
        assert_eq!(migrate.objects.iter().map(|object| &object.object).collect::<Vec<_>>(), [&map]);
        assert_eq!(migrate.waits.iter().map(|wait| &wait.object).collect::<Vec<_>>(), [&map]);
        assert_eq!((&migrate.call, &migrate.hold), (&None, &None));
        let outputs = [("schema", Output::Value(json!(7))), ("late", read(&job)), ("map", read(&map))];
        assert_eq!(migrate.outputs, BTreeMap::from(outputs.map(|(name, output)| (name.to_owned(), output))));
        assert_eq!(web.inputs, [input("schema", vec![hole(&map)]), input("map", Vec::new())]);
        assert!(web.needs.contains("migrate"));
    }
}
