//! What people say of a deployment: yes, no, take it back, let it past.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use chrono::Utc;
use serde::Deserialize;
use serde_json::json;
use slipway_records::job::{JobPayload, NewJob};
use slipway_records::{Approval, Change, Deployment, NewAuditEntry, Write, incident, pull_token};
use slipway_types::state::{DeploymentEvent, DeploymentState};
use slipway_types::{Digest, Role};
use utoipa::ToSchema;

use super::deployment_views::{DeploymentDetail, DeploymentName, detail, find};
use super::labels::checked_reason;
use crate::auth::Caller;
use crate::extract::{Body, Path};
use crate::problem::ApiError;
use crate::state::ServerState;

/// A yes.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ApproveBody {
    /// The revision that was looked at; must be the deployment's.
    #[schema(value_type = String)]
    pub(crate) revision: Digest,
    pub(crate) reason: Option<String>,
}

/// A no.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct DeclineBody {
    pub(crate) reason: Option<String>,
}

/// Why closed gates are passed.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct BreakGlassBody {
    pub(crate) reason: String,
}

fn entry(
    caller: &Caller,
    action: &'static str,
    deployment: &Deployment,
    reason: Option<&String>,
) -> NewAuditEntry {
    NewAuditEntry {
        actor: caller.name().to_owned(),
        action,
        subject: format!("deployment/{}", deployment.id),
        detail: json!({
            "person": caller.0.person(),
            "revision": deployment.revision,
            "reason": reason,
        }),
    }
}

async fn wake(tx: &mut dyn Write, deployment: &Deployment) -> Result<(), ApiError> {
    let job = JobPayload::Deploy { deployment: deployment.id };
    tx.job_enqueue(NewJob::new(job, Some(deployment.application_id))).await?;
    let follow = JobPayload::Follow { application: deployment.application_id };
    tx.job_enqueue(NewJob::new(follow, Some(deployment.application_id))).await?;
    Ok(())
}

fn refused(deployment: &Deployment, what: &str) -> ApiError {
    let detail = format!("a deployment that is {} cannot be {what}", deployment.state.word());
    ApiError::conflict("wrong_state", detail)
}

/// Stores a transition that a person caused.
async fn say(
    tx: &mut dyn Write,
    deployment: &mut Deployment,
    event: DeploymentEvent,
    what: &str,
) -> Result<(), ApiError> {
    let state = deployment.state.clone().apply(event).map_err(|_| refused(deployment, what))?;
    if state.is_terminal() {
        deployment.finished_at = Some(Utc::now());
    }
    let was = std::mem::replace(&mut deployment.state, state);
    if tx.deployment_save(deployment).await? {
        return incident::follow(tx, &was, deployment).await.map_err(ApiError::from);
    }
    Err(ApiError::conflict("changed_meanwhile", "the deployment changed just now").hint("look at it again"))
}

async fn shown(
    state: &ServerState,
    caller: &Caller,
    name: DeploymentName,
) -> Result<Json<DeploymentDetail>, ApiError> {
    let mut read = state.records.read().await?;
    let (deployment, application, environment) = find(caller, read.as_mut(), name, Role::Reader).await?;
    drop(read);
    state.records.changes().send(Change::Deployment(deployment.id));
    Ok(Json(detail(state, &deployment, &application, &environment).await?))
}

/// Says yes to exactly one revision.
#[utoipa::path(post, path = "/api/v1/deployments/{deployment}/approve", tag = "deployments",
    params(("deployment" = String, Path)), request_body = ApproveBody,
    responses((status = 200, body = DeploymentDetail)))]
pub(crate) async fn approve(
    State(state): State<ServerState>,
    caller: Caller,
    Path(name): Path<DeploymentName>,
    Body(body): Body<ApproveBody>,
) -> Result<Json<DeploymentDetail>, ApiError> {
    let reason = checked_reason(body.reason)?;
    let mut tx = state.records.begin().await?;
    let (deployment, _, environment) = find(&caller, tx.as_mut(), name, Role::Operator).await?;
    let is_open =
        matches!(deployment.state, DeploymentState::Frozen { .. } | DeploymentState::Awaiting { .. });
    if !is_open {
        return Err(refused(&deployment, "approved"));
    }
    if deployment.revision != Some(body.revision) {
        let detail = format!("the revision {} is not this deployment's", body.revision);
        return Err(ApiError::conflict("other_revision", detail).hint("look at what is to be approved again"));
    }
    if environment.settings.gates.approvals.is_none() {
        let detail = format!("`{}` asks for no approvals", environment.name);
        return Err(ApiError::conflict("no_approvals", detail));
    }
    let approval = Approval {
        deployment_id: deployment.id,
        person: caller.0.person().to_owned(),
        revision: body.revision,
        token: caller.name().to_owned(),
        reason: reason.clone(),
        at: Utc::now(),
    };
    tx.approval_put(&approval).await?;
    tx.audit(entry(&caller, "deployment.approve", &deployment, reason.as_ref())).await?;
    wake(tx.as_mut(), &deployment).await?;
    tx.commit().await?;
    shown(&state, &caller, name).await
}

