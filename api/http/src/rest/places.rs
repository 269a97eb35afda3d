//! What runs where.

use std::collections::HashMap;

use axum::Json;
use axum::extract::State;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use slipway_records::{Application, Deployment, Environment, Hold, Read};
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
    pub(crate) version: Option<String>,
    pub(crate) reason: String,
    pub(crate) by: String,
    pub(crate) at: DateTime<Utc>,
    /// The generation that a rollback returned to: nothing by itself moves what runs until it is released.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) rollback_to: Option<u64>,
}

/// What the environment upstream runs.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct UpstreamView {
    pub(crate) environment: String,
    pub(crate) version: Option<String>,
    /// Whether the same components run there.
    pub(crate) same: bool,
}

/// A deployment that is on its way.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PendingView {
    pub(crate) id: String,
    pub(crate) version: String,
    pub(crate) state: &'static str,
    pub(crate) reason: Option<String>,
}

/// An application in an environment.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PlaceView {
    pub(crate) application: String,
    pub(crate) environment: String,
    pub(crate) address: String,
    pub(crate) version: Option<String>,
    pub(crate) branch: Option<String>,
    pub(crate) commit: Option<String>,
    pub(crate) generation: Option<u64>,
    /// The id of the deployment that runs.
    pub(crate) deployment: Option<String>,
    pub(crate) state: Option<&'static str>,
    pub(crate) reason: Option<String>,
    /// Whether others changed or deleted some of what runs; the reason says what, and who.
    pub(crate) drifted: bool,
    /// Since when this version runs.
    pub(crate) since: Option<DateTime<Utc>>,
    pub(crate) created_by: Option<String>,
    pub(crate) pin: Option<PinView>,
    pub(crate) upstream: Option<UpstreamView>,
    /// Whether upstream runs other components.
    pub(crate) behind: bool,
    pub(crate) pending: Option<PendingView>,
    /// What is followed from git for it where the newest commit could not be taken: it holds as before.
    pub(crate) broken_configuration: Vec<FollowedView>,
}

impl WhereQuery {
    /// What a form asks for; an empty text asks for all.
    pub(crate) fn of(application: &str, environment: &str) -> Result<Self, ApiError> {
        let bad = |field: &str, error: &dyn std::error::Error| {
            ApiError::bad_request("bad_query", format!("{field}: {error}"))
        };
        let given = |text: &str| Some(text.trim().to_owned()).filter(|text| !text.is_empty());
        let application = given(application).map(|text| text.parse::<ApplicationName>()).transpose();
        let environment = given(environment).map(|text| text.parse::<EnvironmentName>()).transpose();
        Ok(Self {
            application: application.map_err(|error| bad("application", &error))?,
            environment: environment.map_err(|error| bad("environment", &error))?,
        })
    }
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
    let mut applications = read.application_list().await?;
    applications.retain(|application| {
        let wanted = query.application.as_ref().is_none_or(|name| *name == application.name);
        wanted && caller.may(Role::Reader, Some(application.id))
    });
    let items = views(read.as_mut(), &applications, query.environment.as_ref()).await?;
    Ok(Json(List::whole(items)))
}

/// What environments run of these applications, or what `only` runs of them.
pub(crate) async fn views(
    read: &mut dyn Read,
    applications: &[Application],
    only: Option<&EnvironmentName>,
) -> Result<Vec<PlaceView>, ApiError> {
    let board = Board::look(read).await?;
    let mut items = Vec::new();
    for application in applications {
        for environment in &board.environments {
            if only.is_some_and(|name| *name != environment.name) {
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
                deployment: running.map(|running| running.id.to_string()),
                state: running.map(|running| running.state.word()),
                reason: running.and_then(|running| running.state.reason()),
                drifted: running.is_some_and(|running| running.state.has_drifted()),
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
                broken_configuration: broken_at(read, application.id, &environment.address).await?,
                pending: pending.map(|row| PendingView {
                    id: row.id.to_string(),
                    version: row.bundle_version.to_string(),
                    state: row.state.word(),
                    reason: row.state.reason(),
                }),
            });
        }
    }
    Ok(items)
}
