//! The `deploy` job: from a draft to the receiver.
//!
//! Every step observes, acts and records, and may be killed before and after its effect: a revision is
//! kept under its digest, a receiver answers a resubmission with the same run.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;
use slipway_handoff::{Answer, Capability, Mode};
use slipway_records::job::{JobPayload, NewJob};
use slipway_records::pipeline::Moved;
use slipway_records::{
    Change, DefinitionHold, Deployment, DeploymentCause, Environment, FrozenDefinition, Handler, Job,
    JobContext, JobError, NewAuditEntry, NewDeployment, Observation, RecordsError, Write, fault_point,
    incident,
};
use slipway_types::id::DeploymentId;
use slipway_types::name::EnvironmentName;
use slipway_types::state::{DeploymentEvent, DeploymentState};
use slipway_types::{Class, Fault, Violation};

use crate::gates::{Gate, next_look};
use crate::pins;
use crate::plan::{Plan, PlanRequest, compare};
use crate::receivers::{key, submission};
use crate::stage::Stage;
use crate::standing;
use crate::subject::Subject;
use crate::transition::advance;
use crate::waves::Asked;

mod aborted;
mod away;
mod taken_up;

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
            DeploymentCause::Rollback { to, was_live, aborts, .. } => {
                let (to, was_live, aborts) = (*to, *was_live, *aborts);
                if let Some(aborted) = aborts
                    && let Some(fault) = self.stop_aborted(&subject.deployment, aborted).await?
                {
                    return self.wait_or_fail(subject.deployment, fault).await;
                }
                return self.take_up(subject, to, was_live).await;
            }
            DeploymentCause::Restart { of: Some(generation), .. } => {
                let generation = *generation;
                return self.take_up(subject, generation, true).await;
            }
            DeploymentCause::Remove { .. } => return self.take_away(subject).await,
            _ => {}
        }
        if self.is_away(&subject).await? {
            return Ok(());
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
            if !subject.deployment.cause.leave().is_empty() {
                plan.violations.extend(self.stage.cannot_adopt(&subject.environment).await?);
            }
        }
        if let Some(frozen) = plan.revision.as_ref().filter(|_| plan.violations.is_empty()) {
            let Subject { application, environment, deployment, .. } = &subject;
            let there = self.stage.generation_there(&application.name, environment, frozen).await?;
            if let Some(floor) = there.filter(|floor| *floor >= deployment.generation) {
                return self.raise(deployment.clone(), floor).await;
            }
        }
        let made_by = plan.made_by();
        let mut deployment = subject.deployment.clone();
        deployment.notes = std::mem::take(&mut plan.notes);
        deployment.violations = std::mem::take(&mut plan.violations);
        let passed_on = self.reached(&subject.environment, &deployment, &plan).await?;
        let Some(frozen) = plan.revision.filter(|_| deployment.violations.is_empty()) else {
            if deployment.violations.is_empty() {
                let names: Vec<&str> = plan.reaches.iter().map(EnvironmentName::as_str).collect();
                let passed = (!passed_on.is_empty()).then(|| format!("passed on to {}", names.join(", ")));
                deployment.notes.extend(passed);
                return self
                    .pass_on(deployment, DeploymentEvent::Withdraw(SLIPWAY.to_owned()), passed_on, &[])
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
        self.pass_on(deployment, DeploymentEvent::Freeze(revision), passed_on, &made_by).await?;
        fault_point::reach("deploy.frozen");
        Ok(())
    }

    /// Gives a draft a generation above what its cluster has; it is planned anew then.
    async fn raise(&self, mut deployment: Deployment, floor: u64) -> Result<(), JobError> {
        let mut tx = self.stage.records.begin().await?;
        if tx.deployment_raise(&mut deployment, floor).await? {
            tx.audit(entry(SLIPWAY, "deployment.raise", &deployment, json!({"above": floor}))).await?;
            tx.commit().await?;
            self.stage.records.changes().send(Change::Deployment(deployment.id));
        }
        Ok(())
    }

    /// Deployments of their own for the other environments that one reaches: each passes its own gates.
    /// What was reached itself reaches no further.
    async fn reached(
        &self,
        from: &Environment,
        deployment: &Deployment,
        plan: &Plan,
    ) -> Result<Vec<NewDeployment>, JobError> {
        if matches!(deployment.cause, DeploymentCause::Reach { .. }) {
            return Ok(Vec::new());
        }
        let mut read = self.stage.records.read().await?;
        let mut made = Vec::new();
        for name in &plan.reaches {
            let Some(environment) = read.environment_by_name(name).await? else { continue };
            made.push(NewDeployment {
                application_id: deployment.application_id,
                environment_id: environment.id,
                bundle_id: deployment.bundle_id,
                bundle_version: deployment.bundle_version.clone(),
                bundle_digest: deployment.bundle_digest,
                lock: deployment.lock,
                choice: json!(Asked {
                    asked: format!("generation {} of {}", deployment.generation, from.name),
                    origin: deployment.id,
                    order: plan.order.clone(),
                }),
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
        made_by: &[FrozenDefinition],
    ) -> Result<(), JobError> {
        let mut tx = self.stage.records.begin().await?;
        if advance(tx.as_mut(), &mut deployment, event, SLIPWAY).await? != Moved::Stored {
            return Ok(());
        }
        hold_majors(tx.as_mut(), &deployment, made_by).await?;
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
        let leave = subject.deployment.cause.leave();
        Ok(compare(&cluster, frozen, application, address, leave).await?.1)
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
        if is_told_anew(&deployment.state, &gates) {
            let approvals = gates.iter().find(|gate| gate.gate == "approvals" && !gate.open);
            self.await_gates(deployment, missing, approvals.map(|gate| gate.detail.as_str())).await?;
        }
        Err(JobError::Wait { why, delay })
    }

    /// Stores which gates are closed, and that people are to be told if theirs is among them.
    async fn await_gates(
        &self,
        mut deployment: Deployment,
        missing: Vec<String>,
        approvals: Option<&str>,
    ) -> Result<(), JobError> {
        let mut tx = self.stage.records.begin().await?;
        let event = DeploymentEvent::Await(missing);
        if advance(tx.as_mut(), &mut deployment, event, SLIPWAY).await? == Moved::Stored {
            incident::awaits_approval(tx.as_mut(), &deployment, approvals).await?;
            tx.commit().await?;
            self.stage.records.changes().send(Change::Deployment(deployment.id));
        }
        Ok(())
    }

    /// Hands the revision to the environment's receiver.
    async fn hand_off(&self, subject: Subject) -> Result<(), JobError> {
        if let Some(newer) = self.newer_out(&subject.deployment).await? {
            return self.record(subject.deployment, DeploymentEvent::Supersede(newer)).await;
        }
        // Whoever was asked and whose answer is not on record may have it: nothing comes before asking again.
        if !matches!(subject.deployment.state, DeploymentState::Approved { submitted: true, .. }) {
            return self.before_hand_off(subject).await;
        }
        match self.submit(&subject).await {
            Ok(taken) => self.handed_off(subject, taken).await,
            Err(fault) => self.wait_or_fail(subject.deployment, fault).await,
        }
    }

    /// What keeps an approved deployment here; else notes that its receiver is asked now.
    async fn before_hand_off(&self, subject: Subject) -> Result<(), JobError> {
        if let Some(pinned) = self.pinned(&subject).await? {
            return self.wait_or_fail(subject.deployment, Fault::transient("pinned", pinned.detail)).await;
        }
        if let Some(row) = self.stage.cluster_row(&subject.environment).await?
            && let Some(why) = &row.settings.cordoned
        {
            let why = format!("the cluster {} is cordoned: {why}", row.name);
            self.record(subject.deployment, DeploymentEvent::Wait(why.clone())).await?;
            return Err(JobError::Wait { why, delay: CORDON_PAUSE });
        }
        if self.is_away(&subject).await? {
            return Ok(());
        }
        self.record(subject.deployment, DeploymentEvent::Submit).await
    }

    /// What came between its gates and its hand-off. Who broke the glass goes past pins too.
    async fn pinned(&self, subject: &Subject) -> Result<Option<Gate>, JobError> {
        if matches!(subject.deployment.state, DeploymentState::Approved { break_glass: Some(_), .. }) {
            return Ok(None);
        }
        let mut read = self.stage.records.read().await?;
        Ok(pins::gate(read.as_mut(), &subject.deployment, &subject.environment).await?)
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
        // What returns is let out by nobody's word or signature.
        let signed = if deployment.cause.is_return() {
            BTreeSet::new()
        } else {
            let wanted = &environment.settings.gates.signatures;
            self.stage.signatures(&application.name, &subject.bundle, wanted).await?.digests()
        };
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

/// Whether other gates are closed than a deployment says, or they say something else. What counts down by the
/// minute is told when somebody asks, and not stored each time.
fn is_told_anew(state: &DeploymentState, gates: &[Gate]) -> bool {
    let DeploymentState::Awaiting { missing, .. } = state else { return true };
    let closed: Vec<&Gate> = gates.iter().filter(|gate| !gate.open).collect();
    let words = |text: &str| text.chars().filter(|c| !c.is_ascii_digit()).collect::<String>();
    let says_else = |(line, gate): (&String, &&Gate)| match gate.opens_in_s {
        Some(_) => words(line) != words(&gate.detail),
        None => *line != gate.detail,
    };
    missing.len() != closed.len() || missing.iter().zip(&closed).any(says_else)
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

/// Notes what a revision was made by. The first deployment of an application holds the major versions.
async fn hold_majors(
    tx: &mut dyn Write,
    deployment: &Deployment,
    made_by: &[FrozenDefinition],
) -> Result<(), RecordsError> {
    if let Some(revision) = &deployment.revision {
        tx.revision_made_by(revision, made_by).await?;
    }
    let mut held = BTreeMap::new();
    for definition in made_by {
        let hold = DefinitionHold {
            application_id: deployment.application_id,
            kind: definition.kind,
            name: definition.name.clone(),
            major: definition.version.core().0,
            set_at: Utc::now(),
            set_by: SLIPWAY.to_owned(),
        };
        if tx.definition_hold_first(&hold).await? {
            held.insert(format!("{}/{}", hold.kind, hold.name), hold.major);
        }
    }
    if held.is_empty() {
        return Ok(());
    }
    tx.audit(entry(SLIPWAY, "definition.hold", deployment, json!(held))).await
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

#[cfg(test)]
mod tests {
    use slipway_types::Digest;

    use super::*;

    fn closed(gate: &'static str, detail: &str, opens_in_s: Option<u64>) -> Gate {
        Gate { gate, open: false, detail: detail.to_owned(), opens_in_s }
    }

    #[test]
    fn what_closed_gates_say_is_told_anew_unless_it_only_counts_down() {
        let missing = vec!["0 of 2 approvals".to_owned(), "opens in 9 min".to_owned()];
        let waits = DeploymentState::Awaiting { revision: Digest::of("a"), missing };
        let approvals = |detail| closed("approvals", detail, None);
        let window = |detail| closed("window", detail, Some(60));
        let open = Gate { open: true, ..approvals("2 of 2 approvals") };
        for (gates, expected) in [
            (vec![approvals("0 of 2 approvals"), window("opens in 9 min")], false),
            (vec![approvals("0 of 2 approvals"), window("opens in 8 min")], false),
            (vec![approvals("1 of 2 approvals (ann)"), window("opens in 9 min")], true),
            (vec![approvals("0 of 2 approvals"), window("ran for 9 min")], true),
            (vec![open.clone(), window("opens in 9 min")], true),
            (vec![open, closed("labels", "they do not match", None), window("opens in 9 min")], true),
        ] {
            assert_eq!(is_told_anew(&waits, &gates), expected, "{gates:?}");
        }
        assert!(is_told_anew(&DeploymentState::Frozen { revision: Digest::of("a") }, &[window("x")]));
    }
}
