//! What came of it.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use serde_json::Value;
use slipway_handoff::event::REASON_CHARS_MAX;
use slipway_handoff::{Filled, NodeName};

use super::Schedule;
use super::actions::Turn;
use super::change::Change;
use super::course::{End, Rest, Sweep};
use super::fill::FillError;
use super::plan::{Aim, Part, after_ms};
use super::progress::{Look, Lost, Trace};
use super::standing::{Doing, Health, Move, Slot, Standing};

/// So often a node is written anew in one attempt because something of it is gone.
const REWRITTEN_MAX: u32 = 5;

/// For how long after it ended a node is looked at by itself, in milliseconds.
const LATE_MS: u64 = 3_600_000;

/// What happened in the world.
#[derive(Debug, Clone, PartialEq)]
pub enum Happened {
    /// Time passed.
    Tick,
    /// A node's request was answered.
    Called {
        /// Of which attempt.
        turn: Turn,
        /// What came of it.
        result: Result<(), Failure>,
    },
    /// A node's objects were written.
    Applied {
        /// Of which attempt.
        turn: Turn,
        /// What was put into their holes, or what came in between.
        result: Result<Vec<Filled>, Failure>,
    },
    /// A node was looked at.
    Looked {
        /// Of which attempt.
        turn: Turn,
        /// What was seen.
        verdict: Verdict,
    },
    /// Something changed in the cluster that these nodes have or wait for. Others are passed over.
    Changed {
        /// Which nodes are to be looked at again.
        nodes: BTreeSet<NodeName>,
    },
    /// What is no longer wanted was removed. What is merely on its way out is a transient failure that
    /// names what still stands.
    Pruned {
        /// What came of it.
        result: Result<(), Failure>,
    },
    /// A newer generation of the key was accepted: this one writes nothing more and waits for nothing.
    Superseded {
        /// That generation.
        by: u64,
    },
    /// What the older generation had under way has ended.
    OlderEnded,
    /// There is more in the cluster than was known when it was removed what is no longer wanted.
    Found,
}

/// Why something could not be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Why, for people. Never a secret.
    pub reason: String,
    /// Whether the same again may work.
    pub transient: bool,
}

impl Failure {
    /// The same again may work.
    pub fn transient(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), transient: true }
    }

    /// The same again gives the same.
    pub fn permanent(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), transient: false }
    }
}

impl From<FillError> for Failure {
    fn from(error: FillError) -> Self {
        Self::permanent(error.to_string())
    }
}

/// What a look at a node saw.
#[derive(Debug, Clone, PartialEq)]
pub enum Verdict {
    /// Its objects are ready and its waits hold.
    Ready {
        /// Those of its outputs that are read from objects. One that is not there yet is waited for.
        outputs: BTreeMap<String, Value>,
    },
    /// Something is wanting.
    NotYet {
        /// What.
        blocker: String,
    },
    /// It was ready, and somebody whom the revision leaves that to has just had more of it made: that is no
    /// harm, unless it goes on for longer than the node may take.
    Growing {
        /// What is wanting.
        blocker: String,
    },
    /// One of its objects, which were all written, is gone: it is written anew, a few times.
    Gone {
        /// Which.
        what: String,
    },
    /// It cannot become ready, e.g. a Job failed.
    Failed {
        /// Why.
        reason: String,
    },
    /// Nobody knows: its place does not answer.
    Unreachable {
        /// What stood in the way.
        why: String,
    },
}

impl Schedule {
    /// Takes in what happened; gives what changed by it. What comes late, twice, or does not fit where its
    /// node stands, changes nothing.
    pub fn happened(&mut self, what: Happened, now: DateTime<Utc>) -> Vec<Change> {
        self.settle(now);
        match what {
            Happened::Tick => {}
            Happened::Called { turn, result } => self.called(&turn, result, now),
            Happened::Applied { turn, result } => self.applied(&turn, result, now),
            Happened::Looked { turn, verdict } => self.looked(&turn, verdict, now),
            Happened::Changed { nodes } => self.changed(&nodes, now),
            Happened::Pruned { result } => self.pruned(result, now),
            Happened::Superseded { by } => self.superseded(by, now),
            Happened::OlderEnded => self.course.older = None,
            Happened::Found => self.sweep_again(now),
        }
        self.settle(now);
        self.changes(now)
    }

