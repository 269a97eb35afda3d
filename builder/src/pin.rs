//! Pinning: an existing image is copied into the application's own repository by digest, so that it
//! stays pullable and the bundle complete when its registry is gone.

use std::sync::Arc;

use async_trait::async_trait;
use slipway_oci::manifest::{Descriptor, ImageIndex, Manifest, canonical_json};
use slipway_oci::source::{FetchedManifest, ImageSource, Images, Resolved};
use slipway_records::composing::ImagePinning;
use slipway_types::media_type::OCI_INDEX;
use slipway_types::state::{BuiltImage, PlatformManifest};
use slipway_types::{ApplicationName, ComponentName, Digest, Fault, ImageReference, Platform};

use crate::target::ImageTarget;

/// Copies images.
#[derive(Clone)]
pub struct Pin {
    /// Where images come from.
    pub images: Images,
    /// Where they go.
    pub target: Arc<ImageTarget>,
}

impl Pin {
    /// Asks registries as this application does.
    #[must_use]
    pub fn acting_for(&self, application: &ApplicationName) -> Self {
        Self { images: self.images.acting_for(application), ..self.clone() }
    }

    /// Copies `reference` at `digest` into `repository`: all of it, or only some `platforms`.
    pub async fn pin(
        &self,
        reference: &ImageReference,
        digest: Digest,
        platforms: &[Platform],
        repository: &str,
    ) -> Result<BuiltImage, Fault> {
        let from = reference.pinned(digest);
        let fetched = self.images.fetch_manifest(&from).await?;
        let resolved = self.images.resolve(&from, None).await?;
        let chosen = choose(reference, &resolved, platforms)?;
        for platform in &chosen {
            let image = self.images.fetch_manifest(&reference.pinned(platform.digest)).await?;
            self.copy_image(&from, &image, repository).await?;
        }
        let whole = |image: &PlatformManifest| {
            self.target.built(repository, image.digest, &image.media_type, image.size, chosen.clone())
        };
        let (bytes, media_type) = match (&fetched.manifest, chosen.as_slice()) {
            (Manifest::Image(_), [only]) => return Ok(whole(only)),
            (Manifest::Index(_), [only]) if !platforms.is_empty() => return Ok(whole(only)),
            // An index may list attestations and foreign platforms: it is kept only if all of it came.
            (Manifest::Index(index), all) if all.len() == index.manifests.len() => {
                (fetched.bytes.clone(), fetched.media_type.clone())
            }
            _ => (index_of(&chosen), OCI_INDEX.to_owned()),
        };
        let size = bytes.len() as u64;
        let digest = self.target.push_manifest(repository, bytes, &media_type).await?;
        Ok(self.target.built(repository, digest, &media_type, size, chosen))
    }

    async fn copy_image(
        &self,
        from: &ImageReference,
        image: &FetchedManifest,
        repository: &str,
    ) -> Result<(), Fault> {
        for blob in image.manifest.blobs().filter(|blob| !blob.is_foreign()) {
            let stored = self.images.fetch_blob(from, blob).await?;
            self.target.push_blob(repository, &stored).await?;
        }
        self.target.push_manifest(repository, image.bytes.clone(), &image.media_type).await?;
        Ok(())
    }
}

#[async_trait]
impl ImagePinning for Pin {
    async fn pin_image(
        &self,
        application: &ApplicationName,
        component: &ComponentName,
        image: &ImageReference,
    ) -> Result<BuiltImage, Fault> {
        let Some(digest) = image.digest else {
            let message = format!("{image} names no digest, and its tag may move");
            return Err(Fault::permanent("digest_missing", message).hint("write it as REPOSITORY@sha256:…"));
        };
        // Who may compose here need not have the right to read what others keep in the same registry.
        let is_of_another = ApplicationName::owning(&image.repository).as_ref() != Some(application);
        if self.images.is_own(image) && is_of_another {
            let message = format!("{image} is an image of another application");
            return Err(Fault::permanent("image_of_another", message)
                .hint("take one from outside, or one of this application's own"));
        }
        let repository = format!("{}/i/{component}", application.path());
        self.acting_for(application).pin(image, digest, &[], &repository).await
    }
}

/// The platforms to copy, sorted.
fn choose(
    reference: &ImageReference,
    resolved: &Resolved,
    wanted: &[Platform],
) -> Result<Vec<PlatformManifest>, Fault> {
    let mut chosen: Vec<PlatformManifest> = resolved
        .platforms
        .iter()
        .filter(|platform| wanted.is_empty() || wanted.contains(&platform.platform))
        .map(|platform| PlatformManifest {
            platform: platform.platform.clone(),
            digest: platform.digest,
            size: platform.size,
            media_type: platform.media_type.clone(),
        })
        .collect();
    if let Some(missing) = wanted.iter().find(|want| !chosen.iter().any(|have| have.platform == **want)) {
        let has: Vec<String> =
            resolved.platforms.iter().map(|platform| platform.platform.to_string()).collect();
        let message = format!("{reference} has no platform {missing}, only {}", has.join(", "));
        return Err(Fault::permanent("platform_missing", message));
    }
    chosen.sort_by(|a, b| (&a.platform, a.digest).cmp(&(&b.platform, b.digest)));
    Ok(chosen)
}

/// An index of some platforms' manifests.
pub(crate) fn index_of(platforms: &[PlatformManifest]) -> bytes::Bytes {
    let descriptors = platforms
        .iter()
        .map(|image| {
            Descriptor::new(&image.media_type, image.digest, image.size).for_platform(&image.platform)
        })
        .collect();
    canonical_json(&ImageIndex::new(descriptors))
}
