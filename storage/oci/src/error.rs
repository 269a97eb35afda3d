//! Why an image could not be read or written, in words that name the host and the next step.

use std::error::Error;

use slipway_objects::BlobError;
use slipway_types::{Class, Digest, Fault, Platform};

use crate::builtin::RegistryError;
use crate::manifest::InvalidManifest;

/// Boxed cause.
pub type Source = Box<dyn Error + Send + Sync>;

/// Why an image, or a part of it, could not be read from or written to a registry.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// The registry wants other credentials.
    #[error("registry {host} refused {what}: {}", if *.with_credential { "its credential was not accepted" } else { "it asks for a login" })]
    Unauthorized {
        /// Registry.
        host: String,
        /// What was asked, e.g. `GET library/alpine manifest latest`.
        what: String,
        /// Whether a credential is configured for the host.
        with_credential: bool,
    },
    /// The registry knows who asks, and forbids it.
    #[error("registry {host} forbids {what}: {detail}")]
    Forbidden {
        /// Registry.
        host: String,
        /// What was asked.
        what: String,
        /// What it said.
        detail: String,
    },
    /// It is not there.
    #[error("registry {host} does not have {what}")]
    NotFound {
        /// Registry.
        host: String,
        /// What was asked.
        what: String,
    },
    /// The address is one Slipway does not talk to.
    #[error("{host} is refused: {why}")]
    AddressRefused {
        /// Host as written.
        host: String,
        /// Which rule.
        why: String,
    },
    /// No connection.
    #[error("registry {host} cannot be reached: {detail}")]
    Unreachable {
        /// Registry.
        host: String,
        /// What the connection said, without the source chain.
        detail: String,
        /// The cause.
        #[source]
        source: Source,
    },
    /// No answer in time.
    #[error("registry {host} did not {what} within {limit} = {limit_ms} ms")]
    Timeout {
        /// Registry.
        host: String,
        /// What was waited for.
        what: String,
        /// Name of the option.
        limit: &'static str,
        /// Its value, in milliseconds.
        limit_ms: u64,
    },
    /// The registry is in trouble, or has enough of us.
    #[error("registry {host} answered {status} to {what}: {detail}")]
    Status {
        /// Registry.
        host: String,
        /// What was asked.
        what: String,
        /// HTTP status.
        status: u16,
        /// What it said.
        detail: String,
    },
    /// The registry answers otherwise than the specification says.
    #[error("registry {host} answered {what} in a way that cannot be used: {detail}")]
    Protocol {
        /// Registry.
        host: String,
        /// What was asked.
        what: String,
        /// What is wrong with the answer.
        detail: String,
    },
    /// The bytes are not those of the digest or size.
    #[error("registry {host} sent other bytes than {wanted}: {detail}")]
    Corrupt {
        /// Registry.
        host: String,
        /// What was asked for.
        wanted: Digest,
        /// What came.
        detail: String,
    },
    /// What came is no manifest or configuration.
    #[error("{what} cannot be used")]
    Invalid {
        /// Which image.
        what: String,
        /// What is wrong.
        #[source]
        source: InvalidManifest,
    },
    /// The image does not exist for that platform.
    #[error("{image} has no image for {wanted}; it has: {available}")]
    PlatformMissing {
        /// Which image.
        image: String,
        /// The platform asked for.
        wanted: Platform,
        /// What there is.
        available: String,
    },
    /// The built-in registry refused.
    #[error(transparent)]
    Builtin(#[from] RegistryError),
    /// The object store failed.
    #[error("the image cannot be kept in the object store")]
    Blobs(#[from] BlobError),
}

impl ImageError {
    /// Whether another try may help.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::Timeout { .. } | Self::Corrupt { .. } => true,
            Self::Status { status, .. } => *status >= 500 || *status == 429 || *status == 408,
            // A copy that was collected between being found and being sent is made anew by the next try.
            Self::Blobs(BlobError::Missing { .. }) => true,
            Self::Blobs(error) => error.is_transient(),
            Self::Builtin(RegistryError::Upstream(error)) => error.is_transient(),
            Self::Builtin(error) => error.status() == 503,
            _ => false,
        }
    }

    /// Stable word for scripts.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unauthorized { .. } => "registry_unauthorized",
            Self::Forbidden { .. } => "registry_forbidden",
            Self::NotFound { .. } => "image_not_found",
            Self::AddressRefused { .. } => "registry_address_refused",
            Self::Unreachable { .. } => "registry_unreachable",
            Self::Timeout { .. } => "registry_timeout",
            Self::Status { status: 429, .. } => "registry_throttled",
            Self::Status { .. } => "registry_error",
            Self::Protocol { .. } => "registry_protocol",
            Self::Corrupt { .. } => "registry_corrupt",
            Self::Invalid { .. } => "image_invalid",
            Self::PlatformMissing { .. } => "platform_missing",
            Self::Builtin(_) => "registry_builtin",
            Self::Blobs(_) => "objects_failed",
        }
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Unauthorized { host, with_credential: true, .. } => {
                format!(
                    "Check the credential configured for {host}: user, password or token, and its expiry."
                )
            }
            Self::Unauthorized { host, .. } => format!(
                "Check the image's name (many registries answer this for names that do not exist), or configure a credential for {host}."
            ),
            Self::Forbidden { host, .. } => {
                format!("Give the credential configured for {host} the right to this repository.")
            }
            Self::NotFound { .. } => "Check repository, tag and digest for typing errors.".to_owned(),
            Self::AddressRefused { host, .. } => {
                format!(
                    "If {host} is a registry of yours, an administrator may add it to `registries.allow_private_hosts`."
                )
            }
            Self::Unreachable { host, .. } => {
                format!("Check that {host} is up and that this server may connect to it; then retry.")
            }
            // The other limits are no settings.
            Self::Timeout { limit: limit @ ("idle_timeout_ms" | "resolve_timeout_ms"), .. } => {
                format!("Retry; if the registry is slow by nature, raise `registries.{limit}`.")
            }
            Self::Timeout { host, .. } => format!("Check that {host} is well, then retry."),
            Self::Status { status: 429, host, .. } => {
                format!("Wait, configure a credential for {host} with a higher limit, or a mirror.")
            }
            Self::Status { host, .. } => format!("Look at the state of {host}, then retry."),
            Self::Corrupt { .. } => {
                "Retry; if it stays, the registry or a proxy before it is damaged.".to_owned()
            }
            Self::PlatformMissing { .. } => {
                "Choose one of these platforms, or another base image.".to_owned()
            }
            _ => return None,
        })
    }
}

impl From<ImageError> for Fault {
    fn from(error: ImageError) -> Self {
        let error = match error {
            ImageError::Builtin(builtin) => return builtin.into(),
            other => other,
        };
        let class = if error.is_transient() { Class::Transient } else { Class::Permanent };
        let mut message = error.to_string();
        // The cause of these two is about the input or the disk, and is what a person must read.
        if let (ImageError::Invalid { .. } | ImageError::Blobs(_), Some(source)) = (&error, error.source()) {
            message = format!("{message}: {source}");
        }
        let fault = Self::new(class, error.code(), message);
        match error.hint() {
            Some(hint) => fault.hint(hint),
            None => fault,
        }
    }
}
