//! Media types and annotation keys, ours and those of the OCI image specification v1.1.

/// OCI image manifest.
pub const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// OCI image index.
pub const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
/// OCI image configuration.
pub const OCI_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
/// A gzipped tar layer.
pub const OCI_LAYER_GZIP: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
/// The empty JSON object `{}`.
pub const OCI_EMPTY: &str = "application/vnd.oci.empty.v1+json";
/// Docker's image manifest, schema 2.
pub const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
/// Docker's manifest list.
pub const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
/// `artifactType` of a component package.
pub const COMPONENT_ARTIFACT: &str = "application/vnd.slipway.component.v1";
/// Configuration blob of a component package.
pub const COMPONENT_CONFIG: &str = "application/vnd.slipway.component.config.v1+json";
/// `artifactType` of a bundle.
pub const BUNDLE_ARTIFACT: &str = "application/vnd.slipway.bundle.v1";
/// `artifactType` of a bundle's lock manifest.
pub const LOCK_ARTIFACT: &str = "application/vnd.slipway.lock.v1";
/// Configuration blob of a bundle's lock manifest.
pub const LOCK_CONFIG: &str = "application/vnd.slipway.lock.config.v1+json";
/// A multi-platform index that travels as a layer of the lock.
pub const LOCK_INDEX_LAYER: &str = "application/vnd.slipway.lock.index.v1+json";
/// `artifactType` of a definition.
pub const DEFINITION_ARTIFACT: &str = "application/vnd.slipway.definition.v1";
/// An in-toto statement.
pub const IN_TOTO: &str = "application/vnd.in-toto+json";

/// File name of a layer; without it `oras pull` writes nothing.
pub const ANNOTATION_TITLE: &str = "org.opencontainers.image.title";
/// The version in the package's own words.
pub const ANNOTATION_VERSION: &str = "org.opencontainers.image.version";
/// The commit.
pub const ANNOTATION_REVISION: &str = "org.opencontainers.image.revision";
/// When it was created: of packages the commit's time.
pub const ANNOTATION_CREATED: &str = "org.opencontainers.image.created";
/// Of a bundle that people composed: the version of the one it began with.
pub const ANNOTATION_COMPOSED_FROM: &str = "dev.slipway.bundle.composed-from";

/// Whether `media_type` is an index of manifests.
pub fn is_index(media_type: &str) -> bool {
    media_type == OCI_INDEX || media_type == DOCKER_LIST
}
