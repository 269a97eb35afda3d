//! The audit record.

use axum::Json;
use axum::extract::State;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use slipway_records::AuditEntry;
use slipway_types::{Digest, Role};
use utoipa::{IntoParams, ToSchema};

use super::list::{LIMIT_MAX, List};
use crate::auth::Caller;
use crate::extract::Query;
use crate::problem::ApiError;
use crate::state::ServerState;

/// Something that somebody did.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AuditView {
    pub(crate) seq: i64,
    pub(crate) at: DateTime<Utc>,
    pub(crate) actor: String,
    pub(crate) action: String,
    pub(crate) subject: String,
    #[schema(value_type = Object)]
    pub(crate) detail: Value,
    /// Covers this entry and the one before.
    pub(crate) digest: String,
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct AuditQuery {
    /// Of this subject, e.g. `environment/prod`.
    pub(crate) subject: Option<String>,
    /// Older than this entry.
    pub(crate) before: Option<i64>,
    /// Rows in the answer, 1 to 500; 50 if absent.
    pub(crate) limit: Option<u32>,
}

impl AuditQuery {
    /// The newest entries of one subject.
    pub(crate) fn of(subject: String, limit: u32) -> Self {
        Self { subject: Some(subject), before: None, limit: Some(limit) }
    }
}

/// Whether the record is whole.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AuditVerdict {
    pub(crate) ok: bool,
    pub(crate) entries: u64,
    /// The first entry that does not follow the one before it.
    pub(crate) broken_at: Option<i64>,
    /// Digest of the newest entry. Kept elsewhere and expected later, it shows that none was cut off since.
    pub(crate) newest: Option<String>,
    /// Whether the digest that was expected is an entry's; unset if none was.
    pub(crate) has_expected: Option<bool>,
}

/// What must be there.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct VerifyQuery {
    /// Digest of an entry, as an earlier answer told it.
    #[param(value_type = Option<String>)]
    pub(crate) expect: Option<Digest>,
}

fn view(entry: AuditEntry) -> AuditView {
    AuditView {
        seq: entry.seq,
        at: entry.at,
        actor: entry.actor,
        action: entry.action,
        subject: entry.subject,
        detail: entry.detail,
        digest: entry.digest.to_string(),
    }
}

/// What was done, newest first.
#[utoipa::path(get, path = "/api/v1/audit", tag = "audit", params(AuditQuery),
    responses((status = 200, body = List<AuditView>)))]
pub(crate) async fn list(
    State(state): State<ServerState>,
    caller: Caller,
    Query(query): Query<AuditQuery>,
) -> Result<Json<List<AuditView>>, ApiError> {
    caller.on_server(Role::Operator)?;
    let limit = query.limit.unwrap_or(50);
    if !(1..=LIMIT_MAX).contains(&limit) {
        let detail = format!("limit: {limit} is not between 1 and {LIMIT_MAX}");
        return Err(ApiError::bad_request("bad_query", detail));
    }
    let mut read = state.records.read().await?;
    let entries = read.audit_list(query.subject.as_deref(), query.before, limit).await?;
    Ok(Json(List::whole(entries.into_iter().map(view).collect())))
}

/// Whether every entry follows the one before it, unaltered.
#[utoipa::path(get, path = "/api/v1/audit/verify", tag = "audit", params(VerifyQuery),
    responses((status = 200, body = AuditVerdict)))]
pub(crate) async fn verify(
    State(state): State<ServerState>,
    caller: Caller,
    Query(query): Query<VerifyQuery>,
) -> Result<Json<AuditVerdict>, ApiError> {
    caller.on_server(Role::Operator)?;
    let mut read = state.records.read().await?;
    let (mut entries, mut broken_at, mut before) = (0, None, None);
    let (mut newest, mut has_expected) = (None, query.expect.map(|_| false));
    // From the newest back: each needs the digest of the one before it.
    let mut newer: Option<AuditEntry> = None;
    loop {
        let page = read.audit_list(None, before, LIMIT_MAX).await?;
        let ended = page.len() < LIMIT_MAX as usize;
        for entry in page {
            entries += 1;
            before = Some(entry.seq);
            newest.get_or_insert_with(|| entry.digest.to_string());
            if query.expect == Some(entry.digest) {
                has_expected = Some(true);
            }
            let previous: Option<Digest> = Some(entry.digest);
            if newer.as_ref().is_some_and(|newer| !newer.follows(previous.as_ref())) {
                broken_at = newer.as_ref().map(|newer| newer.seq);
            }
            newer = Some(entry);
        }
        if ended {
            break;
        }
    }
    if newer.as_ref().is_some_and(|first| !first.follows(None)) {
        broken_at = newer.as_ref().map(|first| first.seq);
    }
    let ok = broken_at.is_none() && has_expected != Some(false);
    Ok(Json(AuditVerdict { ok, entries, broken_at, newest, has_expected }))
}
