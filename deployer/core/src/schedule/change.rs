//! What changed, for whoever tells it on.

use std::collections::BTreeMap;
use std::mem;

use chrono::{DateTime, Utc};
use serde_json::Value;
use slipway_handoff::{Event, Filled, Key, NodeName, NodeState};

use super::Schedule;
use super::whole::{Whole, WholeState};

/// A node, or the whole, stands otherwise than before.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// Which node; `None`: the whole.
    pub node: Option<NodeName>,
    /// Where it stands now.
    pub state: NodeState,
    /// Why, for people.
    pub reason: String,
    /// Since when.
    pub at: DateTime<Utc>,
    /// What the node gave, if it became ready.
    pub outputs: BTreeMap<String, Value>,
    /// What was put into holes of its objects, if they were written.
    pub filled: Vec<Filled>,
}

impl Change {
    pub(super) fn of_whole(whole: Whole, now: DateTime<Utc>) -> Self {
        Self {
            node: None,
            state: whole.state.in_contract(),
            reason: whole.reason,
            at: now,
            outputs: BTreeMap::new(),
            filled: Vec::new(),
        }
    }

    /// The report of it. What one call of the schedule gave may share a sequence number.
    pub fn into_event(self, key: &Key, generation: u64, sequence: u64) -> Event {
        let event = Event {
            sequence,
            key: key.clone(),
            generation,
            node: self.node,
            state: self.state,
            reason: self.reason,
            observed_at: self.at,
            outputs: self.outputs,
            filled: self.filled,
        };
        event.bounded()
    }
}

impl Schedule {
    /// What stands otherwise than when this was last asked: each node at most once, the whole last.
    pub(super) fn changes(&mut self, now: DateTime<Utc>) -> Vec<Change> {
        let touched = mem::take(&mut self.touched);
        let mut changes: Vec<Change> = touched
            .into_iter()
            .filter_map(|(at, (state, reason))| self.change_of_node(at, state, &reason, now))
            .collect();
        changes.extend(self.change_of_whole(now));
        changes
    }

    /// The same after an order; how the whole stands is told in any case.
    pub(super) fn changes_of_order(&mut self, now: DateTime<Utc>) -> Vec<Change> {
        self.course.told = None;
        self.changes(now)
    }

    fn change_of_node(
        &self,
        at: usize,
        was: NodeState,
        reason_was: &str,
        now: DateTime<Utc>,
    ) -> Option<Change> {
        let progress = self.progress(at);
        let (state, reason) = (progress.standing.state(), progress.standing.reason());
        if state == was && reason == reason_was {
            return None;
        }
        let is_new = state != was;
        let is_written =
            matches!(state, NodeState::Suspended | NodeState::Waiting | NodeState::Ready) && is_new;
        Some(Change {
            node: Some(self.plan.step(at).name.clone()),
            state,
            reason,
            at: now,
            outputs: if is_new && state == NodeState::Ready {
                progress.outputs.clone()
            } else {
                BTreeMap::new()
            },
            filled: if is_written { progress.filled.clone() } else { Vec::new() },
        })
    }

    fn change_of_whole(&mut self, now: DateTime<Utc>) -> Option<Change> {
        let whole = match self.whole() {
            // Its nodes tell what it waits for.
            Whole { state: state @ WholeState::Progressing, .. } => {
                Whole { state, node: None, reason: String::new() }
            }
            whole => whole,
        };
        if self.course.told.as_ref() == Some(&whole) {
            return None;
        }
        self.course.told = Some(whole.clone());
        Some(Change::of_whole(whole, now))
    }
}
