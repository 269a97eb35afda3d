//! The `check` job: one command over what a bundle holds, from its order to its answer.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use chrono::{TimeDelta, Utc};
use slipway_objects::Blobs;
use slipway_records::fault_point;
use slipway_records::job::{JobPayload, NewJob};
use slipway_records::{Application, Change, DeclaredCheck, Handler, Job, JobContext, JobError, Records};
use slipway_types::id::CheckId;
use slipway_types::state::{CheckEvent, DeclaredCheckState, EarlierCheck};
use slipway_types::{Class, Fault};
use tokio_util::sync::CancellationToken;

use crate::backend::{Backends, BuildClock, BuildError, ContainerRun, ImageBackend, RunEnd};
use crate::log::LogWriter;

/// Limits of one check.
#[derive(Debug, Clone, Copy)]
pub struct CheckOptions {
    /// One attempt's time in all, whatever the check asks for.
    pub build_timeout: Duration,
    /// The largest log of one check, in bytes.
    pub max_log_bytes: u64,
    /// An answer older than this serves no other.
    pub reuse_age_max: TimeDelta,
}

/// How long a back-end may take to stop.
const STOP_WITHIN: Duration = Duration::from_secs(90);
/// How often a check that runs is looked at, for somebody may have stopped it.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Does `check` and `cluster_check` jobs.
pub struct CheckHandler {
    /// The records.
    pub records: Arc<dyn Records>,
    /// Where logs go.
    pub blobs: Blobs,
    /// What runs commands.
    pub backends: Backends,
    /// Limits.
    pub options: CheckOptions,
}

/// A check with all that belongs to it.
struct Work {
    check: DeclaredCheck,
    application: Application,
    backend: Arc<dyn ImageBackend>,
    /// Whether another process may have begun its attempt.
    resumed: bool,
}

#[async_trait]
impl Handler for CheckHandler {
    async fn run(&self, job: &Job, context: &JobContext) -> Result<(), JobError> {
        let Some(mut check) = self.load(job).await? else { return Ok(()) };
        if check.state.is_terminal() {
            self.tidy(&check).await;
            return Ok(());
        }
        let resumed = check.state == DeclaredCheckState::Running;
        if !resumed && self.stands_in(&mut check).await? {
            return Ok(());
        }
        let application = self.records.read().await?.application_get(check.application_id).await?;
        let Some(application) = application else { return Ok(()) };
        let backend = self.backends.get(&check.order.backend).ok_or_else(|| {
            let message = format!("this server has no back-end `{}`", check.order.backend);
            Fault::transient("backend_gone", message)
        })?;
        if !resumed && !self.start(&mut check).await? {
            return Err(outrun().into());
        }
        fault_point::reach("check.started");
        let work = Work { check, application, backend, resumed };
        let outcome = self.attempt(&work, context).await;
        fault_point::reach("check.ended");
        self.settle(work, outcome, job, context).await
    }

    async fn bury(&self, job: &Job, fault: Fault) -> Result<(), JobError> {
        let Some(check) = self.load(job).await? else { return Ok(()) };
        let attempt = check.attempt;
        let (id, backend) = (check.id, self.backends.get(&check.order.backend));
        self.record(id, attempt, CheckEvent::Break(fault)).await?;
        if let Some(backend) = backend {
            backend.run_settled(id, attempt).await;
        }
        Ok(())
    }
}

fn outrun() -> Fault {
    Fault::transient("outrun", "the check was changed meanwhile; looking again")
}

impl CheckHandler {
    async fn load(&self, job: &Job) -> Result<Option<DeclaredCheck>, JobError> {
        let (JobPayload::Check { check } | JobPayload::ClusterCheck { check }) = job.payload else {
            return Ok(None);
        };
        Ok(self.records.read().await?.declared_check_get(check).await?)
    }

