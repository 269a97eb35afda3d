//! Deployment: draft → rejected | frozen(revision) → awaiting(gates) → approved | declined | expired |
//! withdrawn; approved → awaiting if gates closed before its receiver was asked; approved → handed_off → progressing ⇄ suspended; progressing → live | failed | timed_out;
//! live ⇄ degraded ⇄ unreachable; failed or timed_out → progressing by a retry; any that was handed off →
//! terminating → terminated, superseded, deleting → deleted. A receiver that never reports back ends in
//! delivered.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::InvalidTransition;
use crate::digest::Digest;
use crate::fault::Fault;
use crate::id::DeploymentId;

/// What a reason says of an object that others changed or deleted since it was applied.
pub const NOT_AS_APPLIED: &str = "is not as it was applied";

/// Where a deployment stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum DeploymentState {
    /// Being checked and rendered.
    Draft {
        /// What it waits for, if not merely a free worker.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        why: Option<String>,
    },
    /// It cannot be deployed as it stands; the violations lie beside it.
    Rejected {
        /// How many violations there are.
        violations: usize,
    },
    /// It never came to a revision.
    Broken {
        /// Why.
        fault: Fault,
    },
    /// Its revision is written and will never change.
    Frozen {
        /// Digest of all that was frozen.
        revision: Digest,
    },
    /// Gates are closed.
    Awaiting {
        /// The revision the gates are asked about.
        revision: Digest,
        /// What is still missing, one line a gate.
        missing: Vec<String>,
    },
    /// Every gate is open, or somebody broke the glass.
    Approved {
        /// The revision.
        revision: Digest,
        /// Who went past the gates, if somebody did.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        break_glass: Option<String>,
        /// When, or when its cluster took deployments again after that; until its receiver is asked, deadlines
        /// count from here.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        at: Option<DateTime<Utc>>,
        /// What the hand-off waits for, if not merely a free worker.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        why: Option<String>,
        /// Whether its receiver is being asked: it may have it, though its answer is not on record.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        submitted: bool,
        /// When its receiver was first asked; the receiver's deadline counts from here, however often it is asked.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        submitted_at: Option<DateTime<Utc>>,
        /// Whether it waits for its cluster to take deployments again.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        cordoned: bool,
    },
    /// Somebody said no.
    Declined {
        /// Who.
        by: String,
        /// Why.
        reason: Option<String>,
    },
    /// Its gates stayed closed, or its cluster cordoned, for too long.
    Expired {
        /// Which deadline, with its limit.
        which: String,
    },
    /// Whoever made it took it back.
    Withdrawn {
        /// Who.
        by: String,
    },
    /// The receiver has it.
    HandedOff {
        /// The receiver's name for it.
        run: String,
    },
    /// It lies where a receiver that never reports back will take it.
    Delivered {
        /// What was written, e.g. an OCI reference with its digest.
        artifact: String,
    },
    /// The receiver works.
    Progressing {
        /// What it waits for.
        blocker: Option<String>,
    },
    /// Held.
    Suspended {
        /// By whom or by which step.
        by: String,
    },
    /// Everything is as wanted.
    Live,
    /// It was live, and something is not as wanted.
    Degraded {
        /// What.
        why: String,
    },
    /// It was live, and its place does not answer.
    Unreachable {
        /// Since when.
        since: DateTime<Utc>,
    },
    /// It could not be brought about.
    Failed {
        /// Where, if one node did.
        node: Option<String>,
        /// Why.
        fault: Fault,
    },
    /// A deadline passed.
    TimedOut {
        /// Where, if at one node.
        node: Option<String>,
        /// Which deadline, with its limit.
        which: String,
    },
    /// Being stopped where it stands.
    Terminating {
        /// Who asked.
        by: String,
    },
    /// Stopped where it stood.
    Terminated {
        /// Who asked.
        by: String,
    },
    /// A newer generation took its place.
    Superseded {
        /// The deployment that did.
        by: DeploymentId,
        /// How it had failed or timed out, if it had.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        failed: Option<Box<DeploymentState>>,
    },
    /// Being removed.
    Deleting {
        /// Who asked.
        by: String,
    },
    /// Removed.
    Deleted,
}

