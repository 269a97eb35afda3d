//! What a commit would build, without building it.

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use slipway_records::port::PlanView;
use slipway_types::{ApplicationName, CommitId, Role};
use utoipa::ToSchema;

use super::run_actions::resolve;
use crate::auth::Caller;
use crate::extract::Body;
use crate::problem::ApiError;
use crate::state::ServerState;

/// What is to be planned.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PlanRequest {
    #[schema(value_type = String)]
    application: ApplicationName,
    /// Full ref, or the name of a branch or tag.
    r#ref: Option<String>,
    /// A commit; the ref's head if absent.
    #[schema(value_type = Option<String>)]
    commit: Option<CommitId>,
}

/// Plans a commit: per component whether it would be built, reused or packed, and why.
#[utoipa::path(post, path = "/api/v1/plan", tag = "runs", request_body = PlanRequest,
    responses((status = 200, body = Object)))]
pub(crate) async fn plan(
    State(state): State<ServerState>,
    caller: Caller,
    Body(wanted): Body<PlanRequest>,
) -> Result<Json<PlanView>, ApiError> {
    let mut read = state.records.read().await?;
    let application = caller.application(read.as_mut(), &wanted.application, Role::Reader).await?;
    let commit = match (wanted.commit, &wanted.r#ref) {
        (Some(commit), _) => commit,
        (None, Some(name)) => {
            let (git_ref, commit) = resolve(read.as_mut(), &application, name, None).await?;
            commit.ok_or_else(|| ApiError::not_found("branch or tag", git_ref))?
        }
        (None, None) => return Err(ApiError::bad_request("bad_body", "give `ref` or `commit`")),
    };
    drop(read);
    state.planning.plan(&application, &commit).await.map(Json).map_err(ApiError::of_fault)
}
