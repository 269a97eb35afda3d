//! The `deploy` job: from a draft to the receiver.
//!
//! Every step observes, acts and records, and may be killed before and after its effect: a revision is
//! kept under its digest, a receiver answers a resubmission with the same run.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;
use slipway_handoff::{Answer, Capability, Key, Mode};
use slipway_records::fault_point;
use slipway_records::job::{JobPayload, NewJob};
use slipway_records::pipeline::Moved;
use slipway_records::{
    Change, Deployment, DeploymentCause, Environment, Handler, Job, JobContext, JobError, NewAuditEntry,
    NewDeployment, Observation, RecordsError, Write,
};
use slipway_types::id::DeploymentId;
use slipway_types::name::EnvironmentName;
use slipway_types::state::{DeploymentEvent, DeploymentState};
use slipway_types::{Class, Fault, Violation};

use crate::gates::{Gate, next_look};
use crate::plan::{Frozen, Plan, PlanRequest, compare};
use crate::receivers::{key, submission};
use crate::stage::Stage;
use crate::standing;
use crate::subject::Subject;
use crate::transition::advance;

/// Whose doing it is that a deployment moves by itself.
pub const SLIPWAY: &str = "slipway";
/// How long closed gates are left alone if nothing wakes them.
const GATES_PAUSE: Duration = Duration::from_secs(60);
/// How long a cordoned cluster is left alone.
const CORDON_PAUSE: Duration = Duration::from_secs(30);

/// How long a receiver that cannot be reached is left alone.
const AWAY_PAUSE: Duration = Duration::from_secs(5);

