//! How an environment's gates would stand for a bundle that nobody deployed there yet.

use serde_json::Value;
use slipway_records::deploying::GateView;
use slipway_records::{Application, DeploymentCause, Environment, NewDeployment, PackageVersion};

use crate::auth::Caller;
use crate::problem::ApiError;
use crate::state::ServerState;

/// The gates for `bundle`, if the caller deployed it now. What counts on a revision (approvals) counts on none yet.
pub(crate) async fn of_bundle(
    state: &ServerState,
    caller: &Caller,
    (application, environment): (&Application, &Environment),
    bundle: &PackageVersion,
) -> Result<Vec<GateView>, ApiError> {
    let wanted = NewDeployment {
        application_id: application.id,
        environment_id: environment.id,
        bundle_id: bundle.id,
        bundle_version: bundle.version.clone(),
        bundle_digest: bundle.digest,
        lock: bundle.fingerprint,
        choice: Value::Null,
        cause: DeploymentCause::Deploy,
        created_by: caller.0.person().to_owned(),
        document: None,
    };
    let draft = wanted.draft(0, bundle.created_at);
    state.deploying.gates(&draft, environment, bundle).await.map_err(ApiError::of_fault)
}
