//! The `addon` job: an instance of an add-on from what somebody asked for to what is there.
//!
//! An instance is planned ([`crate::plan`]), frozen to a revision and handed to the receiver of its environment under
//! the key of an application that nobody has, `addons/NAME`. So the receiver applies it, removes it and tells of it
//! as of any application. Every step observes, acts and records, as in [`crate::handler`].

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;
use slipway_definitions::Function;
use slipway_handoff::receiver::EVENTS_MAX;
use slipway_handoff::{
    CONTRACT_VERSION, Capability, Cause, Event, Key, Mode, Output, Revision, Submission, Tasks,
};
use slipway_records::job::JobPayload;
use slipway_records::{
    AddonInstance, FrozenDefinition, Handler, Job, JobContext, JobError, NewAuditEntry, Write,
};
use slipway_types::environment::ReceiverSettings;
use slipway_types::state::{AddonEvent, AddonState};
use slipway_types::{Class, Fault, SecretScope, Violation};

use crate::handler::{AWAY_PAUSE, CORDON_PAUSE, SLIPWAY};
use crate::plan::addon::runs_ms;
use crate::plan::{Frozen, compare};
use crate::receivers::{accepted, in_words};
use crate::stage::Stage;

mod checking;
mod earlier;
mod hearing;
mod releasing;
pub(crate) mod subject;

use subject::AddonSubject;

/// How often a receiver is asked while it works.
const PAUSE_BUSY: Duration = Duration::from_secs(2);
/// How often what has arrived, or failed, is looked at.
const PAUSE_SETTLED: Duration = Duration::from_secs(15);
/// What a receiver has beside what is run.
const RUNS_GRACE: TimeDelta = TimeDelta::minutes(5);
/// How often a receiver in this very process is asked, beside whenever it has news.
const PAUSE_TOLD: Duration = Duration::from_mins(10);

/// Does `addon` jobs.
pub struct AddonHandler {
    /// The deploy stage.
    pub stage: Arc<Stage>,
}

#[async_trait]
impl Handler for AddonHandler {
    async fn run(&self, job: &Job, context: &JobContext) -> Result<(), JobError> {
        let JobPayload::Addon { addon } = job.payload else { return Ok(()) };
        loop {
            let Some(subject) = self.stage.addon_subject(addon).await? else { return Ok(()) };
            let stepped = tokio::select! {
                stepped = self.step(subject) => stepped?,
                () = context.cancelled.cancelled() => return Err(JobError::Stopped),
            };
            if stepped == Stepped::Done {
                return Ok(());
            }
        }
    }

    async fn bury(&self, job: &Job, fault: Fault) -> Result<(), JobError> {
        let JobPayload::Addon { addon } = job.payload else { return Ok(()) };
        let Some(subject) = self.stage.addon_subject(addon).await? else { return Ok(()) };
        let state = &subject.addon.state;
        if matches!(state, AddonState::Applying { .. }) || state.is_leaving() {
            self.store(subject.addon, Some(AddonEvent::Fail(fault.message))).await?;
        }
        Ok(())
    }
}

/// What came of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stepped {
    /// There may be more to do.
    On,
    /// Nothing more happens by itself.
    Done,
}

impl AddonHandler {
    async fn step(&self, subject: AddonSubject) -> Result<Stepped, JobError> {
        let addon = &subject.addon;
        let is_out = addon.handed_off == addon.generation;
        match &addon.state {
            AddonState::Released => Ok(Stepped::Done),
            // It never went out: somebody must change something.
            AddonState::Failed { .. } | AddonState::ReleaseFailed { .. } if !is_out => Ok(Stepped::Done),
            _ if is_out => self.observe(subject).await,
            _ if addon.revision.is_some() => self.hand_off(subject).await,
            AddonState::Ending { .. } => self.freeze_ending(subject).await,
            AddonState::Releasing { .. } => self.freeze_removal(subject).await,
            _ => self.freeze(subject, Function::Render).await,
        }
    }

