//! Revisions that are not planned but taken up: of an earlier generation, the same with the secrets of
//! now, or one without objects that takes an application away.

use chrono::Utc;
use slipway_handoff::{Key, Mode};
use slipway_records::pipeline::Moved;
use slipway_records::{Change, Deployment, Environment, JobError};
use slipway_types::Violation;
use slipway_types::state::DeploymentEvent;

use super::{DeployHandler, SLIPWAY};
use crate::plan::Frozen;
use crate::receivers::key;
use crate::revision_secrets::secrets_of;
use crate::rollback::Earlier;
use crate::subject::Subject;
use crate::transition::advance;

impl DeployHandler {
    /// A rotation and a rollback take up the revision of an earlier generation; one to what was never live as it is, any
    /// other with nothing moved but versions of secrets.
    pub(super) async fn take_up(
        &self,
        subject: Subject,
        generation: u64,
        with_secrets_of_now: bool,
    ) -> Result<(), JobError> {
        let Subject { mut deployment, application, environment, .. } = subject;
        let earlier = Earlier { generation, with_secrets_of_now, cause: deployment.cause.word() };
        match self.stage.taken_up(&application, &environment, earlier).await? {
            // Frozen for the receiver of that time.
            Ok(frozen) => self.freeze(deployment, &environment, &frozen, Mode::Apply).await,
            Err(violations) => {
                let count = violations.len();
                deployment.violations = violations;
                self.record(deployment, DeploymentEvent::Reject(count)).await
            }
        }
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
            tx.revision_secrets_note(&revision, &secrets_of(&frozen.revision)).await?;
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
