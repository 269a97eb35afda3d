//! Whether the audit record is as it was written. A long one is looked through in pieces, from the newest entry back:
//! each answer says where the next piece begins, and by which digest that entry is known.

use std::time::{Duration, Instant};

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use slipway_records::AuditEntry;
use slipway_types::{Digest, Role};
use utoipa::{IntoParams, ToSchema};

use super::list::LIMIT_MAX;
use crate::auth::Caller;
use crate::extract::Query;
use crate::problem::ApiError;
use crate::state::ServerState;

/// Whether a piece of the record is whole.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AuditVerdict {
    /// Whether every entry from the beginning of this piece to the first of all follows the one before it, and the
    /// expected one is among them. `false` while there is a `next`: what comes before it is not known yet.
    pub(crate) ok: bool,
    /// Entries of this piece.
    pub(crate) entries: u64,
    /// The first entry of this piece that does not follow the one before it.
    pub(crate) broken_at: Option<i64>,
    /// Digest of the newest entry of this piece. That of the newest of all, kept elsewhere and expected later, shows
    /// that none was cut off since.
    pub(crate) newest: Option<String>,
    /// Whether the digest that was expected is an entry's; unset if none was, and while only this piece lacks it.
    pub(crate) has_expected: Option<bool>,
    /// The entry that the next piece begins with, for `from`; unset once the first of all was reached.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) next: Option<i64>,
    /// Its digest, for `digest`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) next_digest: Option<String>,
}

/// Which piece, and what must be there.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct VerifyQuery {
    /// Digest of an entry, as an earlier answer told it.
    #[param(value_type = Option<String>)]
    pub(crate) expect: Option<Digest>,
    /// The entry to begin with, `next` of the answer before; the newest if absent. It goes with `digest`.
    pub(crate) from: Option<i64>,
    /// `next_digest` of the answer before: if that entry has another one now, it was altered in between.
    #[param(value_type = Option<String>)]
    pub(crate) digest: Option<Digest>,
    /// Entries in this piece, 1 to `max_audit_entries` of the server's limits, which is what holds if absent. It is
    /// shorter if that would take too long.
    pub(crate) max: Option<u32>,
}

/// Goes from newer entries to older ones: each needs the digest of the one before it.
#[derive(Debug, Default)]
struct Walk {
    expect: Option<Digest>,
    entries: u64,
    broken_at: Option<i64>,
    has_expected: bool,
    /// The entry that it began with.
    first: Option<(i64, Digest)>,
    /// The entry that is not yet held against the one before it.
    pending: Option<AuditEntry>,
}

impl Walk {
    /// Goes on to the entry before.
    fn take(&mut self, entry: AuditEntry) {
        let digest = entry.digest;
        self.first.get_or_insert((entry.seq, digest));
        if let Some(newer) = self.pending.replace(entry) {
            self.hold(&newer, Some(&digest));
        }
    }

    /// There is none before the last one taken.
    fn end(&mut self) {
        if let Some(first) = self.pending.take() {
            self.hold(&first, None);
        }
    }

    fn hold(&mut self, entry: &AuditEntry, previous: Option<&Digest>) {
        self.entries += 1;
        self.has_expected |= self.expect == Some(entry.digest);
        if !entry.follows(previous) {
            self.broken_at = Some(entry.seq);
        }
    }

    /// What is said of it, if it was to begin with `wanted`.
    fn verdict(self, wanted: Option<(i64, Digest)>) -> AuditVerdict {
        let is_other = wanted.is_some() && wanted != self.first;
        let broken_at = self.broken_at.or(wanted.filter(|_| is_other).map(|(seq, _)| seq));
        let is_last = self.pending.is_none();
        let has_expected = match self.expect {
            Some(_) if self.has_expected => Some(true),
            Some(_) if is_last => Some(false),
            _ => None,
        };
        AuditVerdict {
            ok: is_last && broken_at.is_none() && has_expected != Some(false),
            entries: self.entries,
            broken_at,
            newest: self.first.map(|(_, digest)| digest.to_string()),
            has_expected,
            next: self.pending.as_ref().map(|entry| entry.seq),
            next_digest: self.pending.map(|entry| entry.digest.to_string()),
        }
    }
}

impl VerifyQuery {
    /// The entry to begin with.
    fn begin(&self) -> Result<Option<(i64, Digest)>, ApiError> {
        match (self.from, self.digest) {
            (None, None) => Ok(None),
            (Some(from), Some(digest)) => Ok(Some((from, digest))),
            _ => {
                let detail =
                    "from and digest belong together: give `next` and `next_digest` of the answer before";
                Err(ApiError::bad_request("bad_query", detail))
            }
        }
    }

    /// How many entries, of so many at most.
    fn entries(&self, limit: u32) -> Result<u32, ApiError> {
        let max = self.max.unwrap_or(limit);
        if (1..=limit).contains(&max) {
            return Ok(max);
        }
        Err(ApiError::bad_request("bad_query", format!("max: {max} is not between 1 and {limit}")))
    }
}

/// Whether every entry follows the one before it, unaltered: all of them, or of a long record a piece, with `next` and
/// `next_digest` to go on by.
#[utoipa::path(get, path = "/api/v1/audit/verify", tag = "audit", params(VerifyQuery),
    responses((status = 200, body = AuditVerdict)))]
