//! Channels: for whom, and how they are reached.

use std::collections::{BTreeMap, BTreeSet};

use lettre::message::Mailbox;
use slipway_types::label::Labels;
use slipway_types::name::{EnvironmentName, NoticeChannelName};
use slipway_types::selection::LabelSelector;
use slipway_types::{SecretReference, TeamName};
use url::Url;

use crate::message::NoticeEvent;
use crate::settings::ChannelKind;

/// Where notices go to.
#[derive(Debug, Clone)]
pub struct Channel {
    /// Its name.
    pub name: NoticeChannelName,
    /// What it is told of.
    pub audience: Audience,
    /// How it is reached.
    pub way: Way,
}

/// What a channel is told of: all conditions must hold, an empty one always does.
#[derive(Debug, Clone, Default)]
pub struct Audience {
    /// Whose applications.
    pub teams: BTreeSet<TeamName>,
    /// Where.
    pub environments: BTreeSet<EnvironmentName>,
    /// What the environment's labels are.
    pub selector: LabelSelector,
    /// Which events.
    pub events: BTreeSet<NoticeEvent>,
}

/// How a channel is reached.
#[derive(Debug, Clone)]
pub enum Way {
    /// A service of one's own, told by signed JSON.
    Webhook {
        /// Its address.
        url: Place,
        /// The name of the key that signs.
        key_id: String,
        /// The key.
        key: SecretReference,
    },
    /// A mail server.
    Mail(Mail),
    /// A robot in a group of a chat.
    Chat {
        /// Of which one.
        robot: Robot,
        /// Its address, which is a secret.
        url: SecretReference,
        /// What messages are signed with, where it wants that.
        secret: Option<SecretReference>,
    },
}

/// An address, or where it is kept.
#[derive(Debug, Clone)]
pub enum Place {
    /// The address itself.
    Plain(Url),
    /// A secret that is one.
    Secret(SecretReference),
}

/// Chats whose groups take messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Robot {
    /// Slack.
    Slack,
    /// DingTalk.
    Dingtalk,
    /// Feishu, outside of China Lark.
    Feishu,
    /// WeCom, the WeChat of companies.
    Wecom,
}

/// How mail is sent.
#[derive(Debug, Clone)]
pub struct Mail {
    /// The server.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How the connection is encrypted.
    pub tls: MailTls,
    /// Who logs in, with what; both or none.
    pub login: Option<(String, SecretReference)>,
    /// From whom.
    pub from: Mailbox,
    /// To whom.
    pub to: Vec<Mailbox>,
}

/// How a connection to a mail server is encrypted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MailTls {
    /// From its beginning (port 465).
    #[default]
    Tls,
    /// After a word in the clear (port 587); without it nothing is sent.
    Starttls,
    /// Not at all.
    None,
}

impl Way {
    /// Of which kind it is.
    pub fn kind(&self) -> ChannelKind {
        match self {
            Self::Webhook { .. } => ChannelKind::Webhook,
            Self::Mail(_) => ChannelKind::Mail,
            Self::Chat { robot: Robot::Slack, .. } => ChannelKind::Slack,
            Self::Chat { robot: Robot::Dingtalk, .. } => ChannelKind::Dingtalk,
            Self::Chat { robot: Robot::Feishu, .. } => ChannelKind::Feishu,
            Self::Chat { robot: Robot::Wecom, .. } => ChannelKind::Wecom,
        }
    }

    /// The secrets that it needs.
    pub fn secrets(&self) -> Vec<&SecretReference> {
        match self {
            Self::Webhook { url: Place::Secret(url), key, .. } => vec![url, key],
            Self::Webhook { url: Place::Plain(_), key, .. } => vec![key],
            Self::Mail(mail) => mail.login.iter().map(|(_, password)| password).collect(),
            Self::Chat { url, secret, .. } => std::iter::once(url).chain(secret).collect(),
        }
    }
}

impl Audience {
    /// Whether the channel is told of such an event.
    pub fn hears(
        &self,
        event: NoticeEvent,
        team: &TeamName,
        environment: &EnvironmentName,
        labels: &BTreeMap<String, String>,
    ) -> bool {
        (self.events.is_empty() || self.events.contains(&event))
            && (self.teams.is_empty() || self.teams.contains(team))
            && (self.environments.is_empty() || self.environments.contains(environment))
            && (self.selector.is_empty() || self.selector.matches(&selectable(labels)))
    }
}

/// Those of an environment's labels that a selector can ask for.
fn selectable(labels: &BTreeMap<String, String>) -> Labels {
    labels.iter().filter_map(|(key, value)| Some((key.parse().ok()?, value.parse().ok()?))).collect()
}
