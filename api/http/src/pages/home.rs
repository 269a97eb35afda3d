//! `/`: the applications, how they stand, and what needs the visitor.

use std::collections::HashMap;

use askama::Template;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Redirect, Response};
use chrono::{DateTime, Utc};
use serde::Deserialize;
use slipway_records::{
    Application, DeclaredCheck, Deployment, DeploymentFilter, PackageVersion, Page, Read, Run, RunFilter,
    VersionFilter,
};
use slipway_types::Role;
use slipway_types::id::{ApplicationId, EnvironmentId, VersionId};

use super::address;
use super::failure::wants_page;
use super::frame::{Frame, Section, show};
use super::parts::{Moment, Status, Tone};
use super::texts::Texts;
use super::visitor::{Member, Visitor};
use crate::auth::Caller;
use crate::extract::Query;
use crate::operation::landing;
use crate::problem::ApiError;
use crate::state::ServerState;

/// Applications on one page.
const ROWS_MAX: usize = 20;
/// Most things that are said to need somebody.
const NEEDS_MAX: usize = 20;
/// Most runs, and most checks, that are looked at because they are red and the last of their application.
const FAILED_MAX: u32 = 200;
/// Most deployments that are looked at for waiting at gates.
const WAITING_MAX: u32 = 200;
/// Most deployments that are looked at because they run not as they were wanted: of all applications, and only then
/// those of the name that is looked for.
const TROUBLED_MAX: u32 = 1_000;
/// Most deployments that are looked at because they never went out.
const FALLEN_MAX: u32 = 200;

/// Which applications.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct HomeQuery {
    /// A part of their names.
    #[serde(default)]
    q: String,
    /// The name of the last one of the page before.
    #[serde(default)]
    after: String,
}

/// The applications.
#[derive(Template)]
#[template(path = "home.html")]
struct HomePage {
    t: &'static Texts,
    frame: Frame,
    may_create: bool,
    /// Whether there is none at all.
    is_first_visit: bool,
    needs: Vec<Need>,
    /// How many there are, with those that are not listed.
    needs_count: usize,
    more_needs: Option<String>,
    q: String,
    rows: Vec<Row>,
    next: Option<String>,
}

/// Something that waits for people.
struct Need {
    status: Status,
    what: String,
    why: Option<String>,
    address: String,
}

/// An application.
struct Row {
    name: String,
    address: String,
    run: Option<RunLine>,
    bundle: Option<BundleLine>,
    places: Vec<PlaceLine>,
}

struct RunLine {
    status: Status,
    number: i64,
    git_ref: String,
    address: String,
    at: Moment,
}

struct BundleLine {
    version: String,
    address: String,
    at: Moment,
}

struct PlaceLine {
    environment: String,
    /// The deployment's page.
    address: String,
    status: Status,
    version: String,
}

/// Where there is something to do about deployments.
struct Board {
    environments: HashMap<EnvironmentId, String>,
    /// What runs and is not as it was wanted, or held until somebody lets it go on.
    troubled: Vec<Deployment>,
    waiting: Vec<Deployment>,
    /// What never went out, where nothing newer was asked for.
    fallen: Vec<Deployment>,
}

/// The applications for people; what this server is for programs.
pub(super) async fn root(
    State(state): State<ServerState>,
    visitor: Visitor,
    query: Result<Query<HomeQuery>, ApiError>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    if !wants_page(&headers) {
        return Ok(landing::page(State(state)).await.into_response());
    }
    let member = Member::of(visitor)?;
    home(&state, &member, query?.0).await
}

/// Who takes away the end of an address comes to `/applications`.
pub(super) async fn elsewhere() -> Redirect {
    Redirect::to("/")
}

