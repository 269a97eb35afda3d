//! Temporary files that are hashed while they are written.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use slipway_types::{Digest, Hasher};
use tempfile::TempPath;
use tokio::task::JoinHandle;

use crate::{BlobError, CHUNK_BYTES};

const PREFIX: &str = "spool-";

/// The directory that holds the spools of this process, and how much they may hold together.
#[derive(Debug)]
pub(crate) struct SpoolDirectory {
    path: PathBuf,
    /// Stands in the name of every file, so that a sweep knows those of this process.
    boot: String,
    budget: Arc<Budget>,
}

impl SpoolDirectory {
    pub(crate) fn new(path: PathBuf, max_spool_bytes: u64) -> Self {
        let boot = uuid::Uuid::now_v7().simple().to_string();
        let budget = Arc::new(Budget { used: AtomicU64::new(0), limit_bytes: max_spool_bytes });
        Self { path, boot, budget }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn used_bytes(&self) -> u64 {
        self.budget.used.load(Ordering::Relaxed)
    }

    /// A new file in `directory` that a later sweep recognises.
    pub(crate) fn file_in(&self, directory: &Path) -> io::Result<tempfile::NamedTempFile> {
        tempfile::Builder::new().prefix(&format!("{PREFIX}{}-", self.boot)).tempfile_in(directory)
    }

    pub(crate) fn open(&self, limit_bytes: u64) -> Result<BlockingSpool, BlobError> {
        let (file, path) =
            self.file_in(&self.path).map_err(|e| BlobError::from_io("create a spool file", e))?.into_parts();
        let grant = Grant { budget: Arc::clone(&self.budget), bytes: 0 };
        Ok(BlockingSpool { file, path, hasher: Hasher::new(), grant, limit_bytes, broken: false })
    }

    /// Removes what earlier boots left in `directory` and nobody touched for `older_than`.
    pub(crate) fn sweep(&self, directory: &Path, older_than: Duration) -> io::Result<Swept> {
        let mut swept = Swept::default();
        let own = format!("{PREFIX}{}-", self.boot);
        for entry in std::fs::read_dir(directory)? {
            let entry = entry?;
            let name = entry.file_name();
            let name = name.to_string_lossy();
            if !name.starts_with(PREFIX) || name.starts_with(&own) {
                continue;
            }
            // Another process may remove its own file between the listing and here.
            let Ok(metadata) = entry.metadata() else { continue };
            let age = SystemTime::now().duration_since(metadata.modified()?).unwrap_or_default();
            if age >= older_than && std::fs::remove_file(entry.path()).is_ok() {
                swept.files += 1;
                swept.bytes += metadata.len();
            }
        }
        Ok(swept)
    }
}

/// What a sweep removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Swept {
    /// How many files.
    pub files: u64,
    /// How many bytes they held.
    pub bytes: u64,
}

#[derive(Debug)]
struct Budget {
    used: AtomicU64,
    limit_bytes: u64,
}

/// A share of the budget, given back when the file it pays for is gone.
#[derive(Debug)]
struct Grant {
    budget: Arc<Budget>,
    bytes: u64,
}

impl Grant {
    fn grow(&mut self, bytes: u64) -> Result<(), BlobError> {
        let limit_bytes = self.budget.limit_bytes;
        self.budget
            .used
            .try_update(Ordering::Relaxed, Ordering::Relaxed, |used| {
                used.checked_add(bytes).filter(|sum| *sum <= limit_bytes)
            })
            .map_err(|_| BlobError::SpoolFull { limit_bytes })?;
        self.bytes += bytes;
        Ok(())
    }
}

