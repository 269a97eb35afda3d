//! OCI image layouts, as directories and as tar archives of one: how an image leaves and enters.

use std::collections::{BTreeMap, HashSet};
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use slipway_objects::{Blob, BlobError, BlobFile, Blobs, Spooled};
use slipway_types::image::is_tag;
use slipway_types::{Digest, ImageReference};

use crate::builtin::{BuiltinRegistry, NewManifest, RegistryError};
use crate::error::ImageError;
use crate::manifest::{Descriptor, ImageIndex, InvalidManifest, Manifest, ManifestLimits, canonical_json};
use crate::source::ImageSource;

/// Manifests in one layout, counted.
pub const MAX_LAYOUT_MANIFESTS: usize = 10_000;
/// The annotation that names an entry of `index.json`.
pub const ANNOTATION_REF_NAME: &str = "org.opencontainers.image.ref.name";

const LAYOUT_VERSION: &[u8] = br#"{"imageLayoutVersion":"1.0.0"}"#;

/// Why a layout could not be written or read.
#[derive(Debug, thiserror::Error)]
pub enum LayoutError {
    /// The image could not be read.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// The built-in registry did not take it.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// The object store failed.
    #[error("the object store failed")]
    Blobs(#[from] BlobError),
    /// The file system failed.
    #[error("cannot use {}", path.display())]
    Io {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The layout is not one.
    #[error("{} is not a usable OCI image layout: {why}", path.display())]
    Invalid {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
}

type Result<T, E = LayoutError> = std::result::Result<T, E>;

/// Writes an image, index or artifact with all it consists of to `destination`: a tar archive if
/// that ends in `.tar`, else a directory. Equal images give equal bytes. Returns its descriptor.
pub async fn export(
    source: &dyn ImageSource,
    blobs: &Blobs,
    image: &ImageReference,
    destination: &Path,
) -> Result<Descriptor> {
    let (root, contents) = collect(source, blobs, image).await?;
    let entry = match &image.tag {
        Some(tag) => root.clone().annotated(ANNOTATION_REF_NAME, tag.clone()),
        None => root.clone(),
    };
    let index = canonical_json(&ImageIndex::new(vec![entry]));
    let mut files = BTreeMap::new();
    for digest in contents {
        files.insert(digest, blobs.open_file(&digest).await?);
    }
    let destination = destination.to_owned();
    let is_tar = destination.extension().is_some_and(|extension| extension == "tar");
    blocking(move || {
        let written = if is_tar {
            write_tar(&destination, &index, &files)
        } else {
            write_directory(&destination, &index, &files)
        };
        written.map_err(|source| LayoutError::Io { path: destination, source })
    })
    .await?;
    Ok(root)
}

/// Brings everything an image consists of into the object store.
async fn collect(
    source: &dyn ImageSource,
    blobs: &Blobs,
    image: &ImageReference,
) -> Result<(Descriptor, HashSet<Digest>)> {
    let root = source.fetch_manifest(image).await?;
    let descriptor = root.descriptor();
    let mut contents = HashSet::new();
    let mut waiting = vec![root];
    while let Some(fetched) = waiting.pop() {
        if !contents.insert(fetched.digest) {
            continue;
        }
        if contents.len() > MAX_LAYOUT_MANIFESTS {
            let why = format!("more than {MAX_LAYOUT_MANIFESTS} contents");
            return Err(LayoutError::Invalid { path: image.to_string().into(), why });
        }
        blobs.put(fetched.bytes.clone()).await?;
        for blob in fetched.manifest.blobs() {
            if contents.insert(blob.digest) {
                source.fetch_blob(image, blob).await?;
            }
        }
        for child in fetched.manifest.children() {
            waiting.push(source.fetch_manifest(&image.pinned(child.digest)).await?);
        }
    }
    Ok((descriptor, contents))
}

fn write_directory(root: &Path, index: &[u8], files: &BTreeMap<Digest, BlobFile>) -> io::Result<()> {
    let blobs = root.join("blobs/sha256");
    std::fs::create_dir_all(&blobs)?;
    for (digest, file) in files {
        std::fs::copy(file.path(), blobs.join(digest.hex()))?;
    }
    std::fs::write(root.join("oci-layout"), LAYOUT_VERSION)?;
    // Last, so that an interrupted export is no layout.
    std::fs::write(root.join("index.json"), index)
}

fn write_tar(path: &Path, index: &[u8], files: &BTreeMap<Digest, BlobFile>) -> io::Result<()> {
    let mut archive = tar::Builder::new(io::BufWriter::new(File::create(path)?));
    let mut append = |name: &str, size: u64, content: &mut dyn Read| {
        let mut header = tar::Header::new_ustar();
        header.set_size(size);
        header.set_mode(0o644);
        header.set_mtime(FIXED_TIME);
        archive.append_data(&mut header, name, content)
    };
    append("oci-layout", LAYOUT_VERSION.len() as u64, &mut &LAYOUT_VERSION[..])?;
    append("index.json", index.len() as u64, &mut &index[..])?;
    for (digest, file) in files {
        let name = format!("blobs/sha256/{}", digest.hex());
        append(&name, file.size(), &mut File::open(file.path())?)?;
    }
    archive.into_inner()?.flush()
}

/// 1980-01-01, the time of all that Slipway archives.
const FIXED_TIME: u64 = 315_532_800;

/// Reads a layout, directory or tar, into a repository of the built-in registry. Every blob is
/// verified. Entries of `index.json` named by a tag get it. Returns those entries.
pub async fn import(registry: &BuiltinRegistry, repository: &str, path: &Path) -> Result<Vec<Descriptor>> {
    let invalid = |why: String| LayoutError::Invalid { path: path.to_owned(), why };
    let is_directory = path.is_dir();
    let (index, stored) = if is_directory {
        read_directory(registry.blobs(), path).await?
    } else {
        read_tar(registry.blobs(), path).await?
    };
    let limits = *registry.limits();
    let index: ImageIndex = match Manifest::parse(&index, None, &limits) {
        Ok((Manifest::Index(index), _)) => index,
        Ok(_) => return Err(invalid("index.json is no index".to_owned())),
        Err(error) => return Err(invalid(format!("index.json: {error}"))),
    };
    let ordered = children_first(registry.blobs(), &index, &stored, &limits, path).await?;
    for (digest, media_type, manifest) in ordered {
        for blob in manifest.blobs() {
            let stored =
                stored.get(&blob.digest).ok_or_else(|| invalid(format!("{} is missing", blob.digest)))?;
            registry.link_blob(repository, stored).await?;
        }
        let bytes = registry.blobs().get(&digest, limits.max_manifest_bytes).await?;
        registry.put_manifest(NewManifest::new(repository, bytes).sent_as(media_type)).await?;
    }
    for entry in &index.manifests {
        if let Some(tag) = entry.annotations.get(ANNOTATION_REF_NAME).filter(|name| is_tag(name)) {
            registry.put_tag(repository, tag, &entry.digest).await?;
        }
    }
    Ok(index.manifests)
}

type Stored = BTreeMap<Digest, Blob>;

/// A manifest to be walked, or one whose children were.
enum Step {
    Open(Descriptor),
    Close(Box<(Digest, String, Manifest)>),
}

/// The manifests under an index, each after its children.
async fn children_first(
    blobs: &Blobs,
    index: &ImageIndex,
    stored: &Stored,
    limits: &ManifestLimits,
    path: &Path,
) -> Result<Vec<(Digest, String, Manifest)>> {
    let invalid = |why: String| LayoutError::Invalid { path: path.to_owned(), why };
    let mut steps: Vec<Step> = index.manifests.iter().cloned().map(Step::Open).collect();
    let mut seen = HashSet::new();
    let mut ordered = Vec::new();
    while let Some(step) = steps.pop() {
        let entry = match step {
            Step::Close(manifest) => {
                ordered.push(*manifest);
                continue;
            }
            Step::Open(entry) => entry,
        };
        if !seen.insert(entry.digest) {
            continue;
        }
        if seen.len() > MAX_LAYOUT_MANIFESTS {
            return Err(invalid(format!("more than {MAX_LAYOUT_MANIFESTS} manifests")));
        }
        if !stored.contains_key(&entry.digest) {
            return Err(invalid(format!("manifest {} is missing", entry.digest)));
        }
        let bytes: Bytes = blobs.get(&entry.digest, limits.max_manifest_bytes).await?;
        let parsed = Manifest::parse(&bytes, Some(&entry.media_type), limits);
        let (manifest, media_type) =
            parsed.map_err(|error: InvalidManifest| invalid(format!("{}: {error}", entry.digest)))?;
        let children = manifest.children().to_vec();
        steps.push(Step::Close(Box::new((entry.digest, media_type, manifest))));
        steps.extend(children.into_iter().map(Step::Open));
    }
    Ok(ordered)
}

async fn read_directory(blobs: &Blobs, root: &Path) -> Result<(Vec<u8>, Stored)> {
    let io = |path: &Path| {
        let path = path.to_owned();
        move |source| LayoutError::Io { path, source }
    };
    let index_path = root.join("index.json");
    let index = tokio::fs::read(&index_path).await.map_err(io(&index_path))?;
    let directory = root.join("blobs/sha256");
    let mut entries = tokio::fs::read_dir(&directory).await.map_err(io(&directory))?;
    let mut stored = Stored::new();
    while let Some(entry) = entries.next_entry().await.map_err(io(&directory))? {
        let blob = blobs.put_file(&entry.path()).await?;
        keep(&mut stored, root, &entry.file_name().to_string_lossy(), blob)?;
    }
    Ok((index, stored))
}

async fn read_tar(blobs: &Blobs, path: &Path) -> Result<(Vec<u8>, Stored)> {
    let (to_spool, archive) = (blobs.clone(), path.to_owned());
    let (index, spooled) = blocking(move || spool_tar(&to_spool, &archive)).await?;
    let mut stored = Stored::new();
    for (name, spooled) in spooled {
        let blob = blobs.put_spooled(spooled).await?;
        keep(&mut stored, path, &name, blob)?;
    }
    Ok((index, stored))
}

type SpooledByName = Vec<(String, Spooled)>;

/// Takes `blobs/sha256/*` and `index.json` out of an archive; names lead nowhere on disk.
fn spool_tar(blobs: &Blobs, path: &Path) -> Result<(Vec<u8>, SpooledByName)> {
    let io = |source| LayoutError::Io { path: path.to_owned(), source };
    let mut archive = tar::Archive::new(io::BufReader::new(File::open(path).map_err(io)?));
    let (mut index, mut spooled) = (None, Vec::new());
    for entry in archive.entries().map_err(io)? {
        let mut entry = entry.map_err(io)?;
        if !entry.header().entry_type().is_file() {
            continue;
        }
        let name = String::from_utf8_lossy(&entry.path_bytes()).trim_start_matches("./").to_owned();
        if name == "index.json" {
            let mut bytes = Vec::new();
            let limit = ManifestLimits::default().max_manifest_bytes;
            entry.by_ref().take(limit).read_to_end(&mut bytes).map_err(io)?;
            index = Some(bytes);
        } else if let Some(hex) = name.strip_prefix("blobs/sha256/") {
            let mut spool = blobs.blocking_spool()?;
            io::copy(&mut entry, &mut spool).map_err(io)?;
            spooled.push((hex.to_owned(), spool.finish()?));
        }
    }
    let why = "index.json is missing".to_owned();
    let index = index.ok_or_else(|| LayoutError::Invalid { path: path.to_owned(), why })?;
    Ok((index, spooled))
}

fn keep(stored: &mut Stored, layout: &Path, name: &str, blob: Blob) -> Result<()> {
    if name != blob.digest.hex() {
        let why = format!("blobs/sha256/{name} holds bytes of {}", blob.digest);
        return Err(LayoutError::Invalid { path: layout.to_owned(), why });
    }
    stored.insert(blob.digest, blob);
    Ok(())
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(panic) => std::panic::resume_unwind(panic.into_panic()),
    }
}
