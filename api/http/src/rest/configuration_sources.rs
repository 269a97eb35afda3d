//! Operators' configuration that is followed from git.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::json;
use slipway_records::configuration_source::EVERY_LEVEL;
use slipway_records::job::{JobPayload, NewJob};
use slipway_records::{
    Application, ConfigurationSource, NewAuditEntry, NewConfigurationSource, Read, SourceAway,
};
use slipway_types::id::ApplicationId;
use slipway_types::name::SourceName;
use slipway_types::{Address, ApplicationName, GitRef, Role, Violation};
use utoipa::{IntoParams, ToSchema};

use super::configurations::checked_level;
use super::labels::checked_reason;
use super::sources;
use crate::auth::Caller;
use crate::extract::{Body, Path, Query};
use crate::problem::ApiError;
use crate::state::ServerState;

/// The longest path, in bytes.
const PATH_BYTES_MAX: usize = 500;
/// The branch where none is named.
const BRANCH_DEFAULT: &str = "main";

/// From where a level is followed.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct FollowedView {
    /// The level; `*`: every one.
    level: String,
    source: String,
    branch: String,
    /// The file; for every level the directory.
    path: String,
    set_at: DateTime<Utc>,
    set_by: String,
    reason: Option<String>,
    /// The newest commit that was looked at; absent until one was.
    seen_commit: Option<String>,
    seen_at: Option<DateTime<Utc>>,
    /// What stood against it there. What it speaks of holds as it was before.
    #[schema(value_type = Vec<Object>)]
    faults: Vec<Violation>,
    /// That the source does not answer; absent while it does.
    #[serde(skip_serializing_if = "Option::is_none")]
    away: Option<AwayView>,
}

/// A source that could not be asked when it was looked at last.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct AwayView {
    /// When it first did not answer.
    since: DateTime<Utc>,
    /// What stood against it the last time.
    why: String,
    /// When it is asked again, at the latest.
    next_at: DateTime<Utc>,
}

/// What is to be followed.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct FollowBody {
    /// The level; `*`: every one, from files `LEVEL/APPLICATION.yaml` below the path.
    #[serde(default)]
    level: String,
    #[schema(value_type = String)]
    source: SourceName,
    /// `main` if absent.
    branch: Option<String>,
    /// The file from the repository's root; for every level the directory.
    #[serde(default)]
    path: String,
    reason: Option<String>,
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct FollowedQuery {
    /// Part of an address, empty for all environments; `*` where every level is followed.
    #[serde(default)]
    level: String,
    /// Why; kept in the audit record.
    reason: Option<String>,
}

/// Whether it decides on a level.
fn covers(row: &ConfigurationSource, level: &str) -> bool {
    row.level == level || row.level == EVERY_LEVEL
}

async fn view(read: &mut dyn Read, row: ConfigurationSource) -> Result<FollowedView, ApiError> {
    let source = read.source_get(row.source_id).await?;
    Ok(FollowedView {
        level: row.level,
        source: source.map_or_else(|| row.source_id.to_string(), |source| source.name.to_string()),
        branch: row.branch,
        path: row.path,
        set_at: row.set_at,
        set_by: row.set_by,
        reason: row.reason,
        seen_commit: row.seen_commit.map(|commit| commit.to_string()),
        seen_at: row.seen_at,
        faults: row.faults,
        away: row.away.map(|SourceAway { since, why, next_at }| AwayView { since, why, next_at }),
    })
}

/// From where a level is followed, if it is.
pub(super) async fn followed_view(
    read: &mut dyn Read,
    application: ApplicationId,
    level: &str,
) -> Result<Option<FollowedView>, ApiError> {
    let rows = read.configuration_sources(application).await?;
    match rows.into_iter().find(|row| covers(row, level)) {
        Some(row) => Ok(Some(view(read, row).await?)),
        None => Ok(None),
    }
}

/// What is followed along an address and could not be taken over.
pub(super) async fn broken_at(
    read: &mut dyn Read,
    followed: &[ConfigurationSource],
    address: &Address,
) -> Result<Vec<FollowedView>, ApiError> {
    let levels = address.levels();
    let mut broken = Vec::new();
    for row in followed {
        if !row.faults.is_empty() && levels.iter().any(|level| covers(row, level)) {
            broken.push(view(read, row.clone()).await?);
        }
    }
    Ok(broken)
}

/// Refuses an edit where git decides.
pub(super) async fn refuse_followed(
    read: &mut dyn Read,
    application: &Application,
    level: &str,
) -> Result<(), ApiError> {
    let Some(followed) = followed_view(read, application.id, level).await? else { return Ok(()) };
    let FollowedView { source, branch, path, level: follows, .. } = followed;
    let detail =
        format!("this level is followed from `{path}` on the branch {branch} of the source {source}");
    let unfollow =
        if follows == EVERY_LEVEL { "--every-level".to_owned() } else { format!("--level '{follows}'") };
    Err(ApiError::conflict("configuration_followed", detail).hint(format!(
        "change the file there, or edit it here again after: slipway env config {} {unfollow} --unfollow",
        application.name
    )))
}

