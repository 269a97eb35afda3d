//! The `follow` job: environments that deploy by themselves what matches.
//!
//! A pin or hold is never replaced. After a failure nothing follows until somebody looks: the failure
//! itself holds the environment.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use chrono::Utc;
use serde_json::json;
use slipway_records::job::{JobPayload, NewJob};
use slipway_records::{
    Application, Change, Deployment, DeploymentCause, DeploymentFilter, Environment, Handler, Hold, Job,
    JobContext, JobError, NewAuditEntry, NewDeployment, Page, Read, RecordsError,
};
use slipway_types::Fault;
use slipway_types::environment::Follow;
use slipway_types::selection::{Selection, SelectionOrder};
use slipway_types::state::DeploymentState;

use crate::gates::minute_of_week;
use crate::handler::SLIPWAY;
use crate::stage::Stage;
use crate::standing::soaked;

/// How soon what may become due by time alone is looked at again.
const LOOK_AGAIN: Duration = Duration::from_secs(30);

/// What is noted of a deployment whose failure ended the following.
const STOPPED: &str = "following stopped here";

/// Does `follow` jobs.
pub struct FollowHandler {
    /// The deploy stage.
    pub stage: Arc<Stage>,
}

/// What an environment does about an application.
enum Verdict {
    /// Nothing, until something changes.
    Nothing,
    /// Nothing yet: time alone may change it.
    Later,
    /// Deploy this.
    Deploy(Box<NewDeployment>),
    /// Stop following: the last deployment failed.
    Stop(Box<Deployment>),
}

#[async_trait]
impl Handler for FollowHandler {
    async fn run(&self, job: &Job, _context: &JobContext) -> Result<(), JobError> {
        let JobPayload::Follow { application } = job.payload else { return Ok(()) };
        let mut read = self.stage.records.read().await?;
        let Some(application) = read.application_get(application).await? else { return Ok(()) };
        let environments = read.environment_list().await?;
        drop(read);
        let mut later = false;
        for environment in &environments {
            let Some(follow) = &environment.settings.follow else { continue };
            match self.consider(&application, environment, follow).await? {
                Verdict::Nothing => {}
                Verdict::Later => later = true,
                Verdict::Deploy(new) => self.deploy(&application, environment, *new).await?,
                Verdict::Stop(failed) => self.stop(&application, environment, &failed).await?,
            }
        }
        if later {
            let why = "waits for a soak or a window".to_owned();
            return Err(JobError::Wait { why, delay: LOOK_AGAIN });
        }
        Ok(())
    }

    async fn bury(&self, _job: &Job, _fault: Fault) -> Result<(), JobError> {
        Ok(())
    }
}

impl FollowHandler {
    async fn consider(
        &self,
        application: &Application,
        environment: &Environment,
        follow: &Follow,
    ) -> Result<Verdict, JobError> {
        if !follow.concerns(&application.name) {
            return Ok(Verdict::Nothing);
        }
        let mut read = self.stage.records.read().await?;
        if read.hold_get(environment.id, application.id).await?.is_some() {
            return Ok(Verdict::Nothing);
        }
        let filter = DeploymentFilter {
            application: Some(application.id),
            environment: Some(environment.id),
            ..DeploymentFilter::default()
        };
        let last = read.deployment_list(&filter, Page::first(1)).await?.pop();
        // One that stopped it already was looked at: its hold was released.
        let stops = |last: &Deployment| {
            has_failed(last)
                && last.cause == DeploymentCause::Follow
                && !last.notes.iter().any(|note| note == STOPPED)
        };
        if let Some(failed) = last.clone().filter(stops) {
            return Ok(Verdict::Stop(Box::new(failed)));
        }
        let selection = selection(follow);
        let pick = read.pick(application.id, &selection, SelectionOrder::Precedence).await?;
        let Some(bundle) = pick.version else { return Ok(Verdict::Nothing) };
        if last.is_some_and(|last| last.bundle_id == bundle.id) {
            return Ok(Verdict::Nothing);
        }
        // What was there before is not returned to by itself: after a rollback the next step is a person's.
        let filter = DeploymentFilter { bundle: Some(bundle.id), ..filter };
        if !read.deployment_list(&filter, Page::first(1)).await?.is_empty() {
            return Ok(Verdict::Nothing);
        }
        if !self.is_time(read.as_mut(), application, &bundle.fingerprint, follow).await? {
            return Ok(Verdict::Later);
        }
        let person = format!("{} (follows)", environment.name);
        let choice = json!({
            "follow": follow,
            "selection": selection,
            "explanation": pick.explanation,
        });
        let new = NewDeployment::of(&bundle, environment.id, DeploymentCause::Follow, person);
        Ok(Verdict::Deploy(Box::new(NewDeployment { choice, ..new })))
    }