/// Says no: the deployment ends.
#[utoipa::path(post, path = "/api/v1/deployments/{deployment}/decline", tag = "deployments",
    params(("deployment" = String, Path)), request_body = DeclineBody,
    responses((status = 200, body = DeploymentDetail)))]
pub(crate) async fn decline(
    State(state): State<ServerState>,
    caller: Caller,
    Path(name): Path<DeploymentName>,
    Body(body): Body<DeclineBody>,
) -> Result<Json<DeploymentDetail>, ApiError> {
    let reason = checked_reason(body.reason)?;
    let mut tx = state.records.begin().await?;
    let (mut deployment, ..) = find(&caller, tx.as_mut(), name, Role::Operator).await?;
    let event = DeploymentEvent::Decline(caller.0.person().to_owned(), reason.clone());
    say(tx.as_mut(), &mut deployment, event, "declined").await?;
    tx.audit(entry(&caller, "deployment.decline", &deployment, reason.as_ref())).await?;
    pull_token::follow(tx.as_mut(), &deployment).await?;
    wake(tx.as_mut(), &deployment).await?;
    tx.commit().await?;
    shown(&state, &caller, name).await
}

/// Takes a deployment back before it goes out.
#[utoipa::path(post, path = "/api/v1/deployments/{deployment}/withdraw", tag = "deployments",
    params(("deployment" = String, Path)), responses((status = 200, body = DeploymentDetail)))]
pub(crate) async fn withdraw(
    State(state): State<ServerState>,
    caller: Caller,
    Path(name): Path<DeploymentName>,
) -> Result<Json<DeploymentDetail>, ApiError> {
    let mut tx = state.records.begin().await?;
    let (mut deployment, ..) = find(&caller, tx.as_mut(), name, Role::Operator).await?;
    let event = DeploymentEvent::Withdraw(caller.0.person().to_owned());
    say(tx.as_mut(), &mut deployment, event, "withdrawn").await?;
    tx.audit(entry(&caller, "deployment.withdraw", &deployment, None)).await?;
    pull_token::follow(tx.as_mut(), &deployment).await?;
    wake(tx.as_mut(), &deployment).await?;
    tx.commit().await?;
    shown(&state, &caller, name).await
}

/// Goes past closed gates: a right of its own, with a reason, and an alarm.
#[utoipa::path(post, path = "/api/v1/deployments/{deployment}/break-glass", tag = "deployments",
    params(("deployment" = String, Path)), request_body = BreakGlassBody,
    responses((status = 200, body = DeploymentDetail)))]
pub(crate) async fn break_glass(
    State(state): State<ServerState>,
    caller: Caller,
    Path(name): Path<DeploymentName>,
    Body(body): Body<BreakGlassBody>,
) -> Result<Json<DeploymentDetail>, ApiError> {
    let reason = checked_reason(Some(body.reason))?.filter(|reason| !reason.trim().is_empty());
    let reason = reason.ok_or_else(|| ApiError::bad_request("bad_body", "reason: say why"))?;
    let mut tx = state.records.begin().await?;
    let (mut deployment, application, environment) = find(&caller, tx.as_mut(), name, Role::Operator).await?;
    if !caller.0.may_break_glass() {
        let detail = "this token may not go past closed gates";
        return Err(ApiError::new(StatusCode::FORBIDDEN, "no_break_glass", detail)
            .hint("an admin gives that right: slipway token create NAME --role operator --break-glass"));
    }
    let event = DeploymentEvent::Approve(Some(caller.0.person().to_owned()), Utc::now());
    say(tx.as_mut(), &mut deployment, event, "let past the gates").await?;
    deployment.notes.push(format!("{} went past the gates: {reason}", caller.0.person()));
    if !tx.deployment_save(&mut deployment).await? {
        return Err(refused(&deployment, "let past the gates"));
    }
    let told = format!("{} went past the gates: {reason}", caller.0.person());
    incident::gates_broken(tx.as_mut(), &deployment, &told).await?;
    tx.audit(entry(&caller, "deployment.break_glass", &deployment, Some(&reason))).await?;
    wake(tx.as_mut(), &deployment).await?;
    tx.commit().await?;
    tracing::warn!(
        person = caller.0.person(),
        application = %application.name,
        environment = %environment.name,
        generation = deployment.generation,
        reason,
        "somebody went past closed gates: review it"
    );
    state.metrics.gates_broken();
    shown(&state, &caller, name).await
}
