//! The durable inbox.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use slipway_types::id::{DeliveryId, SourceId};
use slipway_types::state::DeliveryState;
use slipway_types::{CommitId, GitRef};

use crate::{Inserted, Page, Result};

/// How a delivery came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Origin {
    /// The built-in git remote.
    Push,
    /// A GitHub webhook.
    Github,
    /// A GitLab webhook.
    Gitlab,
    /// A Gitea webhook.
    Gitea,
    /// A Forgejo webhook.
    Forgejo,
    /// The generic webhook.
    Generic,
    /// The sweep found a head without a run.
    Sweep,
    /// A person asked by API or CLI.
    Manual,
}

impl Origin {
    /// Every origin.
    pub const ALL: [Self; 8] = [
        Self::Push,
        Self::Github,
        Self::Gitlab,
        Self::Gitea,
        Self::Forgejo,
        Self::Generic,
        Self::Sweep,
        Self::Manual,
    ];

    /// The word stored and shown.
    pub fn word(self) -> &'static str {
        match self {
            Self::Push => "push",
            Self::Github => "github",
            Self::Gitlab => "gitlab",
            Self::Gitea => "gitea",
            Self::Forgejo => "forgejo",
            Self::Generic => "generic",
            Self::Sweep => "sweep",
            Self::Manual => "manual",
        }
    }

    /// The origin with that word.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|origin| origin.word() == word)
    }
}

/// One received webhook event or push.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// Identity.
    pub id: DeliveryId,
    /// The source it is about.
    pub source_id: SourceId,
    /// How it came in.
    pub origin: Origin,
    /// The sender's own id of the event, by which repeats are known.
    pub external_id: Option<String>,
    /// What kind of event, in the sender's words (`push`, `pull_request`, …).
    pub event: String,
    /// The ref, if the event names one that may build.
    pub git_ref: Option<GitRef>,
    /// The commit it names; `None` if the sender is not believed and the mirror decides.
    pub commit: Option<CommitId>,
    /// Who did it, as far as the sender is believed.
    pub actor: String,
    /// Build every component anew.
    pub fresh: bool,
    /// Where it stands.
    pub state: DeliveryState,
    /// When it was received.
    pub received_at: DateTime<Utc>,
}

/// A delivery to be kept.
#[derive(Debug, Clone)]
pub struct NewDelivery {
    /// The source it is about.
    pub source_id: SourceId,
    /// How it came in.
    pub origin: Origin,
    /// The sender's own id; unique per (source, origin).
    pub external_id: Option<String>,
    /// What kind of event.
    pub event: String,
    /// The ref.
    pub git_ref: Option<GitRef>,
    /// The commit.
    pub commit: Option<CommitId>,
    /// Who did it.
    pub actor: String,
    /// Build every component anew.
    pub fresh: bool,
    /// `Received`, or `Ignored` at once for events that never build.
    pub state: DeliveryState,
}

/// An unverified request to a webhook address: counted, and the last 100 a source kept without body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// When.
    pub at: DateTime<Utc>,
    /// Sender's address.
    pub address: String,
    /// Why it was refused.
    pub reason: String,
}

/// Looking up deliveries.
#[async_trait]
pub trait ReadDeliveries {
    /// One delivery.
    async fn delivery_get(&mut self, id: DeliveryId) -> Result<Option<Delivery>>;
    /// Deliveries of a source, newest first.
    async fn delivery_list(&mut self, source: SourceId, page: Page) -> Result<Vec<Delivery>>;
    /// Whether any delivery of the source named this ref and commit.
    async fn delivery_names(&mut self, source: SourceId, name: &GitRef, commit: &CommitId) -> Result<bool>;
    /// The kept refusals of a source, newest first, and how many there ever were.
    async fn refusals(&mut self, source: SourceId) -> Result<(Vec<Refusal>, u64)>;
}

/// Keeping deliveries.
#[async_trait]
pub trait WriteDeliveries {
    /// Keeps a delivery; the one with the same (source, origin, external id) is found instead.
    async fn delivery_insert(&mut self, delivery: NewDelivery) -> Result<Inserted<Delivery>>;
    /// Stores the state if the delivery is still `received`; `false` otherwise.
    async fn delivery_settle(&mut self, id: DeliveryId, state: &DeliveryState) -> Result<bool>;
    /// Counts a refusal and keeps it among the last 100 of its source.
    async fn refusal_add(&mut self, source: SourceId, refusal: &Refusal) -> Result<()>;
}
