//! Removing what nothing needs any more, a bounded piece at a time.
//!
//! Every removal checks its conditions again inside its own transaction, so a list of candidates may
//! be as old as it likes, and every step may be killed and repeated. Bytes go last: see
//! [`crate::unreferenced`].

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use slipway_types::Digest;
use slipway_types::id::{ApplicationId, VersionId};

use crate::Result;
use crate::package::PackageVersion;

/// A row of a repository that nothing needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RepositoryContent {
    /// The repository.
    pub repository: String,
    /// The manifest or blob in it.
    pub digest: Digest,
}

/// What is stored as blobs, by one look at all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stored {
    /// How many blobs.
    pub blobs: u64,
    /// How many bytes in all: those too that nothing refers to, until upkeep removes them.
    pub bytes: u64,
    /// When the look began.
    pub measured_at: DateTime<Utc>,
}

/// Looking for what nothing needs.
#[async_trait]
pub trait ReadUpkeep {
    /// Every application there ever was, hidden ones too, in order of identity, those after `after`.
    async fn upkeep_applications(
        &mut self,
        after: Option<ApplicationId>,
        limit: u32,
    ) -> Result<Vec<ApplicationId>>;
    /// Versions of branches that were deleted before `gone_before` and that may go: no label of
    /// people's, never named by a channel, never chosen for an environment, no other version with or of their
    /// digest, not the application's newest bundle, and no run of the application under way. Bundles first.
    async fn versions_expired(
        &mut self,
        application: ApplicationId,
        gone_before: DateTime<Utc>,
        limit: u32,
    ) -> Result<Vec<PackageVersion>>;
    /// Manifests whose contents were not noted yet. While there is one, no manifest and no blob expires.
    async fn manifests_unread(&mut self, limit: u32) -> Result<Vec<Digest>>;
    /// Manifests in an application's own repositories (bundles, packages, images, bases, cached steps), pushed before `pushed_before`, that no tag, no
    /// version, no manifest of the repository names and that say nothing about another one there.
    async fn manifests_expired(
        &mut self,
        application: ApplicationId,
        pushed_before: DateTime<Utc>,
        limit: u32,
    ) -> Result<Vec<RepositoryContent>>;
    /// Blobs in an application's own repositories, last put there before `linked_before`, that no
    /// manifest of the repository names.
    async fn links_expired(
        &mut self,
        application: ApplicationId,
        linked_before: DateTime<Utc>,
        limit: u32,
    ) -> Result<Vec<RepositoryContent>>;
    /// What was stored when that was last measured; `None`: it never was.
    async fn stored_get(&mut self) -> Result<Option<Stored>>;
}

/// Removing what nothing needs.
#[async_trait]
pub trait WriteUpkeep {
    /// Removes a version with its tags (those of its signatures too), labels and label history if it is still among
    /// [`ReadUpkeep::versions_expired`]; `false` otherwise. Its number stays taken for ever.
    async fn version_remove(&mut self, id: VersionId, gone_before: DateTime<Utc>) -> Result<bool>;
    /// Notes everything that the bytes of a manifest name: children, configuration, layers.
    async fn manifest_note(&mut self, digest: &Digest, children: &[Digest]) -> Result<()>;
    /// Takes a manifest out of its repository if it is still among [`ReadUpkeep::manifests_expired`].
    async fn manifest_expire(
        &mut self,
        application: ApplicationId,
        content: &RepositoryContent,
        pushed_before: DateTime<Utc>,
    ) -> Result<bool>;
    /// Takes a blob out of its repository if it is still among [`ReadUpkeep::links_expired`].
    async fn link_expire(
        &mut self,
        application: ApplicationId,
        content: &RepositoryContent,
        linked_before: DateTime<Utc>,
    ) -> Result<bool>;
    /// Removes whole logs whose run or build began before `before`, at most `limit` of them; returns
    /// how many.
    async fn logs_remove(&mut self, before: DateTime<Utc>, limit: u32) -> Result<u64>;
    /// Removes the tags of steps that applications' cache repositories (`TEAM/APP/cache`) hold since before
    /// `before`, at most `limit`; returns how many. What they named goes like any other manifest.
    async fn cache_tags_remove(&mut self, before: DateTime<Utc>, limit: u32) -> Result<u64>;
    /// Removes tokens of builds that expired before `before`, at most `limit`; returns how many.
    async fn build_tokens_remove(&mut self, before: DateTime<Utc>, limit: u32) -> Result<u64>;
    /// Keeps what was measured, unless something later is kept.
    async fn stored_put(&mut self, stored: &Stored) -> Result<()>;
}
