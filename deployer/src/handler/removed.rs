//! Deployments whose environment was removed. None is removed while something is on its way there; an earlier release
//! removed it all the same.

use slipway_records::JobError;
use slipway_types::state::{DeploymentEvent, DeploymentState};

use super::{DeployHandler, SLIPWAY};
use crate::subject::Subject;

impl DeployHandler {
    /// Ends what is on its way to where nobody would see it or could take it away.
    pub(super) async fn without_place(&self, subject: Subject) -> Result<(), JobError> {
        let Subject { mut deployment, environment, .. } = subject;
        if !deployment.state.is_pending() {
            return Ok(());
        }
        let name = &environment.name;
        deployment.notes.push(format!("the environment {name} was removed before this went out"));
        if matches!(deployment.state, DeploymentState::Approved { submitted: true, .. }) {
            let address = &environment.address;
            deployment.notes.push(format!(
                "its receiver was being asked just then and may have it: look what runs at {address}"
            ));
        }
        self.record(deployment, DeploymentEvent::Withdraw(SLIPWAY.to_owned())).await
    }
}
