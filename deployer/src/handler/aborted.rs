//! Stopping what an abort takes back.
//!
//! An abort is one row: a rollback that names the generation it aborts. So whoever is killed after it was stored leaves
//! nothing half done: this job stops that generation, and then brings back what was live.

use slipway_records::deploying::{DeploymentOrder, DeploymentWord, OrderRefused, OrderTold};
use slipway_records::{Deployment, JobError};
use slipway_types::{Class, Fault};

use super::{DeployHandler, SLIPWAY};

impl DeployHandler {
    /// Stops a generation where it stands; the fault if its receiver cannot be told now. What is over already, or
    /// whose receiver stops nothing, is left: the rollback takes its place all the same.
    pub(super) async fn stop_aborted(
        &self,
        rollback: &Deployment,
        generation: u64,
    ) -> Result<Option<Fault>, JobError> {
        let mut read = self.stage.records.read().await?;
        let found = read
            .deployment_by_generation(rollback.environment_id, rollback.application_id, generation)
            .await?;
        drop(read);
        let Some(aborted) = found else { return Ok(None) };
        let order = DeploymentOrder {
            deployment: aborted.id,
            word: DeploymentWord::Terminate,
            node: None,
            person: rollback.created_by.clone(),
            actor: SLIPWAY.to_owned(),
            reason: Some(format!("generation {} takes it back", rollback.generation)),
        };
        match self.stage.tell(&order).await {
            Ok(OrderTold::Kept(fault)) | Err(OrderRefused::Failed(fault))
                if fault.class == Class::Transient =>
            {
                Ok(Some(fault))
            }
            Err(refused) => {
                tracing::info!(generation, %refused, "what is taken back is not stopped before");
                Ok(None)
            }
            Ok(_) => Ok(None),
        }
    }
}