    /// Stores an instance with what happened to it; one that somebody else changed meanwhile is looked at again.
    async fn store(&self, mut addon: AddonInstance, event: Option<AddonEvent>) -> Result<Stepped, JobError> {
        let was = addon.state.clone();
        if let Some(event) = event
            && let Ok(state) = was.clone().apply(event)
        {
            addon.state = state;
        }
        let mut tx = self.stage.records.begin().await?;
        if !tx.addon_save(&mut addon).await? {
            return Ok(Stepped::On);
        }
        if addon.state.word() != was.word() {
            tx.audit(moved(&addon, &was)).await?;
        }
        match addon.state {
            // What was made for bindings that have ended serves nobody any more.
            AddonState::Ready => self.forget_ended(tx.as_mut(), &addon).await?,
            AddonState::Released => {
                forget_secrets(tx.as_mut(), &format!("addon/{}/", addon.name)).await?;
            }
            _ => {}
        }
        tx.commit().await?;
        Ok(Stepped::On)
    }

    async fn forget_ended(&self, tx: &mut dyn Write, addon: &AddonInstance) -> Result<(), JobError> {
        let ended = tx.addon_bindings(addon.id).await?;
        for binding in ended.iter().filter(|binding| binding.ended_at.is_some()) {
            forget_secrets(tx, &format!("addon/{}/{}/", addon.name, binding.short())).await?;
        }
        Ok(())
    }

    async fn fail(&self, addon: AddonInstance, why: String) -> Result<Stepped, JobError> {
        self.store(addon, Some(AddonEvent::Fail(why))).await
    }

    /// What cannot be done now is waited for, by name and until its deadline; what cannot be done at all fails it.
    async fn wait_or_fail(&self, addon: AddonInstance, fault: Fault) -> Result<Stepped, JobError> {
        if fault.class != Class::Transient {
            return self.fail(addon, fault.to_string()).await;
        }
        let minutes = self.stage.options.deadline_minutes;
        if Utc::now() >= addon.runs_since() + TimeDelta::minutes(i64::from(minutes)) {
            let why = format!("deadline_minutes = {minutes} passed; last: {}", fault.message);
            return self.fail(addon, why).await;
        }
        self.wait(addon, fault.message, AWAY_PAUSE).await
    }

    async fn wait(&self, addon: AddonInstance, why: String, delay: Duration) -> Result<Stepped, JobError> {
        self.store(addon, Some(AddonEvent::Wait(why.clone()))).await?;
        Err(JobError::Wait { why, delay })
    }

    /// Checks and freezes.
    async fn freeze(&self, subject: AddonSubject, function: Function) -> Result<Stepped, JobError> {
        let planned = match self.plan(&subject, function).await {
            Ok(planned) => planned,
            Err(fault) => return self.wait_or_fail(subject.addon, fault).await,
        };
        match planned {
            Ok(frozen) => self.keep(subject, &frozen).await,
            Err(violations) => self.fail(subject.addon, in_words(&violations)).await,
        }
    }

    async fn plan(
        &self,
        subject: &AddonSubject,
        function: Function,
    ) -> Result<Result<Frozen, Vec<Violation>>, Fault> {
        let AddonSubject { addon, environment, .. } = subject;
        let frozen = match self.stage.plan_addon(subject, function, true).await? {
            Ok(frozen) => frozen,
            Err(violations) => return Ok(Err(violations)),
        };
        let cluster = self.stage.cluster_of(environment).await?;
        let (_, mut violations) =
            compare(&cluster, &frozen, &addon.handed_off_as(), &environment.address, &[]).await?;
        violations.extend(self.stage.objections(environment, &frozen.revision, Mode::Apply).await?);
        violations.extend(self.stage.addon_receiver_objections(environment).await?);
        Ok(if violations.is_empty() { Ok(frozen) } else { Err(violations) })
    }

