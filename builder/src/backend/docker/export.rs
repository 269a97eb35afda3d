//! From the engine's image to one in the registry: saved into a file, read whatever its layout,
//! every digest verified, layers compressed as the in-process back-end does.

mod layer;
mod saved;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use slipway_objects::{Blob, Spooled};
use slipway_oci::manifest::{Descriptor, ImageManifest, canonical_json};
use slipway_oci::source::{ImageSource, Images};
use slipway_types::{Digest, Fault, Platform, media_type};

use self::layer::{Layer, Layers};
use self::saved::Saved;
use super::base::KnownLayers;
use super::engine::Reached;
use super::{BuildError, Inner, LABEL, blob_fault};
use crate::assemble::ImageConfig;
use crate::log::LogWriter;

/// A way from the engine to the registry.
pub(super) struct Export<'a> {
    pub(super) inner: &'a Inner,
    /// Where base images are.
    pub(super) images: &'a Images,
    pub(super) reached: &'a Reached,
    pub(super) log: &'a LogWriter,
}

/// Ends work on another thread when nobody waits for it any more.
struct Flag(Arc<AtomicBool>);

impl Drop for Flag {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Export<'_> {
    /// Puts the engine's image `id` into `repository`; returns digest and size of its manifest.
    pub(super) async fn to_registry(
        &self,
        id: &str,
        known: &KnownLayers,
        platform: &Platform,
        repository: &str,
    ) -> Result<(Digest, u64), BuildError> {
        let file = self.save(id).await?;
        let flag = Flag(Arc::default());
        let layers = Layers {
            blobs: self.inner.blobs.clone(),
            runtime: tokio::runtime::Handle::current(),
            threads: self.inner.options.compress_threads,
            cancelled: Arc::clone(&flag.0),
            known: known.keys().copied().collect(),
        };
        let (id, wanted) = (id.to_owned(), platform.clone());
        let read = move || {
            let saved = Saved::read(&file, &id, &wanted)?;
            let layers = layers.store(&file, &saved)?;
            Ok::<_, Fault>((saved.config, layers))
        };
        let (config, layers) = tokio::task::spawn_blocking(read).await.map_err(|error| {
            Fault::bug("docker", format!("reading an exported image ended badly: {error}"))
        })??;
        Ok(self.push(config, layers, known, repository).await?)
    }

    /// The image as the engine saves it.
    async fn save(&self, id: &str) -> Result<Spooled, BuildError> {
        let options = &self.inner.options;
        let limit = options.max_image_bytes;
        let mut spool = self.inner.blobs.spool_limited(limit).map_err(blob_fault)?;
        let mut chunks = std::pin::pin!(self.reached.streams.export_image(id));
        let idle = Duration::from_millis(options.idle_timeout_ms);
        loop {
            let next = tokio::time::timeout(idle, chunks.next()).await.map_err(|_| {
                let limit = options.idle_timeout_ms;
                BuildError::TimedOut(format!(
                    "exporting the image: silent longer than idle_timeout_ms = {limit}"
                ))
            })?;
            let Some(chunk) = next else { break };
            let chunk = chunk.map_err(|error| self.reached.fault("export the image", &error))?;
            spool.write(&chunk).await.map_err(|error| match error {
                slipway_objects::BlobError::TooLarge { .. } => Fault::permanent(
                    "image_too_large",
                    format!("the image has more bytes than max_image_bytes = {limit}"),
                ),
                error => blob_fault(error),
            })?;
        }
        Ok(spool.finish().await.map_err(blob_fault)?)
    }

    async fn push(
        &self,
        config: ImageConfig,
        layers: Vec<Layer>,
        known: &KnownLayers,
        repository: &str,
    ) -> Result<(Digest, u64), Fault> {
        let (target, blobs) = (&self.inner.target, &self.inner.blobs);
        let mut descriptors = Vec::with_capacity(layers.len());
        for layer in layers {
            let descriptor = match layer {
                Layer::New(descriptor) => descriptor,
                Layer::Known(diff_id) => {
                    let (from, descriptor) = &known[&diff_id];
                    self.images.fetch_blob(from, descriptor).await?;
                    self.log.line(format!("layer {} of {from}", descriptor.digest.short())).await;
                    Descriptor::new(oci_layer(&descriptor.media_type), descriptor.digest, descriptor.size)
                }
            };
            let blob = Blob { digest: descriptor.digest, size: descriptor.size };
            target.push_blob(repository, &blob).await?;
            descriptors.push(descriptor);
        }
        let config = serde_json::to_vec(&cleaned(config, &self.inner.options.owner)).map_err(|error| {
            Fault::bug("image_config", format!("an image configuration cannot be written: {error}"))
        })?;
        let config_blob = blobs.put(Bytes::from(config)).await.map_err(blob_fault)?;
        target.push_blob(repository, &config_blob).await?;
        let config = Descriptor::new(media_type::OCI_CONFIG, config_blob.digest, config_blob.size);
        let manifest = canonical_json(&ImageManifest::image(config, descriptors));
        let size = manifest.len() as u64;
        let digest = target.push_manifest(repository, manifest, media_type::OCI_MANIFEST).await?;
        Ok((digest, size))
    }
}

/// The configuration without what is the engine's or ours.
fn cleaned(mut config: ImageConfig, owner: &str) -> ImageConfig {
    config.config.labels.remove(LABEL);
    let ours = format!("LABEL {LABEL}={owner}");
    config.history.retain(|entry| {
        !(entry.empty_layer && entry.created_by.as_ref().is_some_and(|by| by.ends_with(&ours)))
    });
    config
}

fn oci_layer(found: &str) -> &str {
    match found {
        "application/vnd.docker.image.rootfs.diff.tar.gzip" => media_type::OCI_LAYER_GZIP,
        "application/vnd.docker.image.rootfs.diff.tar" => "application/vnd.oci.image.layer.v1.tar",
        other => other,
    }
}

#[cfg(test)]
mod tests;