/// A path inside the repository, without slashes at its ends.
fn checked_path(text: &str, is_directory: bool) -> Result<String, ApiError> {
    let path = text.trim_matches('/');
    let is_part = |part: &str| !matches!(part, "" | "." | "..") && !part.chars().any(char::is_control);
    let sound = if path.is_empty() { is_directory } else { path.split('/').all(is_part) };
    if sound && path.len() <= PATH_BYTES_MAX {
        return Ok(path.to_owned());
    }
    let what = if is_directory { "a directory" } else { "a file" };
    let detail = format!("path: expected {what} inside the repository of at most {PATH_BYTES_MAX} bytes");
    Err(ApiError::bad_request("bad_body", detail))
}

/// Follows a level from git.
#[utoipa::path(put, path = "/api/v1/configurations/{application}/source", tag = "configurations",
    params(("application" = String, Path)), request_body = FollowBody,
    responses((status = 200, body = FollowedView)))]
pub(crate) async fn put(
    State(state): State<ServerState>,
    caller: Caller,
    Path(name): Path<ApplicationName>,
    Body(body): Body<FollowBody>,
) -> Result<Json<FollowedView>, ApiError> {
    let reason = checked_reason(body.reason)?;
    let every = body.level == EVERY_LEVEL;
    if !every {
        checked_level(&body.level)?;
    }
    let path = checked_path(&body.path, every)?;
    let branch = body.branch.unwrap_or_else(|| BRANCH_DEFAULT.to_owned());
    if format!("refs/heads/{branch}").parse::<GitRef>().is_err() {
        return Err(ApiError::bad_request("bad_body", format!("branch: `{branch}` is no branch")));
    }
    let mut tx = state.records.begin().await?;
    let application = caller.application(tx.as_mut(), &name, Role::Operator).await?;
    let source = sources::reach(&caller, tx.as_mut(), &body.source, Role::Reader).await?;
    tx.configuration_sources_lock(application.id).await?;
    let rows = tx.configuration_sources(application.id).await?;
    let overlaps =
        |row: &&ConfigurationSource| row.level != body.level && (every || row.level == EVERY_LEVEL);
    if let Some(other) = rows.iter().find(overlaps) {
        let detail = format!("`{}` is followed already, and one level has one source", other.level);
        return Err(ApiError::conflict("configuration_followed", detail).hint("unfollow that first"));
    }
    let new = NewConfigurationSource {
        application_id: application.id,
        level: body.level,
        source_id: source.id,
        branch,
        path,
        by: caller.0.person().to_owned(),
        reason,
    };
    let row = tx.configuration_source_put(new).await?;
    let detail = json!({"source": source.name, "branch": row.branch, "path": row.path, "reason": row.reason});
    tx.audit(entry(&caller, "configuration.follow", &application, &row.level, detail)).await?;
    tx.job_enqueue(NewJob::new(JobPayload::Configure { source: source.id }, None)).await?;
    let shown = view(tx.as_mut(), row).await?;
    tx.commit().await?;
    Ok(Json(shown))
}

/// Follows a level no more; what holds now stays, and can be edited here.
#[utoipa::path(delete, path = "/api/v1/configurations/{application}/source", tag = "configurations",
    params(("application" = String, Path), FollowedQuery), responses((status = 204)))]
pub(crate) async fn remove(
    State(state): State<ServerState>,
    caller: Caller,
    Path(name): Path<ApplicationName>,
    Query(query): Query<FollowedQuery>,
) -> Result<StatusCode, ApiError> {
    let reason = checked_reason(query.reason)?;
    if query.level != EVERY_LEVEL {
        checked_level(&query.level)?;
    }
    let mut tx = state.records.begin().await?;
    let application = caller.application(tx.as_mut(), &name, Role::Operator).await?;
    if !tx.configuration_source_remove(application.id, &query.level).await? {
        let level: String = query.level.chars().take(120).collect();
        let what = if level.is_empty() { "everywhere".to_owned() } else { format!("`{level}`") };
        return Err(ApiError::not_found("followed level", what)
            .hint(format!("see what it follows: slipway env config {name} -o json")));
    }
    let detail = json!({"reason": reason});
    tx.audit(entry(&caller, "configuration.unfollow", &application, &query.level, detail)).await?;
    tx.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}

fn entry(
    caller: &Caller,
    action: &'static str,
    application: &Application,
    level: &str,
    detail: serde_json::Value,
) -> NewAuditEntry {
    let subject = format!("configuration/{}/{level}", application.name);
    NewAuditEntry { actor: caller.name().to_owned(), action, subject, detail }
}
