//! The graph that was frozen for a deployment.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Serialize;
use slipway_records::deploying::GraphNode;
use slipway_types::Role;
use utoipa::ToSchema;

use super::deployment_views::{DeploymentName, find};
use crate::auth::Caller;
use crate::extract::Path;
use crate::problem::ApiError;
use crate::state::ServerState;

/// What was frozen, as nodes.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct GraphView {
    /// Each after all that it waits for: name, component, `needs` and `after`, objects, and whether it holds.
    #[schema(value_type = Vec<Object>)]
    nodes: Vec<GraphNode>,
}

/// The nodes of a deployment's frozen revision and what each waits for. How they stand, the deployment's `receiver`
/// says.
#[utoipa::path(get, path = "/api/v1/deployments/{deployment}/graph", tag = "deployments",
    params(("deployment" = String, Path)), responses((status = 200, body = GraphView)))]
pub(crate) async fn show(
    State(state): State<ServerState>,
    caller: Caller,
    Path(name): Path<DeploymentName>,
) -> Result<Json<GraphView>, ApiError> {
    let mut read = state.records.read().await?;
    let (deployment, ..) = find(&caller, read.as_mut(), name, Role::Reader).await?;
    drop(read);
    let nodes = state.deploying.graph(&deployment).await.map_err(ApiError::of_fault)?;
    let nodes = nodes.ok_or_else(|| {
        ApiError::new(StatusCode::NOT_FOUND, "no_graph", "nothing is frozen, or it is not kept any more")
            .hint("`slipway deploy show` tells how far the deployment came")
    })?;
    Ok(Json(GraphView { nodes }))
}
