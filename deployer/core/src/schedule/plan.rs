//! What is to be done: the closed graph of one submission, in an order that can be walked.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;

use chrono::{DateTime, TimeDelta, Utc};
use slipway_handoff::{Cause, Key, Mode, Node, NodeName, ObjectRef, Output, Ready, Submission, Tasks};
use slipway_types::Digest;

/// What a plan leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Aim {
    /// The graph stands, and nothing else that the key owns.
    Apply,
    /// Nothing stands that the key owns.
    Delete,
}

/// How much at once and how often, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// Nodes that are called or applied at the same time. Those that wait do not count.
    pub max_parallel: NonZeroUsize,
    /// The pause after the first transient failure in a row; it doubles with each further one.
    pub retry_first_ms: u64,
    /// The longest such pause.
    pub retry_most_ms: u64,
    /// The pause after the first look at a node that is not ready yet; it doubles with each further one.
    pub check_first_ms: u64,
    /// The longest such pause.
    pub check_most_ms: u64,
    /// The pause between looks at what is live; it doubles with every third one that saw nothing new.
    pub watch_first_ms: u64,
    /// The longest such pause.
    pub watch_most_ms: u64,
    /// How long a person may hold the whole.
    pub max_suspended_ms: u64,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            max_parallel: NonZeroUsize::new(8).expect("invariant: 8 is not 0"),
            retry_first_ms: 1_000,
            retry_most_ms: 30_000,
            check_first_ms: 1_000,
            check_most_ms: 30_000,
            watch_first_ms: 5_000,
            watch_most_ms: 300_000,
            max_suspended_ms: 7 * 24 * 3_600_000,
        }
    }
}

impl Pace {
    /// The pause after so many transient failures in a row.
    pub(super) fn retry(&self, failures: u32) -> u64 {
        doubled(self.retry_first_ms, self.retry_most_ms, failures.saturating_sub(1))
    }

    /// The pause after so many looks at a node that is not ready.
    pub(super) fn check(&self, looks: u32) -> u64 {
        doubled(self.check_first_ms, self.check_most_ms, looks.saturating_sub(1))
    }

    /// The pause after so many looks at a node that is ready.
    pub(super) fn watch(&self, looks: u32) -> u64 {
        doubled(self.watch_first_ms, self.watch_most_ms, looks / 3)
    }
}

fn doubled(first_ms: u64, most_ms: u64, times: u32) -> u64 {
    first_ms.saturating_mul(1_u64.checked_shl(times).unwrap_or(u64::MAX)).min(most_ms)
}

/// So many milliseconds after `at`.
pub(crate) fn after_ms(at: DateTime<Utc>, ms: u64) -> DateTime<Utc> {
    after(at, i64::try_from(ms).ok().and_then(TimeDelta::try_milliseconds).unwrap_or(TimeDelta::MAX))
}

/// `at` and so much later; the end of time, if there is no later.
pub(super) fn after(at: DateTime<Utc>, delta: TimeDelta) -> DateTime<Utc> {
    at.checked_add_signed(delta).unwrap_or(DateTime::<Utc>::MAX_UTC)
}

/// One submission as it is carried out.
#[derive(Debug, Clone)]
pub struct Plan {
    pub(super) key: Key,
    pub(super) generation: u64,
    pub(super) revision: Digest,
    pub(super) aim: Aim,
    pub(super) deadline: DateTime<Utc>,
    pub(super) pace: Pace,
    /// Who it is of.
    pub(super) author: String,
    pub(super) is_rollback: bool,
    /// Each after all that it needs.
    pub(super) steps: Vec<Step>,
    positions: BTreeMap<NodeName, usize>,
}

/// A submission that this is not for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPlan {
    /// A dry run changes nothing, so nothing of it is scheduled. What an apply would change is shown before the
    /// hand-off, by the plan of a deployment.
    #[error("a dry run has no schedule: it changes nothing")]
    DryRun,
}

impl Plan {
    /// What a submission that was admitted asks for.
    pub fn new(submission: &Submission) -> Result<Self, InvalidPlan> {
        let aim = match submission.mode {
            Mode::Apply => Aim::Apply,
            Mode::Delete => Aim::Delete,
            Mode::DryRun => return Err(InvalidPlan::DryRun),
        };
        let (steps, positions) = match aim {
            Aim::Apply => steps(submission),
            // Whatever the graph says, a removal starts none of its nodes.
            Aim::Delete => (Vec::new(), BTreeMap::new()),
        };
        Ok(Self {
            key: submission.key.clone(),
            generation: submission.generation,
            revision: submission.revision,
            aim,
            deadline: submission.deadline,
            pace: Pace::default(),
            author: author(&submission.cause).to_owned(),
            is_rollback: is_rollback(submission),
            steps,
            positions,
        })
    }

    /// The same at another pace.
    #[must_use]
    pub fn paced(mut self, pace: Pace) -> Self {
        self.pace = pace;
        self
    }

    /// What is deployed where.
    pub fn key(&self) -> &Key {
        &self.key
    }

    /// Which generation of the key.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// What it leads to.
    pub fn aim(&self) -> Aim {
        self.aim
    }

