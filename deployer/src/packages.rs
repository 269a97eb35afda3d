//! What a bundle's component packages say and hold.

use std::collections::BTreeMap;
use std::io::Read as _;

use bytes::Bytes;
use flate2::read::GzDecoder;
use serde::Deserialize;
use serde_json::Value;
use slipway_charts::ChartFiles;
use slipway_oam::Properties;
use slipway_oam::overlay::DeveloperComponent;
use slipway_objects::{BlobError, Blobs};
use slipway_records::PackageVersion;
use slipway_records::detail::{BundleDetail, BundleMember};
use slipway_types::{Digest, Fault};

/// Limits of what is read of a package.
#[derive(Debug, Clone)]
pub struct PackageLimits {
    /// The largest manifest or configuration, in bytes.
    pub max_document_bytes: u64,
    /// The largest archive, in bytes.
    pub max_archive_bytes: u64,
    /// The most that an archive may hold unpacked, in bytes.
    pub max_files_bytes: u64,
}

impl Default for PackageLimits {
    fn default() -> Self {
        Self { max_document_bytes: 4 << 20, max_archive_bytes: 64 << 20, max_files_bytes: 64 << 20 }
    }
}

/// A component package as the deploy stage sees it.
#[derive(Debug, Clone)]
pub struct Package {
    /// Its place in the bundle.
    pub member: BundleMember,
    /// What its developers declared; `None`: it is not deployed, only built on.
    pub declared: Option<DeveloperComponent>,
    /// The archive of its files.
    archive: Option<Digest>,
}

#[derive(Deserialize)]
struct Manifest {
    config: Descriptor,
    #[serde(default)]
    layers: Vec<Descriptor>,
}

#[derive(Deserialize)]
struct Descriptor {
    digest: Digest,
}

#[derive(Deserialize)]
struct Config {
    kit: Kit,
    workload: Option<Workload>,
}

#[derive(Deserialize)]
struct Kit {
    name: String,
}

#[derive(Deserialize)]
struct Workload {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    properties: Option<Value>,
    #[serde(default)]
    overridable: Vec<String>,
}

/// Kits whose packages are deployed without a word of the developers.
const DEPLOYED_KITS: [&str; 3] = ["helm", "kustomize", "manifests"];

fn unreadable(what: &str, digest: &Digest) -> Fault {
    Fault::bug("package_unreadable", format!("the {what} {digest} of a component package cannot be read"))
}

fn fault_of(error: &BlobError, what: &str, digest: &Digest) -> Fault {
    tracing::warn!(%digest, %error, "cannot read a package");
    match error {
        BlobError::Missing { .. } => {
            let message = format!("the {what} {digest} of a component package is gone from the object store");
            Fault::permanent("package_missing", message)
        }
        _ => Fault::transient("storage_unavailable", format!("the object store did not give {digest}")),
    }
}

async fn document<T: serde::de::DeserializeOwned>(
    blobs: &Blobs,
    limits: &PackageLimits,
    what: &str,
    digest: &Digest,
) -> Result<T, Fault> {
    let bytes = blobs.get(digest, limits.max_document_bytes).await;
    let bytes = bytes.map_err(|error| fault_of(&error, what, digest))?;
    serde_json::from_slice(&bytes).map_err(|_| unreadable(what, digest))
}

/// The members of a bundle.
pub fn members(bundle: &PackageVersion) -> Result<Vec<BundleMember>, Fault> {
    let detail: Result<BundleDetail, _> = serde_json::from_value(bundle.detail.clone());
    detail.map(|detail| detail.members).map_err(|_| {
        Fault::bug("bundle_unreadable", format!("the record of bundle {} cannot be read", bundle.version))
    })
}

impl Package {
    /// Reads the package of a bundle's member.
    pub async fn read(blobs: &Blobs, limits: &PackageLimits, member: BundleMember) -> Result<Self, Fault> {
        let manifest: Manifest = document(blobs, limits, "manifest", &member.digest).await?;
        let config: Config = document(blobs, limits, "configuration", &manifest.config.digest).await?;
        let name = member.component.to_string();
        let declared = match config.workload {
            Some(workload) => Some(DeveloperComponent {
                name,
                kind: Some(workload.kind),
                properties: match workload.properties {
                    Some(Value::Object(properties)) => properties,
                    _ => Properties::new(),
                },
                overridable: workload.overridable,
            }),
            None if DEPLOYED_KITS.contains(&config.kit.name.as_str()) => Some(DeveloperComponent {
                name,
                kind: Some(config.kit.name),
                ..DeveloperComponent::default()
            }),
            None => None,
        };
        Ok(Self { member, declared, archive: manifest.layers.first().map(|layer| layer.digest) })
    }

    /// Whether it holds a Helm chart.
    pub fn holds_chart(&self) -> bool {
        self.member.kit == "helm"
    }

    /// Whether it holds files of any kind.
    pub fn holds_files(&self) -> bool {
        self.archive.is_some()
    }

    /// Its files by path.
    pub async fn files(&self, blobs: &Blobs, limits: &PackageLimits) -> Result<ChartFiles, Fault> {
        let Some(digest) = self.archive else { return Ok(ChartFiles::new()) };
        let bytes = blobs.get(&digest, limits.max_archive_bytes).await;
        let bytes = bytes.map_err(|error| fault_of(&error, "archive", &digest))?;
        let max = limits.max_files_bytes;
        let unpacked = tokio::task::spawn_blocking(move || unpack(&bytes, max)).await;
        let unpacked = unpacked.map_err(|_| unreadable("archive", &digest))?;
        unpacked.map_err(|error| {
            tracing::warn!(%digest, %error, "cannot unpack a package");
            unreadable("archive", &digest)
        })
    }
}

fn unpack(bytes: &Bytes, max_bytes: u64) -> std::io::Result<ChartFiles> {
    let mut files = BTreeMap::new();
    let mut left = max_bytes;
    let mut archive = tar::Archive::new(GzDecoder::new(bytes.as_ref()));
    for entry in archive.entries()? {
        let mut entry = entry?;
        if !entry.header().entry_type().is_file() {
            continue;
        }
        let path = entry.path()?.to_string_lossy().into_owned();
        let mut content = Vec::new();
        entry.by_ref().take(left + 1).read_to_end(&mut content)?;
        let size = content.len() as u64;
        left = left.checked_sub(size).ok_or_else(|| std::io::Error::other("holds too much"))?;
        files.insert(path, content);
    }
    Ok(files)
}
