//! What runs where.

use std::collections::{HashMap, HashSet};

use axum::Json;
use axum::extract::State;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use slipway_records::{
    Application, ConfigurationSource, Deployment, Environment, Hold, PackageVersion, Read,
};
use slipway_types::id::{ApplicationId, EnvironmentId, VersionId};
use slipway_types::name::EnvironmentName;
use slipway_types::{ApplicationName, GitRef, Role};
use utoipa::{IntoParams, ToSchema};

use super::configuration_sources::{FollowedView, broken_at};
use super::environments;
use super::list::{List, checked_limit};
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
    /// Rows in the answer, 1 to 500; 50 if absent.
    limit: Option<u32>,
    /// `next` of the page before.
    after: Option<String>,
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
            limit: None,
            after: None,
        })
    }
}

type Place = (ApplicationId, EnvironmentId);

/// Where there is something to tell of.
struct Board {
    deployed: HashSet<Place>,
    holds: HashMap<Place, Hold>,
    environments: Vec<Environment>,
}

/// What is looked up for the places that are told of, not for each by itself.
struct Details {
    out: HashMap<Place, Deployment>,
    pending: HashMap<Place, Deployment>,
    versions: HashMap<VersionId, PackageVersion>,
    followed: HashMap<ApplicationId, Vec<ConfigurationSource>>,
}

/// An application in an environment where something runs, is on its way or is held.
type Told<'a> = (&'a Application, &'a Environment);

/// Deployments by where they are; of several in one place the last one counts: the newest.
fn by_place(rows: Vec<Deployment>) -> HashMap<Place, Deployment> {
    rows.into_iter().map(|row| ((row.application_id, row.environment_id), row)).collect()
}

impl Board {
    async fn look(read: &mut dyn Read, applications: &[Application]) -> Result<Self, ApiError> {
        let applications: Vec<_> = applications.iter().map(|application| application.id).collect();
        let holds = read.hold_list().await?;
        Ok(Self {
            deployed: read.deployment_places(&applications).await?.into_iter().collect(),
            holds: holds.into_iter().map(|hold| ((hold.application_id, hold.environment_id), hold)).collect(),
            environments: read.environment_list().await?,
        })
    }

    /// The places of these applications, or those in `only`.
    fn places<'a>(
        &'a self,
        applications: &'a [Application],
        only: Option<&EnvironmentName>,
    ) -> Vec<Told<'a>> {
        let mut places = Vec::new();
        for application in applications {
            let wanted = self.environments.iter().filter(|known| only.is_none_or(|name| *name == known.name));
            places.extend(wanted.filter_map(|environment| {
                let place = (application.id, environment.id);
                let is_there = self.deployed.contains(&place) || self.holds.contains_key(&place);
                is_there.then_some((application, environment))
            }));
        }
        places
    }

    /// The environment that comes before one.
    fn before(&self, environment: &Environment) -> Option<&Environment> {
        let name = environment.settings.upstream.as_ref()?;
        self.environments.iter().find(|known| known.name == *name)
    }

    fn upstream(
        &self,
        details: &Details,
        application: ApplicationId,
        environment: &Environment,
    ) -> Option<UpstreamView> {
        let upstream = self.before(environment)?;
        let running = details.out.get(&(application, upstream.id));
        let here = details.out.get(&(application, environment.id));
        Some(UpstreamView {
            environment: upstream.name.to_string(),
            version: running.map(|running| running.bundle_version.to_string()),
            same: running.map(|running| running.lock) == here.map(|here| here.lock),
        })
    }

    async fn details(&self, read: &mut dyn Read, places: &[Told<'_>]) -> Result<Details, ApiError> {
        let mut applications: Vec<_> = places.iter().map(|(application, _)| application.id).collect();
        let there = places.iter().flat_map(|(_, there)| [Some(*there), self.before(there)]);
        let mut environments: Vec<_> = there.flatten().map(|environment| environment.id).collect();
        applications.sort();
        applications.dedup();
        environments.sort();
        environments.dedup();
        let out = by_place(read.deployments_out_among(&applications, &environments).await?);
        let pending = by_place(read.deployments_pending_among(&applications, &environments).await?);
        let mut ids = Vec::new();
        for (application, environment) in places {
            let place = (application.id, environment.id);
            ids.extend(out.get(&place).map(|running| running.bundle_id));
            ids.extend(self.holds.get(&place).and_then(|hold| hold.version_id));
        }
        let versions = read.versions_get(&ids).await?;
        let mut followed = HashMap::new();
        for application in applications {
            followed.insert(application, read.configuration_sources(application).await?);
        }
        let versions = versions.into_iter().map(|row| (row.id, row)).collect();
        Ok(Details { out, pending, versions, followed })
    }

    async fn views(&self, read: &mut dyn Read, places: &[Told<'_>]) -> Result<Vec<PlaceView>, ApiError> {
        let details = self.details(read, places).await?;
        let mut items = Vec::with_capacity(places.len());
        for place in places {
            let (application, environment) = *place;
            let followed = details.followed.get(&application.id).map(Vec::as_slice).unwrap_or_default();
            let broken = broken_at(read, followed, &environment.address).await?;
            items.push(self.view(&details, *place, broken));
        }
        Ok(items)
    }

    fn view(
        &self,
        details: &Details,
        (application, environment): Told<'_>,
        broken_configuration: Vec<FollowedView>,
    ) -> PlaceView {
        let place = (application.id, environment.id);
        let (running, hold) = (details.out.get(&place), self.holds.get(&place));
        let bundle = running.and_then(|running| details.versions.get(&running.bundle_id));
        let pinned = hold.and_then(|hold| details.versions.get(&hold.version_id?));
        let upstream = self.upstream(details, application.id, environment);
        PlaceView {
            application: application.name.to_string(),
            environment: environment.name.to_string(),
            address: environment.address.to_string(),
            version: running.map(|running| running.bundle_version.to_string()),
            branch: bundle.and_then(|bundle| match &bundle.git_ref {
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
                version: pinned.map(|row| row.version.to_string()),
                reason: hold.reason.clone(),
                by: hold.by.clone(),
                at: hold.at,
                rollback_to: hold.rollback_to,
            }),
            behind: upstream.as_ref().is_some_and(|upstream| upstream.version.is_some() && !upstream.same),
            upstream,
            broken_configuration,
            pending: details.pending.get(&place).map(|row| PendingView {
                id: row.id.to_string(),
                version: row.bundle_version.to_string(),
                state: row.state.word(),
                reason: row.state.reason(),
            }),
        }
    }
}

/// The applications that a query asks about, as far as the caller may see them.
async fn asked(
    read: &mut dyn Read,
    caller: &Caller,
    query: &WhereQuery,
) -> Result<Vec<Application>, ApiError> {
    caller.somewhere(Role::Reader)?;
    if let Some(name) = &query.application {
        caller.application(read, name, Role::Reader).await?;
    }
    if let Some(name) = &query.environment {
        environments::found(read, name).await?;
    }
    let mut applications = read.application_list().await?;
    applications.retain(|application| {
        let wanted = query.application.as_ref().is_none_or(|name| *name == application.name);
        wanted && caller.may(Role::Reader, Some(application.id))
    });
    Ok(applications)
}

/// What every environment runs of every application, by application and environment.
#[utoipa::path(get, path = "/api/v1/where", tag = "deployments", params(WhereQuery),
    responses((status = 200, body = List<PlaceView>)))]
