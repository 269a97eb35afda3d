//! Where the whole stands: progressing ⇄ suspended → live | failed(node) | timed out(node); live ⇄ degraded
//! ⇄ unreachable; any → terminated, superseded; deleting → deleted.

use serde::{Deserialize, Serialize};
use slipway_handoff::{NodeName, NodeState};

use super::Schedule;
use super::course::{End, Sweep};
use super::plan::Aim;
use super::progress::Trace;
use super::standing::{Health, Standing};

/// Where the whole stands, in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WholeState {
    /// Under way.
    Progressing,
    /// Held, by a person or because nothing but holds of nodes is left to wait for.
    Suspended,
    /// Every node is ready, and what is no longer wanted is gone.
    Live,
    /// It was live, and something is not as wanted.
    Degraded,
    /// It was live, and its place does not answer.
    Unreachable,
    /// A node failed, or removing did, and nothing can go on.
    Failed,
    /// A deadline passed.
    TimedOut,
    /// Stopped where it stood.
    Terminated,
    /// A newer generation took its place.
    Superseded,
    /// Being removed.
    Deleting,
    /// Removed.
    Deleted,
}

impl WholeState {
    /// The state's word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Progressing => "progressing",
            Self::Suspended => "suspended",
            Self::Live => "live",
            Self::Degraded => "degraded",
            Self::Unreachable => "unreachable",
            Self::Failed => "failed",
            Self::TimedOut => "timed out",
            Self::Terminated => "terminated",
            Self::Superseded => "superseded",
            Self::Deleting => "deleting",
            Self::Deleted => "deleted",
        }
    }

    /// The contract's word. It has none for what a newer generation ended: of that nobody hears any more.
    pub fn in_contract(self) -> NodeState {
        match self {
            Self::Progressing => NodeState::Applying,
            Self::Suspended => NodeState::Suspended,
            Self::Live => NodeState::Ready,
            Self::Degraded => NodeState::Degraded,
            Self::Unreachable => NodeState::Unreachable,
            Self::Failed => NodeState::Failed,
            Self::TimedOut => NodeState::TimedOut,
            Self::Terminated | Self::Superseded => NodeState::Terminated,
            Self::Deleting => NodeState::Deleting,
            Self::Deleted => NodeState::Deleted,
        }
    }

    /// Whether nothing more happens by itself.
    pub fn is_ended(self) -> bool {
        matches!(self, Self::Failed | Self::TimedOut | Self::Terminated | Self::Superseded | Self::Deleted)
    }

    /// Whether it has come to where it was to be, however it is since.
    pub fn is_live(self) -> bool {
        matches!(self, Self::Live | Self::Degraded | Self::Unreachable)
    }
}

/// Where the whole stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Whole {
    /// In one word.
    pub state: WholeState,
    /// The node at which it stands or ended, if it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<NodeName>,
    /// What it waits for, or why it ended so.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
}

impl Whole {
    fn new(state: WholeState, reason: impl Into<String>) -> Self {
        Self { state, node: None, reason: reason.into() }
    }
}

impl Schedule {
    /// Where the whole stands, and what it waits for or why it ended.
    pub fn whole(&self) -> Whole {
        match &self.course.end {
            Some(End::TimedOut { node, reason }) => {
                Whole { state: WholeState::TimedOut, node: node.clone(), reason: reason.clone() }
            }
            Some(End::Terminated { by }) => {
                Whole::new(WholeState::Terminated, format!("stopped by {by}: {}", self.traces()))
            }
            Some(End::Superseded { by }) => {
                Whole::new(WholeState::Superseded, format!("generation {by} took its place"))
            }
            None if self.plan.aim == Aim::Delete => self.whole_of_removal(),
            None => self.whole_of_nodes(),
        }
    }

    /// Whether nothing more happens by itself. What is live is not ended: it is looked at.
    pub fn is_ended(&self) -> bool {
        self.whole().state.is_ended()
    }

    /// Whether it is still to come to where it is to be: its deadline runs.
    pub(super) fn is_under_way(&self) -> bool {
        let is_unswept = matches!(self.course.sweep, Sweep::Open { .. });
        self.course.end.is_none() && (self.is_any(Standing::is_open) || (is_unswept && self.may_sweep()))
    }

    /// Whether all is done that comes before removing what is no longer wanted.
    pub(super) fn may_sweep(&self) -> bool {
        self.nodes.iter().all(|progress| progress.standing.is_done())
    }

    pub(super) fn is_any(&self, so: impl Fn(&Standing) -> bool) -> bool {
        self.nodes.iter().any(|progress| so(&progress.standing))
    }

