//! Drafts that are planned: checked, frozen, and passed on to the other environments that they reach.

use std::collections::BTreeMap;

use chrono::Utc;
use serde_json::json;
use slipway_handoff::Mode;
use slipway_records::job::{JobPayload, NewJob};
use slipway_records::pipeline::Moved;
use slipway_records::{
    Change, DefinitionHold, Deployment, DeploymentCause, Environment, FrozenDefinition, JobError,
    NewDeployment, RecordsError, Write, fault_point,
};
use slipway_types::Violation;
use slipway_types::name::EnvironmentName;
use slipway_types::state::DeploymentEvent;

use super::{DeployHandler, SLIPWAY, entry};
use crate::plan::{Frozen, Plan, PlanRequest, compare};
use crate::receivers::key;
use crate::revision_secrets::secrets_of;
use crate::subject::Subject;
use crate::transition::advance;
use crate::waves::Asked;

impl DeployHandler {
    /// Checks and freezes.
    pub(super) async fn draft(&self, subject: Subject) -> Result<(), JobError> {
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
                    .pass_on(deployment, DeploymentEvent::Withdraw(SLIPWAY.to_owned()), passed_on, None)
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
        self.pass_on(deployment, DeploymentEvent::Freeze(revision), passed_on, Some(&frozen)).await?;
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
        frozen: Option<&Frozen>,
    ) -> Result<(), JobError> {
        let mut tx = self.stage.records.begin().await?;
        if advance(tx.as_mut(), &mut deployment, event, SLIPWAY).await? != Moved::Stored {
            return Ok(());
        }
        if let (Some(frozen), Some(revision)) = (frozen, &deployment.revision) {
            let made_by = frozen.made_by();
            tx.revision_made_by(revision, &made_by).await?;
            tx.revision_secrets_note(revision, &secrets_of(&frozen.revision)).await?;
            hold_majors(tx.as_mut(), &deployment, &made_by).await?;
        }
        for new in others {
            let other = match tx.deployment_insert(new).await {
                // Its environment was removed since this was planned.
                Err(RecordsError::Removed { .. }) => continue,
                other => other?,
            };
            tx.audit(entry(SLIPWAY, "deployment.create", &other, json!({"reached_by": deployment.id})))
                .await?;
            let job = JobPayload::Deploy { deployment: other.id };
            tx.job_enqueue(NewJob::new(job, Some(other.application_id))).await?;
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
}

/// The first deployment of an application holds the major versions of what it was made by.
async fn hold_majors(
    tx: &mut dyn Write,
    deployment: &Deployment,
    made_by: &[FrozenDefinition],
) -> Result<(), RecordsError> {
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
