//! Blobs that nothing refers to, on their way out.
//!
//! A blob that nothing refers to is noted ([`WriteUnreferenced::blobs_note`]); if that stays
//! so for the time of grace it is condemned ([`WriteUnreferenced::blob_condemn`]), from when on a
//! transaction that would refer to it fails with [`RecordsError::Unavailable`]; then its bytes are
//! deleted and that is noted too. Whoever had found the bytes before they went thus cannot publish a
//! reference to nothing: it stores the bytes again, and the blob is released
//! ([`WriteUnreferenced::blob_release`]) once they are seen, or when no such writer can be left.
//!
//! [`RecordsError::Unavailable`]: crate::RecordsError::Unavailable

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use slipway_types::Digest;

use crate::Result;

/// A condemned blob.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CondemnedBlob {
    /// Which.
    pub digest: Digest,
    /// Since when nobody may refer to it.
    pub since: DateTime<Utc>,
    /// Whether its bytes were deleted since.
    pub removed: bool,
}

/// Looking for blobs that nothing refers to.
#[async_trait]
pub trait ReadUnreferenced {
    /// Those of `digests` that something refers to: a repository, a pack, a log, an upload, a version, an installed
    /// definition.
    async fn blobs_referenced(&mut self, digests: &[Digest]) -> Result<Vec<Digest>>;
    /// Blobs noted before `noted_before` and not condemned yet, oldest first.
    async fn blobs_unreferenced(&mut self, noted_before: DateTime<Utc>, limit: u32) -> Result<Vec<Digest>>;
    /// Condemned blobs in order of digest, those after `after`.
    async fn blobs_condemned(&mut self, after: Option<&Digest>, limit: u32) -> Result<Vec<CondemnedBlob>>;
}

/// Condemning blobs that nothing refers to.
#[async_trait]
pub trait WriteUnreferenced {
    /// Notes that nothing refers to these blobs as of `at`. Of those that something refers to, and of
    /// those noted before, nothing changes.
    async fn blobs_note(&mut self, digests: &[Digest], at: DateTime<Utc>) -> Result<()>;
    /// Condemns a blob if it was noted before `noted_before` and nothing refers to it; `false`
    /// otherwise. A blob that something refers to is not noted any more.
    async fn blob_condemn(
        &mut self,
        digest: &Digest,
        noted_before: DateTime<Utc>,
        at: DateTime<Utc>,
    ) -> Result<bool>;
    /// Notes that the bytes of a condemned blob were deleted.
    async fn blob_removed(&mut self, digest: &Digest, at: DateTime<Utc>) -> Result<()>;
    /// Ends a condemnation: the digest may be referred to again.
    async fn blob_release(&mut self, digest: &Digest) -> Result<()>;
}
