//! The `build` job: one component's image, from its plan to the registry's answer.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use chrono::{TimeDelta, Utc};
use slipway_git::GitStore;
use slipway_objects::Blobs;
use slipway_records::fault_point;
use slipway_records::job::JobPayload;
use slipway_records::plan::{ComponentPlan, ImagePlan};
use slipway_records::{
    Application, Build, BuildResult, Change, Handler, Job, JobContext, JobError, Records, Run, Source,
};
use slipway_types::id::BuildId;
use slipway_types::state::{BuildEvent, BuildState, BuiltImage, RunState};
use slipway_types::{ApplicationName, Class, Fault};
use tokio_util::sync::CancellationToken;

use crate::advance::{Advance, needed_images, plan_of};
use crate::backend::{Backends, BuildClock, BuildError, ImageBuild};
use crate::bases::{self, BaseResolver};
use crate::log::LogWriter;
use crate::pin::Pin;

/// Limits of one build.
#[derive(Debug, Clone, Copy)]
pub struct BuildOptions {
    /// One attempt's time, in all.
    pub build_timeout: Duration,
    /// The largest log of one build, in bytes.
    pub max_log_bytes: u64,
}

impl Default for BuildOptions {
    fn default() -> Self {
        Self { build_timeout: Duration::from_mins(30), max_log_bytes: 512 * 1024 * 1024 }
    }
}

/// How long a back-end may take to stop.
const STOP_WITHIN: Duration = Duration::from_secs(90);

/// Does `build` jobs.
pub struct BuildHandler {
    /// The records.
    pub records: Arc<dyn Records>,
    /// Where logs and layers go.
    pub blobs: Blobs,
    /// Where commits are.
    pub git: GitStore,
    /// What makes images.
    pub backends: Backends,
    /// What pins existing images.
    pub pin: Pin,
    /// What tells whether a base that was planned from an earlier answer can be read.
    pub bases: BaseResolver,
    /// What follows.
    pub advance: Advance,
    /// Limits.
    pub options: BuildOptions,
}

/// A build with all that belongs to it.
struct Work {
    build: Build,
    run: Run,
    application: Application,
    source: Source,
    plan: ComponentPlan,
    builds: Vec<Build>,
    /// Whether another process may have begun its attempt.
    resumed: bool,
}

#[async_trait]
impl Handler for BuildHandler {
    async fn run(&self, job: &Job, context: &JobContext) -> Result<(), JobError> {
        let Some(mut work) = self.load(job).await? else { return Ok(()) };
        if work.build.state.is_terminal() {
            return self.advance.run(work.run.id).await;
        }
        if matches!(work.build.state, BuildState::Cancelling { .. }) {
            // The lease is ours, so no worker of that attempt is left.
            self.record(&mut work.build, BuildEvent::Stopped).await?;
            return self.advance.run(work.run.id).await;
        }
        if work.run.state != RunState::Building {
            self.record(&mut work.build, BuildEvent::Cancel("the run has ended".into())).await?;
            return Ok(());
        }
        let waiting = !work.resumed;
        if waiting && self.advance.try_reuse(&work.run, work.build.clone(), &work.builds).await? {
            return self.advance.run(work.run.id).await;
        }
        let Some(image) = work.plan.image.clone() else { return self.advance.run(work.run.id).await };
        let needs = needed_images(&work.plan, &work.builds);
        work.build.image_fingerprint = Some(crate::fingerprint::image(&image, &work.plan.kit_digest, &needs));
        if waiting && !self.start(&mut work.build).await? {
            return Ok(());
        }
        fault_point::reach("build.started");
        let outcome = self.attempt(&work, &image, context).await;
        self.settle(work, outcome, job, context).await
    }

    async fn bury(&self, job: &Job, fault: Fault) -> Result<(), JobError> {
        let Some(mut work) = self.load(job).await? else { return Ok(()) };
        if !work.build.state.is_terminal() {
            self.record(&mut work.build, BuildEvent::Fail(fault)).await?;
        }
        self.advance.run(work.run.id).await
    }
}

impl BuildHandler {
    async fn load(&self, job: &Job) -> Result<Option<Work>, JobError> {
        let (JobPayload::Build { build } | JobPayload::ClusterBuild { build }) = job.payload else {
            return Ok(None);
        };
        let mut read = self.records.read().await?;
        let Some(build) = read.build_get(build).await? else { return Ok(None) };
        let Some(run) = read.run_get(build.run_id).await? else { return Ok(None) };
        let Some(application) = read.application_get(run.application_id).await? else { return Ok(None) };
        let Some(source) = read.source_get(application.source_id).await? else { return Ok(None) };
        let builds = read.builds_of(run.id).await?;
        let plan = plan_of(&build)?;
        let resumed = !matches!(build.state, BuildState::Queued { .. });
        Ok(Some(Work { build, run, application, source, plan, builds, resumed }))
    }

