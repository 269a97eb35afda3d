//! What was found when nodes of a deployment failed, and what their containers wrote before.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use slipway_records::Failure;
use slipway_records::failure::{Found, FoundContainer, FoundEvent, FoundLog, FoundObject};
use slipway_types::Role;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::deployment_views::{DeploymentName, find};
use super::list::List;
use super::logs::read_piece;
use crate::auth::Caller;
use crate::extract::{Path, Query};
use crate::problem::ApiError;
use crate::state::ServerState;

/// What was found when a node failed or timed out.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct FailureView {
    /// Its name in addresses.
    id: String,
    node: String,
    /// Which of the node's attempts.
    attempt: u32,
    /// `failed` or `timed_out`.
    state: String,
    /// When it failed.
    at: DateTime<Utc>,
    /// What stood in the way.
    blocker: String,
    /// The node's objects that were not ready, with the conditions of their status.
    #[schema(value_type = Vec<Object>)]
    objects: Vec<FoundObject>,
    /// Events about them, their ReplicaSets and pods, the newest last.
    #[schema(value_type = Vec<Object>)]
    events: Vec<FoundEvent>,
    /// Containers that could not run: state, exit code, restarts, and of what each wrote (`log`, and `previous` before
    /// its last start) how many lines are kept, and the last few.
    #[schema(value_type = Vec<Object>)]
    containers: Vec<FoundContainer>,
    /// What could not be read, or was left out, and why.
    notes: Vec<String>,
}

impl From<Failure> for FailureView {
    fn from(failure: Failure) -> Self {
        let Found { state, blocker, objects, events, containers, notes } = failure.found;
        Self {
            id: failure.id.to_string(),
            node: failure.node,
            attempt: failure.attempt,
            state,
            at: failure.at,
            blocker,
            objects,
            events,
            containers,
            notes,
        }
    }
}

/// Which log of a failure.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct FailureLogQuery {
    /// Of this pod.
    pod: Option<String>,
    /// Of this container; the first that wrote something if absent.
    container: Option<String>,
    /// What it wrote before it was started again.
    #[serde(default)]
    previous: bool,
}

impl FailureLogQuery {
    /// What a link asks for; an empty text asks for any.
    pub(crate) fn of(pod: &str, container: &str, previous: bool) -> Self {
        let given = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        Self { pod: given(pod), container: given(container), previous }
    }
}

/// The kept log that is meant.
fn choose<'f>(found: &'f Found, query: &FailureLogQuery) -> Result<&'f FoundLog, ApiError> {
    let fits = |wanted: Option<&str>, name: &str| wanted.is_none_or(|wanted| wanted == name);
    let meant = |container: &&FoundContainer| {
        fits(query.pod.as_deref(), &container.pod) && fits(query.container.as_deref(), &container.container)
    };
    let containers: Vec<&FoundContainer> = found.containers.iter().filter(meant).collect();
    if containers.is_empty() {
        let known = found.containers.iter().map(|known| format!("{}/{}", known.pod, known.container));
        let known = known.collect::<Vec<_>>().join(", ");
        let answer = ApiError::new(StatusCode::NOT_FOUND, "not_found", "there is no such container in it");
        let hint = if known.is_empty() { "no container ran".to_owned() } else { format!("known: {known}") };
        return Err(answer.hint(hint));
    }
    let piece = |container: &&'f FoundContainer| -> Option<&'f FoundLog> {
        if query.previous { container.previous.as_ref() } else { Some(&container.log) }
    };
    let pieces: Vec<&FoundLog> = containers.iter().filter_map(piece).collect();
    if let Some(piece) = pieces.iter().copied().find(|piece| piece.bytes > 0) {
        return Ok(piece);
    }
    let why = pieces.iter().find_map(|piece| piece.problem.as_deref());
    let why = why.unwrap_or("it was not started again");
    Err(ApiError::new(StatusCode::NOT_FOUND, "no_log", format!("there is no log: {why}")))
}

