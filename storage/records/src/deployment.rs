//! Deployments, and who let them go.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use slipway_types::id::{ApplicationId, DeploymentId, EnvironmentId, VersionId};
use slipway_types::state::DeploymentState;
use slipway_types::{Digest, Version, Violation};

use crate::{AdoptFrom, AdoptedObject, PackageVersion, Page, Result};

/// Why a deployment exists.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "cause", rename_all = "snake_case")]
pub enum DeploymentCause {
    /// Somebody chose a bundle.
    Deploy,
    /// Somebody took what another environment runs.
    Promote {
        /// Name of that environment.
        from: String,
    },
    /// The environment follows, and this bundle matched.
    Follow,
    /// A policy or step of a deployment elsewhere reaches here.
    Reach {
        /// Name of the environment of that deployment.
        from: String,
    },
    /// A return to an earlier revision.
    Rollback {
        /// The generation returned to.
        to: u64,
        /// Why.
        reason: String,
        /// Whether that generation was live once: then no gate is asked, its tasks do not run again and its
        /// secrets are those of now.
        #[serde(default)]
        was_live: bool,
        /// The generation on its way that it takes back: that is stopped where it stands before anything else.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        aborts: Option<u64>,
    },
    /// What runs again, so that its workloads take new secrets.
    Restart {
        /// Why.
        reason: String,
        /// The generation whose revision is taken with nothing moved but versions of secrets. Without it,
        /// bundle and configuration are planned anew.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        of: Option<u64>,
    },
    /// It is to be taken away.
    Remove {
        /// Why.
        reason: String,
    },
    /// Somebody chose a bundle that takes over what another tool deployed.
    Adopt {
        /// From which kind of tool.
        from: AdoptFrom,
        /// The Helm release or Argo CD application; `None`: any.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        release: Option<String>,
        /// What may be taken over, and nothing else.
        objects: Vec<AdoptedObject>,
    },
}

impl DeploymentCause {
    /// The cause's word.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Deploy => "deploy",
            Self::Promote { .. } => "promote",
            Self::Follow => "follow",
            Self::Reach { .. } => "reach",
            Self::Rollback { .. } => "rollback",
            Self::Restart { .. } => "restart",
            Self::Remove { .. } => "remove",
            Self::Adopt { .. } => "adopt",
        }
    }

    /// What of others may be taken over.
    pub fn leave(&self) -> &[AdoptedObject] {
        match self {
            Self::Adopt { objects, .. } => objects,
            _ => &[],
        }
    }

    /// Whether it returns to what was live once: no gate, pin or person is asked.
    pub fn is_return(&self) -> bool {
        matches!(self, Self::Rollback { was_live: true, .. })
    }
}

/// One choice of a bundle for an environment.
#[derive(Debug, Clone, PartialEq)]
pub struct Deployment {
    /// Identity.
    pub id: DeploymentId,
    /// What is deployed.
    pub application_id: ApplicationId,
    /// Where.
    pub environment_id: EnvironmentId,
    /// Rises for each application and environment.
    pub generation: u64,
    /// The bundle's row.
    pub bundle_id: VersionId,
    /// Its version.
    pub bundle_version: Version,
    /// Its digest.
    pub bundle_digest: Digest,
    /// Digest of the locked component set.
    pub lock: Digest,
    /// What was asked for and why this bundle was taken.
    pub choice: serde_json::Value,
    /// Why it exists.
    pub cause: DeploymentCause,
    /// Whose doing it is: a person, or the environment that follows.
    pub created_by: String,
    /// Configuration for this deployment alone: an OAM `Application`, as written.
    pub document: Option<String>,
    /// Digest of all that was frozen.
    pub revision: Option<Digest>,
    /// The revision it replaces.
    pub predecessor: Option<Digest>,
    /// What stands against it.
    pub violations: Vec<Violation>,
    /// What people should know of it.
    pub notes: Vec<String>,
    /// Where it stands.
    pub state: DeploymentState,
    /// Rises with every stored change; the key of compare-and-swap.
    pub row_version: i64,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When its revision was written.
    pub frozen_at: Option<DateTime<Utc>>,
    /// When a receiver took it.
    pub handed_off_at: Option<DateTime<Utc>>,
    /// When it was live for the first time, or delivered to a receiver that never reports.
    pub live_at: Option<DateTime<Utc>>,
    /// When it became terminal.
    pub finished_at: Option<DateTime<Utc>>,
}

