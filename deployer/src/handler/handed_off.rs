//! The hand-off: what may still come between, the submission, and what follows from the answer.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use slipway_handoff::{Capability, Receiver};
use slipway_records::job::{JobPayload, NewJob};
use slipway_records::pipeline::Moved;
use slipway_records::{Approval, Change, Deployment, JobError, Observation, RecordsError, fault_point};
use slipway_types::id::DeploymentId;
use slipway_types::state::{DeploymentEvent, DeploymentState};
use slipway_types::{Digest, Fault};

use super::{DeployHandler, SLIPWAY, closed, is_removal};
use crate::gates::Gate;
use crate::plan::Frozen;
use crate::receivers::{accepted, key, submission};
use crate::standing;
use crate::subject::Subject;
use crate::transition::advance;
use crate::waves::ORDER;

impl DeployHandler {
    /// Hands the revision to the environment's receiver.
    pub(super) async fn hand_off(&self, mut subject: Subject) -> Result<(), JobError> {
        if let Some(newer) = self.newer_out(&subject.deployment).await? {
            return self.record(subject.deployment, DeploymentEvent::Supersede(newer)).await;
        }
        // Whoever was asked and whose answer is not on record may have it: nothing comes before asking again.
        let is_asked = matches!(subject.deployment.state, DeploymentState::Approved { submitted: true, .. });
        if !is_asked && !self.may_go(&subject).await? {
            return Ok(());
        }
        let ready = match self.prepare(&subject).await {
            Ok(ready) => ready,
            Err(fault) => return self.wait_or_fail(subject.deployment, fault).await,
        };
        if !is_asked {
            // Making images ready to be pulled takes a while: what was settled meanwhile counts.
            let Some(now) = self.load(subject.deployment.id).await? else { return Ok(()) };
            let is_as_before = now.deployment.row_version == subject.deployment.row_version;
            if !is_as_before || !self.may_go(&now).await? {
                return Ok(());
            }
            subject = now;
            if !self.note_asking(&mut subject.deployment).await? {
                return Ok(());
            }
        }
        match self.submit(&subject, ready).await {
            Ok(taken) => self.handed_off(subject, taken).await,
            Err(fault) => self.wait_or_fail(subject.deployment, fault).await,
        }
    }

    /// Whether an approved deployment may go to its receiver now. Else what keeps it is stored, and nothing more is to
    /// be done now.
    async fn may_go(&self, subject: &Subject) -> Result<bool, JobError> {
        if self.is_cordoned(subject).await? || self.is_away(subject).await? {
            return Ok(false);
        }
        self.are_gates_open(subject).await
    }

    /// Asks the gates once more, for time has passed since all were open. Where some have closed, it goes back to them;
    /// but a receiver that was asked may have it, so that it waits for them as it is. Who broke the glass goes past them.
    async fn are_gates_open(&self, subject: &Subject) -> Result<bool, JobError> {
        let Subject { deployment, environment, bundle, .. } = subject;
        if matches!(deployment.state, DeploymentState::Approved { break_glass: Some(_), .. }) {
            return Ok(true);
        }
        let gates = match standing::gates(&self.stage, deployment, environment, bundle).await {
            Ok(gates) => gates,
            Err(fault) => {
                self.wait_or_fail(deployment.clone(), fault).await?;
                return Ok(false);
            }
        };
        // Its turn came once: what goes before it moves on, or is removed.
        let gates: Vec<Gate> = gates.into_iter().filter(|gate| gate.open || gate.gate != ORDER).collect();
        let Some(why) = closed(&gates) else { return Ok(true) };
        if deployment.state.was_asked() {
            self.wait_or_fail(deployment.clone(), Fault::transient("gates_closed", why)).await?;
        } else {
            self.await_gates(deployment.clone(), &gates).await?;
        }
        Ok(false)
    }

    /// Notes that the receiver is asked now; `false`: somebody changed the row meanwhile, and it is looked at again.
    async fn note_asking(&self, deployment: &mut Deployment) -> Result<bool, JobError> {
        let mut tx = self.stage.records.begin().await?;
        let event = DeploymentEvent::Submit(Utc::now());
        if advance(tx.as_mut(), deployment, event, SLIPWAY).await? != Moved::Stored {
            return Ok(false);
        }
        tx.commit().await?;
        self.stage.records.changes().send(Change::Deployment(deployment.id));
        Ok(true)
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

    /// Lets nodes pull, and gathers what the receiver is asked with.
    async fn prepare(&self, subject: &Subject) -> Result<Ready, Fault> {
        let Subject { deployment, application, environment, .. } = subject;
        let revision = deployment
            .revision
            .ok_or_else(|| Fault::bug("revision_missing", "an approved deployment has no revision"))?;
        let frozen = self.stage.kept_revision(&key(&application.name, environment), &revision).await?;
        if !is_removal(deployment) {
            self.stage.prepare_pull(application.clone(), environment, &subject.bundle).await?;
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
        let receiver = self.stage.receiver(environment).await?;
        let reports = receiver.capabilities().await?.contains(&Capability::Observe);
        Ok(Ready { frozen, approvals, signed, receiver, reports })
    }

    async fn submit(&self, subject: &Subject, ready: Ready) -> Result<Taken, Fault> {
        let Subject { deployment, application, environment, .. } = subject;
        let Ready { frozen, approvals, signed, receiver, reports } = ready;
        let submission =
            submission(&self.stage, deployment, &application.name, environment, &frozen, &approvals, &signed);
        fault_point::reach("deploy.before_submit");
        let answer = receiver.submit(&submission, &frozen.manifests).await?;
        fault_point::reach("deploy.submitted");
        let run = self.stage.public_name(&accepted(answer)?);
        Ok(Taken { run, reports, deadline: submission.deadline })
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

/// What a receiver is asked with, and who that is.
struct Ready {
    frozen: Frozen,
    approvals: Vec<Approval>,
    signed: BTreeSet<Digest>,
    receiver: Box<dyn Receiver>,
    /// Whether it will say what becomes of it.
    reports: bool,
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
