//! Everything that is waited for: by name, and until when.

use chrono::{DateTime, Utc};
use slipway_handoff::{NodeName, NodeState};

use super::Schedule;

/// Something that is waited for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Awaited {
    /// By which node; `None`: by the whole.
    pub node: Option<NodeName>,
    /// Where that stands.
    pub state: NodeState,
    /// What for.
    pub what: String,
    /// Since when.
    pub since: DateTime<Utc>,
    /// Until when at most.
    pub deadline: DateTime<Utc>,
}

impl Schedule {
    /// Everything that is waited for, of the whole first. What is live or has ended waits for nothing.
    pub fn waits(&self) -> Vec<Awaited> {
        if !self.is_under_way() {
            return Vec::new();
        }
        let whole = self.deadline();
        let mut waits: Vec<Awaited> = self.waits_of_whole(whole).into_iter().collect();
        for (name, progress) in self.nodes().filter(|(_, progress)| progress.standing.is_open()) {
            let own = progress.deadline.filter(|_| self.course.suspended.is_none());
            waits.push(Awaited {
                node: Some(name.clone()),
                state: progress.standing.state(),
                what: progress.standing.in_words(),
                since: progress.since,
                deadline: own.map_or(whole, |own| own.min(whole)),
            });
        }
        waits
    }

    fn waits_of_whole(&self, deadline: DateTime<Utc>) -> Option<Awaited> {
        let begun_at = self.course.begun_at;
        let state = self.whole().state.in_contract();
        let of_whole = |what, since| Awaited { node: None, state, what, since, deadline };
        if let Some(held) = &self.course.suspended {
            Some(of_whole(format!("held by {}", held.by), held.since))
        } else if self.course.older.is_some() || self.may_sweep() {
            Some(of_whole(self.why_sweeping(), begun_at))
        } else {
            None
        }
    }
}
