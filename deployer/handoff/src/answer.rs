//! What a receiver answers, and what it says that it can do.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};
use slipway_types::{Digest, Violation};

/// The answer to a submission.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "snake_case")]
pub enum Answer {
    /// Taken; the same for every resubmission of the revision in its generation.
    Accepted {
        /// The receiver's name for this undertaking; of one that reports nothing back, what it wrote.
        run: String,
    },
    /// It cannot be done as it stands.
    Rejected {
        /// Everything that is wrong, at once.
        violations: Vec<Violation>,
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
        /// What: the name of a [`Capability`], or `contract`.
        capability: String,
        /// Why, and what to do instead.
        reason: String,
    },
}

impl Answer {
    /// A refusal for want of `capability`.
    pub fn unsupported(capability: Capability, reason: impl Into<String>) -> Self {
        Self::Unsupported { capability: capability.to_string(), reason: reason.into() }
    }
}

/// What a receiver may be able to do beside taking submissions in mode `apply`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Capability {
    /// Report events after a sequence number. One without it never says that something is live.
    Observe,
    /// Hold a generation where it stands.
    Suspend,
    /// Go on with one that is held, also by a node's own hold.
    Resume,
    /// Try again from a node.
    Retry,
    /// Stop where it stands.
    Terminate,
    /// Take submissions in mode `delete`: remove what a key owns.
    Delete,
    /// Take submissions in mode `dry-run`: say what would change.
    DryRun,
    /// Resolve secret references.
    Secrets,
    /// Read outputs and fill holes with them.
    Outputs,
    /// Judge conditions in CEL.
    Conditions,
    /// Make HTTP requests.
    Calls,
    /// Send fields once, keep objects that a revision no longer has, and share objects.
    Ownership,
    /// Take over objects that other tools made, where a submission gives leave.
    Adoption,
    /// Judge `when`, wait for `after`, begin anew by `retry`, count approvals of a hold, and take away what is
    /// temporary.
    Workflow,
}

impl fmt::Display for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Observe => "observe",
            Self::Suspend => "suspend",
            Self::Resume => "resume",
            Self::Retry => "retry",
            Self::Terminate => "terminate",
            Self::Delete => "delete",
            Self::DryRun => "dry_run",
            Self::Secrets => "secrets",
            Self::Outputs => "outputs",
            Self::Conditions => "conditions",
            Self::Calls => "calls",
            Self::Ownership => "ownership",
            Self::Adoption => "adoption",
            Self::Workflow => "workflow",
        })
    }
}

/// What a receiver says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Description {
    /// Its name and version, for people.
    pub receiver: String,
    /// The contract versions it takes.
    pub contracts: BTreeSet<u32>,
    /// What it can do. Names that this Slipway does not know are left out.
    #[serde(deserialize_with = "known_capabilities")]
    pub capabilities: BTreeSet<Capability>,
}

fn known_capabilities<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<BTreeSet<Capability>, D::Error> {
    let names = Vec::<String>::deserialize(deserializer)?;
    Ok(names.into_iter().filter_map(|name| serde_json::from_value(name.into()).ok()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_newer_receiver_may_name_what_is_unknown_here() {
        let text = r#"{"receiver":"r","contracts":[1,2],"capabilities":["teleport","dry_run"]}"#;
        let description: Description = serde_json::from_str(text).unwrap();
        assert_eq!(description.capabilities, BTreeSet::from([Capability::DryRun]));
    }

    #[test]
    fn capabilities_read_as_they_are_written() {
        for capability in [Capability::Observe, Capability::DryRun, Capability::Outputs] {
            assert_eq!(serde_json::to_value(capability).unwrap(), capability.to_string());
        }
    }
}
