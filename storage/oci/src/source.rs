//! Images wherever they are: one way to read and write them, in the built-in registry or in others.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use slipway_objects::Blob;
use slipway_types::{ApplicationName, Digest, ImageReference, Platform, media_type};

use crate::builtin::{BuiltinRegistry, NewManifest, RegistryError};
use crate::client::Registries;
use crate::error::ImageError;
use crate::manifest::{Descriptor, ImageConfig, InvalidManifest, Manifest, ManifestLimits};

/// The host by which builds and frozen revisions name the built-in registry, wherever it is reached.
pub const INTERNAL_HOST: &str = "registry.slipway.internal";

/// The largest image configuration read, in bytes.
pub const MAX_CONFIG_BYTES: u64 = 4 << 20;

/// A manifest as fetched: the bytes have the digest.
#[derive(Debug, Clone)]
pub struct FetchedManifest {
    /// Digest of the bytes.
    pub digest: Digest,
    /// Media type.
    pub media_type: String,
    /// The bytes.
    pub bytes: Bytes,
    /// What they say.
    pub manifest: Manifest,
}

impl FetchedManifest {
    pub(crate) fn read(
        what: &dyn std::fmt::Display,
        bytes: Bytes,
        sent_as: Option<&str>,
        limits: &ManifestLimits,
    ) -> Result<Self, ImageError> {
        let (manifest, media_type) = Manifest::parse(&bytes, sent_as, limits)
            .map_err(|source| ImageError::Invalid { what: what.to_string(), source })?;
        Ok(Self { digest: Digest::of(&bytes), media_type, bytes, manifest })
    }

    /// A descriptor of it.
    pub fn descriptor(&self) -> Descriptor {
        Descriptor::new(self.media_type.clone(), self.digest, self.bytes.len() as u64)
    }
}

/// One platform's manifest of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlatformManifest {
    /// Its platform.
    pub platform: Platform,
    /// Its digest.
    pub digest: Digest,
    /// Its media type.
    pub media_type: String,
    /// Its size in bytes.
    pub size: u64,
}

/// What an image reference names now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolved {
    /// Digest of the manifest or index.
    pub digest: Digest,
    /// Its media type.
    pub media_type: String,
    /// Its size in bytes.
    pub size: u64,
    /// Platforms it has; only the wanted one if one was wanted. Never empty.
    pub platforms: Vec<PlatformManifest>,
}

/// Somewhere images can be read from and written to. `image` says host and repository; where a
/// method takes a digest, it wins over the reference's.
#[async_trait]
pub trait ImageSource: Send + Sync {
    /// Digest of what the reference names, by HEAD; `None` if it is not there. A build ends when
    /// this answers.
    async fn head_manifest(&self, image: &ImageReference) -> Result<Option<Digest>, ImageError>;

    /// The manifest that the reference names.
    async fn fetch_manifest(&self, image: &ImageReference) -> Result<FetchedManifest, ImageError>;

    /// Brings a blob into the object store, verified. One that is there is not fetched again.
    async fn fetch_blob(&self, image: &ImageReference, blob: &Descriptor) -> Result<Blob, ImageError>;

    /// A small blob, verified, in memory; refused if larger than `max_bytes`.
    async fn fetch_bytes(
        &self,
        image: &ImageReference,
        blob: &Descriptor,
        max_bytes: u64,
    ) -> Result<Bytes, ImageError>;

    /// Puts a stored blob into the reference's repository. One that is there is not sent again.
    async fn push_blob(&self, image: &ImageReference, blob: &Blob) -> Result<(), ImageError>;

    /// Puts a manifest into the reference's repository, under its tag if it has one.
    async fn push_manifest(
        &self,
        image: &ImageReference,
        bytes: Bytes,
        media_type: &str,
    ) -> Result<Digest, ImageError>;

