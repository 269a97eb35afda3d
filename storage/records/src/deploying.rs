//! The port by which HTTP asks the deploy stage what must be answered at once.

use std::collections::BTreeMap;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;
use slipway_types::environment::{ClusterFacts, ClusterSettings, EnvironmentSettings};
use slipway_types::id::DeploymentId;
use slipway_types::name::EnvironmentName;
use slipway_types::{
    Address, ApplicationName, CommitId, Digest, Fault, Place, RegistryPrefix, SecretReference, SecretScope,
    Version, Violation,
};

use crate::{
    AddonInstance, AdoptPlan, AdoptRequest, Application, Cluster, Deployment, Environment, LiveObjects,
    LiveWanted, PackageVersion,
};

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
    /// What the environment runs and how it differs from that; `None`: it runs nothing yet.
    pub running: Option<RunningView>,
    /// Other environments that it reaches.
    pub reaches: Vec<String>,
}

/// What an environment runs, beside a plan for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RunningView {
    /// The generation that its receiver has.
    pub generation: u64,
    /// Its bundle's version.
    pub version: String,
    /// Its revision.
    pub revision: Digest,
    /// What would change between the two revisions, whatever the cluster holds.
    pub differences: Vec<ObjectChange>,
}

/// What would become of one object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ObjectChange {
    /// Kind and name.
    pub object: String,
    /// `create`, `update`, `same`, `remove`, `keep` (no longer wanted, and left) or `unknown`.
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

/// A node of a frozen graph, for people.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct GraphNode {
    /// Its name, unique in its graph.
    pub name: String,
    /// The component it belongs to.
    pub component: Option<String>,
    /// Nodes that must be ready, or left out, before it starts.
    pub needs: Vec<String>,
    /// Further nodes that must have ended before it starts, however they did.
    pub after: Vec<String>,
    /// Whether it runs at all: CEL.
    pub when: Option<String>,
    /// Its objects, named as [`crate::failure::FoundObject`] does.
    pub objects: Vec<String>,
    /// Whether it stops until somebody says to go on, or a time has passed.
    pub holds: bool,
    /// What people are told where it stops.
    pub message: Option<String>,
    /// Whether it makes an HTTP request.
    pub calls: bool,
}

/// What holds for a bundle in an environment before anything is added for one deployment: what developers declared,
/// with every level of the configuration laid over it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct InForce {
    /// The components, those of operators too.
    pub components: Vec<ComponentInForce>,
    /// The policies in their order.
    pub policies: Vec<PartInForce>,
    /// The workflow's steps in their order, those inside groups left out.
    pub steps: Vec<PartInForce>,
}

/// A component that holds.
#[derive(Debug, Clone, PartialEq)]
pub struct ComponentInForce {
    /// Its name.
    pub name: String,
    /// Its component type, if anybody says one.
    pub kind: Option<String>,
    /// Its properties.
    pub properties: Value,
    /// Its traits; a trait's name is its type.
    pub traits: Vec<PartInForce>,
    /// Which of its properties operators may set, as `overridable` writes them; `None`: all.
    pub overridable: Option<Vec<String>>,
}

/// A trait, policy or step that holds.
#[derive(Debug, Clone, PartialEq)]
pub struct PartInForce {
    /// Its name.
    pub name: String,
    /// Its type.
    pub kind: String,
    /// Its properties.
    pub properties: Value,
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
    /// The commit it was taken from, if it is followed from git.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub commit: Option<CommitId>,
}

/// What a cluster answered.
#[derive(Debug, Clone)]
pub struct ClusterLook {
    /// UID of its `kube-system`.
    pub uid: String,
    /// What it says of itself.
    pub facts: ClusterFacts,
}

/// How the built-in core hears what becomes of objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Heard {
    /// By a watch: at once.
    Watched,
    /// By a list now and then.
    Polled,
    /// Only by looking at each by itself, by the usual pauses of what it belongs to.
    Looked,
}

/// How changes of a kind are heard of somewhere in a cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeardKind {
    /// E.g. `Deployment`.
    pub kind: String,
    /// `None`: in all namespaces.
    pub namespace: Option<String>,
    /// In which way.
    pub how: Heard,
}

