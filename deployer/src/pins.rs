//! The gate `pin`: what people keep in an environment, against what is on its way there already. What is
//! asked for later is refused at once.

use slipway_records::{Deployment, Hold};
use slipway_types::ApplicationName;
use slipway_types::name::EnvironmentName;

use crate::gates::Gate;

/// The closed gate, if what is kept there stands against the deployment.
pub(crate) fn of(
    hold: Option<&Hold>,
    deployment: &Deployment,
    (application, environment): (&ApplicationName, &EnvironmentName),
) -> Option<Gate> {
    let hold = hold.filter(|hold| hold.stands_against(deployment.bundle_id, &deployment.cause))?;
    let what = match (hold.version_id, hold.rollback_to) {
        (Some(_), _) => "pinned to another version",
        (None, Some(_)) => "rolled back and kept so",
        (None, None) => "held",
    };
    let (by, reason) = (&hold.by, &hold.reason);
    let detail = format!(
        "`{environment}` is {what} by {by}: {reason}; it waits for `slipway release {application} --env \
         {environment}`"
    );
    Some(Gate { gate: "pin", open: false, detail, opens_in_s: None })
}

#[cfg(test)]
mod tests {
    use chrono::Utc;
    use serde_json::Value;
    use slipway_records::{DeploymentCause, NewDeployment};
    use slipway_types::Digest;
    use slipway_types::id::{ApplicationId, EnvironmentId, VersionId};

    use super::*;

    #[test]
    fn a_closed_gate_names_the_command_that_opens_it() {
        let (application_id, environment_id) = (ApplicationId::new(), EnvironmentId::new());
        let new = NewDeployment {
            application_id,
            environment_id,
            bundle_id: VersionId::new(),
            bundle_version: "1.2.3".parse().unwrap(),
            bundle_digest: Digest::of("bundle"),
            lock: Digest::of("lock"),
            choice: Value::Null,
            cause: DeploymentCause::Follow,
            created_by: "ann".into(),
            document: None,
        };
        let hold = Hold {
            environment_id,
            application_id,
            version_id: None,
            reason: "the fair".into(),
            by: "ann".into(),
            at: Utc::now(),
            rollback_to: None,
        };
        let names = ("commerce/cart".parse().unwrap(), "prod".parse().unwrap());
        let gate = of(Some(&hold), &new.draft(7, Utc::now()), (&names.0, &names.1)).unwrap();
        assert!(gate.detail.ends_with("`slipway release commerce/cart --env prod`"), "{}", gate.detail);
    }
}
