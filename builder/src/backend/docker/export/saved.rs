//! What `GET /images/ID/get` sends, in any of its layouts: Docker's own (20.10 and before), OCI with
//! raw layers (graph drivers of 25 and later), OCI with compressed layers and nested indexes (the
//! containerd store).

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};

use serde::Deserialize;
use serde::de::DeserializeOwned;
use slipway_objects::Spooled;
use slipway_oci::manifest::{Descriptor, ImageManifest, Manifest, ManifestLimits};
use slipway_types::{Digest, Fault, Platform};
use tar::EntryType;

use crate::assemble::ImageConfig;

/// The largest JSON document of an export, in bytes.
const DOCUMENT_BYTES_MAX: u64 = 8 << 20;
/// Most members of an export.
const MEMBERS_MAX: usize = 100_000;
/// How deep indexes may nest.
const DEPTH_MAX: usize = 4;

/// Where a member's bytes lie in the export.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) offset: u64,
    pub(super) size: u64,
}

/// One layer of an export.
#[derive(Debug)]
pub(super) struct SavedLayer {
    pub(super) place: Place,
    /// What the stored bytes must hash to, where the layout says.
    pub(super) digest: Option<Digest>,
    /// What the tar must hash to.
    pub(super) diff_id: Digest,
}

/// An exported image; its documents are verified, its layers not yet.
#[derive(Debug)]
pub(super) struct Saved {
    pub(super) config: ImageConfig,
    pub(super) layers: Vec<SavedLayer>,
}

/// An entry of `manifest.json`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct DockerEntry {
    config: String,
    layers: Option<Vec<String>>,
}

/// The configuration and layers as a layout names them.
struct Found {
    config: Vec<u8>,
    layers: Vec<(Place, Option<Digest>)>,
    /// Every digest that may be the image's id.
    ids: BTreeSet<Digest>,
}

impl Saved {
    /// Reads the export of the image that the engine calls `id`.
    pub(super) fn read(file: &Spooled, id: &str, platform: &Platform) -> Result<Self, Fault> {
        let members = Members::read(file)?;
        let found = if members.places.contains_key("index.json") {
            members.oci(platform)?
        } else {
            members.docker()?
        };
        if let Ok(id) = id.parse::<Digest>()
            && !found.ids.contains(&id)
        {
            return Err(broken(format!("it holds another image than {id}")));
        }
        let config: ImageConfig = serde_json::from_slice(&found.config)
            .map_err(|error| broken(format!("its configuration: {error}")))?;
        let diff_ids = config.rootfs.diff_ids.clone();
        if diff_ids.len() != found.layers.len() {
            return Err(broken(format!("{} layers, but {} diff ids", found.layers.len(), diff_ids.len())));
        }
        let layers = found
            .layers
            .into_iter()
            .zip(diff_ids)
            .map(|((place, digest), diff_id)| SavedLayer { place, digest, diff_id })
            .collect();
        Ok(Self { config, layers })
    }
}

/// A part of the export, from its beginning.
pub(super) fn open(file: &Spooled, place: Place) -> io::Result<io::Take<File>> {
    let mut opened = file.open().map_err(io::Error::other)?;
    opened.seek(SeekFrom::Start(place.offset))?;
    Ok(opened.take(place.size))
}

pub(super) fn broken(why: impl std::fmt::Display) -> Fault {
    Fault::transient("docker_export", format!("the engine's export of the image is not whole: {why}"))
}

/// The members of an export by their paths.
struct Members<'a> {
    file: &'a Spooled,
    places: BTreeMap<String, Place>,
}

impl<'a> Members<'a> {
    fn read(file: &'a Spooled) -> Result<Self, Fault> {
        let unreadable = |error: io::Error| broken(format!("its archive cannot be read: {error}"));
        let mut places = BTreeMap::new();
        let mut links = BTreeMap::new();
        let opened = file.open().map_err(super::blob_fault)?;
        let mut archive = tar::Archive::new(opened);
        for (count, entry) in archive.entries_with_seek().map_err(unreadable)?.enumerate() {
            if count >= MEMBERS_MAX {
                return Err(broken(format!("more than {MEMBERS_MAX} members")));
            }
            let entry = entry.map_err(unreadable)?;
            let path = clean(&String::from_utf8_lossy(&entry.path_bytes()));
            let link = entry.link_name_bytes().map(|link| String::from_utf8_lossy(&link).into_owned());
            match (entry.header().entry_type(), link) {
                (EntryType::Regular | EntryType::Continuous, _) => {
                    places.insert(path, Place { offset: entry.raw_file_position(), size: entry.size() });
                }
                // A layer that occurs twice is a link the second time.
                (EntryType::Symlink, Some(link)) => {
                    let parent = path.rsplit_once('/').map_or("", |(parent, _)| parent).to_owned();
                    links.insert(path, clean(&format!("{parent}/{link}")));
                }
                (EntryType::Link, Some(link)) => {
                    links.insert(path, clean(&link));
                }
                _ => {}
            }
        }
        for (path, target) in links {
            if let Some(place) = places.get(&target).copied() {
                places.insert(path, place);
            }
        }
        Ok(Self { file, places })
    }

