//! Reading, never handing out a whole blob whose bytes are not those of its digest.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::{Path as FsPath, PathBuf};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures::stream::{BoxStream, Stream, try_unfold};
use futures::{StreamExt, TryStreamExt};
use object_store::{GetOptions, GetResult, GetResultPayload};
use slipway_types::{Digest, Hasher};

use crate::blobs::{blocking, hash};
use crate::upload::ChunkReader;
use crate::{BlobError, Blobs, Spooled};

const OPERATION: &str = "read the blob";

/// The bytes of a blob or of a part of it.
pub struct BlobStream {
    /// How many bytes come if nothing goes wrong.
    pub size: u64,
    /// How many bytes the whole blob has.
    pub blob_size: u64,
    chunks: BoxStream<'static, Result<Bytes, BlobError>>,
}

impl Stream for BlobStream {
    type Item = Result<Bytes, BlobError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.chunks.poll_next_unpin(context)
    }
}

impl std::fmt::Debug for BlobStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "BlobStream({} of {} bytes)", self.size, self.blob_size)
    }
}

/// A verified blob as a file of this machine.
#[derive(Debug)]
pub struct BlobFile {
    file: File,
    path: PathBuf,
    size: u64,
    /// The download, removed with this, if the store is elsewhere.
    _download: Option<Spooled>,
}

impl BlobFile {
    /// The file, valid while this lives; not to be changed.
    pub fn path(&self) -> &FsPath {
        &self.path
    }

    /// How many bytes the blob has.
    pub fn size(&self) -> u64 {
        self.size
    }
}

impl Read for BlobFile {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.file.read(buffer)
    }
}

impl Seek for BlobFile {
    fn seek(&mut self, position: SeekFrom) -> io::Result<u64> {
        self.file.seek(position)
    }
}

impl Blobs {
    /// The blob in memory, verified; refused if it has more than `max_bytes`.
    pub async fn get(&self, digest: &Digest, max_bytes: u64) -> Result<Bytes, BlobError> {
        let stream = self.read(digest).await?;
        if stream.size > max_bytes {
            return Err(BlobError::TooLarge { limit_bytes: max_bytes });
        }
        let capacity = usize::try_from(stream.size).unwrap_or(0);
        let bytes = stream
            .try_fold(Vec::with_capacity(capacity), |mut bytes, chunk| async move {
                bytes.extend_from_slice(&chunk);
                Ok(bytes)
            })
            .await?;
        Ok(bytes.into())
    }

    /// The blob as a stream that is verified on the way.
    ///
    /// The last chunk is held back until the digest agrees. If it does not, the stream ends in
    /// [`BlobError::Corrupt`] and has delivered less than `size` bytes, so an HTTP body with a
    /// length is cut rather than completed.
    pub async fn read(&self, digest: &Digest) -> Result<BlobStream, BlobError> {
        let found = self.fetch(digest, GetOptions::new()).await?;
        let size = found.meta.size;
        let verified = Verified {
            chunks: self.chunks_of(found, *digest)?,
            hasher: Some(Hasher::new()),
            held: None,
            digest: *digest,
            size,
        };
        let chunks =
            try_unfold(
                verified,
                |mut state| async move { Ok(state.next().await?.map(|chunk| (chunk, state))) },
            );
        Ok(BlobStream { size, blob_size: size, chunks: chunks.boxed() })
    }

    /// Part of a blob. Its bytes are counted but not verified: a digest speaks of the whole only.
    ///
    /// `range` may reach beyond the end, it must not begin there.
    pub async fn read_range(&self, digest: &Digest, range: Range<u64>) -> Result<BlobStream, BlobError> {
        let blob_size = self.head(digest).await?.ok_or(BlobError::Missing { digest: *digest })?;
        let range = range.start..range.end.min(blob_size);
        if range.is_empty() {
            return Err(BlobError::OutOfRange { start: range.start, size: blob_size });
        }
        let size = range.end - range.start;
        let found = self.fetch(digest, GetOptions::new().with_range(Some(range))).await?;
        let chunks = self.chunks_of(found, *digest)?;
        let counted = try_unfold((chunks, size), |(mut chunks, left)| async move {
            match chunks.try_next().await? {
                Some(chunk) if chunk.len() as u64 <= left => {
                    let left = left - chunk.len() as u64;
                    Ok(Some((chunk, (chunks, left))))
                }
                None if left == 0 => Ok(None),
                _ => Err(BlobError::unavailable(OPERATION, "the store sent another length than it has")),
            }
        });
        Ok(BlobStream { size, blob_size, chunks: counted.boxed() })
    }

    /// The verified blob as a file for code that blocks: its own in a local store, else a download
    /// that counts against `max_spool_bytes`.
    pub async fn open_file(&self, digest: &Digest) -> Result<BlobFile, BlobError> {
        match &self.0.local {
            Some(local) => open_local(local.path(digest), *digest).await,
            None => self.download(digest).await,
        }
    }

