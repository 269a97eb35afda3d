//! Taking back what is on its way: it is stopped, and what was live before comes back. One order, stored as one row.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::json;
use slipway_records::rollback::LIVE_MAX;
use slipway_records::{
    Application, Change, Deployment, DeploymentCause, DeploymentFilter, Environment, NewAuditEntry,
    PAGE_ROWS_MAX, Page, Read, Write,
};
use slipway_types::Role;
use slipway_types::state::DeploymentState;
use utoipa::ToSchema;

use super::deployment_choices::{self, DeployBody};
use super::deployment_views::{DeploymentName, DeploymentView, find, view};
use super::deployments;
use super::labels::checked_reason;
use crate::auth::Caller;
use crate::extract::{Body, Path};
use crate::problem::ApiError;
use crate::state::ServerState;

/// Why something is taken back.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AbortBody {
    pub(crate) reason: String,
}

/// Stops a deployment that is on its way where it stands, and returns to what was live before it, past all gates. The
/// answer is the rollback; the same one if it was asked for already.
#[utoipa::path(post, path = "/api/v1/deployments/{deployment}/abort", tag = "deployments",
    params(("deployment" = String, Path)), request_body = AbortBody,
    responses((status = 201, body = DeploymentView), (status = 200, body = DeploymentView)))]
pub(crate) async fn abort(
    State(state): State<ServerState>,
    caller: Caller,
    Path(name): Path<DeploymentName>,
    Body(body): Body<AbortBody>,
) -> Result<(StatusCode, Json<DeploymentView>), ApiError> {
    let reason = checked_reason(Some(body.reason))?.filter(|reason| !reason.trim().is_empty());
    let reason = reason.ok_or_else(|| ApiError::bad_request("bad_body", "reason: say why"))?;
    let mut tx = state.records.begin().await?;
    let (deployment, application, environment) = find(&caller, tx.as_mut(), name, Role::Operator).await?;
    let aborted = Aborted { deployment, application, environment };
    if let Some(made) = aborted.aborted_by(tx.as_mut()).await? {
        return Ok((StatusCode::OK, Json(made)));
    }
    if let Err(refused) = aborted.is_on_its_way(tx.as_mut()).await {
        let made = aborted.was_aborted_by(tx.as_mut()).await?;
        return made.map(|made| (StatusCode::OK, Json(made))).ok_or(refused);
    }
    let made = aborted.take_back(tx.as_mut(), &caller, reason).await?;
    // Generations of a place are given one transaction after the other, so who asked at the same time is seen now.
    let first = aborted.aborted_by(tx.as_mut()).await?;
    if let Some(first) = first.filter(|first| first.generation < made.generation) {
        return Ok((StatusCode::OK, Json(first)));
    }
    tx.commit().await?;
    state.records.changes().send(Change::Deployment(aborted.deployment.id));
    Ok((StatusCode::CREATED, Json(made)))
}

/// What is taken back.
struct Aborted {
    deployment: Deployment,
    application: Application,
    environment: Environment,
}

impl Aborted {
    /// Refuses what has arrived or has not gone out, and what is not the newest any more.
    async fn is_on_its_way(&self, tx: &mut dyn Write) -> Result<(), ApiError> {
        let deployment = &self.deployment;
        if matches!(deployment.cause, DeploymentCause::Remove { .. }) {
            let detail = "a removal cannot be aborted: deploy again to bring back what was removed";
            return Err(ApiError::conflict("wrong_state", detail));
        }
        if !may_be_aborted(&deployment.state) {
            let detail = format!("a deployment that is {} cannot be aborted", deployment.state.word());
            let refused = ApiError::conflict("wrong_state", detail);
            return Err(if deployment.state.is_out() {
                let (application, environment) = (&self.application.name, &self.environment.name);
                refused.hint(format!(
                    "go back by a rollback: slipway deploy rollback {application} --env {environment} \
                     --reason WHY"
                ))
            } else if deployment.state.is_pending() {
                refused.hint("take it back before it goes out: slipway deploy withdraw")
            } else {
                refused
            });
        }
        let out = tx.deployment_out(self.environment.id, self.application.id).await?;
        match out {
            Some(out) if out.id != deployment.id => {
                let detail = format!("generation {} took its place", out.generation);
                Err(ApiError::conflict("wrong_state", detail))
            }
            _ => Ok(()),
        }
    }

