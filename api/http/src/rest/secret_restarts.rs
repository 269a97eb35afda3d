//! What became of what runs with a rotated secret.

use axum::Json;
use axum::extract::State;
use chrono::{DateTime, Utc};
use serde::Serialize;
use slipway_records::{Read, RestartFate, Rotation, RotationRestart};
use slipway_types::SecretScope;
use utoipa::ToSchema;

use super::secrets::{ScopeQuery, checked_name};
use crate::auth::Caller;
use crate::extract::{Path, Query};
use crate::problem::ApiError;
use crate::state::ServerState;

/// Restarts after a secret got its next value.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RestartsView {
    pub(crate) name: String,
    /// As that of the secret.
    #[schema(value_type = String)]
    pub(crate) scope: SecretScope,
    /// The version that the secret got.
    pub(crate) version: u64,
    pub(crate) reason: String,
    /// Who rotated it.
    pub(crate) by: String,
    pub(crate) started_at: DateTime<Utc>,
    /// Absent while they go on.
    pub(crate) ended_at: Option<DateTime<Utc>>,
    /// Why not all were come to.
    pub(crate) problem: Option<String>,
    /// What had an earlier value, by application and environment; as far as it is found while they go on.
    pub(crate) restarts: Vec<RestartView>,
}

/// What became of what runs in one place.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RestartView {
    pub(crate) application: String,
    pub(crate) environment: String,
    /// `waiting`: its turn has not come; `restarted`: by that deployment, which somebody else may have made after the
    /// value was set; `left`: it is left alone.
    #[schema(value_type = String)]
    pub(crate) state: &'static str,
    /// The new deployment; watch it.
    pub(crate) deployment: Option<String>,
    pub(crate) generation: Option<u64>,
    /// Why it is left alone.
    pub(crate) problem: Option<String>,
    /// What to do then.
    pub(crate) hint: Option<String>,
}

impl From<RotationRestart> for RestartView {
    fn from(row: RotationRestart) -> Self {
        let (state, deployment, problem, hint) = match row.fate {
            RestartFate::Waiting => ("waiting", None, None, None),
            RestartFate::Made(deployment) => ("restarted", Some(deployment.to_string()), None, None),
            RestartFate::Left { problem, hint } => ("left", None, Some(problem), hint),
        };
        Self {
            application: row.application.to_string(),
            environment: row.environment.to_string(),
            state,
            deployment,
            generation: row.generation,
            problem,
            hint,
        }
    }
}

/// The newest restarts of a secret.
#[utoipa::path(get, path = "/api/v1/secrets/{secret}/restarts", tag = "secrets",
    params(("secret" = String, Path), ScopeQuery), responses((status = 200, body = RestartsView)))]
pub(crate) async fn newest(
    State(state): State<ServerState>,
    caller: Caller,
    Path(name): Path<String>,
    Query(query): Query<ScopeQuery>,
) -> Result<Json<RestartsView>, ApiError> {
    let mut read = state.records.read().await?;
    let scope = query.scope(&caller, read.as_mut()).await?;
    checked_name(&name)?;
    let rotation = read.rotation_newest(&scope.key(&name)).await?;
    let rotation = rotation.ok_or_else(|| none_of(&name, None))?;
    Ok(Json(shown(read.as_mut(), rotation).await?))
}

/// The restarts that came with one version of a secret.
#[utoipa::path(get, path = "/api/v1/secrets/{secret}/restarts/{version}", tag = "secrets",
    params(("secret" = String, Path), ("version" = u32, Path), ScopeQuery),
    responses((status = 200, body = RestartsView)))]
pub(crate) async fn of_version(
    State(state): State<ServerState>,
    caller: Caller,
    Path((name, version)): Path<(String, u32)>,
    Query(query): Query<ScopeQuery>,
) -> Result<Json<RestartsView>, ApiError> {
    let mut read = state.records.read().await?;
    let scope = query.scope(&caller, read.as_mut()).await?;
    checked_name(&name)?;
    let rotation = read.rotation_get(&scope.key(&name), version.into()).await?;
    let rotation = rotation.ok_or_else(|| none_of(&name, Some(version)))?;
    Ok(Json(shown(read.as_mut(), rotation).await?))
}

async fn shown(read: &mut dyn Read, rotation: Rotation) -> Result<RestartsView, ApiError> {
    let rows = read.rotation_restarts(&rotation.secret, rotation.version).await?;
    let (scope, name) = SecretScope::split(&rotation.secret);
    Ok(RestartsView {
        name: name.to_owned(),
        scope,
        version: rotation.version,
        reason: rotation.reason,
        by: rotation.person,
        started_at: rotation.started_at,
        ended_at: rotation.ended_at,
        problem: rotation.problem,
        restarts: rows.into_iter().map(RestartView::from).collect(),
    })
}

fn none_of(name: &str, version: Option<u32>) -> ApiError {
    let name: String = name.chars().take(120).collect();
    let which = version.map(|version| format!(" version {version}")).unwrap_or_default();
    ApiError::not_found("restarts of the secret", format!("{name}{which}"))
        .hint(format!("they are asked for with a new value: slipway secret rotate {name} --restart"))
}
