//! Revisions that are not planned but taken up: of an earlier generation, the same with the secrets of
//! now, or one without objects that takes an application away.

use chrono::Utc;
use slipway_handoff::{Key, Mode};
use slipway_records::pipeline::Moved;
use slipway_records::{Change, Deployment, Environment, JobError};
use slipway_types::state::DeploymentEvent;
use slipway_types::{Digest, Violation};

use super::{DeployHandler, SLIPWAY, is_removal};
use crate::plan::{Frozen, SecretsOf};
use crate::receivers::key;
use crate::subject::Subject;
use crate::transition::advance;

impl DeployHandler {
    /// A rollback to what was never live takes up the revision of that generation as it is.
    pub(super) async fn take_up(&self, subject: Subject, generation: u64) -> Result<(), JobError> {
        let Subject { deployment, application, environment, .. } = subject;
        let Some(revision) = self.revision_of(&deployment, generation).await? else {
            return self.never_frozen(deployment, generation).await;
        };
        // Frozen for the receiver of that time.
        let frozen = self.stage.kept_revision(&key(&application.name, &environment), &revision).await?;
        self.freeze(deployment, &environment, &frozen, Mode::Apply).await
    }

    /// A rotation, and a rollback to what was live, take it up with nothing moved but versions of secrets.
    pub(super) async fn take_up_with_secrets_of_now(
        &self,
        subject: Subject,
        generation: u64,
    ) -> Result<(), JobError> {
        let Subject { mut deployment, application, environment, .. } = subject;
        let Some(revision) = self.revision_of(&deployment, generation).await? else {
            return self.never_frozen(deployment, generation).await;
        };
        let mut frozen = self.stage.kept_revision(&key(&application.name, &environment), &revision).await?;
        let place = SecretsOf { application: &application.name, environment: &environment };
        let (uses, violations) = self.stage.secrets_of_now(&frozen.revision.secrets, place).await?;
        if !violations.is_empty() {
            let count = violations.len();
            deployment.violations = violations;
            return self.record(deployment, DeploymentEvent::Reject(count)).await;
        }
        frozen.revision.secrets = uses;
        self.freeze(deployment, &environment, &frozen, Mode::Apply).await
    }

    async fn revision_of(
        &self,
        deployment: &Deployment,
        generation: u64,
    ) -> Result<Option<Digest>, JobError> {
        let mut read = self.stage.records.read().await?;
        let earlier = read
            .deployment_by_generation(deployment.environment_id, deployment.application_id, generation)
            .await?;
        let earlier = earlier.filter(|earlier| !is_removal(earlier));
        Ok(earlier.and_then(|earlier| earlier.revision))
    }

    async fn never_frozen(&self, mut deployment: Deployment, generation: u64) -> Result<(), JobError> {
        let message = format!("generation {generation} was never frozen");
        let path = deployment.cause.word();
        deployment.violations = vec![Violation::new("revision_missing", path, message)];
        self.record(deployment, DeploymentEvent::Reject(1)).await
    }

    /// Freezes what is kept already or is kept now, unless the receiver cannot do it. What it was made by is
    /// noted: a revision that differs in its secrets alone has a digest of its own.
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
        let mut tx = self.stage.records.begin().await?;
        let event = DeploymentEvent::Freeze(revision);
        if advance(tx.as_mut(), &mut deployment, event, SLIPWAY).await? == Moved::Stored {
            tx.revision_made_by(&revision, &frozen.made_by()).await?;
            tx.commit().await?;
            self.stage.records.changes().send(Change::Deployment(deployment.id));
        }
        Ok(())
    }

    /// Freezes that nothing is to run: what runs now without its objects. The namespace stays, for it may
    /// hold what others own.
    pub(super) async fn take_away(&self, subject: Subject) -> Result<(), JobError> {
        let Subject { mut deployment, application, environment, .. } = subject;
        let mut read = self.stage.records.read().await?;
        let out = read.deployment_out(deployment.environment_id, deployment.application_id).await?;
        drop(read);
        let Some(running) = out.and_then(|out| out.revision) else {
            let message = format!("`{}` runs nothing of `{}`", environment.name, application.name);
            deployment.violations = vec![Violation::new("nothing_runs", "environment", message)];
            return self.record(deployment, DeploymentEvent::Reject(1)).await;
        };
        let key = key(&application.name, &environment);
        let frozen = self.stage.kept_revision(&key, &running).await?.emptied();
        self.freeze(deployment, &environment, &frozen, Mode::Delete).await
    }
}
