//! The built-in registry or another one as a store of artifacts.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use slipway_objects::Blobs;
use slipway_oci::{Descriptor, ImageError, ImageSource};
use slipway_types::{ImageReference, RegistryPrefix};

use super::store::{ArtifactStore, StoredManifest};
use crate::receiver::ReceiverError;

/// A registry. Which one is decided by the host of `at`, as for images.
#[derive(Clone)]
pub struct RegistryStore {
    images: Arc<dyn ImageSource>,
    blobs: Blobs,
    at: RegistryPrefix,
}

impl RegistryStore {
    /// Artifacts below `at`; blobs pass through `blobs`.
    pub fn new(images: Arc<dyn ImageSource>, blobs: Blobs, at: RegistryPrefix) -> Self {
        Self { images, blobs, at }
    }

    fn reference(&self, repository: &str, tag: Option<&str>) -> ImageReference {
        ImageReference { tag: tag.map(str::to_owned), ..self.at.reference(repository, None) }
    }

    fn failed(&self, error: &ImageError) -> ReceiverError {
        let (receiver, why) = (self.at.host.clone(), error.to_string());
        if error.is_transient() {
            ReceiverError::Unavailable { receiver, why, retry_after_ms: None }
        } else {
            ReceiverError::Refused { receiver, why }
        }
    }
}

#[async_trait]
impl ArtifactStore for RegistryStore {
    async fn put_blob(
        &self,
        repository: &str,
        _descriptor: &Descriptor,
        bytes: &Bytes,
    ) -> Result<(), ReceiverError> {
        let stored = self.blobs.put(bytes.clone()).await.map_err(|error| ReceiverError::Unavailable {
            receiver: "the object store".to_owned(),
            why: error.to_string(),
            retry_after_ms: None,
        })?;
        let pushed = self.images.push_blob(&self.reference(repository, None), &stored).await;
        pushed.map_err(|error| self.failed(&error))
    }

    async fn put_manifest(
        &self,
        repository: &str,
        manifest: &StoredManifest,
        tag: Option<&str>,
    ) -> Result<(), ReceiverError> {
        let (image, bytes) = (self.reference(repository, tag), manifest.bytes.clone());
        let pushed = self.images.push_manifest(&image, bytes, &manifest.media_type).await;
        pushed.map(drop).map_err(|error| self.failed(&error))
    }

    async fn tagged(&self, repository: &str, tag: &str) -> Result<Option<StoredManifest>, ReceiverError> {
        let image = self.reference(repository, Some(tag));
        match self.images.fetch_manifest(&image).await {
            Ok(found) => Ok(Some(StoredManifest { media_type: found.media_type, bytes: found.bytes })),
            Err(ImageError::NotFound { .. }) => Ok(None),
            Err(error) => Err(self.failed(&error)),
        }
    }

    fn location(&self, repository: &str) -> String {
        let reference = self.at.reference(repository, None);
        format!("{}/{}", reference.host, reference.repository)
    }
}
