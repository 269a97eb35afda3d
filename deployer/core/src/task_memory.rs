//! What Jobs gave, remembered for when their revision comes back: they do not run again then.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde::{Deserialize, Serialize};
use slipway_handoff::{Graph, NodeName, Submission, TaskOutputs, Tasks, canonical};
use slipway_types::Digest;

use crate::schedule::Checkpoint;

/// So many graphs are remembered: as many revisions as a server may be told to keep for rollbacks.
const GRAPHS_MAX: usize = 50;

/// What the Jobs of one graph gave. Graphs without outputs of Jobs are not remembered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Given {
    /// Digest of the graph: unlike the revision's it is the same with other versions of secrets.
    graph: Digest,
    outputs: TaskOutputs,
}

/// What a key remembers of its Jobs.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct TaskMemory {
    /// The graph of the newest generation, if Jobs of it give something.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    graph: Option<Digest>,
    /// Which outputs those are.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    gives: BTreeMap<NodeName, BTreeSet<String>>,
    /// What was given, the newest last.
    #[serde(default, skip_serializing_if = "VecDeque::is_empty")]
    given: VecDeque<Given>,
}

impl TaskMemory {
    /// What is remembered once a generation with `graph` takes the place of the one that came to `checkpoint`.
    pub(crate) fn followed_by(mut self, checkpoint: &Checkpoint, graph: &Graph) -> Self {
        if let Some(graph) = self.graph.take() {
            let outputs = given(&self.gives, checkpoint);
            if !outputs.is_empty() {
                self.given.retain(|given| given.graph != graph);
                self.given.push_back(Given { graph, outputs });
            }
            while self.given.len() > GRAPHS_MAX {
                self.given.pop_front();
            }
        }
        Self { given: self.given, ..Self::of(graph) }
    }

    /// What is remembered of the first generation.
    pub(crate) fn of(graph: &Graph) -> Self {
        let gives = graph.task_outputs();
        let graph = (!gives.is_empty()).then(|| canonical::digest(graph));
        Self { graph, gives, given: VecDeque::new() }
    }

    /// The newest generation's submission as it is carried out.
    pub(crate) fn carried_out(&self, mut submission: Submission) -> Submission {
        if submission.tasks == Tasks::Done {
            let given = self.given.iter().find(|given| Some(given.graph) == self.graph);
            let nothing = TaskOutputs::new();
            let outputs = given.map_or(&nothing, |given| &given.outputs);
            submission.document.graph = submission.document.graph.with_tasks_done(outputs);
        }
        submission
    }
}

fn given(gives: &BTreeMap<NodeName, BTreeSet<String>>, checkpoint: &Checkpoint) -> TaskOutputs {
    let mut found = TaskOutputs::new();
    for (node, names) in gives {
        let Some(outputs) = checkpoint.outputs(node) else { continue };
        let kept = outputs.iter().filter(|(name, _)| names.contains(*name));
        let kept: BTreeMap<_, _> = kept.map(|(name, value)| (name.clone(), value.clone())).collect();
        if !kept.is_empty() {
            found.insert(node.clone(), kept);
        }
    }
    found
}
