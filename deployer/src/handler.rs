//! The `deploy` job: from a draft to the receiver.
//!
//! Every step observes, acts and records, and may be killed before and after its effect: a revision is
//! kept under its digest, a receiver answers a resubmission with the same run.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use chrono::{TimeDelta, Utc};
use serde_json::json;
use slipway_handoff::Answer;
use slipway_records::fault_point;
use slipway_records::job::{JobPayload, NewJob};
use slipway_records::pipeline::Moved;
use slipway_records::{
    Application, Change, Deployment, DeploymentCause, Environment, Handler, Job, JobContext, JobError,
    NewAuditEntry, NewDeployment, PackageVersion, RecordsError, Write,
};
use slipway_types::id::DeploymentId;
use slipway_types::name::EnvironmentName;
use slipway_types::state::{DeploymentEvent, DeploymentState};
use slipway_types::{Class, Fault, Violation};

use crate::gates::{Gate, next_look};
use crate::plan::{Plan, PlanRequest, compare};
use crate::receivers::{key, submission};
use crate::stage::Stage;
use crate::standing;
use crate::transition::advance;

/// Whose doing it is that a deployment moves by itself.
pub const SLIPWAY: &str = "slipway";
/// How long closed gates are left alone if nothing wakes them.
const GATES_PAUSE: Duration = Duration::from_secs(60);
/// How long a cordoned cluster is left alone.
const CORDON_PAUSE: Duration = Duration::from_secs(30);

/// Does `deploy` jobs.
pub struct DeployHandler {
    /// The deploy stage.
    pub stage: Arc<Stage>,
}

/// A deployment with what it is about.
struct Subject {
    deployment: Deployment,
    application: Application,
    environment: Environment,
    bundle: PackageVersion,
}

#[async_trait]
impl Handler for DeployHandler {
    async fn run(&self, job: &Job, context: &JobContext) -> Result<(), JobError> {
        let JobPayload::Deploy { deployment } = job.payload else { return Ok(()) };
        loop {
            let Some(subject) = self.load(deployment).await? else { return Ok(()) };
            let before = subject.deployment.row_version;
            tokio::select! {
                done = self.step(subject) => done?,
                () = context.cancelled.cancelled() => return Err(JobError::Stopped),
            }
            let after = self.load(deployment).await?;
            if after.is_none_or(|after| after.deployment.row_version == before) {
                return Ok(());
            }
        }
    }

    async fn bury(&self, job: &Job, fault: Fault) -> Result<(), JobError> {
        let JobPayload::Deploy { deployment } = job.payload else { return Ok(()) };
        let Some(subject) = self.load(deployment).await? else { return Ok(()) };
        if subject.deployment.state.is_pending() {
            self.record(subject.deployment, DeploymentEvent::Fail(None, fault)).await?;
        }
        Ok(())
    }
}

impl DeployHandler {
    async fn load(&self, id: DeploymentId) -> Result<Option<Subject>, JobError> {
        let mut read = self.stage.records.read().await?;
        let Some(deployment) = read.deployment_get(id).await? else { return Ok(None) };
        let gone = || Fault::bug("deployment_unreadable", "what a deployment is about is gone");
        let application = read.application_get(deployment.application_id).await?.ok_or_else(gone)?;
        let environment = read.environment_get(deployment.environment_id).await?.ok_or_else(gone)?;
        let bundle = read.version_get(deployment.bundle_id).await?.ok_or_else(gone)?;
        Ok(Some(Subject { deployment, application, environment, bundle }))
    }

    async fn step(&self, subject: Subject) -> Result<(), JobError> {
        match &subject.deployment.state {
            DeploymentState::Draft { .. } => self.draft(subject).await,
            DeploymentState::Frozen { .. } | DeploymentState::Awaiting { .. } => self.ask(subject).await,
            DeploymentState::Approved { .. } => self.hand_off(subject).await,
            _ => Ok(()),
        }
    }

    /// Stores an event; a row that somebody else changed meanwhile is looked at again.
    async fn record(&self, mut deployment: Deployment, event: DeploymentEvent) -> Result<(), JobError> {
        let mut tx = self.stage.records.begin().await?;
        let moved = advance(tx.as_mut(), &mut deployment, event, SLIPWAY).await?;
        if moved == Moved::Stored {
            tx.commit().await?;
            self.stage.records.changes().send(Change::Deployment(deployment.id));
        }
        Ok(())
    }

