//! How the objects of a deployment stand in its cluster now.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use slipway_records::failure::FoundEvent;
use slipway_records::{Application, Deployment, Environment, LiveObject, LiveObjects, LiveState, LiveWanted};
use slipway_types::Role;
use utoipa::{IntoParams, ToSchema};

use super::deployment_views::{DeploymentName, find};
use crate::auth::Caller;
use crate::extract::{Path, Query};
use crate::problem::ApiError;
use crate::state::ServerState;

/// Which objects.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct ObjectsQuery {
    /// Of this node; of all nodes in the order of the graph if absent.
    node: Option<String>,
    /// `next` of the answer before.
    #[serde(default)]
    from: usize,
}

/// Objects as the cluster has them.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ObjectsView {
    /// When the cluster was asked, which it is every few seconds at most.
    asked_at: DateTime<Utc>,
    objects: Vec<ObjectView>,
    /// Give this as `from` to get the objects that follow; absent at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<usize>,
    /// What could not be read, or was left out, and why.
    notes: Vec<String>,
}

/// An object as the cluster has it; nothing of what it holds.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ObjectView {
    node: String,
    /// `apps/v1/Deployment shop/web`.
    object: String,
    /// `ready`, `progressing`, `failed`, `missing`, or `unknown` if it could not be read or does not say that it is the
    /// application's.
    #[schema(value_type = String)]
    state: LiveState,
    /// Why it is not ready; else empty.
    why: String,
    /// When it was made.
    created_at: Option<DateTime<Utc>>,
    /// Which generation wrote it last, of what the built-in core wrote.
    generation: Option<u64>,
    /// The newest events about it, and where it is not ready about its ReplicaSets and pods; the newest last.
    #[schema(value_type = Vec<Object>)]
    events: Vec<FoundEvent>,
}

impl From<LiveObject> for ObjectView {
    fn from(live: LiveObject) -> Self {
        let LiveObject { node, object, state, why, created_at, generation, events } = live;
        Self { node, object, state, why, created_at, generation, events }
    }
}

impl From<LiveObjects> for ObjectsView {
    fn from(found: LiveObjects) -> Self {
        Self {
            asked_at: found.asked_at,
            objects: found.objects.into_iter().map(ObjectView::from).collect(),
            next: found.next,
            notes: found.notes,
        }
    }
}

/// What the cluster says of a deployment's objects.
pub(crate) async fn look(
    state: &ServerState,
    (deployment, application, environment): (&Deployment, &Application, &Environment),
    wanted: &LiveWanted,
) -> Result<LiveObjects, ApiError> {
    let found = state.deploying.live_objects(deployment, application, environment, wanted).await;
    found.map_err(ApiError::of_fault)?.ok_or_else(|| {
        ApiError::new(StatusCode::NOT_FOUND, "no_graph", "nothing is frozen, or it is not kept any more")
            .hint("`slipway deploy show` tells how far the deployment came")
    })
}

/// How the objects of a deployment's frozen revision stand in its cluster now: health by the rules of their kinds, age and
/// newest events. The cluster is asked for this; nothing of it is stored.
#[utoipa::path(get, path = "/api/v1/deployments/{deployment}/objects", tag = "deployments",
    params(("deployment" = String, Path), ObjectsQuery), responses((status = 200, body = ObjectsView)))]
pub(crate) async fn show(
    State(state): State<ServerState>,
    caller: Caller,
    Path(name): Path<DeploymentName>,
    Query(query): Query<ObjectsQuery>,
) -> Result<Json<ObjectsView>, ApiError> {
    let mut read = state.records.read().await?;
    let (deployment, application, environment) = find(&caller, read.as_mut(), name, Role::Reader).await?;
    drop(read);
    let wanted = LiveWanted { node: query.node, from: query.from };
    let found = look(&state, (&deployment, &application, &environment), &wanted).await?;
    Ok(Json(found.into()))
}
