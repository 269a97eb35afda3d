//! The worker: claims jobs, keeps their leases alive and hands them to handlers.
//!
//! A handler observes, acts, records: it may be killed at any point and run again. A job whose
//! attempts or losses are used up is handed to [`Handler::bury`], which must bring whatever the job
//! served to a terminal state before the job is dead.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use chrono::Utc;
use slipway_types::fault::chain;
use slipway_types::{Class, Fault};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::queue::{Job, LOSSES_MAX};
use crate::{Change, Records, RecordsError, fault_point};

/// First pause before the end of a job is recorded again; it doubles.
const SETTLE_RETRY_BASE: Duration = Duration::from_millis(200);

/// Times of the worker.
#[derive(Debug, Clone, Copy)]
pub struct WorkerOptions {
    /// How long a lease lasts without a heartbeat.
    pub lease: Duration,
    /// How often leases are prolonged; at most a third of `lease`.
    pub heartbeat: Duration,
    /// How often the queue is looked at when there is no news.
    pub poll: Duration,
    /// The first wait after a failed attempt; doubled for each further one.
    pub retry_base: Duration,
    /// The longest wait after a failed attempt.
    pub retry_max: Duration,
}

impl Default for WorkerOptions {
    fn default() -> Self {
        Self {
            lease: Duration::from_secs(30),
            heartbeat: Duration::from_secs(8),
            poll: Duration::from_secs(5),
            retry_base: Duration::from_secs(1),
            retry_max: Duration::from_mins(1),
        }
    }
}

/// What a handler is told beside its job.
#[derive(Debug, Clone)]
pub struct JobContext {
    /// Fires when the lease is lost or the server stops: stop soon, leave nothing half done.
    pub cancelled: CancellationToken,
}

/// Why a job did not end well.
#[derive(Debug)]
pub enum JobError {
    /// It must wait for something named; the attempt does not count.
    Wait {
        /// For what.
        why: String,
        /// How long.
        delay: Duration,
    },
    /// The attempt failed; a further one may help.
    Failed(Fault),
    /// It was told to stop and did; it is given back at once.
    Stopped,
}

impl From<Fault> for JobError {
    fn from(fault: Fault) -> Self {
        Self::Failed(fault)
    }
}

impl From<RecordsError> for JobError {
    fn from(error: RecordsError) -> Self {
        Self::Failed(fault_of(&error))
    }
}

/// The fault to show for a records error.
pub fn fault_of(error: &RecordsError) -> Fault {
    tracing::error!(error = %chain(error), "records failed");
    match error {
        RecordsError::Unavailable(_) => Fault::transient("database_unavailable", error.to_string()),
        RecordsError::NoSpace(_) => Fault::transient("database_full", error.to_string()),
        RecordsError::Conflict { .. } => Fault::permanent("conflict", error.to_string()),
        RecordsError::Removed { .. } => Fault::permanent("removed", error.to_string()),
        RecordsError::TooLarge { .. } => Fault::permanent("too_large", error.to_string()),
        RecordsError::Unreadable { .. } | RecordsError::Refused(_) | RecordsError::Damaged(_) => {
            Fault::bug("database", error.to_string())
        }
    }
}

/// Does the jobs of one kind.
#[async_trait]
pub trait Handler: Send + Sync + 'static {
    /// Does the job, adopting whatever an earlier attempt has left.
    async fn run(&self, job: &Job, context: &JobContext) -> Result<(), JobError>;

    /// Brings what the job serves to a terminal state: there will be no further attempt.
    async fn bury(&self, job: &Job, fault: Fault) -> Result<(), JobError>;
}

/// Some kinds of jobs that share a number of slots.
#[derive(Clone)]
pub struct Lane {
    /// Name, for logs.
    pub name: &'static str,
    /// Handlers by kind.
    pub handlers: Vec<(&'static str, Arc<dyn Handler>)>,
    /// How many jobs at once.
    pub slots: usize,
}

/// Runs lanes until told to stop.
pub struct Worker {
    records: Arc<dyn Records>,
    owner: String,
    options: WorkerOptions,
}

impl Worker {
    /// A worker that leases as `owner`, which begins with its instance's stable name.
    pub fn new(records: Arc<dyn Records>, owner: String, options: WorkerOptions) -> Self {
        Self { records, owner, options }
    }

    /// Runs the lanes until `stop` fires, then lets running jobs stop and returns.
    pub async fn run(self, lanes: Vec<Lane>, stop: CancellationToken) {
        let worker = Arc::new(self);
        let mut set = JoinSet::new();
        for lane in lanes {
            set.spawn(Arc::clone(&worker).run_lane(lane, stop.clone()));
        }
        while set.join_next().await.is_some() {}
    }

    async fn run_lane(self: Arc<Self>, lane: Lane, stop: CancellationToken) {
        let kinds: Vec<&'static str> = lane.handlers.iter().map(|(kind, _)| *kind).collect();
        let mut changes = self.records.changes().subscribe();
        let mut running = JoinSet::new();
        while !stop.is_cancelled() {
            if running.len() < lane.slots {
                match self.records.queue().claim(&kinds, &self.owner, self.options.lease).await {
                    Ok(Some(job)) => {
                        let handler = lane
                            .handlers
                            .iter()
                            .find(|(kind, _)| *kind == job.payload.kind())
                            .map(|(_, handler)| Arc::clone(handler))
                            .expect("invariant: only kinds of the lane are claimed");
                        running.spawn(Arc::clone(&self).serve(job, handler, stop.child_token()));
                        continue;
                    }
                    Ok(None) => {}
                    Err(error) => {
                        tracing::warn!(lane = lane.name, error = %chain(&error), "cannot claim jobs");
                    }
                }
            }
            let idle = self.idle(&kinds).await;
            tokio::select! {
                () = stop.cancelled() => {}
                // News wakes a lane only if it has a slot to give.
                () = wait_for_job(&mut changes), if running.len() < lane.slots => {}
                Some(_) = running.join_next(), if !running.is_empty() => {}
                () = tokio::time::sleep(idle) => {}
            }
        }
        while running.join_next().await.is_some() {}
    }

