//! Run: queued → planning → building → packaging → done(bundle) | skipped(why) | failed(step, fault)
//! | timed_out(step); queued → superseded(by); any live → cancelling(by) → cancelled(by).

use std::fmt;

use serde::{Deserialize, Serialize};

use super::InvalidTransition;
use crate::fault::Fault;
use crate::id::{RunId, VersionId};
use crate::version::Version;

/// A stage of the pipeline.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// Reading `slipway.yaml` and deciding what to build.
    Plan,
    /// Building and pushing images.
    Build,
    /// Writing packages and the bundle.
    Package,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Plan => "plan",
            Self::Build => "build",
            Self::Package => "package",
        })
    }
}

/// Where a run stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum RunState {
    /// Waiting for a worker or for another run.
    Queued {
        /// What it waits for, if not merely a free worker.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        why: Option<String>,
    },
    /// Reading the commit.
    Planning,
    /// Builds are under way.
    Building,
    /// Packages and the bundle are being written.
    Packaging,
    /// The bundle is published.
    Done {
        /// The bundle's version row; absent where only one component was published.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        bundle: Option<VersionId>,
        /// The version that was published.
        version: Version,
    },
    /// Nothing was to be done.
    Skipped {
        /// Why, for people.
        why: String,
    },
    /// It failed.
    Failed {
        /// Where.
        step: Step,
        /// Why.
        fault: Fault,
    },
    /// A deadline passed.
    TimedOut {
        /// Where.
        step: Step,
        /// Which deadline, with its limit.
        which: String,
    },
    /// A newer push of the branch took its place while it was queued.
    Superseded {
        /// The run that did.
        by: RunId,
    },
    /// Being stopped.
    Cancelling {
        /// Who asked.
        by: String,
    },
    /// Stopped.
    Cancelled {
        /// Who asked.
        by: String,
    },
}

/// What can happen to a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RunEvent {
    /// A worker begins to plan.
    Plan,
    /// It must wait for something named.
    Wait(String),
    /// The plan is made and the builds exist.
    Planned,
    /// Every build has ended well.
    Built,
    /// The version is published.
    Publish {
        /// The bundle's row, if a bundle was published.
        bundle: Option<VersionId>,
        /// The version.
        version: Version,
    },
    /// Nothing is to be done.
    Skip(String),
    /// A step failed.
    Fail(Step, Fault),
    /// A deadline passed.
    TimeOut(Step, String),
    /// A newer run takes its place.
    Supersede(RunId),
    /// Someone wants it stopped.
    Cancel(String),
    /// Everything under it has stopped.
    Stopped,
}

impl RunEvent {
    fn word(&self) -> &'static str {
        match self {
            Self::Plan => "plan",
            Self::Wait(_) => "wait",
            Self::Planned => "planned",
            Self::Built => "built",
            Self::Publish { .. } => "publish",
            Self::Skip(_) => "skip",
            Self::Fail(..) => "fail",
            Self::TimeOut(..) => "time out",
            Self::Supersede(_) => "supersede",
            Self::Cancel(_) => "cancel",
            Self::Stopped => "stopped",
        }
    }
}

/// How the reason of a run begins that waits for disk space.
pub const WAITS_FOR_DISK: &str = "waits for disk space";

impl RunState {
    /// Whether no run begins until there is room on the server's disk, which may take long.
    pub fn waits_for_disk(&self) -> bool {
        matches!(self, Self::Queued { why: Some(why) } if why.starts_with(WAITS_FOR_DISK))
    }

    /// Every state's word; the terminal ones are the last six.
    pub const WORDS: [&'static str; 11] = [
        "queued",
        "planning",
        "building",
        "packaging",
        "cancelling",
        "done",
        "skipped",
        "failed",
        "timed_out",
        "superseded",
        "cancelled",
    ];

