//! What stands in [`crate::PackageVersion::detail`]: written by the packager, read by the API.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use slipway_types::state::BuiltImage;
use slipway_types::{ComponentName, Digest, Version};

/// Detail of a component package's version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PackageDetail {
    /// Its kit.
    pub kit: String,
    /// Its images, as pushed.
    pub images: Vec<BuiltImage>,
}

/// Detail of a bundle's version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BundleDetail {
    /// Its members, by component name.
    pub members: Vec<BundleMember>,
    /// Of a bundle that people composed: from what.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub composed: Option<ComposedFrom>,
}

/// How a bundle was composed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ComposedFrom {
    /// By whom: a person.
    pub by: String,
    /// The bundle it began with.
    pub from: Version,
    /// What was exchanged: versions, and images by reference.
    pub set: BTreeMap<ComponentName, String>,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// One component package inside a bundle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BundleMember {
    /// The component.
    pub component: ComponentName,
    /// The package's version in this bundle.
    pub version: Version,
    /// The version under which the package was first published.
    pub built_as: Version,
    /// Digest of the package's manifest.
    pub digest: Digest,
    /// Size of the package's manifest in bytes.
    pub manifest_size: u64,
    /// Size in bytes of the package's own content.
    pub size: u64,
    /// Its kit.
    pub kit: String,
    /// Its images, as pushed.
    pub images: Vec<BuiltImage>,
    /// Whether an earlier package stands in unchanged.
    pub reused: bool,
    /// Package fingerprint.
    pub fingerprint: Digest,
}