    fn whole_of_removal(&self) -> Whole {
        match &self.course.sweep {
            Sweep::Open { .. } => Whole::new(WholeState::Deleting, self.why_sweeping()),
            Sweep::Done => Whole::new(WholeState::Deleted, ""),
            Sweep::Failed { reason } => Whole::new(WholeState::Failed, reason.clone()),
        }
    }

    fn whole_of_nodes(&self) -> Whole {
        if self.is_any(Standing::is_open) {
            return self.whole_under_way();
        }
        let lost = self.first_that(|standing| matches!(standing, Standing::Failed { .. }));
        if let Some(at) = lost.or_else(|| self.first_that(Standing::is_lost)) {
            let standing = &self.progress(at).standing;
            let is_failed = matches!(standing, Standing::Failed { .. });
            let name = self.plan.step(at).name.clone();
            return Whole {
                state: if is_failed { WholeState::Failed } else { WholeState::TimedOut },
                reason: format!("{name}: {}", standing.reason()),
                node: Some(name),
            };
        }
        match (&self.course.sweep, &self.course.suspended) {
            (Sweep::Open { .. }, Some(held)) => {
                Whole::new(WholeState::Suspended, format!("held by {}", held.by))
            }
            (Sweep::Open { .. }, None) => Whole::new(WholeState::Progressing, self.why_sweeping()),
            (Sweep::Failed { reason }, _) => Whole::new(WholeState::Failed, reason.clone()),
            (Sweep::Done, _) => self.whole_live(),
        }
    }

    fn whole_under_way(&self) -> Whole {
        if let Some(held) = &self.course.suspended {
            return Whole::new(WholeState::Suspended, format!("held by {}", held.by));
        }
        let works =
            |standing: &Standing| matches!(standing, Standing::Applying { .. } | Standing::Waiting { .. });
        let holds = |standing: &Standing| matches!(standing, Standing::Suspended { .. });
        let held = self.first_that(holds).filter(|_| !self.is_any(works));
        let state = if held.is_some() { WholeState::Suspended } else { WholeState::Progressing };
        let at = held.or_else(|| self.first_that(works)).or_else(|| self.first_that(Standing::is_open));
        let node = at.map(|at| self.plan.step(at).name.clone());
        let count = self.nodes.iter().filter(|progress| progress.standing.is_ready()).count();
        let reason = at.map_or_else(String::new, |at| {
            let standing = &self.progress(at).standing;
            let why = standing.reason();
            let why = if why.is_empty() { standing.word().to_owned() } else { why };
            // It stays the same while others become ready: nobody needs to hear of a hold twice.
            let counted = format!(" ({count} of {} nodes are ready)", self.nodes.len());
            let counted = if held.is_some() { "" } else { &counted };
            format!("{}: {why}{counted}", self.plan.step(at).name)
        });
        Whole { state, node, reason }
    }

    fn whole_live(&self) -> Whole {
        let is_degraded = |standing: &Standing| matches!(standing.state(), NodeState::Degraded);
        let is_away = |standing: &Standing| matches!(standing.state(), NodeState::Unreachable);
        let worst = self.first_that(is_degraded).or_else(|| self.first_that(is_away));
        let Some(at) = worst else { return Whole::new(WholeState::Live, "") };
        let name = self.plan.step(at).name.clone();
        let (state, why) = match &self.progress(at).standing {
            Standing::Ready { health: Health::Unreachable(why) } => (WholeState::Unreachable, why),
            Standing::Ready { health: Health::Degraded(why) } => (WholeState::Degraded, why),
            _ => return Whole::new(WholeState::Live, ""),
        };
        Whole { state, reason: format!("{name}: {why}"), node: Some(name) }
    }

    pub(super) fn why_sweeping(&self) -> String {
        if let Some(older) = self.course.older {
            return format!("waits for generation {older} to end");
        }
        let what = match self.plan.aim {
            Aim::Apply => "what is no longer wanted is removed",
            Aim::Delete => "everything is removed",
        };
        match self.course.sweep.trouble() {
            Some(why) => format!("{what}: {why}; it is tried again"),
            None => what.to_owned(),
        }
    }

    /// How many nodes are old and new.
    fn traces(&self) -> String {
        let count = |trace| self.nodes.iter().filter(|progress| progress.trace == trace).count();
        let [new, mixed, old] = [Trace::New, Trace::Mixed, Trace::Old].map(count);
        match mixed {
            0 => format!("{new} nodes are new, {old} as before"),
            _ => format!("{new} nodes are new, {mixed} may be in part, {old} as before"),
        }
    }

    fn first_that(&self, so: impl Fn(&Standing) -> bool) -> Option<usize> {
        self.nodes.iter().position(|progress| so(&progress.standing))
    }
}
