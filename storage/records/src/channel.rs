//! Channels: named movable pointers to bundle versions, with the history of their moves.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use slipway_types::Version;
use slipway_types::id::{ApplicationId, VersionId};
use slipway_types::name::ChannelName;

use crate::Result;

/// A named movable pointer to one bundle version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Channel {
    /// Whose.
    pub application_id: ApplicationId,
    /// Its name.
    pub name: ChannelName,
    /// What it names now.
    pub version_id: VersionId,
    /// That version.
    pub version: Version,
    /// When it was last moved.
    pub moved_at: DateTime<Utc>,
    /// By whom.
    pub moved_by: String,
}

/// One move of a channel, as asked and as kept in its history.
#[derive(Debug, Clone)]
pub struct ChannelMove {
    /// Whose.
    pub application_id: ApplicationId,
    /// Its name.
    pub name: ChannelName,
    /// What it must name now; `None`: it must not exist.
    pub from: Option<VersionId>,
    /// What it shall name.
    pub to: VersionId,
    /// Who.
    pub by: String,
    /// Why.
    pub reason: Option<String>,
}

/// One move of a channel, as it was kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChannelMoved {
    /// Rises with every move of any channel.
    pub seq: i64,
    /// What it named before; `None`: it was made.
    pub from: Option<Version>,
    /// What it has named since.
    pub to: Version,
    /// When.
    pub at: DateTime<Utc>,
    /// Who.
    pub by: String,
    /// Why.
    pub reason: Option<String>,
}

/// Looking up channels.
#[async_trait]
pub trait ReadChannels {
    /// One channel.
    async fn channel_get(
        &mut self,
        application: ApplicationId,
        name: &ChannelName,
    ) -> Result<Option<Channel>>;
    /// An application's channels by name.
    async fn channel_list(&mut self, application: ApplicationId) -> Result<Vec<Channel>>;
    /// An application's channels by name that come after that name, at most `limit`, which is capped at
    /// [`crate::PAGE_ROWS_MAX`]; `None`: from the first.
    async fn channel_page(
        &mut self,
        application: ApplicationId,
        after: Option<&ChannelName>,
        limit: u32,
    ) -> Result<Vec<Channel>>;
    /// The moves of one channel, newest first, those before `before`; at most `limit`. A channel that never
    /// was has none.
    async fn channel_history(
        &mut self,
        application: ApplicationId,
        name: &ChannelName,
        before: Option<i64>,
        limit: u32,
    ) -> Result<Vec<ChannelMoved>>;
}

/// Moving channels.
#[async_trait]
pub trait WriteChannels {
    /// Moves a channel and keeps the history; `false` if it did not name `from`.
    async fn channel_move(&mut self, change: &ChannelMove) -> Result<bool>;
}
