//! What is told.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use slipway_records::{Application, Environment, Incident, Topic};
use slipway_types::id::{DeploymentId, IncidentId, NoticeId};

/// What has happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NoticeEvent {
    /// A deployment could not be brought about.
    Failed,
    /// A deadline passed.
    TimedOut,
    /// It was live, and something is not as wanted.
    Degraded,
    /// It was live, and its place does not answer.
    Unreachable,
    /// It is as wanted again.
    Recovered,
    /// A deployment waits for approvals.
    WaitsForApproval,
    /// Somebody went past closed gates.
    GatesBroken,
    /// A deployment cannot be made as it was asked for; nothing was changed.
    Rejected,
    /// A deployment could not be prepared or handed off; nothing was changed.
    Broken,
    /// The gates of a deployment stayed closed for too long; nothing was changed.
    Expired,
}

impl NoticeEvent {
    /// Every event.
    pub const ALL: [Self; 10] = [
        Self::Failed,
        Self::TimedOut,
        Self::Degraded,
        Self::Unreachable,
        Self::Recovered,
        Self::WaitsForApproval,
        Self::GatesBroken,
        Self::Rejected,
        Self::Broken,
        Self::Expired,
    ];

    /// The event's word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::TimedOut => "timed_out",
            Self::Degraded => "degraded",
            Self::Unreachable => "unreachable",
            Self::Recovered => "recovered",
            Self::WaitsForApproval => "waits_for_approval",
            Self::GatesBroken => "gates_broken",
            Self::Rejected => "rejected",
            Self::Broken => "broken",
            Self::Expired => "expired",
        }
    }

    /// What the beginning of an incident is told as.
    pub(crate) fn of_opening(incident: &Incident) -> Self {
        match incident.topic {
            Topic::Approval => Self::WaitsForApproval,
            Topic::GatesBroken => Self::GatesBroken,
            Topic::Trouble => Self::of_state(incident).unwrap_or(Self::Failed),
            Topic::NotDeployed => Self::of_state(incident).unwrap_or(Self::Broken),
        }
    }

    fn of_state(incident: &Incident) -> Option<Self> {
        Self::ALL.into_iter().find(|event| event.word() == incident.about.state)
    }
}

/// One thing that people are told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    /// What has happened.
    pub event: NoticeEvent,
    /// In which incident.
    pub incident: IncidentId,
    /// Whose application.
    pub team: String,
    /// The application, with its team unless that is the default one.
    pub application: String,
    /// The environment's name.
    pub environment: String,
    /// Its address.
    pub address: String,
    /// The deployment.
    pub deployment: DeploymentId,
    /// Its number in its place.
    pub generation: u64,
    /// The bundle's version.
    pub version: String,
    /// The deployment's state.
    pub state: String,
    /// What is, or was, in the way.
    pub blocker: Option<String>,
    /// Whose doing the deployment is.
    pub deployed_by: String,
    /// Since when the incident lasts.
    pub since: DateTime<Utc>,
    /// Since when it is over.
    pub until: Option<DateTime<Utc>>,
    /// Where the deployment is shown.
    pub link: String,
    /// The command that shows it.
    pub command: String,
}

impl Notice {
    /// What is told of an incident in its place. `public_url` has no slash at its end.
    pub(crate) fn new(
        event: NoticeEvent,
        incident: &Incident,
        application: &Application,
        environment: &Environment,
        public_url: &str,
    ) -> Self {
        let ended = incident.ended.as_ref().filter(|_| event == NoticeEvent::Recovered);
        let about = ended.unwrap_or(&incident.about);
        Self {
            event,
            incident: incident.id,
            team: application.name.team().to_string(),
            application: application.name.to_string(),
            environment: environment.name.to_string(),
            address: environment.address.to_string(),
            deployment: about.deployment,
            generation: about.generation,
            version: about.version.to_string(),
            state: about.state.clone(),
            blocker: incident.about.blocker.clone(),
            deployed_by: about.deployed_by.clone(),
            since: incident.opened_at,
            until: ended.map(|ended| ended.since),
            link: format!("{public_url}/api/v1/deployments/{}", about.deployment),
            command: format!(
                "slipway deploy show '{}@{}#{}'",
                application.name, environment.name, about.generation
            ),
        }
    }
}

/// What goes to a channel at once.
#[derive(Debug, Clone, PartialEq)]
pub struct Message {
    /// By which who receives it tells repetitions.
    pub id: NoticeId,
    /// What it says.
    pub content: Content,
}

/// What a message says.
#[derive(Debug, Clone, PartialEq)]
pub enum Content {
    /// One notice.
    One(Notice),
    /// Several that came at once.
    Several(Vec<Notice>),
    /// That the channel works; who asked.
    Test(String),
}
