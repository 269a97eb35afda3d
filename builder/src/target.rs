//! Where images go, and whether they are there.

use bytes::Bytes;
use slipway_objects::Blob;
use slipway_oci::external::ExternalRegistry;
use slipway_oci::source::{ImageSource, Images};
use slipway_types::state::{BuiltImage, PlatformManifest};
use slipway_types::{Digest, Fault, ImageReference};

pub use slipway_oci::source::INTERNAL_HOST;

/// The registry that images are pushed to.
pub struct ImageTarget {
    images: Images,
    external: Option<ExternalRegistry>,
}

impl ImageTarget {
    /// The built-in registry; [`INTERNAL_HOST`] is among its names in `images`.
    pub fn builtin(images: Images) -> Self {
        Self { images, external: None }
    }

    /// An external registry, before which the built-in one stands.
    pub fn external(images: Images, registry: ExternalRegistry) -> Self {
        Self { images, external: Some(registry) }
    }

    /// The reference by which builds name a repository's image.
    pub fn reference(&self, repository: &str, digest: Option<Digest>) -> ImageReference {
        ImageReference {
            host: INTERNAL_HOST.to_owned(),
            repository: repository.to_owned(),
            tag: None,
            digest,
        }
    }

    /// Puts a stored blob into a repository; one that is there is not sent again.
    pub async fn push_blob(&self, repository: &str, blob: &Blob) -> Result<(), Fault> {
        match &self.external {
            Some(registry) => registry.push_blob(repository, blob).await?,
            None => self.images.push_blob(&self.reference(repository, None), blob).await?,
        }
        Ok(())
    }

    /// Puts a manifest into a repository; its blobs are there.
    pub async fn push_manifest(
        &self,
        repository: &str,
        bytes: Bytes,
        media_type: &str,
    ) -> Result<Digest, Fault> {
        Ok(match &self.external {
            Some(registry) => registry.push_manifest(repository, bytes, media_type).await?,
            None => self.images.push_manifest(&self.reference(repository, None), bytes, media_type).await?,
        })
    }

    /// An image that was pushed.
    pub fn built(
        &self,
        repository: &str,
        digest: Digest,
        media_type: &str,
        size: u64,
        platforms: Vec<PlatformManifest>,
    ) -> BuiltImage {
        BuiltImage {
            repository: repository.to_owned(),
            registry: self.external.as_ref().map(|registry| registry.prefix().clone()),
            digest,
            media_type: media_type.to_owned(),
            size,
            platforms,
        }
    }

    /// Whether the registry answers for the image and every platform's manifest. One that was pushed
    /// to another registry is not there.
    pub async fn holds(&self, image: &BuiltImage) -> Result<bool, Fault> {
        if image.registry.as_ref() != self.external.as_ref().map(ExternalRegistry::prefix) {
            return Ok(false);
        }
        let digests =
            std::iter::once(image.digest).chain(image.platforms.iter().map(|platform| platform.digest));
        for digest in digests {
            let held = match &self.external {
                Some(registry) => registry.holds(&image.repository, digest).await?,
                None => {
                    let reference = self.reference(&image.repository, Some(digest));
                    self.images.head_manifest(&reference).await?.is_some()
                }
            };
            if !held {
                return Ok(false);
            }
        }
        Ok(true)
    }
}
