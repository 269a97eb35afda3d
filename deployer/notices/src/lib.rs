//! Telling people what becomes of deployments: by webhook, mail and chat.
//!
//! An incident ([`slipway_records::incident`]) is kept by the transaction that moves a deployment. The
//! `incident` job ([`spread`]) decides which channels are told of it, once each; the `notice` job
//! ([`outbox`]), one for each channel, sends what is kept for it, at least once and under an id by which
//! repetitions are told.

mod answer;
mod channel;
mod formats;
mod letter;
mod mail;
mod message;
pub mod outbox;
mod port;
mod post;
mod sender;
mod settings;
pub mod spread;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use ipnet::IpNet;
use slipway_network::Network;
use slipway_records::Records;
use slipway_records::noticing::CountNotices;
use slipway_secrets::Secrets;
use slipway_types::name::NoticeChannelName;

pub use channel::{Audience, Channel, Mail, MailTls, Place, Robot, Way};
pub use message::{Content, Message, Notice, NoticeEvent};
pub use outbox::NoticeHandler;
pub use settings::{ChannelKind, ChannelSettings, InvalidChannel, channels};
pub use spread::IncidentHandler;

/// Times, limits and addresses of sending notices.
#[derive(Debug, Clone)]
pub struct NoticeOptions {
    /// Address under which people reach this server, without a slash at the end.
    pub public_url: String,
    /// How long an application must be degraded or out of sight before that is told, and as wanted again
    /// before that is told, in seconds.
    pub grace_s: u32,
    /// The most messages to one channel in a minute.
    pub max_per_minute: u32,
    /// How long a notice is tried, in milliseconds from when it was decided on.
    pub give_up_after_ms: u64,
    /// The pause after the first failed try, in milliseconds; it doubles.
    pub retry_pause_ms: u64,
    /// The longest pause between two tries, in milliseconds.
    pub max_retry_pause_ms: u64,
    /// How long connecting may take, in milliseconds.
    pub connect_timeout_ms: u64,
    /// How long one message may take, in milliseconds.
    pub request_timeout_ms: u64,
    /// Whether channels may be at `http://`, and mail go without TLS.
    pub allow_plain: bool,
    /// Networks that channels may lie in although they are not public.
    pub allow_private_addresses: Vec<IpNet>,
    /// Proxy and authorities.
    pub network: Network,
}

impl Default for NoticeOptions {
    fn default() -> Self {
        Self {
            public_url: String::new(),
            grace_s: 60,
            max_per_minute: 15,
            give_up_after_ms: 3_600_000,
            retry_pause_ms: 5_000,
            max_retry_pause_ms: 600_000,
            connect_timeout_ms: 10_000,
            request_timeout_ms: 30_000,
            allow_plain: false,
            allow_private_addresses: Vec::new(),
            network: Network::default(),
        }
    }
}

/// The channels, and what sending needs. Cheap to clone.
#[derive(Clone)]
pub struct Notices {
    /// The records.
    pub records: Arc<dyn Records>,
    /// Where addresses and keys of channels are.
    pub secrets: Secrets,
    /// Where notices go to.
    pub channels: Arc<Vec<Channel>>,
    /// Times, limits and addresses.
    pub options: Arc<NoticeOptions>,
    /// Who counts what comes of them.
    pub counts: Arc<dyn CountNotices>,
}

impl Notices {
    /// The channel of that name.
    pub(crate) fn channel(&self, name: &NoticeChannelName) -> Option<&Channel> {
        self.channels.iter().find(|channel| channel.name == *name)
    }
}