impl Drop for Grant {
    fn drop(&mut self) {
        self.budget.used.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// A spool for code that blocks: archives and compressors inside `spawn_blocking`.
///
/// Its refusals travel through [`io::Error`]; `BlobError::from` brings them out again.
#[derive(Debug)]
pub struct BlockingSpool {
    file: File,
    hasher: Hasher,
    limit_bytes: u64,
    broken: bool,
    // The file goes before its share of the budget does.
    path: TempPath,
    grant: Grant,
}

impl BlockingSpool {
    /// How many bytes were written.
    pub fn size(&self) -> u64 {
        self.hasher.size()
    }

    /// Ends the writing.
    pub fn finish(self) -> Result<Spooled, BlobError> {
        if self.broken {
            return Err(BlobError::unavailable("finish the spool", "an earlier write to it failed"));
        }
        let size = self.hasher.size();
        Ok(Spooled { digest: self.hasher.finish(), size, path: self.path, grant: self.grant })
    }

    fn accept(&mut self, bytes: u64) -> Result<(), BlobError> {
        let limit_bytes = self.limit_bytes;
        if self.grant.bytes.checked_add(bytes).is_none_or(|sum| sum > limit_bytes) {
            return Err(BlobError::TooLarge { limit_bytes });
        }
        self.grant.grow(bytes)
    }

    fn append(&mut self, bytes: &[u8]) -> Result<(), BlobError> {
        if let Err(error) = self.file.write_all(bytes) {
            self.broken = true;
            return Err(BlobError::from_io("write to the spool", error));
        }
        self.hasher.update(bytes);
        Ok(())
    }
}

impl Write for BlockingSpool {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let bytes = &bytes[..bytes.len().min(CHUNK_BYTES)];
        self.accept(bytes.len() as u64)?;
        self.append(bytes)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The file, the memory of the chunk that was written, and how that went.
type Written = (Box<BlockingSpool>, Vec<u8>, Result<(), BlobError>);

/// A spool for asynchronous code.
///
/// It may stay open between requests. Dropping a `write` that did not end loses nothing: `size`
/// tells how much was taken in, and the next call goes on from there.
#[derive(Debug)]
pub struct Spool {
    state: State,
    buffer: Vec<u8>,
    size: u64,
    limit_bytes: u64,
    grant: Grant,
}

#[derive(Debug)]
enum State {
    Idle(Box<BlockingSpool>),
    Writing(JoinHandle<Written>),
    /// The writing thread panicked.
    Lost,
}

impl Spool {
    pub(crate) fn new(directory: &SpoolDirectory, limit_bytes: u64) -> Result<Self, BlobError> {
        let file = directory.open(u64::MAX)?;
        let grant = Grant { budget: Arc::clone(&directory.budget), bytes: 0 };
        Ok(Self { state: State::Idle(Box::new(file)), buffer: Vec::new(), size: 0, limit_bytes, grant })
    }

    /// How many bytes were taken in.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Takes in `bytes`; refused as a whole if they exceed the limit of this spool.
    pub async fn write(&mut self, bytes: impl AsRef<[u8]>) -> Result<(), BlobError> {
        let mut rest = bytes.as_ref();
        let limit_bytes = self.limit_bytes;
        if self.size.checked_add(rest.len() as u64).is_none_or(|sum| sum > limit_bytes) {
            return Err(BlobError::TooLarge { limit_bytes });
        }
        while !rest.is_empty() {
            if self.buffer.len() == CHUNK_BYTES {
                self.write_behind().await?;
            }
            let (now, later) = rest.split_at(rest.len().min(CHUNK_BYTES - self.buffer.len()));
            self.grant.grow(now.len() as u64)?;
            self.buffer.extend_from_slice(now);
            self.size += now.len() as u64;
            rest = later;
        }
        Ok(())
    }

    /// Ends the writing.
    pub async fn finish(mut self) -> Result<Spooled, BlobError> {
        self.write_behind().await?;
        self.settle().await?;
        let State::Idle(file) = std::mem::replace(&mut self.state, State::Lost) else { return Err(lost()) };
        let mut spooled = file.finish()?;
        spooled.grant = self.grant;
        Ok(spooled)
    }

    /// Starts writing the buffer once the chunk before it is written.
    async fn write_behind(&mut self) -> Result<(), BlobError> {
        let mut emptied = self.settle().await?;
        emptied.clear();
        let State::Idle(mut file) = std::mem::replace(&mut self.state, State::Lost) else {
            return Err(lost());
        };
        let chunk = std::mem::replace(&mut self.buffer, emptied);
        self.state = State::Writing(tokio::task::spawn_blocking(move || {
            let result = file.append(&chunk);
            (file, chunk, result)
        }));
        Ok(())
    }

    /// Waits for the chunk being written and gives back its memory. Safe to drop and call again.
    async fn settle(&mut self) -> Result<Vec<u8>, BlobError> {
        let State::Writing(task) = &mut self.state else { return Ok(Vec::new()) };
        let Ok((file, chunk, result)) = task.await else {
            self.state = State::Lost;
            return Err(lost());
        };
        self.state = State::Idle(file);
        result.map(|()| chunk)
    }
}

fn lost() -> BlobError {
    BlobError::unavailable("write to the spool", "its writing thread was lost")
}

/// A finished spool; its file goes when this is dropped.
#[derive(Debug)]
pub struct Spooled {
    digest: Digest,
    size: u64,
    path: TempPath,
    grant: Grant,
}

impl Spooled {
    /// The digest of the content.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// The size of the content in bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The file, valid while this lives.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Opens the file for reading.
    pub fn open(&self) -> Result<File, BlobError> {
        File::open(&self.path).map_err(|e| BlobError::from_io("open a spool file", e))
    }

    pub(crate) fn into_path(self) -> TempPath {
        self.path
    }
}