/// What a receiver's own report became.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct ReportTaken {
    /// Events that were new.
    pub taken: usize,
    /// Events that were known, older than what is known, or of another generation.
    pub dropped: usize,
}

/// Why a receiver's own report is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReportRefused {
    /// Nobody knows whose it is; also where there is no such environment: nothing tells the two apart.
    #[error("{0}")]
    Unproven(String),
    /// It is too large: send less at once.
    #[error("{0}")]
    Large(String),
    /// It is no report.
    #[error("{0}")]
    Form(String),
    /// It speaks about an environment that its key does not belong to.
    #[error("{0}")]
    Foreign(String),
    /// It cannot be taken now: send it again.
    #[error("{}", .0.message)]
    Unavailable(Fault),
}

/// What a receiver is told about a deployment that it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeploymentWord {
    /// Hold it where it stands.
    Suspend,
    /// Go on.
    Resume,
    /// Try again.
    Retry,
    /// Stop where it stands.
    Terminate,
    /// Go on past the stop behind a canary or a blue-green.
    Promote,
}

/// Somebody's word on a deployment that a receiver has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeploymentOrder {
    /// Which deployment.
    pub deployment: DeploymentId,
    /// What is to be done.
    pub word: DeploymentWord,
    /// Only at this node, where the word takes one.
    pub node: Option<String>,
    /// The person.
    pub person: String,
    /// The token's name.
    pub actor: String,
    /// Why.
    pub reason: Option<String>,
}

/// What came of an order that was kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OrderTold {
    /// The receiver took it.
    Told,
    /// It is not known that the receiver took it, which is told again. Why.
    Kept(Fault),
}

/// Why a receiver was not told, or did not take it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OrderRefused {
    /// The deployment is not in a state for it.
    #[error("{0}")]
    WrongState(String),
    /// The receiver has no such thing.
    #[error("{reason}")]
    Unsupported {
        /// What it lacks, in the contract's word.
        capability: String,
        /// Why, and what to do instead.
        reason: String,
    },
    /// The receiver said no.
    #[error("{0}")]
    Refused(String),
    /// The receiver or what is asked for it failed.
    #[error("{}", .0.message)]
    Failed(Fault),
}

/// A built-in secret of a scope, or one of a cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretName {
    /// The reference; which field of it is read does not matter.
    pub reference: SecretReference,
    /// The scope, for built-in ones.
    pub scope: Option<SecretScope>,
}

/// What uses a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum SecretUserKind {
    /// A deployment that a receiver has.
    Running,
    /// A frozen deployment that is on its way.
    Pending,
    /// The newest finished run of an application.
    Build,
    /// Configuration of operators that names it.
    Configuration,
    /// The server itself.
    Server,
}

/// Who uses a secret.
#[derive(Debug, Clone, Serialize)]
pub struct SecretUser {
    /// What it is.
    pub kind: SecretUserKind,
    /// Its application.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub application: Option<ApplicationName>,
    /// Where it runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub environment: Option<EnvironmentName>,
    /// Which of its components.
    pub components: Vec<String>,
    /// Which version it has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The generation, for deployments.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub generation: Option<u64>,
    /// Its revision, for deployments.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revision: Option<Digest>,
    /// The word of its state, for deployments.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<&'static str>,
    /// Why it is not known whether it uses the secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// The rest, in words.
    pub detail: String,
}

