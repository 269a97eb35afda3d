//! What people say.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use slipway_handoff::{Command, NodeName, NodeState};

use super::Schedule;
use super::change::Change;
use super::course::{End, Suspension, Sweep};
use super::plan::{Aim, after};
use super::standing::{Move, Standing};

/// Why an order is not carried out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The graph has no such node.
    #[error("there is no node `{0}`")]
    UnknownNode(NodeName),
    /// The node never holds.
    #[error("`{0}` has no hold")]
    NoHold(NodeName),
    /// The node does not stand at its hold.
    #[error("`{node}` is {state}: it does not stand at its hold")]
    NotHeld {
        /// Which node.
        node: NodeName,
        /// Its state's word.
        state: &'static str,
    },
    /// The node went past its hold already.
    #[error("the hold of `{node}` was passed already: it is {state}")]
    Passed {
        /// Which node.
        node: NodeName,
        /// Its state's word.
        state: &'static str,
    },
    /// A person has approved the node already.
    #[error("{by} approved `{node}` already: {note}")]
    Approved {
        /// Which node.
        node: NodeName,
        /// Who.
        by: String,
        /// What its hold says, with the approvals so far.
        note: String,
    },
    /// Several people must approve the node by its name.
    #[error("`{0}` waits for approvals: resume it by its name")]
    Approvals(NodeName),
    /// Whoever made it may not approve it.
    #[error("{by} made this deployment: others must approve `{node}`")]
    Author {
        /// Which node.
        node: NodeName,
        /// Who.
        by: String,
    },
    /// The node never began, because of another.
    #[error("`{node}` was skipped because of `{because}`: retry `{because}`")]
    Behind {
        /// Which node.
        node: NodeName,
        /// The one that is to be tried again.
        because: NodeName,
    },
    /// Nothing of the node came to nothing.
    #[error("`{node}` is {state}, so nothing of it can be tried again: {instead}")]
    NotLost {
        /// Which node.
        node: NodeName,
        /// Its state's word.
        state: &'static str,
        /// What can be.
        instead: String,
    },
    /// It is over, or has come to where it was to be.
    #[error("what is {state} cannot be {wanted}")]
    Over {
        /// The word of the whole's state.
        state: &'static str,
        /// E.g. `suspended`.
        wanted: &'static str,
    },
    /// A removal goes to its end.
    #[error("a removal cannot be {wanted}: deploy again to bring back what was removed")]
    Removal {
        /// E.g. `suspended`.
        wanted: &'static str,
    },
}

impl Schedule {
    /// Carries out what `by` wants; gives what changed by it, and in any case how the whole stands: whoever orders
    /// something takes it for changed. What is so already changes nothing, and is refused where a node is named.
    ///
    /// Resume without a node goes past everything that holds it at that moment: the order to hold it, and
    /// each hold of a node that asks for no approvals; with its name it is one approval of such a node. Retry
    /// begins again, from its call on, what failed, timed out or was stopped, and with it what was skipped or
    /// left out because of it; what is ready stays so.
    pub fn order(&mut self, command: &Command, by: &str, now: DateTime<Utc>) -> Result<Vec<Change>, Refused> {
        self.settle(now);
        match command {
            Command::Suspend => self.suspend(by, now)?,
            Command::Resume { node: None } => self.resume(now)?,
            Command::Resume { node: Some(node) } => self.resume_node(node, by, now)?,
            Command::Retry { node } => self.retry(node.as_ref(), now)?,
            Command::Terminate => self.terminate(by, now)?,
        }
        self.settle(now);
        Ok(self.changes_of_order(now))
    }

    fn over(&self, wanted: &'static str) -> Refused {
        Refused::Over { state: self.whole().state.word(), wanted }
    }

    fn known(&self, node: &NodeName) -> Result<usize, Refused> {
        self.plan.position(node).ok_or_else(|| Refused::UnknownNode(node.clone()))
    }

    fn suspend(&mut self, by: &str, now: DateTime<Utc>) -> Result<(), Refused> {
        if self.plan.aim == Aim::Delete {
            return Err(Refused::Removal { wanted: "suspended" });
        }
        if !self.is_under_way() {
            return Err(self.over("suspended"));
        }
        self.course.suspended.get_or_insert_with(|| Suspension { by: by.to_owned(), since: now });
        Ok(())
    }

    fn resume(&mut self, now: DateTime<Utc>) -> Result<(), Refused> {
        if self.is_ended() {
            return Err(self.over("resumed"));
        }
        let is_held = self.course.suspended.is_some();
        self.lift(now);
        let held = self.held_nodes();
        let (asking, free): (Vec<usize>, Vec<usize>) =
            held.into_iter().partition(|at| self.approvals(*at).is_some());
        for at in &free {
            self.pass_hold(*at, now);
        }
        match asking.first() {
            Some(at) if !is_held && free.is_empty() => {
                Err(Refused::Approvals(self.plan.step(*at).name.clone()))
            }
            _ => Ok(()),
        }
    }

    fn held_nodes(&self) -> Vec<usize> {
        let is_held = |at: &usize| matches!(self.progress(*at).standing, Standing::Suspended { .. });
        (0..self.nodes.len()).filter(is_held).collect()
    }

    /// Nobody holds the whole any more. As long as somebody did, no node's time ran.
    fn lift(&mut self, now: DateTime<Utc>) {
        let Some(Suspension { since, .. }) = self.course.suspended.take() else { return };
        let held = now.signed_duration_since(since);
        for progress in self.nodes.iter_mut().filter(|progress| progress.standing.is_running()) {
            progress.deadline = progress.deadline.map(|deadline| after(deadline, held));
        }
        self.renew(now);
    }

