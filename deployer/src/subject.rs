//! A deployment with what it is about.

use slipway_records::{Application, Deployment, Environment, PackageVersion};
use slipway_types::Fault;
use slipway_types::id::DeploymentId;

use crate::stage::Stage;

/// A deployment with what it is about.
pub(crate) struct Subject {
    pub(crate) deployment: Deployment,
    pub(crate) application: Application,
    pub(crate) environment: Environment,
    pub(crate) bundle: PackageVersion,
}

impl Stage {
    /// A deployment as it is now; `None` if there is none of that identity.
    pub(crate) async fn subject(&self, id: DeploymentId) -> Result<Option<Subject>, Fault> {
        let fault = |error| crate::records_fault(&error);
        let gone = || Fault::bug("deployment_unreadable", "what a deployment is about is gone");
        let mut read = self.records.read().await.map_err(fault)?;
        let Some(deployment) = read.deployment_get(id).await.map_err(fault)? else { return Ok(None) };
        let application = read.application_get(deployment.application_id).await.map_err(fault)?;
        let environment = read.environment_get(deployment.environment_id).await.map_err(fault)?;
        let bundle = read.version_get(deployment.bundle_id).await.map_err(fault)?;
        Ok(Some(Subject {
            application: application.ok_or_else(gone)?,
            environment: environment.ok_or_else(gone)?,
            bundle: bundle.ok_or_else(gone)?,
            deployment,
        }))
    }
}
