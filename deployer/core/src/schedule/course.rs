//! What is known of the whole, beside its nodes, and kept.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use slipway_handoff::NodeName;

use super::whole::Whole;

/// What is known of the whole.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Course {
    pub(super) begun_at: DateTime<Utc>,
    /// When it is given up: the submission's deadline, or the one that a retry, a resume or the end of a
    /// hold began.
    pub(super) deadline: DateTime<Utc>,
    /// An older generation that has not ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) older: Option<u64>,
    /// Whether the key had nothing in its cluster before.
    #[serde(default)]
    pub(super) is_first: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) suspended: Option<Suspension>,
    pub(super) sweep: Sweep,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) end: Option<End>,
    /// What was last told of the whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) told: Option<Whole>,
}

impl Course {
    pub(super) fn new(begun_at: DateTime<Utc>, deadline: DateTime<Utc>) -> Self {
        Self {
            begun_at,
            deadline,
            older: None,
            is_first: false,
            suspended: None,
            sweep: Sweep::fresh(),
            end: None,
            told: None,
        }
    }
}

/// Somebody holds the whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Suspension {
    pub(super) by: String,
    pub(super) since: DateTime<Utc>,
}

/// Removing what is no longer wanted, or everything.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub(super) enum Sweep {
    /// Not done.
    Open {
        /// Transient failures in a row.
        failures: u32,
        /// When it is tried again, and why it is.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        rest: Option<Rest>,
    },
    /// Done.
    Done,
    /// It cannot be done.
    Failed {
        /// Why.
        reason: String,
    },
}

/// A pause between two tries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Rest {
    pub(super) until: DateTime<Utc>,
    pub(super) why: String,
}

impl Sweep {
    pub(super) fn fresh() -> Self {
        Self::Open { failures: 0, rest: None }
    }

    pub(super) fn is_due(&self, now: DateTime<Utc>) -> bool {
        matches!(self, Self::Open { rest, .. } if rest.as_ref().is_none_or(|rest| rest.until <= now))
    }

    /// When it is tried again.
    pub(super) fn rests_until(&self) -> Option<DateTime<Utc>> {
        match self {
            Self::Open { rest, .. } => rest.as_ref().map(|rest| rest.until),
            _ => None,
        }
    }

    /// Why the last try came to nothing.
    pub(super) fn trouble(&self) -> Option<&str> {
        match self {
            Self::Open { rest: Some(rest), .. } => Some(&rest.why),
            _ => None,
        }
    }
}

/// How the whole was ended from outside of its nodes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "end", rename_all = "snake_case")]
pub(super) enum End {
    /// Its deadline passed.
    TimedOut {
        /// At which node.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        node: Option<NodeName>,
        /// Which deadline, and what was waited for.
        reason: String,
    },
    /// Somebody stopped it.
    Terminated {
        /// Who.
        by: String,
    },
    /// A newer generation took its place.
    Superseded {
        /// That generation.
        by: u64,
    },
}
