//! What is found when a node fails, on its way to where it is kept.

use chrono::{DateTime, Utc};
use slipway_records::failure::Found;

use crate::schedule::Turn;

/// What was found when a node failed or timed out. No text of it holds a value of a secret that is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evidence {
    /// Which attempt of which node.
    pub turn: Turn,
    /// When it failed.
    pub at: DateTime<Utc>,
    /// What was found. Its containers' logs are pieces of `log`.
    pub found: Found,
    /// The ends of the containers' logs, one behind the other.
    pub log: String,
}
