//! Manifests, indexes and descriptors of the OCI image specification v1.1 and of Docker's schema 2.
//!
//! Slipway keeps a manifest's bytes as they came; these types are its reading of them, and the way
//! to write its own.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::{Deserialize, Deserializer, Serialize};
use slipway_types::{Digest, Platform, json_words, media_type};

pub mod config;

pub use config::{ContainerConfig, HistoryEntry, ImageConfig, RootFs};

/// Annotations; sorted, so that writing them is deterministic.
pub type Annotations = BTreeMap<String, String>;

/// What a manifest may be at most.
#[derive(Debug, Clone, Copy)]
pub struct ManifestLimits {
    /// Size of a manifest or index, in bytes.
    pub max_manifest_bytes: u64,
    /// Layers of a manifest or manifests of an index, counted.
    pub max_descriptors: usize,
}

impl Default for ManifestLimits {
    fn default() -> Self {
        Self { max_manifest_bytes: 4 << 20, max_descriptors: 10_000 }
    }
}

/// Bytes that are no manifest a registry may take.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidManifest {
    /// Over the limit.
    #[error("the manifest has {size} bytes, more than max_manifest_bytes = {max}")]
    TooLarge {
        /// Its size, in bytes.
        size: u64,
        /// The limit, in bytes.
        max: u64,
    },
    /// Not JSON of that form.
    #[error("the manifest cannot be read: {0}")]
    Json(String),
    /// A media type that is neither manifest nor index.
    #[error(
        "unsupported manifest media type `{0}`: expected an OCI image manifest or index, or a Docker schema 2 manifest or list"
    )]
    MediaType(String),
    /// `mediaType` and the type it was sent with differ.
    #[error("mediaType is `{field}`, but the manifest was sent as `{sent}`")]
    MediaTypeDiffers {
        /// In the manifest.
        field: String,
        /// In `Content-Type`.
        sent: String,
    },
    /// A field that must not hold this.
    #[error("{field}: {why}")]
    Field {
        /// Which field.
        field: String,
        /// What is wrong with it.
        why: String,
    },
}

fn invalid(field: &str, why: impl Into<String>) -> InvalidManifest {
    InvalidManifest::Field { field: field.to_owned(), why: why.into() }
}

/// The platform of an index entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DescriptorPlatform {
    /// CPU architecture in Go's words.
    pub architecture: String,
    /// Operating system in Go's words.
    pub os: String,
    /// Operating system version, used for Windows.
    #[serde(rename = "os.version", default, skip_serializing_if = "Option::is_none")]
    pub os_version: Option<String>,
    /// Operating system features, used for Windows.
    #[serde(rename = "os.features", default, skip_serializing_if = "Option::is_none")]
    pub os_features: Option<Vec<String>>,
    /// CPU variant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
}

impl DescriptorPlatform {
    /// As Slipway names platforms; `None` for `unknown/unknown`, which marks attestations.
    pub fn platform(&self) -> Option<Platform> {
        if self.os == "unknown" || self.architecture == "unknown" {
            return None;
        }
        Some(Platform {
            os: self.os.clone(),
            architecture: self.architecture.clone(),
            variant: self.variant.clone().filter(|variant| !variant.is_empty()),
        })
    }
}

impl From<&Platform> for DescriptorPlatform {
    fn from(platform: &Platform) -> Self {
        Self {
            architecture: platform.architecture.clone(),
            os: platform.os.clone(),
            os_version: None,
            os_features: None,
            variant: platform.variant.clone(),
        }
    }
}

/// A typed, sized pointer to bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// Media type of what it points to.
    pub media_type: String,
    /// Digest of what it points to.
    pub digest: Digest,
    /// Size in bytes.
    pub size: u64,
    /// Where else the bytes lie; only of layers that registries need not hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub urls: Option<Vec<String>>,
    /// Annotations.
    #[serde(default, deserialize_with = "null_as_default", skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: Annotations,
    /// The bytes themselves in base64, if embedded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<String>,
    /// Platform, in an index.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<DescriptorPlatform>,
    /// `artifactType` of the manifest it points to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
}

impl Descriptor {
    /// A descriptor of something already measured.
    pub fn new(media_type: impl Into<String>, digest: Digest, size: u64) -> Self {
        Self {
            media_type: media_type.into(),
            digest,
            size,
            urls: None,
            annotations: Annotations::new(),
            data: None,
            platform: None,
            artifact_type: None,
        }
    }

    /// A descriptor of `bytes`.
    pub fn of(media_type: impl Into<String>, bytes: &[u8]) -> Self {
        Self::new(media_type, Digest::of(bytes), bytes.len() as u64)
    }

    /// The descriptor of the empty JSON object.
    pub fn empty() -> Self {
        Self::of(media_type::OCI_EMPTY, b"{}")
    }

    /// The same with one more annotation.
    #[must_use]
    pub fn annotated(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.annotations.insert(key.into(), value.into());
        self
    }

    /// The same for a platform.
    #[must_use]
    pub fn for_platform(mut self, platform: &Platform) -> Self {
        self.platform = Some(platform.into());
        self
    }

