//! The in-process back-end: a Dockerfile without RUN becomes an OCI image, byte for byte the same
//! wherever and whenever it is assembled.
//!
//! The merged tree and the configuration are those of `docker build` (BuildKit's where the builders
//! differ). Layers are written against an index of the base's merged tree: directories that exist
//! are not written again, links are followed inside the root. Everything blocks.
//!
//! # Recipe 2
//!
//! One layer for each COPY, ADD and WORKDIR that changes the tree. Entries are sorted by the bytes
//! of their paths; times are 1980-01-01T00:00:00Z; ustar, with pax records only for what its fields
//! cannot hold. The tar stream is cut into blocks of 1 MiB, each a gzip member of its own (level 1,
//! no time, system 255). A file of 64 KiB or more begins a new block with its header and ends one
//! with its padding, so that a change inside it moves no other block.

mod archive;
mod base;
mod block_cache;
pub(crate) mod blocks;
mod config;
mod configure;
mod contents;
pub(crate) mod context;
mod copy;
mod error;
mod ignore;
mod layer;
mod owner;
mod stage;
#[cfg(test)]
mod tests;
pub(crate) mod tree;

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use slipway_types::{Digest, media_type};

use crate::dockerfile::{BaseKey, Dockerfile, Parameters};

pub use base::{BaseImage, BaseLayer, InvalidBase};
pub use block_cache::{BlockCacheLimits, DiskBlockCache};
pub use blocks::BlockCache;
pub use config::{ContainerConfig, HealthConfig, History, ImageConfig, RootFs};
pub use context::{ContextEntry, ContextFiles, ContextKind, DirectoryContext, EmptyContext};
pub use error::AssembleError;

/// Raised when the same input gives other bytes than before. Part of every image fingerprint.
pub const RECIPE: u32 = 2;

/// Where new layers go.
pub trait LayerSink: Send + Sync {
    /// Begins a blob.
    fn create(&self) -> io::Result<Box<dyn LayerWriter>>;
}

/// A blob that is being written. Dropped without [`LayerWriter::finish`] it leaves nothing behind.
pub trait LayerWriter: Write + Send {
    /// Keeps the blob under its digest.
    fn finish(self: Box<Self>, digest: Digest, size: u64) -> io::Result<()>;
}

/// What to assemble.
pub struct Input<'a> {
    /// The Dockerfile.
    pub dockerfile: &'a Dockerfile,
    /// Build arguments, platform, target.
    pub parameters: &'a Parameters,
    /// The build context.
    pub context: Arc<dyn ContextFiles>,
    /// Content of `<Dockerfile>.dockerignore`, if there is one; it wins over the context's own
    /// `.dockerignore`.
    pub dockerignore: Option<&'a [u8]>,
    /// The images that [`Dockerfile::base_references`] names.
    pub bases: &'a BTreeMap<BaseKey, Arc<BaseImage>>,
    /// Where new layers go.
    pub sink: &'a dyn LayerSink,
    /// Compressed blocks of earlier builds.
    pub cache: Option<&'a dyn BlockCache>,
    /// Set to true from elsewhere it ends the work with [`AssembleError::Cancelled`].
    pub cancelled: Option<&'a AtomicBool>,
}

impl fmt::Debug for Input<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Input")
            .field("parameters", self.parameters)
            .field("bases", &self.bases.keys())
            .finish_non_exhaustive()
    }
}

/// Limits and means.
#[derive(Debug, Clone)]
pub struct Options {
    /// Threads that compress; the result does not depend on it.
    pub compress_threads: usize,
    /// Directory of temporary files.
    pub spool_dir: PathBuf,
    /// Most bytes of files taken out of base layers and archives for one layer.
    pub max_spool_bytes: u64,
    /// Most entries of a build context.
    pub max_context_entries: usize,
    /// Most entries of a base image.
    pub max_base_entries: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            compress_threads: std::thread::available_parallelism().map_or(1, usize::from),
            spool_dir: std::env::temp_dir(),
            max_spool_bytes: 32 << 30,
            max_context_entries: 1_000_000,
            max_base_entries: 2_000_000,
        }
    }
}

/// Where the blob of a layer is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LayerSource {
    /// In the repository of this base image.
    Base(BaseKey),
    /// In the sink.
    New,
}

/// One layer of an assembled image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AssembledLayer {
    /// Digest of the blob.
    pub digest: Digest,
    /// Size of the blob in bytes.
    pub size: u64,
    /// OCI media type.
    pub media_type: String,
    /// Digest of the uncompressed tar stream.
    pub diff_id: Digest,
    /// Where the blob is.
    pub source: LayerSource,
}

/// An image, except for the blobs of its layers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AssembledImage {
    /// The manifest's bytes (`application/vnd.oci.image.manifest.v1+json`).
    pub manifest: Vec<u8>,
    /// Digest of the manifest: the image's.
    pub digest: Digest,
    /// The configuration's bytes.
    pub config: Vec<u8>,
    /// The layers, the lowest first.
    pub layers: Vec<AssembledLayer>,
    /// What is not wrong but may surprise, one line each.
    pub warnings: Vec<String>,
}

/// Assembles an image. Its layers that are new are in the sink when this returns.
pub fn assemble(input: &Input<'_>, options: &Options) -> Result<AssembledImage, AssembleError> {
    let requirements = input.dockerfile.requirements(input.parameters)?;
    if let Some(found) = requirements.needs_buildkit {
        return Err(AssembleError::NeedsBuildkit { line: found.line, what: found.what });
    }
    if let Some(found) = requirements.needs_run {
        return Err(AssembleError::NotAssemblable { line: found.line, instruction: found.what });
    }
    let built = stage::build(input, options)?;
    let mut config = built.config;
    config.finish(&input.parameters.platform, built.layers.iter().map(|layer| layer.diff_id).collect());
    let config = serde_json::to_vec(&config).expect("invariant: a configuration has text keys only");
    let manifest = manifest(&config, &built.layers);
    let digest = Digest::of(&manifest);
    Ok(AssembledImage { manifest, digest, config, layers: built.layers, warnings: built.warnings })
}

fn manifest(config: &[u8], layers: &[AssembledLayer]) -> Vec<u8> {
    #[derive(serde::Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Descriptor<'a> {
        media_type: &'a str,
        digest: Digest,
        size: u64,
    }
    #[derive(serde::Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Manifest<'a> {
        schema_version: u32,
        media_type: &'a str,
        config: Descriptor<'a>,
        layers: Vec<Descriptor<'a>>,
    }
    let layers = layers
        .iter()
        .map(|layer| Descriptor { media_type: &layer.media_type, digest: layer.digest, size: layer.size })
        .collect();
    let config = Descriptor {
        media_type: media_type::OCI_CONFIG,
        digest: Digest::of(config),
        size: config.len() as u64,
    };
    let manifest = Manifest { schema_version: 2, media_type: media_type::OCI_MANIFEST, config, layers };
    serde_json::to_vec(&manifest).expect("invariant: a manifest has text keys only")
}

/// The OCI name of a layer's media type.
fn oci_layer_type(media_type: &str) -> String {
    let compression = media_type.strip_prefix("application/vnd.docker.image.rootfs.diff.tar");
    match compression {
        Some(".gzip") => media_type::OCI_LAYER_GZIP.to_owned(),
        Some("") => "application/vnd.oci.image.layer.v1.tar".to_owned(),
        Some(".zstd") => "application/vnd.oci.image.layer.v1.tar+zstd".to_owned(),
        _ => media_type.to_owned(),
    }
}