    /// Checks and freezes.
    async fn draft(&self, subject: Subject) -> Result<(), JobError> {
        if let DeploymentCause::Rollback { to, .. } = &subject.deployment.cause {
            let to = *to;
            return self.take_up(subject, to).await;
        }
        let request = PlanRequest {
            application: subject.application.clone(),
            environment: subject.environment.clone(),
            bundle: subject.bundle.clone(),
            document: subject.deployment.document.clone(),
            keep: true,
        };
        let mut plan = self.stage.plan(&request).await?;
        if plan.violations.is_empty() {
            plan.violations.extend(self.against_cluster(&subject, &plan).await?);
        }
        let mut deployment = subject.deployment.clone();
        deployment.notes = std::mem::take(&mut plan.notes);
        deployment.violations = std::mem::take(&mut plan.violations);
        let passed_on = self.reached(&subject.environment, &deployment, &plan.reaches).await?;
        let Some(frozen) = plan.revision.filter(|_| deployment.violations.is_empty()) else {
            if deployment.violations.is_empty() && !passed_on.is_empty() {
                let names: Vec<&str> = plan.reaches.iter().map(EnvironmentName::as_str).collect();
                deployment.notes.push(format!("passed on to {}", names.join(", ")));
                return self
                    .pass_on(deployment, DeploymentEvent::Withdraw(SLIPWAY.to_owned()), passed_on)
                    .await;
            }
            let count = deployment.violations.len();
            return self.record(deployment, DeploymentEvent::Reject(count)).await;
        };
        let key = key(&subject.application.name, &subject.environment);
        let revision = self.stage.keep_revision(&key, &frozen).await?;
        fault_point::reach("deploy.kept");
        deployment.revision = Some(revision);
        deployment.frozen_at = Some(Utc::now());
        self.pass_on(deployment, DeploymentEvent::Freeze(revision), passed_on).await?;
        fault_point::reach("deploy.frozen");
        Ok(())
    }

    /// Deployments of their own for the other environments that one reaches: each passes its own gates.
    /// What was reached itself reaches no further.
    async fn reached(
        &self,
        from: &Environment,
        deployment: &Deployment,
        reaches: &BTreeSet<EnvironmentName>,
    ) -> Result<Vec<NewDeployment>, JobError> {
        if matches!(deployment.cause, DeploymentCause::Reach { .. }) {
            return Ok(Vec::new());
        }
        let mut read = self.stage.records.read().await?;
        let mut made = Vec::new();
        for name in reaches {
            let Some(environment) = read.environment_by_name(name).await? else { continue };
            made.push(NewDeployment {
                application_id: deployment.application_id,
                environment_id: environment.id,
                bundle_id: deployment.bundle_id,
                bundle_version: deployment.bundle_version.clone(),
                bundle_digest: deployment.bundle_digest,
                lock: deployment.lock,
                choice: json!({"asked": format!("generation {} of {}", deployment.generation, from.name)}),
                cause: DeploymentCause::Reach { from: from.name.to_string() },
                created_by: deployment.created_by.clone(),
                document: deployment.document.clone(),
            });
        }
        Ok(made)
    }

    /// Stores an event together with the deployments that follow from it.
    async fn pass_on(
        &self,
        mut deployment: Deployment,
        event: DeploymentEvent,
        others: Vec<NewDeployment>,
    ) -> Result<(), JobError> {
        let mut tx = self.stage.records.begin().await?;
        if advance(tx.as_mut(), &mut deployment, event, SLIPWAY).await? != Moved::Stored {
            return Ok(());
        }
        for new in others {
            let other = tx.deployment_insert(new).await?;
            tx.audit(entry(SLIPWAY, "deployment.create", &other, json!({"reached_by": deployment.id})))
                .await?;
            wake(tx.as_mut(), &other).await?;
        }
        tx.commit().await?;
        self.stage.records.changes().send(Change::Deployment(deployment.id));
        Ok(())
    }

