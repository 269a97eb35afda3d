//! What is known of one node, and kept.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use slipway_handoff::Filled;

use super::standing::Standing;

/// Whose objects a node has in the cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Trace {
    /// What was there before: nothing of this generation was written.
    #[default]
    Old,
    /// Writing began and was not seen to end: some may be new.
    Mixed,
    /// This generation's.
    New,
}

impl Trace {
    /// What that means for whoever stopped it.
    pub(super) fn words(self) -> &'static str {
        match self {
            Self::Old => "it is as it was before",
            Self::Mixed => "some of its objects may be new",
            Self::New => "its objects are new",
        }
    }
}

/// When a node is looked at next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct Look {
    /// `None`: not before something changes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) at: Option<DateTime<Utc>>,
    /// Looks in a row that saw nothing new.
    #[serde(default)]
    pub(super) count: u32,
    /// Something changed while a look may have been under way: that one does not count.
    #[serde(default)]
    pub(super) again: bool,
    /// It ended while it was waited for, and is looked at for a while: it may come about after all.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) late: bool,
}

impl Look {
    /// One that is due.
    pub(super) fn now(now: DateTime<Utc>) -> Self {
        Self { at: Some(now), ..Self::default() }
    }

    /// The first one after it ended.
    pub(super) fn late(at: DateTime<Utc>) -> Self {
        Self { at: Some(at), late: true, ..Self::default() }
    }

    pub(super) fn is_due(&self, now: DateTime<Utc>) -> bool {
        self.at.is_some_and(|at| at <= now)
    }

    /// Something changed.
    pub(super) fn stir(&mut self, now: DateTime<Utc>) {
        if self.is_due(now) {
            self.again = true;
        } else {
            self.at = Some(now);
        }
    }
}

/// An attempt of a node that came to nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lost {
    /// Which attempt, from 1.
    pub attempt: u32,
    /// Since when.
    pub at: DateTime<Utc>,
    /// Why.
    pub reason: String,
    /// Whether its time was over; else it failed.
    #[serde(default)]
    pub timed_out: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
fn is_zero(count: &u32) -> bool {
    *count == 0
}

/// What is known of one node.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// Where it stands.
    pub standing: Standing,
    /// Since when its state is this one.
    pub since: DateTime<Utc>,
    /// When it began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<DateTime<Utc>>,
    /// When its own time is over: `timeout_ms` after it began, and as much later as a person held the whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<DateTime<Utc>>,
    /// How often it began.
    #[serde(default)]
    pub attempt: u32,
    /// Transient failures in a row.
    #[serde(default)]
    pub failures: u32,
    /// How often it was written anew because something of it was gone.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(super) rewritten: u32,
    /// Since when somebody has had more of it made, while it is ready.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) grows_since: Option<DateTime<Utc>>,
    /// How often it began anew by itself since somebody last said so.
    #[serde(default)]
    pub anew: u32,
    /// The attempt before this one, if that came to nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) lost: Option<Lost>,
    /// Who approved that it goes on past its hold.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub approved_by: Vec<String>,
    /// Whose objects it has in the cluster.
    #[serde(default)]
    pub trace: Trace,
    /// What it gave, once it was ready.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub outputs: BTreeMap<String, Value>,
    /// What was put into holes of its objects.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub filled: Vec<Filled>,
    #[serde(default)]
    pub(super) look: Look,
}

impl Progress {
    /// Nothing has happened yet.
    pub(super) fn fresh(since: DateTime<Utc>) -> Self {
        Self {
            standing: Standing::Pending,
            since,
            started_at: None,
            deadline: None,
            attempt: 0,
            failures: 0,
            rewritten: 0,
            grows_since: None,
            anew: 0,
            lost: None,
            approved_by: Vec::new(),
            trace: Trace::Old,
            outputs: BTreeMap::new(),
            filled: Vec::new(),
            look: Look::default(),
        }
    }

    /// Whether it is written once more in the same attempt, because something of it was gone.
    pub(crate) fn is_rewritten(&self) -> bool {
        self.rewritten > 0
    }

    /// The word for why it ended so, as KubeVela has it; empty if it is ready, or has not ended.
    pub(super) fn reason_of_end(&self) -> &'static str {
        match self.standing {
            Standing::Failed { .. } if self.anew > 0 => "FailedAfterRetries",
            Standing::Failed { .. } => "Execute",
            Standing::TimedOut { .. } => "Timeout",
            Standing::Skipped { .. } | Standing::LeftOut { .. } => "Skip",
            Standing::Terminated { .. } => "Terminate",
            Standing::Pending
            | Standing::Blocked { .. }
            | Standing::Applying { .. }
            | Standing::Suspended { .. }
            | Standing::Waiting { .. }
            | Standing::Ready { .. } => "",
        }
    }

    /// The attempt that came to nothing and of which the cluster still tells: the last one, or the one before it as
    /// long as nothing is written anew.
    pub fn lost_attempt(&self) -> Option<Lost> {
        match &self.standing {
            Standing::Applying { .. } => {
                self.lost.clone().filter(|lost| lost.attempt.saturating_add(1) == self.attempt)
            }
            _ => self.loss(),
        }
    }

    /// Its last attempt, if that came to nothing.
    pub(super) fn loss(&self) -> Option<Lost> {
        let timed_out = match &self.standing {
            Standing::Failed { .. } => false,
            Standing::TimedOut { .. } => true,
            _ => return None,
        };
        Some(Lost { attempt: self.attempt, at: self.since, reason: self.standing.reason(), timed_out })
    }

    /// All but how often it began, and what that left, is as if nothing had happened; `lost` is how it ended.
    pub(super) fn forget(&mut self, lost: Option<Lost>) {
        let fresh = Self::fresh(self.since);
        let standing = self.standing.clone();
        *self = Self { standing, attempt: self.attempt, trace: self.trace, lost, ..fresh };
    }
}