    fn sweep_again(&mut self, now: DateTime<Utc>) {
        if self.course.sweep == Sweep::Done {
            self.course.sweep = Sweep::fresh();
            self.renew(now);
        }
    }

    /// Where the node of a turn is, if the turn is its newest.
    fn position(&self, turn: &Turn) -> Option<usize> {
        let at = self.plan.position(&turn.node)?;
        (self.progress(at).attempt == turn.attempt).then_some(at)
    }

    fn position_doing(&self, turn: &Turn, what: Doing) -> Option<usize> {
        let at = self.position(turn)?;
        match &self.progress(at).standing {
            Standing::Applying { doing, slot: Slot::Has, .. } if *doing == what => Some(at),
            _ => None,
        }
    }

    fn called(&mut self, turn: &Turn, result: Result<(), Failure>, now: DateTime<Utc>) {
        let Some(at) = self.position_doing(turn, Doing::Call) else { return };
        match result {
            Ok(()) => self.onward(at, Some(Part::Call), now),
            Err(failure) => self.stumble(at, failure, now),
        }
    }

    fn applied(&mut self, turn: &Turn, result: Result<Vec<Filled>, Failure>, now: DateTime<Utc>) {
        let Some(at) = self.position_doing(turn, Doing::Apply) else { return };
        match result {
            Ok(filled) => {
                let progress = self.progress_mut(at);
                progress.filled = filled;
                progress.trace = Trace::New;
                // What is written anew is past its hold.
                let done = if progress.is_rewritten() { Part::Hold } else { Part::Apply };
                self.onward(at, Some(done), now);
            }
            Err(failure) => self.stumble(at, failure, now),
        }
    }

    fn stumble(&mut self, at: usize, failure: Failure, now: DateTime<Utc>) {
        let reason = bounded(failure.reason);
        if !failure.transient {
            return self.fail(at, reason, now);
        }
        let pace = self.plan.pace;
        let progress = self.progress_mut(at);
        progress.failures = progress.failures.saturating_add(1);
        let until = after_ms(now, pace.retry(progress.failures));
        self.go(at, Move::Stumble { why: reason, until }, now);
    }

    /// A node cannot go on as it is: it begins anew, as often as it says, or has failed.
    fn fail(&mut self, at: usize, reason: String, now: DateTime<Utc>) {
        let step = self.plan.step(at);
        let first = match step.part_after(None) {
            Some(Part::Call) => Some(Doing::Call),
            Some(Part::Apply) => Some(Doing::Apply),
            Some(Part::Hold | Part::Look) | None => None,
        };
        let retry = step.node.retry.filter(|retry| self.progress(at).anew < retry.limit);
        let (Some(doing), Some(retry)) = (first, retry) else {
            self.go(at, Move::Fail(bounded(reason)), now);
            return;
        };
        let anew = self.progress(at).anew.saturating_add(1);
        let why = bounded(format!("retry {anew} of {}: {reason}", retry.limit));
        let until = after_ms(now, retry.backoff_ms);
        if self.go(at, Move::Anew { doing, why, until }, now) {
            let progress = self.progress_mut(at);
            progress.anew = anew;
            let reason = bounded(reason);
            progress.lost = Some(Lost { attempt: progress.attempt, at: now, reason, timed_out: false });
            // What is under way of the attempt before does not count any more.
            progress.attempt = progress.attempt.saturating_add(1);
            progress.failures = 0;
            progress.look = Look::default();
            // It comes to its hold again.
            progress.rewritten = 0;
            progress.approved_by.clear();
        }
    }

