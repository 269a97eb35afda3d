//! Logs: chunks with byte offsets, their bytes in the object store.

use async_trait::async_trait;
use slipway_types::Digest;
use uuid::Uuid;

use crate::Result;

/// One piece of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogChunk {
    /// First byte's place in the log.
    pub offset: u64,
    /// Length in bytes.
    pub length: u64,
    /// Blob holding the bytes.
    pub digest: Digest,
    /// How far into its origin (a container's log) the chunk reaches; what that means is its writer's.
    pub mark: Option<String>,
}

/// Looking up logs. A log belongs to a build or a run, by whose UUID it is named.
#[async_trait]
pub trait ReadLogs {
    /// Chunks that hold bytes at or after `offset`, in order, at most `limit`.
    async fn log_chunks(&mut self, log: Uuid, offset: u64, limit: u32) -> Result<Vec<LogChunk>>;
    /// Bytes written so far.
    async fn log_size(&mut self, log: Uuid) -> Result<u64>;
    /// The mark of the last chunk that has one.
    async fn log_mark(&mut self, log: Uuid) -> Result<Option<String>>;
}

/// Writing logs.
#[async_trait]
pub trait WriteLogs {
    /// Appends a chunk whose offset must be the log's size; `false` if it is not (another writer).
    async fn log_append(&mut self, log: Uuid, chunk: &LogChunk) -> Result<bool>;
}
