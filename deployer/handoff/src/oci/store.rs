//! Where artifacts are written to.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use slipway_oci::Descriptor;
use slipway_types::Digest;

use crate::receiver::ReceiverError;

/// A manifest as it lies in a registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredManifest {
    /// Its media type.
    pub media_type: String,
    /// Its bytes.
    pub bytes: Bytes,
}

impl StoredManifest {
    /// Digest of its bytes.
    pub fn digest(&self) -> Digest {
        Digest::of(&self.bytes)
    }
}

/// A registry, as far as receivers need one. Writing the same again changes nothing.
#[async_trait]
pub trait ArtifactStore: Send + Sync {
    /// Puts a blob into a repository.
    async fn put_blob(
        &self,
        repository: &str,
        descriptor: &Descriptor,
        bytes: &Bytes,
    ) -> Result<(), ReceiverError>;

    /// Puts a manifest, whose blobs are there, into a repository, and makes `tag` name it.
    async fn put_manifest(
        &self,
        repository: &str,
        manifest: &StoredManifest,
        tag: Option<&str>,
    ) -> Result<(), ReceiverError>;

    /// What a tag names; `None` if there is no such tag or no such repository.
    async fn tagged(&self, repository: &str, tag: &str) -> Result<Option<StoredManifest>, ReceiverError>;

    /// How those who pull write the repository: `HOST[:PORT]/PATH`.
    fn location(&self, repository: &str) -> String;
}

/// A store in memory.
#[derive(Debug, Default)]
pub struct MemoryStore(Mutex<Contents>);

#[derive(Debug, Default)]
struct Contents {
    blobs: BTreeMap<(String, Digest), Bytes>,
    manifests: BTreeMap<(String, Digest), StoredManifest>,
    tags: BTreeMap<(String, String), Digest>,
}

impl MemoryStore {
    /// A blob of a repository.
    pub fn blob(&self, repository: &str, digest: &Digest) -> Option<Bytes> {
        self.with(|contents| contents.blobs.get(&(repository.to_owned(), *digest)).cloned())
    }

    fn with<T>(&self, act: impl FnOnce(&mut Contents) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[async_trait]
impl ArtifactStore for MemoryStore {
    async fn put_blob(
        &self,
        repository: &str,
        descriptor: &Descriptor,
        bytes: &Bytes,
    ) -> Result<(), ReceiverError> {
        let key = (repository.to_owned(), descriptor.digest);
        self.with(|contents| contents.blobs.insert(key, bytes.clone()));
        Ok(())
    }

    async fn put_manifest(
        &self,
        repository: &str,
        manifest: &StoredManifest,
        tag: Option<&str>,
    ) -> Result<(), ReceiverError> {
        let digest = manifest.digest();
        self.with(|contents| {
            contents.manifests.insert((repository.to_owned(), digest), manifest.clone());
            if let Some(tag) = tag {
                contents.tags.insert((repository.to_owned(), tag.to_owned()), digest);
            }
        });
        Ok(())
    }

    async fn tagged(&self, repository: &str, tag: &str) -> Result<Option<StoredManifest>, ReceiverError> {
        Ok(self.with(|contents| {
            let digest = contents.tags.get(&(repository.to_owned(), tag.to_owned()))?;
            contents.manifests.get(&(repository.to_owned(), *digest)).cloned()
        }))
    }

    fn location(&self, repository: &str) -> String {
        format!("memory.invalid/{repository}")
    }
}
