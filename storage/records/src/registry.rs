//! The built-in registry's rows: which repository holds which manifest, blob and tag.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use slipway_types::{Digest, ImageReference};

use crate::Result;

/// A manifest or index in a repository. Its bytes are a blob.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ManifestRow {
    /// Full repository path.
    pub repository: String,
    /// Digest of its bytes.
    pub digest: Digest,
    /// Media type it was pushed with.
    pub media_type: String,
    /// `artifactType`, or the configuration's media type where that is absent.
    pub artifact_type: Option<String>,
    /// The manifest it refers to.
    pub subject: Option<Digest>,
    /// Size in bytes.
    pub size: u64,
    /// Its annotations.
    pub annotations: serde_json::Map<String, serde_json::Value>,
    /// When it was pushed.
    pub created_at: DateTime<Utc>,
}

/// Looking up what the registry holds.
#[async_trait]
pub trait ReadRegistry {
    /// Size of the blob, if the repository holds it.
    async fn blob_linked(&mut self, repository: &str, digest: &Digest) -> Result<Option<u64>>;
    /// The repository of another registry that a linked blob is to be fetched from; `None` if its bytes
    /// are kept here.
    async fn blob_origin(&mut self, repository: &str, digest: &Digest) -> Result<Option<ImageReference>>;
    /// Repositories of other registries that hold the blob, in byte order, at most `limit`.
    async fn blob_origins(&mut self, digest: &Digest, limit: u32) -> Result<Vec<ImageReference>>;
    /// One manifest.
    async fn manifest_get(&mut self, repository: &str, digest: &Digest) -> Result<Option<ManifestRow>>;
    /// What a tag names.
    async fn tag_get(&mut self, repository: &str, tag: &str) -> Result<Option<Digest>>;
    /// Tags in byte order, those after `after`, at most `limit`.
    async fn tag_list(&mut self, repository: &str, after: Option<&str>, limit: u32) -> Result<Vec<String>>;
    /// Manifests whose `subject` is `digest`, in order of digest.
    async fn referrers(&mut self, repository: &str, subject: &Digest) -> Result<Vec<ManifestRow>>;
    /// Those of these tags that there are, in byte order.
    async fn tags_among(&mut self, repository: &str, tags: &[String]) -> Result<Vec<String>>;
    /// Those of these digests that a manifest of an artifact type has as its `subject`, in order of digest.
    async fn subjects_among(
        &mut self,
        repository: &str,
        artifact_type: &str,
        digests: &[Digest],
    ) -> Result<Vec<Digest>>;
    /// Repositories in byte order, those after `after`, at most `limit`.
    async fn repository_list(&mut self, after: Option<&str>, limit: u32) -> Result<Vec<String>>;
    /// Whether the repository holds anything.
    async fn repository_exists(&mut self, repository: &str) -> Result<bool>;
}

/// Changing what the registry holds.
#[async_trait]
pub trait WriteRegistry {
    /// Links a stored blob into a repository, also where it was known to lie elsewhere.
    async fn blob_link(&mut self, repository: &str, digest: &Digest, size: u64) -> Result<()>;
    /// Links a blob that `origin`, a repository of another registry, holds. It needs no bytes here and
    /// holds none; a link to stored bytes stays what it is.
    async fn blob_link_elsewhere(
        &mut self,
        repository: &str,
        digest: &Digest,
        size: u64,
        origin: &ImageReference,
    ) -> Result<()>;
    /// Takes a blob out of a repository; `false` if it was not there.
    async fn blob_unlink(&mut self, repository: &str, digest: &Digest) -> Result<bool>;
    /// Puts a stored manifest into a repository.
    async fn manifest_put(&mut self, manifest: &ManifestRow) -> Result<()>;
    /// Takes a manifest and its tags out of a repository; `false` if it was not there.
    async fn manifest_delete(&mut self, repository: &str, digest: &Digest) -> Result<bool>;
    /// Makes a tag name a manifest of the repository.
    async fn tag_put(&mut self, repository: &str, tag: &str, digest: &Digest) -> Result<()>;
    /// Makes a tag name another manifest of the repository, if it names `from` now (`None`: if it is not
    /// there); `false` otherwise.
    async fn tag_move(
        &mut self,
        repository: &str,
        tag: &str,
        from: Option<&Digest>,
        to: &Digest,
    ) -> Result<bool>;
    /// Removes a tag; `false` if it was not there.
    async fn tag_delete(&mut self, repository: &str, tag: &str) -> Result<bool>;
}
