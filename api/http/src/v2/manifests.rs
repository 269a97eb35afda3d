//! Manifests by tag or digest.

use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE, ETAG, HeaderMap, HeaderName};
use axum::http::request::Parts;
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use slipway_oci::builtin::{NewManifest, RegistryError};
use slipway_types::{Digest, media_type};

use super::access::{Right, allow};
use super::answer::{CONTENT_DIGEST, Refusal, Result, created, header_value};
use crate::auth::Caller;
use crate::state::ServerState;

/// Tells a pusher that its referrer is listed.
const SUBJECT: HeaderName = HeaderName::from_static("oci-subject");

pub(super) async fn answer(
    state: &ServerState,
    caller: &Caller,
    repository: &str,
    reference: &str,
    request: &Parts,
    body: Body,
) -> Result<Response> {
    let right = match request.method {
        Method::PUT => Right::Push,
        Method::DELETE => Right::Delete,
        _ => Right::Pull,
    };
    allow(state, caller, repository, right).await?;
    match request.method {
        Method::HEAD => {
            let row = state.registry.find_manifest(repository, reference).await?;
            Ok((headers(&row.media_type, &row.digest, row.size)?, Body::empty()).into_response())
        }
        Method::GET => {
            let (row, bytes) = state.registry.get_manifest(repository, reference).await?;
            Ok((headers(&row.media_type, &row.digest, row.size)?, bytes).into_response())
        }
        Method::PUT => put(state, repository, reference, &request.headers, body).await,
        Method::DELETE => {
            state.registry.delete_manifest(repository, reference).await?;
            Ok(StatusCode::ACCEPTED.into_response())
        }
        _ => Err(Refusal::unsupported("this method on manifests")),
    }
}

fn headers(media_type: &str, digest: &Digest, size: u64) -> Result<HeaderMap> {
    Ok(HeaderMap::from_iter([
        (CONTENT_TYPE, header_value(media_type)?),
        (CONTENT_LENGTH, size.into()),
        (ETAG, header_value(&format!("\"{digest}\""))?),
        (CONTENT_DIGEST, header_value(&digest.to_string())?),
    ]))
}

async fn put(
    state: &ServerState,
    repository: &str,
    reference: &str,
    headers: &HeaderMap,
    body: Body,
) -> Result<Response> {
    let sent_as = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let sent_as = sent_as.and_then(|value| value.split(';').next()).map(|value| value.trim().to_owned());
    let bytes = bounded(state, body, headers).await?;
    let mut manifest = NewManifest::new(repository, bytes);
    // Without a type of its own, `mediaType` in the manifest decides.
    manifest.media_type =
        sent_as.filter(|sent| !matches!(sent.as_str(), "" | "application/json" | "application/octet-stream"));
    if reference.contains(':') {
        let named: Digest = reference.parse().map_err(RegistryError::from)?;
        let found = Digest::of(&manifest.bytes);
        if named != found {
            return Err(Refusal::digest_invalid(format!("the manifest's digest is {found}")));
        }
    } else {
        manifest = manifest.tagged(reference);
    }
    let stored = state.registry.put_manifest(manifest).await?;
    let mut response = created(&format!("/v2/{repository}/manifests/{}", stored.digest()), &stored.digest())?;
    if let Some(subject) = stored.subject() {
        response.headers_mut().insert(SUBJECT, header_value(&subject.to_string())?);
    }
    Ok(response)
}

/// The body, if it is no larger than a manifest may be.
async fn bounded(state: &ServerState, body: Body, headers: &HeaderMap) -> Result<Bytes> {
    let max_bytes = state.options.max_manifest_bytes;
    let limit = Duration::from_millis(state.options.request_timeout_ms);
    let too_large = || Refusal::too_large("manifest", max_bytes as u64);
    let announced = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|length| length > max_bytes as u64) {
        return Err(too_large());
    }
    let read = tokio::time::timeout(limit, to_bytes(body, max_bytes)).await.map_err(|_| {
        Refusal::new(StatusCode::REQUEST_TIMEOUT, "MANIFEST_INVALID", "the body came too slowly")
    })?;
    read.map_err(|error| {
        if crate::extract::is_length_limit(&error) {
            too_large()
        } else {
            Refusal::new(StatusCode::BAD_REQUEST, "MANIFEST_INVALID", "the body broke off")
        }
    })
}

/// The media type of lists of referrers.
pub(super) const INDEX: &str = media_type::OCI_INDEX;
