//! What the schedule names, carried out in the key's cluster.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use slipway_handoff::{Filled, ManifestSet, Node, Object, ObjectRef, Submission};
use slipway_kubernetes::{Cluster, ObjectKey};
use tokio::sync::{Mutex, Semaphore};
use tokio_util::sync::CancellationToken;

use crate::applied_secrets::{AppliedSecret, AppliedSecrets};
use crate::correction::Corrections;
use crate::hitch::Hitch;
use crate::inventory::{Inventory, Marks, apply_order};
use crate::kept::Kept;
use crate::pod_secrets::{MadeWith, PodSecrets};
use crate::receiver::Core;
use crate::schedule::{Action, Failure, Happened, Progress, Schedule, Turn, Verdict, WholeState};

mod apply;
mod correct;
mod drift;
mod evidence;
mod found;
mod given;
mod growing;
mod inspect;
mod look;
mod message;
mod passing;
mod pods;
mod prune;
mod renew;
mod rerun;
mod secrets;
mod written;

pub(crate) use evidence::Failed;
pub use inspect::Inspection;

use look::Seen;
use written::Written;

/// How long a node that begins anew waits for what is found of the attempt before.
const GATHERED_WITHIN: Duration = Duration::from_secs(15);

/// What an effect needs beside the schedule: the same for a whole generation. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Work {
    core: Core,
    submission: Arc<Submission>,
    manifests: Arc<ManifestSet>,
    /// What is not removed.
    stays: Arc<Inventory>,
    marks: Arc<Marks>,
    /// The same to look by: objects whose marks are behind a fence are as wanted nevertheless.
    seen_by: Arc<Marks>,
    /// Bounds how many nodes are looked at at once.
    looks: Arc<Semaphore>,
    /// Whether it is known what the cluster has of the key.
    is_listed: Arc<Mutex<bool>>,
    /// Objects as the cluster gave them back when they were written, of nodes that are looked at next.
    written: Arc<Written>,
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
    /// What a Secret that is as this generation wants it holds.
    Secret(AppliedSecret),
    /// With what of their Secrets the pods of a workload are made.
    Made(MadeWith),
    /// It is gone, or is not the key's.
    Dropped(ObjectRef),
    /// It was written again once, and is as wanted since.
    AtPeace(ObjectRef),
    /// Others had changed it, and it was written again.
    Corrected { object: ObjectRef, by: String },
    /// What the cluster has of the key, whose inventory was lost.
    Found(Inventory),
}

/// An action with all that it needs of the schedule and the inventory as they are when it begins.
pub(crate) enum Task {
    Call(Turn),
    Start(Turn, Result<Prepared, Failure>),
    /// With their objects as they were applied, if they were ready before, and how often others' changes were
    /// corrected, if that may be done.
    Look(Vec<(Turn, Option<Prepared>)>, Option<Corrections>),
    /// With the objects that the graph has and that are not to stay.
    Prune(Inventory, Vec<ObjectRef>),
}

/// A node's objects, holes filled, in the order in which they are applied.
#[derive(Default)]
pub(crate) struct Prepared {
    objects: Vec<(Object, Value)>,
    filled: Vec<Filled>,
    /// Whether that was done before in the same attempt, and something of it is gone.
    is_rewritten: bool,
    /// What Secrets held when they were applied, if that is to be looked at.
    secrets: Arc<AppliedSecrets>,
    /// With what of their Secrets pods were made, if the objects are to be written.
    pods: Arc<PodSecrets>,
}

impl Work {
    /// `is_listed`: it is known what the cluster has of the key. `fence`: see [`Marks::fenced`].
    pub(crate) fn new(
        core: Core,
        submission: Submission,
        manifests: Arc<ManifestSet>,
        stays: Inventory,
        is_listed: bool,
        fence: u64,
    ) -> Self {
        let marks = Marks::new(submission.key.clone(), submission.generation, submission.revision);
        let looks = Semaphore::new(core.options.requests_at_once.max(1));
        Self {
            core,
            submission: Arc::new(submission),
            manifests,
            stays: Arc::new(stays),
            seen_by: Arc::new(marks.clone()),
            marks: Arc::new(marks.fenced(fence)),
            looks: Arc::new(looks),
            is_listed: Arc::new(Mutex::new(is_listed)),
            written: Arc::default(),
            stop: CancellationToken::new(),
        }
    }

