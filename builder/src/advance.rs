//! What follows in a run when something about its builds has changed.
//!
//! [`Advance::run`] may be called at any time, any number of times: it reads where the run stands and
//! does what is due, so a process killed between two steps loses nothing.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::Utc;
use futures::{FutureExt as _, StreamExt as _, TryStreamExt as _, stream};
use slipway_records::job::{JobPayload, NewJob};
use slipway_records::pipeline::{Moved, run_move};
use slipway_records::plan::{ComponentPlan, ImagePlan};
use slipway_records::{Build, Change, JobError, Records, Run, Write};
use slipway_types::id::RunId;
use slipway_types::state::{BuildEvent, BuildState, BuiltImage, RunEvent, RunState, Step};
use slipway_types::{ComponentName, Fault};

use crate::backend::kaniko;
use crate::fingerprint;
use crate::reuse::{Earlier, Reuse};

/// Results that are looked for at once.
const ASKED_AT_ONCE_MAX: usize = 8;

/// Drives runs from one build to the next.
#[derive(Clone)]
pub struct Advance {
    /// The records.
    pub records: Arc<dyn Records>,
    /// Tells what need not be built.
    pub reuse: Reuse,
}

impl Advance {
    /// Does what is due in the run.
    pub async fn run(&self, id: RunId) -> Result<(), JobError> {
        while self.reuse_what_is_ready(id).await? {}
        loop {
            let mut tx = self.records.begin().await?;
            let Some(mut run) = tx.run_get(id).await? else { return Ok(()) };
            let builds = tx.builds_of(id).await?;
            let event = match run.state {
                RunState::Building => decide(tx.as_mut(), &run, &builds).await?,
                RunState::Cancelling { .. } => cancel(tx.as_mut(), &builds).await?,
                _ => return Ok(()),
            };
            if let Some(event) = event {
                let packages = event == RunEvent::Built;
                if run_move(tx.as_mut(), &mut run, event).await? == Moved::Outrun {
                    continue;
                }
                if packages {
                    let job = NewJob::new(JobPayload::Package { run: id }, Some(run.application_id));
                    tx.job_enqueue(job).await?;
                }
            }
            tx.commit().await?;
            self.records.changes().send(Change::Run(id));
            return Ok(());
        }
    }

    /// Settles every waiting build whose result is known; `true` if there was one, since others may
    /// have waited for it.
    async fn reuse_what_is_ready(&self, id: RunId) -> Result<bool, JobError> {
        let mut read = self.records.read().await?;
        let Some(run) = read.run_get(id).await? else { return Ok(false) };
        if run.state != RunState::Building {
            return Ok(false);
        }
        let builds = read.builds_of(id).await?;
        drop(read);
        let ready: Vec<Build> = builds.iter().filter(|build| is_ready(build, &builds)).cloned().collect();
        let asked: Vec<_> =
            ready.into_iter().map(|build| self.reuse_if_known(&run, build, &builds).boxed()).collect();
        // The registry may be far away.
        let asked = stream::iter(asked).buffer_unordered(ASKED_AT_ONCE_MAX);
        asked.try_fold(false, async |any, reused| Ok(any || reused)).await
    }

    async fn reuse_if_known(&self, run: &Run, build: Build, builds: &[Build]) -> Result<bool, JobError> {
        let id = build.id;
        match self.try_reuse(run, build, builds).await {
            // Its own job asks again; if the registry does not answer then, that build fails by name.
            Err(JobError::Failed(fault)) => {
                tracing::info!(build.id = %id, %fault, "cannot tell whether a result still exists");
                Ok(false)
            }
            outcome => outcome,
        }
    }

    /// Settles a waiting build by an earlier result, if one may stand in.
    pub async fn try_reuse(&self, run: &Run, mut build: Build, builds: &[Build]) -> Result<bool, JobError> {
        let plan = plan_of(&build)?;
        let event = match &plan.image {
            // A component without an image has nothing to wait for.
            None => BuildEvent::Pushed(Vec::new()),
            Some(image) => {
                let fingerprint = fingerprint::image(image, &plan.kit_digest, &needed_images(&plan, builds));
                build.image_fingerprint = Some(fingerprint);
                match self.reusable(run, &build, &plan).await? {
                    Some(event) => event,
                    None => return Ok(false),
                }
            }
        };
        if plan.image.is_none() {
            build.attempt = 1;
            build.state = build
                .state
                .apply(BuildEvent::Start, 1)
                .map_err(|error| Fault::bug("transition", error.to_string()))?;
        }
        build.state =
            build.state.apply(event, 1).map_err(|error| Fault::bug("transition", error.to_string()))?;
        build.finished_at = Some(Utc::now());
        let mut tx = self.records.begin().await?;
        if tx.build_save(&mut build).await? {
            tx.commit().await?;
            self.records.changes().send(Change::Build(run.id, build.id));
        }
        Ok(true)
    }

