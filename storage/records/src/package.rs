//! Published versions of component packages and bundles, and their labels.
//!
//! A version, once published, never changes and its number is never used again. Several versions
//! may name one digest.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use slipway_types::id::{ApplicationId, RunId, VersionId};
use slipway_types::label::{LabelKey, LabelValue, Labels};
use slipway_types::selection::CommitPrefix;
use slipway_types::{CommitId, ComponentName, Digest, GitRef, Version};

use crate::{Inserted, Page, Result};

/// A published version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackageVersion {
    /// Identity.
    pub id: VersionId,
    /// Whose.
    pub application_id: ApplicationId,
    /// The component; `None` for a bundle.
    pub component: Option<ComponentName>,
    /// The version.
    pub version: Version,
    /// Digest of the package's manifest or the bundle's index.
    pub digest: Digest,
    /// Size in bytes of everything under it that is Slipway's own.
    pub size: u64,
    /// The version under which these bytes were first published.
    pub built_as: Version,
    /// The run that published it.
    pub run_id: RunId,
    /// The ref it was published from.
    pub git_ref: GitRef,
    /// The commit it was published from; the zero one for what people composed.
    pub commit: CommitId,
    /// Component package: the package fingerprint. Bundle: the lock digest.
    pub fingerprint: Digest,
    /// What the packager keeps beside it (kit, images, members), as it wrote it.
    pub detail: serde_json::Value,
    /// Labels now.
    pub labels: Labels,
    /// When it was published.
    pub created_at: DateTime<Utc>,
}

impl PackageVersion {
    /// The commit it was published from; `None` for what people composed.
    pub fn source_commit(&self) -> Option<&CommitId> {
        (!self.commit.is_zero()).then_some(&self.commit)
    }

    /// The ref it was published from; `None` for what people composed.
    pub fn source_ref(&self) -> Option<&GitRef> {
        (!self.commit.is_zero()).then_some(&self.git_ref)
    }
}

/// A version to be published.
#[derive(Debug, Clone)]
pub struct NewVersion {
    /// Whose.
    pub application_id: ApplicationId,
    /// The component; `None` for a bundle.
    pub component: Option<ComponentName>,
    /// The version.
    pub version: Version,
    /// Digest of its manifest or index.
    pub digest: Digest,
    /// Size in bytes.
    pub size: u64,
    /// The version under which these bytes were first published.
    pub built_as: Version,
    /// The run.
    pub run_id: RunId,
    /// The ref.
    pub git_ref: GitRef,
    /// The commit.
    pub commit: CommitId,
    /// Package fingerprint or lock digest.
    pub fingerprint: Digest,
    /// What the packager keeps beside it.
    pub detail: serde_json::Value,
    /// Labels at birth.
    pub labels: Labels,
}

/// Which versions to list; all conditions must hold. Filtering happens before the limit.
#[derive(Debug, Clone, Default)]
pub struct VersionFilter {
    /// Of this application.
    pub application: Option<ApplicationId>,
    /// `Some(None)`: bundles; `Some(Some(c))`: packages of that component; `None`: both.
    pub component: Option<Option<ComponentName>>,
    /// Published from this ref.
    pub git_ref: Option<GitRef>,
    /// Published from this commit.
    pub commit: Option<CommitId>,
    /// Having these labels.
    pub labels: Vec<(LabelKey, LabelValue)>,
    /// Under this digest.
    pub digest: Option<Digest>,
}

/// One change of a label, as asked and as kept in its history.
#[derive(Debug, Clone)]
pub struct LabelChange {
    /// Of which version.
    pub version_id: VersionId,
    /// The key.
    pub key: LabelKey,
    /// The value before (`None`: it must not exist); checked only if `check` is set.
    pub old: Option<LabelValue>,
    /// Whether `old` must hold.
    pub check: bool,
    /// The new value; `None` removes it.
    pub new: Option<LabelValue>,
    /// Who.
    pub by: String,
    /// Why.
    pub reason: Option<String>,
}

/// Looking up versions.
#[async_trait]
pub trait ReadPackages {
    /// One version by identity.
    async fn version_get(&mut self, id: VersionId) -> Result<Option<PackageVersion>>;
    /// Versions by identity, in that order; those that are not there are left out.
    async fn versions_get(&mut self, ids: &[VersionId]) -> Result<Vec<PackageVersion>>;
    /// One version by name: of a component or, with `None`, of the bundle.
    async fn version_find(
        &mut self,
        application: ApplicationId,
        component: Option<&ComponentName>,
        version: &Version,
    ) -> Result<Option<PackageVersion>>;
    /// Versions, newest first by publication.
    async fn version_list(&mut self, filter: &VersionFilter, page: Page) -> Result<Vec<PackageVersion>>;
    /// The commits that begin so and that something of the application was published from, bundles and packages alike,
    /// in order, at most `limit`.
    async fn published_commits(
        &mut self,
        application: ApplicationId,
        prefix: &CommitPrefix,
        limit: u32,
    ) -> Result<Vec<CommitId>>;
    /// The version first published (`version = built_as`) for a package fingerprint.
    async fn package_by_fingerprint(
        &mut self,
        application: ApplicationId,
        component: &ComponentName,
        fingerprint: &Digest,
    ) -> Result<Option<PackageVersion>>;
    /// The bundle that was first published with this lock digest.
    async fn bundle_by_lock(
        &mut self,
        application: ApplicationId,
        lock: &Digest,
    ) -> Result<Option<PackageVersion>>;
}

/// Publishing versions and changing their labels.
#[async_trait]
pub trait WritePackages {
    /// The next number of the branch in the application: counts from 1, never given twice.
    async fn number_next(&mut self, application: ApplicationId, branch: &str) -> Result<u64>;
    /// Publishes a version with its labels. The same version with the same digest is found;
    /// with another digest it is a `Conflict`.
    async fn version_insert(&mut self, version: NewVersion) -> Result<Inserted<PackageVersion>>;
    /// Sets or removes one label and keeps the history; `false` if `check` failed.
    async fn label_change(&mut self, change: &LabelChange) -> Result<bool>;
}
