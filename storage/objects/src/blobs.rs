//! The store of blobs.

use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path as FsPath, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use slipway_types::{Digest, Hasher};

use crate::local::LocalDirectory;
use crate::open::{self, Opened};
use crate::spool::SpoolDirectory;
use crate::{BlobError, BlobsOptions, BlockingSpool, CHUNK_BYTES, OpenError, Spool, Spooled, Swept};

/// Below this size asking whether a blob is there costs as much as writing it again.
const ASK_FIRST_BYTES: u64 = 256 * 1024;

/// A stored blob.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Blob {
    /// What its bytes hash to.
    pub digest: Digest,
    /// How many bytes it has.
    pub size: u64,
}

/// A blob as a listing of the store shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Listed {
    /// The blob, by its name and size; its bytes were not looked at.
    pub blob: Blob,
    /// When it was last written.
    pub last_modified: DateTime<Utc>,
}

/// The content-addressed store; cloning shares it.
#[derive(Debug, Clone)]
pub struct Blobs(pub(crate) Arc<Inner>);

#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) store: Arc<dyn ObjectStore>,
    pub(crate) prefix: Path,
    pub(crate) local: Option<LocalDirectory>,
    pub(crate) spool: SpoolDirectory,
    pub(crate) options: BlobsOptions,
}

impl Blobs {
    /// Opens the store that `options.url` names, creating directories, and sees that it can be written.
    pub async fn open(options: BlobsOptions) -> Result<Self, OpenError> {
        let opened = open::open(&options).await?;
        Ok(Self::from_parts(opened, options))
    }

    /// Blobs in a given store, treated as a remote one. `options.spool_dir` must exist.
    #[cfg(any(test, feature = "testing"))]
    pub fn with_store(store: Arc<dyn ObjectStore>, options: BlobsOptions) -> Self {
        Self::from_parts(Opened { store, prefix: Path::default(), local: None }, options)
    }

    fn from_parts(opened: Opened, options: BlobsOptions) -> Self {
        let spool = SpoolDirectory::new(options.spool_dir.clone(), options.max_spool_bytes);
        let Opened { store, prefix, local } = opened;
        Self(Arc::new(Inner { store, prefix, local, spool, options }))
    }

    /// Stores bytes that are in memory anyway.
    pub async fn put(&self, bytes: impl Into<Bytes>) -> Result<Blob, BlobError> {
        let bytes = bytes.into();
        let blob = Blob { digest: Digest::of(&bytes), size: bytes.len() as u64 };
        if blob.size > ASK_FIRST_BYTES && self.adopt(blob).await? {
            return Ok(blob);
        }
        if self.0.local.is_some() || blob.size >= self.0.options.multipart_threshold_bytes {
            let mut spool = self.spool()?;
            spool.write(&bytes).await?;
            return self.put_spooled(spool.finish().await?).await;
        }
        self.put_whole(blob, bytes).await?;
        Ok(blob)
    }

    /// Stores a finished file; the file stays where it is.
    pub async fn put_file(&self, path: &FsPath) -> Result<Blob, BlobError> {
        let (file, blob) = blocking("read the file", {
            let path = path.to_path_buf();
            move || hash_file(path)
        })
        .await?;
        if self.adopt(blob).await? {
            return Ok(blob);
        }
        if self.0.local.is_none() {
            self.upload(file, blob, None).await?;
            return Ok(blob);
        }
        let mut spool = self.blocking_spool()?;
        let spooled = blocking("copy the file", move || {
            copy_bounded(file, &mut spool)?;
            spool.finish()
        })
        .await?;
        if spooled.digest() != blob.digest {
            return Err(changed_meanwhile());
        }
        self.put_spooled(spooled).await
    }

    /// Stores what was spooled. If the blob is there already its bytes are not written again.
    pub async fn put_spooled(&self, spooled: Spooled) -> Result<Blob, BlobError> {
        let blob = Blob { digest: spooled.digest(), size: spooled.size() };
        if self.adopt(blob).await? {
            return Ok(blob);
        }
        let Some(local) = self.0.local.clone() else {
            self.upload(spooled.open()?, blob, Some(spooled)).await?;
            return Ok(blob);
        };
        let inner = Arc::clone(&self.0);
        blocking("move the blob into place", move || {
            local
                .install(spooled.into_path(), &blob.digest, &inner.spool)
                .map_err(|e| BlobError::from_io("move the blob into place", e))
        })
        .await?;
        Ok(blob)
    }

    /// A spool without a limit of its own.
    pub fn spool(&self) -> Result<Spool, BlobError> {
        Spool::new(&self.0.spool, u64::MAX)
    }

    /// A spool that refuses more than `limit_bytes`.
    pub fn spool_limited(&self, limit_bytes: u64) -> Result<Spool, BlobError> {
        Spool::new(&self.0.spool, limit_bytes)
    }

    /// A spool for code that blocks, without a limit of its own.
    pub fn blocking_spool(&self) -> Result<BlockingSpool, BlobError> {
        self.0.spool.open(u64::MAX)
    }

    /// A spool for code that blocks, refusing more than `limit_bytes`.
    pub fn blocking_spool_limited(&self, limit_bytes: u64) -> Result<BlockingSpool, BlobError> {
        self.0.spool.open(limit_bytes)
    }

