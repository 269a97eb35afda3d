//! Add-on: applying → ready ⇄ degraded; applying, ready or degraded → failed; any of these → applying (it is changed,
//! or bound), → ending (what its definition runs at a release) → releasing → released; ending or releasing →
//! `release_failed`, which is released again from where it was, or applied again. People are told `releasing` of both.

use serde::{Deserialize, Serialize};

use super::InvalidTransition;

/// Where an instance of an add-on stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum AddonState {
    /// It is being made, or changed.
    Applying {
        /// What it waits for, if not merely a free worker.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        why: Option<String>,
    },
    /// All is as wanted.
    Ready,
    /// It was ready, and something is not as wanted.
    Degraded {
        /// What.
        why: String,
    },
    /// It did not come about.
    Failed {
        /// Why.
        why: String,
    },
    /// What its definition runs before a release is under way; nothing of it is taken away yet.
    Ending {
        /// What it waits for, if not merely a free worker.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        why: Option<String>,
    },
    /// It did not go.
    ReleaseFailed {
        /// Why.
        why: String,
        /// Whether what its definition runs before a release came to its end.
        ended: bool,
    },
    /// It is being taken away.
    Releasing {
        /// What it waits for, if not merely a free worker.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        why: Option<String>,
    },
    /// It is gone.
    Released,
}

/// What can happen to an instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AddonEvent {
    /// Somebody changes it, binds or unbinds.
    Change,
    /// It waits for this.
    Wait(String),
    /// All is as wanted.
    Arrive,
    /// Something is not as wanted any more.
    Degrade(String),
    /// It does not come about.
    Fail(String),
    /// Somebody takes it away.
    Release,
    /// What is run before it is taken away came to its end, or somebody has it left out.
    Ended,
    /// It is gone.
    Gone,
}

impl AddonEvent {
    fn word(&self) -> &'static str {
        match self {
            Self::Change => "change",
            Self::Wait(_) => "wait",
            Self::Arrive => "arrive",
            Self::Degrade(_) => "degrade",
            Self::Fail(_) => "fail",
            Self::Release => "release",
            Self::Ended => "ended",
            Self::Gone => "gone",
        }
    }
}

