//! Ports: what the HTTP side must have answered at once, implemented by the libraries and wired by
//! the binary, so that `http` links none of them.

use async_trait::async_trait;
use serde::Serialize;
use serde_json::Value;
use slipway_types::{CommitId, Digest, Fault};

use crate::application::{Application, Source};

/// What one component would do if its commit were built now.
#[derive(Debug, Clone, Serialize, PartialEq, Eq)]
pub struct PlannedComponent {
    /// Component name.
    pub component: String,
    /// Kit name.
    pub kit: String,
    /// `build`, `reuse` or `pack` (no image).
    pub action: &'static str,
    /// Why.
    pub why: String,
    /// Back-end, if an image is built.
    pub backend: Option<String>,
    /// Image fingerprint, where it is known before building.
    pub image_fingerprint: Option<String>,
    /// What people should know of the plan, e.g. that a base's registry could not be reached.
    pub notes: Vec<String>,
}

/// The plan of a commit.
#[derive(Debug, Clone, Serialize, PartialEq, Eq)]
pub struct PlanView {
    /// Application name.
    pub application: String,
    /// The commit.
    pub commit: String,
    /// Its components in order of `slipway.yaml`.
    pub components: Vec<PlannedComponent>,
}

/// A build kit that components may name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownKit {
    /// What `kit:` says.
    pub name: String,
    /// Its own version.
    pub version: String,
    /// One sentence for people.
    pub description: String,
    /// Where it comes from: `builtin`.
    pub origin: &'static str,
    /// What it may do, e.g. `image.build`.
    pub verbs: Vec<String>,
    /// Raised when the same input gives other verbs.
    pub recipe: u32,
    /// Of everything that can change what it plans.
    pub digest: Digest,
    /// The JSON Schema of a component's `with`.
    pub schema: Value,
    /// A whole `slipway.yaml` that uses it.
    pub example: String,
}

/// Planning without running.
#[async_trait]
pub trait Planning: Send + Sync {
    /// The plan of a commit of an application's source.
    async fn plan(&self, application: &Application, commit: &CommitId) -> Result<PlanView, Fault>;
    /// The kits that components may name, by name.
    fn kits(&self) -> Vec<KnownKit>;
}

/// One finding of a source check.
#[derive(Debug, Clone, Serialize, PartialEq, Eq)]
pub struct SourceFinding {
    /// What was checked, e.g. `address`, `credential`, `slipway.yaml`.
    pub check: &'static str,
    /// Whether it holds.
    pub ok: bool,
    /// What was found, and what to do if it does not hold.
    pub detail: String,
}

/// How much a cluster has to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterLoad {
    /// Its name.
    pub name: String,
    /// Whether its API server answers.
    pub is_up: bool,
    /// Jobs whose executor has not begun.
    pub waiting: usize,
    /// Jobs whose executor works.
    pub running: usize,
    /// Most Jobs at once.
    pub max: usize,
}

/// A place where images are built.
#[derive(Debug, Clone, Serialize, PartialEq, Eq)]
pub struct BuildPlace {
    /// `assemble`, `docker` or `kaniko`.
    pub backend: &'static str,
    /// Name of the place: an engine's address, a cluster.
    pub name: String,
    /// Whether it can be used now.
    pub ok: bool,
    /// What answers there, or what is wrong and what to do.
    pub detail: String,
}

/// Looking at where images are built.
#[async_trait]
pub trait BuildPlaces: Send + Sync {
    /// All places, in order of preference.
    async fn look(&self) -> Vec<BuildPlace>;
}

/// One finding about the machine that a server runs on.
#[derive(Debug, Clone, Serialize, PartialEq, Eq)]
pub struct MachineFinding {
    /// What was looked at, e.g. `disk`, `objects`, `helm`.
    pub check: &'static str,
    /// Whether it is as it should be.
    pub ok: bool,
    /// Whether the server cannot do its work if it is not.
    pub needed: bool,
    /// What is there, or what is wrong and what to do.
    pub detail: String,
}

/// Looking at the machine that a server runs on.
#[async_trait]
pub trait MachineCheck: Send + Sync {
    /// Looks at disks, object store, proxy and programs, now: at all of them at once, and at each in bounded time.
    async fn look(&self) -> Vec<MachineFinding>;
}

/// Looking at a source.
#[async_trait]
pub trait SourceCheck: Send + Sync {
    /// Checks address, credential, refs and `slipway.yaml`, one after the other.
    async fn check(&self, source: &Source, applications: &[Application]) -> Vec<SourceFinding>;
}
