//! An external registry that keeps images instead of the built-in one.
//!
//! It holds all of an image. The built-in registry holds the manifests too and knows where the blobs
//! lie, so that bundles stay whole there: what a client pulls is fetched from the external registry
//! by digest.

use bytes::Bytes;
use slipway_objects::Blob;
use slipway_types::{Digest, ImageReference, RegistryPrefix};

use crate::builtin::{BuiltinRegistry, NewManifest};
use crate::client::Registries;
use crate::error::ImageError;
use crate::source::ImageSource;

/// Images below one prefix of an external registry.
#[derive(Clone)]
pub struct ExternalRegistry {
    prefix: RegistryPrefix,
    registries: Registries,
    builtin: BuiltinRegistry,
}

impl ExternalRegistry {
    /// Images below `prefix`. `registries` has the operator's credential and may reach the host
    /// wherever it lies, so nothing that others name goes through it.
    pub fn new(prefix: RegistryPrefix, registries: Registries, builtin: BuiltinRegistry) -> Self {
        Self { prefix, registries, builtin }
    }

    /// Where it keeps images.
    pub fn prefix(&self) -> &RegistryPrefix {
        &self.prefix
    }

    /// Puts a stored blob into a repository.
    pub async fn push_blob(&self, repository: &str, blob: &Blob) -> Result<(), ImageError> {
        let to = self.prefix.reference(repository, None);
        let from = self.builtin.repository_at(&to.host, &blob.digest).await?;
        self.registries.push_blob_from(&to, blob, from.as_deref()).await
    }

    /// Puts a manifest into a repository, there and in the built-in registry.
    pub async fn push_manifest(
        &self,
        repository: &str,
        bytes: Bytes,
        media_type: &str,
    ) -> Result<Digest, ImageError> {
        let to = self.prefix.reference(repository, None);
        let digest = self.registries.push_manifest(&to, bytes.clone(), media_type).await?;
        let manifest = NewManifest::new(repository, bytes).sent_as(media_type).blobs_lie_in(to);
        self.builtin.put_manifest(manifest).await?;
        Ok(digest)
    }

    /// Whether both registries answer for a manifest.
    pub async fn holds(&self, repository: &str, digest: Digest) -> Result<bool, ImageError> {
        let there = self.prefix.reference(repository, Some(digest));
        if self.registries.head_manifest(&there).await?.is_none() {
            return Ok(false);
        }
        let here = ImageReference { repository: repository.to_owned(), ..there };
        Ok(self.builtin.head_manifest(&here).await?.is_some())
    }

    /// Whether it answers, and takes the credential.
    pub async fn check(&self) -> Result<(), ImageError> {
        let nothing = self.prefix.reference("slipway/doctor", Some(Digest::of("slipway doctor")));
        self.registries.head_manifest(&nothing).await.map(drop)
    }
}
