//! What receivers say of the deployments that they have.

use std::collections::BTreeMap;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use slipway_types::id::{ApplicationId, DeploymentId};

use crate::Result;

/// The newest word on a node, or on the whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// The state's word in the hand-off contract, e.g. `waiting`.
    pub state: String,
    /// Why, for people; empty if nothing was said.
    pub reason: String,
    /// The event's number; what comes later has a higher one.
    pub sequence: u64,
    /// When this was so, by the receiver's clock.
    pub at: DateTime<Utc>,
}

/// A receiver that could not be asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trouble {
    /// Why.
    pub why: String,
    /// Since when.
    pub since: DateTime<Utc>,
}

/// All that is known of how a deployment goes at its receiver.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Observation {
    /// The receiver's name for it.
    #[serde(default)]
    pub run: String,
    /// Events up to this number were asked for and taken.
    #[serde(default)]
    pub sequence: u64,
    /// When it must have ended; `None`: nothing is waited for.
    #[serde(default)]
    pub deadline: Option<DateTime<Utc>>,
    /// Since when all has been as wanted, in one stretch; of what was superseded, until then.
    #[serde(default)]
    pub live_since: Option<DateTime<Utc>>,
    /// Whether it ever failed or timed out, or was live and then not as wanted: what ran before it does not
    /// count on with it.
    #[serde(default)]
    pub interrupted: bool,
    /// When the receiver last answered.
    #[serde(default)]
    pub looked_at: Option<DateTime<Utc>>,
    /// Why it cannot be asked.
    #[serde(default)]
    pub trouble: Option<Trouble>,
    /// Where the application stands: what the receiver's words on its nodes and on the whole come to, one of
    /// `completed`, `live`, `pending`, `progressing`, `suspended`, `unreachable`, `degraded`, `timed_out`, `failed` and
    /// `deleting`; `None`: nothing was said yet, or it is deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub application: Option<String>,
    /// The word on the whole.
    #[serde(default)]
    pub whole: Option<Seen>,
    /// The word on each node, by name.
    #[serde(default)]
    pub nodes: BTreeMap<String, Seen>,
    /// Rises with every stored change; 0: not stored yet.
    #[serde(skip)]
    pub row_version: i64,
}

/// Looking up observations.
#[async_trait]
pub trait ReadObservations {
    /// What is known of a deployment; nothing of one that no receiver has.
    async fn observation_get(&mut self, deployment: DeploymentId) -> Result<Option<Observation>>;
    /// The same of these deployments, in any order; those that no receiver has are left out.
    async fn observations_of(
        &mut self,
        deployments: &[DeploymentId],
    ) -> Result<Vec<(DeploymentId, Observation)>>;
    /// Deployments that a receiver has and of which the built-in core told more than was heard, with their
    /// applications: by the numbers of its last event and of the last that was taken. At most `limit`, which is
    /// capped at [`crate::PAGE_ROWS_MAX`].
    async fn observations_behind(&mut self, limit: u32) -> Result<Vec<(DeploymentId, ApplicationId)>>;
}

/// Changing observations.
#[async_trait]
pub trait WriteObservations {
    /// Stores it if the row still has `observation.row_version`, and raises that; `false` if somebody was
    /// faster.
    async fn observation_save(
        &mut self,
        deployment: DeploymentId,
        observation: &mut Observation,
    ) -> Result<bool>;
}