    async fn against_cluster(&self, subject: &Subject, plan: &Plan) -> Result<Vec<Violation>, JobError> {
        let Some(frozen) = &plan.revision else { return Ok(Vec::new()) };
        let cluster = self.stage.cluster_of(&subject.environment).await?;
        let (application, address) = (&subject.application.name, &subject.environment.address);
        Ok(compare(&cluster, frozen, application, address).await?.1)
    }

    /// A rollback takes up the revision of an earlier generation as it is.
    async fn take_up(&self, subject: Subject, generation: u64) -> Result<(), JobError> {
        let mut deployment = subject.deployment;
        let mut read = self.stage.records.read().await?;
        let earlier = read
            .deployment_by_generation(deployment.environment_id, deployment.application_id, generation)
            .await?;
        drop(read);
        let Some(revision) = earlier.and_then(|earlier| earlier.revision) else {
            let message = format!("generation {generation} was never frozen");
            deployment.violations = vec![Violation::new("revision_missing", "rollback", message)];
            return self.record(deployment, DeploymentEvent::Reject(1)).await;
        };
        deployment.revision = Some(revision);
        deployment.frozen_at = Some(Utc::now());
        self.record(deployment, DeploymentEvent::Freeze(revision)).await
    }

    /// Asks the gates.
    async fn ask(&self, subject: Subject) -> Result<(), JobError> {
        let Subject { deployment, environment, bundle, .. } = subject;
        let hours = environment.settings.expire_after_hours();
        if Utc::now() - deployment.created_at > TimeDelta::hours(i64::from(hours)) {
            let which = format!("its gates stayed closed for longer than expireAfterHours = {hours}");
            return self.record(deployment, DeploymentEvent::Expire(which)).await;
        }
        let gates = standing::gates(&self.stage, &deployment, &environment, &bundle).await?;
        let missing: Vec<String> =
            gates.iter().filter(|gate| !gate.open).map(|gate| gate.detail.clone()).collect();
        if missing.is_empty() {
            return self.record(deployment, DeploymentEvent::Approve(None)).await;
        }
        let why = format!("gates are closed: {}", missing.join("; "));
        let delay = next_look(&gates).unwrap_or(GATES_PAUSE).min(GATES_PAUSE);
        self.note_gates(deployment, &gates, missing).await?;
        Err(JobError::Wait { why, delay })
    }

    async fn note_gates(
        &self,
        deployment: Deployment,
        _gates: &[Gate],
        missing: Vec<String>,
    ) -> Result<(), JobError> {
        // Times that count down are told when somebody asks; the row changes when another gate closes.
        let known = match &deployment.state {
            DeploymentState::Awaiting { missing, .. } => Some(missing.len()),
            _ => None,
        };
        if known == Some(missing.len()) {
            return Ok(());
        }
        self.record(deployment, DeploymentEvent::Await(missing)).await
    }

    /// Hands the revision to the environment's receiver.
    async fn hand_off(&self, subject: Subject) -> Result<(), JobError> {
        if let Some(newer) = self.newer_out(&subject.deployment).await? {
            return self.record(subject.deployment, DeploymentEvent::Supersede(newer)).await;
        }
        if let Some(row) = self.stage.cluster_row(&subject.environment).await?
            && let Some(why) = &row.settings.cordoned
        {
            let why = format!("the cluster {} is cordoned: {why}", row.name);
            return Err(JobError::Wait { why, delay: CORDON_PAUSE });
        }
        match self.submit(&subject).await {
            Ok(event) => self.handed_off(subject, event).await,
            Err(fault) if fault.class == Class::Transient => Err(fault.into()),
            Err(fault) => self.record(subject.deployment, DeploymentEvent::Fail(None, fault)).await,
        }
    }

    async fn newer_out(&self, deployment: &Deployment) -> Result<Option<DeploymentId>, JobError> {
        let mut read = self.stage.records.read().await?;
        let open = read.deployments_open(deployment.environment_id, deployment.application_id).await?;
        let newer = open
            .iter()
            .rev()
            .find(|other| other.generation > deployment.generation && other.handed_off_at.is_some());
        Ok(newer.map(|other| other.id))
    }