    /// Begins nothing more.
    pub(crate) fn stop(&self) {
        self.stop.cancel();
    }

    /// Waits until what is found of an attempt has been gathered, but not for long: a person waits for the next one.
    pub(crate) async fn wait_for(&self, gathered: &CancellationToken) {
        let ended = self.stop.run_until_cancelled(gathered.cancelled());
        if tokio::time::timeout(GATHERED_WITHIN, ended).await.is_err() {
            tracing::warn!(key = %self.submission.key, "a node is written anew before it is known why it failed");
        }
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

    /// What is wanted of an object, its holes empty.
    fn manifest(&self, object: &Object) -> Option<Value> {
        let bytes = self.manifests.get(&object.manifest)?;
        serde_json::from_slice(bytes).ok()
    }

    async fn cluster(&self) -> Result<Arc<Cluster>, Hitch> {
        Ok(self.core.host.cluster(&self.submission.key.environment).await?)
    }

    /// What an action needs of where things stand; `None`: there is nothing to do.
    pub(crate) fn task(&self, action: Action, schedule: &Schedule, kept: &Kept) -> Option<Task> {
        match action {
            Action::Call(turn) => Some(Task::Call(turn)),
            Action::StartNode(turn) => {
                let prepared = self.prepare(&turn, schedule);
                let pods = Arc::new(kept.pods.clone());
                let prepared = prepared.map(|prepared| Prepared { pods, ..prepared });
                Some(Task::Start(turn, prepared))
            }
            Action::CheckNode(turn) => Some(Task::Look(vec![(turn, None)], None)),
            Action::Look(turns) => {
                let secrets = Arc::new(kept.secrets.clone());
                let turns = turns.into_iter().map(|turn| {
                    let applied = self.prepare(&turn, schedule).unwrap_or_default();
                    (turn, Some(Prepared { secrets: Arc::clone(&secrets), ..applied }))
                });
                let is_held = schedule.whole().state == WholeState::Suspended;
                Some(Task::Look(turns.collect(), (!is_held).then(|| kept.corrections.clone())))
            }
            Action::Prune => Some(Task::Prune(kept.inventory.clone(), schedule.unwanted())),
            Action::WakeAt(_) => None,
        }
    }

    fn prepare(&self, turn: &Turn, schedule: &Schedule) -> Result<Prepared, Failure> {
        let objects = self.node(&turn.node).map(|node| node.objects.clone()).unwrap_or_default();
        let mut values = BTreeMap::new();
        for object in &objects {
            let value = self.manifest(object).ok_or_else(|| {
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
        let is_rewritten = schedule.node(&turn.node).is_some_and(Progress::is_rewritten);
        Ok(Prepared { objects, filled, is_rewritten, ..Prepared::default() })
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
            Task::Look(turns, corrections) => {
                let looks = self.stop.run_until_cancelled(self.look_at_each(turns)).await;
                self.settle_looks(looks.unwrap_or_default(), corrections.as_ref()).await
            }
            Task::Prune(inventory, unwanted) => {
                let mut notes = Vec::new();
                let result = self.prune(&inventory, &unwanted, &mut notes).await.map_err(Failure::from);
                Outcome { happened: vec![Happened::Pruned { result }], notes }
            }
        }
    }

    /// Looks at nodes one after the other. Once the cluster gives no answer it is not asked for the others.
    async fn look_at_each(&self, turns: Vec<(Turn, Option<Prepared>)>) -> Vec<(Turn, Seen)> {
        let _permit = self.looks.acquire().await;
        let mut looks = Vec::with_capacity(turns.len());
        let mut silence = None;
        for (turn, applied) in turns {
            let seen = match &silence {
                Some(silence) => Verdict::clone(silence).into(),
                None => self.look(&turn.node, applied.as_ref()).await,
            };
            if matches!(seen.verdict, Verdict::Unreachable { .. }) {
                silence = Some(seen.verdict.clone());
            }
            looks.push((turn, seen));
        }
        looks
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
