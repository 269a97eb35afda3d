//! Base images in the engine, exactly those that the plan names.
//!
//! They are brought there by Slipway, from its own registry or any other, under a tag that holds the
//! manifest's digest: so the engine needs no credentials, and a tag that moved changes nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use bollard::query_parameters::ImportImageOptions;
use futures::TryStreamExt;
use slipway_objects::{BlobFile, BlockingSpool, Spooled};
use slipway_oci::manifest::{Descriptor, ImageManifest, Manifest};
use slipway_oci::source::{ImageSource, Images};
use slipway_types::{Digest, Fault, ImageReference, Platform};
use tar::{Builder, EntryType, Header};

use super::engine::{Reached, is_missing};
use super::run::{Activity, file_body};
use super::{ImageBuild, Inner, Recipe, blob_fault};
use crate::assemble::ImageConfig;
use crate::dockerfile::{BaseKey, Parameters};
use crate::log::LogWriter;

/// Where the engine keeps base images that Slipway loaded.
pub(super) const BASE_REPOSITORY: &str = "localhost/slipway-base";
/// The largest configuration of a base image, in bytes.
const CONFIG_BYTES_MAX: u64 = 8 << 20;

/// Layers that a registry has compressed already, by the digest of their tar.
pub(super) type KnownLayers = BTreeMap<Digest, (ImageReference, Descriptor)>;

/// The images that a Dockerfile names.
pub(super) struct Bases {
    /// What the engine calls them.
    pub(super) names: BTreeMap<BaseKey, String>,
    pub(super) layers: KnownLayers,
}

/// An image in a registry.
pub(super) struct BaseImage {
    reference: ImageReference,
    manifest: ImageManifest,
    digest: Digest,
    pub(super) config: bytes::Bytes,
    diff_ids: Vec<Digest>,
}

pub(super) async fn base_image(
    images: &Images,
    reference: &ImageReference,
    platform: &Platform,
) -> Result<BaseImage, Fault> {
    let resolved = images.resolve(reference, Some(platform)).await?;
    let digest = resolved.platforms.first().map_or(resolved.digest, |platform| platform.digest);
    let reference = reference.pinned(digest);
    let invalid = |why: String| Fault::permanent("base_invalid", format!("{reference}: {why}"));
    let Manifest::Image(manifest) = images.fetch_manifest(&reference).await?.manifest else {
        return Err(invalid("an index inside an index".into()));
    };
    let config = images.fetch_bytes(&reference, &manifest.config, CONFIG_BYTES_MAX).await?;
    let parsed: ImageConfig =
        serde_json::from_slice(&config).map_err(|error| invalid(format!("its configuration: {error}")))?;
    let diff_ids = parsed.rootfs.diff_ids;
    if diff_ids.len() != manifest.layers.len() {
        return Err(invalid(format!("{} layers but {} diff ids", manifest.layers.len(), diff_ids.len())));
    }
    Ok(BaseImage { reference, manifest, digest, config, diff_ids })
}

impl Inner {
    /// Sees that the engine has every image that the Dockerfile names.
    pub(super) async fn bases(
        &self,
        recipe: &Recipe,
        parameters: &Parameters,
        job: &ImageBuild<'_>,
        reached: &Reached,
    ) -> Result<Bases, Fault> {
        let references =
            recipe.dockerfile.base_references(parameters).map_err(|error| recipe.invalid(&error))?;
        let images = self.images.acting_for(job.application);
        let mut bases = Bases { names: BTreeMap::new(), layers: BTreeMap::new() };
        for base in references {
            let pinned = job.pinned(&base)?;
            let image = base_image(&images, &pinned, &base.key.platform).await?;
            for (diff_id, layer) in image.diff_ids.iter().zip(&image.manifest.layers) {
                bases.layers.insert(*diff_id, (image.reference.clone(), layer.clone()));
            }
            let name = match &self.options.engine_registry {
                Some(address) if self.images.is_own(&pinned) => {
                    format!("{address}/{}@{}", pinned.repository, image.digest)
                }
                _ => self.load(&images, &image, job.log, reached).await?,
            };
            bases.names.insert(base.key, name);
        }
        Ok(bases)
    }

