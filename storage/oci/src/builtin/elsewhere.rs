//! Blobs of the built-in registry whose bytes another registry keeps.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures::{Stream, StreamExt};
use slipway_objects::{Blob, BlobError, BlobStream};
use slipway_types::{Digest, ImageReference};

use super::{BuiltinRegistry, RegistryError, Result};
use crate::client::{Registries, RemoteBlob};
use crate::error::ImageError;
use crate::manifest::Descriptor;
use crate::source::ImageSource;

/// Origins looked at when a blob is pushed; one is enough, the others may be of other registries.
const MAX_ORIGINS: u32 = 20;

/// All bytes of a blob, from wherever they lie. What turns out damaged ends in an error before its
/// last bytes.
#[derive(Debug)]
pub enum BlobBody {
    /// From the object store.
    Here(BlobStream),
    /// From another registry, passed on as they come.
    Elsewhere(RemoteBlob),
}

impl BlobBody {
    /// How many bytes come if nothing goes wrong.
    pub fn size(&self) -> u64 {
        match self {
            Self::Here(stream) => stream.size,
            Self::Elsewhere(stream) => stream.size,
        }
    }
}

impl Stream for BlobBody {
    type Item = Result<Bytes>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        match self.get_mut() {
            Self::Here(stream) => stream.poll_next_unpin(context).map_err(RegistryError::from),
            Self::Elsewhere(stream) => stream.poll_next_unpin(context).map_err(RegistryError::from),
        }
    }
}

impl BuiltinRegistry {
    /// The bytes of a blob that the repository holds.
    pub async fn read_blob(&self, repository: &str, blob: &Blob) -> Result<BlobBody> {
        match self.blobs.read(&blob.digest).await {
            Err(BlobError::Missing { digest }) => {
                let Some(origin) = self.origin(repository, &digest).await? else {
                    return Err(BlobError::Missing { digest }.into());
                };
                let upstream = self.upstream(&origin)?;
                Ok(BlobBody::Elsewhere(upstream.open_blob(&origin, &described(blob)).await?))
            }
            found => Ok(BlobBody::Here(found?)),
        }
    }

    /// Brings a blob that the repository holds into the object store.
    pub(crate) async fn bring_blob(&self, repository: &str, blob: &Blob) -> Result<(), ImageError> {
        if let Some(origin) = self.origin(repository, &blob.digest).await? {
            self.upstream(&origin)?.fetch_blob(&origin, &described(blob)).await?;
        }
        Ok(())
    }

    /// A repository of `host` that is known to hold the blob.
    pub(crate) async fn repository_at(&self, host: &str, digest: &Digest) -> Result<Option<String>> {
        let mut read = self.records.read().await?;
        let origins = read.blob_origins(digest, MAX_ORIGINS).await?;
        Ok(origins.into_iter().find(|origin| origin.host == host).map(|origin| origin.repository))
    }

    async fn origin(&self, repository: &str, digest: &Digest) -> Result<Option<ImageReference>> {
        Ok(self.records.read().await?.blob_origin(repository, digest).await?)
    }

    fn upstream(&self, origin: &ImageReference) -> Result<&Registries> {
        self.upstream.as_ref().ok_or_else(|| {
            let why = "this server is not set up to ask it".to_owned();
            ImageError::AddressRefused { host: origin.host.clone(), why }.into()
        })
    }
}

fn described(blob: &Blob) -> Descriptor {
    Descriptor::new("application/octet-stream", blob.digest, blob.size)
}