impl AddonState {
    /// The state's word.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Applying { .. } => "applying",
            Self::Ready => "ready",
            Self::Degraded { .. } => "degraded",
            Self::Failed { .. } => "failed",
            Self::ReleaseFailed { .. } => "release_failed",
            Self::Ending { .. } | Self::Releasing { .. } => "releasing",
            Self::Released => "released",
        }
    }

    /// Why it stands so, for people.
    pub fn reason(&self) -> Option<&str> {
        match self {
            Self::Applying { why } | Self::Ending { why } | Self::Releasing { why } => why.as_deref(),
            Self::Degraded { why } | Self::Failed { why } | Self::ReleaseFailed { why, .. } => Some(why),
            Self::Ready | Self::Released => None,
        }
    }

    /// The same, with what it waited for done.
    #[must_use]
    pub fn without_wait(self) -> Self {
        match self {
            Self::Applying { .. } => Self::Applying { why: None },
            Self::Ending { .. } => Self::Ending { why: None },
            Self::Releasing { .. } => Self::Releasing { why: None },
            other => other,
        }
    }

    /// Whether it is on its way out.
    pub fn is_leaving(&self) -> bool {
        matches!(self, Self::Ending { .. } | Self::Releasing { .. })
    }

    /// The state after `event`.
    pub fn apply(self, event: AddonEvent) -> Result<Self, InvalidTransition> {
        let refused = InvalidTransition { what: "resource", state: self.word(), event: event.word() };
        match (self, event) {
            (Self::Released, _) => Err(refused),
            (Self::Ending { .. }, AddonEvent::Wait(why)) => Ok(Self::Ending { why: Some(why) }),
            (Self::Ending { .. }, AddonEvent::Fail(why)) => Ok(Self::ReleaseFailed { why, ended: false }),
            (Self::Releasing { .. }, AddonEvent::Wait(why)) => Ok(Self::Releasing { why: Some(why) }),
            (Self::Releasing { .. }, AddonEvent::Fail(why)) => Ok(Self::ReleaseFailed { why, ended: true }),
            (Self::Ending { .. } | Self::Releasing { .. }, AddonEvent::Gone) => Ok(Self::Released),
            (Self::Ending { .. } | Self::ReleaseFailed { .. }, AddonEvent::Ended)
            | (Self::ReleaseFailed { ended: true, .. }, AddonEvent::Release) => {
                Ok(Self::Releasing { why: None })
            }
            (Self::Ending { .. } | Self::Releasing { .. }, _) | (_, AddonEvent::Gone | AddonEvent::Ended) => {
                Err(refused)
            }
            (_, AddonEvent::Release) => Ok(Self::Ending { why: None }),
            (_, AddonEvent::Change) => Ok(Self::Applying { why: None }),
            // Late news of a release that failed change nothing: somebody decides.
            (Self::ReleaseFailed { .. }, _) => Err(refused),
            (Self::Applying { .. } | Self::Failed { .. }, AddonEvent::Wait(why)) => {
                Ok(Self::Applying { why: Some(why) })
            }
            (_, AddonEvent::Arrive) => Ok(Self::Ready),
            (_, AddonEvent::Degrade(why) | AddonEvent::Wait(why)) => Ok(Self::Degraded { why }),
            (_, AddonEvent::Fail(why)) => Ok(Self::Failed { why }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_being_taken_away_does_not_come_back_and_what_is_gone_stays_so() {
        let ready = AddonState::Applying { why: None }.apply(AddonEvent::Arrive).unwrap();
        assert_eq!(ready.clone().apply(AddonEvent::Wait("1 pod".into())).unwrap().word(), "degraded");
        assert!(ready.clone().apply(AddonEvent::Gone).is_err(), "nobody takes it away");
        let releasing = ready.apply(AddonEvent::Release).unwrap();
        for late in [AddonEvent::Change, AddonEvent::Arrive, AddonEvent::Degrade("x".into())] {
            assert!(releasing.clone().apply(late).is_err());
        }
        let failed = releasing.clone().apply(AddonEvent::Fail("the cluster is away".into())).unwrap();
        assert_eq!(failed.word(), "release_failed");
        assert!(failed.clone().apply(AddonEvent::Arrive).is_err(), "late news");
        assert_eq!(failed.clone().apply(AddonEvent::Change).unwrap().word(), "applying");
        assert_eq!(failed.apply(AddonEvent::Release).unwrap(), releasing);
        let gone = releasing.apply(AddonEvent::Gone).unwrap();
        let late = gone.apply(AddonEvent::Release).unwrap_err();
        assert_eq!(late.to_string(), "a resource that is released cannot take `release`");
    }

    #[test]
    fn what_was_waited_for_is_forgotten_and_nothing_else() {
        let why = || Some("the cluster kind is cordoned: upgrade".to_owned());
        for (waits, expected) in [
            (AddonState::Applying { why: why() }, AddonState::Applying { why: None }),
            (AddonState::Ending { why: why() }, AddonState::Ending { why: None }),
            (AddonState::Releasing { why: why() }, AddonState::Releasing { why: None }),
            (AddonState::Degraded { why: "1 pod".into() }, AddonState::Degraded { why: "1 pod".into() }),
            (AddonState::Ready, AddonState::Ready),
        ] {
            assert_eq!(waits.without_wait(), expected);
        }
    }

    #[test]
    fn what_is_run_before_a_release_runs_until_it_has_ended_once() {
        let ending = AddonState::Ready.apply(AddonEvent::Release).unwrap();
        assert_eq!(ending, AddonState::Ending { why: None });
        let going = ending.clone().apply(AddonEvent::Ended).unwrap();
        assert_eq!(going, AddonState::Releasing { why: None });
        let failed = going.apply(AddonEvent::Fail("a finalizer".into())).unwrap();
        assert_eq!(failed.apply(AddonEvent::Release).unwrap(), AddonState::Releasing { why: None });
        let failed = ending.apply(AddonEvent::Fail("Job orders-release-1 failed".into())).unwrap();
        assert_eq!(failed.reason(), Some("Job orders-release-1 failed"));
        assert_eq!(failed.clone().apply(AddonEvent::Release).unwrap(), AddonState::Ending { why: None });
        assert_eq!(
            failed.apply(AddonEvent::Ended).unwrap(),
            AddonState::Releasing { why: None },
            "it is left out"
        );
        assert!(AddonState::Ready.apply(AddonEvent::Ended).is_err());
    }
}
