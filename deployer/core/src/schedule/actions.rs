//! What the driver is to do now.

use chrono::{DateTime, Utc};
use slipway_handoff::NodeName;

use super::Schedule;
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
    /// What is to be done now: nothing, if it has ended.
    pub fn next(&self, now: DateTime<Utc>) -> Vec<Action> {
        if self.is_ended() {
            return Vec::new();
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
