//! The `reconcile` job: one turn after another for what is deployed somewhere.
//!
//! The queue never runs two jobs of one key at once, so one process drives an application in an environment
//! at a time; whoever hands off, orders or sees something change wakes the job.

use std::time::Duration;

use async_trait::async_trait;
use slipway_handoff::Key;
use slipway_records::job::{JobPayload, NewJob};
use slipway_records::{Handler, Job, JobContext, JobError};
use slipway_types::Fault;

use crate::receiver::Core;
use crate::turn::Next;

/// How soon a job that could not go on is tried anew.
const PAUSE_BURIED: Duration = Duration::from_secs(60);

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
        // Whoever had this job before lost its lease, or died.
        let is_after_loss = job.losses > 0;
        match self.core.turn(&key, job.run_at, is_after_loss, &context.cancelled).await? {
            Next::Ended => Ok(()),
            // It goes on, so that what failed before does not count any more: a new job has all attempts.
            Next::Wait { delay, .. } if job.attempt > 1 => self.go_on(job, delay).await,
            Next::Wait { why, delay } => Err(JobError::Wait { why, delay }),
        }
    }

    /// Nobody else drives it: that is told, and it goes on after a while.
    async fn bury(&self, job: &Job, fault: Fault) -> Result<(), JobError> {
        let JobPayload::Reconcile { environment, application } = &job.payload else { return Ok(()) };
        tracing::warn!(%environment, %application, fault = fault.message, "cannot be driven; trying again");
        let key = Key { environment: environment.clone(), application: application.clone() };
        if let Err(untold) = self.core.tell_undriven(&key, &fault.message).await {
            tracing::warn!(%key, fault = untold.message, "nor can that be told");
        }
        self.go_on(job, PAUSE_BURIED).await
    }
}

impl ReconcileHandler {
    /// Leaves what a job did to a new one.
    async fn go_on(&self, job: &Job, delay: Duration) -> Result<(), JobError> {
        let mut tx = self.core.records.begin().await?;
        tx.job_enqueue(NewJob::new(job.payload.clone(), job.application_id).after(delay)).await?;
        Ok(tx.commit().await?)
    }
}