    async fn submit(&self, subject: &Subject) -> Result<DeploymentEvent, Fault> {
        let Subject { deployment, application, environment, .. } = subject;
        let revision = deployment
            .revision
            .ok_or_else(|| Fault::bug("revision_missing", "an approved deployment has no revision"))?;
        let key = key(&application.name, environment);
        let frozen = self.stage.kept_revision(&key, &revision).await?;
        self.stage.prepare_pull(subject.application.clone(), environment, &subject.bundle).await?;
        fault_point::reach("deploy.pull_ready");
        let fault = |error: RecordsError| crate::records_fault(&error);
        let mut read = self.stage.records.read().await.map_err(fault)?;
        let approvals = read.approvals_of(deployment.id).await.map_err(fault)?;
        drop(read);
        let submission =
            submission(&self.stage, deployment, &application.name, environment, &frozen, &approvals);
        let receiver = self.stage.receiver(environment).await?;
        fault_point::reach("deploy.before_submit");
        let answer = receiver.submit(&submission, &frozen.manifests).await?;
        fault_point::reach("deploy.submitted");
        Ok(match answer {
            Answer::Accepted { run } if receiver.kind() == slipway_handoff::ReceiverKind::Oci => {
                DeploymentEvent::Deliver(self.stage.public_name(&run))
            }
            Answer::Accepted { run } => DeploymentEvent::HandOff(run),
            Answer::Rejected { violations } => {
                let said: Vec<String> = violations.iter().map(ToString::to_string).collect();
                return Err(Fault::permanent("receiver_rejected", said.join("; ")));
            }
            Answer::Stale { current } => {
                let message = format!("the receiver knows generation {current} already");
                return Err(Fault::permanent("receiver_stale", message));
            }
            Answer::Conflict { revision } => {
                let message = format!("the receiver has another revision, {revision}, under this generation");
                return Err(Fault::permanent("receiver_conflict", message));
            }
            Answer::Unsupported { capability, reason } => {
                let message = format!("the receiver cannot do `{capability}`: {reason}");
                return Err(Fault::permanent("receiver_unsupported", message));
            }
        })
    }

    /// Stores that the receiver has it, and what follows: older ones are superseded.
    async fn handed_off(&self, subject: Subject, event: DeploymentEvent) -> Result<(), JobError> {
        let Subject { mut deployment, environment, .. } = subject;
        let mut tx = self.stage.records.begin().await?;
        let open = tx.deployments_open(deployment.environment_id, deployment.application_id).await?;
        let older: Vec<Deployment> =
            open.into_iter().filter(|other| other.generation < deployment.generation).collect();
        deployment.predecessor =
            older.iter().rev().find(|other| other.state.is_out()).and_then(|other| other.revision);
        if advance(tx.as_mut(), &mut deployment, event, SLIPWAY).await? != Moved::Stored {
            return Ok(());
        }
        for mut other in older {
            advance(tx.as_mut(), &mut other, DeploymentEvent::Supersede(deployment.id), SLIPWAY).await?;
        }
        tx.deployed_note(
            &environment.name,
            deployment.application_id,
            Some(deployment.bundle_id),
            Utc::now(),
        )
        .await?;
        fault_point::reach("deploy.before_commit");
        tx.commit().await?;
        fault_point::reach("deploy.committed");
        self.stage.records.changes().send(Change::Deployment(deployment.id));
        Ok(())
    }
}

/// Lets the deployments that wait in an environment look at their gates again.
pub async fn wake(tx: &mut dyn Write, deployment: &Deployment) -> Result<(), RecordsError> {
    let job = JobPayload::Deploy { deployment: deployment.id };
    tx.job_enqueue(NewJob::new(job, Some(deployment.application_id))).await?;
    Ok(())
}

/// An audit entry about a deployment.
pub fn entry(
    actor: &str,
    action: &'static str,
    deployment: &Deployment,
    detail: serde_json::Value,
) -> NewAuditEntry {
    NewAuditEntry {
        actor: actor.to_owned(),
        action,
        subject: format!("deployment/{}", deployment.id),
        detail: json!({"revision": deployment.revision, "generation": deployment.generation, "said": detail}),
    }
}
