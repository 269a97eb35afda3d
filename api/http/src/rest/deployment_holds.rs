//! What pins and holds mean for a new deployment.

use chrono::Utc;
use serde_json::json;
use slipway_records::{Application, DeploymentCause, Environment, Hold, NewAuditEntry, Write};
use slipway_types::id::VersionId;

use crate::auth::Caller;
use crate::problem::ApiError;

/// The longest reason of a hold that is made here, in characters.
const REASON_CHARS_MAX: usize = 500;

/// What is to be deployed, where and why.
pub(super) struct What<'a> {
    pub(super) application: &'a Application,
    pub(super) environment: &'a Environment,
    pub(super) cause: &'a DeploymentCause,
}

impl What<'_> {
    /// Refuses what a pin stands against. Holds an environment that follows from what a person takes back:
    /// it must not be brought again by itself.
    pub(super) async fn keep_to_holds(
        &self,
        tx: &mut dyn Write,
        caller: &Caller,
        bundle: VersionId,
    ) -> Result<(), ApiError> {
        let Some(hold) = tx.hold_get(self.environment.id, self.application.id).await? else {
            return self.hold_back(tx, caller).await;
        };
        if !hold.stands_against(bundle, self.cause) {
            return Ok(());
        }
        let (application, environment) = (&self.application.name, &self.environment.name);
        let detail = format!("`{application}` is pinned in `{environment}` by {}: {}", hold.by, hold.reason);
        Err(ApiError::conflict("pinned", detail).hint("release it first: slipway release APP --env ENV"))
    }

    async fn hold_back(&self, tx: &mut dyn Write, caller: &Caller) -> Result<(), ApiError> {
        let reason = match self.cause {
            DeploymentCause::Rollback { to, reason } => format!("rolled back to generation {to}: {reason}"),
            DeploymentCause::Remove { reason } => format!("taken away: {reason}"),
            _ => return Ok(()),
        };
        if self.environment.settings.follow.is_none() {
            return Ok(());
        }
        let hold = Hold {
            environment_id: self.environment.id,
            application_id: self.application.id,
            version_id: None,
            reason: reason.chars().take(REASON_CHARS_MAX).collect(),
            by: caller.0.person().to_owned(),
            at: Utc::now(),
        };
        tx.hold_put(&hold).await?;
        tx.audit(NewAuditEntry {
            actor: caller.name().to_owned(),
            action: "environment.hold",
            subject: format!("environment/{}", self.environment.name),
            detail: json!({"application": self.application.name, "reason": hold.reason}),
        })
        .await?;
        Ok(())
    }
}