/// A deployment to be made, as draft.
#[derive(Debug, Clone)]
pub struct NewDeployment {
    /// What is deployed.
    pub application_id: ApplicationId,
    /// Where.
    pub environment_id: EnvironmentId,
    /// The bundle's row.
    pub bundle_id: VersionId,
    /// Its version.
    pub bundle_version: Version,
    /// Its digest.
    pub bundle_digest: Digest,
    /// Digest of the locked component set.
    pub lock: Digest,
    /// What was asked for and why this bundle was taken.
    pub choice: serde_json::Value,
    /// Why it exists.
    pub cause: DeploymentCause,
    /// Whose doing it is.
    pub created_by: String,
    /// Configuration for this deployment alone.
    pub document: Option<String>,
}

impl NewDeployment {
    /// Of a bundle of its application, with nothing told of the choice and no document of its own.
    pub fn of(
        bundle: &PackageVersion,
        environment: EnvironmentId,
        cause: DeploymentCause,
        created_by: String,
    ) -> Self {
        Self {
            application_id: bundle.application_id,
            environment_id: environment,
            bundle_id: bundle.id,
            bundle_version: bundle.version.clone(),
            bundle_digest: bundle.digest,
            lock: bundle.fingerprint,
            choice: serde_json::Value::Null,
            cause,
            created_by,
            document: None,
        }
    }

    /// The row to be stored.
    pub fn draft(self, generation: u64, at: DateTime<Utc>) -> Deployment {
        Deployment {
            id: DeploymentId::new(),
            application_id: self.application_id,
            environment_id: self.environment_id,
            generation,
            bundle_id: self.bundle_id,
            bundle_version: self.bundle_version,
            bundle_digest: self.bundle_digest,
            lock: self.lock,
            choice: self.choice,
            cause: self.cause,
            created_by: self.created_by,
            document: self.document,
            revision: None,
            predecessor: None,
            violations: Vec::new(),
            notes: Vec::new(),
            state: DeploymentState::Draft { why: None },
            row_version: 1,
            created_at: at,
            frozen_at: None,
            handed_off_at: None,
            live_at: None,
            finished_at: None,
        }
    }
}

/// Which deployments to list; all conditions must hold.
#[derive(Debug, Clone, Default)]
pub struct DeploymentFilter {
    /// Of this application.
    pub application: Option<ApplicationId>,
    /// In this environment.
    pub environment: Option<EnvironmentId>,
    /// Of this bundle version.
    pub bundle: Option<VersionId>,
    /// In one of these states, by word; empty: in any.
    pub states: Vec<&'static str>,
}

/// A person's word on one revision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Approval {
    /// Of which deployment.
    pub deployment_id: DeploymentId,
    /// Who: counted once, whatever tokens they hold.
    pub person: String,
    /// What they looked at.
    pub revision: Digest,
    /// The token's name.
    pub token: String,
    /// What they said.
    pub reason: Option<String>,
    /// When.
    pub at: DateTime<Utc>,
}

