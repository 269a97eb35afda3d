//! Receivers: who takes submissions.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use slipway_types::{Digest, Fault};

use crate::answer::{Answer, Capability};
use crate::event::Event;
use crate::graph::NodeName;
use crate::manifests::Manifests;
use crate::revision::Revision;
use crate::submission::{Key, Submission};

/// The most events of one look.
pub const EVENTS_MAX: usize = 1_000;
/// The most of a reason that is told with who gave it, in characters.
const REASON_CHARS_MAX: usize = 200;

/// The kinds of receivers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReceiverKind {
    /// The built-in reconcile core.
    Core,
    /// An OCI artifact that others pull.
    Oci,
    /// An `Application` object in a cluster with KubeVela.
    Kubevela,
    /// An HTTP service.
    Http,
}

impl ReceiverKind {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Core, Self::Oci, Self::Kubevela, Self::Http];
}

impl fmt::Display for ReceiverKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Core => "core",
            Self::Oci => "oci",
            Self::Kubevela => "kubevela",
            Self::Http => "http",
        })
    }
}

impl FromStr for ReceiverKind {
    type Err = UnknownReceiver;

    fn from_str(text: &str) -> Result<Self, UnknownReceiver> {
        let found = Self::ALL.into_iter().find(|kind| kind.to_string() == text);
        found.ok_or_else(|| UnknownReceiver(text.chars().take(40).collect()))
    }
}

/// A text that names no kind of receiver.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no receiver: expected core, oci, kubevela or http")]
pub struct UnknownReceiver(pub String);

/// What a receiver that declares it can be told about a generation it has taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub enum Command {
    /// Hold it where it stands.
    Suspend,
    /// Go on: with what was suspended, or past a node's hold.
    Resume {
        /// Which node's hold; `None`: whatever holds it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        node: Option<NodeName>,
    },
    /// Try again.
    Retry {
        /// From which node; `None`: all that failed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        node: Option<NodeName>,
    },
    /// Stop where it stands.
    Terminate,
}

impl Command {
    /// What a receiver must declare to take it.
    pub fn capability(&self) -> Capability {
        match self {
            Self::Suspend => Capability::Suspend,
            Self::Resume { .. } => Capability::Resume,
            Self::Retry { .. } => Capability::Retry,
            Self::Terminate => Capability::Terminate,
        }
    }
}

/// A command on its way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Order {
    /// Names this order: one that comes again changes nothing.
    pub id: String,
    /// Whose.
    pub key: Key,
    /// Of which generation. An older one than the newest is answered with `stale`.
    pub generation: u64,
    /// What to do.
    pub command: Command,
    /// Who wants it.
    pub by: String,
    /// Why, if that was said: text for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Who wants something, and why if that was said, in a line for people: `ann (the database is slow)`.
pub fn told_by(by: &str, reason: Option<&str>) -> String {
    let words: Vec<&str> = reason.unwrap_or_default().split_whitespace().collect();
    if words.is_empty() {
        return by.to_owned();
    }
    let reason: String = words.join(" ").chars().take(REASON_CHARS_MAX).collect();
    format!("{by} ({reason})")
}

/// Why a receiver gave no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReceiverError {
    /// It cannot be reached, is busy or broken: the same again later may work.
    #[error("{receiver} is not available: {why}")]
    Unavailable {
        /// Which one.
        receiver: String,
        /// Why.
        why: String,
        /// When it wants to be asked again, in milliseconds from now.
        retry_after_ms: Option<u64>,
    },
    /// It does not take this request, whoever repeats it.
    #[error("{receiver} refuses: {why}")]
    Refused {
        /// Which one.
        receiver: String,
        /// Why, and what to do.
        why: String,
    },
    /// It answers what the contract does not know.
    #[error("{receiver} does not keep to the contract: {why}")]
    Protocol {
        /// Which one.
        receiver: String,
        /// What is wrong.
        why: String,
    },
    /// It never said that it can do this.
    #[error("a receiver of kind {kind} cannot {capability}")]
    Undeclared {
        /// Of which kind.
        kind: ReceiverKind,
        /// What.
        capability: Capability,
    },
    /// A manifest is missing or not what its digest says.
    #[error("manifest {digest}: {why}")]
    Manifest {
        /// Which one.
        digest: Digest,
        /// What is wrong.
        why: String,
    },
}

impl ReceiverError {
    /// Whether the same again later may work.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Unavailable { .. })
    }
}

impl From<ReceiverError> for Fault {
    fn from(error: ReceiverError) -> Self {
        let message = error.to_string();
        match error {
            ReceiverError::Unavailable { .. } => Self::transient("receiver_unavailable", message),
            ReceiverError::Refused { .. } => Self::permanent("receiver_refused", message),
            ReceiverError::Protocol { .. } => Self::permanent("receiver_protocol", message)
                .hint("`slipway receiver conform URL` tells what it does otherwise than the contract says"),
            ReceiverError::Undeclared { .. } => Self::permanent("receiver_cannot", message),
            ReceiverError::Manifest { .. } => Self::permanent("manifest_missing", message),
        }
    }
}

/// Takes submissions. Idempotent on (application, environment, generation, revision).
#[async_trait]
pub trait Receiver: Send + Sync {
    /// Of which kind it is.
    fn kind(&self) -> ReceiverKind;

    /// What it can do.
    async fn capabilities(&self) -> Result<BTreeSet<Capability>, ReceiverError>;

    /// What `document` may ask of it; more than [`Receiver::capabilities`] where something is left to others.
    async fn allows(&self, _document: &Revision) -> Result<BTreeSet<Capability>, ReceiverError> {
        self.capabilities().await
    }

    /// Takes a submission, whose manifests are had from `manifests`. The answer to the same
    /// submission is the same, however often it comes.
    async fn submit(
        &self,
        submission: &Submission,
        manifests: &dyn Manifests,
    ) -> Result<Answer, ReceiverError>;

    /// What happened to a key after sequence number `since`, oldest first, at most [`EVENTS_MAX`].
    async fn observe(&self, _key: &Key, _since: u64) -> Result<Vec<Event>, ReceiverError> {
        Err(ReceiverError::Undeclared { kind: self.kind(), capability: Capability::Observe })
    }

    /// Tells it something about a generation that it has taken. The run is the submission's.
    async fn command(&self, order: &Order) -> Result<Answer, ReceiverError> {
        Err(ReceiverError::Undeclared { kind: self.kind(), capability: order.command.capability() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_told_in_one_short_line() {
        assert_eq!(told_by("ann", None), "ann");
        assert_eq!(told_by("ann", Some(" \n ")), "ann");
        assert_eq!(told_by("ann", Some("the database\nis slow")), "ann (the database is slow)");
        assert_eq!(
            told_by("ann", Some(&"数".repeat(300))).chars().count(),
            "ann ()".len() + REASON_CHARS_MAX
        );
    }
}
