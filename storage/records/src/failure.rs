//! What was found when a node of a deployment failed or timed out.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use slipway_types::id::DeploymentId;
use uuid::Uuid;

use crate::Result;

/// So many failures of nodes are kept of an application in an environment: the newest.
pub const FAILURES_KEPT: u32 = 20;

/// What was found when a node failed or timed out. No text of it holds a value of a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Its name, a UUIDv7, and that of the log which holds the ends of the containers' logs.
    pub id: Uuid,
    /// Of which deployment.
    pub deployment_id: DeploymentId,
    /// Which node.
    pub node: String,
    /// Which of its attempts; one is kept of each.
    pub attempt: u32,
    /// When the node failed.
    pub at: DateTime<Utc>,
    /// What was found.
    pub found: Found,
}

/// What was found, each list bounded by whoever gathers it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Found {
    /// `failed` or `timed_out`, as the hand-off contract says it.
    pub state: String,
    /// Why: what stood in the way.
    pub blocker: String,
    /// The node's objects that were not ready.
    #[serde(default)]
    pub objects: Vec<FoundObject>,
    /// Events about them, their ReplicaSets and pods, the newest last.
    #[serde(default)]
    pub events: Vec<FoundEvent>,
    /// Containers of their pods that cannot run, those of one pod in its order.
    #[serde(default)]
    pub containers: Vec<FoundContainer>,
    /// What could not be read, or was left out, and why.
    #[serde(default)]
    pub notes: Vec<String>,
}

/// An object that was not ready.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FoundObject {
    /// `apps/v1/Deployment shop/web`.
    pub object: String,
    /// Why it was not ready.
    pub reason: String,
    /// The conditions of its status.
    #[serde(default)]
    pub conditions: Vec<FoundCondition>,
}

/// A condition in an object's status.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FoundCondition {
    /// E.g. `Progressing`.
    #[serde(rename = "type")]
    pub kind: String,
    /// `True`, `False` or `Unknown`.
    pub status: String,
    /// The controller's word.
    #[serde(default)]
    pub reason: String,
    /// The controller's sentence.
    #[serde(default)]
    pub message: String,
    /// Since when, if the controller says so.
    #[serde(default)]
    pub since: Option<DateTime<Utc>>,
}

/// Something that the cluster told.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FoundEvent {
    /// When it was last seen.
    #[serde(default)]
    pub at: Option<DateTime<Utc>>,
    /// `Normal` or `Warning`.
    #[serde(rename = "type")]
    pub kind: String,
    /// E.g. `BackOff`.
    pub reason: String,
    /// The sentence.
    pub message: String,
    /// About what: `Pod web-7d9c-x2x`.
    pub object: String,
    /// How often it was seen.
    pub count: u64,
}

/// A container, and the ends of what it wrote.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FoundContainer {
    /// Its pod.
    pub pod: String,
    /// Its name.
    pub container: String,
    /// Whether it is one that runs before the others.
    #[serde(default)]
    pub init: bool,
    /// `waiting`, `running` or `terminated`; `unknown` if the pod does not say.
    pub state: String,
    /// Why it waits, or how it ended, e.g. `CrashLoopBackOff`; empty if that is not said.
    #[serde(default)]
    pub reason: String,
    /// The same in a sentence.
    #[serde(default)]
    pub message: String,
    /// With which code it ended last.
    #[serde(default)]
    pub exit_code: Option<i64>,
    /// How often it was started again.
    #[serde(default)]
    pub restarts: u64,
    /// What it wrote last.
    pub log: FoundLog,
    /// What it wrote before it was started again, if it was.
    #[serde(default)]
    pub previous: Option<FoundLog>,
}

/// The end of what a container wrote, as a piece of the failure's log.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FoundLog {
    /// Its first byte's place.
    pub offset: u64,
    /// Its length in bytes; 0: there is nothing of it.
    pub bytes: u64,
    /// How many lines it has.
    pub lines: u64,
    /// The last few of them, each cut to what fits a screen.
    #[serde(default)]
    pub tail: Vec<String>,
    /// Why there is nothing of it.
    #[serde(default)]
    pub problem: Option<String>,
}

/// Looking up what was found of failures.
#[async_trait]
pub trait ReadFailures {
    /// What is kept of a deployment's nodes, in the order in which it was gathered.
    async fn failures_of(&mut self, deployment: DeploymentId) -> Result<Vec<Failure>>;
    /// Whether something is kept of an attempt of a node.
    async fn failure_is_kept(&mut self, deployment: DeploymentId, node: &str, attempt: u32) -> Result<bool>;
}

/// Keeping what was found of failures.
#[async_trait]
pub trait WriteFailures {
    /// Keeps it; `false`, and nothing changes, if something is kept of that attempt already.
    async fn failure_insert(&mut self, failure: &Failure) -> Result<bool>;
    /// Of what is kept of the deployment's application in its environment, removes all but the newest `keep`,
    /// with their logs; returns how many went.
    async fn failures_trim(&mut self, deployment: DeploymentId, keep: u32) -> Result<u64>;
}