    async fn keep(&self, subject: AddonSubject, frozen: &Frozen) -> Result<Stepped, JobError> {
        let revision = match self.stage.keep_revision(&key(&subject), frozen).await {
            Ok(revision) => revision,
            Err(fault) => return self.wait_or_fail(subject.addon, fault).await,
        };
        let mut addon = subject.addon;
        addon.revision = Some(revision);
        if !addon.state.is_leaving() {
            let given = known_outputs(frozen);
            addon.outputs.retain(|name, _| given.iter().any(|(known, _)| known == name));
            addon.outputs.extend(given.into_iter().filter_map(|(name, value)| Some((name, value?))));
        }
        let made_by: Vec<FrozenDefinition> = frozen.made_by();
        let mut tx = self.stage.records.begin().await?;
        if tx.addon_save(&mut addon).await? {
            tx.revision_made_by(&revision, &made_by).await?;
            tx.commit().await?;
        }
        Ok(Stepped::On)
    }

    /// Hands the revision to the environment's receiver, unless a cordon keeps it: what is applied and what is released.
    async fn hand_off(&self, mut subject: AddonSubject) -> Result<Stepped, JobError> {
        if let Some(row) = self.stage.cluster_row(&subject.environment).await?
            && let Some(why) = &row.settings.cordoned
        {
            let why = format!("the cluster {} is cordoned: {why}", row.name);
            subject.addon.cordoned_at = Some(Utc::now());
            return self.wait(subject.addon, why, CORDON_PAUSE).await;
        }
        match self.submit(&subject).await {
            Ok(()) => {
                let mut addon = subject.addon;
                addon.handed_off = addon.generation;
                addon.state = addon.state.without_wait();
                self.store(addon, None).await
            }
            Err(fault) => self.wait_or_fail(subject.addon, fault).await,
        }
    }

    async fn submit(&self, subject: &AddonSubject) -> Result<(), Fault> {
        let AddonSubject { addon, environment, .. } = subject;
        let revision =
            addon.revision.ok_or_else(|| Fault::bug("revision_missing", "an add-on has no revision"))?;
        let key = key(subject);
        let frozen = self.stage.kept_revision(&key, &revision).await?;
        let is_removal = matches!(addon.state, AddonState::Releasing { .. });
        let deadline = self.deadline(subject, &frozen.revision).await?;
        let submission = Submission {
            contract: CONTRACT_VERSION,
            key,
            generation: addon.generation,
            mode: if is_removal { Mode::Delete } else { Mode::Apply },
            revision,
            document: frozen.revision.clone(),
            proof: Vec::new(),
            predecessor: addon.predecessor,
            cause: Cause::Deploy { by: addon.changed_by.clone() },
            deadline,
            tasks: Tasks::Run,
            adopt: Vec::new(),
        };
        let receiver = self.stage.receiver(environment).await?;
        accepted(receiver.submit(&submission, &frozen.manifests).await?).map(drop)
    }

    /// Until when a generation is to be brought about. What is run at a release may have begun as late as what was
    /// applied before had to end.
    async fn deadline(&self, subject: &AddonSubject, revision: &Revision) -> Result<DateTime<Utc>, Fault> {
        let addon = &subject.addon;
        let begun_by = match &addon.predecessor {
            Some(before) if matches!(addon.state, AddonState::Ending { .. }) => {
                let before = self.stage.kept_revision(&key(subject), before).await?;
                addon.runs_since() + self.allowed(&before.revision)
            }
            _ => addon.runs_since(),
        };
        Ok(begun_by + self.allowed(revision))
    }

    /// How long a revision may take. What is run may take as long as it was given.
    fn allowed(&self, revision: &Revision) -> TimeDelta {
        let usual = TimeDelta::minutes(i64::from(self.stage.options.deadline_minutes));
        let runs = i64::try_from(runs_ms(&revision.graph)).ok().and_then(TimeDelta::try_milliseconds);
        let runs = runs.filter(|runs| !runs.is_zero()).map(|runs| runs + RUNS_GRACE);
        runs.map_or(usual, |runs| usual.max(runs))
    }

