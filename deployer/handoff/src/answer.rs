//! What a receiver answers and reports.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use slipway_types::Digest;

use crate::graph::NodeName;
use crate::submission::Key;

/// The answer to a submission.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "snake_case")]
pub enum Answer {
    /// Taken; the same for every resubmission of the revision.
    Accepted {
        /// The receiver's name for this undertaking.
        run: String,
    },
    /// It cannot be done as it stands.
    Rejected {
        /// Everything that is wrong, at once.
        violations: Vec<String>,
    },
    /// A newer generation is known.
    Stale {
        /// That generation.
        current: u64,
    },
    /// The generation is known with another revision.
    Conflict {
        /// That revision.
        revision: Digest,
    },
    /// It asks for something this receiver does not have.
    Unsupported {
        /// What.
        capability: String,
    },
}

/// What a receiver can do beside taking submissions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Capability {
    /// Report events after a sequence number.
    Observe,
    /// Hold.
    Suspend,
    /// Go on.
    Resume,
    /// Try again from a node.
    Retry,
    /// Stop where it stands.
    Terminate,
    /// Remove what a key owns.
    Delete,
}

/// Where a node stands.
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
    /// Ready.
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
}

/// One report. Delivered at least once, in any order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// Rises per receiver.
    pub sequence: u64,
    /// What it is about.
    pub key: Key,
    /// Of which generation; older ones are dropped.
    pub generation: u64,
    /// Which node; `None`: the whole.
    pub node: Option<NodeName>,
    /// Where it stands.
    pub state: NodeState,
    /// Why, for people.
    pub reason: String,
    /// When this was so.
    pub observed_at: DateTime<Utc>,
}
