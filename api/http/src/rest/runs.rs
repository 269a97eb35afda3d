//! Looking at runs.

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use slipway_records::RunFilter;
use slipway_types::selection::CommitPrefix;
use slipway_types::state::RunState;
use slipway_types::{ApplicationName, GitRef, Role};
use utoipa::IntoParams;
use uuid::Uuid;

use super::list::{List, PageQuery};
use super::run_views::{RunDetail, RunName, RunView, find_run, names_of, run_detail, run_view};
use crate::auth::Caller;
use crate::extract::{Path, Query};
use crate::problem::ApiError;
use crate::state::ServerState;

/// Which runs.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct RunQuery {
    /// Of this application.
    #[param(value_type = Option<String>)]
    application: Option<ApplicationName>,
    /// Of this branch.
    branch: Option<String>,
    /// Of this ref, by its full name.
    #[param(value_type = Option<String>)]
    r#ref: Option<GitRef>,
    /// Of a commit that begins with these digits: 4 of them to 40.
    #[param(value_type = Option<String>)]
    commit: Option<CommitPrefix>,
    /// In one of these states, separated by commas.
    state: Option<String>,
    /// Rows in the answer, 1 to 500; 50 if absent.
    limit: Option<u32>,
    /// `next` of the page before.
    #[param(value_type = Option<String>)]
    after: Option<Uuid>,
}

/// A branch's ref, or the problem that names the field.
pub(crate) fn branch_ref(branch: &str) -> Result<GitRef, ApiError> {
    format!("refs/heads/{branch}")
        .parse()
        .map_err(|error| ApiError::bad_request("bad_query", format!("branch: {error}")))
}

fn states(list: Option<&str>) -> Result<Vec<&'static str>, ApiError> {
    let state = |word: &str| {
        RunState::WORDS.into_iter().find(|known| *known == word).ok_or_else(|| {
            let known = RunState::WORDS.join(", ");
            let word: String = word.chars().take(40).collect();
            ApiError::bad_request("bad_query", format!("state: `{word}` is none of {known}"))
        })
    };
    list.map_or(Ok(Vec::new()), |list| list.split(',').map(str::trim).map(state).collect())
}

/// Runs, newest first.
#[utoipa::path(get, path = "/api/v1/runs", tag = "runs", params(RunQuery), responses((status = 200, body = List<RunView>)))]
pub(crate) async fn list(
    State(state): State<ServerState>,
    caller: Caller,
    Query(query): Query<RunQuery>,
) -> Result<Json<List<RunView>>, ApiError> {
    caller.somewhere(Role::Reader)?;
    let page = PageQuery::new(query.limit, query.after).page()?;
    let git_ref = match (&query.branch, query.r#ref) {
        (Some(branch), _) => Some(branch_ref(branch)?),
        (None, git_ref) => git_ref,
    };
    let states = states(query.state.as_deref())?;
    let mut read = state.records.read().await?;
    let application = match &query.application {
        Some(name) => Some(caller.application(read.as_mut(), name, Role::Reader).await?.id),
        None => caller.limited_to(),
    };
    let filter = RunFilter { application, git_ref, commit: query.commit, states };
    let runs = read.run_list(&filter, page.clone()).await?;
    let names = names_of(read.as_mut(), runs.iter().map(|run| run.application_id)).await?;
    let rows = runs
        .iter()
        .map(|run| (run.id.as_uuid(), run_view(run, names[&run.application_id].clone())))
        .collect();
    Ok(Json(List::page(&page, rows)))
}

/// One run with its builds.
#[utoipa::path(get, path = "/api/v1/runs/{run}", tag = "runs", params(("run" = String, Path)),
    responses((status = 200, body = RunDetail)))]
pub(crate) async fn show(
    State(state): State<ServerState>,
    caller: Caller,
    Path(name): Path<RunName>,
) -> Result<Json<RunDetail>, ApiError> {
    let mut read = state.records.read().await?;
    let (run, application) = find_run(&caller, read.as_mut(), &name, Role::Reader).await?;
    Ok(Json(run_detail(&state, read.as_mut(), &run, &application).await?))
}
