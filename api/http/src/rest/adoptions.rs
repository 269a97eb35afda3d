//! Taking over what other tools deployed.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use slipway_records::{AdoptFate, AdoptFrom, AdoptPlan, AdoptRequest, AdoptedView, DeploymentCause};
use slipway_types::name::EnvironmentName;
use slipway_types::selection::Selection;
use slipway_types::{ApplicationName, Role, Version, Violation};
use utoipa::ToSchema;

use super::deployment_choices::{self, Chosen, DeployBody};
use super::deployment_views::DeploymentView;
use super::deployments;
use super::labels::checked_reason;
use crate::auth::Caller;
use crate::extract::Body;
use crate::problem::ApiError;
use crate::state::ServerState;

/// The longest name of a release, in characters.
const RELEASE_CHARS_MAX: usize = 253;
/// So many objects that cannot be taken over are named in an error.
const NAMED_MAX: usize = 5;

/// What takes over, and from which tool. Without `bundle` and `select` the newest release.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AdoptBody {
    #[schema(value_type = String)]
    application: ApplicationName,
    #[schema(value_type = String)]
    environment: EnvironmentName,
    /// From which kind of tool: `helm`, `argocd` or `manifests`.
    #[schema(value_type = String)]
    from: AdoptFrom,
    /// The Helm release or Argo CD application; any if absent. Not with `manifests`.
    release: Option<String>,
    /// Exactly this bundle.
    #[schema(value_type = Option<String>)]
    bundle: Option<Version>,
    /// The highest bundle that matches.
    #[schema(value_type = Option<Object>)]
    select: Option<Selection>,
    /// Configuration for this deployment alone: an OAM Application.
    document: Option<String>,
    /// Why.
    reason: Option<String>,
}

/// What taking over would do.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AdoptionView {
    /// Version of the bundle.
    bundle: String,
    /// Digest of what would be frozen.
    revision: Option<String>,
    #[schema(value_type = Vec<Object>)]
    violations: Vec<Violation>,
    notes: Vec<String>,
    /// The objects of the revision in the order they would be applied.
    #[schema(value_type = Vec<Object>)]
    objects: Vec<AdoptedView>,
    /// What the tool has beside them, and keeps.
    left: Vec<String>,
}

impl AdoptBody {
    fn check(&self) -> Result<(), ApiError> {
        let Some(release) = &self.release else { return Ok(()) };
        if self.from == AdoptFrom::Manifests {
            let detail = "release: manifests have none; leave it out";
            return Err(ApiError::bad_request("bad_body", detail));
        }
        if release.is_empty() || release.chars().count() > RELEASE_CHARS_MAX {
            let detail = format!("release: expected 1 to {RELEASE_CHARS_MAX} characters");
            return Err(ApiError::bad_request("bad_body", detail));
        }
        Ok(())
    }

    /// The bundle that takes over, and what that would do.
    async fn planned(self, state: &ServerState, caller: &Caller) -> Result<(Chosen, AdoptPlan), ApiError> {
        self.check()?;
        let body = DeployBody::plain(
            (self.application, self.environment),
            (self.bundle, self.select),
            self.document,
            self.reason,
        );
        let mut read = state.records.read().await?;
        let mut chosen = deployment_choices::choose(caller, read.as_mut(), &body, Role::Operator).await?;
        drop(read);
        let (from, release) = (self.from, self.release);
        let wanted =
            AdoptRequest { deploy: deployment_choices::request(&chosen), from, release: release.clone() };
        let plan = state.deploying.adoption(&wanted).await.map_err(ApiError::of_fault)?;
        chosen.cause = DeploymentCause::Adopt { from, release, objects: plan.leave.clone() };
        Ok((chosen, plan))
    }
}

/// What a bundle would take over in an environment, object by object; writes nothing.
#[utoipa::path(post, path = "/api/v1/adoptions/plan", tag = "deployments", request_body = AdoptBody,
    responses((status = 200, body = AdoptionView)))]
pub(crate) async fn plan(
    State(state): State<ServerState>,
    caller: Caller,
    Body(body): Body<AdoptBody>,
) -> Result<Json<AdoptionView>, ApiError> {
    let (chosen, plan) = body.planned(&state, &caller).await?;
    Ok(Json(AdoptionView {
        bundle: chosen.version().to_string(),
        revision: plan.revision.map(|digest| digest.to_string()),
        violations: plan.violations,
        notes: plan.notes,
        objects: plan.objects,
        left: plan.left,
    }))
}

