//! The port by which HTTP asks the deploy stage what must be answered at once.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;
use slipway_types::environment::{ClusterFacts, ClusterSettings, EnvironmentSettings};
use slipway_types::{Digest, Fault, Place, Violation};

use crate::{Application, Deployment, Environment, PackageVersion};

/// What is to be planned.
#[derive(Debug, Clone)]
pub struct DeployRequest {
    /// The application.
    pub application: Application,
    /// Where.
    pub environment: Environment,
    /// Which bundle.
    pub bundle: PackageVersion,
    /// Configuration for this deployment alone, as written.
    pub document: Option<String>,
}

/// A plan for people.
#[derive(Debug, Clone, Default)]
pub struct DeployPlan {
    /// Digest of what would be frozen.
    pub revision: Option<Digest>,
    /// What stands against it.
    pub violations: Vec<Violation>,
    /// What people should know of it.
    pub notes: Vec<String>,
    /// The objects in the order they would be applied. Secrets are references.
    pub objects: Vec<Value>,
    /// The nodes and what each waits for, as they would be handed off.
    pub graph: Option<Value>,
    /// What would change in the cluster.
    pub differences: Vec<ObjectChange>,
    /// Other environments that it reaches.
    pub reaches: Vec<String>,
}

/// What would become of one object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ObjectChange {
    /// Kind and name.
    pub object: String,
    /// `create`, `update`, `same`, `remove` or `unknown`.
    pub change: &'static str,
    /// Fields that differ, `path: old → new`.
    pub fields: Vec<String>,
}

/// How a gate stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct GateView {
    /// Its kind.
    pub gate: &'static str,
    /// Whether it is open.
    pub open: bool,
    /// What holds, or what is missing.
    pub detail: String,
    /// When it may open by itself, in seconds from now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub opens_in_s: Option<u64>,
}

/// Where a value comes from.
#[derive(Debug, Clone)]
pub struct ExplainedKey {
    /// What is in force.
    pub value: Value,
    /// What each level says, the widest first.
    pub origins: Vec<OriginView>,
}

/// What one level says about a value.
#[derive(Debug, Clone, Serialize)]
pub struct OriginView {
    /// The level.
    pub level: String,
    /// What it says.
    pub value: Value,
    /// Where it stands.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub place: Option<Place>,
    /// Who set the level.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// When.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<DateTime<Utc>>,
    /// Its version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<i64>,
}

/// What a cluster answered.
#[derive(Debug, Clone)]
pub struct ClusterLook {
    /// UID of its `kube-system`.
    pub uid: String,
    /// What it says of itself.
    pub facts: ClusterFacts,
}

/// The deploy stage, as far as it must answer at once.
#[async_trait]
pub trait Deploying: Send + Sync {
    /// What a bundle would become in an environment.
    async fn plan(&self, wanted: &DeployRequest) -> Result<DeployPlan, Fault>;
    /// How an environment's gates stand for a deployment.
    async fn gates(
        &self,
        deployment: &Deployment,
        environment: &Environment,
        bundle: &PackageVersion,
    ) -> Result<Vec<GateView>, Fault>;
    /// Where a value of the configuration comes from.
    async fn explain(
        &self,
        wanted: &DeployRequest,
        key: &str,
    ) -> Result<Result<ExplainedKey, Vec<Violation>>, Fault>;
    /// What is wrong with an operator's document by itself.
    fn check_document(&self, document: &str) -> Vec<Violation>;
    /// What is wrong with an environment's settings on this server.
    fn check_settings(&self, settings: &EnvironmentSettings) -> Vec<Violation>;
    /// What a cluster is and says of itself.
    async fn look_at_cluster(&self, name: &str, settings: &ClusterSettings) -> Result<ClusterLook, Fault>;
    /// All definitions.
    fn definitions(&self) -> Value;
    /// One definition with its schema.
    fn definition(&self, kind: &str, name: &str) -> Option<Value>;
}
