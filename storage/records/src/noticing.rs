//! The port to notices: which channels there are, and whether one works.

use async_trait::async_trait;
use serde::Serialize;
use slipway_types::Fault;
use slipway_types::name::NoticeChannelName;

/// A channel as its settings say it, without secrets.
#[derive(Debug, Clone, Serialize, PartialEq, Eq)]
pub struct NoticeChannel {
    /// Its name.
    pub name: NoticeChannelName,
    /// `webhook`, `mail`, `slack`, `dingtalk`, `feishu` or `wecom`.
    pub kind: &'static str,
    /// Teams it is for; empty: all.
    pub teams: Vec<String>,
    /// Environments it is for; empty: all.
    pub environments: Vec<String>,
    /// What the labels of environments must be; empty: anything.
    pub selector: String,
    /// What it is told of.
    pub events: Vec<&'static str>,
}

/// Counting what comes of notices.
pub trait CountNotices: Send + Sync {
    /// So many to a channel of that kind ([`NoticeChannel::kind`], or `none` if there is no such channel any
    /// more) came to that: `sent`, `again` (to be tried again) or `failed` (given up).
    fn count(&self, kind: &'static str, outcome: &'static str, notices: usize);
}

/// Sending notices.
#[async_trait]
pub trait Noticing: Send + Sync {
    /// All channels, in the order of their settings.
    fn channels(&self) -> Vec<NoticeChannel>;
    /// Sends a test to a channel at once and gives what it answered; `None` if there is no such channel.
    async fn test(&self, channel: &NoticeChannelName, by: &str) -> Option<Result<String, Fault>>;
}
