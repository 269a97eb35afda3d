//! The `reconcile` job: one turn after another for what is deployed somewhere.
//!
//! The queue never runs two jobs of one key at once, so one process drives an application in an environment
//! at a time; whoever hands off, orders or sees something change wakes the job.

use std::time::Duration;

use async_trait::async_trait;
use slipway_handoff::Key;
use slipway_records::job::{JobPayload, NewJob};
use slipway_records::{Handler, Job, JobContext, JobError};
use slipway_types::{Class, Fault};

use crate::receiver::{Core, fault, wake_up};
use crate::turn::Next;

/// How soon a job that could not go on is tried anew.
const PAUSE_BURIED: Duration = Duration::from_secs(60);
/// When a key tries again that found no turn of its cluster free, if nobody wakes it before.
const PAUSE_CROWDED: Duration = Duration::from_secs(10);
/// When a key tries again of whose cluster it is not known yet whether it answers.
const PAUSE_UNKNOWN: Duration = Duration::from_secs(1);
/// When it is tried again to keep that a driver was lost.
const PAUSE_UNKEPT: Duration = Duration::from_secs(1);

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
        if job.losses > 0 {
            self.keep_loss(&key).await?;
        }
        let Some(place) = self.core.turns.take(&key) else {
            let why = "its cluster has as many turns as it may have at once".to_owned();
            return Err(JobError::Wait { why, delay: PAUSE_CROWDED });
        };
        let done = self.take_turn(&key, job, context).await;
        if let Some(next) = place.end() {
            self.wake(&next).await;
        }
        done
    }

    /// Nobody else drives it: that is told, and it goes on after a while.
    async fn bury(&self, job: &Job, fault: Fault) -> Result<(), JobError> {
        let JobPayload::Reconcile { environment, application } = &job.payload else { return Ok(()) };
        tracing::warn!(%environment, %application, fault = fault.message, "cannot be driven; trying again");
        let key = Key { environment: environment.clone(), application: application.clone() };
        // Where that fails for good, so does all else.
        if job.losses > 0
            && let Err(unkept) = self.core.lose_driver(&key).await
            && unkept.class == Class::Transient
        {
            return Err(unkept.into());
        }
        if let Err(untold) = self.core.tell_undriven(&key, &fault.message).await {
            tracing::warn!(%key, fault = untold.message, "nor can that be told");
        }
        self.go_on(job, PAUSE_BURIED).await
    }
}

impl ReconcileHandler {
    async fn take_turn(&self, key: &Key, job: &Job, context: &JobContext) -> Result<(), JobError> {
        // A turn of a cluster that is silent would hold up others; what stands in the way of one that cannot be had, the
        // turn tells.
        if let Ok(cluster) = self.core.host.cluster(&key.environment).await
            && !cluster.is_known().await
        {
            let why = "it is not known yet whether its cluster answers".to_owned();
            return Err(JobError::Wait { why, delay: PAUSE_UNKNOWN });
        }
        match self.core.turn(key, job.run_at, &context.cancelled).await? {
            Next::Ended => Ok(()),
            // It goes on, so that what failed before does not count any more: a new job has all attempts.
            Next::Wait { delay, .. } if job.attempt > 1 => self.go_on(job, delay).await,
            Next::Wait { why, delay } => Err(JobError::Wait { why, delay }),
        }
    }

    /// Keeps that whoever had this job before lost its lease, or died. That is not left to the turn: the queue forgets it
    /// as soon as the job is given back, be it for want of a place or because this server stops: so it goes on until it
    /// is kept or fails for good. Should the server end before, the lease runs out and the loss counts anew.
    async fn keep_loss(&self, key: &Key) -> Result<(), JobError> {
        loop {
            match self.core.lose_driver(key).await {
                Err(fault) if fault.class == Class::Transient => {
                    tracing::warn!(%key, fault = fault.message, "it is not kept yet that its driver was lost");
                }
                kept => return Ok(kept?),
            }
            tokio::time::sleep(PAUSE_UNKEPT).await;
        }
    }

    /// Lets a key have the turn that it found taken; if that fails, its own pause ends soon.
    async fn wake(&self, key: &Key) {
        let woken = async {
            let mut tx = self.core.records.begin().await.map_err(|error| fault(&error))?;
            wake_up(tx.as_mut(), key).await?;
            tx.commit().await.map_err(|error| fault(&error))
        };
        if let Err(fault) = woken.await {
            tracing::warn!(%key, fault = fault.message, "has its turn later");
        }
    }

    /// Leaves what a job did to a new one.
    async fn go_on(&self, job: &Job, delay: Duration) -> Result<(), JobError> {
        let mut tx = self.core.records.begin().await?;
        tx.job_enqueue(NewJob::new(job.payload.clone(), job.application_id).after(delay)).await?;
        Ok(tx.commit().await?)
    }
}