    /// Hears what became of it.
    async fn observe(&self, subject: AddonSubject) -> Result<Stepped, JobError> {
        let is_told = matches!(subject.environment.settings.receiver, ReceiverSettings::Core {});
        let events = match self.ask(&subject, subject.addon.sequence).await {
            Ok(events) => events,
            Err(fault) => {
                let why = format!("the receiver gives no answer: {}", fault.message);
                return Err(JobError::Wait { why, delay: PAUSE_SETTLED });
            }
        };
        let mut addon = subject.addon;
        let before = (addon.sequence, addon.outputs.len());
        let event = hearing::hear(&mut addon, events);
        match event {
            Some(AddonEvent::Ended) => return self.go_on(addon).await,
            // Late news of a release that failed leave what was found of that.
            Some(AddonEvent::Arrive) if !matches!(addon.state, AddonState::ReleaseFailed { .. }) => {
                addon.ready_generation = addon.generation;
                addon.failure = None;
            }
            _ => {}
        }
        if event.is_some() || before != (addon.sequence, addon.outputs.len()) {
            // The row has changed, so the next step looks at it and waits.
            return self.store(addon, event).await;
        }
        let delay = match &addon.state {
            _ if is_told => PAUSE_TOLD,
            AddonState::Applying { .. } | AddonState::Ending { .. } | AddonState::Releasing { .. } => {
                PAUSE_BUSY
            }
            _ => PAUSE_SETTLED,
        };
        let why = addon.state.reason().map_or_else(
            || format!("the receiver has it; it is {}", addon.state.word()),
            |reason| format!("it is {}: {reason}", addon.state.word()),
        );
        Err(JobError::Wait { why, delay })
    }

    /// What its receiver told after the event `since`.
    async fn ask(&self, subject: &AddonSubject, mut since: u64) -> Result<Vec<Event>, Fault> {
        let receiver = self.stage.receiver(&subject.environment).await?;
        let key = key(subject);
        let mut events = Vec::new();
        loop {
            let page = receiver.observe(&key, since).await?;
            let newest = page.iter().map(|event| event.sequence).max().unwrap_or(since);
            let is_last = page.len() < EVENTS_MAX || newest <= since;
            since = newest;
            events.extend(page);
            if is_last {
                return Ok(events);
            }
        }
    }
}

impl Stage {
    /// What a receiver must be able to do for add-ons whatever they are: tell of them, and take them away.
    async fn addon_receiver_objections(
        &self,
        environment: &slipway_records::Environment,
    ) -> Result<Vec<Violation>, Fault> {
        let receiver = self.receiver(environment).await?;
        let can = receiver.capabilities().await?;
        let lacking =
            [Capability::Observe, Capability::Delete].into_iter().filter(|needed| !can.contains(needed));
        let violation = |capability| {
            let message = format!("the receiver `{}` cannot do `{capability}`", receiver.kind());
            Violation::new("receiver_cannot", "environment", message)
                .hint("add-ons need a receiver that tells of them and removes them: `core`, for example")
        };
        Ok(lacking.map(violation).collect())
    }
}

/// What is handed off where.
fn key(subject: &AddonSubject) -> Key {
    Key { environment: subject.environment.address.clone(), application: subject.addon.handed_off_as() }
}

/// The outputs of a revision, with the values of those that are known beforehand.
fn known_outputs(frozen: &Frozen) -> Vec<(String, Option<serde_json::Value>)> {
    let nodes = frozen.revision.graph.nodes().values();
    nodes
        .flat_map(|node| &node.outputs)
        .map(|(name, output)| match output {
            Output::Value(value) => (name.clone(), Some(value.clone())),
            Output::From { .. } | Output::Message { .. } => (name.clone(), None),
        })
        .collect()
}

/// Removes the built-in secrets below `prefix` that were made for an application, or an instance, in an environment.
async fn forget_secrets(tx: &mut dyn Write, prefix: &str) -> Result<(), JobError> {
    for row in tx.secret_list().await? {
        let (scope, name) = SecretScope::split(&row.name);
        if matches!(scope, SecretScope::Environment(..)) && name.starts_with(prefix) {
            tx.secret_remove(&row.name).await?;
        }
    }
    Ok(())
}

fn moved(addon: &AddonInstance, was: &AddonState) -> NewAuditEntry {
    NewAuditEntry {
        actor: SLIPWAY.to_owned(),
        action: "addon.move",
        subject: format!("addon/{}", addon.name),
        detail: json!({
            "from": was.word(),
            "to": addon.state.word(),
            "reason": addon.state.reason(),
            "generation": addon.generation,
            "revision": addon.revision,
        }),
    }
}