    /// Removes what still runs of a check that was stopped while nobody held its lease.
    async fn tidy(&self, check: &DeclaredCheck) {
        if check.attempt > 0
            && let Some(backend) = self.backends.get(&check.order.backend)
        {
            backend.run_settled(check.id, check.attempt).await;
        }
    }

    /// Settles a waiting check by an earlier one with the same inputs; `true` if there is one.
    async fn stands_in(&self, check: &mut DeclaredCheck) -> Result<bool, JobError> {
        if check.fresh {
            return Ok(false);
        }
        let since = Utc::now() - self.options.reuse_age_max;
        let mut read = self.records.read().await?;
        let found = read.declared_check_passed(check.application_id, &check.inputs, since).await?;
        let Some(found) = found.filter(|found| found.id != check.id) else { return Ok(false) };
        let Some(version) = read.version_get(found.version_id).await? else { return Ok(false) };
        drop(read);
        let earlier = EarlierCheck { check: found.id, version: version.version };
        self.record(check.id, check.attempt, CheckEvent::Reuse(earlier)).await
    }

    /// Stores that an attempt begins; `false` if somebody changed the check meanwhile.
    async fn start(&self, check: &mut DeclaredCheck) -> Result<bool, JobError> {
        let Ok(state) = check.state.clone().apply(CheckEvent::Start) else { return Ok(false) };
        check.state = state;
        check.attempt += 1;
        check.started_at = Some(Utc::now());
        let mut tx = self.records.begin().await?;
        let saved = tx.declared_check_save(check).await?;
        tx.commit().await?;
        Ok(saved)
    }

    /// Stores what happened to an attempt, with what must follow; `false` if it is no longer the check's
    /// attempt, or has ended otherwise.
    async fn record(&self, id: CheckId, attempt: u32, event: CheckEvent) -> Result<bool, JobError> {
        loop {
            let mut tx = self.records.begin().await?;
            let Some(mut check) = tx.declared_check_get(id).await? else { return Ok(false) };
            let Ok(state) = check.state.clone().apply(event.clone()) else { return Ok(false) };
            if check.attempt != attempt {
                return Ok(false);
            }
            check.state = state;
            if check.state.is_terminal() {
                check.finished_at = Some(Utc::now());
                // What it held may be what an environment that follows waits for.
                let follow = JobPayload::Follow { application: check.application_id };
                tx.job_enqueue(NewJob::new(follow, Some(check.application_id))).await?;
            }
            if tx.declared_check_save(&mut check).await? {
                tx.commit().await?;
                fault_point::reach("check.committed");
                // Whoever follows its log looks whether it has ended.
                self.records.changes().send(Change::Log(id.as_uuid()));
                return Ok(true);
            }
        }
    }

    /// One attempt under its deadline, watched for cancellation; its log is stored before it returns.
    async fn attempt(&self, work: &Work, context: &JobContext) -> Result<RunEnd, BuildError> {
        let check = &work.check;
        let (records, blobs) = (Arc::clone(&self.records), self.blobs.clone());
        let (log, task) = LogWriter::open(records, blobs, check.id.as_uuid(), self.options.max_log_bytes);
        if !work.resumed {
            let order = &check.order;
            log.line(format!(
                "slipway: attempt {}: {} in {} on {} ({})",
                check.attempt,
                order.command.join(" "),
                order.image,
                order.backend,
                order.backend_why
            ))
            .await;
        }
        let outcome = self.run_in_time(work, context, &log).await;
        let said = match &outcome {
            Ok(end) => said_of(end).unwrap_or_else(|| "passed".to_owned()),
            Err(BuildError::Failed(fault)) => format!("error: {fault}"),
            Err(BuildError::TimedOut(which)) => format!("timed out: {which}"),
            Err(BuildError::Cancelled) => "stopped".to_owned(),
        };
        // A server that stops may leave it running for the next one.
        if !context.cancelled.is_cancelled() {
            log.line(format!("slipway: {said}")).await;
        }
        drop(log);
        task.close().await;
        outcome
    }