    /// When the submission says that the receiver gives up.
    pub fn deadline(&self) -> DateTime<Utc> {
        self.deadline
    }

    /// A node of the graph; a removal has none.
    pub fn node(&self, name: &str) -> Option<&Node> {
        self.position(name).map(|at| &self.step(at).node)
    }

    /// Positions of all that must have ended before a step begins, near and far.
    pub(super) fn before(&self, at: usize) -> BTreeSet<usize> {
        let mut found = BTreeSet::new();
        let mut open = vec![at];
        while let Some(at) = open.pop() {
            let step = self.step(at);
            open.extend(step.needs.iter().chain(&step.after).copied().filter(|before| found.insert(*before)));
        }
        found
    }

    pub(super) fn position(&self, name: &str) -> Option<usize> {
        self.positions.get(name).copied()
    }

    pub(super) fn step(&self, at: usize) -> &Step {
        self.steps.get(at).expect("invariant: positions come from the plan itself")
    }
}

fn steps(submission: &Submission) -> (Vec<Step>, BTreeMap<NodeName, usize>) {
    let graph = &submission.document.graph;
    let order = graph.order();
    let positions: BTreeMap<NodeName, usize> =
        order.iter().enumerate().map(|(at, name)| ((*name).clone(), at)).collect();
    let step = |name: &NodeName| {
        let mut node = graph.nodes().get(name)?.clone();
        // Who rolls back has decided: nobody has to look at anything. Of what was live nobody is asked either: there
        // the graph has no holds any more.
        if is_rollback(submission) && node.hold.as_ref().is_some_and(|hold| hold.approvals.is_none()) {
            node.hold = None;
        }
        let at = |names: &BTreeSet<NodeName>| {
            names.iter().filter_map(|name| positions.get(name).copied()).collect()
        };
        let (needs, after) = (at(&node.needs), at(&node.after));
        Some(Step { name: name.clone(), node, needs, after })
    };
    (order.into_iter().filter_map(step).collect(), positions)
}

fn is_rollback(submission: &Submission) -> bool {
    submission.tasks == Tasks::Done || matches!(submission.cause, Cause::Rollback { .. })
}

fn author(cause: &Cause) -> &str {
    match cause {
        Cause::Deploy { by } | Cause::Rollback { by, .. } | Cause::Retry { by } | Cause::Rotation { by } => {
            by
        }
    }
}

/// A node in its place.
#[derive(Debug, Clone)]
pub(super) struct Step {
    pub(super) name: NodeName,
    pub(super) node: Node,
    /// Positions of what it needs.
    pub(super) needs: Vec<usize>,
    /// Positions of what must have ended before.
    pub(super) after: Vec<usize>,
}

/// What a node does, in the order of the contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Part {
    Call,
    Apply,
    Hold,
    Look,
}

impl Part {
    const ALL: [Self; 4] = [Self::Call, Self::Apply, Self::Hold, Self::Look];

    /// Whether it changes something, so that only some nodes do it at the same time.
    pub(super) fn takes_slot(self) -> bool {
        matches!(self, Self::Call | Self::Apply)
    }
}

impl Step {
    /// What comes next; `None`: it is ready.
    pub(super) fn part_after(&self, done: Option<Part>) -> Option<Part> {
        Part::ALL.into_iter().find(|part| Some(*part) > done && self.has(*part))
    }

    fn has(&self, part: Part) -> bool {
        let node = &self.node;
        match part {
            Part::Call => node.call.is_some(),
            Part::Apply => !node.objects.is_empty(),
            Part::Hold => node.hold.is_some(),
            Part::Look => {
                !node.waits.is_empty()
                    || node.objects.iter().any(|object| object.ready != Ready::Applied)
                    || self.outputs_read().next().is_some()
            }
        }
    }

    /// Names of outputs that are read from objects.
    pub(super) fn outputs_read(&self) -> impl Iterator<Item = &String> {
        self.node
            .outputs
            .iter()
            .filter(|(_, output)| !matches!(output, Output::Value(_)))
            .map(|(name, _)| name)
    }

    /// Whether there is anything to look at once it is ready.
    pub(super) fn is_watched(&self) -> bool {
        !self.node.objects.is_empty() && !self.node.temporary
    }

    /// Its objects.
    pub(super) fn objects(&self) -> impl Iterator<Item = &ObjectRef> {
        self.node.objects.iter().map(|object| &object.object)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_their_limit() {
        let pace = Pace::default();
        assert_eq!(
            [1, 2, 3, 4, 5, 6, 99].map(|n| pace.retry(n)),
            [1, 2, 4, 8, 16, 30, 30].map(|s| s * 1_000)
        );
        assert_eq!([0, 2, 3, 6, 18, u32::MAX].map(|n| pace.watch(n) / 1_000), [5, 5, 10, 20, 300, 300]);
        assert_eq!(pace.check(0), 1_000);
    }

    #[test]
    fn there_is_no_time_after_the_last() {
        let now = DateTime::UNIX_EPOCH;
        assert_eq!(after_ms(now, 1_500).timestamp_millis(), 1_500);
        assert_eq!(after_ms(now, u64::MAX), DateTime::<Utc>::MAX_UTC);
    }
}
