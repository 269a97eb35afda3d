//! The hand-off contract between the deploy stage and a reconcile core, and its receivers.
//!
//! A [`Submission`] carries a frozen [`Revision`]: digests and proof, a closed graph, secret references
//! with versions. After it no template and no plug-in runs. Resubmitting the same revision is answered
//! with the same run; events are delivered at least once and older generations dropped.

pub mod admission;
pub mod answer;
pub mod canonical;
pub mod conformance;
pub mod core_seam;
pub mod event;
pub mod graph;
pub mod http;
pub mod kubevela;
pub mod manifests;
pub mod node;
pub mod oci;
pub mod pointer;
pub mod receiver;
pub mod revision;
pub mod schema;
pub mod secret;
pub mod settings;
pub mod submission;
pub mod tasks;

#[cfg(test)]
pub(crate) mod sample;

pub use admission::{Known, admit};
pub use answer::{Answer, Capability, Description};
pub use core_seam::{CorePort, CoreReceiver};
pub use event::{Event, Filled, NodeState};
pub use graph::{Graph, InvalidGraph, NodeName};
pub use http::{HttpOptions, HttpReceiver};
pub use kubevela::{ClusterWriter, KubevelaOptions, KubevelaReceiver};
pub use manifests::{ManifestSet, Manifests};
pub use node::{
    Approvals, Call, Collect, Hold, Hole, HoleType, Input, Node, Object, ObjectRef, Output, Phase, Ready,
    Retry, Wait,
};
pub use oci::{OciOptions, OciReceiver};
pub use pointer::Pointer;
pub use receiver::{Command, Order, Receiver, ReceiverError, ReceiverKind, told_by};
pub use revision::{Bundle, Configuration, Definition, DefinitionKind, Environment, Limits, Revision};
pub use secret::{SecretPlace, SecretUse};
pub use settings::{ReceiverSettings, SecretHandling};
pub use submission::{Adoption, Cause, Key, Mode, Proof, ProofKind, Submission};
pub use tasks::{TaskOutputs, Tasks};

/// The version of this contract. A receiver answers [`Answer::Unsupported`] to one it does not know.
pub const CONTRACT_VERSION: u32 = 1;
