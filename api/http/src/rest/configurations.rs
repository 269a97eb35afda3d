//! What operators write for an application, level by level of an address.

use axum::Json;
use axum::extract::State;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use slipway_records::deploying::{DeployRequest, OriginView};
use slipway_records::{Configuration, ConfigurationOrigin, NewAuditEntry, NewConfiguration, Read};
use slipway_types::id::ApplicationId;
use slipway_types::name::EnvironmentName;
use slipway_types::selection::{Selection, SelectionOrder};
use slipway_types::{Address, ApplicationName, Role};
use utoipa::{IntoParams, ToSchema};

use super::configuration_sources::{FollowedView, broken_at, followed_view, refuse_followed};
use super::environments;
use super::labels::checked_reason;
use super::list::List;
use crate::auth::Caller;
use crate::extract::{Body, Path, Query};
use crate::problem::ApiError;
use crate::state::ServerState;

/// The longest document, in bytes.
const DOCUMENT_BYTES_MAX: usize = 1 << 20;
/// How many versions of a level are shown.
const HISTORY_MAX: u32 = 100;

/// What stands at one level.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ConfigurationView {
    application: String,
    /// Part of an address: `unit`, `unit/cluster` and so on; empty for all environments.
    level: String,
    /// Counts from 1; 0 if nothing was ever set.
    version: i64,
    /// An OAM Application, as written.
    document: String,
    digest: Option<String>,
    set_at: Option<DateTime<Utc>>,
    set_by: Option<String>,
    reason: Option<String>,
    /// The file of a commit that it was taken from, if it is followed from git; `set_by` is the author then.
    #[schema(value_type = Option<Object>)]
    origin: Option<ConfigurationOrigin>,
    /// From where it is followed, and what was last seen there.
    follows: Option<FollowedView>,
    /// Of what was just written: what does not fit the bundles that it holds for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    notes: Vec<String>,
}

/// What shall stand at one level.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ConfigurationBody {
    #[serde(default)]
    level: String,
    /// An OAM Application; empty removes it.
    document: String,
    /// The version it must have now. Unchecked if absent.
    if_version: Option<i64>,
    reason: Option<String>,
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct LevelQuery {
    /// Part of an address; empty for all environments.
    #[serde(default)]
    level: String,
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct ExplainQuery {
    #[param(value_type = String)]
    environment: EnvironmentName,
    /// E.g. `web.replicas`, `web.traits.hpa.max`, `policies.where.clusters`.
    key: String,
}

/// Where a value comes from.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ExplainView {
    key: String,
    /// What is in force.
    #[schema(value_type = Object)]
    value: Value,
    /// What each level says, the widest first.
    #[schema(value_type = Vec<Object>)]
    origins: Vec<OriginView>,
    /// Levels that are followed from git where the newest commit could not be taken: they hold as before.
    broken: Vec<FollowedView>,
}

fn view(row: Configuration, application: &ApplicationName) -> ConfigurationView {
    ConfigurationView {
        application: application.to_string(),
        level: row.level,
        version: row.version,
        document: row.document,
        digest: Some(row.digest.to_string()),
        set_at: Some(row.set_at),
        set_by: Some(row.set_by),
        reason: row.reason,
        origin: row.origin,
        follows: None,
        notes: Vec::new(),
    }
}

/// Whether this can be a level of an address.
pub(super) fn checked_level(level: &str) -> Result<(), ApiError> {
    if Address::is_level(level) {
        return Ok(());
    }
    let level: String = level.chars().take(120).collect();
    Err(ApiError::bad_request("bad_level", format!("level: `{level}` is no part of an address"))
        .hint("expected unit, unit/cluster, unit/cluster/namespace or unit/cluster/namespace/stage"))
}

async fn current(
    read: &mut dyn Read,
    application: ApplicationId,
    name: &ApplicationName,
    level: &str,
) -> Result<ConfigurationView, ApiError> {
    let follows = followed_view(read, application, level).await?;
    Ok(match read.configuration_at(application, level).await? {
        Some(row) => ConfigurationView { follows, ..view(row, name) },
        None => ConfigurationView {
            application: name.to_string(),
            level: level.to_owned(),
            version: 0,
            document: String::new(),
            digest: None,
            set_at: None,
            set_by: None,
            reason: None,
            origin: None,
            follows,
            notes: Vec::new(),
        },
    })
}

/// What stands at a level.
#[utoipa::path(get, path = "/api/v1/configurations/{application}", tag = "configurations",
    params(("application" = String, Path), LevelQuery), responses((status = 200, body = ConfigurationView)))]
pub(crate) async fn show(
    State(state): State<ServerState>,
    caller: Caller,
    Path(name): Path<ApplicationName>,
    Query(query): Query<LevelQuery>,
) -> Result<Json<ConfigurationView>, ApiError> {
    checked_level(&query.level)?;
    let mut read = state.records.read().await?;
    let application = caller.application(read.as_mut(), &name, Role::Reader).await?;
    Ok(Json(current(read.as_mut(), application.id, &application.name, &query.level).await?))
}

