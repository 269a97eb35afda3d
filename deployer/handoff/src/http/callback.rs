//! Reports that a receiver sends by itself.

use chrono::{DateTime, Utc};
use slipway_types::json_words;

use super::signature::{Claim, Keys, Purpose, Unproven};
use super::wire::Report;
use crate::event::Event;
use crate::receiver::EVENTS_MAX;

/// The largest report, in bytes.
pub const REPORT_BYTES_MAX: usize = 4 << 20;

/// Why a report is not taken. The HTTP status is in [`Refused::status`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Nobody knows whose it is.
    #[error(transparent)]
    Unproven(#[from] Unproven),
    /// It is too large.
    #[error("the report is too large: expected at most {REPORT_BYTES_MAX} bytes and {EVENTS_MAX} events")]
    Large,
    /// It is no report.
    #[error("the report cannot be read: {0}")]
    Form(String),
}

impl Refused {
    /// The HTTP status to answer with.
    pub fn status(&self) -> u16 {
        match self {
            Self::Unproven(_) => 401,
            Self::Large => 413,
            Self::Form(_) => 400,
        }
    }
}

/// The events of a report and the name of the key that signed it. Whether that key may speak about
/// the events' keys is for the caller to check; so is dropping those of older generations.
pub fn reported<'a>(
    keys: &'a Keys,
    claim: &Claim,
    body: &[u8],
    now: DateTime<Utc>,
    window_ms: u64,
) -> Result<(&'a str, Vec<Event>), Refused> {
    if body.len() > REPORT_BYTES_MAX {
        return Err(Refused::Large);
    }
    let key = keys.verify(Purpose::Report, claim, body, now, window_ms)?;
    let report: Report = serde_json::from_slice(body).map_err(|error| {
        let message = error.to_string();
        Refused::Form(if error.is_data() { json_words::data(&message) } else { json_words::syntax(&message) })
    })?;
    if report.events.len() > EVENTS_MAX {
        return Err(Refused::Large);
    }
    Ok((key.id(), report.events.into_iter().map(Event::bounded).collect()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::event::REASON_CHARS_MAX;
    use crate::http::SigningKey;

    #[test]
    fn a_report_is_taken_once_it_is_proven_and_small() {
        let key = SigningKey::new("k1", &"0123456789abcdef0123456789abcdef".to_owned().into()).unwrap();
        let (keys, now) = (Keys::new([key.clone()]), Utc::now());
        let event = json!({"sequence": 1, "key": {"environment": "eu/kind/shop/default", "application": "shop"},
            "generation": 3, "state": "ready", "reason": "é".repeat(3_000), "observed_at": now});
        let take = |purpose, body: &[u8]| {
            let claim = key.sign(purpose, body, now);
            reported(&keys, &claim, body, now, 1_000).map(|(id, events)| (id.to_owned(), events))
        };
        let body = json!({"events": [event]}).to_string();
        let (id, events) = take(Purpose::Report, body.as_bytes()).unwrap();
        assert_eq!((id.as_str(), events.len()), ("k1", 1));
        assert_eq!(events[0].reason.chars().count(), REASON_CHARS_MAX);

        assert_eq!(take(Purpose::Submit, body.as_bytes()).unwrap_err().status(), 401);
        assert_eq!(take(Purpose::Report, b"{}").unwrap_err().status(), 400);
        let many = json!({"events": vec![event; EVENTS_MAX + 1]}).to_string();
        assert_eq!(take(Purpose::Report, many.as_bytes()).unwrap_err().status(), 413);
        let large = vec![b' '; REPORT_BYTES_MAX + 1];
        assert_eq!(take(Purpose::Report, &large).unwrap_err().status(), 413);
    }
}