    /// How many bytes the spools of this process hold.
    pub fn spooled_bytes(&self) -> u64 {
        self.0.spool.used_bytes()
    }

    /// Removes spool files of earlier boots that nobody touched for `older_than`.
    pub async fn sweep_spool(&self, older_than: Duration) -> Result<Swept, BlobError> {
        let inner = Arc::clone(&self.0);
        let swept = blocking("sweep the spool", move || {
            let mut swept = Swept::default();
            let incoming = inner.local.as_ref().map(LocalDirectory::incoming);
            for directory in std::iter::once(inner.spool.path()).chain(incoming.as_deref()) {
                let found = inner
                    .spool
                    .sweep(directory, older_than)
                    .map_err(|e| BlobError::from_io("sweep the spool", e))?;
                swept.files += found.files;
                swept.bytes += found.bytes;
            }
            Ok(swept)
        })
        .await?;
        if swept.files > 0 {
            tracing::info!(swept.files, swept.bytes, "removed spool files of an earlier boot");
        }
        Ok(swept)
    }

    /// The size of a blob, if it is there.
    pub async fn head(&self, digest: &Digest) -> Result<Option<u64>, BlobError> {
        match self.deadline("look for the blob", digest, self.0.store.head(&self.key(digest))).await {
            Ok(meta) => Ok(Some(meta.size)),
            Err(BlobError::Missing { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Deletes a blob; fine if it is not there. Whether anything refers to it is the caller's to know.
    pub async fn delete(&self, digest: &Digest) -> Result<(), BlobError> {
        match self.deadline("delete the blob", digest, self.0.store.delete(&self.key(digest))).await {
            Ok(()) | Err(BlobError::Missing { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// All blobs, in no order: for collection and for rebuilding the catalogue, never for a decision.
    pub fn list(&self) -> BoxStream<'static, Result<Listed, BlobError>> {
        let prefix = self.0.prefix.clone().join("blobs").join("sha256");
        let list = self.0.store.list(Some(&prefix));
        list.map_err(|e| BlobError::unavailable("list the blobs", e))
            .try_filter_map(|meta| async move {
                let digest = meta.location.filename().and_then(|name| Digest::from_hex(name).ok());
                Ok(digest.map(|digest| Listed {
                    blob: Blob { digest, size: meta.size },
                    last_modified: meta.last_modified,
                }))
            })
            .boxed()
    }

    pub(crate) fn key(&self, digest: &Digest) -> Path {
        self.0.prefix.clone().join("blobs").join("sha256").join(digest.hex())
    }

    /// Whether the blob is there already, in full, and durable.
    async fn adopt(&self, blob: Blob) -> Result<bool, BlobError> {
        if self.head(&blob.digest).await? != Some(blob.size) {
            return Ok(false);
        }
        if let Some(local) = self.0.local.clone() {
            blocking("make the blob durable", move || {
                local.adopt().map_err(|e| BlobError::from_io("make the blob durable", e))
            })
            .await?;
        }
        Ok(true)
    }

    /// Waits for one call to the store, its retries included.
    pub(crate) async fn deadline<T>(
        &self,
        operation: &'static str,
        digest: &Digest,
        call: impl Future<Output = object_store::Result<T>>,
    ) -> Result<T, BlobError> {
        // A last attempt may begin just before the retries end.
        let limit_ms = self.0.options.retry_timeout_ms.saturating_add(self.0.options.request_timeout_ms);
        match tokio::time::timeout(Duration::from_millis(limit_ms), call).await {
            Ok(result) => result.map_err(|e| BlobError::from_store(operation, *digest, e)),
            Err(_) => Err(BlobError::unavailable(operation, format!("no answer within {limit_ms} ms"))),
        }
    }
}

/// Runs code that blocks on a thread for it.
pub(crate) async fn blocking<T: Send + 'static>(
    operation: &'static str,
    code: impl FnOnce() -> Result<T, BlobError> + Send + 'static,
) -> Result<T, BlobError> {
    let result = tokio::task::spawn_blocking(code).await;
    result.unwrap_or_else(|panicked| Err(BlobError::unavailable(operation, panicked)))
}

pub(crate) fn changed_meanwhile() -> BlobError {
    BlobError::unavailable("store the blob", "its file changed while it was read")
}

fn hash_file(path: PathBuf) -> Result<(File, Blob), BlobError> {
    let mut file = File::open(path).map_err(|e| BlobError::from_io("read the file", e))?;
    let blob = hash(&mut file)?;
    std::io::Seek::rewind(&mut file).map_err(|e| BlobError::from_io("read the file", e))?;
    Ok((file, blob))
}

/// Reads to the end and hashes.
pub(crate) fn hash(file: &mut File) -> Result<Blob, BlobError> {
    let mut hasher = Hasher::new();
    copy_bounded(file, &mut hasher)?;
    Ok(Blob { size: hasher.size(), digest: hasher.finish() })
}

fn copy_bounded(mut from: impl Read, to: &mut impl Write) -> Result<(), BlobError> {
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        let read = match from.read(&mut chunk) {
            Ok(0) => return Ok(()),
            Ok(read) => read,
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(e) => return Err(BlobError::from_io("read the file", e)),
        };
        to.write_all(&chunk[..read]).map_err(|e| BlobError::from_io("copy the file", e))?;
    }
}
