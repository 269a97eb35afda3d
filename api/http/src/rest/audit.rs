//! The audit record.

use axum::Json;
use axum::extract::State;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use slipway_records::AuditEntry;
use slipway_types::Role;
use utoipa::{IntoParams, ToSchema};

use super::list::{List, checked_limit};
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
    /// `next` of the page before.
    #[param(value_type = Option<String>)]
    pub(crate) after: Option<i64>,
}

impl AuditQuery {
    /// The newest entries of one subject.
    pub(crate) fn of(subject: String, limit: u32) -> Self {
        Self { subject: Some(subject), before: None, limit: Some(limit), after: None }
    }
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
    let limit = checked_limit(query.limit)?;
    let before = query.before.into_iter().chain(query.after).min();
    let mut read = state.records.read().await?;
    let entries = read.audit_list(query.subject.as_deref(), before, limit).await?;
    Ok(Json(List::keyed(limit, entries.into_iter().map(|entry| (entry.seq, view(entry))).collect())))
}
