//! One turn of a key: do what the schedule names, until nothing is left to do but to wait.
//!
//! What came of each effect is stored before anything follows from it, together with the events that tell of
//! it. A turn that is killed leaves what was stored; the next one does again what was not, and that changes
//! nothing the second time. Whoever hands something newer off, or says something, changes the row: then the
//! turn drops what it has under way and begins anew with what is asked now.

use std::collections::BTreeSet;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use futures::StreamExt as _;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use slipway_handoff::{Command, Key};
use slipway_records::JobError;
use slipway_types::Fault;
use tokio_util::sync::CancellationToken;

use crate::gathering::Gathering;
use crate::receiver::{Core, HandedOff, Loaded};
use crate::schedule::{Action, Aim, Change, Happened, Schedule, WholeState, after_ms};
use crate::work::{Note, Outcome, Work};

/// How often it is looked whether somebody changed the row while effects are under way.
const GLANCE_EVERY: Duration = Duration::from_secs(1);
/// The longest pause of a job: whoever is needed earlier is woken.
const PAUSE_MAX: TimeDelta = TimeDelta::hours(1);
/// How long writes that are under way may take to end; a request takes 15 s at most.
const WRITES_WITHIN: Duration = Duration::from_secs(20);
/// When a removal that ran out of time is tried again: its cluster may have come back.
const REMOVAL_AGAIN: TimeDelta = TimeDelta::minutes(10);
/// Who tries a removal again.
const SLIPWAY: &str = "slipway";
/// When it is tried again to list what such a server wrote.
const LIST_AGAIN: TimeDelta = TimeDelta::minutes(1);
/// How much earlier than it was to be a turn comes if somebody woke it.
const WOKEN_EARLY: TimeDelta = TimeDelta::milliseconds(500);

/// What follows a turn.
pub(crate) enum Next {
    /// Nothing, until somebody hands something off or says something.
    Ended,
    /// Another turn.
    Wait { why: String, delay: Duration },
}

/// How a stretch of work on one row ended.
enum Stretch {
    Done(Next),
    /// Somebody changed the row.
    Changed,
}

impl Core {
    /// One turn of a key, which was due at `due` by the clock of the queue.
    pub(crate) async fn turn(
        &self,
        key: &Key,
        due: DateTime<Utc>,
        cancelled: &CancellationToken,
    ) -> Result<Next, JobError> {
        loop {
            let Some(loaded) = self.load(key).await? else { return Ok(Next::Ended) };
            match self.stretch(loaded, due, cancelled).await? {
                Stretch::Done(next) => return Ok(next),
                Stretch::Changed => {}
            }
        }
    }

    async fn stretch(
        &self,
        loaded: Loaded,
        due: DateTime<Utc>,
        cancelled: &CancellationToken,
    ) -> Result<Stretch, JobError> {
        let key = loaded.kept.submission.key.clone();
        let HandedOff { submission, manifests, stays } = self.submission(&loaded).await?;
        let plan = self.plan(&submission, &loaded.kept.inventory)?;
        let schedule = Schedule::restored(plan, loaded.kept.checkpoint.clone());
        let schedule = schedule.map_err(|error| Fault::bug("core_checkpoint", error.to_string()))?;
        let is_listed = !loaded.kept.is_unlisted;
        let work = Work::new(self.clone(), submission, manifests, stays, is_listed, loaded.kept.fence);
        let (under_way, gathering) = (BTreeSet::new(), Gathering::default());
        let mut driver = Driver { core: self, loaded, schedule, work, under_way, is_noted: false, gathering };
        let mut effects = FuturesUnordered::new();
        let ended = driver.drive(&mut effects, due, cancelled).await;
        // A write that an API server already has cannot be called back: whatever is asked for next waits for it.
        driver.work.stop();
        if tokio::time::timeout(WRITES_WITHIN, effects.collect::<Vec<_>>()).await.is_err() {
            tracing::warn!(%key, "a write of an older turn is still under way");
        }
        driver.gathering.end(matches!(ended, Ok(Stretch::Done(Next::Ended)))).await;
        ended
    }
}