    /// The rollback that takes it back already, if there is one; of several the first.
    async fn aborted_by(&self, tx: &mut dyn Write) -> Result<Option<DeploymentView>, ApiError> {
        let open = tx.deployments_open(self.environment.id, self.application.id).await?;
        Ok(open.iter().find(|row| self.is_aborted_by(row)).map(|row| self.shown(row)))
    }

    /// The rollback that took it back and went out, whatever became of it since; among the newest deployments there.
    async fn was_aborted_by(&self, tx: &mut dyn Write) -> Result<Option<DeploymentView>, ApiError> {
        let there = DeploymentFilter {
            application: Some(self.application.id),
            environment: Some(self.environment.id),
            ..DeploymentFilter::default()
        };
        let newest = tx.deployment_list(&there, Page::first(PAGE_ROWS_MAX)).await?;
        let first = newest.iter().rev().find(|row| row.handed_off_at.is_some() && self.is_aborted_by(row));
        Ok(first.map(|row| self.shown(row)))
    }

    fn is_aborted_by(&self, row: &Deployment) -> bool {
        matches!(row.cause, DeploymentCause::Rollback { aborts: Some(generation), .. }
            if generation == self.deployment.generation)
    }

    fn shown(&self, row: &Deployment) -> DeploymentView {
        view(row, &self.application.name.to_string(), &self.environment.name.to_string())
    }

    async fn take_back(
        &self,
        tx: &mut dyn Write,
        caller: &Caller,
        reason: String,
    ) -> Result<DeploymentView, ApiError> {
        let (application, environment) = (&self.application, &self.environment);
        let before = live_before(tx, &self.deployment, application, environment).await?;
        let names = (application.name.clone(), environment.name.clone());
        let body = DeployBody::back_to(names, before.generation, reason.clone());
        let mut chosen = deployment_choices::choose(caller, tx, &body, Role::Operator).await?;
        if let DeploymentCause::Rollback { aborts, .. } = &mut chosen.cause {
            *aborts = Some(self.deployment.generation);
        }
        let made = deployments::store(tx, caller, &chosen, Some(reason.clone())).await?;
        tx.audit(NewAuditEntry {
            actor: caller.name().to_owned(),
            action: "deployment.abort",
            subject: format!("deployment/{}", self.deployment.id),
            detail: json!({
                "person": caller.0.person(),
                "revision": self.deployment.revision,
                "back_to": before.generation,
                "reason": reason,
            }),
        })
        .await?;
        Ok(made)
    }
}

/// What was live before a deployment, which an abort of it brings back.
pub(crate) async fn live_before(
    read: &mut dyn Read,
    deployment: &Deployment,
    application: &Application,
    environment: &Environment,
) -> Result<Deployment, ApiError> {
    // What was taken away since is not what this one takes the place of.
    let removed = DeploymentFilter {
        application: Some(application.id),
        environment: Some(environment.id),
        states: vec!["deleted"],
        ..DeploymentFilter::default()
    };
    let removed = read.deployment_list(&removed, Page::first(1)).await?;
    let since = removed.first().map_or(0, |row| row.generation);
    let live = read.deployments_once_live(environment.id, application.id, LIVE_MAX).await?;
    let before = live.into_iter().find(|row| row.generation < deployment.generation);
    before.filter(|row| row.generation > since).ok_or_else(|| {
        let detail = format!("nothing of `{}` was live in `{}` before", application.name, environment.name);
        ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, "never_live", detail)
            .hint("stop it: slipway deploy terminate; or take it away: slipway deploy remove")
    })
}

fn may_be_aborted(state: &DeploymentState) -> bool {
    use DeploymentState as S;
    matches!(
        state,
        S::HandedOff { .. }
            | S::Progressing { .. }
            | S::Suspended { .. }
            | S::Failed { .. }
            | S::TimedOut { .. }
            | S::Terminating { .. }
            | S::Terminated { .. }
    )
}
