//! The core as a receiver: it takes submissions and orders, and tells what happened.

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use slipway_handoff::receiver::EVENTS_MAX;
use slipway_handoff::{
    Answer, Capability, Command, CorePort, Event, Key, Limits, ManifestSet, Manifests, Mode, Order,
    ReceiverError, Submission, admit, manifests, told_by,
};
use slipway_records::job::{JobPayload, NewJob};
use slipway_records::{
    EventsKept, ReconcileEvent, ReconcileState, Records, RecordsError, Write, fault_point,
};
use slipway_types::Fault;

use crate::cache::{Read, Revisions};
use crate::correction::Corrections;
use crate::host::Host;
use crate::inventory::Inventory;
use crate::kept::{Header, Kept};
use crate::schedule::{Change, Happened, InvalidPlan, Plan, Schedule};
use crate::sense::Senses;
use crate::sense::ladder::LadderOptions;
use crate::task_memory::TaskMemory;
use crate::turns::Turns;

/// What the core calls itself in errors.
const CORE: &str = "the built-in core";
/// So often a row is written again, if others change it at the same time.
const TRIES_MAX: usize = 8;
/// How long after a server was lost the last that it wrote may come: a request takes 15 s at most.
const LATE_WRITES: TimeDelta = TimeDelta::seconds(20);
/// Which events of a generation are kept: how it began, and what it came to.
const EVENTS_KEPT: EventsKept = EventsKept { first: 100, newest: 1_000 };
/// After so many events of a key those that are too many are removed.
const THINNED_EVERY: u64 = 100;

/// Limits of the core.
#[derive(Debug, Clone)]
pub struct CoreOptions {
    /// Limits of what it takes.
    pub limits: Limits,
    /// How many requests about one application are under way at once in its cluster.
    pub requests_at_once: usize,
    /// How many applications of one cluster have a turn at once; others wait, and leave theirs to other clusters.
    pub turns_a_cluster: usize,
    /// Whether it may make HTTP requests that revisions ask for.
    pub calls: bool,
    /// How often clusters are polled that are not watched.
    pub ladder: LadderOptions,
    /// How much memory revisions may take that were read and may be needed again, in bytes.
    pub revision_cache_bytes: usize,
}

impl Default for CoreOptions {
    fn default() -> Self {
        Self {
            limits: Limits::default(),
            requests_at_once: 8,
            turns_a_cluster: 16,
            calls: false,
            ladder: LadderOptions::default(),
            revision_cache_bytes: 8 << 20,
        }
    }
}

/// The built-in reconcile core. Cheap to clone.
#[derive(Clone)]
pub struct Core {
    pub(crate) records: Arc<dyn Records>,
    pub(crate) host: Arc<dyn Host>,
    pub(crate) options: CoreOptions,
    /// What its sensor tells, if this process has one.
    pub(crate) senses: Arc<Senses>,
    pub(crate) turns: Arc<Turns>,
    revisions: Arc<Revisions>,
}

/// What was handed off.
pub(crate) struct HandedOff {
    /// As it is carried out: without tasks that are done.
    pub(crate) submission: Submission,
    pub(crate) manifests: Arc<ManifestSet>,
    /// All that is not removed, Jobs that are done among it.
    pub(crate) stays: Inventory,
}

/// A key's row with what it says.
pub(crate) struct Loaded {
    pub(crate) state: ReconcileState,
    pub(crate) kept: Kept,
}

impl Core {
    /// A core that keeps its state in `records` and works by `host`.
    pub fn new(records: Arc<dyn Records>, host: Arc<dyn Host>, options: CoreOptions) -> Self {
        let revisions = Arc::new(Revisions::new(options.revision_cache_bytes));
        let turns = Arc::new(Turns::new(options.turns_a_cluster));
        Self { records, host, options, senses: Arc::default(), turns, revisions }
    }

    /// What is kept of a key; `None`: nothing was ever handed off for it.
    pub(crate) async fn load(&self, key: &Key) -> Result<Option<Loaded>, Fault> {
        let mut read = self.records.read().await.map_err(|error| fault(&error))?;
        let state = read.reconcile_get(&key.environment, &key.application).await;
        state.map_err(|error| fault(&error))?.map(Loaded::read).transpose()
    }