    /// What the reference names now, and for which platforms. With `wanted`, only that platform, and
    /// an error that lists the others if it is missing.
    async fn resolve(
        &self,
        image: &ImageReference,
        wanted: Option<&Platform>,
    ) -> Result<Resolved, ImageError> {
        let fetched = self.fetch_manifest(image).await?;
        let all = match &fetched.manifest {
            Manifest::Index(index) => index.manifests.iter().filter_map(platform_entry).collect(),
            Manifest::Image(manifest) => {
                let bytes = self.fetch_bytes(image, &manifest.config, MAX_CONFIG_BYTES).await?;
                vec![PlatformManifest {
                    platform: image_config(image, &bytes)?.platform(),
                    digest: fetched.digest,
                    media_type: fetched.media_type.clone(),
                    size: fetched.bytes.len() as u64,
                }]
            }
        };
        let platforms = select(image, all, wanted)?;
        let size = fetched.bytes.len() as u64;
        Ok(Resolved { digest: fetched.digest, media_type: fetched.media_type, size, platforms })
    }
}

fn platform_entry(entry: &Descriptor) -> Option<PlatformManifest> {
    // Attestations are entries too; they have the platform unknown/unknown or an artifact type.
    if media_type::is_index(&entry.media_type) {
        return None;
    }
    Some(PlatformManifest {
        platform: entry.platform.as_ref()?.platform()?,
        digest: entry.digest,
        media_type: entry.media_type.clone(),
        size: entry.size,
    })
}

fn image_config(image: &ImageReference, bytes: &[u8]) -> Result<ImageConfig, ImageError> {
    serde_json::from_slice(bytes).map_err(|e| ImageError::Invalid {
        what: format!("the configuration of {image}"),
        source: InvalidManifest::Json(e.to_string()),
    })
}

/// `linux/arm64` and `linux/arm64/v8` are the same platform to every builder.
fn matches(have: &Platform, wanted: &Platform) -> bool {
    let variant = |platform: &Platform| match (platform.architecture.as_str(), platform.variant.as_deref()) {
        ("arm64", Some("v8")) | ("arm", Some("v7")) | ("amd64", Some("v1")) => None,
        (_, variant) => variant.map(str::to_owned),
    };
    have.os == wanted.os && have.architecture == wanted.architecture && variant(have) == variant(wanted)
}

fn select(
    image: &ImageReference,
    all: Vec<PlatformManifest>,
    wanted: Option<&Platform>,
) -> Result<Vec<PlatformManifest>, ImageError> {
    let Some(wanted) = wanted else {
        if all.is_empty() {
            let source =
                InvalidManifest::Field { field: "manifests".into(), why: "no platform in it".into() };
            return Err(ImageError::Invalid { what: image.to_string(), source });
        }
        return Ok(all);
    };
    if let Some(found) = all.iter().find(|entry| matches(&entry.platform, wanted)) {
        return Ok(vec![found.clone()]);
    }
    let mut available: Vec<String> = all.iter().map(|entry| entry.platform.to_string()).collect();
    available.sort();
    available.dedup();
    let available = if available.is_empty() { "none".to_owned() } else { available.join(", ") };
    Err(ImageError::PlatformMissing { image: image.to_string(), wanted: wanted.clone(), available })
}

/// The built-in registry and all others: the host of a reference decides.
#[derive(Clone)]
pub struct Images {
    builtin: BuiltinRegistry,
    registries: Registries,
    /// Of applications that others' registries know by a credential of their own.
    by_application: Arc<BTreeMap<ApplicationName, Registries>>,
    own_hosts: Vec<String>,
}

impl Images {
    /// Answers references to the `own_hosts` of the client's options from `builtin`.
    pub fn new(builtin: BuiltinRegistry, registries: Registries) -> Self {
        let own_hosts = registries.options().own_hosts.iter().map(|host| host.to_ascii_lowercase()).collect();
        Self { builtin, registries, by_application: Arc::default(), own_hosts }
    }

    /// Asks other registries as each of these applications by its own client, as all others as before.
    #[must_use]
    pub fn with_applications(self, by_application: BTreeMap<ApplicationName, Registries>) -> Self {
        Self { by_application: Arc::new(by_application), ..self }
    }