/// Every version of a level, newest first.
#[utoipa::path(get, path = "/api/v1/configurations/{application}/history", tag = "configurations",
    params(("application" = String, Path), LevelQuery), responses((status = 200, body = List<ConfigurationView>)))]
pub(crate) async fn history(
    State(state): State<ServerState>,
    caller: Caller,
    Path(name): Path<ApplicationName>,
    Query(query): Query<LevelQuery>,
) -> Result<Json<List<ConfigurationView>>, ApiError> {
    checked_level(&query.level)?;
    let mut read = state.records.read().await?;
    let application = caller.application(read.as_mut(), &name, Role::Reader).await?;
    let rows = read.configuration_history(application.id, &query.level, HISTORY_MAX).await?;
    Ok(Json(List::whole(rows.into_iter().map(|row| view(row, &application.name)).collect())))
}

/// Writes a level.
#[utoipa::path(put, path = "/api/v1/configurations/{application}", tag = "configurations",
    params(("application" = String, Path)), request_body = ConfigurationBody,
    responses((status = 200, body = ConfigurationView)))]
pub(crate) async fn put(
    State(state): State<ServerState>,
    caller: Caller,
    Path(name): Path<ApplicationName>,
    Body(body): Body<ConfigurationBody>,
) -> Result<Json<ConfigurationView>, ApiError> {
    let reason = checked_reason(body.reason)?;
    checked_level(&body.level)?;
    if body.document.len() > DOCUMENT_BYTES_MAX {
        let detail = format!("document: longer than {DOCUMENT_BYTES_MAX} bytes");
        return Err(ApiError::bad_request("bad_body", detail));
    }
    if !body.document.is_empty() {
        let violations = state.deploying.check_document(&body.document);
        if !violations.is_empty() {
            return Err(ApiError::violations(violations));
        }
    }
    let mut tx = state.records.begin().await?;
    let application = caller.application(tx.as_mut(), &name, Role::Operator).await?;
    refuse_followed(tx.as_mut(), &application, &body.level).await?;
    let now = tx.configuration_at(application.id, &body.level).await?.map_or(0, |row| row.version);
    if body.if_version.is_some_and(|wanted| wanted != now) {
        let detail = format!("this level has version {now} now");
        return Err(ApiError::conflict("changed_meanwhile", detail).hint("look at it again and decide anew"));
    }
    let row = tx
        .configuration_put(NewConfiguration {
            application_id: application.id,
            level: body.level,
            document: body.document,
            by: caller.0.person().to_owned(),
            reason,
            origin: None,
        })
        .await?;
    tx.audit(NewAuditEntry {
        actor: caller.name().to_owned(),
        action: "configuration.put",
        subject: format!("configuration/{}/{}", application.name, row.level),
        detail: json!({"version": row.version, "digest": row.digest, "reason": row.reason}),
    })
    .await?;
    tx.commit().await?;
    let notes = state.deploying.level_notes(&application, &row.level).await;
    let notes =
        notes.unwrap_or_else(|fault| vec![format!("not compared with what is deployed: {}", fault.message)]);
    Ok(Json(ConfigurationView { notes, ..view(row, &application.name) }))
}

/// Where a value comes from in an environment: each level, its author and time.
#[utoipa::path(get, path = "/api/v1/configurations/{application}/explain", tag = "configurations",
    params(("application" = String, Path), ExplainQuery), responses((status = 200, body = ExplainView)))]
pub(crate) async fn explain(
    State(state): State<ServerState>,
    caller: Caller,
    Path(name): Path<ApplicationName>,
    Query(query): Query<ExplainQuery>,
) -> Result<Json<ExplainView>, ApiError> {
    let mut read = state.records.read().await?;
    let application = caller.application(read.as_mut(), &name, Role::Reader).await?;
    let environment = environments::found(read.as_mut(), &query.environment).await?;
    // By what runs there; before anything does, by the newest bundle of any kind.
    let bundle = match read.deployment_out(environment.id, application.id).await? {
        Some(running) => read.version_get(running.bundle_id).await?,
        None => {
            let any =
                Selection { prerelease: slipway_types::selection::Prereleases::Yes, ..Selection::default() };
            read.pick(application.id, &any, SelectionOrder::Newest).await?.version
        }
    };
    let followed = read.configuration_sources(application.id).await?;
    let broken = broken_at(read.as_mut(), &followed, &environment.address).await?;
    drop(read);
    let bundle = bundle
        .ok_or_else(|| ApiError::not_found("bundle of", &application.name).hint("push something first"))?;
    let request = DeployRequest { application, environment, bundle, document: None };
    let explained = state.deploying.explain(&request, &query.key).await.map_err(ApiError::of_fault)?;
    let explained = explained.map_err(ApiError::violations)?;
    Ok(Json(ExplainView { key: query.key, value: explained.value, origins: explained.origins, broken }))
}
