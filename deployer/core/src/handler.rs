//! The `reconcile` job: one turn after another for what is deployed somewhere.
//!
//! The queue never runs two jobs of one key at once, so one process drives an application in an environment
//! at a time; whoever hands off, orders or sees something change wakes the job.

use async_trait::async_trait;
use slipway_handoff::Key;
use slipway_records::job::{JobPayload, NewJob};
use slipway_records::{Handler, Job, JobContext, JobError};
use slipway_types::Fault;

use crate::receiver::Core;
use crate::turn::Next;

/// How soon a job that could not go on is tried anew.
const PAUSE_BURIED: std::time::Duration = std::time::Duration::from_secs(60);

/// Does `reconcile` jobs.
pub struct ReconcileHandler {
    /// The core.
    pub core: Core,
}

#[async_trait]
impl Handler for ReconcileHandler {
    async fn run(&self, job: &Job, context: &JobContext) -> Result<(), JobError> {
        let JobPayload::Reconcile { environment, application } = &job.payload else { return Ok(()) };
        let key = Key { environment: environment.clone(), application: application.clone() };
        match self.core.turn(&key, &context.cancelled).await? {
            Next::Ended => Ok(()),
            Next::Wait { why, delay } => Err(JobError::Wait { why, delay }),
        }
    }

    /// Nobody else drives it: it goes on after a while.
    async fn bury(&self, job: &Job, fault: Fault) -> Result<(), JobError> {
        let JobPayload::Reconcile { environment, application } = &job.payload else { return Ok(()) };
        tracing::warn!(%environment, %application, fault = fault.message, "cannot be driven; trying again");
        let mut tx = self.core.records.begin().await?;
        tx.job_enqueue(NewJob::new(job.payload.clone(), job.application_id).after(PAUSE_BURIED)).await?;
        Ok(tx.commit().await?)
    }
}
