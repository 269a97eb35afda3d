//! Objects of a deployment as its cluster has them at a moment. They are looked at when somebody asks; nothing of it is
//! stored.

use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::failure::FoundEvent;

/// Where an object stands, by the rules by which the built-in core waits for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LiveState {
    /// As it is wanted.
    Ready,
    /// On its way, or fallen behind.
    Progressing,
    /// It will not get there by itself.
    Failed,
    /// The cluster said that it is not there.
    Missing,
    /// It could not be read, or is there and does not say that it is the application's.
    Unknown,
}

impl LiveState {
    /// Every state.
    pub const ALL: [Self; 5] = [Self::Ready, Self::Progressing, Self::Failed, Self::Missing, Self::Unknown];
}

/// An object of a frozen graph as its cluster has it. Of a Secret, as of any other, nothing that it holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LiveObject {
    /// Its node.
    pub node: String,
    /// Which one, as [`crate::failure::FoundObject`] names it.
    pub object: String,
    /// Where it stands.
    pub state: LiveState,
    /// Why it is not ready, or that it has gone by itself; else empty.
    pub why: String,
    /// When it was made.
    pub created_at: Option<DateTime<Utc>>,
    /// Which generation of the application wrote it last, if it says so: those of the built-in core do.
    pub generation: Option<u64>,
    /// The newest events about it, and where it is not ready about its ReplicaSets and pods; the newest last.
    pub events: Vec<FoundEvent>,
}

/// Which objects are to be looked at.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct LiveWanted {
    /// Of this node; of all in the order of the graph if absent.
    pub node: Option<String>,
    /// Without so many at the beginning.
    pub from: usize,
}

/// What one look came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LiveObjects {
    /// When the cluster was asked.
    pub asked_at: DateTime<Utc>,
    /// The objects in the order of the graph.
    pub objects: Vec<LiveObject>,
    /// What to give as [`LiveWanted::from`] for those that follow; `None`: there are no more.
    pub next: Option<usize>,
    /// What could not be read, or was left out, and why.
    pub notes: Vec<String>,
}