    /// Stores what is kept together with the events that tell of it; `false`: somebody was faster.
    pub(crate) async fn save(
        &self,
        loaded: &mut Loaded,
        changes: Vec<Change>,
        wake: bool,
        now: DateTime<Utc>,
    ) -> Result<bool, Fault> {
        let mut tx = self.records.begin().await.map_err(|error| fault(&error))?;
        let is_new = loaded.state.generation != loaded.kept.submission.generation;
        let sequence = loaded.state.sequence;
        if !loaded.write(tx.as_mut(), changes, now).await? {
            return Ok(false);
        }
        if is_new {
            let key = &loaded.kept.submission.key;
            let generation = loaded.kept.submission.generation;
            let forgotten = tx.reconcile_forget_events(&key.environment, &key.application, generation).await;
            forgotten.map_err(|error| fault(&error))?;
        }
        if sequence / THINNED_EVERY != loaded.state.sequence / THINNED_EVERY {
            thin(tx.as_mut(), &loaded.kept.submission).await?;
        }
        if wake {
            wake_up(tx.as_mut(), &loaded.kept.submission.key).await?;
        }
        tx.commit().await.map_err(|error| fault(&error))?;
        fault_point::reach("core.saved");
        Ok(true)
    }

    /// Reads every manifest of a submission.
    async fn gather(
        &self,
        submission: &Submission,
        source: &dyn Manifests,
    ) -> Result<ManifestSet, ReceiverError> {
        let mut all = ManifestSet::new();
        for digest in submission.document.manifests() {
            all.insert_bytes(manifests::read(source, &digest, self.options.limits.max_manifest_bytes).await?);
        }
        Ok(all)
    }

    /// `None`: somebody changed the row meanwhile.
    async fn try_accept(&self, submission: &Submission) -> Result<Option<Answer>, Fault> {
        let now = Utc::now();
        let before = self.load(&submission.key).await?;
        let known = before.as_ref().map(|loaded| loaded.kept.known());
        if let Some(answer) = admit(submission, known.as_ref(), &self.capabilities(), &self.options.limits) {
            return Ok(Some(answer));
        }
        if let Some(known) = known.filter(|known| known.generation == submission.generation) {
            return Ok(Some(Answer::Accepted { run: known.run }));
        }
        let (mut loaded, changes) = match begin(before, submission, now) {
            Ok(begun) => begun,
            Err(error @ InvalidPlan::DryRun) => {
                return Ok(Some(Answer::unsupported(Capability::DryRun, error.to_string())));
            }
        };
        let run = loaded.kept.run.clone();
        let is_saved = self.save(&mut loaded, changes, true, now).await?;
        fault_point::reach("core.accepted");
        if is_saved {
            self.senses.handed_off(&submission.key);
        }
        Ok(is_saved.then_some(Answer::Accepted { run }))
    }

    /// `None`: somebody changed the row meanwhile.
    async fn try_order(&self, order: &Order) -> Result<Option<Answer>, Fault> {
        let now = Utc::now();
        let Some(mut loaded) = self.load(&order.key).await? else {
            return Err(Fault::permanent("not_here", format!("nothing was handed off for {}", order.key)));
        };
        if let Some(answer) = loaded.kept.answered(&order.id) {
            return Ok(Some(answer));
        }
        let current = loaded.kept.submission.generation;
        if order.generation < current {
            return Ok(Some(Answer::Stale { current }));
        }
        if order.generation > current {
            let why = format!("generation {} of {} was never handed off", order.generation, order.key);
            return Err(Fault::permanent("not_here", why));
        }
        let HandedOff { submission, .. } = self.submission(&loaded).await?;
        let plan = self.plan(&submission, &loaded.kept.inventory)?;
        let schedule = Schedule::restored(plan, loaded.kept.checkpoint.clone());
        let mut schedule = schedule.map_err(|error| Fault::bug("core_checkpoint", error.to_string()))?;
        let by = match order.command {
            Command::Suspend | Command::Terminate => told_by(&order.by, order.reason.as_deref()),
            // Who approves is counted by name.
            Command::Resume { .. } | Command::Retry { .. } => order.by.clone(),
        };
        let changes = match schedule.order(&order.command, &by, now) {
            Ok(changes) => changes,
            Err(refused) => return Err(Fault::permanent("wrong_state", refused.to_string())),
        };
        let answer = Answer::Accepted { run: loaded.kept.run.clone() };
        loaded.kept.checkpoint = schedule.checkpoint();
        loaded.kept.remember(&order.id, answer.clone());
        Ok(self.save(&mut loaded, changes, true, now).await?.then_some(answer))
    }

    /// What was handed off, as it is carried out.
    pub(crate) async fn submission(&self, loaded: &Loaded) -> Result<HandedOff, Fault> {
        let header = loaded.kept.submission.clone();
        let read = match self.revisions.get(&header.revision) {
            Some(read) => read,
            None => {
                let (document, manifests) = self.host.kept(&header.key, &header.revision).await?;
                self.revisions.put(header.revision, Read::new(document, manifests))
            }
        };
        let whole = header.with(read.document.clone());
        let stays = match whole.mode {
            Mode::Delete => Inventory::default(),
            Mode::Apply | Mode::DryRun => Inventory::of(&whole.document.graph, whole.generation),
        };
        let manifests = Arc::clone(&read.manifests);
        Ok(HandedOff { submission: loaded.kept.tasks.carried_out(whole), manifests, stays })
    }

