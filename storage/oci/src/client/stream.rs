//! Blobs that are passed on as they come, verified on the way.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures::stream::{BoxStream, try_unfold};
use futures::{Stream, StreamExt};
use reqwest::Response;
use slipway_types::{Digest, Hasher, ImageReference};

use super::Inner;
use super::endpoint::Endpoint;
use crate::error::ImageError;
use crate::manifest::Descriptor;

/// The bytes of a blob on their way from a registry. If they are not those of its digest, the stream
/// ends in an error and has delivered fewer than `size`, so an HTTP body with a length is cut.
pub struct RemoteBlob {
    /// How many bytes come if nothing goes wrong.
    pub size: u64,
    chunks: BoxStream<'static, Result<Bytes, ImageError>>,
}

impl Stream for RemoteBlob {
    type Item = Result<Bytes, ImageError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.chunks.poll_next_unpin(context)
    }
}

impl std::fmt::Debug for RemoteBlob {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "RemoteBlob({} bytes)", self.size)
    }
}

impl Inner {
    pub(super) async fn open_blob(
        &self,
        endpoint: &Endpoint,
        image: &ImageReference,
        wanted: &Descriptor,
    ) -> Result<RemoteBlob, ImageError> {
        let ask = Self::blob_get(endpoint, image, &wanted.digest);
        let response = self.send(&ask).await?;
        let response = self.expect_success(&ask, response).await?;
        let arriving = Arriving {
            host: endpoint.host.clone(),
            what: ask.what.clone(),
            idle_timeout_ms: self.options.idle_timeout_ms,
            hasher: Some(Hasher::new()),
            held: None,
            digest: wanted.digest,
            size: wanted.size,
            response,
        };
        if let Some(length) = arriving.response.content_length().filter(|length| *length != wanted.size) {
            return Err(arriving.corrupt(format!("{length} bytes instead of {}", wanted.size)));
        }
        let chunks = try_unfold(arriving, |mut arriving| async move {
            Ok(arriving.next().await?.map(|chunk| (chunk, arriving)))
        });
        Ok(RemoteBlob { size: wanted.size, chunks: chunks.boxed() })
    }
}

/// The state of a verified transfer.
struct Arriving {
    response: Response,
    host: String,
    what: String,
    idle_timeout_ms: u64,
    /// Taken when the end was seen.
    hasher: Option<Hasher>,
    /// The piece not passed on yet.
    held: Option<Bytes>,
    digest: Digest,
    size: u64,
}

impl Arriving {
    async fn next(&mut self) -> Result<Option<Bytes>, ImageError> {
        while self.hasher.is_some() {
            let Some(chunk) = self.chunk().await? else { return self.end() };
            let Some(hasher) = &mut self.hasher else { break };
            hasher.update(&chunk);
            if hasher.size() > self.size {
                return Err(self.corrupt(format!("more than its {} bytes", self.size)));
            }
            if let Some(ready) = self.held.replace(chunk) {
                return Ok(Some(ready));
            }
        }
        Ok(None)
    }

    /// The last piece, if all were the right ones.
    fn end(&mut self) -> Result<Option<Bytes>, ImageError> {
        let found = self.hasher.take().map(|hasher| (hasher.size(), hasher.finish()));
        match found {
            Some((size, _)) if size != self.size => {
                Err(self.corrupt(format!("{size} bytes instead of {}", self.size)))
            }
            Some((_, digest)) if digest != self.digest => Err(self.corrupt(format!("bytes of {digest}"))),
            _ => Ok(self.held.take()),
        }
    }

    async fn chunk(&mut self) -> Result<Option<Bytes>, ImageError> {
        let idle = Duration::from_millis(self.idle_timeout_ms);
        let chunk = tokio::time::timeout(idle, self.response.chunk()).await.map_err(|_| {
            let what = format!("go on sending {}", self.what);
            let (host, limit_ms) = (self.host.clone(), self.idle_timeout_ms);
            ImageError::Timeout { host, what, limit: "idle_timeout_ms", limit_ms }
        })?;
        chunk.map_err(|error| {
            let error = error.without_url();
            let (host, detail) = (self.host.clone(), format!("{} broke off", self.what));
            ImageError::Unreachable { host, detail, source: error.into() }
        })
    }

    fn corrupt(&self, detail: String) -> ImageError {
        ImageError::Corrupt { host: self.host.clone(), wanted: self.digest, detail }
    }
}