    /// How long to wait at most before looking again.
    async fn idle(&self, kinds: &[&'static str]) -> Duration {
        match self.records.queue().next_due(kinds).await {
            Ok(Some(due)) => {
                let wait = (due - Utc::now()).to_std().unwrap_or(Duration::from_millis(10));
                wait.clamp(Duration::from_millis(10), self.options.poll)
            }
            _ => self.options.poll,
        }
    }

    async fn serve(self: Arc<Self>, job: Job, handler: Arc<dyn Handler>, cancelled: CancellationToken) {
        let context = JobContext { cancelled: cancelled.clone() };
        let poisoned = job.losses > LOSSES_MAX;
        let work = async {
            if poisoned {
                let fault = Fault::bug(
                    "lease_lost",
                    format!("the worker died {} times during this step; it is given up", job.losses),
                );
                return Err(JobError::Failed(fault));
            }
            handler.run(&job, &context).await
        };
        let outcome = tokio::select! {
            outcome = work => outcome,
            () = self.keep_alive(&job, &cancelled) => {
                tracing::warn!(job = %job.id, kind = job.payload.kind(), "lease lost; the work is abandoned");
                return;
            }
        };
        self.settle_within_lease(&job, handler.as_ref(), &outcome, poisoned).await;
    }

    /// A database that is full or away for a moment must not cost the work its result.
    async fn settle_within_lease(
        &self,
        job: &Job,
        handler: &dyn Handler,
        outcome: &Result<(), JobError>,
        poisoned: bool,
    ) {
        let end = tokio::time::Instant::now() + self.options.lease;
        let mut pause = SETTLE_RETRY_BASE;
        while let Err(error) = self.settle(job, handler, outcome, poisoned).await {
            if tokio::time::Instant::now() + pause > end {
                tracing::error!(job = %job.id, error = %chain(&error), "cannot record the end of a job; its lease runs out");
                return;
            }
            tracing::warn!(job = %job.id, error = %chain(&error), "cannot record the end of a job; trying again");
            tokio::time::sleep(pause).await;
            pause *= 2;
        }
    }

    /// Returns only once the lease is lost.
    async fn keep_alive(&self, job: &Job, cancelled: &CancellationToken) {
        let mut last = tokio::time::Instant::now();
        loop {
            tokio::time::sleep(self.options.heartbeat).await;
            let asked = tokio::time::Instant::now();
            let queue = self.records.queue();
            let heartbeat = queue.heartbeat(job.id, job.token, self.options.lease);
            match tokio::time::timeout_at(last + self.options.lease, heartbeat).await {
                // The lease counts from before the answer: the database may have hung after its commit.
                Ok(Ok(true)) => last = asked,
                // A database that is away for a moment loses no work; one that is away for longer
                // than the lease does, since another may have claimed.
                Ok(Err(_)) if last.elapsed() < self.options.lease => {}
                Ok(Ok(false) | Err(_)) | Err(_) => break,
            }
        }
        cancelled.cancel();
    }

    async fn settle(
        &self,
        job: &Job,
        handler: &dyn Handler,
        outcome: &Result<(), JobError>,
        poisoned: bool,
    ) -> Result<(), RecordsError> {
        let queue = self.records.queue();
        match outcome {
            Ok(()) => {
                fault_point::reach("job.handled");
                queue.complete(job.id, job.token).await?;
                fault_point::reach("job.completed");
            }
            Err(JobError::Wait { why, delay }) => {
                queue.give_back(job.id, job.token, *delay, why, false).await?;
            }
            Err(JobError::Stopped) => {
                queue.give_back(job.id, job.token, Duration::ZERO, "stopped", false).await?;
                self.records.changes().send(Change::Job);
            }
            Err(JobError::Failed(fault)) => {
                let again = fault.class == Class::Transient && job.attempt < job.attempts_max && !poisoned;
                if again {
                    let factor = 2u32.saturating_pow(job.attempt.saturating_sub(1));
                    let delay = self.options.retry_base.saturating_mul(factor).min(self.options.retry_max);
                    queue.give_back(job.id, job.token, delay, &fault.message, true).await?;
                    return Ok(());
                }
                match handler.bury(job, fault.clone()).await {
                    Ok(()) => drop(queue.bury(job.id, job.token, &fault.message).await?),
                    Err(error) => {
                        tracing::error!(job = %job.id, ?error, "cannot bury a job; trying again");
                        queue
                            .give_back(job.id, job.token, self.options.retry_max, &fault.message, false)
                            .await?;
                    }
                }
            }
        }
        Ok(())
    }
}

async fn wait_for_job(changes: &mut tokio::sync::broadcast::Receiver<Change>) {
    use tokio::sync::broadcast::error::RecvError;
    loop {
        match changes.recv().await {
            Ok(Change::Job) | Err(RecvError::Lagged(_)) => return,
            Ok(_) => {}
            // The sender lives as long as the records do; without it only the poll is left.
            Err(RecvError::Closed) => std::future::pending().await,
        }
    }
}