    /// The plan of a submission that was taken, at the pace that what is sensed of the key allows.
    pub(crate) fn plan(&self, submission: &Submission, inventory: &Inventory) -> Result<Plan, Fault> {
        let plan = Plan::new(submission).map_err(|error| Fault::bug("core_plan", error.to_string()))?;
        Ok(plan.paced(self.senses.pace(submission, inventory)))
    }
}

/// What is kept of a new generation: the inventory names at once all that the key has and all that it will
/// have, so that nothing is made that nobody would remove.
fn begin(
    before: Option<Loaded>,
    submission: &Submission,
    now: DateTime<Utc>,
) -> Result<(Loaded, Vec<Change>), InvalidPlan> {
    let graph = &submission.document.graph;
    let tasks = match &before {
        Some(Loaded { kept, .. }) => kept.tasks.clone().followed_by(&kept.checkpoint, graph),
        None => TaskMemory::of(graph),
    };
    let carried_out = tasks.carried_out(submission.clone());
    let plan = Plan::new(&carried_out)?;
    let mut schedule = Schedule::new(plan, now);
    if let Some(loaded) = &before {
        schedule = schedule.behind(loaded.kept.submission.generation);
    }
    if before.as_ref().is_none_or(|loaded| loaded.kept.inventory.is_empty()) {
        schedule = schedule.first();
    }
    let changes = schedule.happened(Happened::Tick, now);
    let wanted = match submission.mode {
        Mode::Delete => Inventory::default(),
        Mode::Apply | Mode::DryRun => Inventory::of(&carried_out.document.graph, submission.generation),
    };
    let is_unlisted = before.as_ref().is_none_or(|loaded| loaded.kept.is_unlisted);
    let listed_from = before.as_ref().and_then(|loaded| loaded.kept.listed_from);
    // Where nothing is kept, nobody knows who wrote what there is.
    let fence = before.as_ref().map_or(submission.generation.saturating_sub(1), |loaded| loaded.kept.fence);
    let secrets = before.as_ref().map(|loaded| loaded.kept.secrets.clone()).unwrap_or_default();
    let pods = before.as_ref().map(|loaded| loaded.kept.pods.clone()).unwrap_or_default();
    let (inventory, row) = match before {
        Some(loaded) => (loaded.kept.inventory.union_before_apply(&wanted), Some(loaded.state)),
        None => (wanted, None),
    };
    let run = format!("{}-g{}", submission.revision.short(), submission.generation);
    let kept = Kept {
        run,
        submission: Header::of(submission),
        checkpoint: schedule.checkpoint(),
        inventory,
        orders: std::collections::VecDeque::new(),
        rests_ms: None,
        tasks,
        corrections: Corrections::default(),
        secrets,
        pods,
        is_unlisted,
        listed_from,
        fence,
    };
    let key = &submission.key;
    let state = row.unwrap_or_else(|| ReconcileState {
        environment: key.environment.clone(),
        application: key.application.clone(),
        generation: 0,
        sequence: 0,
        document: String::new(),
        is_settled: false,
        updated_at: now,
        row_version: 0,
    });
    Ok((Loaded { state: ReconcileState { is_settled: false, ..state }, kept }, changes))
}

impl Loaded {
    fn read(state: ReconcileState) -> Result<Self, Fault> {
        let kept = serde_json::from_str(&state.document).map_err(|error| {
            let key = format!("{} in {}", state.application, state.environment);
            Fault::bug("core_unreadable", format!("what the core keeps of {key} cannot be read: {error}"))
        })?;
        Ok(Self { state, kept })
    }

    async fn write(
        &mut self,
        tx: &mut dyn Write,
        changes: Vec<Change>,
        now: DateTime<Utc>,
    ) -> Result<bool, Fault> {
        let generation = self.kept.submission.generation;
        let mut events = Vec::with_capacity(changes.len());
        for change in changes {
            self.state.sequence += 1;
            let key = &self.kept.submission.key;
            let event = change.into_event(key, generation, self.state.sequence);
            events.push(ReconcileEvent {
                sequence: self.state.sequence,
                generation,
                event: serde_json::to_string(&event).expect("invariant: an event is JSON"),
                at: now,
            });
        }
        self.state.generation = generation;
        self.state.document = serde_json::to_string(&self.kept).expect("invariant: what is kept is JSON");
        self.state.updated_at = now;
        tx.reconcile_save(&mut self.state, &events).await.map_err(|error| fault(&error))
    }
}

