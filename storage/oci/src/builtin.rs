//! The core of the built-in registry: what a repository holds and what may change, without HTTP.

use std::sync::Arc;

use bytes::Bytes;
use slipway_objects::{Blob, Blobs};
use slipway_records::registry::ManifestRow;
use slipway_records::{Read, Records, Write};
use slipway_types::image::{is_repository, is_tag};
use slipway_types::{Digest, ImageReference, media_type};

use crate::client::Registries;
use crate::manifest::{Descriptor, ImageIndex, Manifest, ManifestLimits};
use crate::signature::signed_by_tag;

mod elsewhere;
mod error;
mod kept;
mod protection;
mod signatures;
#[cfg(test)]
pub(crate) mod tests;

pub use elsewhere::BlobBody;
pub use error::RegistryError;
pub use kept::{ROLLBACK_DEPTH_DEFAULT, generation_tag, revision_tag};
pub use signatures::{Offered, PreparedSignature, SIGNATURES_MAX, signed_among};

type Result<T, E = RegistryError> = std::result::Result<T, E>;

/// The built-in registry. Cheap to clone.
#[derive(Clone)]
pub struct BuiltinRegistry {
    records: Arc<dyn Records>,
    blobs: Blobs,
    limits: ManifestLimits,
    /// Who fetches blobs that lie in other registries.
    upstream: Option<Registries>,
    /// How many live revisions of each application in each environment are kept.
    rollback_depth: u32,
}

/// What must be there before a manifest is taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BlobRule {
    /// Its configuration and layers are in the repository.
    MustExist,
    /// A repository of another registry holds them and they are fetched from there on demand; only
    /// child manifests must be in the repository.
    LieIn(ImageReference),
}

/// A manifest on its way into a repository.
#[derive(Debug, Clone)]
pub struct NewManifest {
    /// Full repository path.
    pub repository: String,
    /// Its bytes.
    pub bytes: Bytes,
    /// The media type it was sent with, without parameters; otherwise `mediaType` decides.
    pub media_type: Option<String>,
    /// A tag that shall name it.
    pub tag: Option<String>,
    /// What must be there before.
    pub blobs: BlobRule,
}

impl NewManifest {
    /// A manifest whose blobs are in the repository.
    pub fn new(repository: impl Into<String>, bytes: impl Into<Bytes>) -> Self {
        Self {
            repository: repository.into(),
            bytes: bytes.into(),
            media_type: None,
            tag: None,
            blobs: BlobRule::MustExist,
        }
    }

    /// The same, sent as `media_type`.
    #[must_use]
    pub fn sent_as(mut self, media_type: impl Into<String>) -> Self {
        self.media_type = Some(media_type.into());
        self
    }

    /// The same with a tag.
    #[must_use]
    pub fn tagged(mut self, tag: impl Into<String>) -> Self {
        self.tag = Some(tag.into());
        self
    }

    /// The same, its configuration and layers in `origin`, a repository of another registry.
    #[must_use]
    pub fn blobs_lie_in(mut self, origin: ImageReference) -> Self {
        self.blobs = BlobRule::LieIn(origin);
        self
    }
}

/// A manifest that was checked and whose bytes are stored; its rows can be written in a transaction.
#[derive(Debug, Clone)]
pub struct PreparedManifest {
    row: ManifestRow,
    tag: Option<String>,
    blobs: Vec<(Digest, u64)>,
    rule: BlobRule,
    children: Vec<Digest>,
    /// What its tag named when it was checked, if that is a manifest of signatures all of which it has.
    extends: Option<Digest>,
}

impl PreparedManifest {
    /// Digest of its bytes.
    pub fn digest(&self) -> Digest {
        self.row.digest
    }

    /// What its subject is, if it has one; HTTP answers it as `OCI-Subject`.
    pub fn subject(&self) -> Option<Digest> {
        self.row.subject
    }

    /// Media type it is stored with.
    pub fn media_type(&self) -> &str {
        &self.row.media_type
    }

    /// A descriptor of it.
    pub fn descriptor(&self) -> Descriptor {
        row_descriptor(&self.row)
    }
}

