//! Notices on their way to channels: kept before they are sent, and until somebody has taken them.

use std::str::FromStr;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use slipway_types::id::{IncidentId, NoticeId};
use slipway_types::name::NoticeChannelName;

use crate::{Page, Result};

/// Where a notice stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoticeState {
    /// It is to be sent.
    Pending,
    /// The channel has taken it, alone or in one message with others.
    Sent,
    /// It was given up.
    Failed,
}

/// A text that is no state of a notice.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown state of a notice `{0}`: expected pending, sent or failed")]
pub struct UnknownNoticeState(String);

impl NoticeState {
    /// The state's word, as stored and shown.
    pub fn word(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Sent => "sent",
            Self::Failed => "failed",
        }
    }
}

impl FromStr for NoticeState {
    type Err = UnknownNoticeState;

    fn from_str(text: &str) -> Result<Self, UnknownNoticeState> {
        [Self::Pending, Self::Sent, Self::Failed]
            .into_iter()
            .find(|state| state.word() == text)
            .ok_or_else(|| UnknownNoticeState(text.chars().take(40).collect()))
    }
}

/// One notice to one channel.
#[derive(Debug, Clone, PartialEq)]
pub struct NoticeDelivery {
    /// Identity: goes with it, so that who receives it tells repetitions.
    pub id: NoticeId,
    /// To whom.
    pub channel: NoticeChannelName,
    /// What a channel is told once.
    pub once: String,
    /// Of which incident.
    pub incident_id: IncidentId,
    /// What is told: JSON of the sender's own.
    pub body: serde_json::Value,
    /// Where it stands.
    pub state: NoticeState,
    /// The message that tells of it together with others.
    pub folded_into: Option<NoticeId>,
    /// How often it was tried.
    pub attempts: u32,
    /// Not to be tried again before.
    pub next_at: Option<DateTime<Utc>>,
    /// What came of the last try, for people.
    pub answer: Option<String>,
    /// When it was decided on, or somebody last wanted it sent again: from then it is tried for so long.
    pub created_at: DateTime<Utc>,
    /// When it was taken or given up.
    pub ended_at: Option<DateTime<Utc>>,
}

/// How many notices of a channel stand where somebody may have to do something.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct NoticeCounts {
    /// To be sent.
    pub pending: u64,
    /// Given up.
    pub failed: u64,
}

/// A notice to be sent.
#[derive(Debug, Clone, PartialEq)]
pub struct NewNotice {
    /// To whom.
    pub channel: NoticeChannelName,
    /// What a channel is told once.
    pub once: String,
    /// Of which incident.
    pub incident_id: IncidentId,
    /// What is told.
    pub body: serde_json::Value,
}

/// What came of a try.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tried {
    /// The channel took it.
    Sent(String),
    /// It is given up, and why.
    Failed(String),
    /// It is to be tried again, why, and not before.
    Again(String, DateTime<Utc>),
}

/// Looking up notices.
#[async_trait]
pub trait ReadNotices {
    /// One notice.
    async fn notice_get(&mut self, id: NoticeId) -> Result<Option<NoticeDelivery>>;
    /// Those that were given up, to one channel or to all, newest first.
    async fn notices_failed(
        &mut self,
        channel: Option<&NoticeChannelName>,
        page: Page,
    ) -> Result<Vec<NoticeDelivery>>;
    /// The notices of an incident, oldest first.
    async fn notices_of(&mut self, incident: IncidentId) -> Result<Vec<NoticeDelivery>>;
    /// What waits for a channel, oldest first; `limit` is capped at [`crate::PAGE_ROWS_MAX`].
    async fn notices_pending(
        &mut self,
        channel: &NoticeChannelName,
        limit: u32,
    ) -> Result<Vec<NoticeDelivery>>;
    /// How many of a channel are to be sent, and were given up.
    async fn notices_counted(&mut self, channel: &NoticeChannelName) -> Result<NoticeCounts>;
    /// How many messages a channel has taken since then; one that tells of several notices is one.
    async fn notices_sent_since(&mut self, channel: &NoticeChannelName, since: DateTime<Utc>) -> Result<u64>;
    /// What came last of those to a channel that were taken or given up.
    async fn notice_last(&mut self, channel: &NoticeChannelName) -> Result<Option<NoticeDelivery>>;
}

/// Changing notices.
#[async_trait]
pub trait WriteNotices {
    /// Keeps a notice to be sent; `None` if the channel was told, or is to be told, `new.once` already.
    async fn notice_insert(&mut self, new: NewNotice) -> Result<Option<NoticeId>>;
    /// Notes that these will be told in one message. Of those that are not pending nothing changes.
    async fn notices_fold(&mut self, ids: &[NoticeId], into: NoticeId) -> Result<()>;
    /// Notes what came of a try of these. Of those that are not pending nothing changes.
    async fn notices_tried(&mut self, ids: &[NoticeId], tried: &Tried) -> Result<()>;
    /// Lets what was given up be sent again, each by itself and for as long as if it were new: `only` this one,
    /// else all to the channel. Returns how many.
    async fn notices_again(&mut self, channel: &NoticeChannelName, only: Option<NoticeId>) -> Result<u64>;
}