    fn place(&self, path: &str) -> Result<Place, Fault> {
        self.places.get(&clean(path)).copied().ok_or_else(|| broken(format!("{path} is missing")))
    }

    fn bytes(&self, path: &str) -> Result<Vec<u8>, Fault> {
        let place = self.place(path)?;
        if place.size > DOCUMENT_BYTES_MAX {
            return Err(broken(format!("{path} has {} bytes", place.size)));
        }
        let mut bytes = Vec::new();
        open(self.file, place)
            .and_then(|mut part| part.read_to_end(&mut bytes))
            .map_err(|error| broken(format!("{path}: {error}")))?;
        Ok(bytes)
    }

    fn json<T: DeserializeOwned>(&self, path: &str) -> Result<T, Fault> {
        serde_json::from_slice(&self.bytes(path)?).map_err(|error| broken(format!("{path}: {error}")))
    }

    /// A blob of an OCI layout, verified.
    fn blob(&self, digest: Digest) -> Result<Vec<u8>, Fault> {
        let bytes = self.bytes(&blob_path(digest))?;
        if Digest::of(&bytes) == digest { Ok(bytes) } else { Err(broken(format!("{digest} is damaged"))) }
    }

    fn docker(&self) -> Result<Found, Fault> {
        let entries: Vec<DockerEntry> = self.json("manifest.json")?;
        let [entry] = entries.as_slice() else {
            return Err(broken(format!("{} images instead of one", entries.len())));
        };
        let config = self.bytes(&entry.config)?;
        let digest = Digest::of(&config);
        let name = entry.config.rsplit('/').next().unwrap_or_default();
        let named = Digest::from_hex(name.strip_suffix(".json").unwrap_or(name));
        if named.is_ok_and(|named| named != digest) {
            return Err(broken(format!("{} is damaged", entry.config)));
        }
        let layers = entry.layers.iter().flatten();
        let layers = layers.map(|path| Ok((self.place(path)?, None))).collect::<Result<_, Fault>>()?;
        Ok(Found { config, layers, ids: [digest].into() })
    }

    fn oci(&self, platform: &Platform) -> Result<Found, Fault> {
        let bytes = self.bytes("index.json")?;
        let mut ids = BTreeSet::new();
        let manifest = self
            .image_manifest(&bytes, platform, 0, &mut ids)?
            .ok_or_else(|| broken(format!("no image for {platform} in it")))?;
        ids.insert(manifest.config.digest);
        let config = self.blob(manifest.config.digest)?;
        let layer = |layer: &Descriptor| {
            let place = self.place(&blob_path(layer.digest))?;
            if place.size == layer.size {
                return Ok((place, Some(layer.digest)));
            }
            Err(broken(format!("{} has {} bytes, not {}", layer.digest, place.size, layer.size)))
        };
        let layers = manifest.layers.iter().map(layer).collect::<Result<_, Fault>>()?;
        Ok(Found { config, layers, ids })
    }

    /// The first image of an index for the platform, whatever indexes it lies in.
    fn image_manifest(
        &self,
        bytes: &[u8],
        platform: &Platform,
        depth: usize,
        ids: &mut BTreeSet<Digest>,
    ) -> Result<Option<ImageManifest>, Fault> {
        let (manifest, _) = Manifest::parse(bytes, None, &ManifestLimits::default())
            .map_err(|error| broken(format!("an index or manifest: {error}")))?;
        let index = match manifest {
            Manifest::Image(image) => return Ok(Some(image)),
            Manifest::Index(_) if depth >= DEPTH_MAX => return Err(broken("its indexes nest too deep")),
            Manifest::Index(index) => index,
        };
        for child in &index.manifests {
            let fits = child.platform.as_ref().is_none_or(|found| {
                found.platform().is_some_and(|found| {
                    found.os == platform.os && found.architecture == platform.architecture
                })
            });
            // An export holds one platform, but its index may list them all.
            if !fits || !self.places.contains_key(&blob_path(child.digest)) {
                continue;
            }
            let bytes = self.blob(child.digest)?;
            if let Some(found) = self.image_manifest(&bytes, platform, depth + 1, ids)? {
                ids.insert(child.digest);
                return Ok(Some(found));
            }
        }
        Ok(None)
    }
}

fn blob_path(digest: Digest) -> String {
    format!("blobs/sha256/{}", digest.hex())
}

/// A path without `.`, `..` and doubled slashes.
fn clean(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join("/")
}