    /// Loads the image into the engine if it is not there, and returns its name there.
    pub(super) async fn load(
        &self,
        images: &Images,
        image: &BaseImage,
        log: &LogWriter,
        reached: &Reached,
    ) -> Result<String, Fault> {
        let name = format!("{BASE_REPOSITORY}:{}", image.digest.hex());
        let _alone = self.loading.lock().await;
        if has(reached, &name, &image.diff_ids).await? {
            return Ok(name);
        }
        log.line(format!("loading {} into the engine", image.reference)).await;
        let mut layers = Vec::new();
        for layer in &image.manifest.layers {
            let blob = images.fetch_blob(&image.reference, layer).await?;
            layers.push((layer.digest, self.blobs.open_file(&blob.digest).await.map_err(blob_fault)?));
        }
        let spool = self.blobs.blocking_spool().map_err(blob_fault)?;
        let (config, tag) = (image.config.clone(), name.clone());
        let archive = tokio::task::spawn_blocking(move || write_archive(&config, layers, &tag, spool))
            .await
            .map_err(|error| Fault::bug("docker", format!("writing a base image ended badly: {error}")))??;
        let body = file_body(&archive, Activity::new())
            .map_err(|error| Fault::transient("no_space", format!("a base image cannot be read: {error}")))?;
        let options = ImportImageOptions { quiet: true, ..Default::default() };
        let load = reached.streams.import_image_stream(options, body, None);
        let limit = std::time::Duration::from_millis(self.options.idle_timeout_ms);
        let loaded = tokio::time::timeout(limit, load.try_for_each(|_| std::future::ready(Ok(())))).await;
        let what = format!("load the base image {}", image.reference);
        loaded
            .map_err(|_| {
                let limit = self.options.idle_timeout_ms;
                Fault::transient(
                    "docker_timeout",
                    format!("the engine did not {what} within idle_timeout_ms = {limit}"),
                )
            })?
            .map_err(|error| reached.fault(&what, &error))?;
        if has(reached, &name, &image.diff_ids).await? {
            return Ok(name);
        }
        Err(Fault::transient("docker_error", format!("the engine did not {what}: it has other layers")))
    }
}

/// Whether the engine has an image of that name and these layers.
async fn has(reached: &Reached, name: &str, diff_ids: &[Digest]) -> Result<bool, Fault> {
    match reached.docker.inspect_image(name).await {
        Ok(found) => {
            let layers = found.root_fs.and_then(|root| root.layers).unwrap_or_default();
            Ok(layers.iter().eq(diff_ids.iter().map(ToString::to_string).collect::<Vec<_>>().iter()))
        }
        Err(error) if is_missing(&error) => Ok(false),
        Err(error) => Err(reached.fault("look for a base image", &error)),
    }
}

/// An archive as `docker save` of old writes it; layers stay compressed.
fn write_archive(
    config: &[u8],
    layers: Vec<(Digest, BlobFile)>,
    tag: &str,
    spool: BlockingSpool,
) -> Result<Spooled, Fault> {
    let mut builder = Builder::new(spool);
    let config_name = format!("{}.json", Digest::of(config).hex());
    let names: Vec<String> = layers.iter().map(|(digest, _)| format!("{}.tar", digest.hex())).collect();
    let manifest =
        serde_json::json!([{"Config": config_name, "RepoTags": [tag], "Layers": names}]).to_string();
    let mut written = BTreeSet::new();
    let write = || -> io::Result<()> {
        append(&mut builder, "manifest.json", manifest.len() as u64, manifest.as_bytes())?;
        append(&mut builder, &config_name, config.len() as u64, config)?;
        for (name, (digest, file)) in names.iter().zip(layers) {
            if written.insert(digest) {
                append(&mut builder, name, file.size(), file)?;
            }
        }
        builder.finish()
    };
    let outcome = write().and_then(|()| builder.into_inner());
    let spool = outcome.map_err(|error| match error.downcast() {
        Ok(own) => blob_fault(own),
        Err(error) => Fault::transient("no_space", format!("a base image cannot be written: {error}")),
    })?;
    spool.finish().map_err(blob_fault)
}

fn append(
    builder: &mut Builder<BlockingSpool>,
    name: &str,
    size: u64,
    reader: impl io::Read,
) -> io::Result<()> {
    let mut header = Header::new_ustar();
    header.set_entry_type(EntryType::Regular);
    header.set_mode(0o644);
    header.set_size(size);
    builder.append_data(&mut header, name, reader)
}
