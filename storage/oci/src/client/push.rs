//! Writing to a registry.

use bytes::Bytes;
use reqwest::header::{CONTENT_TYPE, HeaderValue};
use reqwest::{Method, StatusCode};
use slipway_objects::Blob;
use slipway_types::{Digest, ImageReference};
use url::Url;

use super::Inner;
use super::endpoint::Endpoint;
use super::pull::content_digest;
use super::request::{Ask, Body, location};
use crate::error::ImageError;

impl Inner {
    /// One request of a push: HEAD asks, POST opens the upload, PUT sends all of it.
    fn blob_ask<'a>(
        endpoint: &'a Endpoint,
        image: &'a ImageReference,
        digest: &Digest,
        method: Method,
        url: Url,
        body: Body<'a>,
    ) -> Ask<'a> {
        let what = format!("blob {digest} of {}", image.repository);
        Ask {
            endpoint,
            repository: &image.repository,
            push: true,
            what,
            method,
            url,
            headers: Vec::new(),
            body,
        }
    }

    pub(super) async fn push_blob(
        &self,
        endpoint: &Endpoint,
        image: &ImageReference,
        blob: &Blob,
        from: Option<&str>,
    ) -> Result<(), ImageError> {
        let ask = |method, url, body| Self::blob_ask(endpoint, image, &blob.digest, method, url, body);
        let url = endpoint.url(&image.repository, "blobs", &blob.digest.to_string());
        let head = ask(Method::HEAD, url, Body::None);
        let response = self.send(&head).await?;
        if response.status() != StatusCode::NOT_FOUND {
            return self.expect_success(&head, response).await.map(|_| ());
        }
        let Some(mut url) = self.open_upload(endpoint, image, &blob.digest, from).await? else {
            return Ok(());
        };
        url.query_pairs_mut().append_pair("digest", &blob.digest.to_string());
        let put = ask(Method::PUT, url, Body::Blob(blob));
        let response = self.send(&put).await?;
        self.expect_success(&put, response).await.map(|_| ())
    }

    /// Where to send the blob; `None` if it was mounted and need not be sent.
    async fn open_upload(
        &self,
        endpoint: &Endpoint,
        image: &ImageReference,
        digest: &Digest,
        from: Option<&str>,
    ) -> Result<Option<Url>, ImageError> {
        let uploads = endpoint.url(&image.repository, "blobs", "uploads/");
        let ask = |url| Self::blob_ask(endpoint, image, digest, Method::POST, url, Body::None);
        if let Some(from) = from.filter(|from| *from != image.repository) {
            let mut url = uploads.clone();
            url.query_pairs_mut().append_pair("mount", &digest.to_string()).append_pair("from", from);
            let mount = ask(url);
            let response = self.send(&mount).await?;
            match response.status() {
                StatusCode::CREATED => return Ok(None),
                StatusCode::ACCEPTED => return self.upload_location(&mount, &response).map(Some),
                // One that cannot mount may take an upload all the same, or says there why not.
                _ => {}
            }
        }
        let open = ask(uploads);
        let response = self.send(&open).await?;
        let response = self.expect_success(&open, response).await?;
        self.upload_location(&open, &response).map(Some)
    }

    fn upload_location(&self, ask: &Ask<'_>, response: &reqwest::Response) -> Result<Url, ImageError> {
        let url = location(ask, &ask.url, response)?;
        self.check_sent_to(ask.endpoint, &url)?;
        Ok(url)
    }

    pub(super) async fn push_manifest(
        &self,
        endpoint: &Endpoint,
        image: &ImageReference,
        bytes: &Bytes,
        media_type: &str,
    ) -> Result<Digest, ImageError> {
        let digest = Digest::of(bytes);
        let reference = image.tag.clone().unwrap_or_else(|| digest.to_string());
        let media_type = HeaderValue::from_str(media_type).expect("invariant: media types are ASCII");
        let ask = Ask {
            endpoint,
            repository: &image.repository,
            push: true,
            what: format!("manifest {reference} of {}", image.repository),
            method: Method::PUT,
            url: endpoint.url(&image.repository, "manifests", &reference),
            headers: vec![(CONTENT_TYPE, media_type)],
            body: Body::Bytes(bytes.clone()),
        };
        let response = self.send(&ask).await?;
        let response = self.expect_success(&ask, response).await?;
        match content_digest(&ask, &response)? {
            Some(other) if other != digest => {
                Err(ask.protocol(format!("it stored {other} instead of {digest}")))
            }
            _ => Ok(digest),
        }
    }
}