pub(crate) async fn list(
    State(state): State<ServerState>,
    caller: Caller,
    Query(query): Query<WhereQuery>,
) -> Result<Json<List<PlaceView>>, ApiError> {
    let limit = checked_limit(query.limit)?;
    let after = query.after.as_deref().unwrap_or_default();
    if !after.is_empty() && !after.contains('@') {
        return Err(ApiError::bad_request("bad_query", "after: give the `next` of the page before"));
    }
    let (items, next) = one_page(&state, &caller, &query, (after, limit as usize)).await?;
    Ok(Json(List { items, next }))
}

/// What environments run of these applications.
pub(crate) async fn views(
    read: &mut dyn Read,
    applications: &[Application],
) -> Result<Vec<PlaceView>, ApiError> {
    let board = Board::look(read, applications).await?;
    board.views(read, &board.places(applications, None)).await
}

/// Where a place stands in a list by pages: `APPLICATION@ENVIRONMENT`.
fn mark((application, environment): Told<'_>) -> String {
    format!("{}@{}", application.name, environment.name)
}

/// By what a list by pages is in order.
fn names((application, environment): &Told<'_>) -> (String, String) {
    (application.name.to_string(), environment.name.to_string())
}

/// `limit` of what a query asks about, by name, behind the place that `after` marks; and the mark of the last of them
/// if more follow.
pub(crate) async fn one_page(
    state: &ServerState,
    caller: &Caller,
    query: &WhereQuery,
    (after, limit): (&str, usize),
) -> Result<(Vec<PlaceView>, Option<String>), ApiError> {
    let mut read = state.records.read().await?;
    let applications = asked(read.as_mut(), caller, query).await?;
    let board = Board::look(read.as_mut(), &applications).await?;
    let mut places = board.places(&applications, query.environment.as_ref());
    if let Some((application, environment)) = after.rsplit_once('@') {
        let after = (application.to_owned(), environment.to_owned());
        places.retain(|place| names(place) > after);
    }
    places.sort_by_cached_key(names);
    let more = places.len() > limit;
    places.truncate(limit);
    let items = board.views(read.as_mut(), &places).await?;
    Ok((items, places.last().filter(|_| more).copied().map(mark)))
}
