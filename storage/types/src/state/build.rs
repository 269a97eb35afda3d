//! Build: queued(why) → building(attempt) → pushing → pushed(images); queued → reused(from, why);
//! building or pushing → queued(retry_at) | failed(fault) | timed_out(which); any live → cancelling →
//! cancelled.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::InvalidTransition;
use crate::digest::Digest;
use crate::fault::Fault;
use crate::id::BuildId;
use crate::image::{Platform, RegistryPrefix};

/// One platform's manifest of an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlatformManifest {
    /// The platform.
    pub platform: Platform,
    /// Digest of its manifest.
    pub digest: Digest,
    /// Size of its manifest in bytes.
    pub size: u64,
    /// Media type of its manifest.
    pub media_type: String,
}

/// An image that a registry has confirmed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BuiltImage {
    /// Repository in the built-in registry, `team/app/i/NAME`, which holds its manifests in any case.
    pub repository: String,
    /// The external registry that holds it all, below a prefix of its own. Never part of a package:
    /// what is published is the same wherever images lie.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub registry: Option<RegistryPrefix>,
    /// Digest of the manifest or, for several platforms, of the index.
    pub digest: Digest,
    /// Media type of what `digest` names.
    pub media_type: String,
    /// Size in bytes of what `digest` names.
    pub size: u64,
    /// Every platform's manifest, sorted by platform; one entry for a plain manifest.
    pub platforms: Vec<PlatformManifest>,
}

impl BuiltImage {
    /// The same without where it lies: as it enters what is published.
    #[must_use]
    pub fn anywhere(&self) -> Self {
        Self { registry: None, ..self.clone() }
    }
}

/// Where a build stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum BuildState {
    /// Waiting.
    Queued {
        /// For what: a worker, a needed component, the next attempt.
        why: String,
        /// When the next attempt is due, after a failed one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        retry_at: Option<DateTime<Utc>>,
    },
    /// A back-end works on it.
    Building {
        /// Counts from 1.
        attempt: u32,
        /// What the back-end itself waits for, in words for people.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        waits_for: Option<String>,
    },
    /// The result goes to the registry.
    Pushing {
        /// Counts from 1.
        attempt: u32,
    },
    /// The registry has answered for every digest.
    Pushed {
        /// What was pushed; none for kits without images.
        images: Vec<BuiltImage>,
    },
    /// An earlier result stands in.
    Reused {
        /// The build that made it.
        from: BuildId,
        /// Why it may stand in, for people.
        why: String,
        /// What that build pushed.
        images: Vec<BuiltImage>,
    },
    /// It failed.
    Failed {
        /// Why.
        fault: Fault,
    },
    /// A deadline passed.
    TimedOut {
        /// Which, with its limit.
        which: String,
    },
    /// Being stopped.
    Cancelling {
        /// Who asked.
        by: String,
    },
    /// Stopped, or never begun because another component failed.
    Cancelled {
        /// Who asked, or what made it needless.
        by: String,
    },
}

/// What can happen to a build.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BuildEvent {
    /// A worker hands it to a back-end.
    Start,
    /// The back-end waits, or no longer does.
    Wait(Option<String>),
    /// The back-end is done; the push begins.
    Push,
    /// The registry answers for every digest.
    Pushed(Vec<BuiltImage>),
    /// An earlier result stands in.
    Reuse {
        /// The build that made it.
        from: BuildId,
        /// Why.
        why: String,
        /// What it pushed.
        images: Vec<BuiltImage>,
    },
    /// This attempt failed and another will follow.
    Retry {
        /// Why this one failed.
        why: String,
        /// When the next is due.
        at: DateTime<Utc>,
    },
    /// It failed for good.
    Fail(Fault),
    /// A deadline passed.
    TimeOut(String),
    /// Someone wants it stopped.
    Cancel(String),
    /// It has stopped.
    Stopped,
}

impl BuildEvent {
    fn word(&self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Wait(_) => "wait",
            Self::Push => "push",
            Self::Pushed(_) => "pushed",
            Self::Reuse { .. } => "reuse",
            Self::Retry { .. } => "retry",
            Self::Fail(_) => "fail",
            Self::TimeOut(_) => "time out",
            Self::Cancel(_) => "cancel",
            Self::Stopped => "stopped",
        }
    }
}

