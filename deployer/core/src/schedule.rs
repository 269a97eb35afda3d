//! What is done next: a state machine over one submission, one generation of one key.
//!
//! It decides, a driver does. The driver asks [`Schedule::next`], carries out what it is told, and says
//! what came of it by [`Schedule::happened`]; people's orders come by [`Schedule::order`]. What changed is
//! given back, to be kept together with the [`Checkpoint`] in one transaction and told as events. There is
//! no clock here: every call says what time it is.
//!
//! An action is named until its result is told, so whoever has it under way passes over it. Results carry
//! the [`Turn`] that they are of: one of an earlier attempt, or that does not fit where its node stands, is
//! dropped. What was under way when a server died is named once more, so a call may be made twice.
//!
//! # Who runs
//!
//! A node begins when all that it needs are done, ready or left out, and all that it comes after have ended.
//! One that needs a lost one (failed, timed out, skipped) is skipped. Else its condition is asked, once: if that
//! does not hold, or an output that the node takes is not there, it is left out, and what needs it goes on. A
//! condition sees only what has ended before, so its answer never changes. What was lost stays so for the
//! whole, whatever ran after it.
//!
//! # Time
//!
//! Every wait has a deadline and a name ([`Schedule::waits`]).
//!
//! - A node is to be ready `timeout_ms` after it began. Its own hold counts, as the contract says: a stop
//!   for a person has a long `timeout_ms`. While a person holds the whole, no node's time runs.
//! - The whole has the submission's deadline. A hold does not count: while a node is held the deadline is
//!   that node's, if later, and a hold that ended by itself puts the deadline off by its length. A resume
//!   and a retry begin a new one, as long as the submission had allowed at first. Somebody who holds the
//!   whole may do so for [`Pace::max_suspended_ms`].
//! - Time is taken into account before anything else: what comes after a deadline comes too late.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use slipway_handoff::{NodeName, NodeState};

mod actions;
mod change;
mod checkpoint;
mod course;
mod fill;
mod happened;
mod holds;
mod orders;
mod plan;
mod progress;
mod ruling;
mod settle;
mod standing;
mod waits;
mod whole;

pub use actions::{Action, Turn};
pub use change::Change;
pub use checkpoint::{Checkpoint, CheckpointError};
pub use fill::FillError;
pub use happened::{Failure, Happened, Verdict};
pub use orders::Refused;
pub use plan::{Aim, InvalidPlan, Pace, Plan};
pub use progress::{Lost, Progress, Trace};
pub use standing::{Blocker, Doing, Health, Move, Slot, Standing};
pub use waits::Awaited;
pub use whole::{Whole, WholeState};

use course::Course;
pub(crate) use plan::after_ms;
use progress::Look;

/// One submission on its way.
#[derive(Debug, Clone)]
pub struct Schedule {
    plan: Plan,
    /// By position in the plan.
    nodes: Vec<Progress>,
    course: Course,
    /// What nodes were when changes were last given, as far as they moved since.
    touched: BTreeMap<usize, (NodeState, String)>,
}

impl Schedule {
    /// A submission of which nothing has been done. Nothing is, before it is told [`Happened::Tick`].
    pub fn new(plan: Plan, now: DateTime<Utc>) -> Self {
        let nodes = plan.steps.iter().map(|_| Progress::fresh(now)).collect();
        let course = Course::new(now, plan.deadline);
        Self { plan, nodes, course, touched: BTreeMap::new() }
    }

    /// The same, but nothing is written before [`Happened::OlderEnded`]: `generation` may still be writing.
    #[must_use]
    pub fn behind(mut self, generation: u64) -> Self {
        self.course.older = Some(generation);
        self
    }

    /// The same where the key has nothing in its cluster: what is temporary stands beside nothing, and is left out.
    #[must_use]
    pub fn first(mut self) -> Self {
        self.course.is_first = true;
        self
    }

    /// What is to be done.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// What is known of a node.
    pub fn node(&self, name: &str) -> Option<&Progress> {
        self.plan.position(name).map(|at| self.progress(at))
    }

    /// What is known of every node, each after all that it needs.
    pub fn nodes(&self) -> impl Iterator<Item = (&NodeName, &Progress)> {
        self.plan.steps.iter().map(|step| &step.name).zip(&self.nodes)
    }

    fn progress(&self, at: usize) -> &Progress {
        self.nodes.get(at).expect("invariant: every step of the plan has a progress")
    }

    fn progress_mut(&mut self, at: usize) -> &mut Progress {
        self.nodes.get_mut(at).expect("invariant: every step of the plan has a progress")
    }

    /// Moves a node; `false`: that does not fit where it stands.
    fn go(&mut self, at: usize, event: Move, now: DateTime<Utc>) -> bool {
        let first_look = after_ms(now, self.plan.pace.watch(0));
        let progress = self.progress_mut(at);
        let was = (progress.standing.state(), progress.standing.reason());
        let Ok(standing) = progress.standing.clone().apply(event) else { return false };
        let was_waiting = matches!(progress.standing, Standing::Waiting { .. });
        progress.standing = standing;
        if progress.standing.state() != was.0 {
            progress.since = now;
        }
        if matches!(progress.standing, Standing::Failed { .. } | Standing::TimedOut { .. }) {
            progress.look = if was_waiting { Look::late(first_look) } else { Look::default() };
        }
        self.touched.entry(at).or_insert(was);
        true
    }
}

#[cfg(test)]
mod tests;
