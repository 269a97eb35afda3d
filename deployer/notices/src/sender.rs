//! Sending one message to one channel, now.

use chrono::Utc;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value;
use slipway_handoff::http::{Purpose, SigningKey};
use slipway_secrets::Mask;
use slipway_types::{Fault, SecretReference};
use url::Url;

use crate::Notices;
use crate::answer::Refusal;
use crate::channel::{Channel, Place, Robot, Way};
use crate::letter::Letter;
use crate::message::Message;
use crate::settings::{ChannelKind, address};
use crate::{formats, mail, post};

/// Parts of an address that are shorter, in characters, are no secrets.
const SECRET_PART_CHARS_MIN: usize = 8;

impl Notices {
    /// Sends, and gives what was answered.
    pub(crate) async fn send(&self, channel: &Channel, message: &Message) -> Result<String, Refusal> {
        match &channel.way {
            Way::Webhook { url, key_id, key } => {
                let url = match url {
                    Place::Plain(url) => url.clone(),
                    Place::Secret(reference) => self.address(reference).await?,
                };
                let key = self.resolve(key).await?;
                self.webhook(&url, key_id, &key, message).await
            }
            Way::Chat { robot, url, secret } => {
                let url = self.address(url).await?;
                let secret = match secret {
                    Some(reference) => Some(self.resolve(reference).await?),
                    None => None,
                };
                self.chat(*robot, url, secret.as_ref(), &Letter::of(message)).await
            }
            Way::Mail(mail) => {
                let password = match &mail.login {
                    Some((_, reference)) => Some(self.resolve(reference).await?),
                    None => None,
                };
                let letter = Letter::of(message);
                let sent = mail::send(mail, password.as_ref(), message.id, &letter, &self.options).await;
                masked(password.as_slice(), sent)
            }
        }
    }

    async fn webhook(
        &self,
        url: &Url,
        key_id: &str,
        key: &SecretString,
        message: &Message,
    ) -> Result<String, Refusal> {
        let signing = SigningKey::new(key_id, key)
            .map_err(|error| Fault::permanent("key_invalid", error.to_string()))?;
        let body = formats::webhook(message).to_string().into_bytes();
        let claim = signing.sign(Purpose::Notice, &body, Utc::now());
        let headers: Vec<_> = claim.headers().map(|(name, value)| (name, value.to_owned())).collect();
        let mut secrets = parts(url);
        secrets.push(key.clone());
        let answer = post::post(url, body, &headers, &self.options).await;
        masked(&secrets, answer.and_then(|answer| answer.judge(ChannelKind::Webhook)))
    }

    async fn chat(
        &self,
        robot: Robot,
        mut url: Url,
        secret: Option<&SecretString>,
        letter: &Letter,
    ) -> Result<String, Refusal> {
        let mut secrets = parts(&url);
        secrets.extend(secret.cloned());
        let secret = secret.map(|secret| secret.expose_secret().trim());
        let now = Utc::now();
        let (kind, body): (ChannelKind, Value) = match robot {
            Robot::Slack => (ChannelKind::Slack, formats::slack(letter)),
            Robot::Dingtalk => {
                if let Some(secret) = secret {
                    let time = now.timestamp_millis();
                    let sign = formats::dingtalk_sign(secret, time);
                    url.query_pairs_mut()
                        .append_pair("timestamp", &time.to_string())
                        .append_pair("sign", &sign);
                }
                (ChannelKind::Dingtalk, formats::dingtalk(letter))
            }
            Robot::Feishu => {
                let time = now.timestamp();
                let proof = secret.map(|secret| (time, formats::feishu_sign(secret, time)));
                (ChannelKind::Feishu, formats::feishu(letter, proof))
            }
            Robot::Wecom => (ChannelKind::Wecom, formats::wecom(letter)),
        };
        let answer = post::post(&url, body.to_string().into_bytes(), &[], &self.options).await;
        masked(&secrets, answer.and_then(|answer| answer.judge(kind)))
    }

    async fn resolve(&self, reference: &SecretReference) -> Result<SecretString, Fault> {
        Ok(self.secrets.resolve(reference).await.map_err(Fault::from)?.value)
    }

    async fn address(&self, reference: &SecretReference) -> Result<Url, Fault> {
        let text = self.resolve(reference).await?;
        address(text.expose_secret(), self.options.allow_plain)
            .map_err(|why| Fault::permanent("address_invalid", format!("the value of {reference}: {why}")))
    }
}

/// What of an address lets whoever has it post there.
fn parts(url: &Url) -> Vec<SecretString> {
    let path = url.path_segments().into_iter().flatten().map(str::to_owned);
    let query = url.query_pairs().map(|(_, value)| value.into_owned());
    path.chain(query)
        .filter(|part| part.chars().count() >= SECRET_PART_CHARS_MIN)
        .map(SecretString::from)
        .collect()
}

/// The same without secrets, should the channel have repeated one.
fn masked(secrets: &[SecretString], outcome: Result<String, Refusal>) -> Result<String, Refusal> {
    let mask = Mask::new(secrets);
    match outcome {
        Ok(answer) => Ok(mask.mask(&answer)),
        Err(Refusal { mut fault, after }) => {
            fault.message = mask.mask(&fault.message);
            Err(Refusal { fault, after })
        }
    }
}
