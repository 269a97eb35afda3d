//! The `plan` and `cancel` jobs.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use chrono::Utc;
use serde_json::json;
use slipway_objects::Blobs;
use slipway_records::fault_point;
use slipway_records::job::JobPayload;
use slipway_records::pipeline::{Moved, WAIT_FALLBACK, ahead_in_planning, run_move};
use slipway_records::plan::{ComponentPlan, ImagePlan};
use slipway_records::{
    Application, Build, Change, Handler, Job, JobContext, JobError, Page, Records, Run, VersionFilter,
};
use slipway_types::id::BuildId;
use slipway_types::state::{BuildState, RunEvent, RunState, Step, WAITS_FOR_DISK};
use slipway_types::version::VersionTag;
use slipway_types::{ComponentName, Fault, GitRef};

use crate::advance::Advance;
use crate::bases;
use crate::log::LogWriter;
use crate::plan_log;
use crate::planner::Planner;

/// Does `plan` jobs.
pub struct PlanHandler {
    /// The records.
    pub records: Arc<dyn Records>,
    /// What makes plans.
    pub planner: Planner,
    /// What follows.
    pub advance: Advance,
    /// The disk that builds fill.
    pub disk: Disk,
    /// Where the log goes.
    pub blobs: Blobs,
    /// The longest log, in bytes.
    pub max_log_bytes: u64,
}

/// A disk that must not fill up.
#[derive(Clone)]
pub struct Disk {
    /// How many bytes are free now.
    pub free_bytes: fn(&Path) -> io::Result<u64>,
    /// A directory on it.
    pub path: PathBuf,
    /// Below so much free space no run begins.
    pub min_free_bytes: u64,
}

impl Disk {
    /// Why no run may begin, if none may.
    fn shortage(&self) -> Option<String> {
        let free = (self.free_bytes)(&self.path).ok()?;
        // Rounded, so that who watches is not told anew of every byte.
        let rounded = |bytes: u64| match bytes >> 20 {
            mib @ 1024.. => format!("{}.{} GiB", mib / 1024, mib % 1024 * 10 / 1024),
            mib @ 10.. => format!("{} MiB", mib / 10 * 10),
            _ => "less than 10 MiB".to_owned(),
        };
        (free < self.min_free_bytes).then(|| {
            format!(
                "{WAITS_FOR_DISK}: {} are free in {}, storage.min_free_bytes is {}",
                rounded(free),
                self.path.display(),
                rounded(self.min_free_bytes)
            )
        })
    }
}

/// What a run's ref and commit ask for.
enum Errand {
    /// Build every component, or one.
    Build(Option<ComponentName>),
    /// The commit has a bundle: publish it under the tag's version.
    Release,
    /// Nothing.
    Skip(String),
}

#[async_trait]
impl Handler for PlanHandler {
    async fn run(&self, job: &Job, context: &JobContext) -> Result<(), JobError> {
        let Some((mut run, application)) = self.load(job).await? else { return Ok(()) };
        match run.state {
            RunState::Queued { .. } => {
                self.wait_for_turn(&mut run).await?;
                if !self.store(&mut run, RunEvent::Plan).await? {
                    return Ok(());
                }
                fault_point::reach("plan.begun");
            }
            RunState::Planning => {}
            RunState::Building | RunState::Cancelling { .. } => return self.advance.run(run.id).await,
            _ => return Ok(()),
        }
        let event = match self.errand(&run, &application).await? {
            Errand::Skip(why) => RunEvent::Skip(why),
            Errand::Release => return self.begin(run, Vec::new()).await,
            Errand::Build(only) => {
                let plans = tokio::select! {
                    plans = self.plans(job, &run, &application, only.as_ref()) => plans,
                    () = context.cancelled.cancelled() => return Err(JobError::Stopped),
                };
                match plans {
                    Ok(plans) => {
                        let builds = plans.iter().map(|plan| new_build(&run, plan, &plans)).collect();
                        return self.begin(run, builds).await;
                    }
                    Err(fault) if bases::gives_up(&fault, job.attempt) => RunEvent::Fail(Step::Plan, fault),
                    Err(fault) => return Err(fault.into()),
                }
            }
        };
        self.store(&mut run, event).await?;
        Ok(())
    }

