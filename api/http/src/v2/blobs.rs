//! Blobs: looking, pulling whole or in part, taking out of a repository.

use axum::body::Body;
use axum::http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, HeaderMap, RANGE,
};
use axum::http::request::Parts;
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use slipway_objects::{Blob, BlobError};
use slipway_oci::builtin::RegistryError;
use slipway_types::Digest;

use super::access::{Right, allow};
use super::answer::{CONTENT_DIGEST, Refusal, Result, header_value};
use super::range::{Wanted, wanted};
use crate::auth::Caller;
use crate::state::ServerState;

/// What a digest names never changes.
const FOR_EVER: &str = "private, max-age=31536000, immutable";

pub(super) async fn answer(
    state: &ServerState,
    caller: &Caller,
    repository: &str,
    digest: &str,
    request: &Parts,
) -> Result<Response> {
    let right = if request.method == Method::DELETE { Right::Delete } else { Right::Pull };
    allow(state, caller, repository, right).await?;
    let digest: Digest = digest.parse().map_err(RegistryError::from)?;
    match request.method {
        Method::HEAD => head(state, repository, &digest).await,
        Method::GET => get(state, repository, &digest, request).await,
        Method::DELETE => {
            if state.registry.delete_blob(repository, &digest).await? {
                Ok(StatusCode::ACCEPTED.into_response())
            } else {
                Err(RegistryError::BlobUnknown { digest }.into())
            }
        }
        _ => Err(Refusal::unsupported("this method on blobs")),
    }
}

async fn size_of(state: &ServerState, repository: &str, digest: &Digest) -> Result<u64> {
    let size = state.registry.has_blob(repository, digest).await?;
    size.ok_or_else(|| RegistryError::BlobUnknown { digest: *digest }.into())
}

fn headers(digest: &Digest, length: u64) -> Result<HeaderMap> {
    Ok(HeaderMap::from_iter([
        (CONTENT_TYPE, header_value("application/octet-stream")?),
        (CONTENT_LENGTH, length.into()),
        (ACCEPT_RANGES, header_value("bytes")?),
        (CACHE_CONTROL, header_value(FOR_EVER)?),
        (ETAG, header_value(&format!("\"{digest}\""))?),
        (CONTENT_DIGEST, header_value(&digest.to_string())?),
    ]))
}

async fn head(state: &ServerState, repository: &str, digest: &Digest) -> Result<Response> {
    let size = size_of(state, repository, digest).await?;
    Ok((headers(digest, size)?, Body::empty()).into_response())
}

async fn get(state: &ServerState, repository: &str, digest: &Digest, request: &Parts) -> Result<Response> {
    let size = size_of(state, repository, digest).await?;
    let blob = Blob { digest: *digest, size };
    let range = request.headers.get(RANGE).and_then(|range| range.to_str().ok());
    match wanted(range, size) {
        Wanted::Whole => whole(state, repository, &blob).await,
        Wanted::Part(part) => {
            let (first, last) = (part.start, part.end - 1);
            let stream = match state.blobs.read_range(digest, part).await {
                // Another registry may keep it, and what comes from there is verified as a whole only.
                Err(BlobError::Missing { .. }) => return whole(state, repository, &blob).await,
                found => found?,
            };
            let mut headers = headers(digest, stream.size)?;
            headers.insert(CONTENT_RANGE, header_value(&format!("bytes {first}-{last}/{size}"))?);
            Ok((StatusCode::PARTIAL_CONTENT, headers, Body::from_stream(stream)).into_response())
        }
        Wanted::Unsatisfiable => {
            let message = format!("the blob has {size} bytes");
            Err(Refusal::new(StatusCode::RANGE_NOT_SATISFIABLE, "SIZE_INVALID", message)
                .header(CONTENT_RANGE, &format!("bytes */{size}")))
        }
    }
}

/// A body that turns out damaged is cut before its end, never completed.
async fn whole(state: &ServerState, repository: &str, blob: &Blob) -> Result<Response> {
    let body = state.registry.read_blob(repository, blob).await?;
    Ok((headers(&blob.digest, body.size())?, Body::from_stream(body)).into_response())
}