async fn home(state: &ServerState, member: &Member, query: HomeQuery) -> Result<Response, ApiError> {
    let (t, caller) = (member.visitor.texts(), &member.session.caller);
    caller.somewhere(Role::Reader)?;
    let mut read = state.records.read().await?;
    let mut seen = read.application_list().await?;
    seen.retain(|application| caller.may(Role::Reader, Some(application.id)));
    let is_first_visit = seen.is_empty();
    let wanted = query.q.trim().to_ascii_lowercase();
    seen.retain(|application| application.name.to_string().contains(&wanted));
    let board = Board::look(read.as_mut(), caller).await?;
    let mut needs = board.needs(t, &seen);
    needs.extend(failed_runs(read.as_mut(), t, &seen).await?);
    needs.extend(held_bundles(read.as_mut(), t, &seen).await?);
    let needs_count = needs.len();
    needs.truncate(NEEDS_MAX);
    let more = needs_count - needs.len();
    let (shown, next) = page(seen, &query);
    let out = board.out(read.as_mut(), &shown).await?;
    let now = Utc::now();
    let mut rows = Vec::new();
    for application in &shown {
        let run = last_run(read.as_mut(), application.id).await?;
        rows.push(Row {
            name: application.name.to_string(),
            address: address::application(&application.name),
            run: run.map(|run| run_line(t, application, &run, now)),
            bundle: last_bundle(read.as_mut(), application, t, now).await?,
            places: board.places(t, &out, application.id),
        });
    }
    show(&HomePage {
        t,
        frame: Frame::new(&member.visitor, Section::Applications, t.applications),
        may_create: caller.may(Role::Admin, None),
        is_first_visit,
        needs,
        needs_count,
        more_needs: (more > 0).then(|| (t.deployment.more)(more)),
        q: query.q,
        rows,
        next,
    })
}

/// The page of applications that was asked for, and the address of the next one.
fn page(mut all: Vec<Application>, query: &HomeQuery) -> (Vec<Application>, Option<String>) {
    all.retain(|application| query.after.is_empty() || application.name.to_string() > query.after);
    all.sort_by_key(|application| application.name.to_string());
    let more = all.len() > ROWS_MAX;
    all.truncate(ROWS_MAX);
    let last = all.last().filter(|_| more).map(|application| application.name.to_string());
    let next = last.map(|last| address::with_query("/", [("q", query.q.as_str()), ("after", last.as_str())]));
    (all, next)
}

async fn last_run(read: &mut dyn Read, application: ApplicationId) -> Result<Option<Run>, ApiError> {
    let filter = RunFilter { application: Some(application), ..RunFilter::default() };
    Ok(read.run_list(&filter, Page::first(1)).await?.into_iter().next())
}

async fn last_bundle(
    read: &mut dyn Read,
    application: &Application,
    t: &'static Texts,
    now: DateTime<Utc>,
) -> Result<Option<BundleLine>, ApiError> {
    let filter = VersionFilter {
        application: Some(application.id),
        component: Some(None),
        ..VersionFilter::default()
    };
    let found = read.version_list(&filter, Page::first(1)).await?.into_iter().next();
    Ok(found.map(|found| BundleLine {
        version: found.version.to_string(),
        address: address::bundle(&application.name, &found.version),
        at: Moment::new(t, found.created_at, now),
    }))
}

fn run_line(t: &'static Texts, application: &Application, run: &Run, now: DateTime<Utc>) -> RunLine {
    RunLine {
        status: Status::of(t, run.state.word()),
        number: run.number,
        git_ref: run.git_ref.short().to_owned(),
        address: address::run(&application.name, run.number),
        at: Moment::new(t, run.finished_at.unwrap_or(run.created_at), now),
    }
}

/// The applications among `seen` whose last run failed.
async fn failed_runs(
    read: &mut dyn Read,
    t: &'static Texts,
    seen: &[Application],
) -> Result<Vec<Need>, ApiError> {
    let failed = read.runs_failed_last(FAILED_MAX).await?;
    let need = |run: &Run| {
        let application = seen.iter().find(|one| one.id == run.application_id)?;
        Some(need_of_run(t, application, run))
    };
    Ok(failed.iter().filter_map(need).collect())
}