    async fn bury(&self, job: &Job, fault: Fault) -> Result<(), JobError> {
        let Some((mut run, _)) = self.load(job).await? else { return Ok(()) };
        if matches!(run.state, RunState::Queued { .. } | RunState::Planning) {
            self.store(&mut run, RunEvent::Fail(Step::Plan, fault)).await?;
        }
        Ok(())
    }
}

impl PlanHandler {
    async fn load(&self, job: &Job) -> Result<Option<(Run, Application)>, JobError> {
        let JobPayload::Plan { run } = job.payload else { return Ok(None) };
        let mut read = self.records.read().await?;
        let Some(run) = read.run_get(run).await? else { return Ok(None) };
        let Some(application) = read.application_get(run.application_id).await? else { return Ok(None) };
        Ok(Some((run, application)))
    }

    async fn wait_for_turn(&self, run: &mut Run) -> Result<(), JobError> {
        let live = self.records.read().await?.runs_live(run.application_id).await?;
        let ahead = ahead_in_planning(run, &live)
            .map(|other| format!("waits for run #{} of the same commit", other.number));
        let Some(why) = ahead.or_else(|| self.disk.shortage()) else { return Ok(()) };
        let event = RunEvent::Wait(why.clone());
        if run.state.reason().as_ref() != Some(&why) {
            self.store(run, event).await?;
        }
        Err(JobError::Wait { why, delay: WAIT_FALLBACK })
    }

    async fn store(&self, run: &mut Run, event: RunEvent) -> Result<bool, JobError> {
        let mut tx = self.records.begin().await?;
        if run_move(tx.as_mut(), run, event).await? != Moved::Stored {
            return Ok(false);
        }
        tx.commit().await?;
        self.records.changes().send(Change::Run(run.id));
        Ok(true)
    }

    async fn errand(&self, run: &Run, application: &Application) -> Result<Errand, JobError> {
        let GitRef::Tag(tag) = &run.git_ref else {
            let snapshot = self.planner.git.snapshot(application.source_id, &run.commit).await;
            let info = snapshot.and_then(|snapshot| snapshot.commit_info()).map_err(|error| error.fault())?;
            // Whoever starts a run by hand means it.
            let asked = run.retry_of.is_some() || run.fresh;
            return Ok(match info.skip_mark().filter(|_| !asked) {
                Some(mark) => Errand::Skip(format!("the commit's message says {mark}")),
                None => Errand::Build(None),
            });
        };
        let (component, version) = match VersionTag::parse(tag) {
            Some(VersionTag::Application(version)) => (None, version),
            Some(VersionTag::Component(component, version)) => (Some(component), version),
            None => {
                let why = format!(
                    "tag `{tag}` names no version; version tags look like v1.2.3 or COMPONENT/v1.2.3"
                );
                return Ok(Errand::Skip(why));
            }
        };
        let mut read = self.records.read().await?;
        let taken = read.version_find(run.application_id, component.as_ref(), &version).await?;
        if let Some(taken) = taken.filter(|taken| taken.commit != run.commit) {
            let message = format!(
                "version {version} was published from commit {}; tag `{tag}` now names {}",
                taken.commit.short(),
                run.commit.short()
            );
            return Err(Fault::permanent("version_taken", message)
                .hint("A published version never moves: delete the tag and choose the next version.")
                .into());
        }
        let filter = VersionFilter {
            application: Some(run.application_id),
            component: Some(None),
            commit: Some(run.commit.clone()),
            ..VersionFilter::default()
        };
        let has_bundle = !read.version_list(&filter, Page::first(1)).await?.is_empty();
        Ok(if component.is_none() && has_bundle && !run.fresh {
            Errand::Release
        } else {
            Errand::Build(component)
        })
    }

