//! Incidents: what people are told of once, whatever it is called on its way.
//!
//! There is one open incident of trouble for an application in an environment. It stays the same while its
//! deployment fails, times out, is degraded, lost from sight and tried again, also under newer generations,
//! and ends when one is live. [`follow`] keeps it, as part of the transaction that moves a deployment.

use std::str::FromStr;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use slipway_types::Version;
use slipway_types::id::{ApplicationId, DeploymentId, EnvironmentId, IncidentId};

use crate::{Page, Result};

mod following;

pub use following::{awaits_approval, fails_under_way, follow, gates_broken};

/// What an incident is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Topic {
    /// An application is not as wanted.
    Trouble,
    /// A deployment waits for approvals.
    Approval,
    /// Somebody went past closed gates.
    GatesBroken,
    /// A deployment ended before its receiver had it: rejected, broken or expired. What runs goes on.
    NotDeployed,
}

/// A text that is no topic.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown topic `{0}`: expected trouble, approval, gates_broken or not_deployed")]
pub struct UnknownTopic(String);

impl Topic {
    /// The topic's word, as stored and shown.
    pub fn word(self) -> &'static str {
        match self {
            Self::Trouble => "trouble",
            Self::Approval => "approval",
            Self::GatesBroken => "gates_broken",
            Self::NotDeployed => "not_deployed",
        }
    }

    /// Of what there is one open at a time in a place: of trouble, whatever deployment has it.
    pub fn key(self, deployment: DeploymentId) -> String {
        match self {
            Self::Trouble => self.word().to_owned(),
            Self::Approval | Self::GatesBroken | Self::NotDeployed => format!("{}/{deployment}", self.word()),
        }
    }
}

impl FromStr for Topic {
    type Err = UnknownTopic;

    fn from_str(text: &str) -> Result<Self, UnknownTopic> {
        [Self::Trouble, Self::Approval, Self::GatesBroken, Self::NotDeployed]
            .into_iter()
            .find(|topic| topic.word() == text)
            .ok_or_else(|| UnknownTopic(text.chars().take(40).collect()))
    }
}

/// A deployment at a moment of an incident.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct About {
    /// Which.
    pub deployment: DeploymentId,
    /// Its number in its place.
    pub generation: u64,
    /// The bundle's version.
    pub version: Version,
    /// The state's word.
    pub state: String,
    /// What is in the way, for people.
    pub blocker: Option<String>,
    /// Whose doing the deployment is.
    pub deployed_by: String,
    /// Since when it is in that state.
    pub since: DateTime<Utc>,
}

/// Something that people are told of once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Incident {
    /// Identity.
    pub id: IncidentId,
    /// The application.
    pub application_id: ApplicationId,
    /// Where.
    pub environment_id: EnvironmentId,
    /// What it is of.
    pub topic: Topic,
    /// The deployment as it was when it last was not as wanted.
    pub about: About,
    /// The deployment that is as wanted since. An incident of trouble stays open for a while then, so that
    /// what comes and goes is one.
    pub ended: Option<About>,
    /// Since when.
    pub opened_at: DateTime<Utc>,
    /// When it was over.
    pub closed_at: Option<DateTime<Utc>>,
    /// Rises with every stored change; the key of compare-and-swap.
    pub row_version: i64,
}

/// Which incidents to list; all conditions must hold.
#[derive(Debug, Clone, Default)]
pub struct IncidentFilter {
    /// Of this application.
    pub application: Option<ApplicationId>,
    /// In this environment.
    pub environment: Option<EnvironmentId>,
    /// Of this topic.
    pub topic: Option<Topic>,
    /// Only those that are open.
    pub open_only: bool,
}

/// Looking up incidents.
#[async_trait]
pub trait ReadIncidents {
    /// One incident.
    async fn incident_get(&mut self, id: IncidentId) -> Result<Option<Incident>>;
    /// The open one with this key ([`Topic::key`]).
    async fn incident_open(
        &mut self,
        environment: EnvironmentId,
        application: ApplicationId,
        key: &str,
    ) -> Result<Option<Incident>>;
    /// Incidents, newest first.
    async fn incident_list(&mut self, filter: &IncidentFilter, page: Page) -> Result<Vec<Incident>>;
}

/// Changing incidents.
#[async_trait]
pub trait WriteIncidents {
    /// Stores a new one, with the version 1 whatever it says; `false`, and nothing is stored, if one with
    /// its key is open in its place.
    async fn incident_insert(&mut self, incident: &Incident) -> Result<bool>;
    /// Stores what it is about, how it ended and when it closed if the row still has
    /// `incident.row_version`, and raises that; `false` if somebody was faster.
    async fn incident_save(&mut self, incident: &mut Incident) -> Result<bool>;
    /// Removes incidents that were closed before then, with their notices, at most `limit`; returns how many.
    async fn incidents_forget(&mut self, before: DateTime<Utc>, limit: u32) -> Result<u64>;
}
