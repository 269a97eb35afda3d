//! Builds and the results that later builds may reuse.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use slipway_types::id::{ApplicationId, BuildId, RunId};
use slipway_types::state::{BuildState, BuiltImage};
use slipway_types::{ComponentName, Digest};

use crate::Result;

/// One component's build inside a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Build {
    /// Identity.
    pub id: BuildId,
    /// Its run.
    pub run_id: RunId,
    /// Its application.
    pub application_id: ApplicationId,
    /// The component.
    pub component: ComponentName,
    /// The kit.
    pub kit: String,
    /// Order in `slipway.yaml`, from 0.
    pub position: u32,
    /// The back-end chosen, and why; unset for kits without images.
    pub backend: Option<String>,
    /// Why that back-end.
    pub backend_why: Option<String>,
    /// What was planned, as the builder wrote it.
    pub plan: serde_json::Value,
    /// Digest of all that can change the image; known once its needs are built.
    pub image_fingerprint: Option<Digest>,
    /// Where it stands.
    pub state: BuildState,
    /// Attempts begun so far.
    pub attempt: u32,
    /// Times of its stages in milliseconds, by name (`queue`, `context`, `build`, `push`).
    pub stages_ms: serde_json::Value,
    /// Rises with every stored change.
    pub generation: i64,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When its first attempt began.
    pub started_at: Option<DateTime<Utc>>,
    /// When it became terminal.
    pub finished_at: Option<DateTime<Utc>>,
}

/// A finished image that a later build with the same fingerprint may use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuildResult {
    /// Whose; results are never shared between applications.
    pub application_id: ApplicationId,
    /// The component.
    pub component: ComponentName,
    /// The image fingerprint.
    pub fingerprint: Digest,
    /// The build that made it.
    pub build_id: BuildId,
    /// What it pushed.
    pub images: Vec<BuiltImage>,
    /// When.
    pub built_at: DateTime<Utc>,
}

/// Looking up builds.
#[async_trait]
pub trait ReadBuilds {
    /// One build.
    async fn build_get(&mut self, id: BuildId) -> Result<Option<Build>>;
    /// A run's builds by position.
    async fn builds_of(&mut self, run: RunId) -> Result<Vec<Build>>;
    /// The newest result for a fingerprint.
    async fn result_find(
        &mut self,
        application: ApplicationId,
        component: &ComponentName,
        fingerprint: &Digest,
    ) -> Result<Option<BuildResult>>;
}

/// Changing builds.
#[async_trait]
pub trait WriteBuilds {
    /// Stores new builds; those that exist (same run and component) stay as they are.
    async fn builds_insert(&mut self, builds: &[Build]) -> Result<()>;
    /// Stores everything that may change if the row still has `build.generation`, and raises it;
    /// `false` if somebody was faster.
    async fn build_save(&mut self, build: &mut Build) -> Result<bool>;
    /// Keeps a result; a newer one for the same fingerprint takes its place.
    async fn result_put(&mut self, result: &BuildResult) -> Result<()>;
}
