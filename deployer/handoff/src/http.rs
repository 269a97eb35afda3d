//! The `http` receiver: a service of others, told by signed JSON.
//!
//! Every request is a POST of JSON to the receiver's base address and a name: `v1/describe`,
//! `v1/submit`, `v1/observe`, `v1/command`. What happens is asked for, or reported back by a POST of
//! its own. All of them are signed ([`signature`]); every answer of the protocol has status 200.

use std::collections::BTreeSet;

use async_trait::async_trait;
use slipway_network::Network;
use slipway_types::Violation;
use url::Url;

use crate::answer::{Answer, Capability, Description};
use crate::event::Event;
use crate::manifests::{self, ManifestSet, Manifests};
use crate::receiver::{EVENTS_MAX, Order, Receiver, ReceiverError, ReceiverKind};
use crate::revision::Limits;
use crate::submission::{Key, Submission};

pub mod callback;
pub mod channel;
pub mod signature;
pub mod wire;

pub use callback::{Refused, reported};
pub use channel::{Channel, Reply};
pub use signature::{Claim, Keys, Purpose, SigningKey, Unproven};
pub use wire::{ObserveRequest, Report, SubmitRequest};

/// The longest name of a run, in characters.
pub const RUN_CHARS_MAX: usize = 512;
/// The most violations of an answer that are kept.
const VIOLATIONS_MAX: usize = 200;
/// The longest text of an answer that is kept, in characters.
const TEXT_CHARS_MAX: usize = 2_000;

/// How a service is asked.
#[derive(Debug, Clone, Copy)]
pub struct HttpOptions {
    /// Until the connection stands, in milliseconds.
    pub connect_timeout_ms: u64,
    /// Until the answer is read, in milliseconds.
    pub request_timeout_ms: u64,
    /// One submission with its manifests, in bytes.
    pub max_submission_bytes: usize,
    /// One answer, in bytes.
    pub max_answer_bytes: usize,
    /// What a revision may be at most.
    pub limits: Limits,
}

impl Default for HttpOptions {
    fn default() -> Self {
        Self {
            connect_timeout_ms: 10_000,
            request_timeout_ms: 60_000,
            max_submission_bytes: 32 << 20,
            max_answer_bytes: 4 << 20,
            limits: Limits::default(),
        }
    }
}

/// A service of others.
#[derive(Clone)]
pub struct HttpReceiver {
    channel: Channel,
    options: HttpOptions,
}

impl HttpReceiver {
    /// The service at `base` ([`crate::settings::base_url`]), reached through `network`.
    pub fn new(
        base: Url,
        key: SigningKey,
        network: &Network,
        options: HttpOptions,
    ) -> Result<Self, ReceiverError> {
        Ok(Self { channel: Channel::new(base, key, network, &options)?, options })
    }

    /// The way to it.
    pub fn channel(&self) -> &Channel {
        &self.channel
    }

    /// What it says of itself.
    pub async fn describe(&self) -> Result<Description, ReceiverError> {
        self.channel.ask(Purpose::Describe, &serde_json::json!({})).await
    }

    async fn manifests(
        &self,
        submission: &Submission,
        source: &dyn Manifests,
    ) -> Result<Result<ManifestSet, Vec<Violation>>, ReceiverError> {
        let (mut set, mut bytes) = (ManifestSet::new(), 0);
        for digest in submission.document.manifests() {
            let manifest = manifests::read(source, &digest, self.options.limits.max_manifest_bytes).await?;
            bytes += manifest.len();
            if bytes > self.options.max_submission_bytes {
                let most = self.options.max_submission_bytes;
                let message = format!("the manifests have more than max_submission_bytes = {most}");
                let large = Violation::new("submission_too_large", "graph", message);
                return Ok(Err(vec![large.hint("split the application")]));
            }
            set.insert_bytes(manifest);
        }
        Ok(Ok(set))
    }

    fn protocol(&self, why: impl Into<String>) -> ReceiverError {
        ReceiverError::Protocol { receiver: self.channel.name(), why: why.into() }
    }

    /// An answer whose texts can be kept and shown.
    fn bounded(&self, answer: Answer) -> Result<Answer, ReceiverError> {
        let cut = |text: String| -> String { text.chars().take(TEXT_CHARS_MAX).collect() };
        Ok(match answer {
            Answer::Accepted { run } => {
                let is_name = !run.is_empty()
                    && run.chars().count() <= RUN_CHARS_MAX
                    && !run.chars().any(char::is_control);
                if !is_name {
                    let why = format!("`run` must be 1 to {RUN_CHARS_MAX} printable characters");
                    return Err(self.protocol(why));
                }
                Answer::Accepted { run }
            }
            Answer::Rejected { violations } if violations.is_empty() => {
                return Err(self.protocol("it rejects and names no violation"));
            }
            Answer::Rejected { violations } => {
                let kept = violations.into_iter().take(VIOLATIONS_MAX);
                let violations = kept.map(|violation| Violation {
                    code: cut(violation.code),
                    path: cut(violation.path),
                    at: None,
                    message: cut(violation.message),
                    hint: violation.hint.map(cut),
                });
                Answer::Rejected { violations: violations.collect() }
            }
            Answer::Unsupported { capability, reason } => {
                Answer::Unsupported { capability: cut(capability), reason: cut(reason) }
            }
            other => other,
        })
    }
}

#[async_trait]
impl Receiver for HttpReceiver {
    fn kind(&self) -> ReceiverKind {
        ReceiverKind::Http
    }

    async fn capabilities(&self) -> Result<BTreeSet<Capability>, ReceiverError> {
        Ok(self.describe().await?.capabilities)
    }

    async fn submit(
        &self,
        submission: &Submission,
        manifests: &dyn Manifests,
    ) -> Result<Answer, ReceiverError> {
        let manifests = match self.manifests(submission, manifests).await? {
            Ok(manifests) => manifests,
            Err(violations) => return Ok(Answer::Rejected { violations }),
        };
        let request = SubmitRequest::new(submission.clone(), &manifests)
            .map_err(|digest| ReceiverError::Manifest { digest, why: "it is no UTF-8 text".to_owned() })?;
        let answer = self.channel.ask(Purpose::Submit, &request).await?;
        self.bounded(answer)
    }

    async fn observe(&self, key: &Key, since: u64) -> Result<Vec<Event>, ReceiverError> {
        let request = ObserveRequest { key: key.clone(), since, limit: EVENTS_MAX };
        let report: Report = self.channel.ask(Purpose::Observe, &request).await?;
        if report.events.len() > EVENTS_MAX {
            return Err(self.protocol(format!("more than {EVENTS_MAX} events at once")));
        }
        if report.events.iter().any(|event| event.key != *key || event.sequence <= since) {
            return Err(self.protocol(format!("events that were not asked for: wanted {key} after {since}")));
        }
        if !report.events.is_sorted_by_key(|event| event.sequence) {
            return Err(self.protocol("events out of order"));
        }
        Ok(report.events.into_iter().map(Event::bounded).collect())
    }

    async fn command(&self, order: &Order) -> Result<Answer, ReceiverError> {
        let answer = self.channel.ask(Purpose::Command, order).await?;
        self.bounded(answer)
    }
}