type Effect<'a> = BoxFuture<'a, (Action, Outcome)>;

/// Drives one row for as long as nobody else changes it.
struct Driver<'a> {
    core: &'a Core,
    loaded: Loaded,
    schedule: Schedule,
    work: Work,
    under_way: BTreeSet<Action>,
    /// Whether something was learnt of what the key has that is not stored.
    is_noted: bool,
    /// What is found of nodes that fail.
    gathering: Gathering,
}

impl Driver<'_> {
    async fn drive(
        &mut self,
        effects: &mut FuturesUnordered<Effect<'static>>,
        due: DateTime<Utc>,
        cancelled: &CancellationToken,
    ) -> Result<Stretch, JobError> {
        let now = Utc::now();
        // Of what was told before, not of what time brings in this turn: that is told first.
        let is_tried_again = self.is_removal_out_of_time();
        // No other turn of this key is under way, so what an older generation had begun has ended; but for what a
        // server that was lost may have sent before.
        let mut changes = self.schedule.happened(Happened::OlderEnded, now);
        changes.extend(self.find_late_writes(now).await);
        if is_tried_again && let Ok(again) = self.schedule.order(&Command::Retry { node: None }, SLIPWAY, now)
        {
            changes.extend(again);
        }
        // Nothing but a wake brings a turn of what has ended and is looked at no more.
        let is_at_rest = self.schedule.is_ended() && self.loaded.kept.rests_ms.is_none();
        if is_at_rest || self.was_woken(due) || self.is_to_be_corrected(now) {
            changes.extend(self.look_at_all(now));
        }
        if !self.store(changes, now).await? {
            return Ok(Stretch::Changed);
        }
        loop {
            let now = Utc::now();
            self.gathering.begin(&self.schedule, &self.work, now);
            let wake = self.begin_what_is_due(effects, now);
            if effects.is_empty() {
                if wake.is_some_and(|at| at <= now) {
                    let changes = self.schedule.happened(Happened::Tick, now);
                    if !self.store(changes, now).await? {
                        return Ok(Stretch::Changed);
                    }
                    continue;
                }
                return self.rest(wake, now).await;
            }
            let ended = tokio::select! {
                ended = effects.next() => ended,
                () = tokio::time::sleep(until(wake, now)) => None,
                () = cancelled.cancelled() => return Err(JobError::Stopped),
            };
            let is_current = match ended {
                Some((action, outcome)) => self.take(&action, outcome).await?,
                None => self.glance().await?,
            };
            if !is_current {
                return Ok(Stretch::Changed);
            }
        }
    }

    /// Has every node looked at.
    fn look_at_all(&mut self, now: DateTime<Utc>) -> Vec<Change> {
        let nodes = self.schedule.nodes().map(|(name, _)| name.clone()).collect();
        self.schedule.happened(Happened::Changed { nodes }, now)
    }

    /// Lists what the cluster has once nothing can come any more of what a server wrote that was lost: it may have made
    /// what no inventory names any more, and changed what was looked at before.
    async fn find_late_writes(&mut self, now: DateTime<Utc>) -> Vec<Change> {
        let kept = &mut self.loaded.kept;
        if kept.listed_from.is_none_or(|from| from > now) {
            return Vec::new();
        }
        self.is_noted = true;
        match self.work.listed().await {
            Ok(found) => {
                kept.listed_from = None;
                let is_any_new = kept.found(&found);
                let mut changes = self.look_at_all(now);
                if is_any_new {
                    changes.extend(self.schedule.happened(Happened::Found, now));
                }
                changes
            }
            Err(hitch) => {
                tracing::warn!(key = %kept.submission.key, ?hitch, "it is listed later what a lost server wrote");
                kept.listed_from = Some(now + LIST_AGAIN);
                Vec::new()
            }
        }
    }

    /// A removal is never given up: what its cluster still has would run for ever.
    fn is_removal_out_of_time(&self) -> bool {
        self.schedule.plan().aim() == Aim::Delete && self.schedule.whole().state == WholeState::TimedOut
    }

    /// Whether somebody had it looked at earlier than it was to be. Servers' clocks differ, so both times are the
    /// database's: when the row was stored, and when the turn was due.
    fn was_woken(&self, due: DateTime<Utc>) -> bool {
        let Loaded { state, kept } = &self.loaded;
        is_early(due, state.updated_at, kept.rests_ms)
    }

    /// Whether it is time to look at what others changed: it was written again, or may be by now.
    fn is_to_be_corrected(&self, now: DateTime<Utc>) -> bool {
        let due = self.loaded.kept.corrections.due_after(self.loaded.state.updated_at);
        due.is_some_and(|at| at <= now)
    }

    /// Begins what the schedule names and is not under way; gives when it wants to be asked again.
    fn begin_what_is_due(
        &mut self,
        effects: &mut FuturesUnordered<Effect<'static>>,
        now: DateTime<Utc>,
    ) -> Option<DateTime<Utc>> {
        let mut wake = None;
        for action in self.schedule.next(now) {
            if let Action::WakeAt(at) = action {
                wake = Some(at);
                continue;
            }
            if self.is_under_way(&action) {
                continue;
            }
            let Some(task) = self.work.task(action.clone(), &self.schedule, &self.loaded.kept) else {
                continue;
            };
            self.under_way.insert(action.clone());
            let work = self.work.clone();
            let before = self.gathering.before(&action);
            effects.push(Box::pin(async move {
                if let Some(gathered) = before {
                    work.wait_for(&gathered).await;
                }
                let outcome = work.carry_out(task).await;
                (action, outcome)
            }));
        }
        wake
    }

    /// A look at nodes is under way as long as one is: its list shrinks with each result.
    fn is_under_way(&self, action: &Action) -> bool {
        match action {
            Action::Look(_) => self.under_way.iter().any(|other| matches!(other, Action::Look(_))),
            other => self.under_way.contains(other),
        }
    }

    /// Takes what came of an effect, and stores it; `false`: somebody changed the row meanwhile.
    async fn take(&mut self, action: &Action, outcome: Outcome) -> Result<bool, JobError> {
        self.under_way.remove(action);
        let now = Utc::now();
        for note in outcome.notes {
            self.note(note);
        }
        let mut changes = Vec::new();
        for happened in outcome.happened {
            changes.extend(self.schedule.happened(happened, now));
        }
        self.store(changes, now).await
    }

    fn note(&mut self, note: Note) {
        self.is_noted = true;
        let generation = self.loaded.kept.submission.generation;
        let inventory = &mut self.loaded.kept.inventory;
        match note {
            Note::Applied { object, uid } => {
                if !inventory.applied(&object, &uid, generation) {
                    tracing::error!(%object, "an object was applied that the inventory does not have");
                }
            }
            Note::Secret(secret) => self.loaded.kept.secrets.applied(secret),
            Note::Made(made) => self.loaded.kept.pods.made(made),
            Note::Dropped(object) => {
                inventory.dropped(&object);
                self.loaded.kept.secrets.dropped(&object);
                self.loaded.kept.pods.dropped(&object);
            }
            Note::AtPeace(object) => self.loaded.kept.corrections.forget(&object),
            Note::Corrected { object, by } => self.loaded.kept.corrections.corrected(object, by, Utc::now()),
            Note::Found(found) => {
                self.loaded.kept.found(&found);
                self.loaded.kept.is_unlisted = false;
            }
        }
    }

    /// Whether the row is still as it was read.
    async fn glance(&mut self) -> Result<bool, JobError> {
        let now = Utc::now();
        let key = &self.loaded.kept.submission.key;
        let mut read = self.core.records.read().await?;
        let version = read.reconcile_version(&key.environment, &key.application).await?;
        drop(read);
        if version != Some(self.loaded.state.row_version) {
            return Ok(false);
        }
        let changes = self.schedule.happened(Happened::Tick, now);
        if changes.is_empty() { Ok(true) } else { self.store(changes, now).await }
    }

    /// Stores where things stand, if that is not stored yet; `false`: somebody changed the row meanwhile.
    async fn store(&mut self, changes: Vec<Change>, now: DateTime<Utc>) -> Result<bool, JobError> {
        let checkpoint = self.schedule.checkpoint();
        let kept = &mut self.loaded.kept;
        if changes.is_empty() && !self.is_noted && checkpoint == kept.checkpoint {
            return Ok(true);
        }
        kept.checkpoint = checkpoint;
        kept.rests_ms = None;
        self.is_noted = false;
        let state = self.schedule.whole().state;
        self.loaded.state.is_settled = state.is_ended() || state.is_live();
        let tells = !changes.is_empty();
        let is_stored = self.core.save(&mut self.loaded, changes, false, now).await?;
        if is_stored && tells {
            let submission = &self.loaded.kept.submission;
            if state != WholeState::Live && !state.is_ended() {
                self.core.senses.not_good(&submission.key);
            }
            self.core.host.tell(&submission.key, submission.generation).await;
        }
        Ok(is_stored)
    }

    /// Nothing is left to do: says when the next turn is.
    async fn rest(&mut self, wake: Option<DateTime<Utc>>, now: DateTime<Utc>) -> Result<Stretch, JobError> {
        // Whatever the schedule would be asked for: the next turn tries it again.
        let wake = if self.is_removal_out_of_time() { Some(now + REMOVAL_AGAIN) } else { wake };
        let listed_from = self.loaded.kept.listed_from;
        let wakes = [wake, listed_from].into_iter().flatten();
        let Some(at) = wakes.min() else { return Ok(Stretch::Done(Next::Ended)) };
        let at = self.loaded.kept.corrections.due_after(now).map_or(at, |due| due.min(at));
        let delay = (at.min(now + PAUSE_MAX) - now).to_std().unwrap_or_default();
        self.loaded.kept.rests_ms = Some(u64::try_from(delay.as_millis()).unwrap_or(u64::MAX));
        if !self.core.save(&mut self.loaded, Vec::new(), false, now).await? {
            return Ok(Stretch::Changed);
        }
        let whole = self.schedule.whole();
        let why = if whole.reason.is_empty() {
            format!("it is {}", whole.state.word())
        } else {
            format!("it is {}: {}", whole.state.word(), whole.reason)
        };
        Ok(Stretch::Done(Next::Wait { why, delay }))
    }
}

