//! Restarts of what runs with a secret, after that got its next value: asked for together with the value, done by
//! a job, each place once.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use slipway_types::ApplicationName;
use slipway_types::id::{ApplicationId, DeploymentId, EnvironmentId};
use slipway_types::name::EnvironmentName;

use crate::Result;

/// Restarts that a version of a secret asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rotation {
    /// The name under which the secret is stored, with its scope.
    pub secret: String,
    /// The version that it got.
    pub version: u64,
    /// Why; the restarts have it too.
    pub reason: String,
    /// Who asked.
    pub person: String,
    /// The token's name.
    pub actor: String,
    /// When.
    pub started_at: DateTime<Utc>,
    /// When all were come to, or no more could be.
    pub ended_at: Option<DateTime<Utc>>,
    /// Why not all were come to.
    pub problem: Option<String>,
}

/// What became of what runs in one place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RestartFate {
    /// Its turn has not come.
    Waiting,
    /// A deployment was made, or one that somebody else made went out with the value before its turn came.
    Made(DeploymentId),
    /// It is left alone.
    Left {
        /// Why.
        problem: String,
        /// What to do.
        hint: Option<String>,
    },
}

/// What runs with a rotated secret in one place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RotationRestart {
    /// Where.
    pub environment_id: EnvironmentId,
    /// What.
    pub application_id: ApplicationId,
    /// Where, by name.
    pub environment: EnvironmentName,
    /// What, by name.
    pub application: ApplicationName,
    /// What became of it.
    pub fate: RestartFate,
    /// The generation of the deployment that was made.
    pub generation: Option<u64>,
}

/// One place of a rotation.
#[derive(Debug, Clone, Copy)]
pub struct RestartPlace<'a> {
    /// The name under which the secret is stored.
    pub secret: &'a str,
    /// Its version.
    pub version: u64,
    /// Where.
    pub environment: EnvironmentId,
    /// What.
    pub application: ApplicationId,
}

/// Looking up restarts.
#[async_trait]
pub trait ReadRotations {
    /// What was asked for with that version of a secret.
    async fn rotation_get(&mut self, secret: &str, version: u64) -> Result<Option<Rotation>>;
    /// The newest of a secret for which restarts were asked.
    async fn rotation_newest(&mut self, secret: &str) -> Result<Option<Rotation>>;
    /// All places that are known of, by names of application and environment.
    async fn rotation_restarts(&mut self, secret: &str, version: u64) -> Result<Vec<RotationRestart>>;
}

/// Asking for restarts, and saying what became of them.
#[async_trait]
pub trait WriteRotations {
    /// Keeps that restarts were asked for. `Conflict` if they were for that version.
    async fn rotation_insert(&mut self, rotation: &Rotation) -> Result<()>;
    /// Notes a place as one that waits; `false`, and nothing changes, if it is known.
    async fn rotation_place(&mut self, place: RestartPlace<'_>) -> Result<bool>;
    /// Says what became of a place that waits; `false`, and nothing changes, if it does not.
    async fn rotation_settle(&mut self, place: RestartPlace<'_>, fate: &RestartFate) -> Result<bool>;
    /// Ends a rotation; `false`, and nothing changes, if it has ended.
    async fn rotation_end(
        &mut self,
        secret: &str,
        version: u64,
        at: DateTime<Utc>,
        problem: Option<&str>,
    ) -> Result<bool>;
}