/// What can happen to a deployment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeploymentEvent {
    /// It must wait for something named.
    Wait(String),
    /// Checks found what stands against it.
    Reject(usize),
    /// It cannot be checked or handed off, and trying again will not help.
    Fail(Option<String>, Fault),
    /// Its revision is written.
    Freeze(Digest),
    /// Its gates were asked and some are closed.
    Await(Vec<String>),
    /// Every gate is open; or somebody, named, went past them. And when.
    Approve(Option<String>, DateTime<Utc>),
    /// Somebody said no, and why.
    Decline(String, Option<String>),
    /// The deadline of its gates, or of the wait for its cluster, passed.
    Expire(String),
    /// Its maker took it back.
    Withdraw(String),
    /// Its cluster takes nothing new, and why.
    Cordon(String),
    /// Its cluster takes deployments again, since then.
    Uncordon(DateTime<Utc>),
    /// The receiver is about to be asked to take it, now.
    Submit(DateTime<Utc>),
    /// The receiver took it.
    HandOff(String),
    /// It was written for a receiver that never reports back.
    Deliver(String),
    /// The receiver works, waiting for what is named.
    Progress(Option<String>),
    /// Somebody or some step holds it.
    Suspend(String),
    /// All is as wanted.
    Live,
    /// Something is no longer as wanted.
    Degrade(String),
    /// Its place does not answer.
    LoseSight(DateTime<Utc>),
    /// A deadline of the receiver passed.
    TimeOut(Option<String>, String),
    /// Somebody wants it stopped.
    Terminate(String),
    /// It has stopped.
    Terminated,
    /// A newer generation takes its place.
    Supersede(DeploymentId),
    /// Somebody wants it removed.
    Delete(String),
    /// It is removed.
    Deleted,
}

impl DeploymentEvent {
    fn word(&self) -> &'static str {
        match self {
            Self::Wait(_) => "wait",
            Self::Reject(_) => "reject",
            Self::Fail(..) => "fail",
            Self::Freeze(_) => "freeze",
            Self::Await(_) => "await",
            Self::Approve(..) => "approve",
            Self::Decline(..) => "decline",
            Self::Expire(_) => "expire",
            Self::Withdraw(_) => "withdraw",
            Self::Cordon(_) => "cordon",
            Self::Uncordon(_) => "uncordon",
            Self::Submit(_) => "submit",
            Self::HandOff(_) => "hand off",
            Self::Deliver(_) => "deliver",
            Self::Progress(_) => "progress",
            Self::Suspend(_) => "suspend",
            Self::Live => "live",
            Self::Degrade(_) => "degrade",
            Self::LoseSight(_) => "lose sight",
            Self::TimeOut(..) => "time out",
            Self::Terminate(_) => "terminate",
            Self::Terminated => "terminated",
            Self::Supersede(_) => "supersede",
            Self::Delete(_) => "delete",
            Self::Deleted => "deleted",
        }
    }
}

impl DeploymentState {
    /// Every state's word.
    pub const WORDS: [&'static str; 23] = [
        "draft",
        "rejected",
        "broken",
        "frozen",
        "awaiting",
        "approved",
        "declined",
        "expired",
        "withdrawn",
        "handed_off",
        "delivered",
        "progressing",
        "suspended",
        "live",
        "degraded",
        "unreachable",
        "failed",
        "timed_out",
        "terminating",
        "terminated",
        "superseded",
        "deleting",
        "deleted",
    ];

