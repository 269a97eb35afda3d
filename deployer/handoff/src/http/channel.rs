//! One signed request: within its time and size, to the address that was set and nowhere else.

use std::time::Duration;

use chrono::{DateTime, Utc};
use reqwest::StatusCode;
use reqwest::header::{CONTENT_TYPE, RETRY_AFTER};
use serde::Serialize;
use serde::de::DeserializeOwned;
use slipway_network::Network;
use url::Url;

use super::HttpOptions;
use super::signature::{Claim, Purpose, SigningKey};
use crate::receiver::ReceiverError;

/// The part of a refusal that is shown, in characters.
const REASON_CHARS_MAX: usize = 300;
/// The longest time that a service may ask for before the next try, in milliseconds.
const RETRY_AFTER_MS_MAX: u64 = 3_600_000;

/// The way to a service.
#[derive(Clone)]
pub struct Channel {
    client: reqwest::Client,
    base: Url,
    key: SigningKey,
    max_request_bytes: usize,
    max_answer_bytes: usize,
}

/// What a service answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// HTTP status.
    pub status: u16,
    /// When it wants to be asked again, in milliseconds from now.
    pub retry_after_ms: Option<u64>,
    /// The body.
    pub body: Vec<u8>,
}

impl Channel {
    /// The way to the service at `base` through `network`. Redirects are not followed.
    pub fn new(
        base: Url,
        key: SigningKey,
        network: &Network,
        options: &HttpOptions,
    ) -> Result<Self, ReceiverError> {
        let builder = reqwest::Client::builder()
            .user_agent(concat!("slipway/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(Duration::from_millis(options.connect_timeout_ms))
            .timeout(Duration::from_millis(options.request_timeout_ms))
            .redirect(reqwest::redirect::Policy::none());
        let client = network.configure(builder).build().map_err(|error| ReceiverError::Refused {
            receiver: base.to_string(),
            why: format!("no HTTP client can be made: {error}"),
        })?;
        Ok(Self {
            client,
            base,
            key,
            // The envelope around the manifests is small beside them.
            max_request_bytes: options.max_submission_bytes.saturating_mul(2),
            max_answer_bytes: options.max_answer_bytes,
        })
    }

    /// Whom it leads to, for people.
    pub fn name(&self) -> String {
        format!("the receiver at {}", self.base)
    }

    /// The key that signs.
    pub fn key(&self) -> &SigningKey {
        &self.key
    }

    /// Asks, and reads the answer of the protocol.
    pub async fn ask<T: DeserializeOwned>(
        &self,
        purpose: Purpose,
        request: &impl Serialize,
    ) -> Result<T, ReceiverError> {
        let body = serde_json::to_vec(request).map_err(|error| self.protocol(error.to_string()))?;
        if body.len() > self.max_request_bytes {
            return Err(self.refused(format!("the request has {} bytes, too many", body.len())));
        }
        let claim = self.key.sign(purpose, &body, now());
        let reply = self.send(purpose, body, &claim).await?;
        self.read(&reply)
    }

    /// Sends a body with whatever claim.
    pub async fn send(&self, purpose: Purpose, body: Vec<u8>, claim: &Claim) -> Result<Reply, ReceiverError> {
        let path = format!("v1/{}", purpose.as_str());
        let url = self.base.join(&path).map_err(|error| self.refused(error.to_string()))?;
        let mut request = self.client.post(url).header(CONTENT_TYPE, "application/json").body(body);
        for (name, value) in claim.headers() {
            request = request.header(name, value);
        }
        let mut response = request.send().await.map_err(|error| self.unreachable(&error))?;
        let status = response.status();
        let after = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
        let retry_after_ms = after
            .and_then(|text| text.parse::<u64>().ok())
            .map(|seconds| seconds.saturating_mul(1_000).min(RETRY_AFTER_MS_MAX));
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| self.unreachable(&error))? {
            body.extend_from_slice(&chunk);
            if body.len() > self.max_answer_bytes {
                let most = self.max_answer_bytes;
                return Err(self.protocol(format!("its answer has more than max_answer_bytes = {most}")));
            }
        }
        Ok(Reply { status: status.as_u16(), retry_after_ms, body })
    }

    fn read<T: DeserializeOwned>(&self, reply: &Reply) -> Result<T, ReceiverError> {
        let status = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        if status == StatusCode::OK {
            return serde_json::from_slice(&reply.body)
                .map_err(|error| self.protocol(format!("its answer cannot be read: {error}")));
        }
        let said: String = String::from_utf8_lossy(&reply.body)
            .chars()
            .map(|c| if c.is_control() { ' ' } else { c })
            .take(REASON_CHARS_MAX)
            .collect();
        let why = format!("it answered {status}: {}", said.trim());
        let later = [StatusCode::REQUEST_TIMEOUT, StatusCode::TOO_EARLY, StatusCode::TOO_MANY_REQUESTS];
        Err(if later.contains(&status) || status.is_server_error() {
            let (receiver, retry_after_ms) = (self.name(), reply.retry_after_ms);
            ReceiverError::Unavailable { receiver, why, retry_after_ms }
        } else if status.is_redirection() {
            self.refused(format!("{why} (redirects are not followed: set the address it leads to)"))
        } else if matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
            self.refused(format!("{why} (check key_id, key and both clocks)"))
        } else if matches!(status, StatusCode::NOT_FOUND | StatusCode::PAYLOAD_TOO_LARGE) {
            self.refused(why)
        } else {
            self.protocol(why)
        })
    }

    fn refused(&self, why: String) -> ReceiverError {
        ReceiverError::Refused { receiver: self.name(), why }
    }

    fn protocol(&self, why: String) -> ReceiverError {
        ReceiverError::Protocol { receiver: self.name(), why }
    }

    fn unreachable(&self, error: &reqwest::Error) -> ReceiverError {
        let what = if error.is_timeout() { "it does not answer in time" } else { "it cannot be reached" };
        ReceiverError::Unavailable { receiver: self.name(), why: what.to_owned(), retry_after_ms: None }
    }
}

fn now() -> DateTime<Utc> {
    Utc::now()
}