fn need_of_run(t: &'static Texts, application: &Application, run: &Run) -> Need {
    Need {
        status: Status::of(t, run.state.word()),
        what: t.run_of(&application.name.to_string(), run.number),
        why: run.state.reason(),
        address: address::run(&application.name, run.number),
    }
}

/// What the last runs of applications among `seen` published and checks hold.
async fn held_bundles(
    read: &mut dyn Read,
    t: &'static Texts,
    seen: &[Application],
) -> Result<Vec<Need>, ApiError> {
    let red = read.declared_checks_red_last(FAILED_MAX).await?;
    let mut ids: Vec<VersionId> = red.iter().map(|check| check.version_id).collect();
    // They are in the order of versions.
    ids.dedup();
    let versions = read.versions_get(&ids).await?;
    let need = |version: &PackageVersion| {
        let application = seen.iter().find(|one| one.id == version.application_id)?;
        let own = red.iter().filter(|check| check.version_id == version.id);
        let standings: Vec<String> = own.map(DeclaredCheck::standing).collect();
        Some(Need {
            status: Status::told(Tone::Bad, t.held),
            what: format!("{} {}", application.name, version.version),
            why: Some(standings.join("; ")),
            address: address::bundle(&application.name, &version.version),
        })
    };
    Ok(versions.iter().filter_map(need).collect())
}

impl Board {
    async fn look(read: &mut dyn Read, caller: &Caller) -> Result<Self, ApiError> {
        let environments = read.environment_list().await?;
        let environments =
            environments.into_iter().map(|environment| (environment.id, environment.name.to_string()));
        let filter = DeploymentFilter {
            application: caller.limited_to(),
            states: vec!["awaiting"],
            ..DeploymentFilter::default()
        };
        let waiting = read.deployment_list(&filter, Page::first(WAITING_MAX)).await?;
        let fallen = read.deployments_fallen_last(FALLEN_MAX).await?;
        let troubled = read.deployments_troubled(caller.limited_to(), TROUBLED_MAX).await?;
        Ok(Self { environments: environments.collect(), troubled, waiting, fallen })
    }

    /// What runs of these applications, in environments that there are.
    async fn out(
        &self,
        read: &mut dyn Read,
        applications: &[Application],
    ) -> Result<Vec<Deployment>, ApiError> {
        let applications: Vec<_> = applications.iter().map(|application| application.id).collect();
        let environments: Vec<_> = self.environments.keys().copied().collect();
        Ok(read.deployments_out_among(&applications, &environments).await?)
    }

    /// Where an application is among what is `out`, by environment.
    fn places(&self, t: &'static Texts, out: &[Deployment], application: ApplicationId) -> Vec<PlaceLine> {
        let own = out.iter().filter(|row| row.application_id == application);
        let line = |row: &Deployment| {
            Some(PlaceLine {
                environment: self.environments.get(&row.environment_id)?.clone(),
                address: address::deployment(row.id),
                status: Status::of(t, row.state.word()),
                version: row.bundle_version.to_string(),
            })
        };
        let mut places: Vec<_> = own.filter_map(line).collect();
        places.sort_by(|one, other| one.environment.cmp(&other.environment));
        places
    }

    /// What waits at gates, then what is not as it was wanted or is held, then what never went out.
    fn needs(&self, t: &'static Texts, seen: &[Application]) -> Vec<Need> {
        let names: HashMap<_, _> = seen.iter().map(|one| (one.id, one.name.to_string())).collect();
        let need = |row: &Deployment| {
            let (name, environment) =
                (names.get(&row.application_id)?, self.environments.get(&row.environment_id)?);
            let status = match row.state.has_drifted() {
                true => Status::told(Tone::Bad, t.drifted),
                false => Status::of(t, row.state.word()),
            };
            Some(Need {
                status,
                what: t.deployed_to(name, environment),
                why: row.state.reason(),
                address: address::deployment(row.id),
            })
        };
        self.waiting.iter().chain(&self.troubled).chain(&self.fallen).filter_map(need).collect()
    }
}
