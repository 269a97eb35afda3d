//! What the schedule names, carried out in the key's cluster.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;
use slipway_handoff::{Filled, ManifestSet, Node, Object, ObjectRef, Submission};
use slipway_kubernetes::{Cluster, ObjectKey};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::hitch::Hitch;
use crate::inventory::{Inventory, Marks, apply_order};
use crate::receiver::Core;
use crate::schedule::{Action, Failure, Happened, Schedule, Turn, Verdict};

mod apply;
mod drift;
mod look;
mod pods;
mod prune;
mod rerun;
mod secrets;

/// What an effect needs beside the schedule: the same for a whole generation. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Work {
    core: Core,
    submission: Arc<Submission>,
    manifests: Arc<ManifestSet>,
    marks: Arc<Marks>,
    /// Bounds how many nodes are looked at at once.
    looks: Arc<Semaphore>,
    /// Nothing more is begun once it is cancelled; a write that is under way is brought to its end.
    stop: CancellationToken,
}

/// What came of an action.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    /// For the schedule.
    pub(crate) happened: Vec<Happened>,
    /// For the inventory.
    pub(crate) notes: Vec<Note>,
}

/// What the inventory learns of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Note {
    /// It is there as this generation wants it.
    Applied { object: ObjectRef, uid: String },
    /// It is gone, or is not the key's.
    Dropped(ObjectRef),
}

/// An action with all that it needs of the schedule and the inventory as they are when it begins.
pub(crate) enum Task {
    Call(Turn),
    Start(Turn, Result<Prepared, Failure>),
    /// With their objects as they were applied, if they were ready before.
    Look(Vec<(Turn, Option<Prepared>)>),
    /// With the objects that the graph has and that are not to stay.
    Prune(Inventory, Vec<ObjectRef>),
}

/// A node's objects, holes filled, in the order in which they are applied.
#[derive(Default)]
pub(crate) struct Prepared {
    objects: Vec<(Object, Value)>,
    filled: Vec<Filled>,
}

impl Work {
    pub(crate) fn new(core: Core, submission: Submission, manifests: ManifestSet) -> Self {
        let marks = Marks::new(submission.key.clone(), submission.generation, submission.revision);
        let looks = Semaphore::new(core.options.requests_at_once.max(1));
        Self {
            core,
            submission: Arc::new(submission),
            manifests: Arc::new(manifests),
            marks: Arc::new(marks),
            looks: Arc::new(looks),
            stop: CancellationToken::new(),
        }
    }

    /// Begins nothing more.
    pub(crate) fn stop(&self) {
        self.stop.cancel();
    }

    /// Whether something more may be begun.
    fn goes_on(&self) -> Result<(), Hitch> {
        if self.stop.is_cancelled() {
            return Err(Hitch::Passing("what is asked for has changed meanwhile".to_owned()));
        }
        Ok(())
    }

    fn node(&self, name: &str) -> Option<&Node> {
        self.submission.document.graph.nodes().get(name)
    }

    async fn cluster(&self) -> Result<Arc<Cluster>, Hitch> {
        Ok(self.core.host.cluster(&self.submission.key.environment).await?)
    }

    /// What an action needs of where things stand; `None`: there is nothing to do.
    pub(crate) fn task(&self, action: Action, schedule: &Schedule, inventory: &Inventory) -> Option<Task> {
        match action {
            Action::Call(turn) => Some(Task::Call(turn)),
            Action::StartNode(turn) => {
                let prepared = self.prepare(&turn, schedule);
                Some(Task::Start(turn, prepared))
            }
            Action::CheckNode(turn) => Some(Task::Look(vec![(turn, None)])),
            Action::Look(turns) => {
                let turns = turns.into_iter().map(|turn| {
                    let applied = self.prepare(&turn, schedule).unwrap_or_default();
                    (turn, Some(applied))
                });
                Some(Task::Look(turns.collect()))
            }
            Action::Prune => Some(Task::Prune(inventory.clone(), schedule.unwanted())),
            Action::WakeAt(_) => None,
        }
    }

