//! Versions, deterministic archives, component packages and bundles.
//!
//! Everything written here is reproducible: sorted, fixed owner, mode and time, canonical JSON, one
//! gzip implementation at one level. No host, port, run id or clock enters a digest.

pub mod bundle;
mod checks;
pub mod component;
pub mod compose;
mod content;
pub mod document;
mod exchange;
pub mod handler;
pub mod image_tag;
mod link;
pub mod provenance;
pub mod publish;
pub mod version;

pub use compose::Composer;
pub use handler::{PackageHandler, PackageOptions};
pub use image_tag::ImageTag;
