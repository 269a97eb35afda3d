//! The audit record: who did what, and whether it is whole.

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use chrono::{DateTime, Utc};
use serde::Deserialize;

use super::form::Form;
use super::{Around, Part, Parts, sent};
use crate::extract::Query;
use crate::pages::address;
use crate::pages::forms::Posted;
use crate::pages::frame::{Frame, show};
use crate::pages::parts::{Moment, Status, Tone};
use crate::pages::texts::Texts;
use crate::pages::texts::infrastructure::InfrastructureTexts;
use crate::pages::visitor::Member;
use crate::problem::ApiError;
use crate::rest::audit::{self, AuditQuery, AuditVerdict, AuditView, VerifyQuery};
use crate::state::ServerState;

/// Entries on one page.
const ROWS_MAX: u32 = 50;

/// Which entries.
#[derive(Debug, Default, Deserialize)]
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
    newest: Option<String>,
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
    verdict: Option<AuditVerdict>,
) -> Result<Response, ApiError> {
    let subject = query.subject.trim().to_owned();
    let wanted = AuditQuery {
        subject: Some(subject.clone()).filter(|subject| !subject.is_empty()),
        before: query.before,
        limit: Some(ROWS_MAX),
    };
    let caller = member.session.caller.clone();
    let entries = audit::list(State(state.clone()), caller, Query(wanted)).await?.0.items;
    let title = InfrastructureTexts::of(member.visitor.language).audit;
    let Around { t, own, frame, parts } =
        Around::new(member, Part::Audit, title).at(page_of(&subject, query.before));
    let last = entries.last().filter(|_| entries.len() >= ROWS_MAX as usize);
    let next = last.map(|last| page_of(&subject, Some(last.seq)));
    let now = Utc::now();
    let verify = "/infrastructure/audit/verify";
    show(&AuditPage {
        t,
        own,
        frame,
        parts,
        subject,
        verify: Form::new(&member.session.form_token, "verify", verify, own.verify_audit),
        verdict: verdict.map(|verdict| told(own, verdict)),
        rows: entries.into_iter().map(|entry| row(t, entry, now)).collect(),
        next,
    })
}

fn told(own: &InfrastructureTexts, verdict: AuditVerdict) -> Verdict {
    let status = match verdict.ok {
        true => Status::told(Tone::Good, own.audit_whole),
        false => Status::told(Tone::Bad, own.audit_broken),
    };
    let AuditVerdict { entries, broken_at, newest, .. } = verdict;
    Verdict { status, entries, broken_at, newest }
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

/// Looks through the whole record as the API does.
pub(super) async fn verify(State(state): State<ServerState>, posted: Posted) -> Result<Response, ApiError> {
    let (member, _) = sent(posted);
    let caller = member.session.caller.clone();
    let asked = Query(VerifyQuery { expect: None });
    let verdict = audit::verify(State(state.clone()), caller, asked).await?.0;
    shown(&state, &member, EntriesQuery::default(), Some(verdict)).await
}
