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
/// How long a robot that is busy, or was asked too often, is left alone.
const ROBOT_PAUSE: Duration = Duration::from_mins(1);
/// How long DingTalk shuts out a robot that has sent more than 20 messages in a minute.
const DINGTALK_PAUSE: Duration = Duration::from_mins(10);

/// What a robot says by the number in its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Word {
    /// It is well.
    Taken,
    /// Later, and how much later.
    Busy(Duration),
    /// Never: repeating it changes nothing.
    Refused,
}

impl Word {
    /// The number and what it means; `None` if no robot of that kind answers so.
    fn of(kind: ChannelKind, body: &Value) -> Option<(i64, Self)> {
        match kind {
            ChannelKind::Webhook | ChannelKind::Mail | ChannelKind::Slack => None,
            ChannelKind::Dingtalk => Self::of_dingtalk(body),
            ChannelKind::Feishu => Self::of_feishu(body),
            ChannelKind::Wecom => Self::of_wecom(body),
        }
    }

    /// `errcode`: 0 is well, -1 is busy, 130101 and 410100 are more than 20 messages in a minute, after which
    /// the robot is shut out for ten (<https://open.dingtalk.com/document/robots/custom-robot-access>, and the
    /// list of codes below it). What stands before the robots says the same without an `errcode`:
    /// `{"status": 1111, "wait": 5, "punish": "deny"}`.
    fn of_dingtalk(body: &Value) -> Option<(i64, Self)> {
        let Some(code) = body["errcode"].as_i64() else {
            let status = body["status"].as_i64().filter(|_| body["punish"] == "deny")?;
            return Some((status, Self::Busy(DINGTALK_PAUSE)));
        };
        let word = match code {
            0 => Self::Taken,
            -1 => Self::Busy(ROBOT_PAUSE),
            130_101 | 410_100 => Self::Busy(DINGTALK_PAUSE),
            _ => Self::Refused,
        };
        Some((code, word))
    }

    /// `code`, in old answers `StatusCode` alone: 0 is well, 11232 is more than 100 messages in a minute or 5
    /// in a second, or a platform under pressure
    /// (<https://open.feishu.cn/document/client-docs/bot-v3/add-custom-bot>). 9499 is two things, both with
    /// the status 400: a request that cannot be read or has more than 20 KB, and one too many; the words tell
    /// them apart.
    fn of_feishu(body: &Value) -> Option<(i64, Self)> {
        let code = ["code", "StatusCode"].iter().find_map(|field| body[*field].as_i64())?;
        let said = body["msg"].as_str().unwrap_or_default();
        let is_too_often = ["too many request", "frequency limited"].iter().any(|word| said.contains(word));
        let word = match code {
            0 => Self::Taken,
            11_232 => Self::Busy(ROBOT_PAUSE),
            9_499 if is_too_often => Self::Busy(ROBOT_PAUSE),
            _ => Self::Refused,
        };
        Some((code, word))
    }

    /// `errcode`: 0 is well, -1 is busy, 45009 is asked too often (a robot: more than 20 messages in a minute),
    /// 45033 is too many requests at once (<https://developer.work.weixin.qq.com/document/path/90455>, the
    /// limit in <https://developer.work.weixin.qq.com/document/path/91770>).
    fn of_wecom(body: &Value) -> Option<(i64, Self)> {
        let code = body["errcode"].as_i64()?;
        let word = match code {
            0 => Self::Taken,
            -1 | 45_009 | 45_033 => Self::Busy(ROBOT_PAUSE),
            _ => Self::Refused,
        };
        Some((code, word))
    }
}

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
    /// What a channel of that kind says by it, for people. Robots answer 200 nearly whatever comes of it, with
    /// a number of their own in the body, which tells more than a status where there is one.
    pub(crate) fn judge(&self, kind: ChannelKind) -> Result<String, Refusal> {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let body: Value = serde_json::from_str(&self.body).unwrap_or_default();
        let word = Word::of(kind, &body);
        if let Some((code, Word::Busy(pause))) = word {
            let fault = Fault::transient("channel_unavailable", self.told(&code.to_string()));
            return Err(Refusal { fault, after: Some(pause) });
        }
        if !status.is_success() {
            return Err(self.refused(status));
        }
        match (kind, word) {
            (ChannelKind::Webhook | ChannelKind::Slack | ChannelKind::Mail, _) => {
                Ok(self.told(&status.to_string()))
            }
            (_, Some((code, Word::Taken))) => Ok(self.told(&code.to_string())),
            (_, Some((code, _))) => {
                let fault = Fault::permanent("channel_refused", self.told(&code.to_string()));
                let hint = "check the channel's address, its secret, and the robot's safety settings";
                Err(fault.hint(hint).into())
            }
            (_, None) => {
                let message = self.told("something else than a robot does");
                let fault = Fault::permanent("channel_unknown", message);
                Err(fault.hint("check the channel's address").into())
            }
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