/// Looking up deployments.
#[async_trait]
pub trait ReadDeployments {
    /// One deployment.
    async fn deployment_get(&mut self, id: DeploymentId) -> Result<Option<Deployment>>;
    /// One deployment by its generation.
    async fn deployment_by_generation(
        &mut self,
        environment: EnvironmentId,
        application: ApplicationId,
        generation: u64,
    ) -> Result<Option<Deployment>>;
    /// Deployments, newest first.
    async fn deployment_list(&mut self, filter: &DeploymentFilter, page: Page) -> Result<Vec<Deployment>>;
    /// The deployments of an application in an environment that may still change, oldest first.
    async fn deployments_open(
        &mut self,
        environment: EnvironmentId,
        application: ApplicationId,
    ) -> Result<Vec<Deployment>>;
    /// Deployments of these applications in these environments that no receiver has yet and that may still go there, by
    /// generation.
    async fn deployments_pending_among(
        &mut self,
        applications: &[ApplicationId],
        environments: &[EnvironmentId],
    ) -> Result<Vec<Deployment>>;
    /// Deployments that never went out (rejected, broken or expired) where nothing newer was asked for, newest first: at
    /// most one for each application and environment.
    async fn deployments_fallen_last(&mut self, limit: u32) -> Result<Vec<Deployment>>;
    /// What every environment runs or is to run: the newest deployment that a receiver has, for each
    /// application and environment.
    async fn deployments_out(&mut self) -> Result<Vec<Deployment>>;
    /// The same of one application.
    async fn deployments_out_of(&mut self, application: ApplicationId) -> Result<Vec<Deployment>>;
    /// The same of one environment.
    async fn deployments_out_in(&mut self, environment: EnvironmentId) -> Result<Vec<Deployment>>;
    /// The same of one application in one environment.
    async fn deployment_out(
        &mut self,
        environment: EnvironmentId,
        application: ApplicationId,
    ) -> Result<Option<Deployment>>;
    /// The same of these applications in these environments: one step along an index for each pair.
    async fn deployments_out_among(
        &mut self,
        applications: &[ApplicationId],
        environments: &[EnvironmentId],
    ) -> Result<Vec<Deployment>>;
    /// What runs not as it was wanted (failed, timed out, degraded or unreachable) or is suspended, by application and
    /// environment; of all applications if none is named.
    async fn deployments_troubled(
        &mut self,
        application: Option<ApplicationId>,
        limit: u32,
    ) -> Result<Vec<Deployment>>;
    /// Where a receiver has a deployment of these applications, or one is on its way there.
    async fn deployment_places(
        &mut self,
        applications: &[ApplicationId],
    ) -> Result<Vec<(ApplicationId, EnvironmentId)>>;
    /// What was said of a deployment, oldest first.
    async fn approvals_of(&mut self, deployment: DeploymentId) -> Result<Vec<Approval>>;
}

/// Changing deployments.
#[async_trait]
pub trait WriteDeployments {
    /// Makes a draft of the next generation: above all that were ever made of the application at the
    /// environment's address, be it by environments that were removed. [`Removed`](crate::RecordsError::Removed) if
    /// this environment was.
    async fn deployment_insert(&mut self, new: NewDeployment) -> Result<Deployment>;
    /// Gives a draft the next generation that is above `floor`, if the row still has `deployment.row_version`, and
    /// raises that; `false` if somebody was faster, or it is no draft any more. [`Removed`](crate::RecordsError::Removed)
    /// if its environment was.
    async fn deployment_raise(&mut self, deployment: &mut Deployment, floor: u64) -> Result<bool>;
    /// Stores revision, violations, notes, state and times if the row still has
    /// `deployment.row_version`, and raises it; `false` if somebody was faster.
    async fn deployment_save(&mut self, deployment: &mut Deployment) -> Result<bool>;
    /// Keeps a person's word; a later one of the same person takes its place.
    async fn approval_put(&mut self, approval: &Approval) -> Result<()>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rollback_of_an_earlier_release_passes_the_gates() {
        let kept: DeploymentCause =
            serde_json::from_str(r#"{"cause":"rollback","to":2,"reason":"x"}"#).unwrap();
        assert!(!kept.is_return());
    }
}
