//! Blob uploads into the built-in registry that are under way.
//!
//! What has come so far is stored as blobs, one for each request, so that any server can go on with an
//! upload. Most uploads are one part, whose digest is the blob's own: then nothing is written twice.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use slipway_types::Digest;
use slipway_types::id::UploadId;

use crate::Result;

/// An upload under way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upload {
    /// Identity, which clients name.
    pub id: UploadId,
    /// Full path of the repository it goes into.
    pub repository: String,
    /// What has come, in order and without gaps.
    pub parts: Vec<UploadPart>,
}

impl Upload {
    /// Bytes that have come.
    pub fn size(&self) -> u64 {
        self.parts.last().map_or(0, |part| part.offset + part.length)
    }
}

/// The bytes of one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UploadPart {
    /// First byte's place in the whole.
    pub offset: u64,
    /// Length in bytes.
    pub length: u64,
    /// Blob holding the bytes.
    pub digest: Digest,
}

/// Looking up uploads.
#[async_trait]
pub trait ReadUploads {
    /// One upload with its parts.
    async fn upload_get(&mut self, id: UploadId) -> Result<Option<Upload>>;
}

/// Keeping uploads.
#[async_trait]
pub trait WriteUploads {
    /// Begins an upload without parts.
    async fn upload_begin(&mut self, id: UploadId, repository: &str, at: DateTime<Utc>) -> Result<()>;
    /// Appends a part, which must not be empty and must begin where the upload stands; `false` if it
    /// does not (another request was faster) or the upload is gone.
    async fn upload_append(&mut self, id: UploadId, part: &UploadPart, at: DateTime<Utc>) -> Result<bool>;
    /// Forgets an upload; `false` if it was not there. Its parts go as blobs that nothing refers to.
    async fn upload_remove(&mut self, id: UploadId) -> Result<bool>;
    /// Forgets uploads that were last used before `before`, at most `limit`; returns how many.
    async fn uploads_remove(&mut self, before: DateTime<Utc>, limit: u32) -> Result<u64>;
}