/// The deploy stage, as far as it must answer at once.
#[async_trait]
pub trait Deploying: Send + Sync {
    /// What a bundle would become in an environment.
    async fn plan(&self, wanted: &DeployRequest) -> Result<DeployPlan, Fault>;
    /// What a rollback to the generation `to` would do: its revision is taken as it was frozen. `was_live`: its secrets
    /// are those of now, and its tasks do not run again.
    async fn rollback_plan(
        &self,
        wanted: &DeployRequest,
        to: u64,
        was_live: bool,
    ) -> Result<DeployPlan, Fault>;
    /// What of others a bundle would take over in an environment, and what that would change.
    async fn adoption(&self, wanted: &AdoptRequest) -> Result<AdoptPlan, Fault>;
    /// How an environment's gates stand for a deployment.
    async fn gates(
        &self,
        deployment: &Deployment,
        environment: &Environment,
        bundle: &PackageVersion,
    ) -> Result<Vec<GateView>, Fault>;
    /// The same for deployments that are not stored, all of one application, each with its bundle; in their order. What
    /// they share is looked up once, and one that cannot be judged fails for itself.
    async fn gates_of_drafts(
        &self,
        drafts: &[(Deployment, &PackageVersion)],
        environment: &Environment,
    ) -> Result<Vec<Result<Vec<GateView>, Fault>>, Fault>;
    /// The nodes of a deployment's frozen revision, each after all that it waits for; `None`: nothing is frozen yet,
    /// or it is not kept any more.
    async fn graph(&self, deployment: &Deployment) -> Result<Option<Vec<GraphNode>>, Fault>;
    /// How the objects of a deployment's frozen revision stand in its cluster now; `None`: nothing is frozen yet, or it
    /// is not kept any more. The cluster is asked within seconds and for so many objects, and who asks again at once
    /// is told the same. A cluster that does not answer is no fault: its objects are unknown.
    async fn live_objects(
        &self,
        deployment: &Deployment,
        application: &Application,
        environment: &Environment,
        wanted: &LiveWanted,
    ) -> Result<Option<LiveObjects>, Fault>;
    /// What holds for a bundle in an environment, `wanted.document` included; or what is wrong with it.
    async fn in_force(&self, wanted: &DeployRequest) -> Result<Result<InForce, Vec<Violation>>, Fault>;
    /// Where a value of the configuration comes from.
    async fn explain(
        &self,
        wanted: &DeployRequest,
        key: &str,
    ) -> Result<Result<ExplainedKey, Vec<Violation>>, Fault>;
    /// What is wrong with an operator's document by itself.
    fn check_document(&self, document: &str) -> Vec<Violation>;
    /// What the stored level of an application's configuration says that does not fit the bundles it holds for,
    /// for people; empty if all fits.
    async fn level_notes(&self, application: &Application, level: &str) -> Result<Vec<String>, Fault>;
    /// What is wrong with an environment's settings on this server.
    fn check_settings(&self, settings: &EnvironmentSettings) -> Vec<Violation>;
    /// What a cluster is and says of itself.
    async fn look_at_cluster(&self, name: &str, settings: &ClusterSettings) -> Result<ClusterLook, Fault>;
    /// How the built-in core hears what changes in a registered cluster, by its user's rights there: the kinds
    /// that most applications have.
    async fn heard_kinds(&self, cluster: &Cluster) -> Result<Vec<HeardKind>, Fault>;
    /// Why nodes of a cluster cannot pull from `own`, the registry of an environment, or else from where this
    /// server has clusters pull; `None` also where nothing tells.
    async fn pull_objection(&self, cluster: &ClusterSettings, own: Option<&RegistryPrefix>)
    -> Option<String>;
    /// Takes a receiver's own report about an environment: `headers` by lower-case name, and the body as it
    /// came.
    async fn report(
        &self,
        address: &Address,
        headers: &BTreeMap<String, String>,
        body: &[u8],
    ) -> Result<ReportTaken, ReportRefused>;
    /// Keeps an order, tells the deployment's receiver, and records what follows. The same order of the same person that
    /// is still pending is told once more, under its own identifier.
    async fn order(&self, order: &DeploymentOrder) -> Result<OrderTold, OrderRefused>;
    /// Who uses a secret: deployments, builds, configuration, the server.
    async fn secret_users(&self, secret: &SecretName) -> Result<Vec<SecretUser>, Fault>;
    /// An instance of an add-on as it would be stored: what its definition is called, its `version` (without one the
    /// newest) and what that says; or what stands against it.
    async fn check_addon(
        &self,
        draft: AddonInstance,
        version: Option<&Version>,
    ) -> Result<Result<AddonInstance, Vec<Violation>>, Fault>;
}