    /// Stores that an attempt begins; `false` if somebody changed the build meanwhile.
    async fn start(&self, build: &mut Build) -> Result<bool, JobError> {
        let now = Utc::now();
        build.attempt += 1;
        if build.started_at.is_none() {
            build.started_at = Some(now);
            set_stage(build, "queue", now - build.created_at);
        }
        self.record(build, BuildEvent::Start).await
    }

    async fn record(&self, build: &mut Build, event: BuildEvent) -> Result<bool, JobError> {
        let Ok(state) = build.state.clone().apply(event, build.attempt) else { return Ok(false) };
        if state.is_terminal() {
            build.finished_at = Some(Utc::now());
        }
        build.state = state;
        let mut tx = self.records.begin().await?;
        if !tx.build_save(build).await? {
            return Ok(false);
        }
        if let BuildState::Pushed { images } = &build.state
            && let Some(fingerprint) = build.image_fingerprint
        {
            let result = BuildResult {
                application_id: build.application_id,
                component: build.component.clone(),
                fingerprint,
                build_id: build.id,
                images: images.clone(),
                built_at: Utc::now(),
            };
            tx.result_put(&result).await?;
            fault_point::reach("build.before_commit");
        }
        tx.commit().await?;
        if matches!(build.state, BuildState::Pushed { .. }) {
            fault_point::reach("build.committed");
        }
        self.records.changes().send(Change::Build(build.run_id, build.id));
        Ok(true)
    }

    /// One attempt under its deadline, watched for cancellation; its log is stored before it returns.
    async fn attempt(
        &self,
        work: &Work,
        image: &ImagePlan,
        context: &JobContext,
    ) -> Result<BuiltImage, BuildError> {
        let id = work.build.id;
        let (log, log_task) = LogWriter::open(
            Arc::clone(&self.records),
            self.blobs.clone(),
            id.as_uuid(),
            self.options.max_log_bytes,
        );
        // The log of a build goes on where the attempt before it ended, or broke off.
        if work.resumed {
            log.line("taken up again: the worker before this one ended").await;
        } else if work.build.attempt > 1 {
            log.line(format!("attempt {}", work.build.attempt)).await;
        }
        let outcome = self.make_in_time(work, image, context, &log).await;
        match &outcome {
            Ok(image) => log.line(format!("pushed {}@{}", image.repository, image.digest)).await,
            Err(BuildError::Failed(fault)) => log.line(format!("error: {fault}")).await,
            Err(BuildError::TimedOut(which)) => log.line(format!("timed out: {which}")).await,
            Err(BuildError::Cancelled) => log.line("stopped").await,
        }
        drop(log);
        log_task.close().await;
        outcome
    }

    /// Makes the image unless a deadline passes or the build is cancelled; then it is stopped.
    async fn make_in_time(
        &self,
        work: &Work,
        image: &ImagePlan,
        context: &JobContext,
        log: &LogWriter,
    ) -> Result<BuiltImage, BuildError> {
        let cancelled = context.cancelled.child_token();
        let clock = BuildClock::default();
        let make = self.make(work, image, log, &clock, cancelled.clone(), context.cancelled.clone());
        tokio::pin!(make);
        let limit = self.options.build_timeout;
        let why = tokio::select! {
            outcome = &mut make => return outcome,
            () = clock.run_out(limit) => {
                let limit = limit.as_millis();
                BuildError::TimedOut(format!("the build took longer than build_timeout_ms = {limit}"))
            }
            () = self.until_cancelled(work.build.id, &cancelled) => BuildError::Cancelled,
        };
        cancelled.cancel();
        // The back-end returns once nothing of the build runs any more.
        if tokio::time::timeout(STOP_WITHIN, make).await.is_err() {
            log.line("the back-end did not stop in time; what it left is swept later").await;
        }
        Err(why)
    }

