//! The in-process back-end as the pipeline sees it: files from git, bases and results in registries.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use slipway_git::{EntryKind, Snapshot};
use slipway_objects::{Blob, Blobs, BlockingSpool};
use slipway_oci::manifest::Manifest;
use slipway_oci::source::{ImageSource, Images};
use slipway_records::fault_point;
use slipway_records::port::BuildPlace;
use slipway_types::media_type::{OCI_INDEX, OCI_MANIFEST};
use slipway_types::state::{BuiltImage, PlatformManifest};
use slipway_types::{Digest, Fault, ImageReference, Platform};
use tokio::runtime::Handle;

use super::{BuildError, ImageBackend, ImageBuild, Requirements};
use crate::assemble::{
    self, AssembleError, AssembledImage, BaseImage, BaseLayer, BlockCache, ContextEntry, ContextFiles,
    ContextKind, Input, LayerSink, LayerSource, LayerWriter,
};
use crate::dockerfile::{BaseKey, Dockerfile, Parameters};
use crate::pin::index_of;
use crate::target::ImageTarget;

/// The largest `.dockerignore`, in bytes.
const DOCKERIGNORE_BYTES_MAX: u64 = 1 << 20;

/// Assembles images in this process.
pub struct AssembleBackend {
    /// Where layers go.
    pub blobs: Blobs,
    /// Where base images come from.
    pub images: Images,
    /// Where results go.
    pub target: Arc<ImageTarget>,
    /// Limits and means.
    pub options: assemble::Options,
    /// Compressed blocks of earlier builds.
    pub cache: Option<Arc<dyn BlockCache>>,
}

#[async_trait]
impl ImageBackend for AssembleBackend {
    fn name(&self) -> &'static str {
        "assemble"
    }

    fn recipe(&self) -> u32 {
        assemble::RECIPE
    }

    async fn can(&self, wanted: &Requirements) -> Result<String, String> {
        if let Some(line) = wanted.run {
            return Err(format!("line {line} runs a command"));
        }
        if let Some((line, what)) = &wanted.buildkit {
            return Err(format!("line {line}: {what} needs BuildKit"));
        }
        if wanted.secrets {
            return Err("build secrets are of use only to RUN, which it cannot do".into());
        }
        Ok("the Dockerfile runs no command, so no engine is needed".into())
    }

    async fn places(&self) -> Vec<BuildPlace> {
        let detail = "Dockerfiles that run no command".to_owned();
        vec![BuildPlace { backend: self.name(), name: "this process".to_owned(), ok: true, detail }]
    }

    async fn build(&self, job: ImageBuild<'_>) -> Result<BuiltImage, BuildError> {
        let mut platforms = Vec::new();
        for platform in &job.plan.platforms {
            platforms.push(self.build_platform(&job, platform).await?);
        }
        platforms.sort_by(|a, b| a.platform.cmp(&b.platform));
        if let [only] = platforms.as_slice() {
            let (digest, size) = (only.digest, only.size);
            return Ok(self.target.built(job.repository, digest, OCI_MANIFEST, size, platforms));
        }
        let index = index_of(&platforms);
        let size = index.len() as u64;
        let digest = self.target.push_manifest(job.repository, index, OCI_INDEX).await?;
        Ok(self.target.built(job.repository, digest, OCI_INDEX, size, platforms))
    }
}

