//! The gate `pin`: what people keep in an environment, against what is on its way there already. What is
//! asked for later is refused at once.

use slipway_records::{Deployment, Environment, Hold};

use crate::gates::Gate;

/// The closed gate, if what is kept there stands against the deployment.
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
