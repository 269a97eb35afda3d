//! The audit record: who did what, and whether it is whole.

use std::str::FromStr;

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use chrono::{DateTime, Utc};
use serde::Deserialize;
use slipway_types::Digest;

use super::form::Form;
use super::{Around, Part, Parts, sent};
use crate::extract::Query;
use crate::pages::address;
use crate::pages::forms::{Fields, Posted};
use crate::pages::frame::{Frame, show};
use crate::pages::parts::{Moment, Status, Tone};
use crate::pages::texts::Texts;
use crate::pages::texts::infrastructure::InfrastructureTexts;
use crate::pages::visitor::Member;
use crate::problem::ApiError;
use crate::rest::audit::{self, AuditQuery, AuditView};
use crate::rest::audit_verification::{self, AuditVerdict, VerifyQuery};
use crate::state::ServerState;

/// Entries on one page.
const ROWS_MAX: u32 = 50;

/// Which entries.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct EntriesQuery {
    /// Of this subject; empty: of all.
    #[serde(default)]
    subject: String,
    /// Older than this entry.
    before: Option<i64>,
}

/// The audit record.
#[derive(Template)]
#[template(path = "infrastructure/audit.html")]
struct AuditPage {
    t: &'static Texts,
    own: &'static InfrastructureTexts,
    frame: Frame,
    parts: Parts,
    subject: String,
    verify: Form,
    /// Whether the form goes on with what was begun.
    goes_on: bool,
    verdict: Option<Verdict>,
    rows: Vec<Row>,
    next: Option<String>,
}

/// What somebody did.
struct Row {
    seq: i64,
    at: Moment,
    actor: String,
    action: String,
    subject: String,
    /// What else was done to the same.
    only: String,
    detail: String,
}

/// Whether the record is whole.
struct Verdict {
    status: Status,
    entries: u64,
    broken_at: Option<i64>,
    /// Of the whole record, once it was looked through.
    newest: Option<String>,
    /// How far it was looked through, if not to its first entry.
    back_to: Option<i64>,
}

/// What the pieces of a long record were found to be, taken together: the form that goes on carries it.
struct Found {
    entries: u64,
    broken_at: Option<i64>,
    newest: Option<String>,
    /// The entry that the next piece begins with, and its digest.
    next: Option<(i64, String)>,
}

fn page_of(subject: &str, before: Option<i64>) -> String {
    let before = before.map(|before| before.to_string()).unwrap_or_default();
    address::with_query(Part::Audit.address(), [("subject", subject), ("before", before.as_str())])
}

/// The entries that the form asks for, newest first.
pub(super) async fn page(
    State(state): State<ServerState>,
    member: Member,
    Query(query): Query<EntriesQuery>,
) -> Result<Response, ApiError> {
    shown(&state, &member, query, None).await
}

async fn shown(
    state: &ServerState,
    member: &Member,
    query: EntriesQuery,
    found: Option<Found>,
) -> Result<Response, ApiError> {
    let subject = query.subject.trim().to_owned();
    let wanted = AuditQuery {
        subject: Some(subject.clone()).filter(|subject| !subject.is_empty()),
        before: query.before,
        limit: Some(ROWS_MAX),
        after: None,
    };
    let caller = member.session.caller.clone();
    let entries = audit::list(State(state.clone()), caller, Query(wanted)).await?.0.items;
    let title = InfrastructureTexts::of(member.visitor.language).audit;
    let Around { t, own, frame, parts } =
        Around::new(member, Part::Audit, title).at(page_of(&subject, query.before));
    let last = entries.last().filter(|_| entries.len() >= ROWS_MAX as usize);
    let next = last.map(|last| page_of(&subject, Some(last.seq)));
    let now = Utc::now();
    let token = &member.session.form_token;
    show(&AuditPage {
        t,
        own,
        frame,
        parts,
        subject,
        verify: form(token, own, found.as_ref()),
        goes_on: found.as_ref().is_some_and(|found| found.next.is_some()),
        verdict: found.map(|found| told(own, found)),
        rows: entries.into_iter().map(|entry| row(t, entry, now)).collect(),
        next,
    })
}

/// The form that begins to look through the record, or goes on with what was begun.
fn form(token: &str, own: &InfrastructureTexts, found: Option<&Found>) -> Form {
    let verify = "/infrastructure/audit/verify";
    let begun = found.and_then(|found| Some((found, found.next.as_ref()?)));
    let Some((found, (from, digest))) = begun else {
        return Form::new(token, "verify", verify, own.verify_audit);
    };
    let form = Form::new(token, "verify", verify, own.verify_on)
        .hidden("from", from.to_string())
        .hidden("digest", digest)
        .hidden("entries", found.entries.to_string());
    let form = found.newest.iter().fold(form, |form, newest| form.hidden("newest", newest));
    found.broken_at.iter().fold(form, |form, at| form.hidden("broken_at", at.to_string()))
}

fn told(own: &InfrastructureTexts, found: Found) -> Verdict {
    let Found { entries, broken_at, newest, next } = found;
    let status = match (broken_at, &next) {
        (Some(_), _) => Status::told(Tone::Bad, own.audit_broken),
        (None, Some(_)) => Status::told(Tone::Busy, own.audit_so_far),
        (None, None) => Status::told(Tone::Good, own.audit_whole),
    };
    let back_to = next.map(|(seq, _)| seq);
    Verdict { status, entries, broken_at, newest: newest.filter(|_| back_to.is_none()), back_to }
}

/// What a form that goes on carries; nothing of one that begins.
fn carried(fields: &Fields) -> Result<(VerifyQuery, Found), ApiError> {
    fn read<T: FromStr>(fields: &Fields, name: &str) -> Result<Option<T>, ApiError> {
        let wrong = || ApiError::bad_request("bad_body", format!("{name}: it is not what the page has"));
        fields.text(name).map(|text| text.parse().map_err(|_| wrong())).transpose()
    }
    let query = VerifyQuery {
        from: read(fields, "from")?,
        digest: read(fields, "digest")?,
        ..VerifyQuery::default()
    };
    let newest: Option<Digest> = read(fields, "newest")?;
    let found = Found {
        entries: read(fields, "entries")?.unwrap_or_default(),
        broken_at: read(fields, "broken_at")?,
        newest: newest.map(|digest| digest.to_string()),
        next: None,
    };
    Ok((query, found))
}

impl Found {
    /// With one piece more, of older entries.
    fn and(self, piece: AuditVerdict) -> Self {
        Self {
            entries: self.entries.saturating_add(piece.entries),
            broken_at: piece.broken_at.or(self.broken_at),
            newest: self.newest.or(piece.newest),
            next: piece.next.zip(piece.next_digest),
        }
    }
}

fn row(t: &Texts, entry: AuditView, now: DateTime<Utc>) -> Row {
    Row {
        seq: entry.seq,
        at: Moment::new(t, entry.at, now),
        actor: entry.actor,
        action: entry.action,
        only: page_of(&entry.subject, None),
        subject: entry.subject,
        detail: entry.detail.to_string(),
    }
}

/// Looks through the record as the API does, a piece at a time.
pub(super) async fn verify(State(state): State<ServerState>, posted: Posted) -> Result<Response, ApiError> {
    let (member, fields) = sent(posted);
    let caller = member.session.caller.clone();
    let (asked, found) = carried(&fields)?;
    let piece = audit_verification::verify(State(state.clone()), caller, Query(asked)).await?.0;
    shown(&state, &member, EntriesQuery::default(), Some(found.and(piece))).await
}