/// Deploys a bundle with leave to take over what a plan says, and nothing else. Refused where something stands
/// against it, and where there is nothing to take over.
#[utoipa::path(post, path = "/api/v1/adoptions", tag = "deployments", request_body = AdoptBody,
    responses((status = 201, body = DeploymentView)))]
pub(crate) async fn create(
    State(state): State<ServerState>,
    caller: Caller,
    Body(body): Body<AdoptBody>,
) -> Result<(StatusCode, Json<DeploymentView>), ApiError> {
    let reason = checked_reason(body.reason.clone())?;
    let (application, environment) = (body.application.clone(), body.environment.clone());
    let (chosen, plan) = body.planned(&state, &caller).await?;
    refuse(&plan, (&application, &environment))?;
    let mut tx = state.records.begin().await?;
    let made = deployments::store(tx.as_mut(), &caller, &chosen, reason).await?;
    tx.commit().await?;
    Ok((StatusCode::CREATED, Json(made)))
}

/// What stands against taking over.
fn refuse(
    plan: &AdoptPlan,
    (application, environment): (&ApplicationName, &EnvironmentName),
) -> Result<(), ApiError> {
    if !plan.violations.is_empty() {
        return Err(ApiError::violations(plan.violations.clone()));
    }
    let refused: Vec<&AdoptedView> =
        plan.objects.iter().filter(|object| object.fate == AdoptFate::Refused).collect();
    if !refused.is_empty() {
        let why = |object: &&AdoptedView| {
            format!("{}: {}", object.object, object.why.as_deref().unwrap_or("it cannot be taken over"))
        };
        let named: Vec<String> = refused.iter().take(NAMED_MAX).map(why).collect();
        let more = refused.len().saturating_sub(NAMED_MAX);
        let more = if more == 0 { String::new() } else { format!("; and {more} more") };
        let detail = format!("{}{more}", named.join("; "));
        return Err(ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, "cannot_adopt", detail)
            .hint("`slipway adopt … --check` tells what becomes of each object"));
    }
    if plan.leave.is_empty() {
        let detail = "nothing of the tool is in the way of this bundle, so there is nothing to take over";
        return Err(ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, "nothing_to_adopt", detail)
            .hint(format!("deploy it: slipway deploy create {application} --env {environment}")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use slipway_records::AdoptedObject;

    use super::*;

    fn view(fate: AdoptFate) -> AdoptedView {
        AdoptedView {
            object: "Deployment web".into(),
            fate,
            owner: None,
            fields: Vec::new(),
            restarts: false,
            why: Some("spec.selector is immutable".into()),
        }
    }

    fn leave() -> AdoptedObject {
        AdoptedObject {
            api_version: "apps/v1".into(),
            kind: "Deployment".into(),
            namespace: Some("shop".into()),
            name: "web".into(),
            uid: "1".into(),
        }
    }

    #[test]
    fn only_what_can_be_taken_over_as_a_whole_is() {
        let violation = Violation::new("receiver_cannot", "receiver", "it cannot");
        let (application, environment) = ("commerce/cart".parse().unwrap(), "prod".parse().unwrap());
        for (violations, fates, leaves, refused) in [
            (vec![], vec![AdoptFate::TakeOver, AdoptFate::Create, AdoptFate::Ours], vec![leave()], false),
            (vec![violation], vec![AdoptFate::TakeOver], vec![leave()], true),
            (vec![], vec![AdoptFate::TakeOver, AdoptFate::Refused], vec![leave()], true),
            (vec![], vec![AdoptFate::Create], vec![], true),
        ] {
            let objects = fates.iter().map(|fate| view(*fate)).collect();
            let plan = AdoptPlan { violations, objects, leave: leaves, ..AdoptPlan::default() };
            let answer = refuse(&plan, (&application, &environment));
            assert_eq!(answer.is_err(), refused, "{plan:?}");
            if let Err(error) = answer
                && error.code() == "nothing_to_adopt"
            {
                assert_eq!(
                    error.way_out(),
                    Some("deploy it: slipway deploy create commerce/cart --env prod")
                );
            }
        }
    }
}