impl Core {
    /// Keeps that whoever drove a key was lost, and may just have written to its cluster.
    pub(crate) async fn lose_driver(&self, key: &Key) -> Result<(), Fault> {
        for _ in 0..TRIES_MAX {
            let Some(mut loaded) = self.load(key).await? else { return Ok(()) };
            let now = Utc::now();
            let is_news = loaded.kept.lose_driver(now + LATE_WRITES);
            if !is_news || self.save(&mut loaded, Vec::new(), false, now).await? {
                return Ok(());
            }
        }
        Err(Fault::transient("busy", format!("others change what is kept of {key} at the same time")))
    }

    /// Tells that a key cannot be driven just now. What the next turn finds is told anew.
    pub(crate) async fn tell_undriven(&self, key: &Key, why: &str) -> Result<(), Fault> {
        for _ in 0..TRIES_MAX {
            let Some(mut loaded) = self.load(key).await? else { return Ok(()) };
            let now = Utc::now();
            let Some(change) = loaded.kept.checkpoint.undriven(why, now) else { return Ok(()) };
            if self.save(&mut loaded, vec![change], false, now).await? {
                self.host.tell(key, loaded.kept.submission.generation).await;
                return Ok(());
            }
        }
        Ok(())
    }
}

/// Removes events that are too many: whoever asks has heard the newest, and of a node the last counts.
async fn thin(tx: &mut dyn Write, submission: &Header) -> Result<(), Fault> {
    let Header { key, generation, .. } = submission;
    let thinned =
        tx.reconcile_thin_events(&key.environment, &key.application, *generation, EVENTS_KEPT).await;
    thinned.map_err(|error| fault(&error))?;
    Ok(())
}

/// Has a key looked at now.
pub(crate) async fn wake_up(tx: &mut dyn Write, key: &Key) -> Result<(), Fault> {
    let application = tx.application_by_name(&key.application).await.map_err(|error| fault(&error))?;
    let payload =
        JobPayload::Reconcile { environment: key.environment.clone(), application: key.application.clone() };
    let job = NewJob::new(payload, application.map(|application| application.id));
    tx.job_enqueue(job).await.map_err(|error| fault(&error))?;
    Ok(())
}

pub(crate) fn fault(error: &RecordsError) -> Fault {
    slipway_records::worker::fault_of(error)
}

/// What a fault means to whoever handed something off.
fn refusal(fault: Fault) -> ReceiverError {
    let receiver = CORE.to_owned();
    if fault.class == slipway_types::Class::Transient {
        ReceiverError::Unavailable { receiver, why: fault.message, retry_after_ms: None }
    } else {
        ReceiverError::Refused { receiver, why: fault.message }
    }
}

fn busy() -> ReceiverError {
    let why = "others change the same application at the same time".to_owned();
    ReceiverError::Unavailable { receiver: CORE.to_owned(), why, retry_after_ms: None }
}

#[async_trait]
impl CorePort for Core {
    fn capabilities(&self) -> BTreeSet<Capability> {
        use Capability as C;
        let mut can = BTreeSet::from([
            C::Observe,
            C::Suspend,
            C::Resume,
            C::Retry,
            C::Terminate,
            C::Delete,
            C::Secrets,
            C::Outputs,
            C::Conditions,
            C::Ownership,
            C::Adoption,
            C::Workflow,
        ]);
        if self.options.calls {
            can.insert(C::Calls);
        }
        can
    }

    async fn accept(
        &self,
        submission: &Submission,
        manifests: &dyn Manifests,
    ) -> Result<Answer, ReceiverError> {
        let manifests = self.gather(submission, manifests).await?;
        self.host.keep(&submission.key, &submission.document, &manifests).await.map_err(refusal)?;
        for _ in 0..TRIES_MAX {
            if let Some(answer) = self.try_accept(submission).await.map_err(refusal)? {
                return Ok(answer);
            }
        }
        Err(busy())
    }

    async fn events(&self, key: &Key, since: u64) -> Result<Vec<Event>, ReceiverError> {
        let limit = u32::try_from(EVENTS_MAX).unwrap_or(u32::MAX);
        let rows = async {
            let mut read = self.records.read().await?;
            read.reconcile_events(&key.environment, &key.application, since, limit).await
        };
        let rows = rows.await.map_err(|error| refusal(fault(&error)))?;
        rows.iter()
            .map(|row| {
                serde_json::from_str(&row.event).map_err(|error| {
                    refusal(Fault::bug(
                        "core_unreadable",
                        format!("event {} cannot be read: {error}", row.sequence),
                    ))
                })
            })
            .collect()
    }

    async fn order(&self, order: &Order) -> Result<Answer, ReceiverError> {
        for _ in 0..TRIES_MAX {
            if let Some(answer) = self.try_order(order).await.map_err(refusal)? {
                return Ok(answer);
            }
        }
        Err(busy())
    }
}