    /// The state's word, as stored and shown.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Draft { .. } => "draft",
            Self::Rejected { .. } => "rejected",
            Self::Broken { .. } => "broken",
            Self::Frozen { .. } => "frozen",
            Self::Awaiting { .. } => "awaiting",
            Self::Approved { .. } => "approved",
            Self::Declined { .. } => "declined",
            Self::Expired { .. } => "expired",
            Self::Withdrawn { .. } => "withdrawn",
            Self::HandedOff { .. } => "handed_off",
            Self::Delivered { .. } => "delivered",
            Self::Progressing { .. } => "progressing",
            Self::Suspended { .. } => "suspended",
            Self::Live => "live",
            Self::Degraded { .. } => "degraded",
            Self::Unreachable { .. } => "unreachable",
            Self::Failed { .. } => "failed",
            Self::TimedOut { .. } => "timed_out",
            Self::Terminating { .. } => "terminating",
            Self::Terminated { .. } => "terminated",
            Self::Superseded { .. } => "superseded",
            Self::Deleting { .. } => "deleting",
            Self::Deleted => "deleted",
        }
    }

    /// Whether what was live is not as wanted because others changed or deleted some of it.
    pub fn has_drifted(&self) -> bool {
        matches!(self, Self::Degraded { why } if why.contains(NOT_AS_APPLIED))
    }

    /// Whether it ended without ever leaving, or left and will not change any more.
    pub fn is_terminal(&self) -> bool {
        matches!(
            self,
            Self::Rejected { .. }
                | Self::Broken { .. }
                | Self::Declined { .. }
                | Self::Expired { .. }
                | Self::Withdrawn { .. }
                | Self::Terminated { .. }
                | Self::Superseded { .. }
                | Self::Deleted
        )
    }

    /// Whether it is on its way out: nobody's turn but Slipway's, or its gates'.
    pub fn is_pending(&self) -> bool {
        matches!(
            self,
            Self::Draft { .. } | Self::Frozen { .. } | Self::Awaiting { .. } | Self::Approved { .. }
        )
    }

    /// Whether a receiver has it: it is what its environment runs, or is to run.
    pub fn is_out(&self) -> bool {
        !self.is_terminal() && !self.is_pending()
    }

    /// Whether it is where it was to be, as far as can be known.
    pub fn has_arrived(&self) -> bool {
        matches!(self, Self::Delivered { .. } | Self::Live)
    }

    /// How it failed or timed out: as it stands, or before a newer generation took its place.
    pub fn failure(&self) -> Option<&Self> {
        match self {
            Self::Failed { .. } | Self::TimedOut { .. } => Some(self),
            Self::Superseded { failed, .. } => failed.as_deref(),
            _ => None,
        }
    }

    /// One line for people: why it waits, failed or ended.
    pub fn reason(&self) -> Option<String> {
        match self {
            Self::Draft { why } => why.clone(),
            Self::Rejected { violations: 1 } => Some("1 violation".to_owned()),
            Self::Rejected { violations } => Some(format!("{violations} violations")),
            Self::Broken { fault } | Self::Failed { fault, .. } => Some(fault.message.clone()),
            Self::Awaiting { missing, .. } => Some(missing.join("; ")),
            Self::Approved { why: Some(why), .. } => Some(why.clone()),
            Self::Approved { break_glass, .. } => {
                break_glass.as_ref().map(|by| format!("{by} went past the gates"))
            }
            Self::Declined { by, reason: Some(reason) } => Some(format!("{by}: {reason}")),
            Self::Declined { by, reason: None }
            | Self::Withdrawn { by }
            | Self::Suspended { by }
            | Self::Terminating { by }
            | Self::Terminated { by }
            | Self::Deleting { by } => Some(format!("by {by}")),
            Self::Expired { which } | Self::TimedOut { which, .. } => Some(which.clone()),
            Self::Delivered { artifact } => Some(artifact.clone()),
            Self::Progressing { blocker } => blocker.clone(),
            Self::Degraded { why } => Some(why.clone()),
            Self::Unreachable { since } => Some(format!("since {}", since.to_rfc3339())),
            Self::Superseded { .. } => {
                let why = self.failure()?.reason().unwrap_or_default();
                Some(format!("failed before that: {why}"))
            }
            Self::HandedOff { .. } | Self::Frozen { .. } | Self::Live | Self::Deleted => None,
        }
    }

    /// The state after `event`.
    pub fn apply(self, event: DeploymentEvent) -> Result<Self, InvalidTransition> {
        use DeploymentEvent as E;
        let refused = InvalidTransition { what: "deployment", state: self.word(), event: event.word() };
        let was_asked = self.was_asked();
        match (self, event) {
            (Self::Draft { .. }, E::Wait(why)) => Ok(Self::Draft { why: Some(why) }),
            (Self::Draft { .. }, E::Reject(violations)) => Ok(Self::Rejected { violations }),
            (Self::Draft { .. }, E::Freeze(revision)) => Ok(Self::Frozen { revision }),
            (Self::Frozen { revision } | Self::Awaiting { revision, .. }, E::Await(missing)) => {
                Ok(Self::Awaiting { revision, missing })
            }
            (Self::Frozen { revision } | Self::Awaiting { revision, .. }, E::Approve(break_glass, at)) => {
                Ok(Self::Approved {
                    revision,
                    break_glass,
                    at: Some(at),
                    why: None,
                    submitted: false,
                    submitted_at: None,
                    cordoned: false,
                })
            }
            (
                state @ Self::Approved { .. },
                event @ (E::Wait(_) | E::Cordon(_) | E::Uncordon(_) | E::Submit(_)),
            ) => state.on_its_way(event).ok_or(refused),
            // A receiver that was asked may have it.
            (Self::Approved { revision, break_glass: None, .. }, E::Await(missing)) if !was_asked => {
                Ok(Self::Awaiting { revision, missing })
            }
            (Self::Approved { .. }, E::Expire(which)) if !was_asked => Ok(Self::Expired { which }),
            (Self::Frozen { .. } | Self::Awaiting { .. } | Self::Approved { .. }, E::Decline(by, reason)) => {
                Ok(Self::Declined { by, reason })
            }
            (Self::Frozen { .. } | Self::Awaiting { .. }, E::Expire(which)) => Ok(Self::Expired { which }),
            (state, E::Withdraw(by)) if state.is_pending() => Ok(Self::Withdrawn { by }),
            (state, E::Fail(_, fault)) if state.is_pending() => Ok(Self::Broken { fault }),
            (Self::Approved { .. }, E::HandOff(run)) => Ok(Self::HandedOff { run }),
            (Self::Approved { .. } | Self::HandedOff { .. }, E::Deliver(artifact)) => {
                Ok(Self::Delivered { artifact })
            }
            (state, E::Progress(blocker)) if state.is_out() && !state.is_going() => {
                Ok(Self::Progressing { blocker })
            }
            // What was stopped where it stood may be finished.
            (Self::Terminated { .. }, E::Progress(blocker)) => Ok(Self::Progressing { blocker }),
            (Self::HandedOff { .. } | Self::Progressing { .. }, E::Suspend(by)) => Ok(Self::Suspended { by }),
            (state, E::Live) if state.is_out() && !state.is_going() => Ok(Self::Live),
            (Self::Live | Self::Degraded { .. } | Self::Unreachable { .. }, E::Degrade(why)) => {
                Ok(Self::Degraded { why })
            }
            (Self::Live | Self::Degraded { .. } | Self::Unreachable { .. }, E::LoseSight(since)) => {
                Ok(Self::Unreachable { since })
            }
            (state, E::Fail(node, fault)) if state.is_under_way() => Ok(Self::Failed { node, fault }),
            (state, E::TimeOut(node, which)) if state.is_under_way() => Ok(Self::TimedOut { node, which }),
            (state, E::Terminate(by)) if state.is_out() && !state.is_going() => Ok(Self::Terminating { by }),
            (Self::Terminating { by }, E::Terminated) => Ok(Self::Terminated { by }),
            (state, E::Supersede(by)) if !state.is_terminal() => {
                Ok(Self::Superseded { by, failed: state.failure().cloned().map(Box::new) })
            }
            (state, E::Delete(by)) if state.is_out() => Ok(Self::Deleting { by }),
            (Self::Deleting { .. }, E::Deleted) => Ok(Self::Deleted),
            _ => Err(refused),
        }
    }

    /// What becomes of an approved deployment until its receiver answers; `None`: nothing by this event.
    fn on_its_way(mut self, event: DeploymentEvent) -> Option<Self> {
        use DeploymentEvent as E;
        let was_asked = self.was_asked();
        let Self::Approved { at, why, submitted, submitted_at, cordoned, .. } = &mut self else {
            return None;
        };
        // Releases that did not note when they asked first counted from the approval.
        let first = submitted_at.or(at.filter(|_| *submitted));
        match event {
            E::Wait(what) => (*why, *submitted, *submitted_at) = (Some(what), false, first),
            E::Cordon(what) if !was_asked => (*why, *cordoned) = (Some(what), true),
            E::Uncordon(since) if *cordoned => (*at, *why, *cordoned) = (Some(since), None, false),
            E::Submit(now) if !*cordoned => (*submitted, *submitted_at) = (true, first.or(Some(now))),
            _ => return None,
        }
        Some(self)
    }

    /// Whether its receiver was asked to take it: it may have it, though its answer is not on record.
    pub fn was_asked(&self) -> bool {
        let Self::Approved { submitted, submitted_at, .. } = self else { return false };
        *submitted || submitted_at.is_some()
    }

    /// Since when the deadline of an approved deployment runs: since its receiver was first asked, and until then
    /// since it might go out. `None` if it is not approved, or an early release did not note it.
    pub fn deadline_since(&self) -> Option<DateTime<Utc>> {
        let Self::Approved { at, submitted_at, .. } = self else { return None };
        submitted_at.or(*at)
    }

    /// Whether a receiver has it and has not yet said how it ended; a deadline runs, unless it is held.
    pub fn is_under_way(&self) -> bool {
        matches!(
            self,
            Self::HandedOff { .. }
                | Self::Progressing { .. }
                | Self::Suspended { .. }
                | Self::Terminating { .. }
                | Self::Deleting { .. }
        )
    }

    /// Whether it is being taken away.
    fn is_going(&self) -> bool {
        matches!(self, Self::Terminating { .. } | Self::Deleting { .. })
    }
}

#[cfg(test)]
mod tests;