    fn looked(&mut self, turn: &Turn, verdict: Verdict, now: DateTime<Utc>) {
        let Some(at) = self.position(turn) else { return };
        match &self.progress(at).standing {
            Standing::Waiting { .. } => self.looked_at_waiting(at, verdict, now),
            Standing::Ready { .. } if !self.is_ended() => self.looked_at_ready(at, verdict, now),
            Standing::Failed { .. } | Standing::TimedOut { .. } => self.looked_at_late(at, verdict, now),
            _ => {}
        }
    }

    fn looked_at_waiting(&mut self, at: usize, verdict: Verdict, now: DateTime<Utc>) {
        let blocker = match verdict {
            Verdict::Ready { outputs } => match self.outputs_given(at, outputs) {
                Ok(outputs) => return self.arrive(at, outputs, now),
                Err(missing) => missing,
            },
            Verdict::Gone { what } if self.write_anew(at, &what, now) => return,
            Verdict::NotYet { blocker } | Verdict::Growing { blocker } | Verdict::Gone { what: blocker } => {
                blocker
            }
            Verdict::Unreachable { why } => format!("its place does not answer: {why}"),
            Verdict::Failed { reason } => return self.fail(at, reason, now),
        };
        self.go(at, Move::Wait(bounded(blocker)), now);
        let pace = self.plan.pace;
        let look = &mut self.progress_mut(at).look;
        look.count = look.count.saturating_add(1);
        look.at = Some(if look.again { now } else { after_ms(now, pace.check(look.count)) });
        look.again = false;
    }

    /// The outputs that a node gives by what was read; or what is wanting.
    fn outputs_given(
        &self,
        at: usize,
        mut read: BTreeMap<String, Value>,
    ) -> Result<BTreeMap<String, Value>, String> {
        let step = self.plan.step(at);
        read.retain(|name, _| step.outputs_read().any(|wanted| wanted == name));
        match step.outputs_read().find(|name| !read.contains_key(*name)) {
            Some(missing) => Err(format!("its output `{missing}` is not there yet")),
            None => Ok(read),
        }
    }

    /// A node that ended while it was waited for: if it is ready after all, so may the whole be.
    fn looked_at_late(&mut self, at: usize, verdict: Verdict, now: DateTime<Utc>) {
        let look = self.progress(at).look;
        if !look.late || !look.is_due(now) || !self.may_come_late() {
            return;
        }
        if let Verdict::Ready { outputs } = verdict
            && let Ok(outputs) = self.outputs_given(at, outputs)
        {
            self.arrive(at, outputs, now);
            if self.may_sweep() {
                self.course.end = None;
                self.renew(now);
            }
            return;
        }
        let pace = self.plan.pace;
        let progress = self.progress_mut(at);
        let last = after_ms(progress.since, LATE_MS);
        let look = &mut progress.look;
        look.count = look.count.saturating_add(1);
        let next = if look.again { now } else { after_ms(now, pace.watch(look.count)) };
        look.at = (look.again || next <= last).then_some(next);
        look.again = false;
    }

    /// Writes a node anew, from its objects on, if that was not done too often.
    fn write_anew(&mut self, at: usize, what: &str, now: DateTime<Utc>) -> bool {
        let pace = self.plan.pace;
        let progress = self.progress_mut(at);
        if progress.rewritten >= REWRITTEN_MAX {
            return false;
        }
        progress.rewritten += 1;
        let until = after_ms(now, pace.retry(progress.rewritten));
        self.go(at, Move::Stumble { why: bounded(what.to_owned()), until }, now)
    }

    /// Whether a node that is ready grows, and may still.
    fn grows(&mut self, at: usize, verdict: &Verdict, now: DateTime<Utc>) -> bool {
        let timeout_ms = self.plan.step(at).node.timeout_ms;
        let progress = self.progress_mut(at);
        if let Verdict::Growing { .. } = verdict {
            return now < after_ms(*progress.grows_since.get_or_insert(now), timeout_ms);
        }
        progress.grows_since = None;
        false
    }

