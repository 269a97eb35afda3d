//! Check that developers declare: queued → running → passed | failed | error | timed_out; running →
//! queued (another attempt); queued → passed (an earlier one with the same inputs stands in); any live →
//! cancelled; any that has ended → queued (asked for again).

use serde::{Deserialize, Serialize};

use super::InvalidTransition;
use crate::fault::Fault;
use crate::id::CheckId;
use crate::version::Version;

/// The check that stands in for one with the same inputs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EarlierCheck {
    /// Which; its log tells what it did.
    pub check: CheckId,
    /// Of which bundle version.
    pub version: Version,
}

/// Where a check stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum DeclaredCheckState {
    /// Waiting for a worker.
    Queued {
        /// Why the attempt before gave no answer, if there was one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        why: Option<String>,
    },
    /// Its container runs, or is about to.
    Running,
    /// Its command ended with 0.
    Passed {
        /// The one that stands in for it, if it did not run itself.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        from: Option<EarlierCheck>,
    },
    /// Its command said no, or could not begin.
    Failed {
        /// What happened, for people.
        why: String,
    },
    /// Nobody knows: it could not be run.
    Error {
        /// What stood in the way.
        fault: Fault,
    },
    /// Its time ran out.
    TimedOut {
        /// Which limit.
        which: String,
    },
    /// Stopped.
    Cancelled {
        /// By whom.
        by: String,
    },
}

/// What can happen to a check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CheckEvent {
    /// A worker takes it.
    Start,
    /// The attempt gave no answer, another follows.
    Retry(String),
    /// Its command ended with 0.
    Pass,
    /// This one with the same inputs stands in.
    Reuse(EarlierCheck),
    /// Its command said no.
    Fail(String),
    /// It could not be run.
    Break(Fault),
    /// Its time ran out.
    TimeOut(String),
    /// Somebody stops it.
    Cancel(String),
    /// Somebody asks for it again.
    Rerun,
}

impl CheckEvent {
    fn word(&self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Retry(_) => "retry",
            Self::Pass => "pass",
            Self::Reuse(_) => "reuse",
            Self::Fail(_) => "fail",
            Self::Break(_) => "break",
            Self::TimeOut(_) => "time_out",
            Self::Cancel(_) => "cancel",
            Self::Rerun => "rerun",
        }
    }
}

impl DeclaredCheckState {
    /// The state's word; `passed` is the only one that holds no bundle.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Queued { .. } => "queued",
            Self::Running => "running",
            Self::Passed { .. } => "passed",
            Self::Failed { .. } => "failed",
            Self::Error { .. } => "error",
            Self::TimedOut { .. } => "timed_out",
            Self::Cancelled { .. } => "cancelled",
        }
    }

    /// Whether nothing more happens by itself.
    pub fn is_terminal(&self) -> bool {
        !matches!(self, Self::Queued { .. } | Self::Running)
    }

    /// Why it stands so, for people.
    pub fn reason(&self) -> Option<String> {
        match self {
            Self::Queued { why } => why.clone(),
            Self::Running | Self::Passed { from: None } => None,
            Self::Passed { from: Some(earlier) } => Some(format!("same inputs as of {}", earlier.version)),
            Self::Failed { why } => Some(why.clone()),
            Self::Error { fault } => Some(fault.to_string()),
            Self::TimedOut { which } => Some(which.clone()),
            Self::Cancelled { by } => Some(format!("stopped by {by}")),
        }
    }

    /// The state after `event`.
    pub fn apply(self, event: CheckEvent) -> Result<Self, InvalidTransition> {
        let refused = InvalidTransition { what: "check", state: self.word(), event: event.word() };
        match (self, event) {
            (Self::Queued { .. }, CheckEvent::Start) => Ok(Self::Running),
            (Self::Queued { .. }, CheckEvent::Reuse(from)) => Ok(Self::Passed { from: Some(from) }),
            (Self::Running, CheckEvent::Retry(why)) => Ok(Self::Queued { why: Some(why) }),
            (Self::Running, CheckEvent::Pass) => Ok(Self::Passed { from: None }),
            (Self::Running, CheckEvent::Fail(why)) => Ok(Self::Failed { why }),
            (Self::Running, CheckEvent::TimeOut(which)) => Ok(Self::TimedOut { which }),
            (Self::Queued { .. } | Self::Running, CheckEvent::Break(fault)) => Ok(Self::Error { fault }),
            (Self::Queued { .. } | Self::Running, CheckEvent::Cancel(by)) => Ok(Self::Cancelled { by }),
            (ended, CheckEvent::Rerun) if ended.is_terminal() => Ok(Self::Queued { why: None }),
            _ => Err(refused),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_check_that_has_ended_runs_again_and_only_a_running_one_passes() {
        let queued = DeclaredCheckState::Queued { why: None };
        assert!(queued.clone().apply(CheckEvent::Pass).is_err());
        assert!(queued.clone().apply(CheckEvent::Rerun).is_err());
        let running = queued.apply(CheckEvent::Start).unwrap();
        assert!(running.clone().apply(CheckEvent::Rerun).is_err());
        let failed = running.clone().apply(CheckEvent::Fail("exit code 1".into())).unwrap();
        assert_eq!((failed.word(), failed.is_terminal()), ("failed", true));
        assert!(failed.clone().apply(CheckEvent::Pass).is_err());
        assert_eq!(failed.apply(CheckEvent::Rerun).unwrap().word(), "queued");
        let stopped = running.apply(CheckEvent::Cancel("ann".into())).unwrap();
        let late = stopped.apply(CheckEvent::Pass).unwrap_err();
        assert_eq!(late.to_string(), "a check that is cancelled cannot take `pass`");
    }
}