    /// The state's word, as stored and shown.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Queued { .. } => "queued",
            Self::Planning => "planning",
            Self::Building => "building",
            Self::Packaging => "packaging",
            Self::Done { .. } => "done",
            Self::Skipped { .. } => "skipped",
            Self::Failed { .. } => "failed",
            Self::TimedOut { .. } => "timed_out",
            Self::Superseded { .. } => "superseded",
            Self::Cancelling { .. } => "cancelling",
            Self::Cancelled { .. } => "cancelled",
        }
    }

    /// Whether it will never change.
    pub fn is_terminal(&self) -> bool {
        !matches!(
            self,
            Self::Queued { .. } | Self::Planning | Self::Building | Self::Packaging | Self::Cancelling { .. }
        )
    }

    /// The step a live run is in.
    pub fn step(&self) -> Step {
        match self {
            Self::Building => Step::Build,
            Self::Packaging => Step::Package,
            _ => Step::Plan,
        }
    }

    /// One line for people: why it waits, failed, was skipped or stopped.
    pub fn reason(&self) -> Option<String> {
        match self {
            Self::Queued { why } => why.clone(),
            Self::Skipped { why } => Some(why.clone()),
            Self::Failed { fault, .. } => Some(fault.message.clone()),
            Self::TimedOut { which, .. } => Some(which.clone()),
            Self::Superseded { by } => Some(format!("superseded by run {by}")),
            Self::Cancelling { by } | Self::Cancelled { by } => Some(format!("cancelled by {by}")),
            Self::Planning | Self::Building | Self::Packaging | Self::Done { .. } => None,
        }
    }

    /// The state after `event`.
    pub fn apply(self, event: RunEvent) -> Result<Self, InvalidTransition> {
        use RunEvent as E;
        let invalid = InvalidTransition { what: "run", state: self.word(), event: event.word() };
        if self.is_terminal() {
            return Err(invalid);
        }
        match (self, event) {
            (Self::Cancelling { by }, E::Stopped) => Ok(Self::Cancelled { by }),
            (Self::Cancelling { .. }, _) | (_, E::Stopped) => Err(invalid),
            (_, E::Cancel(by)) => Ok(Self::Cancelling { by }),
            (Self::Queued { .. }, E::Plan) => Ok(Self::Planning),
            (Self::Queued { .. }, E::Wait(why)) => Ok(Self::Queued { why: Some(why) }),
            (Self::Queued { .. }, E::Supersede(by)) => Ok(Self::Superseded { by }),
            (Self::Queued { .. } | Self::Planning, E::Skip(why)) => Ok(Self::Skipped { why }),
            (Self::Planning, E::Planned) => Ok(Self::Building),
            (Self::Building, E::Built) => Ok(Self::Packaging),
            (Self::Packaging, E::Publish { bundle, version }) => Ok(Self::Done { bundle, version }),
            (_, E::Fail(step, fault)) => Ok(Self::Failed { step, fault }),
            (_, E::TimeOut(step, which)) => Ok(Self::TimedOut { step, which }),
            _ => Err(invalid),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queued_run_says_whether_it_waits_for_disk_space() {
        let queued = |why: Option<&str>| RunState::Queued { why: why.map(str::to_owned) };
        assert!(queued(Some("waits for disk space: 70 MiB are free in /data")).waits_for_disk());
        assert!(!queued(Some("run #3 of the same commit")).waits_for_disk());
        assert!(!queued(None).waits_for_disk() && !RunState::Planning.waits_for_disk());
    }

    fn queued() -> RunState {
        RunState::Queued { why: None }
    }

    #[test]
    fn the_main_path_leads_to_done() {
        let version: Version = "0.1.0-main.1".parse().unwrap();
        let mut state = queued();
        for event in [
            RunEvent::Plan,
            RunEvent::Planned,
            RunEvent::Built,
            RunEvent::Publish { bundle: None, version: version.clone() },
        ] {
            assert!(!state.is_terminal());
            state = state.apply(event).unwrap();
        }
        assert_eq!(state, RunState::Done { bundle: None, version });
    }

    #[test]
    fn only_queued_runs_are_superseded() {
        let by = RunId::new();
        assert_eq!(queued().apply(RunEvent::Supersede(by)), Ok(RunState::Superseded { by }));
        for state in [RunState::Planning, RunState::Building, RunState::Packaging] {
            assert!(state.apply(RunEvent::Supersede(by)).is_err());
        }
    }

    #[test]
    fn a_terminal_run_takes_no_event() {
        let done = RunState::Skipped { why: "x".into() };
        for event in [RunEvent::Plan, RunEvent::Cancel("me".into()), RunEvent::Stopped, RunEvent::Built] {
            assert!(done.clone().apply(event).is_err());
        }
    }

    #[test]
    fn a_cancelled_run_is_never_green() {
        let cancelling = RunState::Building.apply(RunEvent::Cancel("ann".into())).unwrap();
        assert!(cancelling.clone().apply(RunEvent::Built).is_err());
        assert_eq!(cancelling.apply(RunEvent::Stopped), Ok(RunState::Cancelled { by: "ann".into() }));
    }
}