    /// Asks other registries as this application does.
    #[must_use]
    pub fn acting_for(&self, application: &ApplicationName) -> Self {
        let registries = self.by_application.get(application).unwrap_or(&self.registries).clone();
        Self { registries, ..self.clone() }
    }

    /// Whether the reference names the built-in registry.
    pub fn is_own(&self, image: &ImageReference) -> bool {
        self.own_hosts.contains(&image.host)
    }

    fn of(&self, image: &ImageReference) -> &dyn ImageSource {
        if self.is_own(image) { &self.builtin } else { &self.registries }
    }
}

#[async_trait]
impl ImageSource for Images {
    async fn head_manifest(&self, image: &ImageReference) -> Result<Option<Digest>, ImageError> {
        self.of(image).head_manifest(image).await
    }

    async fn fetch_manifest(&self, image: &ImageReference) -> Result<FetchedManifest, ImageError> {
        self.of(image).fetch_manifest(image).await
    }

    async fn fetch_blob(&self, image: &ImageReference, blob: &Descriptor) -> Result<Blob, ImageError> {
        self.of(image).fetch_blob(image, blob).await
    }

    async fn fetch_bytes(
        &self,
        image: &ImageReference,
        blob: &Descriptor,
        max_bytes: u64,
    ) -> Result<Bytes, ImageError> {
        self.of(image).fetch_bytes(image, blob, max_bytes).await
    }

    async fn push_blob(&self, image: &ImageReference, blob: &Blob) -> Result<(), ImageError> {
        self.of(image).push_blob(image, blob).await
    }

    async fn push_manifest(
        &self,
        image: &ImageReference,
        bytes: Bytes,
        media_type: &str,
    ) -> Result<Digest, ImageError> {
        self.of(image).push_manifest(image, bytes, media_type).await
    }
}

#[async_trait]
impl ImageSource for BuiltinRegistry {
    async fn head_manifest(&self, image: &ImageReference) -> Result<Option<Digest>, ImageError> {
        match self.find_manifest(&image.repository, &image.manifest()).await {
            Ok(row) => Ok(Some(row.digest)),
            Err(RegistryError::ManifestUnknown { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    async fn fetch_manifest(&self, image: &ImageReference) -> Result<FetchedManifest, ImageError> {
        let (row, bytes) = match self.get_manifest(&image.repository, &image.manifest()).await {
            Ok(found) => found,
            Err(RegistryError::ManifestUnknown { .. }) => return Err(not_found(image, image)),
            Err(error) => return Err(error.into()),
        };
        FetchedManifest::read(image, bytes, Some(&row.media_type), self.limits())
    }

    async fn fetch_blob(&self, image: &ImageReference, blob: &Descriptor) -> Result<Blob, ImageError> {
        match self.has_blob(&image.repository, &blob.digest).await? {
            Some(size) => {
                let blob = Blob { digest: blob.digest, size };
                self.bring_blob(&image.repository, &blob).await?;
                Ok(blob)
            }
            None => Err(not_found(image, &blob.digest)),
        }
    }

    async fn fetch_bytes(
        &self,
        image: &ImageReference,
        blob: &Descriptor,
        max_bytes: u64,
    ) -> Result<Bytes, ImageError> {
        let blob = self.fetch_blob(image, blob).await?;
        Ok(self.blobs().get(&blob.digest, max_bytes).await?)
    }

    async fn push_blob(&self, image: &ImageReference, blob: &Blob) -> Result<(), ImageError> {
        Ok(self.link_blob(&image.repository, blob).await?)
    }

    async fn push_manifest(
        &self,
        image: &ImageReference,
        bytes: Bytes,
        media_type: &str,
    ) -> Result<Digest, ImageError> {
        let mut manifest = NewManifest::new(image.repository.clone(), bytes).sent_as(media_type);
        manifest.tag.clone_from(&image.tag);
        Ok(self.put_manifest(manifest).await?.digest())
    }
}

fn not_found(image: &ImageReference, what: &dyn std::fmt::Display) -> ImageError {
    ImageError::NotFound { host: image.host.clone(), what: what.to_string() }
}
