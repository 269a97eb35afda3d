//! Channels as the server's configuration has them.

use std::collections::BTreeSet;
use std::str::FromStr;

use lettre::message::Mailbox;
use serde::{Deserialize, Serialize};
use slipway_handoff::settings::is_key_id;
use slipway_types::name::{EnvironmentName, InvalidName};
use slipway_types::selection::{InvalidSelector, LabelSelector};
use slipway_types::{SecretReference, TeamName};
use url::Url;

use crate::channel::{Audience, Channel, Mail, MailTls, Place, Robot, Way};
use crate::message::NoticeEvent;

/// The most channels of a server.
const CHANNELS_MAX: usize = 100;
/// The most mailboxes of one channel.
const MAILBOXES_MAX: usize = 50;

/// What takes notices.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ChannelKind {
    /// A service of one's own.
    Webhook,
    /// Mail.
    Mail,
    /// A Slack incoming webhook.
    Slack,
    /// A DingTalk custom robot.
    Dingtalk,
    /// A Feishu or Lark custom bot.
    Feishu,
    /// A WeCom group robot.
    Wecom,
}

impl ChannelKind {
    /// The kind's word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Webhook => "webhook",
            Self::Mail => "mail",
            Self::Slack => "slack",
            Self::Dingtalk => "dingtalk",
            Self::Feishu => "feishu",
            Self::Wecom => "wecom",
        }
    }

    /// The most messages that one of them takes in a minute, whatever the server's settings allow; the pages
    /// that say so are named where its answers are read. `None`: no such limit is known.
    pub fn max_per_minute(self) -> Option<u32> {
        match self {
            Self::Dingtalk | Self::Wecom => Some(20),
            Self::Feishu => Some(100),
            Self::Webhook | Self::Mail | Self::Slack => None,
        }
    }
}

/// A channel as it is written.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChannelSettings {
    /// Its name.
    pub name: String,
    /// What takes the notices.
    pub kind: ChannelKind,
    /// Teams it is for; empty: all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub teams: Vec<String>,
    /// Environments it is for; empty: all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub environments: Vec<String>,
    /// A selector that labels of environments match; empty: anything.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub selector: String,
    /// What it is told of; empty: everything.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub events: Vec<NoticeEvent>,
    /// `secret://…` of its address; of a webhook also the address itself.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub url: String,
    /// `secret://…`: the key of a webhook, what a robot wants messages to be signed with, the password of
    /// mail.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub secret: String,
    /// Name of the webhook's key; empty: `slipway`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub key_id: String,
    /// Mail server, HOST or HOST:PORT.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub server: String,
    /// How mail is encrypted on its way to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<MailTls>,
    /// Who logs in to the mail server; empty: nobody.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub user: String,
    /// From whom mail comes.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub from: String,
    /// To whom it goes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub to: Vec<String>,
}

/// Settings that make no channel.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("channel `{channel}`: {field}: {why}")]
pub struct InvalidChannel {
    /// Of which channel.
    pub channel: String,
    /// The field.
    pub field: &'static str,
    /// What is wrong, and what to write. No value that may be a secret.
    pub why: String,
}

/// The channels of a server; `allow_plain` takes `http://` and mail without TLS.
pub fn channels(settings: &[ChannelSettings], allow_plain: bool) -> Result<Vec<Channel>, InvalidChannel> {
    if let Some(beyond) = settings.get(CHANNELS_MAX) {
        return Err(beyond.invalid("name", format!("there are more than {CHANNELS_MAX} channels")));
    }
    let mut names = BTreeSet::new();
    let mut made = Vec::new();
    for one in settings {
        let channel = one.channel(allow_plain)?;
        if !names.insert(channel.name.clone()) {
            return Err(one.invalid("name", "another channel has it"));
        }
        made.push(channel);
    }
    Ok(made)
}

impl ChannelSettings {
    fn invalid(&self, field: &'static str, why: impl Into<String>) -> InvalidChannel {
        InvalidChannel { channel: self.name.chars().take(80).collect(), field, why: why.into() }
    }

    fn channel(&self, allow_plain: bool) -> Result<Channel, InvalidChannel> {
        let name = self.name.parse().map_err(|error: InvalidName| self.invalid("name", error.to_string()))?;
        self.refuse_foreign_fields()?;
        let way = match self.kind {
            ChannelKind::Webhook => self.webhook(allow_plain)?,
            ChannelKind::Mail => Way::Mail(self.mail(allow_plain)?),
            ChannelKind::Slack => self.chat(Robot::Slack)?,
            ChannelKind::Dingtalk => self.chat(Robot::Dingtalk)?,
            ChannelKind::Feishu => self.chat(Robot::Feishu)?,
            ChannelKind::Wecom => self.chat(Robot::Wecom)?,
        };
        Ok(Channel { name, audience: self.audience()?, way })
    }

    fn audience(&self) -> Result<Audience, InvalidChannel> {
        Ok(Audience {
            teams: self.parsed::<TeamName>("teams", &self.teams)?.into_iter().collect(),
            environments: self
                .parsed::<EnvironmentName>("environments", &self.environments)?
                .into_iter()
                .collect(),
            selector: self.selector()?,
            events: self.events.iter().copied().collect(),
        })
    }

    fn selector(&self) -> Result<LabelSelector, InvalidChannel> {
        if self.selector.is_empty() {
            return Ok(LabelSelector::default());
        }
        self.selector.parse().map_err(|error: InvalidSelector| self.invalid("selector", error.to_string()))
    }

    fn parsed<T: FromStr<Err: ToString>>(
        &self,
        field: &'static str,
        texts: &[String],
    ) -> Result<Vec<T>, InvalidChannel> {
        let parsed = texts.iter().map(|text| text.parse::<T>());
        parsed.collect::<Result<Vec<T>, T::Err>>().map_err(|error| self.invalid(field, error.to_string()))
    }

