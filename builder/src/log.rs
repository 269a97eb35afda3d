//! Writing a log: lines gather for a moment, then become a blob and a row. What is written survives
//! the build, its container and this process.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use slipway_objects::Blobs;
use slipway_records::{Change, LogChunk, Records};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use uuid::Uuid;

/// Bytes after which a chunk is stored without waiting further.
const CHUNK_BYTES: usize = 256 * 1024;
/// How long written bytes may stay unseen.
const FLUSH_AFTER: Duration = Duration::from_millis(300);
/// Pieces that may wait for the writer; beyond that whoever writes is slowed down.
const PIECES_MAX: usize = 256;

/// A log being written. Cheap to clone; [`LogTask::close`] stores what is left.
#[derive(Clone)]
pub struct LogWriter {
    pieces: mpsc::Sender<Piece>,
}

/// Bytes of a log.
struct Piece {
    bytes: Bytes,
    /// Which part of their origin they are.
    part: Option<Part>,
}

/// A part of a container's log: from one mark to another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// The mark that it follows; `None` at the beginning.
    pub after: Option<String>,
    /// The mark that it reaches to.
    pub to: String,
}

/// The task that stores what the writers send.
pub struct LogTask(JoinHandle<()>);

impl LogWriter {
    /// Opens the log of a build or run for appending, at most `limit` bytes in all.
    pub fn open(records: Arc<dyn Records>, blobs: Blobs, log: Uuid, limit: u64) -> (Self, LogTask) {
        let (pieces, receiver) = mpsc::channel(PIECES_MAX);
        let store = LogStore { records, blobs, log, limit, full: false, torn: false };
        (Self { pieces }, LogTask(tokio::spawn(store.run(receiver))))
    }

    /// One whose bytes nobody stores.
    #[cfg(test)]
    pub(crate) fn nowhere() -> Self {
        Self { pieces: mpsc::channel(1).0 }
    }

    /// Appends raw bytes.
    pub async fn write(&self, bytes: Bytes) {
        self.send(Piece { bytes, part: None }).await;
    }

    /// Appends a part of a container's log. If another process has stored some of it meanwhile, which
    /// it then goes on to do, it is not stored again.
    pub async fn write_part(&self, bytes: Bytes, part: Part) {
        self.send(Piece { bytes, part: Some(part) }).await;
    }

    async fn send(&self, piece: Piece) {
        // The store outlives every writer; if it is gone the process is ending.
        drop(self.pieces.send(piece).await);
    }

    /// Appends one line of Slipway's own.
    pub async fn line(&self, text: impl AsRef<str>) {
        self.write(Bytes::from(format!("{}\n", text.as_ref()))).await;
    }
}

impl LogTask {
    /// Waits until everything written is stored. All writers must be dropped before.
    pub async fn close(self) {
        if let Err(error) = self.0.await {
            tracing::error!(%error, "the task that stores a log ended badly");
        }
    }
}

struct LogStore {
    records: Arc<dyn Records>,
    blobs: Blobs,
    log: Uuid,
    limit: u64,
    /// Whether it has all that it may.
    full: bool,
    /// Whether bytes were lost, so that what comes next does not follow what is stored.
    torn: bool,
}

impl LogStore {
    async fn run(mut self, mut pieces: mpsc::Receiver<Piece>) {
        let mut gathered = BytesMut::new();
        let mut part: Option<Part> = None;
        let mut open = true;
        while open {
            let deadline = tokio::time::Instant::now() + FLUSH_AFTER;
            while open && gathered.len() < CHUNK_BYTES {
                let piece = if gathered.is_empty() {
                    Ok(pieces.recv().await)
                } else {
                    tokio::time::timeout_at(deadline, pieces.recv()).await
                };
                match piece {
                    Ok(Some(piece)) => {
                        gathered.extend_from_slice(&piece.bytes);
                        part = match (part, piece.part) {
                            (Some(first), Some(last)) => Some(Part { after: first.after, to: last.to }),
                            (first, last) => last.or(first),
                        };
                    }
                    Ok(None) => open = false,
                    Err(_) => break,
                }
            }
            if !gathered.is_empty() {
                self.store(gathered.split().freeze(), part.take()).await;
            }
        }
    }

    /// Stores one chunk, trying for a while: a log must not be lost to a hiccup.
    async fn store(&mut self, bytes: Bytes, part: Option<Part>) {
        const TRIES: u32 = 6;
        for attempt in 1..=TRIES {
            match self.try_store(&bytes, part.as_ref()).await {
                Ok(()) => {
                    self.torn &= part.is_none();
                    return;
                }
                Err(error) if attempt == TRIES => {
                    self.torn = true;
                    tracing::error!(log = %self.log, bytes = bytes.len(), %error, "log bytes are lost");
                }
                Err(_) => tokio::time::sleep(Duration::from_millis(200) * 2u32.pow(attempt)).await,
            }
        }
    }

    async fn try_store(
        &mut self,
        bytes: &Bytes,
        part: Option<&Part>,
    ) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        if self.full {
            return Ok(());
        }
        let blob = self.blobs.put(bytes.clone()).await?;
        loop {
            let mut tx = self.records.begin().await?;
            let offset = tx.log_size(self.log).await?;
            if offset >= self.limit {
                self.full = true;
                return Ok(());
            }
            if let Some(part) = part
                && !self.torn
                && tx.log_mark(self.log).await? != part.after
            {
                return Ok(());
            }
            let mark = part.map(|part| part.to.clone());
            let chunk = LogChunk { offset, length: blob.size, digest: blob.digest, mark };
            if tx.log_append(self.log, &chunk).await? {
                tx.commit().await?;
                self.records.changes().send(Change::Log(self.log));
                return Ok(());
            }
        }
    }
}
