//! What the answer of a channel means.

use std::time::Duration;

use reqwest::StatusCode;
use serde_json::Value;
use slipway_types::Fault;

use crate::settings::ChannelKind;

/// The part of an answer that is shown, in characters.
const SHOWN_CHARS_MAX: usize = 200;
/// The longest time that a channel may ask for before the next try.
const RETRY_AFTER_MAX: Duration = Duration::from_mins(10);
/// How long a robot that has been asked too often is left alone.
const ROBOT_PAUSE: Duration = Duration::from_mins(1);

/// Words of DingTalk's robots for being busy (-1) or asked too often.
const DINGTALK_BUSY: [i64; 3] = [-1, 130_101, 410_100];
/// Words of WeCom's for the same.
const WECOM_BUSY: [i64; 3] = [-1, 45_009, 45_033];
/// Words of Feishu's for the same.
const FEISHU_BUSY: [i64; 3] = [9_499, 11_232, 11_233];

/// Why a channel was not told, and how soon it may be tried again.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) fault: Fault,
    pub(crate) after: Option<Duration>,
}

impl From<Fault> for Refusal {
    fn from(fault: Fault) -> Self {
        Self { fault, after: None }
    }
}

/// What a channel answered by HTTP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) host: String,
    pub(crate) status: u16,
    pub(crate) retry_after_s: Option<u64>,
    pub(crate) body: String,
}

impl Answer {
    /// What a channel of that kind says by it, for people.
    pub(crate) fn judge(&self, kind: ChannelKind) -> Result<String, Refusal> {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        if !status.is_success() {
            return Err(self.refused(status));
        }
        match kind {
            ChannelKind::Webhook | ChannelKind::Slack | ChannelKind::Mail => {
                Ok(self.told(&status.to_string()))
            }
            ChannelKind::Dingtalk => self.robot(&["errcode"], &DINGTALK_BUSY),
            ChannelKind::Wecom => self.robot(&["errcode"], &WECOM_BUSY),
            ChannelKind::Feishu => self.robot(&["code", "StatusCode"], &FEISHU_BUSY),
        }
    }

    fn refused(&self, status: StatusCode) -> Refusal {
        let message = self.told(&status.to_string());
        let later = [StatusCode::REQUEST_TIMEOUT, StatusCode::TOO_EARLY, StatusCode::TOO_MANY_REQUESTS];
        if later.contains(&status) || status.is_server_error() {
            let after = self.retry_after_s.map(|seconds| Duration::from_secs(seconds).min(RETRY_AFTER_MAX));
            return Refusal { fault: Fault::transient("channel_unavailable", message), after };
        }
        let fault = Fault::permanent(format!("channel_refused_{}", self.status), message);
        if status.is_redirection() {
            return fault.hint("redirects are not followed: set the address that it leads to").into();
        }
        fault.hint("check the channel's address, and its key if it has one").into()
    }

    /// Robots answer 200 whatever comes of it, with a number of their own in the body: 0 is well.
    fn robot(&self, fields: &[&str], busy: &[i64]) -> Result<String, Refusal> {
        let body: Value = serde_json::from_str(&self.body).unwrap_or_default();
        let Some(code) = fields.iter().find_map(|field| body[*field].as_i64()) else {
            let message = self.told("something else than a robot does");
            return Err(Fault::permanent("channel_unknown", message)
                .hint("check the channel's address")
                .into());
        };
        if code == 0 {
            return Ok(self.told("0"));
        }
        let message = self.told(&code.to_string());
        if busy.contains(&code) {
            let fault = Fault::transient("channel_unavailable", message);
            return Err(Refusal { fault, after: Some(ROBOT_PAUSE) });
        }
        let fault = Fault::permanent("channel_refused", message);
        Err(fault.hint("check the channel's address, its secret, and the robot's safety settings").into())
    }

    fn told(&self, what: &str) -> String {
        let said: String = self
            .body
            .trim()
            .chars()
            .map(|c| if c.is_control() { ' ' } else { c })
            .take(SHOWN_CHARS_MAX)
            .collect();
        let said = if said.is_empty() { said } else { format!(": {said}") };
        format!("{} answered {what}{said}", self.host)
    }
}
