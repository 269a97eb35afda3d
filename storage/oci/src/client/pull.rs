//! Reading from a registry.

use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderValue};
use reqwest::{Method, StatusCode};
use slipway_objects::{Blob, BlobError};
use slipway_types::{Digest, ImageReference};

use super::Inner;
use super::endpoint::Endpoint;
use super::request::{Ask, Body};
use crate::builtin::MANIFEST_TYPES;
use crate::error::ImageError;
use crate::manifest::Descriptor;
use crate::source::FetchedManifest;

const CONTENT_DIGEST: &str = "docker-content-digest";

impl Inner {
    /// The stored blob, if the object store has it.
    pub(super) async fn stored(&self, digest: &Digest) -> Result<Option<Blob>, ImageError> {
        Ok(self.blobs.head(digest).await?.map(|size| Blob { digest: *digest, size }))
    }

    fn manifest_ask<'a>(endpoint: &'a Endpoint, image: &'a ImageReference, method: Method) -> Ask<'a> {
        let accept =
            HeaderValue::from_str(&MANIFEST_TYPES.join(", ")).expect("invariant: media types are ASCII");
        Ask {
            endpoint,
            repository: &image.repository,
            push: false,
            what: format!("manifest {} of {}", image.manifest(), image.repository),
            method,
            url: endpoint.url(&image.repository, "manifests", &image.manifest()),
            headers: vec![(ACCEPT, accept)],
            body: Body::None,
        }
    }

    pub(super) async fn head_manifest(
        &self,
        endpoint: &Endpoint,
        image: &ImageReference,
    ) -> Result<Option<Digest>, ImageError> {
        let ask = Self::manifest_ask(endpoint, image, Method::HEAD);
        let response = self.send(&ask).await?;
        if response.status() == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        let response = self.expect_success(&ask, response).await?;
        if let Some(digest) = content_digest(&ask, &response)? {
            return Ok(Some(digest));
        }
        // The header is optional: the bytes tell.
        match self.fetch_manifest(endpoint, image).await {
            Ok(fetched) => Ok(Some(fetched.digest)),
            Err(ImageError::NotFound { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    pub(super) async fn fetch_manifest(
        &self,
        endpoint: &Endpoint,
        image: &ImageReference,
    ) -> Result<FetchedManifest, ImageError> {
        let ask = Self::manifest_ask(endpoint, image, Method::GET);
        let response = self.send(&ask).await?;
        let response = self.expect_success(&ask, response).await?;
        let promised = content_digest(&ask, &response)?;
        // Some registries send a general type; `mediaType` decides then.
        let sent_as = response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let sent_as = sent_as.and_then(|value| value.split(';').next()).map(str::trim);
        let sent_as = sent_as.filter(|value| MANIFEST_TYPES.contains(value)).map(str::to_owned);
        let bytes = self.read_all(&ask, response, self.options.max_manifest_bytes).await?;
        let found = Digest::of(&bytes);
        for wanted in image.digest.into_iter().chain(promised) {
            if wanted != found {
                let detail = format!("bytes of {found}");
                return Err(ImageError::Corrupt { host: endpoint.host.clone(), wanted, detail });
            }
        }
        FetchedManifest::read(image, bytes, sent_as.as_deref(), &self.limits)
    }

    pub(super) fn blob_get<'a>(
        endpoint: &'a Endpoint,
        image: &'a ImageReference,
        digest: &Digest,
    ) -> Ask<'a> {
        Ask {
            endpoint,
            repository: &image.repository,
            push: false,
            what: format!("blob {digest} of {}", image.repository),
            method: Method::GET,
            url: endpoint.url(&image.repository, "blobs", &digest.to_string()),
            headers: Vec::new(),
            body: Body::None,
        }
    }

    pub(super) async fn fetch_blob(
        &self,
        endpoint: &Endpoint,
        image: &ImageReference,
        wanted: &Descriptor,
    ) -> Result<Blob, ImageError> {
        if wanted.size > self.options.max_blob_bytes {
            return Err(BlobError::TooLarge { limit_bytes: self.options.max_blob_bytes }.into());
        }
        let ask = Self::blob_get(endpoint, image, &wanted.digest);
        let response = self.send(&ask).await?;
        let mut response = self.expect_success(&ask, response).await?;
        let corrupt = |detail: String| ImageError::Corrupt {
            host: endpoint.host.clone(),
            wanted: wanted.digest,
            detail,
        };
        let mut spool = self.blobs.spool_limited(wanted.size)?;
        while let Some(chunk) = self.next_chunk(&ask, &mut response).await? {
            match spool.write(&chunk).await {
                Err(BlobError::TooLarge { limit_bytes }) => {
                    return Err(corrupt(format!("more than its {limit_bytes} bytes")));
                }
                result => result?,
            }
        }
        let spooled = spool.finish().await?;
        if spooled.size() != wanted.size {
            return Err(corrupt(format!("{} bytes instead of {}", spooled.size(), wanted.size)));
        }
        if spooled.digest() != wanted.digest {
            return Err(corrupt(format!("bytes of {}", spooled.digest())));
        }
        Ok(self.blobs.put_spooled(spooled).await?)
    }
}

/// `Docker-Content-Digest`; one of another algorithm says nothing to us.
pub(super) fn content_digest(
    ask: &Ask<'_>,
    response: &reqwest::Response,
) -> Result<Option<Digest>, ImageError> {
    let Some(header) = response.headers().get(CONTENT_DIGEST) else { return Ok(None) };
    let text = header.to_str().map_err(|_| ask.protocol("its Docker-Content-Digest is not text"))?;
    if !text.starts_with("sha256:") {
        return Ok(None);
    }
    text.parse().map(Some).map_err(|_| ask.protocol("its Docker-Content-Digest is no digest"))
}
