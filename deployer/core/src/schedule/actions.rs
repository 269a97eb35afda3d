//! What the driver is to do now.

use chrono::{DateTime, Utc};
use slipway_handoff::NodeName;

use super::Schedule;
use super::course::End;
use super::progress::Progress;
use super::standing::{Doing, Slot, Standing};

/// One attempt of a node. Whoever carries it out gives it back with the result.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Turn {
    /// Which node.
    pub node: NodeName,
    /// Which of its attempts.
    pub attempt: u32,
}

/// What is to be done. It is named until its result is told.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Action {
    /// Make the node's request.
    Call(Turn),
    /// Write the node's objects, with their holes filled ([`Schedule::fill`]).
    StartNode(Turn),
    /// Look whether the node is ready: its objects, what it waits for, its outputs.
    CheckNode(Turn),
    /// Remove what the key owns and no longer has; all of it, if the plan is a removal.
    Prune,
    /// Look at these nodes, which were ready, all at once. Each result is told by itself, and the list
    /// shrinks with each.
    Look(Vec<Turn>),
    /// Nothing happens by itself before this time. Then comes [`super::Happened::Tick`]; at once, if that
    /// time has passed.
    WakeAt(DateTime<Utc>),
}

impl Schedule {
    /// What is to be done now. If it has ended, that is only to look for a while whether it came about late.
    pub fn next(&self, now: DateTime<Utc>) -> Vec<Action> {
        if self.is_ended() {
            return self.late_looks(now);
        }
        let mut actions = Vec::new();
        let mut looks = Vec::new();
        for (at, progress) in self.nodes.iter().enumerate() {
            let turn = || Turn { node: self.plan.step(at).name.clone(), attempt: progress.attempt };
            match &progress.standing {
                Standing::Applying { doing, slot: Slot::Has, .. } if self.course.suspended.is_none() => {
                    actions.push(match doing {
                        Doing::Call => Action::Call(turn()),
                        Doing::Apply => Action::StartNode(turn()),
                    });
                }
                Standing::Waiting { .. } if progress.look.is_due(now) => {
                    actions.push(Action::CheckNode(turn()));
                }
                Standing::Ready { .. } if progress.look.is_due(now) => looks.push(turn()),
                _ => {}
            }
        }
        if self.sweeps() && self.course.sweep.is_due(now) {
            actions.push(Action::Prune);
        }
        if !looks.is_empty() {
            actions.push(Action::Look(looks));
        }
        actions.extend(self.wakes(now).map(Action::WakeAt));
        actions
    }

    fn late_looks(&self, now: DateTime<Utc>) -> Vec<Action> {
        if !self.may_come_late() {
            return Vec::new();
        }
        let late = || self.nodes().filter(|(_, progress)| progress.look.late);
        let due = late().filter(|(_, progress)| progress.look.is_due(now));
        let turn = |(name, progress): (&NodeName, &Progress)| {
            Action::CheckNode(Turn { node: name.clone(), attempt: progress.attempt })
        };
        let wake = late().filter_map(|(_, progress)| progress.look.at).filter(|at| *at > now).min();
        due.map(turn).chain(wake.map(Action::WakeAt)).collect()
    }

    /// Whether it would be as wanted if the nodes were that ended while they were waited for: nothing was skipped
    /// because of them, and nothing went by their having ended. What did is a person's to begin.
    pub(super) fn may_come_late(&self) -> bool {
        let is_stopped = matches!(self.course.end, Some(End::Terminated { .. } | End::Superseded { .. }));
        let is_lost =
            |standing: &Standing| matches!(standing, Standing::Skipped { .. } | Standing::Terminated { .. });
        !is_stopped && self.is_ended() && !self.is_any(is_lost) && !self.is_any_behind_lost()
    }

    /// Whether a node comes after one that failed or timed out: what it did, or that it was left out, goes by that.
    fn is_any_behind_lost(&self) -> bool {
        let is_lost = |at: &usize| self.progress(*at).standing.is_lost();
        self.plan.steps.iter().any(|step| step.after.iter().any(is_lost))
    }

    /// Whether it is time to remove what is no longer wanted.
    fn sweeps(&self) -> bool {
        let is_held = self.course.suspended.is_some() || self.course.older.is_some();
        !is_held && self.is_under_way() && self.may_sweep()
    }

    /// When something happens by itself, first.
    fn wakes(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let whole = self.is_under_way().then(|| self.deadline());
        let sweep = self.course.sweep.rests_until().filter(|until| *until > now && self.sweeps());
        let nodes = self.nodes.iter().filter_map(|progress| {
            let look = progress.look.at.filter(|at| *at > now && progress.standing.is_looked_at());
            let is_timed = self.course.suspended.is_none() && progress.standing.is_running();
            let timed =
                is_timed.then(|| progress.standing.rests_until().into_iter().chain(progress.deadline));
            look.into_iter().chain(timed.into_iter().flatten()).min()
        });
        nodes.chain(whole).chain(sweep).min()
    }
}

impl Standing {
    fn is_looked_at(&self) -> bool {
        matches!(self, Self::Waiting { .. } | Self::Ready { .. })
    }

    /// When it goes on by itself.
    fn rests_until(&self) -> Option<DateTime<Utc>> {
        match self {
            Self::Applying { slot: Slot::Rests { until }, .. } => Some(*until),
            Self::Suspended { until, .. } => *until,
            _ => None,
        }
    }
}
