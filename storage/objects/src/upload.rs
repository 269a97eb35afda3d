//! Files on their way to a store of another machine.

use std::fs::File;
use std::io::Read;

use bytes::{Bytes, BytesMut};
use object_store::{ObjectStoreExt, PutPayload, WriteMultipart};
use slipway_types::{Digest, Hasher};

use crate::blobs::{blocking, changed_meanwhile};
use crate::{Blob, BlobError, Blobs, CHUNK_BYTES, Spooled};

const OPERATION: &str = "store the blob";

/// S3 takes 10,000 parts at most.
const MAX_PARTS: u64 = 9_000;

impl Blobs {
    /// Writes the blob in one request.
    pub(crate) async fn put_whole(
        &self,
        blob: Blob,
        payload: impl Into<PutPayload>,
    ) -> Result<(), BlobError> {
        let key = self.key(&blob.digest);
        let put = self.0.store.put(&key, payload.into());
        self.deadline(OPERATION, &blob.digest, put).await.map(drop)
    }

    /// Writes the blob from its file, in parts if it is large. `keep` is held until the end.
    ///
    /// Runs to its end even if the caller goes away: the effect is harmless, parts without an end
    /// would stay in the store.
    pub(crate) async fn upload(
        &self,
        file: File,
        blob: Blob,
        keep: Option<Spooled>,
    ) -> Result<(), BlobError> {
        let blobs = self.clone();
        let task = tokio::spawn(async move {
            let result = if blob.size < blobs.0.options.multipart_threshold_bytes {
                blobs.upload_whole(file, blob).await
            } else {
                blobs.upload_parts(file, blob).await
            };
            drop(keep);
            result
        });
        task.await.unwrap_or_else(|panicked| Err(BlobError::unavailable(OPERATION, panicked)))
    }

    async fn upload_whole(&self, mut file: File, blob: Blob) -> Result<(), BlobError> {
        let bytes = blocking(OPERATION, move || {
            let mut bytes = Vec::with_capacity(usize::try_from(blob.size).unwrap_or(0));
            file.read_to_end(&mut bytes).map_err(|e| BlobError::from_io(OPERATION, e))?;
            Ok(bytes)
        })
        .await?;
        if Digest::of(&bytes) != blob.digest {
            return Err(changed_meanwhile());
        }
        self.put_whole(blob, Bytes::from(bytes)).await
    }

    async fn upload_parts(&self, file: File, blob: Blob) -> Result<(), BlobError> {
        let options = &self.0.options;
        let key = self.key(&blob.digest);
        let begin = self.0.store.put_multipart(&key);
        let upload = self.deadline(OPERATION, &blob.digest, begin).await?;
        let part_bytes = options.part_bytes.max(blob.size.div_ceil(MAX_PARTS));
        let part_bytes = usize::try_from(part_bytes).unwrap_or(usize::MAX);
        let mut writer = WriteMultipart::new_with_chunk_size(upload, part_bytes);
        match self.fill(&mut writer, file, blob).await {
            // Ends with abort on its own if a part failed.
            Ok(()) => self.deadline(OPERATION, &blob.digest, writer.finish()).await.map(drop),
            Err(error) => {
                let abort = self.deadline("abort the upload", &blob.digest, writer.abort()).await;
                if let Err(left) = abort {
                    tracing::warn!(digest = %blob.digest, error = %left, "parts of an upload stay in the store");
                }
                Err(error)
            }
        }
    }

    async fn fill(&self, writer: &mut WriteMultipart, file: File, blob: Blob) -> Result<(), BlobError> {
        let mut reader = ChunkReader::new(file);
        let mut hasher = Hasher::new();
        while let Some(chunk) = reader.next().await? {
            hasher.update(&chunk);
            let capacity = writer.wait_for_capacity(self.0.options.max_concurrent_parts);
            self.deadline(OPERATION, &blob.digest, capacity).await?;
            writer.put(chunk);
        }
        if hasher.finish() == blob.digest { Ok(()) } else { Err(changed_meanwhile()) }
    }
}

/// A file, chunk by chunk, read on a thread for blocking code.
pub(crate) struct ChunkReader {
    file: Option<File>,
}

impl ChunkReader {
    pub(crate) fn new(file: File) -> Self {
        Self { file: Some(file) }
    }

    /// The next chunk, `None` at the end; after an error, or if dropped half-way, the reader is spent.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, BlobError> {
        let Some(file) = self.file.take() else { return Ok(None) };
        let (file, chunk) = blocking("read the file", move || {
            let mut chunk = BytesMut::zeroed(CHUNK_BYTES);
            let mut filled = 0;
            while filled < CHUNK_BYTES {
                match (&file).read(&mut chunk[filled..]) {
                    Ok(0) => break,
                    Ok(read) => filled += read,
                    Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
                    Err(e) => return Err(BlobError::from_io("read the file", e)),
                }
            }
            chunk.truncate(filled);
            Ok((file, chunk.freeze()))
        })
        .await?;
        self.file = Some(file);
        Ok(Some(chunk).filter(|chunk| !chunk.is_empty()))
    }
}
