//! How an environment's gates would stand for bundles that nobody deployed there yet.

use slipway_records::deploying::GateView;
use slipway_records::{DeploymentCause, Environment, NewDeployment, PackageVersion};

use crate::auth::Caller;
use crate::problem::ApiError;
use crate::state::ServerState;

/// The gates for each of these bundles of an application, in their order, if the caller deployed it now; or why they
/// cannot be told. What counts on a revision (approvals) counts on none yet.
pub(crate) async fn of_bundles(
    state: &ServerState,
    caller: &Caller,
    environment: &Environment,
    bundles: &[PackageVersion],
) -> Vec<Result<Vec<GateView>, ApiError>> {
    let draft = |bundle: &PackageVersion| {
        let person = caller.0.person().to_owned();
        let wanted = NewDeployment::of(bundle, environment.id, DeploymentCause::Deploy, person);
        wanted.draft(0, bundle.created_at)
    };
    let drafts: Vec<_> = bundles.iter().map(|bundle| (draft(bundle), bundle)).collect();
    match state.deploying.gates_of_drafts(&drafts, environment).await {
        Ok(found) => found.into_iter().map(|gates| gates.map_err(ApiError::of_fault)).collect(),
        Err(fault) => bundles.iter().map(|_| Err(ApiError::of_fault(fault.clone()))).collect(),
    }
}