impl BuiltinRegistry {
    /// The registry over `records` and `blobs`.
    pub fn new(records: Arc<dyn Records>, blobs: Blobs) -> Self {
        let (limits, rollback_depth) = (ManifestLimits::default(), ROLLBACK_DEPTH_DEFAULT);
        Self { records, blobs, limits, upstream: None, rollback_depth }
    }

    /// The same with a client that fetches blobs which lie in other registries.
    #[must_use]
    pub fn with_upstream(mut self, upstream: Registries) -> Self {
        self.upstream = Some(upstream);
        self
    }

    /// The same, keeping so many live revisions of each application in each environment, with all that they
    /// consist of.
    #[must_use]
    pub fn with_rollback_depth(mut self, revisions: u32) -> Self {
        self.rollback_depth = revisions;
        self
    }

    /// Its limits.
    pub fn limits(&self) -> &ManifestLimits {
        &self.limits
    }

    /// Where its bytes lie.
    pub fn blobs(&self) -> &Blobs {
        &self.blobs
    }

    /// Size of a blob, if the repository holds it. Manifests count as blobs too.
    pub async fn has_blob(&self, repository: &str, digest: &Digest) -> Result<Option<u64>> {
        let mut read = self.records.read().await?;
        if let Some(size) = read.blob_linked(repository, digest).await? {
            return Ok(Some(size));
        }
        Ok(read.manifest_get(repository, digest).await?.map(|row| row.size))
    }

    /// Puts a stored blob into a repository.
    pub async fn link_blob(&self, repository: &str, blob: &Blob) -> Result<()> {
        let mut tx = self.records.begin().await?;
        self.link_blob_tx(tx.as_mut(), repository, blob).await?;
        Ok(tx.commit().await?)
    }

    /// [`Self::link_blob`] inside the caller's transaction.
    pub async fn link_blob_tx(&self, tx: &mut dyn Write, repository: &str, blob: &Blob) -> Result<()> {
        check_repository(repository)?;
        Ok(tx.blob_link(repository, &blob.digest, blob.size).await?)
    }

    /// Puts a blob of one repository into another; `false` if the first does not hold it. Whether
    /// the caller may read the first is for the caller to check.
    pub async fn mount(&self, from: &str, to: &str, digest: &Digest) -> Result<bool> {
        check_repository(from)?;
        check_repository(to)?;
        let mut tx = self.records.begin().await?;
        let Some(size) = tx.blob_linked(from, digest).await? else { return Ok(false) };
        match tx.blob_origin(from, digest).await? {
            Some(origin) => tx.blob_link_elsewhere(to, digest, size, &origin).await?,
            None => tx.blob_link(to, digest, size).await?,
        }
        tx.commit().await?;
        Ok(true)
    }

    /// Takes a blob out of a repository; `false` if it was not there. Its bytes stay until collected.
    pub async fn delete_blob(&self, repository: &str, digest: &Digest) -> Result<bool> {
        let mut tx = self.records.begin().await?;
        kept::of_blob(tx.as_mut(), repository, digest, self.rollback_depth).await?;
        protection::of_blob(tx.as_mut(), repository, digest).await?;
        let was_there = tx.blob_unlink(repository, digest).await?;
        tx.commit().await?;
        Ok(was_there)
    }

    /// Puts a manifest into a repository, and its tag. Again the same: nothing changes.
    pub async fn put_manifest(&self, manifest: NewManifest) -> Result<PreparedManifest> {
        let prepared = self.prepare_manifest(manifest).await?;
        let mut tx = self.records.begin().await?;
        self.put_manifests_tx(tx.as_mut(), std::slice::from_ref(&prepared)).await?;
        tx.commit().await?;
        Ok(prepared)
    }