impl AssembleBackend {
    async fn build_platform(
        &self,
        job: &ImageBuild<'_>,
        platform: &Platform,
    ) -> Result<PlatformManifest, BuildError> {
        let snapshot = job.git.snapshot(job.source.id, job.commit).await.map_err(|error| error.fault())?;
        let recipe = Recipe::read(&snapshot, job.context, &job.plan.dockerfile)?;
        drop(snapshot);
        let parameters = job.parameters(platform, &Platform::default(), &self.target);
        let bases = self.bases(&recipe.dockerfile, &parameters, job).await?;
        job.log.line(format!("assembling for {platform}")).await;
        let snapshot = job.git.snapshot(job.source.id, job.commit).await.map_err(|error| error.fault())?;
        let context = Arc::new(GitContext::new(snapshot, job.context));
        let sink = BlobSink { blobs: self.blobs.clone(), runtime: Handle::current() };
        let (options, cache) = (self.options.clone(), self.cache.clone());
        let cancelled = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&cancelled);
        let work = tokio::task::spawn_blocking(move || {
            let input = Input {
                dockerfile: &recipe.dockerfile,
                parameters: &parameters,
                context,
                dockerignore: recipe.dockerignore.as_deref(),
                bases: &bases.images,
                sink: &sink,
                cache: cache.as_deref(),
                cancelled: Some(&flag),
            };
            assemble::assemble(&input, &options).map(|image| (image, bases))
        });
        let (image, bases) = tokio::select! {
            done = work => done.map_err(|error| Fault::bug("assemble", format!("assembling ended badly: {error}")))?,
            () = job.cancelled.cancelled() => {
                cancelled.store(true, Ordering::Relaxed);
                return Err(BuildError::Cancelled);
            }
        }
        .map_err(|error| build_error(&error, &job.plan.dockerfile))?;
        for warning in &image.warnings {
            job.log.line(format!("warning: {warning}")).await;
        }
        self.push(job, platform, &image, &bases).await
    }

    /// Every external image that the Dockerfile names, as it was pinned by the plan.
    async fn bases(
        &self,
        dockerfile: &Dockerfile,
        parameters: &Parameters,
        job: &ImageBuild<'_>,
    ) -> Result<Bases, BuildError> {
        let images = self.images.acting_for(job.application);
        let references = dockerfile
            .base_references(parameters)
            .map_err(|error| Fault::permanent("dockerfile", error.to_string()))?;
        let mut bases = Bases { images: BTreeMap::new(), sources: BTreeMap::new() };
        for base in references {
            let pinned = job.pinned(&base)?;
            let image = self.base(&images, &pinned, &base.key.platform).await?;
            bases.images.insert(base.key.clone(), Arc::new(image));
            bases.sources.insert(base.key, pinned);
        }
        Ok(bases)
    }

    /// Brings a base image's layers into the object store.
    async fn base(
        &self,
        images: &Images,
        reference: &ImageReference,
        platform: &Platform,
    ) -> Result<BaseImage, Fault> {
        let resolved = images.resolve(reference, Some(platform)).await?;
        let manifest = resolved.platforms.first().map_or(resolved.digest, |platform| platform.digest);
        let fetched = images.fetch_manifest(&reference.pinned(manifest)).await?;
        let Manifest::Image(image) = &fetched.manifest else {
            return Err(Fault::permanent("base_invalid", format!("{reference} is an index inside an index")));
        };
        let config = images.fetch_bytes(reference, &image.config, 8 << 20).await?;
        let mut layers = Vec::with_capacity(image.layers.len());
        for layer in &image.layers {
            let blob = images.fetch_blob(reference, layer).await?;
            let (blobs, runtime) = (self.blobs.clone(), Handle::current());
            layers.push(BaseLayer::new(blob.digest, blob.size, layer.media_type.clone(), move || {
                let file = runtime.block_on(blobs.open_file(&blob.digest)).map_err(io::Error::other)?;
                Ok(Box::new(file) as Box<dyn Read + Send>)
            }));
        }
        BaseImage::new(&config, layers)
            .map_err(|error| Fault::permanent("base_invalid", format!("{reference}: {error}")))
    }

    /// Puts the image into the target registry; its new layers are in the object store already.
    async fn push(
        &self,
        job: &ImageBuild<'_>,
        platform: &Platform,
        image: &AssembledImage,
        bases: &Bases,
    ) -> Result<PlatformManifest, BuildError> {
        let to = self.target.reference(job.repository, None);
        for layer in &image.layers {
            let blob = Blob { digest: layer.digest, size: layer.size };
            if let LayerSource::Base(key) = &layer.source {
                let from = bases.sources.get(key).cloned().unwrap_or_else(|| to.clone());
                job.log.line(format!("layer {} of {from}", layer.digest.short())).await;
            }
            self.target.push_blob(job.repository, &blob).await?;
        }
        let config = self
            .blobs
            .put(Bytes::from(image.config.clone()))
            .await
            .map_err(|error| Fault::transient("object_store", error.to_string()))?;
        self.target.push_blob(job.repository, &config).await?;
        let manifest = Bytes::from(image.manifest.clone());
        let size = manifest.len() as u64;
        let digest = self.target.push_manifest(job.repository, manifest, OCI_MANIFEST).await?;
        fault_point::reach("build.manifest_pushed");
        Ok(PlatformManifest { platform: platform.clone(), digest, size, media_type: OCI_MANIFEST.to_owned() })
    }
}

struct Bases {
    images: BTreeMap<BaseKey, Arc<BaseImage>>,
    sources: BTreeMap<BaseKey, ImageReference>,
}