    fn prepare(&self, turn: &Turn, schedule: &Schedule) -> Result<Prepared, Failure> {
        let objects = self.node(&turn.node).map(|node| node.objects.clone()).unwrap_or_default();
        let mut values = BTreeMap::new();
        for object in &objects {
            let bytes = self.manifests.get(&object.manifest);
            let value = bytes.and_then(|bytes| serde_json::from_slice::<Value>(bytes).ok());
            let value = value.ok_or_else(|| {
                Failure::permanent(format!("the manifest of {} cannot be read", object.object))
            })?;
            values.insert(object.object.clone(), value);
        }
        let filled = schedule.fill(&turn.node, &mut values)?;
        let objects = objects.into_iter().filter_map(|object| {
            let value = values.remove(&object.object)?;
            Some((object, value))
        });
        let mut objects: Vec<_> = objects.collect();
        apply_order(&mut objects, |(object, _)| &object.object);
        Ok(Prepared { objects, filled })
    }

    /// Carries it out.
    pub(crate) async fn carry_out(&self, task: Task) -> Outcome {
        match task {
            Task::Call(turn) => {
                let result = self.call(&turn).await.map_err(Failure::from);
                Outcome { happened: vec![Happened::Called { turn, result }], notes: Vec::new() }
            }
            Task::Start(turn, Err(failure)) => Outcome {
                happened: vec![Happened::Applied { turn, result: Err(failure) }],
                notes: Vec::new(),
            },
            Task::Start(turn, Ok(prepared)) => {
                let mut notes = Vec::new();
                let result = self.apply(prepared, &mut notes).await.map_err(Failure::from);
                Outcome { happened: vec![Happened::Applied { turn, result }], notes }
            }
            Task::Look(turns) => {
                let looks = self.look_at_each(turns);
                let happened = self.stop.run_until_cancelled(looks).await;
                Outcome { happened: happened.unwrap_or_default(), notes: Vec::new() }
            }
            Task::Prune(inventory, unwanted) => {
                let mut notes = Vec::new();
                let result = self.prune(&inventory, &unwanted, &mut notes).await.map_err(Failure::from);
                Outcome { happened: vec![Happened::Pruned { result }], notes }
            }
        }
    }

    /// Looks at nodes one after the other. Once the cluster gives no answer it is not asked for the others.
    async fn look_at_each(&self, turns: Vec<(Turn, Option<Prepared>)>) -> Vec<Happened> {
        let _permit = self.looks.acquire().await;
        let mut happened = Vec::with_capacity(turns.len());
        let mut silence = None;
        for (turn, applied) in turns {
            let verdict = match &silence {
                Some(silence) => Verdict::clone(silence),
                None => self.look(&turn.node, applied.as_ref()).await,
            };
            if matches!(verdict, Verdict::Unreachable { .. }) {
                silence = Some(verdict.clone());
            }
            happened.push(Happened::Looked { turn, verdict });
        }
        happened
    }

    async fn call(&self, turn: &Turn) -> Result<(), Hitch> {
        match self.node(&turn.node).and_then(|node| node.call.as_ref()) {
            Some(call) => Ok(self.core.host.call(&self.submission.key, call).await?),
            None => Ok(()),
        }
    }
}

/// An object's name for its cluster.
fn key_of(object: &ObjectRef) -> ObjectKey {
    ObjectKey {
        api_version: object.api_version.clone(),
        kind: object.kind.clone(),
        namespace: object.namespace.clone().unwrap_or_default(),
        name: object.name.clone(),
    }
}

impl From<Hitch> for Failure {
    fn from(hitch: Hitch) -> Self {
        match hitch {
            Hitch::Passing(why) => Self::transient(why),
            Hitch::Away(why) => Self::transient(format!("the cluster does not answer: {why}")),
            Hitch::Lasting(why) => Self::permanent(why),
        }
    }
}

impl From<Hitch> for Verdict {
    fn from(hitch: Hitch) -> Self {
        match hitch {
            Hitch::Passing(blocker) => Self::NotYet { blocker },
            Hitch::Away(why) => Self::Unreachable { why },
            Hitch::Lasting(reason) => Self::Failed { reason },
        }
    }
}
