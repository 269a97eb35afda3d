//! Keeping what the built-in core finds when a node fails.

use slipway_core::Evidence;
use slipway_core::schedule::Turn;
use slipway_handoff::Key;
use slipway_records::failure::FAILURES_KEPT;
use slipway_records::{Failure, LogChunk, Read};
use slipway_types::Fault;
use slipway_types::id::DeploymentId;
use uuid::Uuid;

use crate::records_fault;
use crate::stage::Stage;

/// The deployment that a generation of a key is; `None`: the application, the environment or it is gone.
async fn deployment_at(
    read: &mut dyn Read,
    key: &Key,
    generation: u64,
) -> Result<Option<DeploymentId>, Fault> {
    let fault = |error| records_fault(&error);
    let Some(application) = read.application_by_name(&key.application).await.map_err(fault)? else {
        return Ok(None);
    };
    let Some(environment) = read.environment_by_address(&key.environment).await.map_err(fault)? else {
        return Ok(None);
    };
    let found = read.deployment_by_generation(environment.id, application.id, generation).await;
    Ok(found.map_err(fault)?.map(|deployment| deployment.id))
}

impl Stage {
    /// Whether something is kept of an attempt of a node, or there is no deployment that it could be kept with.
    pub(crate) async fn has_failure(&self, key: &Key, generation: u64, turn: &Turn) -> Result<bool, Fault> {
        let fault = |error| records_fault(&error);
        let mut read = self.records.read().await.map_err(fault)?;
        match deployment_at(read.as_mut(), key, generation).await? {
            Some(id) => read.failure_is_kept(id, &turn.node, turn.attempt).await.map_err(fault),
            None => Ok(true),
        }
    }

    /// Keeps what was found, its logs as a log of that name. What is older than the newest failures of the
    /// application there goes.
    pub(crate) async fn keep_failure(
        &self,
        key: &Key,
        generation: u64,
        evidence: &Evidence,
    ) -> Result<(), Fault> {
        let fault = |error| records_fault(&error);
        let mut read = self.records.read().await.map_err(fault)?;
        let found = deployment_at(read.as_mut(), key, generation).await?;
        drop(read);
        let Some(deployment_id) = found else { return Ok(()) };
        let chunk = self.stored(&evidence.log).await?;
        let failure = Failure {
            id: Uuid::now_v7(),
            deployment_id,
            node: evidence.turn.node.clone(),
            attempt: evidence.turn.attempt,
            at: evidence.at,
            found: evidence.found.clone(),
        };
        let mut tx = self.records.begin().await.map_err(fault)?;
        if !tx.failure_insert(&failure).await.map_err(fault)? {
            return Ok(());
        }
        if let Some(chunk) = chunk {
            tx.log_append(failure.id, &chunk).await.map_err(fault)?;
        }
        tx.failures_trim(deployment_id, FAILURES_KEPT).await.map_err(fault)?;
        tx.commit().await.map_err(fault)
    }
    /// Stores a log's only piece, if it has one.
    async fn stored(&self, log: &str) -> Result<Option<LogChunk>, Fault> {
        if log.is_empty() {
            return Ok(None);
        }
        let blob = self.blobs.put(log.to_owned()).await.map_err(|error| {
            tracing::warn!(%error, "cannot keep the logs of a failure");
            Fault::transient("storage_unavailable", format!("the object store fails: {error}"))
        })?;
        Ok(Some(LogChunk { offset: 0, length: blob.size, digest: blob.digest, mark: None }))
    }
}
