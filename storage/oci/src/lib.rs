//! OCI manifests, the core of the built-in registry, and the way to external ones.
//!
//! [`BuiltinRegistry`] decides what the built-in registry holds; HTTP, builder and packager all go
//! through it. [`Registries`] speaks to registries of others. [`ImageSource`] is both, and [`Images`]
//! chooses between them by the host of a reference, so that callers need not care. With an
//! [`ExternalRegistry`] images lie in another registry and the built-in one passes their blobs on.

pub mod builtin;
pub mod client;
pub mod error;
pub mod external;
pub mod layout;
pub mod manifest;
pub mod signature;
pub mod source;

pub use builtin::{BlobBody, BlobRule, BuiltinRegistry, NewManifest, PreparedManifest, RegistryError};
pub use client::{AddressPolicy, ClientOptions, Credential, HostSettings, Registries, RemoteBlob};
pub use error::ImageError;
pub use external::ExternalRegistry;
pub use manifest::{
    Descriptor, ImageConfig, ImageIndex, ImageManifest, Manifest, ManifestLimits, canonical_json,
};
pub use signature::{Signature, SigningKey, Unfit};
pub use source::{FetchedManifest, ImageSource, Images, PlatformManifest, Resolved};