    /// Whether registries need not hold it (foreign and non-distributable layers).
    pub fn is_foreign(&self) -> bool {
        self.media_type.contains(".foreign.") || self.media_type.contains(".nondistributable.")
    }
}

/// An image manifest; also the form of artifacts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ImageManifest {
    /// Always 2.
    pub schema_version: u32,
    /// Its own media type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    /// What kind of artifact it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    /// Configuration blob.
    pub config: Descriptor,
    /// Layers, lowest first.
    #[serde(default, deserialize_with = "null_as_default")]
    pub layers: Vec<Descriptor>,
    /// The manifest it says something about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<Descriptor>,
    /// Annotations.
    #[serde(default, deserialize_with = "null_as_default", skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: Annotations,
}

impl ImageManifest {
    /// A container image of `config` and `layers`.
    pub fn image(config: Descriptor, layers: Vec<Descriptor>) -> Self {
        Self {
            schema_version: 2,
            media_type: Some(media_type::OCI_MANIFEST.to_owned()),
            artifact_type: None,
            config,
            layers,
            subject: None,
            annotations: Annotations::new(),
        }
    }

    /// An artifact. Without layers of its own it gets the empty one, as the specification advises.
    pub fn artifact(artifact_type: impl Into<String>, config: Descriptor, layers: Vec<Descriptor>) -> Self {
        let layers = if layers.is_empty() { vec![Descriptor::empty()] } else { layers };
        Self { artifact_type: Some(artifact_type.into()), ..Self::image(config, layers) }
    }

    /// The same about `subject`.
    #[must_use]
    pub fn about(mut self, subject: Descriptor) -> Self {
        self.subject = Some(subject);
        self
    }

    /// The same with one more annotation.
    #[must_use]
    pub fn annotated(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.annotations.insert(key.into(), value.into());
        self
    }
}

/// An image index.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ImageIndex {
    /// Always 2.
    pub schema_version: u32,
    /// Its own media type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    /// What kind of artifact it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    /// Its manifests.
    #[serde(default, deserialize_with = "null_as_default")]
    pub manifests: Vec<Descriptor>,
    /// The manifest it says something about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<Descriptor>,
    /// Annotations.
    #[serde(default, deserialize_with = "null_as_default", skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: Annotations,
}

impl ImageIndex {
    /// An index of `manifests`.
    pub fn new(manifests: Vec<Descriptor>) -> Self {
        Self {
            schema_version: 2,
            media_type: Some(media_type::OCI_INDEX.to_owned()),
            artifact_type: None,
            manifests,
            subject: None,
            annotations: Annotations::new(),
        }
    }

    /// An index that is an artifact.
    pub fn artifact(artifact_type: impl Into<String>, manifests: Vec<Descriptor>) -> Self {
        Self { artifact_type: Some(artifact_type.into()), ..Self::new(manifests) }
    }

    /// The same with one more annotation.
    #[must_use]
    pub fn annotated(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.annotations.insert(key.into(), value.into());
        self
    }
}

/// What a registry serves under `/manifests/`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "few exist at once, and callers match on them")]
pub enum Manifest {
    /// A manifest of a configuration and layers.
    Image(ImageManifest),
    /// An index of manifests.
    Index(ImageIndex),
}

/// The fields that decide what the rest must be.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Outline {
    schema_version: Option<u64>,
    media_type: Option<String>,
    #[serde(default)]
    manifests: Option<serde::de::IgnoredAny>,
    #[serde(default)]
    layers: Option<serde::de::IgnoredAny>,
    #[serde(default)]
    config: Option<serde::de::IgnoredAny>,
}

impl Manifest {
    /// Reads and checks manifest bytes. `sent_as` is the `Content-Type` they came with, parameters
    /// already cut off; without it `mediaType` or the form decides.
    pub fn parse(
        bytes: &[u8],
        sent_as: Option<&str>,
        limits: &ManifestLimits,
    ) -> Result<(Self, String), InvalidManifest> {
        if bytes.len() as u64 > limits.max_manifest_bytes {
            let size = bytes.len() as u64;
            return Err(InvalidManifest::TooLarge { size, max: limits.max_manifest_bytes });
        }
        let outline: Outline = json(bytes)?;
        let media_type = outline.media_type(sent_as)?;
        let manifest = if media_type::is_index(&media_type) {
            Self::Index(json(bytes)?)
        } else {
            Self::Image(json(bytes)?)
        };
        manifest.check(limits)?;
        Ok((manifest, media_type))
    }