    fn looked_at_ready(&mut self, at: usize, verdict: Verdict, now: DateTime<Utc>) {
        let grows = self.grows(at, &verdict, now);
        let health = match verdict {
            Verdict::Ready { .. } => Health::Good,
            Verdict::Growing { .. } if grows => Health::Good,
            Verdict::NotYet { blocker: why }
            | Verdict::Growing { blocker: why }
            | Verdict::Gone { what: why }
            | Verdict::Failed { reason: why } => Health::Degraded(bounded(why)),
            Verdict::Unreachable { why } => Health::Unreachable(bounded(why)),
        };
        let was = self.progress(at).standing.state();
        self.go(at, Move::Sense(health), now);
        let (pace, is_live) = (self.plan.pace, self.course.sweep == Sweep::Done);
        let progress = self.progress_mut(at);
        let is_news = progress.standing.state() != was || grows;
        let look = &mut progress.look;
        look.count = if is_news { 0 } else { look.count.saturating_add(1) };
        look.at = match look.again {
            true => Some(now),
            false => is_live.then(|| after_ms(now, pace.watch(look.count))),
        };
        look.again = false;
    }

    fn changed(&mut self, nodes: &BTreeSet<NodeName>, now: DateTime<Utc>) {
        for at in nodes.iter().filter_map(|name| self.plan.position(name)).collect::<Vec<_>>() {
            let is_watched = self.plan.step(at).is_watched();
            let progress = self.progress_mut(at);
            match progress.standing {
                Standing::Waiting { .. } => progress.look.stir(now),
                Standing::Failed { .. } | Standing::TimedOut { .. } if progress.look.late => {
                    progress.look.stir(now);
                }
                Standing::Ready { .. } if is_watched => progress.look.stir(now),
                _ => {}
            }
        }
    }

    fn pruned(&mut self, result: Result<(), Failure>, now: DateTime<Utc>) {
        let is_due = self.is_under_way() && self.may_sweep() && self.course.sweep.is_due(now);
        let Sweep::Open { failures, .. } = self.course.sweep else { return };
        if !is_due {
            return;
        }
        self.course.sweep = match result {
            Ok(()) => Sweep::Done,
            Err(Failure { reason, transient: true }) => {
                let failures = failures.saturating_add(1);
                let until = after_ms(now, self.plan.pace.retry(failures));
                Sweep::Open { failures, rest: Some(Rest { until, why: bounded(reason) }) }
            }
            Err(Failure { reason, transient: false }) => {
                Sweep::Failed { reason: bounded(format!("removing what is no longer wanted: {reason}")) }
            }
        };
        if self.course.sweep == Sweep::Done && self.plan.aim == Aim::Apply {
            self.watch_all(now);
        }
    }

    /// From now on what is ready is looked at, again and again.
    fn watch_all(&mut self, now: DateTime<Utc>) {
        let first = after_ms(now, self.plan.pace.watch(0));
        for (step, progress) in self.plan.steps.iter().zip(&mut self.nodes) {
            if step.is_watched() {
                progress.look.at.get_or_insert(first);
            }
        }
    }

    fn superseded(&mut self, by: u64, now: DateTime<Utc>) {
        let is_over = matches!(self.course.end, Some(End::Terminated { .. } | End::Superseded { .. }))
            || (self.plan.aim == Aim::Delete && self.course.sweep == Sweep::Done);
        if is_over || by <= self.plan.generation {
            return;
        }
        for at in 0..self.nodes.len() {
            let progress = self.progress(at);
            let reason = format!("generation {by} took its place");
            if progress.standing.is_ahead() {
                self.go(at, Move::Skip { because: None, reason }, now);
            } else if progress.standing.is_running() {
                let reason = format!("{reason}: {}", progress.trace.words());
                self.go(at, Move::Terminate(reason), now);
            }
        }
        self.course.end = Some(End::Superseded { by });
    }
}

/// No longer than is kept.
pub(super) fn bounded(mut reason: String) -> String {
    if let Some((end, _)) = reason.char_indices().nth(REASON_CHARS_MAX) {
        reason.truncate(end);
    }
    reason
}
