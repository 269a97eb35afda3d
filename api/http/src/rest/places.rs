//! What runs where.

use std::collections::HashMap;

use axum::Json;
use axum::extract::State;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use slipway_records::{Deployment, Environment, Hold, Read};
use slipway_types::id::{ApplicationId, EnvironmentId};
use slipway_types::name::EnvironmentName;
use slipway_types::{ApplicationName, GitRef, Role};
use utoipa::{IntoParams, ToSchema};

use super::configuration_sources::{FollowedView, broken_at};
use super::environments;
use super::list::List;
use crate::auth::Caller;
use crate::extract::Query;
use crate::problem::ApiError;
use crate::state::ServerState;

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct WhereQuery {
    /// Only this application.
    #[param(value_type = Option<String>)]
    application: Option<ApplicationName>,
    /// Only this environment.
    #[param(value_type = Option<String>)]
    environment: Option<EnvironmentName>,
}

/// What keeps it as it is.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PinView {
    /// The version it stays at; absent: whatever is there.
    version: Option<String>,
    reason: String,
    by: String,
    at: DateTime<Utc>,
    /// The generation that a rollback returned to: nothing by itself moves what runs until it is released.
    #[serde(skip_serializing_if = "Option::is_none")]
    rollback_to: Option<u64>,
}

/// What the environment upstream runs.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct UpstreamView {
    environment: String,
    version: Option<String>,
    /// Whether the same components run there.
    same: bool,
}

/// A deployment that is on its way.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PendingView {
    id: String,
    version: String,
    state: &'static str,
    reason: Option<String>,
}

/// An application in an environment.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PlaceView {
    application: String,
    environment: String,
    address: String,
    version: Option<String>,
    branch: Option<String>,
    commit: Option<String>,
    generation: Option<u64>,
    state: Option<&'static str>,
    reason: Option<String>,
    /// Since when this version runs.
    since: Option<DateTime<Utc>>,
    created_by: Option<String>,
    pin: Option<PinView>,
    upstream: Option<UpstreamView>,
    /// Whether upstream runs other components.
    behind: bool,
    pending: Option<PendingView>,
    /// What is followed from git for it where the newest commit could not be taken: it holds as before.
    broken_configuration: Vec<FollowedView>,
}

type Place = (ApplicationId, EnvironmentId);

/// Everything that answers "where".
struct Board {
    out: HashMap<Place, Deployment>,
    holds: HashMap<Place, Hold>,
    environments: Vec<Environment>,
}

impl Board {
    async fn look(read: &mut dyn Read) -> Result<Self, ApiError> {
        let place = |row: &Deployment| (row.application_id, row.environment_id);
        let out = read.deployments_out().await?;
        let holds = read.hold_list().await?;
        Ok(Self {
            out: out.into_iter().map(|row| (place(&row), row)).collect(),
            holds: holds.into_iter().map(|hold| ((hold.application_id, hold.environment_id), hold)).collect(),
            environments: read.environment_list().await?,
        })
    }

    fn upstream(&self, application: ApplicationId, environment: &Environment) -> Option<UpstreamView> {
        let name = environment.settings.upstream.as_ref()?;
        let upstream = self.environments.iter().find(|known| known.name == *name)?;
        let running = self.out.get(&(application, upstream.id));
        let here = self.out.get(&(application, environment.id));
        Some(UpstreamView {
            environment: name.to_string(),
            version: running.map(|running| running.bundle_version.to_string()),
            same: running.map(|running| running.lock) == here.map(|here| here.lock),
        })
    }
}

/// What every environment runs of every application.
#[utoipa::path(get, path = "/api/v1/where", tag = "deployments", params(WhereQuery),
    responses((status = 200, body = List<PlaceView>)))]
pub(crate) async fn list(
    State(state): State<ServerState>,
    caller: Caller,
    Query(query): Query<WhereQuery>,
) -> Result<Json<List<PlaceView>>, ApiError> {
    caller.somewhere(Role::Reader)?;
    let mut read = state.records.read().await?;
    if let Some(name) = &query.application {
        caller.application(read.as_mut(), name, Role::Reader).await?;
    }
    if let Some(name) = &query.environment {
        environments::found(read.as_mut(), name).await?;
    }
    let board = Board::look(read.as_mut()).await?;
    let mut items = Vec::new();
    for application in read.application_list().await? {
        let wanted = query.application.as_ref().is_none_or(|name| *name == application.name);
        if !wanted || !caller.may(Role::Reader, Some(application.id)) {
            continue;
        }
        for environment in &board.environments {
            if query.environment.as_ref().is_some_and(|name| *name != environment.name) {
                continue;
            }
            let place = (application.id, environment.id);
            let open = read.deployments_open(environment.id, application.id).await?;
            let pending = open.into_iter().rev().find(|row| row.state.is_pending());
            let running = board.out.get(&place);
            let hold = board.holds.get(&place);
            if running.is_none() && pending.is_none() && hold.is_none() {
                continue;
            }
            let bundle = match running {
                Some(running) => read.version_get(running.bundle_id).await?,
                None => None,
            };
            let pinned = match hold.and_then(|hold| hold.version_id) {
                Some(id) => read.version_get(id).await?.map(|row| row.version.to_string()),
                None => None,
            };
            let upstream = board.upstream(application.id, environment);
            items.push(PlaceView {
                application: application.name.to_string(),
                environment: environment.name.to_string(),
                address: environment.address.to_string(),
                version: running.map(|running| running.bundle_version.to_string()),
                branch: bundle.as_ref().and_then(|bundle| match &bundle.git_ref {
                    GitRef::Branch(name) => Some(name.clone()),
                    GitRef::Tag(_) => None,
                }),
                commit: bundle.and_then(|bundle| bundle.source_commit().map(ToString::to_string)),
                generation: running.map(|running| running.generation),
                state: running.map(|running| running.state.word()),
                reason: running.and_then(|running| running.state.reason()),
                since: running.and_then(|running| running.handed_off_at),
                created_by: running.map(|running| running.created_by.clone()),
                pin: hold.map(|hold| PinView {
                    version: pinned,
                    reason: hold.reason.clone(),
                    by: hold.by.clone(),
                    at: hold.at,
                    rollback_to: hold.rollback_to,
                }),
                behind: upstream
                    .as_ref()
                    .is_some_and(|upstream| upstream.version.is_some() && !upstream.same),
                upstream,
                broken_configuration: broken_at(read.as_mut(), application.id, &environment.address).await?,
                pending: pending.map(|row| PendingView {
                    id: row.id.to_string(),
                    version: row.bundle_version.to_string(),
                    state: row.state.word(),
                    reason: row.state.reason(),
                }),
            });
        }
    }
    Ok(Json(List::whole(items)))
}