impl BuildState {
    /// The state's word, as stored and shown.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Queued { .. } => "queued",
            Self::Building { .. } => "building",
            Self::Pushing { .. } => "pushing",
            Self::Pushed { .. } => "pushed",
            Self::Reused { .. } => "reused",
            Self::Failed { .. } => "failed",
            Self::TimedOut { .. } => "timed_out",
            Self::Cancelling { .. } => "cancelling",
            Self::Cancelled { .. } => "cancelled",
        }
    }

    /// Whether it will never change.
    pub fn is_terminal(&self) -> bool {
        !matches!(
            self,
            Self::Queued { .. } | Self::Building { .. } | Self::Pushing { .. } | Self::Cancelling { .. }
        )
    }

    /// What it gave, if it ended well.
    pub fn images(&self) -> Option<&[BuiltImage]> {
        match self {
            Self::Pushed { images } | Self::Reused { images, .. } => Some(images),
            _ => None,
        }
    }

    /// What its back-end waits for, if it does.
    pub fn waits_for(&self) -> Option<String> {
        match self {
            Self::Building { waits_for, .. } => waits_for.clone(),
            _ => None,
        }
    }

    /// One line for people: why it waits, was reused, failed or stopped.
    pub fn reason(&self) -> Option<String> {
        match self {
            Self::Queued { why, .. } | Self::Reused { why, .. } => Some(why.clone()),
            Self::Failed { fault } => Some(fault.message.clone()),
            Self::TimedOut { which } => Some(which.clone()),
            Self::Cancelling { by } | Self::Cancelled { by } => Some(by.clone()),
            Self::Building { waits_for, .. } => waits_for.as_ref().map(|what| format!("waiting: {what}")),
            Self::Pushing { .. } | Self::Pushed { .. } => None,
        }
    }

    /// The state after `event`; `attempt` is the number the next start gets.
    pub fn apply(self, event: BuildEvent, attempt: u32) -> Result<Self, InvalidTransition> {
        use BuildEvent as E;
        let invalid = InvalidTransition { what: "build", state: self.word(), event: event.word() };
        if self.is_terminal() {
            return Err(invalid);
        }
        match (self, event) {
            // Nothing runs for a queued build, so there is nothing to wait for.
            (Self::Cancelling { by }, E::Stopped) | (Self::Queued { .. }, E::Cancel(by)) => {
                Ok(Self::Cancelled { by })
            }
            (Self::Cancelling { .. }, _) | (_, E::Stopped) => Err(invalid),
            (_, E::Cancel(by)) => Ok(Self::Cancelling { by }),
            (Self::Queued { .. }, E::Start) => Ok(Self::Building { attempt, waits_for: None }),
            (Self::Queued { .. }, E::Reuse { from, why, images }) => Ok(Self::Reused { from, why, images }),
            (Self::Building { attempt, .. }, E::Wait(waits_for)) => Ok(Self::Building { attempt, waits_for }),
            (Self::Building { attempt, .. }, E::Push) => Ok(Self::Pushing { attempt }),
            (Self::Building { .. } | Self::Pushing { .. }, E::Pushed(images)) => Ok(Self::Pushed { images }),
            (Self::Building { .. } | Self::Pushing { .. }, E::Retry { why, at }) => {
                Ok(Self::Queued { why, retry_at: Some(at) })
            }
            (_, E::Fail(fault)) => Ok(Self::Failed { fault }),
            (_, E::TimeOut(which)) => Ok(Self::TimedOut { which }),
            _ => Err(invalid),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queued() -> BuildState {
        BuildState::Queued { why: "a worker".into(), retry_at: None }
    }

    #[test]
    fn reuse_happens_before_building_only() {
        let reuse = || BuildEvent::Reuse { from: BuildId::new(), why: "same inputs".into(), images: vec![] };
        assert!(matches!(queued().apply(reuse(), 1), Ok(BuildState::Reused { .. })));
        assert!(BuildState::Building { attempt: 1, waits_for: None }.apply(reuse(), 1).is_err());
    }

    #[test]
    fn a_running_build_is_cancelled_in_two_steps_and_a_queued_one_in_one() {
        let cancel = || BuildEvent::Cancel("ann".into());
        assert!(matches!(queued().apply(cancel(), 1), Ok(BuildState::Cancelled { .. })));
        let cancelling = BuildState::Building { attempt: 1, waits_for: None }.apply(cancel(), 1).unwrap();
        assert!(cancelling.clone().apply(BuildEvent::Pushed(vec![]), 1).is_err());
        assert!(matches!(cancelling.apply(BuildEvent::Stopped, 1), Ok(BuildState::Cancelled { .. })));
    }

    #[test]
    fn terminal_builds_take_no_event() {
        let pushed = BuildState::Pushed { images: vec![] };
        assert!(pushed.apply(BuildEvent::Fail(Fault::bug("x", "y")), 1).is_err());
    }
}
