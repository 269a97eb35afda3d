//! What is handed off.

use std::borrow::Cow;
use std::fmt;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use slipway_types::{Address, ApplicationName, Digest};

use crate::graph::Graph;
use crate::node::ObjectRef;
use crate::revision::Revision;
use crate::tasks::{TaskOutputs, Tasks};

/// What is deployed where: the unit of ordering.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Key {
    /// Address `unit/cluster/namespace/stage`.
    pub environment: Address,
    /// The application.
    pub application: ApplicationName,
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} in {}", self.application, self.environment)
    }
}

/// What the receiver is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// Drive the environment to the graph.
    Apply,
    /// Remove what this key owns.
    Delete,
    /// Say what apply would change; change nothing.
    DryRun,
}

/// Why this generation exists.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "cause", rename_all = "snake_case")]
pub enum Cause {
    /// A person or automation chose a bundle.
    Deploy {
        /// Who.
        by: String,
    },
    /// A return to an earlier live revision.
    Rollback {
        /// Who.
        by: String,
        /// Why.
        reason: String,
    },
    /// The same revision again after a failure.
    Retry {
        /// Who.
        by: String,
    },
    /// The same revision again with newer versions of its secrets.
    Rotation {
        /// Who.
        by: String,
    },
}

/// One piece of evidence that this revision may go out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proof {
    /// What it is.
    pub kind: ProofKind,
    /// Digest of the evidence.
    pub digest: Digest,
}

/// Kinds of evidence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProofKind {
    /// A person's approval of exactly this revision.
    Approval,
    /// A signature over the bundle.
    Signature,
    /// A check that held.
    Check,
}

/// Leave to take over one object that another tool made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Adoption {
    /// Which object, in any version of its API.
    pub object: ObjectRef,
    /// Its UID: another object of that name may not be taken over.
    pub uid: String,
}

/// One frozen revision on its way to a receiver.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Submission {
    /// [`crate::CONTRACT_VERSION`].
    pub contract: u32,
    /// What is deployed where.
    pub key: Key,
    /// Rises per key.
    pub generation: u64,
    /// What to do.
    pub mode: Mode,
    /// Digest of the document's canonical JSON.
    pub revision: Digest,
    /// Everything frozen: closed, nothing is rendered after this.
    pub document: Revision,
    /// Why it may go out.
    pub proof: Vec<Proof>,
    /// The revision that is replaced.
    pub predecessor: Option<Digest>,
    /// Why this generation exists.
    pub cause: Cause,
    /// When the receiver gives up.
    pub deadline: DateTime<Utc>,
    /// Whether what the revision does once is to be done.
    #[serde(default, skip_serializing_if = "is_default")]
    pub tasks: Tasks,
    /// What of others may be taken over, by this generation alone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub adopt: Vec<Adoption>,
}

impl Submission {
    /// The graph as it is to be carried out, by a receiver that remembers nothing of tasks that are done.
    pub fn graph(&self) -> Cow<'_, Graph> {
        match self.tasks {
            Tasks::Run => Cow::Borrowed(&self.document.graph),
            Tasks::Done => Cow::Owned(self.document.graph.with_tasks_done(&TaskOutputs::new())),
        }
    }
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}
