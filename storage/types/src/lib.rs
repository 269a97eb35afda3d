//! The words of Slipway as types: names, digests, versions, labels, states.
//!
//! Nothing here does I/O or knows a clock. Every type that is parsed from text refuses what it
//! cannot hold, so code further in never checks again.

pub mod access;
pub mod definition;
pub mod digest;
pub mod environment;
pub mod fault;
pub mod git;
pub mod id;
pub mod image;
pub mod json_words;
pub mod label;
pub mod media_type;
pub mod name;
pub mod secret;
pub mod selection;
pub mod signing;
pub mod state;
mod text;
pub mod version;
pub mod violation;

pub use access::{Principal, Role};
pub use definition::DefinitionKind;
pub use digest::{Digest, Hasher};
pub use environment::Address;
pub use fault::{Class, Fault};
pub use git::{CommitId, GitRef};
pub use image::{ImageReference, Platform, RegistryPrefix};
pub use name::{ApplicationName, ComponentName, TeamName};
pub use secret::{SecretReference, SecretScope};
pub use selection::Selection;
pub use version::Version;
pub use violation::{Place, Violation};