    async fn download(&self, digest: &Digest) -> Result<BlobFile, BlobError> {
        let mut stream = self.read(digest).await?;
        let mut spool = self.spool_limited(stream.size)?;
        while let Some(chunk) = stream.try_next().await? {
            spool.write(&chunk).await?;
        }
        let download = spool.finish().await?;
        let (file, path, size) = (download.open()?, download.path().to_path_buf(), download.size());
        Ok(BlobFile { file, path, size, _download: Some(download) })
    }

    async fn fetch(&self, digest: &Digest, options: GetOptions) -> Result<GetResult, BlobError> {
        let key = self.key(digest);
        self.deadline(OPERATION, digest, self.0.store.get_opts(&key, options)).await
    }

    fn chunks_of(
        &self,
        found: GetResult,
        digest: Digest,
    ) -> Result<BoxStream<'static, Result<Bytes, BlobError>>, BlobError> {
        match found.payload {
            GetResultPayload::File(file, _) => file_chunks(file, found.range),
            GetResultPayload::Stream(chunks) => {
                let options = &self.0.options;
                let limit_ms = options.retry_timeout_ms.saturating_add(options.request_timeout_ms);
                Ok(remote_chunks(chunks, digest, limit_ms))
            }
        }
    }
}

/// The chunks of a stored file, larger than `object_store` would read them.
fn file_chunks(
    mut file: File,
    range: Range<u64>,
) -> Result<BoxStream<'static, Result<Bytes, BlobError>>, BlobError> {
    file.seek(SeekFrom::Start(range.start)).map_err(|e| BlobError::from_io(OPERATION, e))?;
    let state = (ChunkReader::new(file), range.end - range.start);
    let chunks = try_unfold(state, |(mut reader, left)| async move {
        if left == 0 {
            return Ok(None);
        }
        let Some(mut chunk) = reader.next().await? else { return Ok(None) };
        chunk.truncate(usize::try_from(left).unwrap_or(usize::MAX));
        let left = left - chunk.len() as u64;
        Ok(Some((chunk, (reader, left))))
    });
    Ok(chunks.boxed())
}

/// The chunks of a response; only the store's silence counts against the limit, not the reader's.
fn remote_chunks(
    chunks: BoxStream<'static, object_store::Result<Bytes>>,
    digest: Digest,
    limit_ms: u64,
) -> BoxStream<'static, Result<Bytes, BlobError>> {
    let chunks = try_unfold(chunks, move |mut chunks| async move {
        match tokio::time::timeout(Duration::from_millis(limit_ms), chunks.try_next()).await {
            Ok(Ok(next)) => Ok(next.map(|chunk| (chunk, chunks))),
            Ok(Err(error)) => Err(BlobError::from_store(OPERATION, digest, error)),
            Err(_) => Err(BlobError::unavailable(OPERATION, format!("no more bytes within {limit_ms} ms"))),
        }
    });
    chunks.boxed()
}

/// The state of a verified read.
struct Verified {
    chunks: BoxStream<'static, Result<Bytes, BlobError>>,
    /// Taken when the end was seen.
    hasher: Option<Hasher>,
    /// The chunk not handed out yet.
    held: Option<Bytes>,
    digest: Digest,
    size: u64,
}

impl Verified {
    async fn next(&mut self) -> Result<Option<Bytes>, BlobError> {
        let Some(hasher) = &mut self.hasher else { return Ok(None) };
        while let Some(chunk) = self.chunks.try_next().await? {
            if chunk.is_empty() {
                continue;
            }
            hasher.update(&chunk);
            if hasher.size() > self.size {
                return Err(BlobError::unavailable(OPERATION, "the store sent more bytes than it announced"));
            }
            if let Some(ready) = self.held.replace(chunk) {
                return Ok(Some(ready));
            }
        }
        if hasher.size() < self.size {
            return Err(BlobError::unavailable(OPERATION, "the store sent fewer bytes than it announced"));
        }
        let found = self.hasher.take().map(Hasher::finish);
        match found {
            Some(found) if found != self.digest => {
                tracing::error!(digest = %self.digest, %found, "a stored blob is damaged");
                Err(BlobError::Corrupt { digest: self.digest, found })
            }
            _ => Ok(self.held.take()),
        }
    }
}

async fn open_local(path: PathBuf, digest: Digest) -> Result<BlobFile, BlobError> {
    blocking(OPERATION, move || {
        let mut file = File::open(&path).map_err(|e| match e.kind() {
            io::ErrorKind::NotFound => BlobError::Missing { digest },
            _ => BlobError::from_io(OPERATION, e),
        })?;
        let found = hash(&mut file)?;
        if found.digest != digest {
            tracing::error!(%digest, found = %found.digest, "a stored blob is damaged");
            return Err(BlobError::Corrupt { digest, found: found.digest });
        }
        file.rewind().map_err(|e| BlobError::from_io(OPERATION, e))?;
        Ok(BlobFile { file, path, size: found.size, _download: None })
    })
    .await
}