    /// Checks a manifest by itself and stores its bytes. Nothing sees it before its rows are written
    /// by [`Self::put_manifests_tx`].
    pub async fn prepare_manifest(&self, manifest: NewManifest) -> Result<PreparedManifest> {
        let NewManifest { repository, bytes, media_type, tag, blobs: rule } = manifest;
        check_repository(&repository)?;
        tag.as_deref().map_or(Ok(()), check_tag)?;
        let (parsed, media_type) = Manifest::parse(&bytes, media_type.as_deref(), &self.limits)?;
        let stored = self.blobs.put(bytes).await?;
        let annotations = parsed.annotations().iter();
        let row = ManifestRow {
            repository,
            digest: stored.digest,
            media_type,
            artifact_type: parsed.artifact_type().map(str::to_owned),
            subject: parsed.subject().map(|subject| subject.digest),
            size: stored.size,
            annotations: annotations.map(|(key, value)| (key.clone(), value.as_str().into())).collect(),
            created_at: chrono::Utc::now(),
        };
        let blobs = parsed.blobs().map(|blob| (blob.digest, blob.size)).collect();
        let children = parsed.children().iter().map(|child| child.digest).collect();
        let signed = tag.as_deref().and_then(|tag| Some((tag, signed_by_tag(tag)?)));
        let extends = match signed {
            Some((tag, subject)) => self.extended_by(&row.repository, tag, &subject, &parsed).await?,
            None => None,
        };
        Ok(PreparedManifest { row, tag, blobs, rule, children, extends })
    }

    /// Writes the rows of prepared manifests inside the caller's transaction, in order: children
    /// before their index. On an error the caller drops the transaction.
    pub async fn put_manifests_tx(&self, tx: &mut dyn Write, manifests: &[PreparedManifest]) -> Result<()> {
        for manifest in manifests {
            put_rows(tx, manifest, self.rollback_depth).await?;
        }
        Ok(())
    }

    /// Makes a tag name a manifest of the repository.
    pub async fn put_tag(&self, repository: &str, tag: &str, digest: &Digest) -> Result<()> {
        check_tag(tag)?;
        let mut tx = self.records.begin().await?;
        if tx.manifest_get(repository, digest).await?.is_none() {
            return Err(RegistryError::ManifestUnknown { reference: digest.to_string() });
        }
        put_tag_row(tx.as_mut(), (repository, tag), digest, None, self.rollback_depth).await?;
        Ok(tx.commit().await?)
    }

    /// The row of a manifest, by tag or digest.
    pub async fn find_manifest(&self, repository: &str, reference: &str) -> Result<ManifestRow> {
        let mut read = self.records.read().await?;
        find(read.as_mut(), repository, reference).await
    }

    /// A manifest by tag or digest, with its bytes.
    pub async fn get_manifest(&self, repository: &str, reference: &str) -> Result<(ManifestRow, Bytes)> {
        let row = self.find_manifest(repository, reference).await?;
        let bytes = self.blobs.get(&row.digest, self.limits.max_manifest_bytes).await?;
        Ok((row, bytes))
    }

    /// Takes a manifest (by digest, with its tags) or one tag out of a repository.
    pub async fn delete_manifest(&self, repository: &str, reference: &str) -> Result<()> {
        let unknown = || RegistryError::ManifestUnknown { reference: reference.to_owned() };
        let mut tx = self.records.begin().await?;
        let deleted = if reference.contains(':') {
            let digest: Digest = reference.parse()?;
            kept::of_digest(tx.as_mut(), repository, &digest, self.rollback_depth).await?;
            protection::of_digest(tx.as_mut(), repository, &digest).await?;
            tx.manifest_delete(repository, &digest).await?
        } else {
            self.tag_may_go(tx.as_mut(), repository, reference).await?;
            tx.tag_delete(repository, reference).await?
        };
        if !deleted {
            return Err(unknown());
        }
        Ok(tx.commit().await?)
    }

    async fn tag_may_go(&self, read: &mut dyn Read, repository: &str, tag: &str) -> Result<()> {
        kept::of_tag(read, repository, tag, self.rollback_depth).await?;
        let refused = protection::of_tag(read, repository, tag, None).await;
        // Who still needs the version says more than that it is one.
        if refused.is_err()
            && let Some(digest) = read.tag_get(repository, tag).await?
        {
            kept::of_digest(read, repository, &digest, self.rollback_depth).await?;
        }
        refused
    }

    /// Tags in byte order, those after `after`, at most `limit`; an unknown repository is an error.
    pub async fn tags(&self, repository: &str, after: Option<&str>, limit: u32) -> Result<Vec<String>> {
        let mut read = self.records.read().await?;
        if !read.repository_exists(repository).await? {
            return Err(RegistryError::RepositoryUnknown { repository: repository.to_owned() });
        }
        Ok(read.tag_list(repository, after, limit).await?)
    }