/// What was found when nodes of a deployment failed or timed out, in the order in which it was gathered. Receivers
/// other than the built-in core give none.
#[utoipa::path(get, path = "/api/v1/deployments/{deployment}/failures", tag = "deployments",
    params(("deployment" = String, Path)), responses((status = 200, body = List<FailureView>)))]
pub(crate) async fn list(
    State(state): State<ServerState>,
    caller: Caller,
    Path(name): Path<DeploymentName>,
) -> Result<Json<List<FailureView>>, ApiError> {
    let mut read = state.records.read().await?;
    let (deployment, ..) = find(&caller, read.as_mut(), name, Role::Reader).await?;
    let failures = read.failures_of(deployment.id).await?;
    Ok(Json(List::whole(failures.into_iter().map(FailureView::from).collect())))
}

/// The last lines that a container wrote before its node failed.
#[utoipa::path(get, path = "/api/v1/deployments/{deployment}/failures/{failure}/log", tag = "deployments",
    params(("deployment" = String, Path), ("failure" = String, Path), FailureLogQuery),
    responses((status = 200, body = String, content_type = "text/plain")))]
pub(crate) async fn log(
    State(state): State<ServerState>,
    caller: Caller,
    Path((name, id)): Path<(DeploymentName, Uuid)>,
    Query(query): Query<FailureLogQuery>,
) -> Result<Response, ApiError> {
    let mut read = state.records.read().await?;
    let (deployment, ..) = find(&caller, read.as_mut(), name, Role::Reader).await?;
    let failures = read.failures_of(deployment.id).await?;
    drop(read);
    let failure = failures.into_iter().find(|failure| failure.id == id);
    let failure = failure.ok_or_else(|| ApiError::not_found("failure", id))?;
    let piece = choose(&failure.found, &query)?;
    let bytes = read_piece(&state, failure.id, piece.offset, piece.bytes).await?;
    if bytes.is_empty() {
        let detail = "there is no log: it is older than `gc.keep_log_days`";
        return Err(ApiError::new(StatusCode::NOT_FOUND, "no_log", detail));
    }
    Ok(([(CONTENT_TYPE, "text/plain; charset=utf-8")], bytes).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn container(pod: &str, name: &str, bytes: u64, previous: Option<u64>) -> FoundContainer {
        let piece = |bytes| FoundLog {
            bytes,
            problem: (bytes == 0).then(|| format!("{name} wrote nothing")),
            ..Default::default()
        };
        FoundContainer {
            pod: pod.into(),
            container: name.into(),
            log: piece(bytes),
            previous: previous.map(piece),
            ..Default::default()
        }
    }

    #[test]
    fn the_first_log_of_what_is_meant_is_given_or_why_there_is_none() {
        let found = Found {
            containers: vec![
                container("a", "main", 0, None),
                container("a", "side", 2, None),
                container("b", "main", 3, Some(4)),
            ],
            ..Default::default()
        };
        let given = |pod: Option<&str>, name: Option<&str>, previous| {
            let query =
                FailureLogQuery { pod: pod.map(Into::into), container: name.map(Into::into), previous };
            choose(&found, &query)
                .map(|piece| piece.bytes)
                .map_err(|error| (error.code(), error.detail().to_owned()))
        };
        assert_eq!(given(None, None, false), Ok(2));
        assert_eq!(given(None, Some("main"), false), Ok(3));
        assert_eq!(given(None, None, true), Ok(4));
        assert_eq!(given(Some("b"), None, false), Ok(3));
        let none = |given: Result<u64, (&'static str, String)>| given.expect_err("none");
        assert_eq!(none(given(Some("a"), Some("main"), false)).1, "there is no log: main wrote nothing");
        assert_eq!(none(given(Some("a"), None, true)).1, "there is no log: it was not started again");
        assert_eq!(none(given(Some("c"), None, false)).0, "not_found");
    }
}