    fn resume_node(&mut self, node: &NodeName, by: &str, now: DateTime<Utc>) -> Result<(), Refused> {
        let at = self.known(node)?;
        if self.plan.step(at).node.hold.is_none() {
            return Err(Refused::NoHold(node.clone()));
        }
        if let Some(asked) = self.approvals(at).cloned() {
            return self.approve(at, &asked, by, now);
        }
        match &self.progress(at).standing {
            Standing::Suspended { .. } => self.pass_hold(at, now),
            standing @ (Standing::Waiting { .. } | Standing::Ready { .. }) => {
                return Err(Refused::Passed { node: node.clone(), state: standing.word() });
            }
            standing => return Err(Refused::NotHeld { node: node.clone(), state: standing.word() }),
        }
        Ok(())
    }

    fn retry(&mut self, node: Option<&NodeName>, now: DateTime<Utc>) -> Result<(), Refused> {
        if matches!(self.course.end, Some(End::Superseded { .. })) {
            return Err(self.over("tried again"));
        }
        let mut chosen = match node {
            Some(node) => self.retried(node)?.into_iter().collect(),
            None => self.retryable(),
        };
        // What was stopped goes on as a whole.
        chosen.extend(self.stopped());
        let is_wholes = matches!(self.course.end, Some(End::TimedOut { .. } | End::Terminated { .. }))
            || matches!(self.course.sweep, Sweep::Failed { .. });
        match node {
            Some(node) if chosen.is_empty() => return Err(self.not_lost(node, is_wholes)),
            None if chosen.is_empty() && !is_wholes => return Ok(()),
            _ => {}
        }
        // Who tries again what has ended does not want it held.
        if self.is_ended() {
            self.course.suspended = None;
        }
        self.course.end = None;
        if self.course.sweep != Sweep::Done {
            self.course.sweep = Sweep::fresh();
        }
        self.reopen(&chosen, now);
        self.renew(now);
        Ok(())
    }

    fn not_lost(&self, node: &NodeName, is_wholes: bool) -> Refused {
        let state = self.node(node).map_or("not there", |progress| progress.standing.word());
        let lost: Vec<String> =
            self.retryable().into_iter().map(|at| format!("`{}`", self.plan.step(at).name)).collect();
        let instead = match lost.as_slice() {
            [] if is_wholes => "name no node, to try the whole again".to_owned(),
            [] => "no node failed or timed out".to_owned(),
            lost => format!("retry {}", lost.join(", ")),
        };
        Refused::NotLost { node: node.clone(), state, instead }
    }

    /// Where a node is that is to be tried again; `None`: there is no need.
    fn retried(&self, node: &NodeName) -> Result<Option<usize>, Refused> {
        let at = self.known(node)?;
        match &self.progress(at).standing {
            Standing::Skipped { because: Some(because), .. } => {
                Err(Refused::Behind { node: node.clone(), because: because.clone() })
            }
            standing => Ok(standing.is_lost().then_some(at)),
        }
    }

    fn retryable(&self) -> BTreeSet<usize> {
        let lost = |at: &usize| {
            matches!(self.progress(*at).standing, Standing::Failed { .. } | Standing::TimedOut { .. })
        };
        (0..self.nodes.len()).filter(lost).collect()
    }

    fn stopped(&self) -> impl Iterator<Item = usize> {
        let is_stopped = move |at: &usize| matches!(self.progress(*at).standing, Standing::Terminated { .. });
        (0..self.nodes.len()).filter(is_stopped)
    }

    fn reopen(&mut self, chosen: &BTreeSet<usize>, now: DateTime<Utc>) {
        let mut reopened = BTreeSet::new();
        for at in 0..self.nodes.len() {
            let is_reopened = match &self.progress(at).standing {
                Standing::Failed { .. } | Standing::TimedOut { .. } | Standing::Terminated { .. } => {
                    chosen.contains(&at)
                }
                Standing::LeftOut { .. } => self.may_come_in(at, &reopened, chosen),
                // Without a cause among the nodes it was the deadline, which begins anew.
                Standing::Skipped { because, .. } => because
                    .as_ref()
                    .is_none_or(|because| self.plan.position(because).is_some_and(|at| chosen.contains(&at))),
                _ => false,
            };
            let lost = self.progress(at).loss();
            if is_reopened && self.go(at, Move::Reopen, now) {
                self.progress_mut(at).forget(lost);
                reopened.insert(at);
            }
        }
    }

    /// Whether a node that was left out may run after all: it comes after what begins again, and nothing that
    /// needs it went on without it.
    fn may_come_in(&self, at: usize, reopened: &BTreeSet<usize>, chosen: &BTreeSet<usize>) -> bool {
        let is_passed = |other: usize| {
            let standing = &self.progress(other).standing;
            self.plan.step(other).needs.contains(&at)
                && standing.state() != NodeState::Skipped
                && !standing.is_ahead()
                && !chosen.contains(&other)
        };
        !reopened.is_disjoint(&self.plan.before(at)) && !(at..self.nodes.len()).any(is_passed)
    }

    fn terminate(&mut self, by: &str, now: DateTime<Utc>) -> Result<(), Refused> {
        if self.plan.aim == Aim::Delete {
            return Err(Refused::Removal { wanted: "stopped" });
        }
        match self.course.end {
            Some(End::Terminated { .. }) => return Ok(()),
            Some(End::Superseded { .. }) => return Err(self.over("stopped")),
            _ => {}
        }
        for at in 0..self.nodes.len() {
            let progress = self.progress(at);
            if progress.standing.is_open() {
                let reason = format!("stopped by {by}: {}", progress.trace.words());
                self.go(at, Move::Terminate(reason), now);
            }
        }
        self.course.end = Some(End::Terminated { by: by.to_owned() });
        Ok(())
    }
}
