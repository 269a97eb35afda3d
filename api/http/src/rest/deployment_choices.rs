//! What is asked for when something is deployed, and the bundle that this means.

use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};
use slipway_records::deploying::DeployRequest;
use slipway_records::{
    Application, Deployment, DeploymentCause, Environment, Explanation, NewDeployment, PackageVersion, Read,
};
use slipway_types::name::EnvironmentName;
use slipway_types::selection::{Condition, Selection, SelectionOrder};
use slipway_types::{ApplicationName, Role, Version};
use utoipa::ToSchema;

use super::{bundles, environments, rollbacks};
use crate::auth::Caller;
use crate::problem::ApiError;

/// The largest document given with a deployment, in bytes.
const DOCUMENT_BYTES_MAX: usize = 1 << 20;

/// What is to be deployed where. At most one of `bundle`, `select`, `promote_from`, `rollback`, `rollback_to`,
/// `restart` and `remove`; none means the newest release.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct DeployBody {
    #[schema(value_type = String)]
    application: ApplicationName,
    #[schema(value_type = String)]
    environment: EnvironmentName,
    /// Exactly this bundle.
    #[schema(value_type = Option<String>)]
    bundle: Option<Version>,
    /// The highest bundle that matches.
    #[schema(value_type = Option<Object>)]
    select: Option<Selection>,
    /// What this environment runs.
    #[schema(value_type = Option<String>)]
    promote_from: Option<EnvironmentName>,
    /// The newest revision that was live and is not what runs.
    #[serde(default)]
    rollback: bool,
    /// The revision of this generation. One that was live passes no gates.
    rollback_to: Option<u64>,
    /// What runs already, with the configuration and the secrets of now.
    #[serde(default)]
    restart: bool,
    /// Nothing any more: what runs is taken away.
    #[serde(default)]
    pub(super) remove: bool,
    /// A restart takes the revision that runs with nothing moved but versions of secrets.
    #[serde(default)]
    pub(super) secrets_only: bool,
    /// Configuration for this deployment alone: an OAM Application. Operators alone plan with one.
    pub(super) document: Option<String>,
    /// Whether a plan shows the objects themselves.
    #[serde(default)]
    pub(super) objects: bool,
    /// Why; needed to roll back, to restart and to remove.
    pub(super) reason: Option<String>,
}

/// A bundle that was chosen, and why.
pub(super) struct Chosen {
    pub(super) application: Application,
    pub(super) environment: Environment,
    pub(super) bundle: PackageVersion,
    pub(super) cause: DeploymentCause,
    pub(super) explanation: Value,
    /// Configuration for this deployment alone.
    pub(super) document: Option<String>,
}

/// What is to become of what an environment runs, whatever bundle that is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OfRunning {
    /// The revision of that generation takes its place; `None`: of the newest that was live and is another.
    RollBack(Option<u64>),
    /// It is deployed again, with the configuration and the secrets of now.
    Restart,
    /// It is taken away.
    Remove,
}

impl DeployBody {
    fn check(&self) -> Result<(), ApiError> {
        let given = [
            self.bundle.is_some(),
            self.select.is_some(),
            self.promote_from.is_some(),
            self.rollback,
            self.rollback_to.is_some(),
            self.restart,
            self.remove,
        ];
        if given.into_iter().filter(|given| *given).count() > 1 {
            let detail = "give one of `bundle`, `select`, `promote_from`, `rollback`, `rollback_to`, `restart` \
                          and `remove`";
            return Err(ApiError::bad_request("bad_body", detail));
        }
        if self.secrets_only && (!self.restart || self.document.is_some()) {
            let detail = "secrets_only: goes with `restart`, and without `document`";
            return Err(ApiError::bad_request("bad_body", detail));
        }
        let needs_reason = self.rolls_back() || self.restart || self.remove;
        if needs_reason && self.reason.as_ref().is_none_or(|reason| reason.trim().is_empty()) {
            return Err(ApiError::bad_request("bad_body", "reason: say why"));
        }
        if self.document.as_ref().is_some_and(|document| document.len() > DOCUMENT_BYTES_MAX) {
            let detail = format!("document: longer than {DOCUMENT_BYTES_MAX} bytes");
            return Err(ApiError::bad_request("bad_body", detail));
        }
        Ok(())
    }

