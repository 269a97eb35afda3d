//! Refusals of the registry, one for each error code of the distribution specification.

use slipway_objects::BlobError;
use slipway_records::RecordsError;
use slipway_types::digest::InvalidDigest;
use slipway_types::name::EnvironmentName;
use slipway_types::{Class, Digest, Fault};

use crate::error::ImageError;
use crate::manifest::InvalidManifest;

/// Why the built-in registry did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// The path is no repository name.
    #[error("`{repository}` is not a repository name: use lower-case path components")]
    RepositoryInvalid {
        /// What was given, cut.
        repository: String,
    },
    /// Nothing was ever pushed there.
    #[error("repository `{repository}` holds nothing")]
    RepositoryUnknown {
        /// Its path.
        repository: String,
    },
    /// The text is no tag.
    #[error("`{tag}` is not a tag: use up to 128 letters, digits, `_`, `.`, `-`")]
    TagInvalid {
        /// What was given, cut.
        tag: String,
    },
    /// The tag names a published version, and those never change.
    #[error(
        "tag `{tag}` of `{repository}` names a published version, which never changes: publish a new version"
    )]
    TagProtected {
        /// Repository of a package or bundle.
        repository: String,
        /// The tag.
        tag: String,
    },
    /// The tag names signatures of a published version that would be lost.
    #[error(
        "tag `{tag}` of `{repository}` names signatures of a published version that this manifest lacks: add \
         to what is there now"
    )]
    SignaturesProtected {
        /// Repository of a package or bundle.
        repository: String,
        /// The tag.
        tag: String,
    },
    /// A published version consists of it.
    #[error("{digest} in `{repository}` is or may be part of a published version, which never changes")]
    ContentProtected {
        /// Repository of a package or bundle.
        repository: String,
        /// Which manifest or blob.
        digest: Digest,
    },
    /// A rollback may return to it.
    #[error(
        "`{content}` in `{repository}` is kept to roll back: generation {generation} in the environment \
         `{environment}` was live, and the last {depth} live revisions stay (deploy.rollback_depth)"
    )]
    RollbackProtected {
        /// The repository.
        repository: String,
        /// Which tag, manifest or blob.
        content: String,
        /// Where it was live.
        environment: EnvironmentName,
        /// Its newest generation there.
        generation: u64,
        /// How many live revisions are kept.
        depth: u32,
    },
    /// The repository does not hold that blob.
    #[error("blob {digest} is not in the repository")]
    BlobUnknown {
        /// Which.
        digest: Digest,
    },
    /// A manifest names a blob that the repository does not hold.
    #[error("the manifest names blob {digest}, which is not in the repository: push it first")]
    ManifestBlobUnknown {
        /// Which.
        digest: Digest,
    },
    /// The repository does not hold that manifest.
    #[error("manifest `{reference}` is not in the repository")]
    ManifestUnknown {
        /// Tag or digest.
        reference: String,
    },
    /// The bytes are no manifest a registry may take.
    #[error(transparent)]
    ManifestInvalid(#[from] InvalidManifest),
    /// A digest in a form, or of an algorithm, that is not stored here.
    #[error(transparent)]
    DigestInvalid(#[from] InvalidDigest),
    /// The records failed.
    #[error("the registry's records cannot be used")]
    Records(#[from] RecordsError),
    /// The object store failed.
    #[error("the registry's blobs cannot be used")]
    Blobs(#[from] BlobError),
    /// Another registry keeps the bytes and does not give them.
    #[error("another registry keeps this blob: {0}")]
    Upstream(#[source] Box<ImageError>),
}

impl RegistryError {
    /// Error code of the distribution specification.
    pub fn code(&self) -> &'static str {
        match self {
            Self::RepositoryInvalid { .. } => "NAME_INVALID",
            Self::RepositoryUnknown { .. } => "NAME_UNKNOWN",
            Self::TagInvalid { .. } | Self::ManifestInvalid(_) => "MANIFEST_INVALID",
            Self::TagProtected { .. }
            | Self::SignaturesProtected { .. }
            | Self::ContentProtected { .. }
            | Self::RollbackProtected { .. } => "DENIED",
            Self::BlobUnknown { .. } => "BLOB_UNKNOWN",
            Self::Upstream(error) if matches!(**error, ImageError::NotFound { .. }) => "BLOB_UNKNOWN",
            Self::ManifestBlobUnknown { .. } => "MANIFEST_BLOB_UNKNOWN",
            Self::ManifestUnknown { .. } => "MANIFEST_UNKNOWN",
            Self::DigestInvalid(_) => "DIGEST_INVALID",
            // Not of the specification, which has no code for a server's own faults; docker's is used.
            Self::Records(_) | Self::Blobs(_) | Self::Upstream(_) => "UNKNOWN",
        }
    }

    /// HTTP status that goes with it.
    pub fn status(&self) -> u16 {
        match self {
            Self::RepositoryInvalid { .. }
            | Self::TagInvalid { .. }
            | Self::ManifestInvalid(_)
            | Self::DigestInvalid(_) => 400,
            Self::TagProtected { .. }
            | Self::SignaturesProtected { .. }
            | Self::ContentProtected { .. }
            | Self::RollbackProtected { .. } => 403,
            Self::RepositoryUnknown { .. }
            | Self::BlobUnknown { .. }
            | Self::ManifestBlobUnknown { .. }
            | Self::ManifestUnknown { .. } => 404,
            Self::Upstream(error) if matches!(**error, ImageError::NotFound { .. }) => 404,
            Self::Upstream(_) => 502,
            Self::Records(error) if error.is_transient() => 503,
            Self::Blobs(error) if error.is_transient() => 503,
            Self::Records(_) | Self::Blobs(_) => 500,
        }
    }
}

impl From<ImageError> for RegistryError {
    fn from(error: ImageError) -> Self {
        match error {
            ImageError::Builtin(error) => error,
            ImageError::Blobs(error) => Self::Blobs(error),
            error => Self::Upstream(Box::new(error)),
        }
    }
}

impl From<RegistryError> for Fault {
    fn from(error: RegistryError) -> Self {
        let error = match error {
            RegistryError::Upstream(error) => return (*error).into(),
            other => other,
        };
        let class = match &error {
            RegistryError::Records(e) if !e.is_transient() => Class::Bug,
            RegistryError::Records(_) | RegistryError::Blobs(_) => Class::Transient,
            _ => Class::Permanent,
        };
        Self::new(class, format!("registry_{}", error.code().to_ascii_lowercase()), error.to_string())
    }
}
