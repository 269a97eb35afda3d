//! The gate `pin`: what people keep in an environment, against what is on its way there already. What is
//! asked for later is refused at once.

use slipway_records::{Deployment, Environment, Hold, Read, RecordsError};

use crate::gates::Gate;

/// The closed gate, if a pin or hold stands against the deployment.
pub(crate) async fn gate(
    read: &mut dyn Read,
    deployment: &Deployment,
    environment: &Environment,
) -> Result<Option<Gate>, RecordsError> {
    let hold = read.hold_get(environment.id, deployment.application_id).await?;
    Ok(of(hold.as_ref(), deployment, environment))
}

/// The same of what is kept there, if anything is.
pub(crate) fn of(hold: Option<&Hold>, deployment: &Deployment, environment: &Environment) -> Option<Gate> {
    let hold = hold.filter(|hold| hold.stands_against(deployment.bundle_id, &deployment.cause))?;
    let what = match (hold.version_id, hold.rollback_to) {
        (Some(_), _) => "pinned to another version",
        (None, Some(_)) => "rolled back and kept so",
        (None, None) => "held",
    };
    let (name, by, reason) = (&environment.name, &hold.by, &hold.reason);
    let detail =
        format!("`{name}` is {what} by {by}: {reason}; it waits for `slipway release APP --env {name}`");
    Some(Gate { gate: "pin", open: false, detail, opens_in_s: None })
}