    /// What the planner makes of the commit, told in the run's log.
    async fn plans(
        &self,
        job: &Job,
        run: &Run,
        application: &Application,
        only: Option<&ComponentName>,
    ) -> Result<Vec<ComponentPlan>, Fault> {
        let (log, task) = LogWriter::open(
            Arc::clone(&self.records),
            self.blobs.clone(),
            run.id.as_uuid(),
            self.max_log_bytes,
        );
        log.line(plan_log::begins(&application.name, run, job.attempt)).await;
        let plans = self.planner.plan(application, &run.commit, only).await;
        match &plans {
            Ok(plans) => {
                for line in plans.iter().flat_map(plan_log::lines) {
                    log.line(line).await;
                }
            }
            Err(fault) => log.line(format!("error: {fault}")).await,
        }
        drop(log);
        task.close().await;
        plans
    }

    /// Stores the builds and sets the run going.
    async fn begin(&self, mut run: Run, builds: Vec<Build>) -> Result<(), JobError> {
        let mut tx = self.records.begin().await?;
        tx.builds_insert(&builds).await?;
        if run_move(tx.as_mut(), &mut run, RunEvent::Planned).await? != Moved::Stored {
            return Err(Fault::transient("outrun", "the run was changed meanwhile; looking again").into());
        }
        fault_point::reach("plan.before_commit");
        tx.commit().await?;
        fault_point::reach("plan.committed");
        self.records.changes().send(Change::Run(run.id));
        self.advance.run(run.id).await
    }
}

fn new_build(run: &Run, plan: &ComponentPlan, all: &[ComponentPlan]) -> Build {
    let position = all.iter().position(|other| other.name == plan.name).unwrap_or_default();
    let (backend, backend_why) = match &plan.image {
        Some(ImagePlan::Build(build)) => (Some(build.backend.clone()), Some(build.backend_why.clone())),
        _ => (None, None),
    };
    let why = if plan.needs.is_empty() {
        "waits for a worker".to_owned()
    } else {
        let names: Vec<&str> = plan.needs.iter().map(ComponentName::as_str).collect();
        format!("waits for {}", names.join(", "))
    };
    Build {
        id: BuildId::new(),
        run_id: run.id,
        application_id: run.application_id,
        component: plan.name.clone(),
        kit: plan.kit.clone(),
        position: u32::try_from(position).unwrap_or(u32::MAX),
        backend,
        backend_why,
        plan: serde_json::to_value(plan).expect("invariant: a plan serialises"),
        image_fingerprint: None,
        state: BuildState::Queued { why, retry_at: None },
        attempt: 0,
        stages_ms: json!({}),
        generation: 0,
        created_at: Utc::now(),
        started_at: None,
        finished_at: None,
    }
}

/// Does `cancel` jobs.
pub struct CancelHandler {
    /// What stops a run's builds.
    pub advance: Advance,
}

#[async_trait]
impl Handler for CancelHandler {
    async fn run(&self, job: &Job, _context: &JobContext) -> Result<(), JobError> {
        self.stop(job).await
    }

    async fn bury(&self, job: &Job, _fault: Fault) -> Result<(), JobError> {
        self.stop(job).await
    }
}

impl CancelHandler {
    async fn stop(&self, job: &Job) -> Result<(), JobError> {
        match job.payload {
            JobPayload::Cancel { run } => self.advance.run(run).await,
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn little_space_is_told_in_mebibytes() {
        let disk = Disk {
            free_bytes: |_| Ok((70 << 20) + 1),
            path: PathBuf::from("/data"),
            min_free_bytes: 3 << 29,
        };
        let told = "waits for disk space: 70 MiB are free in /data, storage.min_free_bytes is 1.5 GiB";
        assert_eq!(disk.shortage().as_deref(), Some(told));
    }
}