    /// The manifests that say something about `digest`, as an index; empty if there is none.
    pub async fn referrers(
        &self,
        repository: &str,
        digest: &Digest,
        artifact_type: Option<&str>,
    ) -> Result<ImageIndex> {
        check_repository(repository)?;
        let mut read = self.records.read().await?;
        let rows = read.referrers(repository, digest).await?;
        let wanted =
            |row: &&ManifestRow| artifact_type.is_none_or(|t| row.artifact_type.as_deref() == Some(t));
        Ok(ImageIndex::new(rows.iter().filter(wanted).map(row_descriptor).collect()))
    }
}

fn row_descriptor(row: &ManifestRow) -> Descriptor {
    let text = |(key, value): (&String, &serde_json::Value)| Some((key.clone(), value.as_str()?.to_owned()));
    Descriptor {
        artifact_type: row.artifact_type.clone(),
        annotations: row.annotations.iter().filter_map(text).collect(),
        ..Descriptor::new(row.media_type.clone(), row.digest, row.size)
    }
}

fn check_repository(repository: &str) -> Result<()> {
    if is_repository(repository) {
        return Ok(());
    }
    Err(RegistryError::RepositoryInvalid { repository: repository.chars().take(120).collect() })
}

fn check_tag(tag: &str) -> Result<()> {
    if is_tag(tag) {
        return Ok(());
    }
    Err(RegistryError::TagInvalid { tag: tag.chars().take(140).collect() })
}

async fn find(read: &mut dyn Read, repository: &str, reference: &str) -> Result<ManifestRow> {
    let unknown = || RegistryError::ManifestUnknown { reference: reference.chars().take(140).collect() };
    let digest = if reference.contains(':') {
        reference.parse()?
    } else {
        read.tag_get(repository, reference).await?.ok_or_else(unknown)?
    };
    read.manifest_get(repository, &digest).await?.ok_or_else(unknown)
}

async fn put_rows(tx: &mut dyn Write, manifest: &PreparedManifest, rollback_depth: u32) -> Result<()> {
    let repository = manifest.row.repository.as_str();
    for (digest, size) in &manifest.blobs {
        match &manifest.rule {
            BlobRule::LieIn(origin) => tx.blob_link_elsewhere(repository, digest, *size, origin).await?,
            BlobRule::MustExist if tx.blob_linked(repository, digest).await?.is_some() => {}
            BlobRule::MustExist => return Err(RegistryError::ManifestBlobUnknown { digest: *digest }),
        }
    }
    for digest in &manifest.children {
        if tx.manifest_get(repository, digest).await?.is_none() {
            return Err(RegistryError::ManifestUnknown { reference: digest.to_string() });
        }
    }
    // The first push decides type and time; the same bytes again change nothing.
    if tx.manifest_get(repository, &manifest.row.digest).await?.is_none() {
        tx.manifest_put(&manifest.row).await?;
    }
    match &manifest.tag {
        Some(tag) => {
            let (digest, extends) = (&manifest.row.digest, manifest.extends.as_ref());
            put_tag_row(tx, (repository, tag), digest, extends, rollback_depth).await
        }
        None => Ok(()),
    }
}

/// `extends`: what the tag may name now though it names signatures.
async fn put_tag_row(
    tx: &mut dyn Write,
    (repository, tag): (&str, &str),
    digest: &Digest,
    extends: Option<&Digest>,
    rollback_depth: u32,
) -> Result<()> {
    let current = tx.tag_get(repository, tag).await?;
    if current == Some(*digest) {
        return Ok(());
    }
    if current.is_some() {
        kept::of_tag(tx, repository, tag, rollback_depth).await?;
    }
    protection::of_tag(tx, repository, tag, Some(digest)).await?;
    if current.is_none() || !protection::is_signed_version(tx, repository, tag).await? {
        return Ok(tx.tag_put(repository, tag, digest).await?);
    }
    if current.as_ref() == extends && tx.tag_move(repository, tag, extends, digest).await? {
        return Ok(());
    }
    Err(RegistryError::SignaturesProtected { repository: repository.to_owned(), tag: tag.to_owned() })
}

/// Media types that a manifest request accepts; the HTTP client sends them.
pub(crate) const MANIFEST_TYPES: [&str; 4] =
    [media_type::OCI_INDEX, media_type::OCI_MANIFEST, media_type::DOCKER_LIST, media_type::DOCKER_MANIFEST];
