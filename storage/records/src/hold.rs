//! Pins and holds: what keeps an environment as it is.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use slipway_types::id::{ApplicationId, EnvironmentId, VersionId};

use crate::{DeploymentCause, Result};

/// What keeps an environment from changing by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hold {
    /// Where.
    pub environment_id: EnvironmentId,
    /// What.
    pub application_id: ApplicationId,
    /// The version it is pinned to; `None` holds whatever is there.
    pub version_id: Option<VersionId>,
    /// Why.
    pub reason: String,
    /// Who.
    pub by: String,
    /// When.
    pub at: DateTime<Utc>,
    /// The generation that a rollback returned to, if that is why. Until it is released nothing by itself moves
    /// what runs, neither following nor setting drift right.
    pub rollback_to: Option<u64>,
}

impl Hold {
    /// Whether it stands against a deployment. A pin allows its version alone, and no removal; a hold keeps
    /// out what comes by itself, that of a rollback also what deployments elsewhere bring along. Nothing
    /// stands against a return to what was live.
    pub fn stands_against(&self, bundle: VersionId, cause: &DeploymentCause) -> bool {
        if cause.is_return() {
            return false;
        }
        match self.version_id {
            Some(pinned) => pinned != bundle || matches!(cause, DeploymentCause::Remove { .. }),
            None if self.is_rollback() => {
                matches!(cause, DeploymentCause::Follow | DeploymentCause::Reach { .. })
            }
            None => *cause == DeploymentCause::Follow,
        }
    }

    /// Whether a rollback keeps what runs exactly as it is until somebody releases it. Whoever sets drift right
    /// by itself asks this first.
    pub fn is_rollback(&self) -> bool {
        self.rollback_to.is_some()
    }
}

/// Looking up pins and holds.
#[async_trait]
pub trait ReadHolds {
    /// What keeps an application in an environment.
    async fn hold_get(
        &mut self,
        environment: EnvironmentId,
        application: ApplicationId,
    ) -> Result<Option<Hold>>;
    /// All pins and holds.
    async fn hold_list(&mut self) -> Result<Vec<Hold>>;
}

/// Pinning, holding and letting go.
#[async_trait]
pub trait WriteHolds {
    /// Pins or holds; takes the place of an earlier one.
    async fn hold_put(&mut self, hold: &Hold) -> Result<()>;
    /// Pins or holds, if nothing does; `false` if something did, which stays.
    async fn hold_first(&mut self, hold: &Hold) -> Result<bool>;
    /// Lets go; `false` if nothing held.
    async fn hold_release(&mut self, environment: EnvironmentId, application: ApplicationId) -> Result<bool>;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hold(version_id: Option<VersionId>, rollback_to: Option<u64>) -> Hold {
        Hold {
            environment_id: EnvironmentId::new(),
            application_id: ApplicationId::new(),
            version_id,
            reason: "x".to_owned(),
            by: "ann".to_owned(),
            at: DateTime::UNIX_EPOCH,
            rollback_to,
        }
    }

    #[test]
    fn what_a_hold_stands_against() {
        use DeploymentCause as C;
        let (this, other) = (VersionId::new(), VersionId::new());
        let reason = || "x".to_owned();
        let back = |was_live| C::Rollback { to: 1, reason: reason(), was_live, aborts: None };
        let reach = C::Reach { from: "dev".to_owned() };
        let remove = C::Remove { reason: reason() };
        let (pin, plain, rolled) = (hold(Some(other), None), hold(None, None), hold(None, Some(1)));
        let pin_of_this = hold(Some(this), Some(1));
        for (cause, by) in [
            (C::Deploy, [true, false, false, false]),
            (C::Follow, [true, true, true, false]),
            (reach, [true, false, true, false]),
            (remove, [true, false, false, true]),
            (back(false), [true, false, false, false]),
            (back(true), [false; 4]),
        ] {
            let found = [&pin, &plain, &rolled, &pin_of_this].map(|hold| hold.stands_against(this, &cause));
            assert_eq!(found, by, "{cause:?}");
        }
    }
}