    /// A field of another kind does nothing, and whoever wrote it thinks that it does.
    fn refuse_foreign_fields(&self) -> Result<(), InvalidChannel> {
        let kind = self.kind;
        let is_mail = kind == ChannelKind::Mail;
        let has_key = matches!(kind, ChannelKind::Slack | ChannelKind::Wecom);
        let given = [
            ("url", !self.url.is_empty(), is_mail),
            ("secret", !self.secret.is_empty(), has_key),
            ("key_id", !self.key_id.is_empty(), kind != ChannelKind::Webhook),
            ("server", !self.server.is_empty(), !is_mail),
            ("tls", self.tls.is_some(), !is_mail),
            ("user", !self.user.is_empty(), !is_mail),
            ("from", !self.from.is_empty(), !is_mail),
            ("to", !self.to.is_empty(), !is_mail),
        ];
        match given.into_iter().find(|(_, is_given, is_foreign)| *is_given && *is_foreign) {
            Some((field, ..)) => Err(self.invalid(field, format!("the kind {} has none", kind.word()))),
            None => Ok(()),
        }
    }

    fn reference(&self, field: &'static str, text: &str) -> Result<SecretReference, InvalidChannel> {
        // What stands there may be the secret itself.
        let why = "give the secret's reference, e.g. secret://builtin/notices/ops or secret://file/PATH";
        text.parse().map_err(|_| self.invalid(field, why))
    }

    fn secret(&self) -> Result<Option<SecretReference>, InvalidChannel> {
        (!self.secret.is_empty()).then(|| self.reference("secret", &self.secret)).transpose()
    }

    fn chat(&self, robot: Robot) -> Result<Way, InvalidChannel> {
        Ok(Way::Chat { robot, url: self.reference("url", &self.url)?, secret: self.secret()? })
    }

    fn webhook(&self, allow_plain: bool) -> Result<Way, InvalidChannel> {
        let url = if self.url.starts_with("secret://") {
            Place::Secret(self.reference("url", &self.url)?)
        } else {
            let url = address(&self.url, allow_plain).map_err(|why| self.invalid("url", why))?;
            if url.query().is_some() {
                let why = "an address with a query may hold a secret: keep it as one, secret://…";
                return Err(self.invalid("url", why));
            }
            Place::Plain(url)
        };
        let key_id = if self.key_id.is_empty() { "slipway" } else { &self.key_id };
        if !is_key_id(key_id) {
            return Err(self.invalid("key_id", "expected 1 to 64 letters, digits, `-`, `_` and `.`"));
        }
        let Some(key) = self.secret()? else {
            let why =
                "messages are signed: name the key, at least 32 bytes, e.g. secret://builtin/notices/ops";
            return Err(self.invalid("secret", why));
        };
        Ok(Way::Webhook { url, key_id: key_id.to_owned(), key })
    }

    fn mail(&self, allow_plain: bool) -> Result<Mail, InvalidChannel> {
        let tls = self.tls.unwrap_or_default();
        if tls == MailTls::None && !allow_plain {
            return Err(self.invalid("tls", "mail without TLS needs notices.allow_plain = true"));
        }
        let (host, port) = self.mail_server(tls)?;
        let login = match (self.user.is_empty(), self.secret()?) {
            (true, None) => None,
            (false, Some(password)) => Some((self.user.clone(), password)),
            (false, None) => return Err(self.invalid("secret", "user and secret belong together")),
            (true, Some(_)) => return Err(self.invalid("user", "user and secret belong together")),
        };
        if login.is_some() && tls == MailTls::None {
            return Err(self.invalid("user", "nobody logs in without TLS"));
        }
        if self.to.is_empty() || self.to.len() > MAILBOXES_MAX {
            return Err(self.invalid("to", format!("name 1 to {MAILBOXES_MAX} mailboxes")));
        }
        let mailbox = |field, text: &String| {
            let why = "expected user@example.com or NAME <user@example.com>";
            text.parse::<Mailbox>().map_err(|_| self.invalid(field, why))
        };
        let to = self.to.iter().map(|text| mailbox("to", text)).collect::<Result<Vec<_>, _>>()?;
        Ok(Mail { host, port, tls, login, from: mailbox("from", &self.from)?, to })
    }

    fn mail_server(&self, tls: MailTls) -> Result<(String, u16), InvalidChannel> {
        let invalid = || self.invalid("server", "expected HOST or HOST:PORT");
        let url = Url::parse(&format!("ssh://{}", self.server)).map_err(|_| invalid())?;
        let is_bare = matches!(url.path(), "" | "/")
            && url.username().is_empty()
            && url.password().is_none()
            && url.query().is_none()
            && url.fragment().is_none();
        let host = url.host_str().filter(|host| is_bare && !host.is_empty()).ok_or_else(invalid)?;
        let usual = match tls {
            MailTls::Tls => 465,
            MailTls::Starttls => 587,
            MailTls::None => 25,
        };
        Ok((host.trim_matches(['[', ']']).to_owned(), url.port().unwrap_or(usual)))
    }
}

/// An address that messages may be posted to.
pub(crate) fn address(text: &str, allow_plain: bool) -> Result<Url, String> {
    let url = Url::parse(text.trim()).map_err(|_| "not an address: expected https://HOST/PATH".to_owned())?;
    if !(url.scheme() == "https" || (allow_plain && url.scheme() == "http")) {
        return Err("expected https:// (http:// needs notices.allow_plain = true)".to_owned());
    }
    if url.host().is_none() {
        return Err("the address names no host".to_owned());
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("the address must hold no user and no password".to_owned());
    }
    Ok(url)
}
