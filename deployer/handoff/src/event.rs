//! What a receiver reports.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::graph::NodeName;
use crate::node::Hole;
use crate::submission::Key;

/// The longest reason that is kept, in characters.
pub const REASON_CHARS_MAX: usize = 2_000;

/// Where a node stands, or the whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NodeState {
    /// Not looked at yet.
    Pending,
    /// Waits for other nodes.
    Blocked,
    /// Its objects are being written.
    Applying,
    /// Its objects are written, not yet ready.
    Waiting,
    /// Ready; of the whole: live.
    Ready,
    /// Failed.
    Failed,
    /// Its deadline passed.
    TimedOut,
    /// Not needed.
    Skipped,
    /// Stopped where it stood.
    Terminated,
    /// Held.
    Suspended,
    /// It was ready, and something is not as wanted.
    Degraded,
    /// It was ready, and its place does not answer.
    Unreachable,
    /// Being removed.
    Deleting,
    /// Removed.
    Deleted,
}

/// One report. Delivered at least once, in any order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// Rises per key with every look; what one look saw may share it.
    pub sequence: u64,
    /// What it is about.
    pub key: Key,
    /// Of which generation; older ones are dropped.
    pub generation: u64,
    /// Which node; `None`: the whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<NodeName>,
    /// Where it stands.
    pub state: NodeState,
    /// Why, for people.
    #[serde(default)]
    pub reason: String,
    /// When this was so.
    pub observed_at: DateTime<Utc>,
    /// What the node gave, once it is ready. Never a secret.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub outputs: BTreeMap<String, Value>,
    /// What was put into holes of its objects.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub filled: Vec<Filled>,
}

/// A value that was put into a hole, with its origin.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Filled {
    /// Where it went.
    pub hole: Hole,
    /// The value.
    pub value: Value,
    /// The node that gave it.
    pub node: NodeName,
    /// As which output.
    pub output: String,
}

impl Event {
    /// The same with a reason that is no longer than is kept.
    #[must_use]
    pub fn bounded(mut self) -> Self {
        if let Some((end, _)) = self.reason.char_indices().nth(REASON_CHARS_MAX) {
            self.reason.truncate(end);
        }
        self
    }
}