    fn check(&self, limits: &ManifestLimits) -> Result<(), InvalidManifest> {
        let (field, descriptors) = match self {
            Self::Image(image) => ("layers", &image.layers),
            Self::Index(index) => ("manifests", &index.manifests),
        };
        if descriptors.len() > limits.max_descriptors {
            let why = format!(
                "{} entries, more than max_descriptors = {}",
                descriptors.len(),
                limits.max_descriptors
            );
            return Err(invalid(field, why));
        }
        for descriptor in descriptors.iter().chain(self.config()).chain(self.subject()) {
            if descriptor.media_type.is_empty() {
                return Err(invalid(
                    field,
                    format!("the descriptor of {} has no mediaType", descriptor.digest),
                ));
            }
            if i64::try_from(descriptor.size).is_err() {
                return Err(invalid(field, format!("the size of {} is beyond 63 bits", descriptor.digest)));
            }
        }
        match self {
            Self::Image(image)
                if image.config.media_type == media_type::OCI_EMPTY && image.artifact_type.is_none() =>
            {
                Err(invalid("artifactType", "must be set where the config is the empty descriptor"))
            }
            _ => Ok(()),
        }
    }

    /// The configuration, of a manifest.
    pub fn config(&self) -> Option<&Descriptor> {
        match self {
            Self::Image(image) => Some(&image.config),
            Self::Index(_) => None,
        }
    }

    /// What it says something about.
    pub fn subject(&self) -> Option<&Descriptor> {
        match self {
            Self::Image(image) => image.subject.as_ref(),
            Self::Index(index) => index.subject.as_ref(),
        }
    }

    /// The blobs a registry must hold for it: configuration and layers, foreign ones left out.
    pub fn blobs(&self) -> impl Iterator<Item = &Descriptor> {
        let (config, layers) = match self {
            Self::Image(image) => (Some(&image.config), image.layers.as_slice()),
            Self::Index(_) => (None, [].as_slice()),
        };
        config.into_iter().chain(layers).filter(|descriptor| !descriptor.is_foreign())
    }

    /// The manifests of an index.
    pub fn children(&self) -> &[Descriptor] {
        match self {
            Self::Image(_) => &[],
            Self::Index(index) => &index.manifests,
        }
    }

    /// Its annotations.
    pub fn annotations(&self) -> &Annotations {
        match self {
            Self::Image(image) => &image.annotations,
            Self::Index(index) => &index.annotations,
        }
    }

    /// `artifactType`, or the configuration's media type where that is absent (distribution
    /// specification, "Listing referrers").
    pub fn artifact_type(&self) -> Option<&str> {
        match self {
            Self::Image(image) => {
                Some(image.artifact_type.as_deref().unwrap_or(image.config.media_type.as_str()))
            }
            Self::Index(index) => index.artifact_type.as_deref(),
        }
    }
}

impl Outline {
    fn media_type(&self, sent_as: Option<&str>) -> Result<String, InvalidManifest> {
        if self.schema_version != Some(2) {
            let found = self.schema_version.map_or("none".to_owned(), |version| version.to_string());
            return Err(invalid("schemaVersion", format!("must be 2, found {found}")));
        }
        if self.manifests.is_some() && (self.layers.is_some() || self.config.is_some()) {
            return Err(invalid("manifests", "an index has no `layers` and no `config`; this is ambiguous"));
        }
        if let (Some(field), Some(sent)) = (&self.media_type, sent_as)
            && field != sent
        {
            return Err(InvalidManifest::MediaTypeDiffers { field: field.clone(), sent: sent.to_owned() });
        }
        let by_form = if self.manifests.is_some() { media_type::OCI_INDEX } else { media_type::OCI_MANIFEST };
        let media_type = sent_as.or(self.media_type.as_deref()).unwrap_or(by_form);
        let is_manifest = [media_type::OCI_MANIFEST, media_type::DOCKER_MANIFEST].contains(&media_type);
        if !is_manifest && !media_type::is_index(media_type) {
            return Err(InvalidManifest::MediaType(media_type.chars().take(120).collect()));
        }
        if is_manifest && self.manifests.is_some() {
            return Err(invalid("manifests", format!("does not belong into a {media_type}")));
        }
        if !is_manifest && (self.layers.is_some() || self.config.is_some()) {
            return Err(invalid("layers", format!("does not belong into a {media_type}")));
        }
        Ok(media_type.to_owned())
    }
}

fn json<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, InvalidManifest> {
    serde_json::from_slice(bytes).map_err(|error| {
        let message = error.to_string();
        let why = if error.is_data() { json_words::data(&message) } else { json_words::syntax(&message) };
        InvalidManifest::Json(why)
    })
}

/// Go writes empty lists and maps as `null`.
pub(crate) fn null_as_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// The one JSON text of a value: object keys in byte order, no white space, numbers and escapes as
/// serde_json writes them. Equal values give equal bytes, whatever features serde_json has.
pub fn canonical_json(value: &impl Serialize) -> Bytes {
    let value = serde_json::to_value(value).expect("invariant: Slipway's own documents are JSON");
    sorted(value).to_string().into()
}

fn sorted(value: serde_json::Value) -> serde_json::Value {
    use serde_json::Value;
    match value {
        Value::Object(map) => {
            let sorted_entries: BTreeMap<String, Value> =
                map.into_iter().map(|(key, value)| (key, sorted(value))).collect();
            Value::Object(sorted_entries.into_iter().collect())
        }
        Value::Array(items) => Value::Array(items.into_iter().map(sorted).collect()),
        other => other,
    }
}

#[cfg(test)]
mod tests;