    pub(super) fn rolls_back(&self) -> bool {
        self.rollback || self.rollback_to.is_some()
    }

    /// Something for what an environment runs, and why.
    pub(crate) fn of_running(
        (application, environment): (ApplicationName, EnvironmentName),
        what: OfRunning,
        reason: String,
    ) -> Self {
        let plain = Self::plain((application, environment), (None, None), None, Some(reason));
        match what {
            OfRunning::RollBack(None) => Self { rollback: true, ..plain },
            OfRunning::RollBack(to) => Self { rollback_to: to, ..plain },
            OfRunning::Restart => Self { restart: true, ..plain },
            OfRunning::Remove => Self { remove: true, ..plain },
        }
    }

    /// A bundle for an environment, which is not deployed by this body alone.
    pub(crate) fn plain(
        (application, environment): (ApplicationName, EnvironmentName),
        (bundle, select): (Option<Version>, Option<Selection>),
        document: Option<String>,
        reason: Option<String>,
    ) -> Self {
        Self {
            application,
            environment,
            bundle,
            select,
            promote_from: None,
            rollback: false,
            rollback_to: None,
            restart: false,
            remove: false,
            secrets_only: false,
            document,
            objects: false,
            reason,
        }
    }

    /// The revision of a generation that was live, once more.
    pub(super) fn back_to(
        names: (ApplicationName, EnvironmentName),
        generation: u64,
        reason: String,
    ) -> Self {
        Self { rollback_to: Some(generation), ..Self::plain(names, (None, None), None, Some(reason)) }
    }
}

/// The bundle that a body means.
pub(super) async fn choose(
    caller: &Caller,
    read: &mut dyn Read,
    body: &DeployBody,
    role: Role,
) -> Result<Chosen, ApiError> {
    body.check()?;
    let application = caller.application(read, &body.application, role).await?;
    let environment = environments::found(read, &body.environment).await?;
    let reason = body.reason.clone().unwrap_or_default();
    let mut document = body.document.clone();
    let no_bundle = || ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, "no_bundle", "the bundle is gone");
    let (bundle, cause, explanation) = if let Some(version) = &body.bundle {
        let row = read.version_find(application.id, None, version).await?;
        let row = row.ok_or_else(|| ApiError::not_found("bundle version", version))?;
        (row, DeploymentCause::Deploy, json!({"asked": format!("bundle {version}")}))
    } else if let Some(from) = &body.promote_from {
        let running = still_wanted(running(read, &application, from).await?, from)?;
        let row = read.version_get(running.bundle_id).await?.ok_or_else(no_bundle)?;
        let asked = format!("what {from} runs: generation {}", running.generation);
        (row, DeploymentCause::Promote { from: from.to_string() }, json!({"asked": asked}))
    } else if body.rolls_back() {
        let earlier = rollbacks::earlier(read, &application, &environment, body.rollback_to).await?;
        let row = read.version_get(earlier.bundle_id).await?.ok_or_else(no_bundle)?;
        let (cause, explanation) = rollbacks::cause(&earlier, reason);
        // What was given with it belongs to what runs again.
        document = document.or(earlier.document);
        (row, cause, explanation)
    } else if body.restart {
        let running = running(read, &application, &environment.name).await?;
        let running = still_wanted(running, &environment.name)?;
        let row = read.version_get(running.bundle_id).await?.ok_or_else(no_bundle)?;
        // What was given with the deployment belongs to what runs.
        document = document.or(running.document);
        let of = body.secrets_only.then_some(running.generation);
        let asked = match of {
            Some(generation) => format!("generation {generation} again, with the secrets of now"),
            None => "what runs, with the configuration and the secrets of now".to_owned(),
        };
        (row, DeploymentCause::Restart { reason, of }, json!({"asked": asked}))
    } else if body.remove {
        let running = running(read, &application, &environment.name).await?;
        let row = read.version_get(running.bundle_id).await?.ok_or_else(no_bundle)?;
        let asked = format!("nothing any more: generation {} is taken away", running.generation);
        (row, DeploymentCause::Remove { reason }, json!({"asked": asked}))
    } else {
        let selection = body.select.clone().unwrap_or_default();
        bundles::check_named(read, application.id, &selection).await?;
        let pick = read.pick(application.id, &selection, SelectionOrder::Precedence).await?;
        let explanation =
            serde_json::to_value(&pick.explanation).map_err(|error| ApiError::internal(&error))?;
        let Some(row) = pick.version else {
            return Err(no_match(read, &application, &pick.explanation).await?);
        };
        (row, DeploymentCause::Deploy, json!({"selection": selection, "explanation": explanation}))
    };
    Ok(Chosen { application, environment, bundle, cause, explanation, document })
}

