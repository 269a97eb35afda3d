//! The hand-off: what may still come between, the submission, and what follows from the answer.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use slipway_handoff::Capability;
use slipway_records::job::{JobPayload, NewJob};
use slipway_records::pipeline::Moved;
use slipway_records::{Change, Deployment, JobError, Observation, RecordsError, fault_point};
use slipway_types::Fault;
use slipway_types::id::DeploymentId;
use slipway_types::state::{DeploymentEvent, DeploymentState};

use super::{CORDON_PAUSE, DeployHandler, SLIPWAY, is_removal};
use crate::gates::Gate;
use crate::pins;
use crate::receivers::{accepted, key, submission};
use crate::subject::Subject;
use crate::transition::advance;

impl DeployHandler {
    /// Hands the revision to the environment's receiver.
    pub(super) async fn hand_off(&self, subject: Subject) -> Result<(), JobError> {
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
