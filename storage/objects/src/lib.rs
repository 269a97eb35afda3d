//! Content-addressed blobs through `object_store`.
//!
//! A blob lies under `blobs/sha256/<hex>` and never changes, so writing it twice is harmless and
//! no write is ever conditional. What is large passes through a spool, a temporary file hashed on
//! the way, before it goes up under its digest: memory stays flat whatever the size.
//!
//! A blob is durable once `put*` returned, and only then may SQL refer to it.

mod blobs;
mod error;
#[cfg(any(test, feature = "testing"))]
pub mod faults;
mod local;
mod open;
mod options;
mod read;
mod spool;
mod upload;

#[cfg(test)]
mod tests;

pub use blobs::{Blob, Blobs, Listed};
pub use error::{BlobError, OpenError};
pub use options::{BlobsOptions, S3Options};
pub use read::{BlobFile, BlobStream};
pub use spool::{BlockingSpool, Spool, Spooled, Swept};

/// How much of a blob is in memory at once on its way through a file, a hash or a reader.
const CHUNK_BYTES: usize = 256 * 1024;
