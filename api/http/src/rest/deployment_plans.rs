//! What a deployment would do, before it is made.

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use serde_json::Value;
use slipway_records::deploying::{GateView, ObjectChange, RunningView};
use slipway_records::{Deployment, DeploymentCause, NewDeployment};
use slipway_types::{GitRef, Role, Violation};
use utoipa::ToSchema;

use super::deployment_choices::{DeployBody, choose, new_deployment, request};
use super::deployment_views::in_words;
use crate::auth::Caller;
use crate::extract::Body;
use crate::problem::ApiError;
use crate::state::ServerState;

/// The bundle of a plan.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PlannedBundle {
    pub(crate) version: String,
    pub(crate) digest: String,
    /// Absent of what people composed.
    pub(crate) commit: Option<String>,
    pub(crate) branch: Option<String>,
}

/// What a bundle would become.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PlanView {
    pub(crate) bundle: PlannedBundle,
    /// Why this bundle, in words.
    pub(crate) explanation: Vec<String>,
    /// Digest of what would be frozen.
    pub(crate) revision: Option<String>,
    #[schema(value_type = Vec<Object>)]
    pub(crate) violations: Vec<Violation>,
    pub(crate) notes: Vec<String>,
    /// What would change in the cluster.
    #[schema(value_type = Vec<Object>)]
    pub(crate) differences: Vec<ObjectChange>,
    /// What the environment runs now, and how the two revisions differ.
    #[schema(value_type = Option<Object>)]
    pub(crate) running: Option<RunningView>,
    /// The objects in the order they would be applied, if that was asked. Secrets are references.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<Object>>)]
    pub(crate) objects: Option<Vec<Value>>,
    /// The nodes and what each waits for, if objects were asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub(crate) graph: Option<Value>,
    /// How the environment's gates stand now.
    #[schema(value_type = Vec<Object>)]
    pub(crate) gates: Vec<GateView>,
    /// Other environments that it reaches.
    pub(crate) reaches: Vec<String>,
}

/// What a bundle would become in an environment, or what a rollback would do, which needs no `reason` here; writes
/// nothing. With a `document` it is for operators.
#[utoipa::path(post, path = "/api/v1/deployments/plan", tag = "deployments", request_body = DeployBody,
    responses((status = 200, body = PlanView)))]
pub(crate) async fn plan(
    State(state): State<ServerState>,
    caller: Caller,
    Body(mut body): Body<DeployBody>,
) -> Result<Json<PlanView>, ApiError> {
    if body.rolls_back() {
        // Who only looks need not say why.
        body.reason.get_or_insert_with(|| "a plan".to_owned());
    }
    if body.secrets_only {
        let detail = "secrets_only: nothing is planned there, the revision that runs is taken as it is";
        return Err(ApiError::bad_request("bad_body", detail));
    }
    // A document names what it likes: its plan would tell which Secrets a namespace has, and their keys.
    let role = if body.document.is_some() { Role::Operator } else { Role::Reader };
    let mut read = state.records.read().await?;
    let chosen = choose(&caller, read.as_mut(), &body, role).await?;
    drop(read);
    if body.remove {
        let detail = "there is nothing to plan where everything goes";
        return Err(ApiError::bad_request("bad_body", detail).hint("`slipway deploy show` names what runs"));
    }
    let planned = match &chosen.cause {
        DeploymentCause::Rollback { to, was_live, .. } => {
            state.deploying.rollback_plan(&request(&chosen), *to, *was_live).await
        }
        _ => state.deploying.plan(&request(&chosen)).await,
    };
    let planned = planned.map_err(ApiError::of_fault)?;
    let draft = NewDeployment { document: None, ..new_deployment(&chosen, &caller) }
        .draft(0, chosen.bundle.created_at);
    let draft = Deployment { revision: planned.revision, ..draft };
    let gates = state.deploying.gates(&draft, &chosen.environment, &chosen.bundle).await;
    let branch = match &chosen.bundle.git_ref {
        GitRef::Branch(name) => Some(name.clone()),
        GitRef::Tag(_) => None,
    };
    Ok(Json(PlanView {
        bundle: PlannedBundle {
            version: chosen.bundle.version.to_string(),
            digest: chosen.bundle.digest.to_string(),
            commit: chosen.bundle.source_commit().map(ToString::to_string),
            branch,
        },
        explanation: in_words(&chosen.explanation),
        revision: planned.revision.map(|digest| digest.to_string()),
        violations: planned.violations,
        notes: planned.notes,
        differences: planned.differences,
        running: planned.running,
        objects: body.objects.then_some(planned.objects),
        graph: planned.graph.filter(|_| body.objects),
        gates: gates.map_err(ApiError::of_fault)?,
        reaches: planned.reaches,
    }))
}
