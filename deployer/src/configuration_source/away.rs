//! Waiting for a source that does not answer.

use std::time::Duration;

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use slipway_records::SourceAway;
use slipway_types::Violation;
use slipway_types::name::SourceName;

/// The shortest time until what is away is asked again.
pub(super) const PAUSE_MIN: Duration = Duration::from_secs(20);
/// The longest.
pub(super) const PAUSE_MAX: Duration = Duration::from_secs(10 * 60);
/// After so long it is a fault, in minutes; until then it may be a restart.
const FAULT_AFTER_MINUTES: i64 = 15;
/// The longest reason that is kept, in characters.
const WHY_CHARS_MAX: usize = 500;

/// What is known of a source that does not answer, and was away as `before` says.
pub(super) fn noted(before: Option<SourceAway>, why: &str, now: DateTime<Utc>) -> SourceAway {
    let since = before.map_or(now, |before| before.since);
    let mut away = SourceAway { since, why: why.chars().take(WHY_CHARS_MAX).collect(), next_at: now };
    away.next_at = now + pause(&away, now);
    away
}

/// How long until it is asked again: as long as it has been away, so that each pause doubles that.
pub(super) fn pause(away: &SourceAway, now: DateTime<Utc>) -> Duration {
    (now - away.since).to_std().unwrap_or_default().clamp(PAUSE_MIN, PAUSE_MAX)
}

/// What stands against what is followed there, once it has been away for too long. The same words each time:
/// it is told once.
pub(super) fn overdue(source: &SourceName, away: &SourceAway, now: DateTime<Utc>) -> Option<Violation> {
    if now - away.since < TimeDelta::minutes(FAULT_AFTER_MINUTES) {
        return None;
    }
    let since = away.since.to_rfc3339_opts(SecondsFormat::Secs, true);
    let message = format!("the source {source} does not answer since {since}");
    Some(Violation::new("source_away", "source", message).hint(
        "it is asked again until it answers; `slipway env config APP --level LEVEL` tells why and when: see that \
         the server reaches it, or follow another",
    ))
}
