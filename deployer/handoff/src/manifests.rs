//! Rendered objects as bytes, by digest.

use std::collections::BTreeMap;

use async_trait::async_trait;
use bytes::Bytes;
use serde_json::Value;
use slipway_types::Digest;

use crate::canonical::canonical;
use crate::receiver::ReceiverError;

/// Where the manifests of a submission are had from.
#[async_trait]
pub trait Manifests: Send + Sync {
    /// The bytes of one; [`read`] is the way to ask, it checks them.
    async fn manifest(&self, digest: &Digest) -> Result<Bytes, ReceiverError>;
}

/// The checked bytes of a manifest.
pub async fn read(
    manifests: &dyn Manifests,
    digest: &Digest,
    max_bytes: usize,
) -> Result<Bytes, ReceiverError> {
    let bytes = manifests.manifest(digest).await?;
    let wrong = |why: String| ReceiverError::Manifest { digest: *digest, why };
    if bytes.len() > max_bytes {
        return Err(wrong(format!(
            "it has {} bytes, the limit max_manifest_bytes is {max_bytes}",
            bytes.len()
        )));
    }
    if Digest::of(&bytes) != *digest {
        return Err(wrong("its bytes have another digest".to_owned()));
    }
    Ok(bytes)
}

/// Manifests in memory.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ManifestSet(BTreeMap<Digest, Bytes>);

impl ManifestSet {
    /// No manifests.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an object in its canonical form.
    pub fn insert(&mut self, object: &Value) -> Digest {
        self.insert_bytes(canonical(object))
    }

    /// Adds bytes as they are.
    pub fn insert_bytes(&mut self, bytes: Bytes) -> Digest {
        let digest = Digest::of(&bytes);
        self.0.insert(digest, bytes);
        digest
    }

    /// The bytes of one.
    pub fn get(&self, digest: &Digest) -> Option<&Bytes> {
        self.0.get(digest)
    }

    /// All of them, by digest.
    pub fn iter(&self) -> impl Iterator<Item = (&Digest, &Bytes)> {
        self.0.iter()
    }
}

#[async_trait]
impl Manifests for ManifestSet {
    async fn manifest(&self, digest: &Digest) -> Result<Bytes, ReceiverError> {
        let missing = || ReceiverError::Manifest { digest: *digest, why: "it is not there".to_owned() };
        self.0.get(digest).cloned().ok_or_else(missing)
    }
}
