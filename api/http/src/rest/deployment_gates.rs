//! How an environment's gates would stand for bundles that nobody deployed there yet.

use serde_json::Value;
use slipway_records::deploying::GateView;
use slipway_records::{Application, DeploymentCause, Environment, NewDeployment, PackageVersion};

use crate::auth::Caller;
use crate::problem::ApiError;
use crate::state::ServerState;

/// The gates for each of these bundles of an application, in their order, if the caller deployed it now; or why they
/// cannot be told. What counts on a revision (approvals) counts on none yet.
pub(crate) async fn of_bundles(
    state: &ServerState,
    caller: &Caller,
    (application, environment): (&Application, &Environment),
    bundles: &[PackageVersion],
) -> Vec<Result<Vec<GateView>, ApiError>> {
    let draft = |bundle: &PackageVersion| {
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
        wanted.draft(0, bundle.created_at)
    };
    let drafts: Vec<_> = bundles.iter().map(|bundle| (draft(bundle), bundle)).collect();
    match state.deploying.gates_of_drafts(&drafts, environment).await {
        Ok(found) => found.into_iter().map(|gates| gates.map_err(ApiError::of_fault)).collect(),
        Err(fault) => bundles.iter().map(|_| Err(ApiError::of_fault(fault.clone()))).collect(),
    }
}