/// Why a selection leads to no bundle, a line each; where pre-releases alone are left, the branch that they are of.
async fn no_match(
    read: &mut dyn Read,
    application: &Application,
    explanation: &Explanation,
) -> Result<ApiError, ApiError> {
    let detail = format!("no bundle is chosen:\n  {}", explanation.lines.join("\n  "));
    let refused = ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, "no_bundle", detail);
    let nearest = explanation.nearest.as_ref().filter(|miss| miss.condition == Condition::Prerelease);
    let Some(nearest) = nearest else { return Ok(refused) };
    let found = read.version_find(application.id, None, &nearest.version).await?;
    let branch = found.as_ref().and_then(|found| found.source_ref()?.branch());
    Ok(match branch {
        Some(branch) => refused.hint(format!(
            "{} was built of the branch {branch}: choose among its builds with --branch {branch}",
            nearest.version
        )),
        None => refused,
    })
}

async fn running(
    read: &mut dyn Read,
    application: &Application,
    environment: &EnvironmentName,
) -> Result<Deployment, ApiError> {
    let row = environments::found(read, environment).await?;
    read.deployment_out(row.id, application.id).await?.ok_or_else(|| {
        let detail = format!("`{environment}` runs nothing of `{}`", application.name);
        ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, "nothing_runs", detail)
    })
}

/// What is being taken away is neither started again nor taken further.
fn still_wanted(running: Deployment, environment: &EnvironmentName) -> Result<Deployment, ApiError> {
    if matches!(running.cause, DeploymentCause::Remove { .. }) {
        let detail =
            format!("it is being taken away from `{environment}`, by generation {}", running.generation);
        return Err(
            ApiError::conflict("being_removed", detail).hint("deploy a bundle: slipway deploy create")
        );
    }
    Ok(running)
}

impl Chosen {
    /// The bundle's version.
    pub(super) fn version(&self) -> &Version {
        &self.bundle.version
    }
}

/// The same as the deploy stage is asked.
pub(super) fn request(chosen: &Chosen) -> DeployRequest {
    DeployRequest {
        application: chosen.application.clone(),
        environment: chosen.environment.clone(),
        bundle: chosen.bundle.clone(),
        document: chosen.document.clone(),
    }
}

/// The draft of what was chosen.
pub(super) fn new_deployment(chosen: &Chosen, caller: &Caller) -> NewDeployment {
    let person = caller.0.person().to_owned();
    NewDeployment {
        choice: chosen.explanation.clone(),
        document: chosen.document.clone(),
        ..NewDeployment::of(&chosen.bundle, chosen.environment.id, chosen.cause.clone(), person)
    }
}
