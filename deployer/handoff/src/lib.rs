//! The hand-off contract between the deploy stage and a reconcile core.
//!
//! A [`Submission`] carries everything a receiver needs: digests and proof, a closed graph, secret
//! references with versions. After it no template and no plug-in runs. Resubmitting the same revision
//! is answered with the same run; events are delivered at least once and older generations dropped.

pub mod answer;
pub mod graph;
pub mod submission;

pub use answer::{Answer, Capability, Event, NodeState};
pub use graph::{Graph, InvalidGraph, Node, NodeName};
pub use submission::{Cause, Key, Mode, Proof, ProofKind, SecretUse, Submission};

/// The version of this contract. A receiver answers [`Answer::Unsupported`] to one it does not know.
pub const CONTRACT_VERSION: u32 = 1;