pub(crate) async fn verify(
    State(state): State<ServerState>,
    caller: Caller,
    Query(query): Query<VerifyQuery>,
) -> Result<Json<AuditVerdict>, ApiError> {
    caller.on_server(Role::Operator)?;
    let wanted = query.begin()?;
    // One more, which the last of the piece is held against.
    let mut left = query.entries(state.options.max_audit_entries)?.saturating_add(1);
    let until = Instant::now() + Duration::from_millis(state.options.request_timeout_ms / 2);
    let mut before = wanted.map(|(from, _)| from.saturating_add(1));
    let mut walk = Walk { expect: query.expect, ..Walk::default() };
    // The first look has two entries at least, so that each piece gets on.
    while left > 0 && (walk.entries == 0 || Instant::now() < until) {
        let limit = left.min(LIMIT_MAX);
        // A connection for each look: others need it while digests are made.
        let page = state.records.read().await?.audit_list(None, before, limit).await?;
        let taken = u32::try_from(page.len()).unwrap_or(limit);
        for entry in page {
            before = Some(entry.seq);
            walk.take(entry);
        }
        if taken < limit {
            walk.end();
            break;
        }
        left = left.saturating_sub(taken);
    }
    Ok(Json(walk.verdict(wanted)))
}

#[cfg(test)]
mod tests {
    use chrono::Utc;
    use serde_json::json;
    use slipway_records::NewAuditEntry;

    use super::*;

    /// A record of so many entries, the newest first.
    fn record(length: i64) -> Vec<AuditEntry> {
        let mut entries: Vec<AuditEntry> = Vec::new();
        for seq in 1..=length {
            let new = NewAuditEntry {
                actor: "ann".into(),
                action: "test",
                subject: "thing/1".into(),
                detail: json!({"n": seq}),
            };
            let at = Utc::now();
            let digest = AuditEntry::chain(entries.last().map(|last| &last.digest), &new, at);
            let NewAuditEntry { actor, action, subject, detail } = new;
            entries.push(AuditEntry { seq, at, actor, action: action.into(), subject, detail, digest });
        }
        entries.reverse();
        entries
    }

    /// Goes over the whole record in pieces of so many entries; gives what each said.
    fn pieces(record: &[AuditEntry], expect: Option<Digest>, size: usize) -> Vec<AuditVerdict> {
        let (mut told, mut begin, mut wanted) = (Vec::new(), 0, None);
        loop {
            let mut walk = Walk { expect, ..Walk::default() };
            let rest = &record[begin..];
            for entry in rest.iter().take(size + 1) {
                walk.take(entry.clone());
            }
            if rest.len() <= size {
                walk.end();
            }
            let next = walk.pending.as_ref().map(|entry| (entry.seq, entry.digest));
            told.push(walk.verdict(wanted));
            if next.is_none() {
                return told;
            }
            (begin, wanted) = (begin + size, next);
        }
    }

    #[test]
    fn pieces_say_together_what_one_says_of_the_whole() {
        let sound = record(7);
        let mut altered = sound.clone();
        altered[4].actor = "bob".into();
        let mut cut_out = sound.clone();
        cut_out.remove(3);
        let mut cut_off = sound.clone();
        cut_off.truncate(6);
        for (name, record, broken) in [
            ("sound", &sound, None),
            ("altered", &altered, Some(3)),
            ("cut out", &cut_out, Some(5)),
            ("without its first", &cut_off, Some(2)),
        ] {
            for size in 1..=8 {
                let told = pieces(record, None, size);
                let entries: u64 = told.iter().map(|one| one.entries).sum();
                assert_eq!(entries, record.len() as u64, "{name} by {size}");
                let found: Vec<i64> = told.iter().filter_map(|one| one.broken_at).collect();
                assert_eq!(found, broken.into_iter().collect::<Vec<_>>(), "{name} by {size}");
                let (last, earlier) = told.split_last().unwrap();
                assert!(earlier.iter().all(|one| !one.ok && one.next.is_some()), "{name} by {size}");
                assert_eq!((last.ok, last.next), (last.broken_at.is_none(), None), "{name} by {size}");
            }
        }
    }

    #[test]
    fn what_is_expected_is_missed_at_the_end_alone() {
        let record = record(7);
        let told = |expect| pieces(&record, Some(expect), 3).into_iter().map(|one| one.has_expected);
        let of_the_second_piece: Vec<_> = told(record[4].digest).collect();
        assert_eq!(of_the_second_piece, [None, Some(true), Some(false)], "whoever found it asks no more");
        assert!(told(Digest::of("other")).eq([None, None, Some(false)]));
    }

    #[test]
    fn an_entry_that_was_altered_between_two_pieces_is_broken() {
        let record = record(3);
        let wanted = Some((record[0].seq, Digest::of("other")));
        let walk = |entries: &[AuditEntry]| {
            let mut walk = Walk::default();
            for entry in entries {
                walk.take(entry.clone());
            }
            walk.end();
            walk.verdict(wanted)
        };
        assert_eq!((walk(&record).ok, walk(&record).broken_at), (false, Some(3)));
        assert_eq!(walk(&[]).broken_at, Some(3), "it is gone");
    }
}