    /// Whether a window is open and the soak is over.
    async fn is_time(
        &self,
        read: &mut dyn Read,
        application: &Application,
        lock: &slipway_types::Digest,
        follow: &Follow,
    ) -> Result<bool, RecordsError> {
        let now = Utc::now();
        let open = follow.windows.is_empty()
            || follow.windows.iter().any(|window| window.contains(minute_of_week(now)));
        let (Some(from), Some(wanted)) = (&follow.from, follow.soak_minutes) else { return Ok(open) };
        let Some(from) = read.environment_by_name(from).await? else { return Ok(false) };
        let soaked = soaked(read, from.id, application.id, lock, now).await?;
        Ok(open && soaked.is_some_and(|minutes| minutes >= u64::from(wanted)))
    }

    async fn deploy(
        &self,
        application: &Application,
        environment: &Environment,
        new: NewDeployment,
    ) -> Result<(), JobError> {
        let mut tx = self.stage.records.begin().await?;
        // Another server may have been faster.
        let filter = DeploymentFilter {
            application: Some(application.id),
            environment: Some(environment.id),
            bundle: Some(new.bundle_id),
            ..DeploymentFilter::default()
        };
        if !tx.deployment_list(&filter, Page::first(1)).await?.is_empty() {
            return Ok(());
        }
        let deployment = match tx.deployment_insert(new).await {
            // The environment was removed meanwhile.
            Err(RecordsError::Removed { .. }) => return Ok(()),
            made => made?,
        };
        tx.audit(crate::handler::entry(SLIPWAY, "deployment.create", &deployment, json!("follows"))).await?;
        let job = JobPayload::Deploy { deployment: deployment.id };
        tx.job_enqueue(NewJob::new(job, Some(application.id))).await?;
        tx.commit().await?;
        self.stage.records.changes().send(Change::Deployment(deployment.id));
        Ok(())
    }

    /// Holds the environment, unless somebody pinned or held it since it was looked at: that stays as it is.
    async fn stop(
        &self,
        application: &Application,
        environment: &Environment,
        failed: &Deployment,
    ) -> Result<(), JobError> {
        let why = failed.state.reason().unwrap_or_default();
        let reason = format!(
            "following stopped: generation {} of {} is {}: {why}",
            failed.generation,
            failed.bundle_version,
            failed.state.word()
        );
        let hold = Hold {
            environment_id: environment.id,
            application_id: application.id,
            version_id: None,
            reason: reason.chars().take(500).collect(),
            by: SLIPWAY.to_owned(),
            at: Utc::now(),
            rollback_to: None,
        };
        let mut tx = self.stage.records.begin().await?;
        let mut failed = failed.clone();
        failed.notes.push(STOPPED.to_owned());
        if !tx.deployment_save(&mut failed).await? {
            return Ok(());
        }
        if tx.hold_first(&hold).await? {
            tx.audit(NewAuditEntry {
                actor: SLIPWAY.to_owned(),
                action: "environment.hold",
                subject: format!("environment/{}", environment.name),
                detail: json!({"application": application.name, "reason": hold.reason}),
            })
            .await?;
        }
        Ok(tx.commit().await?)
    }
}

/// The bundles that an environment follows.
fn selection(follow: &Follow) -> Selection {
    Selection {
        range: follow.range.clone(),
        selector: follow.selector.clone().unwrap_or_default(),
        branch: follow.branch.clone(),
        channel: follow.channel.clone(),
        deployed_in: follow.from.clone(),
        ..Selection::default()
    }
}

/// Whether a deployment ended otherwise than it should, by itself.
fn has_failed(deployment: &Deployment) -> bool {
    matches!(
        deployment.state,
        DeploymentState::Rejected { .. }
            | DeploymentState::Broken { .. }
            | DeploymentState::Failed { .. }
            | DeploymentState::TimedOut { .. }
            | DeploymentState::Declined { .. }
    )
}