    async fn reusable(
        &self,
        run: &Run,
        build: &Build,
        plan: &ComponentPlan,
    ) -> Result<Option<BuildEvent>, JobError> {
        let Some(fingerprint) = build.image_fingerprint.filter(|_| !run.fresh) else { return Ok(None) };
        let earlier = self.reuse.find(build.application_id, &plan.name, &fingerprint).await?;
        let Earlier::Stands(result) = earlier else { return Ok(None) };
        let why = format!("same inputs as build {} ({})", result.build_id, fingerprint.short());
        Ok(Some(BuildEvent::Reuse { from: result.build_id, why, images: result.images }))
    }
}

/// Whether a build waits for nothing but a worker.
fn is_ready(build: &Build, builds: &[Build]) -> bool {
    let BuildState::Queued { retry_at: None, .. } = build.state else { return false };
    let Ok(plan) = plan_of(build) else { return true };
    plan.needs
        .iter()
        .all(|need| builds.iter().any(|other| other.component == *need && other.state.images().is_some()))
}

/// The images of the components that `plan` needs.
pub fn needed_images(plan: &ComponentPlan, builds: &[Build]) -> BTreeMap<ComponentName, Vec<BuiltImage>> {
    builds
        .iter()
        .filter(|build| plan.needs.contains(&build.component))
        .filter_map(|build| Some((build.component.clone(), build.state.images()?.to_vec())))
        .collect()
}

/// The plan that a build carries.
pub fn plan_of(build: &Build) -> Result<ComponentPlan, Fault> {
    serde_json::from_value(build.plan.clone()).map_err(|error| {
        tracing::error!(build.id = %build.id, %error, "a stored plan cannot be read");
        Fault::bug("plan_unreadable", format!("the plan of component {} cannot be read", build.component))
            .hint("It was written by another release; start the run anew with `slipway run retry`.")
    })
}

/// Queues what is ready; tells how the run ends if nothing is left to do.
async fn decide(tx: &mut dyn Write, run: &Run, builds: &[Build]) -> Result<Option<RunEvent>, JobError> {
    let first_bad = builds.iter().filter(|b| is_bad(&b.state)).min_by_key(|b| b.finished_at);
    if let Some(bad) = first_bad {
        let mut live = false;
        for build in builds.iter().filter(|build| !build.state.is_terminal()) {
            if matches!(build.state, BuildState::Queued { .. }) {
                give_up(tx, build.clone(), &format!("not built: component {} failed", bad.component)).await?;
            } else {
                live = true;
            }
        }
        return Ok((!live).then(|| ending(bad)));
    }
    if builds.iter().all(|build| build.state.images().is_some()) {
        return Ok(Some(RunEvent::Built));
    }
    for build in builds.iter().filter(|build| is_ready(build, builds)) {
        tx.job_enqueue(NewJob::new(work_of(build)?, Some(run.application_id))).await?;
    }
    Ok(None)
}

/// The job that builds it: clusters have room of their own.
fn work_of(build: &Build) -> Result<JobPayload, JobError> {
    let on_cluster =
        matches!(plan_of(build)?.image, Some(ImagePlan::Build(plan)) if plan.backend == kaniko::NAME);
    let build = build.id;
    Ok(if on_cluster { JobPayload::ClusterBuild { build } } else { JobPayload::Build { build } })
}

fn is_bad(state: &BuildState) -> bool {
    state.is_terminal() && state.images().is_none()
}

fn ending(bad: &Build) -> RunEvent {
    match &bad.state {
        BuildState::TimedOut { which } => {
            RunEvent::TimeOut(Step::Build, format!("component {}: {which}", bad.component))
        }
        BuildState::Failed { fault } => {
            let message = format!("component {}: {}", bad.component, fault.message);
            RunEvent::Fail(Step::Build, Fault { message, ..fault.clone() })
        }
        other => RunEvent::Fail(
            Step::Build,
            Fault::permanent("build_cancelled", format!("component {} was {}", bad.component, other.word())),
        ),
    }
}

/// Stops what a cancelled run has going; tells when nothing is left.
async fn cancel(tx: &mut dyn Write, builds: &[Build]) -> Result<Option<RunEvent>, JobError> {
    let mut live = false;
    for build in builds.iter().filter(|build| !build.state.is_terminal()) {
        match build.state {
            BuildState::Queued { .. } => give_up(tx, build.clone(), "the run was cancelled").await?,
            BuildState::Cancelling { .. } => live = true,
            _ => {
                // Its worker sees this and stops; should that be gone, the next one to take the job does.
                live = true;
                give_up(tx, build.clone(), "the run was cancelled").await?;
            }
        }
    }
    Ok((!live).then_some(RunEvent::Stopped))
}

async fn give_up(tx: &mut dyn Write, mut build: Build, why: &str) -> Result<(), JobError> {
    if let Ok(state) = build.state.clone().apply(BuildEvent::Cancel(why.to_owned()), build.attempt) {
        if state.is_terminal() {
            build.finished_at = Some(Utc::now());
        }
        build.state = state;
        tx.build_save(&mut build).await?;
    }
    Ok(())
}
