//! What people tell the receiver of a deployment that it has.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;
use slipway_records::Change;
use slipway_records::deploying::{DeploymentOrder, DeploymentWord, OrderRefused, OrderTold};
use slipway_types::Role;
use utoipa::ToSchema;

use super::deployment_views::{DeploymentDetail, DeploymentName, detail, find};
use super::labels::checked_reason;
use crate::auth::Caller;
use crate::extract::{Body, Path};
use crate::problem::ApiError;
use crate::state::ServerState;

/// The longest name of a node, in bytes.
const NODE_BYTES_MAX: usize = 253;

/// The deployment as it stands then. `202`: the order is kept, its receiver has not answered yet.
type Answered = Result<(StatusCode, Json<DeploymentDetail>), ApiError>;

/// A word to a receiver.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct OrderBody {
    /// Only at this node, with `resume`, `retry` and `promote`.
    pub(crate) node: Option<String>,
    /// Why.
    pub(crate) reason: Option<String>,
}

async fn tell(
    state: ServerState,
    caller: Caller,
    name: DeploymentName,
    word: DeploymentWord,
    body: OrderBody,
) -> Answered {
    let reason = checked_reason(body.reason)?;
    let takes_node = matches!(word, DeploymentWord::Resume | DeploymentWord::Retry | DeploymentWord::Promote);
    if body.node.is_some() && !takes_node {
        return Err(ApiError::bad_request("bad_body", "node: only `resume`, `retry` and `promote` take one"));
    }
    if body.node.as_ref().is_some_and(|node| node.is_empty() || node.len() > NODE_BYTES_MAX) {
        let detail = format!("node: expected 1 to {NODE_BYTES_MAX} bytes");
        return Err(ApiError::bad_request("bad_body", detail));
    }
    let mut read = state.records.read().await?;
    let (deployment, ..) = find(&caller, read.as_mut(), name, Role::Operator).await?;
    drop(read);
    let order = DeploymentOrder {
        deployment: deployment.id,
        word,
        node: body.node,
        person: caller.0.person().to_owned(),
        actor: caller.name().to_owned(),
        reason,
    };
    let status = match state.deploying.order(&order).await.map_err(refused)? {
        OrderTold::Told => StatusCode::OK,
        OrderTold::Kept(fault) => {
            tracing::warn!(deployment = %order.deployment, fault = fault.message, "an order is kept and told again");
            StatusCode::ACCEPTED
        }
    };
    state.records.changes().send(Change::Deployment(deployment.id));
    let mut read = state.records.read().await?;
    let (deployment, application, environment) = find(&caller, read.as_mut(), name, Role::Reader).await?;
    drop(read);
    Ok((status, Json(detail(&state, &deployment, &application, &environment).await?)))
}

fn refused(refused: OrderRefused) -> ApiError {
    match refused {
        OrderRefused::WrongState(detail) => ApiError::conflict("wrong_state", detail),
        OrderRefused::Unsupported { reason, .. } => ApiError::conflict("receiver_cannot", reason),
        OrderRefused::Refused(detail) => ApiError::conflict("receiver_refused", detail),
        OrderRefused::Failed(fault) => ApiError::of_fault(fault),
    }
}

/// Holds a deployment where it stands, if its receiver can.
#[utoipa::path(post, path = "/api/v1/deployments/{deployment}/suspend", tag = "deployments",
    params(("deployment" = String, Path)), request_body = OrderBody,
    responses((status = 200, body = DeploymentDetail),
        (status = 202, body = DeploymentDetail, description = "Kept, and told until it is answered")))]
pub(crate) async fn suspend(
    State(state): State<ServerState>,
    caller: Caller,
    Path(name): Path<DeploymentName>,
    Body(body): Body<OrderBody>,
) -> Answered {
    tell(state, caller, name, DeploymentWord::Suspend, body).await
}

/// Lets a deployment that is held go on, or a node's own hold.
#[utoipa::path(post, path = "/api/v1/deployments/{deployment}/resume", tag = "deployments",
    params(("deployment" = String, Path)), request_body = OrderBody,
    responses((status = 200, body = DeploymentDetail),
        (status = 202, body = DeploymentDetail, description = "Kept, and told until it is answered")))]
pub(crate) async fn resume(
    State(state): State<ServerState>,
    caller: Caller,
    Path(name): Path<DeploymentName>,
    Body(body): Body<OrderBody>,
) -> Answered {
    tell(state, caller, name, DeploymentWord::Resume, body).await
}

/// Lets a canary or a blue-green that is held take the place of what runs.
#[utoipa::path(post, path = "/api/v1/deployments/{deployment}/promote", tag = "deployments",
    params(("deployment" = String, Path)), request_body = OrderBody,
    responses((status = 200, body = DeploymentDetail),
        (status = 202, body = DeploymentDetail, description = "Kept, and told until it is answered")))]
pub(crate) async fn promote(
    State(state): State<ServerState>,
    caller: Caller,
    Path(name): Path<DeploymentName>,
    Body(body): Body<OrderBody>,
) -> Answered {
    tell(state, caller, name, DeploymentWord::Promote, body).await
}

/// Tries what failed again.
#[utoipa::path(post, path = "/api/v1/deployments/{deployment}/retry", tag = "deployments",
    params(("deployment" = String, Path)), request_body = OrderBody,
    responses((status = 200, body = DeploymentDetail),
        (status = 202, body = DeploymentDetail, description = "Kept, and told until it is answered")))]
pub(crate) async fn retry(
    State(state): State<ServerState>,
    caller: Caller,
    Path(name): Path<DeploymentName>,
    Body(body): Body<OrderBody>,
) -> Answered {
    tell(state, caller, name, DeploymentWord::Retry, body).await
}

/// Stops a deployment where it stands.
#[utoipa::path(post, path = "/api/v1/deployments/{deployment}/terminate", tag = "deployments",
    params(("deployment" = String, Path)), request_body = OrderBody,
    responses((status = 200, body = DeploymentDetail),
        (status = 202, body = DeploymentDetail, description = "Kept, and told until it is answered")))]
pub(crate) async fn terminate(
    State(state): State<ServerState>,
    caller: Caller,
    Path(name): Path<DeploymentName>,
    Body(body): Body<OrderBody>,
) -> Answered {
    tell(state, caller, name, DeploymentWord::Terminate, body).await
}