/// Whether a turn that was due at `due` was to be later: `rests_ms` after `stored_at`, unless that is open.
fn is_early(due: DateTime<Utc>, stored_at: DateTime<Utc>, rests_ms: Option<u64>) -> bool {
    rests_ms.is_some_and(|rests_ms| due + WOKEN_EARLY < after_ms(stored_at, rests_ms))
}

fn until(wake: Option<DateTime<Utc>>, now: DateTime<Utc>) -> Duration {
    let wake = wake.and_then(|at| (at - now).to_std().ok());
    wake.map_or(GLANCE_EVERY, |wake| wake.clamp(Duration::from_millis(10), GLANCE_EVERY))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_turn_is_early_by_the_clock_that_gave_it_its_time() {
        let stored_at = DateTime::UNIX_EPOCH;
        let due = |ms: u64| after_ms(stored_at, ms);
        for (due, rests_ms, is_woken) in [
            (due(10_000), Some(10_000), false),
            (due(10_040), Some(10_000), false),
            (due(9_600), Some(10_000), false),
            (due(9_400), Some(10_000), true),
            (due(0), Some(10_000), true),
            (due(0), Some(100), false),
            (due(0), Some(u64::MAX), true),
            (due(0), None, false),
        ] {
            assert_eq!(is_early(due, stored_at, rests_ms), is_woken, "{due} {rests_ms:?}");
        }
    }
}
