//! A definition as an OCI artifact: one layer, a gzipped tar of its files. Everything in it depends on the
//! files alone, so the same folder gives the same digest.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::sync::Arc;

use bytes::Bytes;
use flate2::read::GzDecoder;
use slipway_archive::{self as archive, Content, Entry};
use slipway_definitions::{Definition, Folder, FolderOptions, code};
use slipway_oci::manifest::ImageManifest;
use slipway_oci::{Descriptor, canonical_json};
use slipway_types::media_type::{
    ANNOTATION_TITLE, ANNOTATION_VERSION, DEFINITION_ARTIFACT, OCI_EMPTY, OCI_LAYER_GZIP,
};
use slipway_types::{Digest, Fault, Violation};

/// Says which kind of definition it is.
pub const ANNOTATION_KIND: &str = "dev.slipway.definition.kind";
/// Says its name.
pub const ANNOTATION_NAME: &str = "dev.slipway.definition.name";
/// The largest layer, in bytes.
pub const MAX_LAYER_BYTES: u64 = 4 << 20;
/// The most that a layer unpacks to, headers of its entries included, in bytes.
const MAX_TAR_BYTES: u64 = 4 << 20;
/// What the configuration of an artifact without one holds.
const EMPTY: &[u8] = b"{}";

/// A definition before it is pushed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Artifact {
    /// Its manifest.
    pub manifest: Bytes,
    /// Its blobs, with their media types: configuration and layer.
    pub blobs: [(&'static str, Bytes); 2],
}

impl Artifact {
    /// The artifact of a definition.
    pub fn of(definition: &Definition) -> Self {
        let layer = pack(definition.folder());
        let (kind, name) = (definition.kind(), definition.name());
        let version = definition.version().to_string();
        let content = Descriptor::of(OCI_LAYER_GZIP, &layer)
            .annotated(ANNOTATION_TITLE, format!("{kind}-{name}-{version}.tar.gz"));
        let config = Descriptor::of(OCI_EMPTY, EMPTY);
        let manifest = ImageManifest::artifact(DEFINITION_ARTIFACT, config, vec![content])
            .annotated(ANNOTATION_KIND, kind.word())
            .annotated(ANNOTATION_NAME, name)
            .annotated(ANNOTATION_VERSION, version);
        Self {
            manifest: canonical_json(&manifest),
            blobs: [(OCI_EMPTY, Bytes::from_static(EMPTY)), (OCI_LAYER_GZIP, layer)],
        }
    }

    /// Digest of its manifest.
    pub fn digest(&self) -> Digest {
        Digest::of(&self.manifest)
    }
}

/// The files of a definition as one archive.
pub fn pack(folder: &Folder) -> Bytes {
    let entries = folder.files().iter().map(|(path, bytes)| {
        let content = Content::File { size: bytes.len() as u64, executable: false, reader: bytes.as_slice() };
        io::Result::Ok(Entry { path: path.clone(), content })
    });
    let mut out = Vec::new();
    archive::write(entries, &mut out)
        .expect("invariant: a folder's paths are sorted and memory takes every byte");
    out.into()
}

fn wrong(path: &str, message: impl Into<String>) -> Violation {
    Violation::new(code::INVALID_DEFINITION, path, message)
        .hint("`slipway definition push` writes packages that can be installed")
}

/// The layer of a manifest that is a definition's.
pub fn layer(manifest: &ImageManifest) -> Result<&Descriptor, Vec<Violation>> {
    if manifest.artifact_type.as_deref() != Some(DEFINITION_ARTIFACT) {
        let found = manifest.artifact_type.as_deref().unwrap_or("none");
        let found: String = found.chars().take(120).collect();
        let message = format!("it is no definition: its artifactType is {found}, not {DEFINITION_ARTIFACT}");
        return Err(vec![wrong("package", message)]);
    }
    match &manifest.layers[..] {
        [one] if one.media_type == OCI_LAYER_GZIP && one.size > MAX_LAYER_BYTES => {
            let message = format!("its layer has {} bytes, at most {MAX_LAYER_BYTES} are allowed", one.size);
            Err(vec![wrong("package", message)])
        }
        [one] if one.media_type == OCI_LAYER_GZIP => Ok(one),
        _ => {
            let message = format!("a definition has exactly one layer, of the type {OCI_LAYER_GZIP}");
            Err(vec![wrong("package", message)])
        }
    }
}

/// Reads a definition from its archive.
///
/// # Errors
///
/// Only this process itself fails; what is wrong with the archive comes as violations.
pub async fn read(layer: Bytes) -> Result<Result<Arc<Definition>, Vec<Violation>>, Fault> {
    // Schemas are compiled here, which may take a moment.
    let read = tokio::task::spawn_blocking(move || Definition::load(unpack(&layer)?).map(Arc::new)).await;
    read.map_err(|_| Fault::bug("definition_unreadable", "reading a definition ended badly"))
}

/// The files of an archive. Only plain files are taken, never more than a definition may hold.
pub fn unpack(layer: &[u8]) -> Result<Folder, Vec<Violation>> {
    let options = FolderOptions::default();
    let files = files(layer, &options).map_err(|error| {
        let found = error.get_ref().and_then(|inner| inner.downcast_ref::<Refused>());
        let message =
            found.map_or_else(|| format!("its layer cannot be unpacked: {error}"), |found| found.0.clone());
        vec![wrong("package", message)]
    })?;
    Folder::new(files, &options)
}

fn files(layer: &[u8], options: &FolderOptions) -> io::Result<BTreeMap<String, Vec<u8>>> {
    let mut files = BTreeMap::new();
    let bounded = Bounded { inner: GzDecoder::new(layer), left: MAX_TAR_BYTES };
    let mut archive = tar::Archive::new(bounded);
    for entry in archive.entries()? {
        let mut entry = entry?;
        let kind = entry.header().entry_type();
        if kind.is_dir() || kind.is_pax_global_extensions() {
            continue;
        }
        let path = String::from_utf8(entry.path_bytes().into_owned())
            .map_err(|_| refused("a path in its layer is not UTF-8 text".to_owned()))?;
        let shown: String = path.chars().take(120).collect();
        if !kind.is_file() {
            return Err(refused(format!(
                "`{shown}` in its layer is no plain file: links and devices are refused"
            )));
        }
        if files.len() >= options.max_files {
            return Err(refused(format!(
                "its layer holds more than max_files = {} files",
                options.max_files
            )));
        }
        if entry.size() > options.max_file_bytes {
            let (is, may) = (entry.size(), options.max_file_bytes);
            return Err(refused(format!("`{shown}` has {is} bytes, the limit max_file_bytes is {may}")));
        }
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes)?;
        let path = path.strip_prefix("./").unwrap_or(&path).to_owned();
        if files.insert(path, bytes).is_some() {
            return Err(refused(format!("`{shown}` is in its layer twice")));
        }
    }
    Ok(files)
}

/// What is told as it stands.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Refused(String);

fn refused(message: String) -> io::Error {
    io::Error::other(Refused(message))
}

/// Reads so much and no more, so that what unpacks to a thousandfold ends early.
struct Bounded<R> {
    inner: R,
    left: u64,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.left = self
            .left
            .checked_sub(read as u64)
            .ok_or_else(|| refused(format!("its layer unpacks to more than {MAX_TAR_BYTES} bytes")))?;
        Ok(read)
    }
}
