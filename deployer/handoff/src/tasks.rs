//! Tasks: what a revision does once. One that was live and comes back has done it.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::graph::{Graph, NodeName};
use crate::node::{Node, ObjectRef, Output};

/// Whether what a revision does once is to be done: its Jobs, Pods of its hooks, its HTTP requests, its stops for
/// people.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tasks {
    /// It is.
    #[default]
    Run,
    /// It was done when the revision was live before. No Job and no Pod of a hook is made and none removed that the
    /// graph has, nothing is requested, nobody is waited for.
    Done,
}

/// What tasks gave: the values of outputs that are read from Jobs and Pods of hooks, by node and name.
pub type TaskOutputs = BTreeMap<NodeName, BTreeMap<String, Value>>;

/// On which side of its component a hook of a chart runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HookSide {
    /// Before the component's own objects.
    Before,
    /// After them.
    After,
}

impl HookSide {
    fn word(self) -> &'static str {
        match self {
            Self::Before => "before",
            Self::After => "after",
        }
    }
}

/// The name of the node of a component's hook; hooks of a side are counted from 1. Nothing else is called so.
pub fn hook_name(component: &str, side: HookSide, number: usize) -> NodeName {
    format!("{component}.{}-{number}", side.word())
}

/// Whether an object runs to its end in any case, and is ready then.
pub fn is_task(object: &ObjectRef) -> bool {
    object.group() == "batch" && object.kind == "Job"
}

fn is_pod(object: &ObjectRef) -> bool {
    object.group().is_empty() && object.kind == "Pod"
}

/// Whether a node is the hook of a chart.
fn is_hook(name: &str, node: &Node) -> bool {
    let Some(component) = &node.component else { return false };
    let rest = name.strip_prefix(component.as_str()).and_then(|rest| rest.strip_prefix('.'));
    let of = |side: HookSide| rest.and_then(|rest| rest.strip_prefix(side.word())?.strip_prefix('-'));
    let number = of(HookSide::Before).or_else(|| of(HookSide::After));
    number.is_some_and(|number| number.bytes().all(|byte| byte.is_ascii_digit()))
}

impl Graph {
    /// Whether an object is a task of this graph: a Job wherever it is, or a Pod that a hook runs. Any other Pod may be
    /// there to stay.
    pub fn has_task(&self, object: &ObjectRef) -> bool {
        is_task(object) || (is_pod(object) && self.hook_pods().contains(object))
    }

    fn hook_pods(&self) -> BTreeSet<ObjectRef> {
        let hooks = self.nodes().iter().filter(|(name, node)| is_hook(name, node));
        let objects = hooks.flat_map(|(_, node)| &node.objects).map(|object| &object.object);
        objects.filter(|object| is_pod(object)).cloned().collect()
    }

    /// What is left of it where every task is done. `known` is what they gave; an output that is not among it is
    /// read from its task all the same, for that may still be there.
    #[must_use]
    pub fn with_tasks_done(&self, known: &TaskOutputs) -> Self {
        let pods = self.hook_pods();
        let is_task = |object: &ObjectRef| is_task(object) || pods.contains(object);
        let nodes = self.nodes().iter();
        let nodes: BTreeMap<NodeName, Node> =
            nodes.map(|(name, node)| (name.clone(), done(node, known.get(name), &is_task))).collect();
        Self::try_from(nodes).expect("invariant: what nodes need is as it was in a graph")
    }

    /// Names of the outputs that are read from tasks, by node.
    pub fn task_outputs(&self) -> BTreeMap<NodeName, BTreeSet<String>> {
        let pods = self.hook_pods();
        let is_task = |object: &ObjectRef| is_task(object) || pods.contains(object);
        let mut found = BTreeMap::new();
        for (name, node) in self.nodes() {
            let given = node.outputs.iter().filter(|(_, output)| is_given(output, &is_task));
            let given: BTreeSet<String> = given.map(|(output, _)| output.clone()).collect();
            if !given.is_empty() {
                found.insert(name.clone(), given);
            }
        }
        found
    }
}

fn is_given(output: &Output, is_task: &dyn Fn(&ObjectRef) -> bool) -> bool {
    matches!(output, Output::From { object, .. } | Output::Message { object, .. } if is_task(object))
}

fn done(node: &Node, known: Option<&BTreeMap<String, Value>>, is_task: &dyn Fn(&ObjectRef) -> bool) -> Node {
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
        let value = known.and_then(|known| known.get(name)).filter(|_| is_given(output, is_task));
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

    #[test]
    fn pods_of_hooks_run_once_and_other_pods_stay() {
        let pod = |name: &str| reference("v1", "Pod", name);
        let node = |component: Option<&str>, name: &str| Node {
            component: component.and_then(|component| component.parse().ok()),
            objects: vec![Object::new(pod(name), Digest::of("m"))],
            outputs: [(
                "phase".to_owned(),
                Output::From { object: pod(name), path: "/status/phase".parse().unwrap() },
            )]
            .into(),
            ..Node::default()
        };
        let before = hook_name("web", HookSide::Before, 1);
        let after = hook_name("web", HookSide::After, 12);
        let nodes = [
            (before.as_str(), Some("web")),
            (after.as_str(), Some("web")),
            ("web", Some("web")),
            ("web.pre", Some("web")),
            // Of other components, or of none.
            ("other.before-1", Some("web")),
            ("step.before-1", None),
        ];
        let graph = nodes.map(|(name, component)| (name.to_owned(), node(component, name)));
        let graph = Graph::try_from(BTreeMap::from(graph)).unwrap();
        let tasks: Vec<&str> =
            nodes.iter().map(|(name, _)| *name).filter(|&name| graph.has_task(&pod(name))).collect();
        assert_eq!(tasks, ["web.before-1", "web.after-12"]);
        assert_eq!(graph.task_outputs().into_keys().collect::<Vec<_>>(), ["web.after-12", "web.before-1"]);
        let left = graph.with_tasks_done(&TaskOutputs::new());
        let empty = left.nodes().iter().filter(|(_, node)| node.objects.is_empty());
        assert_eq!(
            empty.map(|(name, _)| name.as_str()).collect::<Vec<_>>(),
            ["web.after-12", "web.before-1"]
        );
    }
}