    async fn run_in_time(
        &self,
        work: &Work,
        context: &JobContext,
        log: &LogWriter,
    ) -> Result<RunEnd, BuildError> {
        let (check, order) = (&work.check, &work.check.order);
        let cancelled = context.cancelled.child_token();
        let clock = BuildClock::default();
        let asked = Duration::from_secs(u64::from(order.timeout_seconds));
        let limit = asked.min(self.options.build_timeout);
        let run = work.backend.run(ContainerRun {
            check: check.id,
            attempt: check.attempt,
            application: &work.application.name,
            image: &order.image,
            command: &order.command,
            env: &order.env,
            timeout: limit,
            log,
            resumed: work.resumed,
            clock: &clock,
            cancelled: cancelled.clone(),
            stopping: context.cancelled.clone(),
        });
        tokio::pin!(run);
        let why = tokio::select! {
            outcome = &mut run => return outcome,
            () = clock.run_out(limit) => BuildError::TimedOut(if asked <= limit {
                format!("it ran longer than timeoutSeconds = {}", order.timeout_seconds)
            } else {
                format!("it ran longer than build_timeout_ms = {}", limit.as_millis())
            }),
            () = self.until_over(check, &cancelled) => BuildError::Cancelled,
        };
        cancelled.cancel();
        // The back-end returns once nothing of it runs any more.
        if tokio::time::timeout(STOP_WITHIN, run).await.is_err() {
            log.line("slipway: the back-end did not stop in time; what it left is swept later").await;
        }
        Err(why)
    }

    /// Returns once the check's row says that this attempt is not wanted any more.
    async fn until_over(&self, check: &DeclaredCheck, cancelled: &CancellationToken) {
        loop {
            tokio::select! {
                () = cancelled.cancelled() => return,
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
            let Ok(mut read) = self.records.read().await else { continue };
            let Ok(found) = read.declared_check_get(check.id).await else { continue };
            if found
                .is_none_or(|row| row.state != DeclaredCheckState::Running || row.attempt != check.attempt)
            {
                return;
            }
        }
    }

    async fn settle(
        &self,
        work: Work,
        outcome: Result<RunEnd, BuildError>,
        job: &Job,
        context: &JobContext,
    ) -> Result<(), JobError> {
        let Work { check, backend, .. } = work;
        if context.cancelled.is_cancelled() && outcome.is_err() {
            // The server stops: the next worker goes on with it.
            return Err(JobError::Stopped);
        }
        let mut again = None;
        let event = match outcome {
            Ok(end) => said_of(&end).map_or(CheckEvent::Pass, CheckEvent::Fail),
            Err(BuildError::Cancelled) => {
                backend.run_settled(check.id, check.attempt).await;
                // The row said so already. If it is wanted again by now, that has a job of its own.
                return Ok(());
            }
            Err(BuildError::TimedOut(which)) => CheckEvent::TimeOut(which),
            Err(BuildError::Failed(fault))
                if fault.class == Class::Transient && job.attempt < job.attempts_max =>
            {
                let event = CheckEvent::Retry(fault.message.clone());
                again = Some(fault);
                event
            }
            Err(BuildError::Failed(fault)) => CheckEvent::Break(fault),
        };
        self.record(check.id, check.attempt, event).await?;
        backend.run_settled(check.id, check.attempt).await;
        again.map_or(Ok(()), |fault| Err(JobError::Failed(fault)))
    }
}

/// What an end says against the check; nothing if it passed.
fn said_of(end: &RunEnd) -> Option<String> {
    match end {
        RunEnd::Exited { code: 0, .. } => None,
        RunEnd::Exited { code, out_of_memory: true } => {
            Some(format!("exit code {code}: it was killed, for it used more memory than it may"))
        }
        RunEnd::Exited { code, .. } => Some(format!("exit code {code}")),
        RunEnd::NotStarted { why } => Some(format!("the command did not begin: {why}")),
    }
}
