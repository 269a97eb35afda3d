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
pub(super) struct ProposedDeployment<'a> {
    pub(super) application: &'a Application,
    pub(super) environment: &'a Environment,
    pub(super) cause: &'a DeploymentCause,
}

impl ProposedDeployment<'_> {
    /// Refuses what a pin stands against. Holds what a person takes back: it must not be brought again by itself.
    /// A return to what was live takes the place of a pin of another version.
    pub(super) async fn keep_to_holds(
        &self,
        tx: &mut dyn Write,
        caller: &Caller,
        bundle: VersionId,
    ) -> Result<(), ApiError> {
        let before = tx.hold_get(self.environment.id, self.application.id).await?;
        if let Some(hold) = before.as_ref().filter(|hold| hold.stands_against(bundle, self.cause)) {
            let (application, environment) = (&self.application.name, &self.environment.name);
            let detail =
                format!("`{application}` is pinned in `{environment}` by {}: {}", hold.by, hold.reason);
            let release = format!("release it first: slipway release {application} --env {environment}");
            return Err(ApiError::conflict("pinned", detail).hint(release));
        }
        let (reason, rollback_to) = match self.cause {
            DeploymentCause::Rollback { to, reason, .. } => {
                (format!("rolled back to generation {to}: {reason}"), Some(*to))
            }
            DeploymentCause::Remove { reason }
                if before.is_none() && self.environment.settings.follow.is_some() =>
            {
                (format!("taken away: {reason}"), None)
            }
            _ => return Ok(()),
        };
        let hold = Hold {
            environment_id: self.environment.id,
            application_id: self.application.id,
            // A pin of what is returned to stays one.
            version_id: before.as_ref().and_then(|hold| hold.version_id).filter(|pinned| *pinned == bundle),
            reason: reason.chars().take(REASON_CHARS_MAX).collect(),
            by: caller.0.person().to_owned(),
            at: Utc::now(),
            rollback_to,
        };
        self.hold(tx, caller, &hold, before).await
    }

    /// Keeps a hold, and with it in the audit record what it takes the place of.
    async fn hold(
        &self,
        tx: &mut dyn Write,
        caller: &Caller,
        hold: &Hold,
        before: Option<Hold>,
    ) -> Result<(), ApiError> {
        let mut detail = json!({"application": self.application.name, "reason": hold.reason});
        if let Some(to) = hold.rollback_to {
            detail["rollback_to"] = to.into();
        }
        if let Some(before) = before {
            let version = match before.version_id {
                Some(id) => tx.version_get(id).await?.map(|row| row.version.to_string()),
                None => None,
            };
            detail["instead_of"] =
                json!({"version": version, "reason": before.reason, "by": before.by, "at": before.at});
        }
        tx.hold_put(hold).await?;
        tx.audit(NewAuditEntry {
            actor: caller.name().to_owned(),
            action: "environment.hold",
            subject: format!("environment/{}", self.environment.name),
            detail,
        })
        .await?;
        Ok(())
    }
}