/// A Dockerfile with what belongs to it.
struct Recipe {
    dockerfile: Dockerfile,
    dockerignore: Option<Vec<u8>>,
}

impl Recipe {
    fn read(snapshot: &Snapshot, context: &str, dockerfile: &str) -> Result<Self, Fault> {
        let path = join(context, dockerfile);
        let limit = crate::dockerfile::MAX_DOCKERFILE_BYTES as u64;
        let resolved = snapshot.resolve(&path).map_err(|error| error.fault())?;
        let bytes = snapshot.read_blob(&resolved.entry.id, limit).map_err(|error| error.fault())?;
        let dockerfile = Dockerfile::parse(&bytes)
            .map_err(|error| Fault::permanent("dockerfile", format!("{path}: {error}")))?;
        let dockerignore = snapshot.read_file(&format!("{path}.dockerignore"), DOCKERIGNORE_BYTES_MAX).ok();
        Ok(Self { dockerfile, dockerignore })
    }
}

fn build_error(error: &AssembleError, dockerfile: &str) -> BuildError {
    match error {
        AssembleError::Cancelled => BuildError::Cancelled,
        error => BuildError::Failed(error.fault(dockerfile)),
    }
}

pub(crate) fn join(directory: &str, path: &str) -> String {
    if directory.is_empty() { path.to_owned() } else { format!("{directory}/{path}") }
}

/// A directory of a commit as a build context.
pub(crate) struct GitContext {
    // A snapshot may be sent to another thread but not shared between threads.
    snapshot: Mutex<Snapshot>,
    root: String,
}

impl GitContext {
    pub(crate) fn new(snapshot: Snapshot, root: &str) -> Self {
        Self { snapshot: Mutex::new(snapshot), root: root.to_owned() }
    }
}

impl ContextFiles for GitContext {
    fn entries(&self) -> io::Result<Vec<ContextEntry>> {
        let snapshot = self.snapshot.lock().unwrap_or_else(PoisonError::into_inner);
        let listed = snapshot.list(&self.root, true).map_err(io::Error::other)?;
        let mut entries = Vec::with_capacity(listed.len());
        for entry in listed {
            let kind = match entry.kind {
                EntryKind::Directory => ContextKind::Directory,
                EntryKind::Symlink => {
                    ContextKind::Symlink { target: snapshot.link_target(&entry).map_err(io::Error::other)? }
                }
                EntryKind::Submodule => {
                    return Err(io::Error::other(format!("{} is a submodule", entry.path)));
                }
                _ => ContextKind::File {
                    executable: entry.kind == EntryKind::Executable,
                    size: snapshot.blob_size(&entry.id).map_err(io::Error::other)?,
                },
            };
            let path =
                entry.path.strip_prefix(&self.root).unwrap_or(&entry.path).trim_start_matches('/').to_owned();
            entries.push(ContextEntry { path, kind });
        }
        Ok(entries)
    }

    fn open(&self, path: &str) -> io::Result<Box<dyn Read + Send>> {
        let snapshot = self.snapshot.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = snapshot.entry(&join(&self.root, path)).map_err(io::Error::other)?;
        let entry = entry.ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
        Ok(Box::new(snapshot.open_blob(&entry.id).map_err(io::Error::other)?))
    }
}

/// New layers go into the object store.
struct BlobSink {
    blobs: Blobs,
    runtime: Handle,
}

struct BlobWriter {
    spool: BlockingSpool,
    blobs: Blobs,
    runtime: Handle,
}

impl LayerSink for BlobSink {
    fn create(&self) -> io::Result<Box<dyn LayerWriter>> {
        let spool = self.blobs.blocking_spool().map_err(io::Error::other)?;
        Ok(Box::new(BlobWriter { spool, blobs: self.blobs.clone(), runtime: self.runtime.clone() }))
    }
}

impl Write for BlobWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.spool.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.spool.flush()
    }
}

impl LayerWriter for BlobWriter {
    fn finish(self: Box<Self>, digest: Digest, _size: u64) -> io::Result<()> {
        let spooled = self.spool.finish().map_err(io::Error::other)?;
        if spooled.digest() != digest {
            return Err(io::Error::other("a layer was not stored as it was written"));
        }
        self.runtime.block_on(self.blobs.put_spooled(spooled)).map_err(io::Error::other)?;
        fault_point::reach("build.layer_stored");
        Ok(())
    }
}

#[cfg(test)]
mod tests;
