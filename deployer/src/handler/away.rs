//! Deployments to a cluster that gives no answer: they wait for it, and hold up no others meanwhile.

use std::time::Duration;

use slipway_records::JobError;
use slipway_types::Fault;

use super::{DeployHandler, is_removal};
use crate::subject::Subject;

/// How long a deployment is left alone of whose cluster it is not known yet whether it answers.
const UNKNOWN_PAUSE: Duration = Duration::from_secs(1);

impl DeployHandler {
    /// Whether the cluster of a deployment, to be planned or handed off, would be asked in vain, so that nothing more is
    /// to be done now. A removal asks it nothing: whoever is handed it waits for the cluster.
    ///
    /// # Errors
    ///
    /// It is to be tried again later.
    pub(super) async fn is_away(&self, subject: &Subject) -> Result<bool, JobError> {
        if is_removal(&subject.deployment) {
            return Ok(false);
        }
        // What stands in the way of a cluster that cannot be had is told where it is needed.
        let Ok(cluster) = self.stage.cluster_of(&subject.environment).await else { return Ok(false) };
        let name = subject.environment.address.cluster();
        if !cluster.is_known().await {
            let why = format!("it is not known yet whether the cluster {name} answers");
            return Err(JobError::Wait { why, delay: UNKNOWN_PAUSE });
        }
        let Some(outage) = cluster.outage() else { return Ok(false) };
        let why = format!("the cluster {name} gives {}", outage.told());
        self.wait_or_fail(subject.deployment.clone(), Fault::transient("cluster_unavailable", why)).await?;
        Ok(true)
    }
}
