//! Checks of bundles, reported by those whose word they are.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::json;
use slipway_records::{BundleCheck, CheckState, NewAuditEntry};
use slipway_types::name::CheckName;
use slipway_types::{ApplicationName, Role, Version};
use utoipa::ToSchema;

use super::following;
use super::list::List;
use crate::auth::Caller;
use crate::extract::{Body, Path};
use crate::problem::ApiError;
use crate::state::ServerState;

/// The longest text of a report, in characters.
const TEXT_CHARS_MAX: usize = 2000;

/// A check of a bundle.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CheckView {
    name: String,
    /// `pending`, `passed` or `failed`.
    state: &'static str,
    detail: Option<String>,
    url: Option<String>,
    reported_by: String,
    reported_at: DateTime<Utc>,
}

/// How a check stands.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CheckBody {
    /// `pending`, `passed` or `failed`.
    #[schema(value_type = String)]
    state: CheckState,
    detail: Option<String>,
    url: Option<String>,
}

/// The checks of a bundle.
#[utoipa::path(get, path = "/api/v1/bundles/{application}/{version}/checks", tag = "bundles",
    params(("application" = String, Path), ("version" = String, Path)),
    responses((status = 200, body = List<CheckView>)))]
pub(crate) async fn list(
    State(state): State<ServerState>,
    caller: Caller,
    Path((application, version)): Path<(ApplicationName, Version)>,
) -> Result<Json<List<CheckView>>, ApiError> {
    let mut read = state.records.read().await?;
    let application = caller.application(read.as_mut(), &application, Role::Reader).await?;
    let row = read.version_find(application.id, None, &version).await?;
    let row = row.ok_or_else(|| ApiError::not_found("bundle version", &version))?;
    let items = read.checks_of(row.id).await?.into_iter().map(|check| CheckView {
        name: check.name.to_string(),
        state: check.state.word(),
        detail: check.detail,
        url: check.url,
        reported_by: check.reported_by,
        reported_at: check.reported_at,
    });
    Ok(Json(List::whole(items.collect())))
}

/// Reports a check. Only reports of the person that an environment names as the check's owner open its
/// gate.
#[utoipa::path(put, path = "/api/v1/bundles/{application}/{version}/checks/{name}", tag = "bundles",
    params(("application" = String, Path), ("version" = String, Path), ("name" = String, Path)),
    request_body = CheckBody, responses((status = 204)))]
pub(crate) async fn put(
    State(state): State<ServerState>,
    caller: Caller,
    Path((application, version, name)): Path<(ApplicationName, Version, CheckName)>,
    Body(body): Body<CheckBody>,
) -> Result<StatusCode, ApiError> {
    if name.is_source() {
        let detail = format!("`{name}` is run by Slipway, nobody reports it");
        return Err(ApiError::new(StatusCode::FORBIDDEN, "check_reserved", detail)
            .hint("choose a name without `source/`"));
    }
    for (field, text) in [("detail", &body.detail), ("url", &body.url)] {
        if text.as_ref().is_some_and(|text| text.chars().count() > TEXT_CHARS_MAX) {
            let detail = format!("{field}: longer than {TEXT_CHARS_MAX} characters");
            return Err(ApiError::bad_request("bad_body", detail));
        }
    }
    let mut tx = state.records.begin().await?;
    let application = caller.application(tx.as_mut(), &application, Role::Developer).await?;
    let row = tx.version_find(application.id, None, &version).await?;
    let row = row.ok_or_else(|| ApiError::not_found("bundle version", &version))?;
    let person = caller.0.person().to_owned();
    let known = tx.checks_of(row.id).await?;
    if let Some(other) = known.iter().find(|check| check.name == name && check.reported_by != person) {
        let detail = format!("check `{name}` of this bundle is {}'s to report", other.reported_by);
        return Err(ApiError::new(StatusCode::FORBIDDEN, "check_of_another", detail));
    }
    let check = BundleCheck {
        version_id: row.id,
        name: name.clone(),
        state: body.state,
        detail: body.detail,
        url: body.url,
        reported_by: person,
        reported_at: Utc::now(),
    };
    tx.check_put(&check).await?;
    tx.audit(NewAuditEntry {
        actor: caller.name().to_owned(),
        action: "check.report",
        subject: format!("bundle/{}/{version}", application.name),
        detail: json!({"check": name, "state": check.state, "detail": check.detail}),
    })
    .await?;
    following::bundle_changed(tx.as_mut(), application.id, row.id).await?;
    tx.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}
