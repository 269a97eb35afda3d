//! Where images go, and whether they are there.

use slipway_oci::source::{ImageSource, Images};
use slipway_types::state::BuiltImage;
use slipway_types::{Digest, Fault, ImageReference};

/// The host by which builds name the built-in registry: the same on every server, so that it may
/// enter an image without making it differ.
pub const INTERNAL_HOST: &str = "registry.slipway.internal";

/// The registry that images are pushed to.
pub struct ImageTarget {
    /// All registries; [`INTERNAL_HOST`] is among the built-in one's names.
    pub images: Images,
}

impl ImageTarget {
    /// The reference of a repository in the target registry.
    pub fn reference(&self, repository: &str, digest: Option<Digest>) -> ImageReference {
        ImageReference {
            host: INTERNAL_HOST.to_owned(),
            repository: repository.to_owned(),
            tag: None,
            digest,
        }
    }

    /// Whether the registry answers for the image and every platform's manifest.
    pub async fn holds(&self, image: &BuiltImage) -> Result<bool, Fault> {
        let digests =
            std::iter::once(image.digest).chain(image.platforms.iter().map(|platform| platform.digest));
        for digest in digests {
            let reference = self.reference(&image.repository, Some(digest));
            if self.images.head_manifest(&reference).await?.is_none() {
                return Ok(false);
            }
        }
        Ok(true)
    }
}
