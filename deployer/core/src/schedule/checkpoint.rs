//! What is kept of a schedule between two steps.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use slipway_handoff::NodeName;
use slipway_types::Digest;

use super::Schedule;
use super::change::Change;
use super::course::Course;
use super::happened::bounded;
use super::plan::Plan;
use super::progress::Progress;
use super::whole::{Whole, WholeState};

/// The form of checkpoints. Raised when a reader of the old form would misread the new one.
const FORMAT: u32 = 1;

/// Everything that a schedule knows beside its plan. Nodes with which nothing happened are left out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Checkpoint {
    format: u32,
    generation: u64,
    revision: Digest,
    course: Course,
    #[serde(default)]
    nodes: BTreeMap<NodeName, Progress>,
}

/// A checkpoint that does not belong to a plan.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CheckpointError {
    /// It was written by a newer server.
    #[error("the checkpoint has format {0}, here {FORMAT} is known: go on with the server that wrote it")]
    Format(u32),
    /// It is of something else.
    #[error("the checkpoint is of generation {generation} and revision {revision}, the plan is of others")]
    Other {
        /// The checkpoint's generation.
        generation: u64,
        /// The checkpoint's revision.
        revision: Digest,
    },
    /// It knows a node that the plan has not.
    #[error("the checkpoint has a node `{0}`, the plan has not")]
    Node(NodeName),
}

impl Checkpoint {
    /// Whoever drives it cannot go on, and this is why. What that changes, to be told; the schedule that is
    /// restored tells how things stand anew. `None`: it was told already, or nobody waits for anything.
    pub fn undriven(&mut self, why: &str, now: DateTime<Utc>) -> Option<Change> {
        use WholeState as W;
        let told = self.course.told.as_ref()?;
        let state = match told.state {
            W::Live | W::Degraded | W::Unreachable => W::Unreachable,
            W::Progressing | W::Deleting => told.state,
            W::Suspended | W::Failed | W::TimedOut | W::Terminated | W::Superseded | W::Deleted => {
                return None;
            }
        };
        let reason = bounded(format!("it cannot be driven: {why}"));
        let whole = Whole { state, node: None, reason };
        if *told == whole {
            return None;
        }
        self.course.told = Some(whole.clone());
        Some(Change::of_whole(whole, now))
    }
}

impl Checkpoint {
    /// What a node gave when it was ready.
    pub(crate) fn outputs(&self, node: &str) -> Option<&BTreeMap<String, Value>> {
        self.nodes.get(node).map(|progress| &progress.outputs)
    }
}

impl Schedule {
    /// What is to be kept. A schedule that is restored from it takes the same further course.
    pub fn checkpoint(&self) -> Checkpoint {
        let fresh = Progress::fresh(self.course.begun_at);
        let nodes = self.plan.steps.iter().zip(&self.nodes);
        Checkpoint {
            format: FORMAT,
            generation: self.plan.generation,
            revision: self.plan.revision,
            course: self.course.clone(),
            nodes: nodes
                .filter(|(_, progress)| **progress != fresh)
                .map(|(step, progress)| (step.name.clone(), progress.clone()))
                .collect(),
        }
    }

    /// The schedule of `plan` as it stood at `checkpoint`. What was under way is asked for once more.
    pub fn restored(plan: Plan, checkpoint: Checkpoint) -> Result<Self, CheckpointError> {
        let Checkpoint { format, generation, revision, course, mut nodes } = checkpoint;
        if format != FORMAT {
            return Err(CheckpointError::Format(format));
        }
        if (generation, revision) != (plan.generation, plan.revision) {
            return Err(CheckpointError::Other { generation, revision });
        }
        let fresh = || Progress::fresh(course.begun_at);
        let restored = plan.steps.iter().map(|step| nodes.remove(&step.name).unwrap_or_else(fresh)).collect();
        match nodes.into_keys().next() {
            Some(unknown) => Err(CheckpointError::Node(unknown)),
            None => Ok(Self { plan, nodes: restored, course, touched: BTreeMap::new() }),
        }
    }
}