    async fn make(
        &self,
        work: &Work,
        image: &ImagePlan,
        log: &LogWriter,
        clock: &BuildClock,
        cancelled: CancellationToken,
        stopping: CancellationToken,
    ) -> Result<BuiltImage, BuildError> {
        let repository = image_repository(&work.application, &work.plan);
        self.check_noted(&work.application.name, image, log).await?;
        let made = match image {
            ImagePlan::Pin { reference, digest, platforms, .. } => {
                log.line(format!("pinning {reference} at {digest}")).await;
                self.pin
                    .acting_for(&work.application.name)
                    .pin(reference, *digest, platforms, &repository)
                    .await?
            }
            ImagePlan::Build(plan) => {
                let backend = self.backends.get(&plan.backend).ok_or_else(|| {
                    Fault::transient(
                        "backend_gone",
                        format!("this server has no back-end `{}`", plan.backend),
                    )
                })?;
                log.line(format!("building with {} ({})", plan.backend, plan.backend_why)).await;
                let needs = needed_images(&work.plan, &work.builds);
                let job = ImageBuild {
                    build: &work.build,
                    application: &work.application.name,
                    component: &work.plan.name,
                    plan,
                    context: &work.plan.context,
                    commit: &work.run.commit,
                    source: &work.source,
                    git: &self.git,
                    repository: &repository,
                    needs: &needs,
                    log,
                    resumed: work.resumed,
                    clock,
                    cancelled,
                    stopping,
                };
                backend.build(job).await?
            }
        };
        if self.advance.reuse.target.holds(&made).await? {
            Ok(made)
        } else {
            Err(Fault::transient(
                "not_in_registry",
                format!("the registry does not answer for {}", made.digest),
            )
            .into())
        }
    }

    /// Says which bases were planned from an earlier answer, and sees that they can be read now.
    async fn check_noted(
        &self,
        application: &ApplicationName,
        image: &ImagePlan,
        log: &LogWriter,
    ) -> Result<(), Fault> {
        let noted: Vec<_> = match image {
            ImagePlan::Build(plan) => {
                plan.bases.iter().filter_map(|b| Some((b.note.as_ref()?, &b.reference, b.digest))).collect()
            }
            ImagePlan::Pin { reference, digest, note, .. } => {
                note.iter().map(|note| (note, reference, *digest)).collect()
            }
        };
        for (note, reference, digest) in noted {
            log.line(format!("note: {note}")).await;
            self.bases.acting_for(application).check(&reference.pinned(digest)).await?;
        }
        Ok(())
    }

    /// Returns once the build's row says that it is to stop.
    async fn until_cancelled(&self, id: BuildId, cancelled: &CancellationToken) {
        const LOOK_EVERY: Duration = Duration::from_secs(1);
        loop {
            tokio::select! {
                () = cancelled.cancelled() => return,
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
            let Ok(mut read) = self.records.read().await else { continue };
            if let Ok(Some(build)) = read.build_get(id).await
                && (build.state.is_terminal() || matches!(build.state, BuildState::Cancelling { .. }))
            {
                cancelled.cancel();
                return;
            }
        }
    }

    async fn settle(
        &self,
        work: Work,
        outcome: Result<BuiltImage, BuildError>,
        job: &Job,
        context: &JobContext,
    ) -> Result<(), JobError> {
        let Work { run, plan, .. } = work;
        let backend = match &plan.image {
            Some(ImagePlan::Build(plan)) => self.backends.get(&plan.backend),
            _ => None,
        };
        if context.cancelled.is_cancelled() && outcome.is_err() {
            // The server stops: the build stays `building` and the next worker goes on with it.
            return Err(JobError::Stopped);
        }
        // The row may have moved to `cancelling` meanwhile.
        let mut read = self.records.read().await?;
        let Some(mut build) = read.build_get(work.build.id).await? else { return Ok(()) };
        drop(read);
        build.image_fingerprint = work.build.image_fingerprint;
        let event = match outcome {
            _ if matches!(build.state, BuildState::Cancelling { .. }) => BuildEvent::Stopped,
            Ok(image) => {
                let since = build.started_at.unwrap_or(build.created_at);
                set_stage(&mut build, "build", Utc::now() - since);
                BuildEvent::Pushed(vec![image])
            }
            Err(BuildError::Cancelled) => BuildEvent::Cancel("stopped".into()),
            Err(BuildError::TimedOut(which)) => BuildEvent::TimeOut(which),
            Err(BuildError::Failed(fault))
                if fault.class == Class::Transient
                    && job.attempt < job.attempts_max
                    && !bases::gives_up(&fault, job.attempt) =>
            {
                let event = BuildEvent::Retry { why: fault.message.clone(), at: Utc::now() };
                self.record(&mut build, event).await?;
                if let Some(backend) = backend {
                    backend.settled(build.id, build.attempt).await;
                }
                return Err(JobError::Failed(fault));
            }
            Err(BuildError::Failed(fault)) => BuildEvent::Fail(fault),
        };
        self.record(&mut build, event).await?;
        if let Some(backend) = backend {
            backend.settled(build.id, build.attempt).await;
        }
        self.advance.run(run.id).await
    }
}

/// The repository of a component's images.
pub fn image_repository(application: &Application, plan: &ComponentPlan) -> String {
    format!("{}/i/{}", application.name.path(), plan.name)
}

fn set_stage(build: &mut Build, stage: &str, took: TimeDelta) {
    if let Some(stages) = build.stages_ms.as_object_mut() {
        stages.insert(stage.to_owned(), took.num_milliseconds().max(0).into());
    }
}