/// Does `deploy` jobs.
pub struct DeployHandler {
    /// The deploy stage.
    pub stage: Arc<Stage>,
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
        Ok(self.stage.subject(id).await?)
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
        match &subject.deployment.cause {
            DeploymentCause::Rollback { to, .. } => {
                let to = *to;
                return self.take_up(subject, to).await;
            }
            DeploymentCause::Remove { .. } => return self.take_away(subject).await,
            _ => {}
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
        if let Some(frozen) = plan.revision.as_ref().filter(|_| plan.violations.is_empty()) {
            match self.stage.objections(&subject.environment, &frozen.revision, Mode::Apply).await {
                Ok(found) => plan.violations.extend(found),
                Err(fault) => return self.wait_or_fail(subject.deployment, fault).await,
            }
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
        let Subject { mut deployment, application, environment, .. } = subject;
        let mut read = self.stage.records.read().await?;
        let earlier = read
            .deployment_by_generation(deployment.environment_id, deployment.application_id, generation)
            .await?;
        drop(read);
        let earlier = earlier.filter(|earlier| !is_removal(earlier));
        let Some(revision) = earlier.and_then(|earlier| earlier.revision) else {
            let message = format!("generation {generation} was never frozen");
            deployment.violations = vec![Violation::new("revision_missing", "rollback", message)];
            return self.record(deployment, DeploymentEvent::Reject(1)).await;
        };
        // Frozen for the receiver of that time.
        let frozen = self.stage.kept_revision(&key(&application.name, &environment), &revision).await?;
        self.freeze(deployment, &environment, &frozen, Mode::Apply).await
    }

    /// Freezes what is kept already or is kept now, unless the receiver cannot do it.
    async fn freeze(
        &self,
        mut deployment: Deployment,
        environment: &Environment,
        frozen: &Frozen,
        mode: Mode,
    ) -> Result<(), JobError> {
        match self.stage.objections(environment, &frozen.revision, mode).await {
            Ok(found) if found.is_empty() => {}
            Ok(found) => {
                let count = found.len();
                deployment.violations = found;
                return self.record(deployment, DeploymentEvent::Reject(count)).await;
            }
            Err(fault) => return self.wait_or_fail(deployment, fault).await,
        }
        let key = Key {
            environment: environment.address.clone(),
            application: frozen.revision.application.clone(),
        };
        let revision = self.stage.keep_revision(&key, frozen).await?;
        deployment.revision = Some(revision);
        deployment.frozen_at = Some(Utc::now());
        self.record(deployment, DeploymentEvent::Freeze(revision)).await
    }

    /// Freezes that nothing is to run: what runs now without its objects. The namespace stays, for it may
    /// hold what others own.
    async fn take_away(&self, subject: Subject) -> Result<(), JobError> {
        let Subject { mut deployment, application, environment, .. } = subject;
        let mut read = self.stage.records.read().await?;
        let open = read.deployments_open(deployment.environment_id, deployment.application_id).await?;
        drop(read);
        let running = open
            .iter()
            .rev()
            .find(|other| other.generation < deployment.generation && other.state.is_out())
            .and_then(|other| other.revision);
        let Some(running) = running else {
            let message = format!("`{}` runs nothing of `{}`", environment.name, application.name);
            deployment.violations = vec![Violation::new("nothing_runs", "environment", message)];
            return self.record(deployment, DeploymentEvent::Reject(1)).await;
        };
        let key = key(&application.name, &environment);
        let frozen = self.stage.kept_revision(&key, &running).await?.emptied();
        self.freeze(deployment, &environment, &frozen, Mode::Delete).await
    }

    /// What cannot be done now is waited for, by name and until its deadline; what cannot be done at all
    /// ends the deployment.
    async fn wait_or_fail(&self, deployment: Deployment, fault: Fault) -> Result<(), JobError> {
        let deadline = self.stage.deadline(&deployment);
        if fault.class != Class::Transient {
            return self.record(deployment, DeploymentEvent::Fail(None, fault)).await;
        }
        let minutes = self.stage.options.deadline_minutes;
        if Utc::now() >= deadline {
            let message = format!("deadline_minutes = {minutes} passed; last: {}", fault.message);
            let late = Fault { message, ..fault };
            return self.record(deployment, DeploymentEvent::Fail(None, late)).await;
        }
        let why = fault.message;
        self.record(deployment, DeploymentEvent::Wait(why.clone())).await?;
        Err(JobError::Wait { why, delay: AWAY_PAUSE })
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
            return self.record(deployment, DeploymentEvent::Approve(None, Utc::now())).await;
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
            self.record(subject.deployment, DeploymentEvent::Wait(why.clone())).await?;
            return Err(JobError::Wait { why, delay: CORDON_PAUSE });
        }
        match self.submit(&subject).await {
            Ok(taken) => self.handed_off(subject, taken).await,
            Err(fault) => self.wait_or_fail(subject.deployment, fault).await,
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

    async fn submit(&self, subject: &Subject) -> Result<Taken, Fault> {
        let Subject { deployment, application, environment, .. } = subject;
        let revision = deployment
            .revision
            .ok_or_else(|| Fault::bug("revision_missing", "an approved deployment has no revision"))?;
        let key = key(&application.name, environment);
        let frozen = self.stage.kept_revision(&key, &revision).await?;
        if !is_removal(deployment) {
            self.stage.prepare_pull(subject.application.clone(), environment, &subject.bundle).await?;
        }
        fault_point::reach("deploy.pull_ready");
        let fault = |error: RecordsError| crate::records_fault(&error);
        let mut read = self.stage.records.read().await.map_err(fault)?;
        let approvals = read.approvals_of(deployment.id).await.map_err(fault)?;
        drop(read);
        let wanted = &environment.settings.gates.signatures;
        let signed = self.stage.signatures(&application.name, &subject.bundle, wanted).await?.digests();
        let submission =
            submission(&self.stage, deployment, &application.name, environment, &frozen, &approvals, &signed);
        let receiver = self.stage.receiver(environment).await?;
        let reports = receiver.capabilities().await?.contains(&Capability::Observe);
        fault_point::reach("deploy.before_submit");
        let answer = receiver.submit(&submission, &frozen.manifests).await?;
        fault_point::reach("deploy.submitted");
        match answer {
            Answer::Accepted { run } => {
                Ok(Taken { run: self.stage.public_name(&run), reports, deadline: submission.deadline })
            }
            Answer::Rejected { violations } => {
                let said: Vec<String> = violations.iter().map(ToString::to_string).collect();
                Err(Fault::permanent("receiver_rejected", said.join("; ")))
            }
            Answer::Stale { current } => {
                let message = format!("the receiver knows generation {current} already");
                Err(Fault::permanent("receiver_stale", message))
            }
            Answer::Conflict { revision } => {
                let message = format!("the receiver has another revision, {revision}, under this generation");
                Err(Fault::permanent("receiver_conflict", message))
            }
            Answer::Unsupported { capability, reason } => {
                let message = format!("the receiver cannot do `{capability}`: {reason}");
                Err(Fault::permanent("receiver_unsupported", message))
            }
        }
    }

    /// Stores that the receiver has it, and what follows: older ones are superseded, and somebody listens.
    async fn handed_off(&self, subject: Subject, taken: Taken) -> Result<(), JobError> {
        let Subject { mut deployment, environment, .. } = subject;
        let mut tx = self.stage.records.begin().await?;
        let open = tx.deployments_open(deployment.environment_id, deployment.application_id).await?;
        let older: Vec<Deployment> =
            open.into_iter().filter(|other| other.generation < deployment.generation).collect();
        deployment.predecessor =
            older.iter().rev().find(|other| other.state.is_out()).and_then(|other| other.revision);
        let runs = (!is_removal(&deployment)).then_some(deployment.bundle_id);
        for event in taken.events(&deployment) {
            if advance(tx.as_mut(), &mut deployment, event, SLIPWAY).await? != Moved::Stored {
                return Ok(());
            }
        }
        for mut other in older {
            advance(tx.as_mut(), &mut other, DeploymentEvent::Supersede(deployment.id), SLIPWAY).await?;
        }
        if taken.reports {
            let mut observation =
                Observation { run: taken.run, deadline: Some(taken.deadline), ..Observation::default() };
            tx.observation_save(deployment.id, &mut observation).await?;
            let observe = JobPayload::Observe { deployment: deployment.id };
            tx.job_enqueue(NewJob::new(observe, Some(deployment.application_id))).await?;
        }
        tx.deployed_note(&environment.name, deployment.application_id, runs, Utc::now()).await?;
        fault_point::reach("deploy.before_commit");
        tx.commit().await?;
        fault_point::reach("deploy.committed");
        self.stage.records.changes().send(Change::Deployment(deployment.id));
        Ok(())
    }
}

/// What a receiver that accepted a submission gave back.
struct Taken {
    run: String,
    /// Whether it will say what becomes of it.
    reports: bool,
    deadline: DateTime<Utc>,
}

impl Taken {
    /// What happens to a deployment by it.
    fn events(&self, deployment: &Deployment) -> Vec<DeploymentEvent> {
        if is_removal(deployment) {
            let by = deployment.created_by.clone();
            let handed = vec![DeploymentEvent::HandOff(self.run.clone()), DeploymentEvent::Delete(by)];
            // Who never reports says no more when it is gone than when it is there.
            let end = (!self.reports).then_some(DeploymentEvent::Deleted);
            return handed.into_iter().chain(end).collect();
        }
        vec![if self.reports {
            DeploymentEvent::HandOff(self.run.clone())
        } else {
            DeploymentEvent::Deliver(self.run.clone())
        }]
    }
}

/// Whether a deployment takes an application away.
pub(crate) fn is_removal(deployment: &Deployment) -> bool {
    matches!(deployment.cause, DeploymentCause::Remove { .. })
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
