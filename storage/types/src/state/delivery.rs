//! Delivery: received → planned(runs) | ignored(reason) | failed(fault).

use serde::{Deserialize, Serialize};

use super::InvalidTransition;
use crate::fault::Fault;
use crate::id::RunId;

/// Where a delivery stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum DeliveryState {
    /// Committed, not yet looked at.
    Received,
    /// Its runs exist.
    Planned {
        /// The runs that serve it, made by it or found.
        runs: Vec<RunId>,
    },
    /// Nothing to build.
    Ignored {
        /// Why, for people.
        reason: String,
    },
    /// Could not be turned into runs.
    Failed {
        /// Why.
        fault: Fault,
    },
}

/// What can happen to a delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeliveryEvent {
    /// Runs were made or found.
    Plan(Vec<RunId>),
    /// There is nothing to build.
    Ignore(String),
    /// It cannot be turned into runs.
    Fail(Fault),
}

impl DeliveryState {
    /// The state's word, as stored and shown.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Received => "received",
            Self::Planned { .. } => "planned",
            Self::Ignored { .. } => "ignored",
            Self::Failed { .. } => "failed",
        }
    }

    /// Whether it will never change.
    pub fn is_terminal(&self) -> bool {
        !matches!(self, Self::Received)
    }

    /// The state after `event`.
    pub fn apply(self, event: DeliveryEvent) -> Result<Self, InvalidTransition> {
        let word = match event {
            DeliveryEvent::Plan(_) => "plan",
            DeliveryEvent::Ignore(_) => "ignore",
            DeliveryEvent::Fail(_) => "fail",
        };
        match (self, event) {
            (Self::Received, DeliveryEvent::Plan(runs)) => Ok(Self::Planned { runs }),
            (Self::Received, DeliveryEvent::Ignore(reason)) => Ok(Self::Ignored { reason }),
            (Self::Received, DeliveryEvent::Fail(fault)) => Ok(Self::Failed { fault }),
            (state, _) => Err(InvalidTransition { what: "delivery", state: state.word(), event: word }),
        }
    }
}
