//! Pushing blobs: at once, in chunks, or mounted from another repository. Each chunk is stored before it
//! is acknowledged, so that any server can take the next one.

use std::time::Duration;

use axum::body::Body;
use axum::http::header::{CONTENT_RANGE, HeaderName, LOCATION, RANGE};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use chrono::Utc;
use futures::TryStreamExt as _;
use slipway_objects::{Blob, Spool};
use slipway_oci::builtin::RegistryError;
use slipway_records::{Upload, UploadPart};
use slipway_types::Digest;
use slipway_types::id::UploadId;

use super::access::{Right, allow, may};
use super::answer::{Refusal, Result, created, header_value};
use super::lists::parameter;
use super::range::chunk;
use crate::auth::Caller;
use crate::problem::ApiError;
use crate::state::ServerState;

const HEADER_UPLOAD_ID: HeaderName = HeaderName::from_static("docker-upload-uuid");

/// `POST …/blobs/uploads/`.
pub(super) async fn begin(
    state: &ServerState,
    caller: &Caller,
    repository: &str,
    request: &Parts,
    body: Body,
) -> Result<Response> {
    allow(state, caller, repository, Right::Push).await?;
    if let Some(digest) = parameter(request, "mount") {
        let digest: Digest = digest.parse().map_err(RegistryError::from)?;
        if let Some(from) = parameter(request, "from")
            && may(state, caller, &from, Right::Pull).await?
            && state.registry.mount(&from, repository, &digest).await?
        {
            return created(&format!("/v2/{repository}/blobs/{digest}"), &digest);
        }
    } else if let Some(digest) = parameter(request, "digest") {
        let digest: Digest = digest.parse().map_err(RegistryError::from)?;
        let spool = take_in(state, body, state.options.max_upload_bytes).await?;
        return store(state, repository, spool, &digest).await;
    }
    let upload = Upload { id: UploadId::new(), repository: repository.to_owned(), parts: Vec::new() };
    let mut tx = state.records.begin().await?;
    tx.upload_begin(upload.id, repository, Utc::now()).await?;
    tx.commit().await?;
    progress(&upload, StatusCode::ACCEPTED)
}

/// Everything under `…/blobs/uploads/ID`.
pub(super) async fn go_on(
    state: &ServerState,
    caller: &Caller,
    repository: &str,
    id: &str,
    request: &Parts,
    body: Body,
) -> Result<Response> {
    allow(state, caller, repository, Right::Push).await?;
    let upload = find(state, repository, id).await?;
    match request.method {
        Method::PATCH => {
            check_place(&upload, &request.headers)?;
            check_parts(state, &upload)?;
            // A client that goes away ends its request here, but what it sent is still kept.
            let appending = tokio::spawn(append(state.clone(), upload, body));
            appending.await.map_err(|error| Refusal::from(ApiError::internal(&error)))?
        }
        Method::PUT => finish(state, &upload, request, body).await,
        Method::GET => progress(&upload, StatusCode::NO_CONTENT),
        Method::DELETE => {
            forget(state, upload.id).await?;
            Ok(StatusCode::NO_CONTENT.into_response())
        }
        _ => Err(Refusal::unsupported("this method on uploads")),
    }
}

async fn find(state: &ServerState, repository: &str, id: &str) -> Result<Upload> {
    let id: UploadId = id.parse().map_err(|_| Refusal::upload_unknown())?;
    let upload = state.records.read().await?.upload_get(id).await?;
    upload.filter(|upload| upload.repository == repository).ok_or_else(Refusal::upload_unknown)
}

async fn forget(state: &ServerState, id: UploadId) -> Result<()> {
    let mut tx = state.records.begin().await?;
    tx.upload_remove(id).await?;
    Ok(tx.commit().await?)
}

fn location(upload: &Upload) -> String {
    format!("/v2/{}/blobs/uploads/{}", upload.repository, upload.id)
}

fn range(size: u64) -> String {
    format!("0-{}", size.saturating_sub(1))
}

fn progress(upload: &Upload, status: StatusCode) -> Result<Response> {
    let mut response = status.into_response();
    let headers = response.headers_mut();
    headers.insert(LOCATION, header_value(&location(upload))?);
    headers.insert(RANGE, header_value(&range(upload.size()))?);
    headers.insert(HEADER_UPLOAD_ID, header_value(&upload.id.to_string())?);
    Ok(response)
}

fn out_of_place(upload: &Upload, message: String) -> Refusal {
    Refusal::new(StatusCode::RANGE_NOT_SATISFIABLE, "BLOB_UPLOAD_INVALID", message)
        .header(LOCATION, &location(upload))
        .header(RANGE, &range(upload.size()))
}

/// Refuses a chunk that does not begin where the upload stands.
fn check_place(upload: &Upload, headers: &HeaderMap) -> Result<()> {
    let Some(header) = headers.get(CONTENT_RANGE) else { return Ok(()) };
    let size = upload.size();
    match header.to_str().ok().and_then(chunk) {
        Some((first, _)) if first == size => Ok(()),
        Some((first, _)) => {
            let message = format!("the chunk begins at {first}, the upload stands at {size}");
            Err(out_of_place(upload, message))
        }
        None => Err(out_of_place(upload, "Content-Range is not FIRST-LAST".to_owned())),
    }
}

/// Refuses a chunk too many.
fn check_parts(state: &ServerState, upload: &Upload) -> Result<()> {
    let max_parts = state.options.max_upload_parts;
    if upload.parts.len() < max_parts {
        return Ok(());
    }
    let message = format!("an upload has at most {max_parts} chunks: send larger ones");
    Err(Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, "SIZE_INVALID", message))
}

/// A body that did not come whole, with what came of it.
struct BrokenOff {
    spool: Spool,
    refusal: Refusal,
}

impl From<Box<BrokenOff>> for Refusal {
    fn from(broken: Box<BrokenOff>) -> Self {
        broken.refusal
    }
}

async fn take_in(state: &ServerState, body: Body, max_bytes: u64) -> Result<Spool> {
    let spool = state.blobs.spool_limited(max_bytes)?;
    Ok(spool_body(state, spool, body).await?)
}

async fn spool_body(state: &ServerState, mut spool: Spool, body: Body) -> Result<Spool, Box<BrokenOff>> {
    let idle_timeout = Duration::from_millis(state.options.upload_idle_timeout_ms);
    let mut chunks = body.into_data_stream();
    loop {
        let next = tokio::time::timeout(idle_timeout, chunks.try_next()).await;
        let refusal = match next {
            Ok(Ok(Some(chunk))) => match spool.write(&chunk).await {
                Ok(()) => continue,
                Err(error) => error.into(),
            },
            Ok(Ok(None)) => return Ok(spool),
            Ok(Err(_)) => Refusal::new(StatusCode::BAD_REQUEST, "BLOB_UPLOAD_INVALID", "the body broke off"),
            Err(_) => {
                let message = "nothing came within upload_idle_timeout_ms";
                Refusal::new(StatusCode::REQUEST_TIMEOUT, "BLOB_UPLOAD_INVALID", message)
            }
        };
        return Err(Box::new(BrokenOff { spool, refusal }));
    }
}

/// Stores a chunk. What arrived before it broke off is kept: the client can resume.
async fn append(state: ServerState, mut upload: Upload, body: Body) -> Result<Response> {
    let max_bytes = state.options.max_upload_bytes.saturating_sub(upload.size());
    let spool = state.blobs.spool_limited(max_bytes)?;
    let (spool, refusal) = match spool_body(&state, spool, body).await {
        Ok(spool) => (spool, None),
        Err(broken) => (broken.spool, Some(broken.refusal)),
    };
    keep(&state, &mut upload, spool).await?;
    refusal.map_or_else(|| progress(&upload, StatusCode::ACCEPTED), Err)
}

/// Stores what was spooled as the upload's next part.
async fn keep(state: &ServerState, upload: &mut Upload, spool: Spool) -> Result<()> {
    if spool.size() == 0 {
        return Ok(());
    }
    let blob = state.blobs.put_spooled(spool.finish().await?).await?;
    let part = UploadPart { offset: upload.size(), length: blob.size, digest: blob.digest };
    let mut tx = state.records.begin().await?;
    if !tx.upload_append(upload.id, &part, Utc::now()).await? {
        return Err(out_of_place(upload, "another chunk came meanwhile".to_owned()));
    }
    tx.commit().await?;
    upload.parts.push(part);
    Ok(())
}

async fn finish(state: &ServerState, upload: &Upload, request: &Parts, body: Body) -> Result<Response> {
    let digest = parameter(request, "digest")
        .ok_or_else(|| Refusal::digest_invalid("the last request of an upload names its digest"))?;
    let digest: Digest = digest.parse().map_err(RegistryError::from)?;
    check_place(upload, &request.headers)?;
    let last = take_in(state, body, state.options.max_upload_bytes.saturating_sub(upload.size())).await?;
    let stored = match upload.parts.as_slice() {
        // Nothing is written twice: the part is the blob.
        [only] if last.size() == 0 => {
            check_digest(only.digest, &digest).map(|()| Blob { digest, size: only.length })
        }
        [] => put(state, last, &digest).await,
        parts => put(state, join(state, parts, last).await?, &digest).await,
    };
    let blob = match stored {
        Ok(blob) => blob,
        Err(refusal) => {
            // Another digest than was said does not get better by repeating the last request.
            if refusal.is_digest_invalid() {
                forget(state, upload.id).await?;
            }
            return Err(refusal);
        }
    };
    state.registry.link_blob(&upload.repository, &blob).await?;
    forget(state, upload.id).await?;
    created(&format!("/v2/{}/blobs/{digest}", upload.repository), &digest)
}

/// All parts in one spool.
async fn join(state: &ServerState, parts: &[UploadPart], last: Spool) -> Result<Spool> {
    let mut whole = state.blobs.spool_limited(state.options.max_upload_bytes)?;
    for part in parts {
        copy(state, &part.digest, &mut whole).await?;
    }
    if last.size() > 0 {
        let last = state.blobs.put_spooled(last.finish().await?).await?;
        copy(state, &last.digest, &mut whole).await?;
    }
    Ok(whole)
}

async fn copy(state: &ServerState, digest: &Digest, whole: &mut Spool) -> Result<()> {
    let mut stream = state.blobs.read(digest).await?;
    while let Some(bytes) = stream.try_next().await? {
        whole.write(&bytes).await?;
    }
    Ok(())
}

fn check_digest(found: Digest, said: &Digest) -> Result<()> {
    if found == *said {
        return Ok(());
    }
    Err(Refusal::digest_invalid(format!("the blob's digest is {found}")))
}

async fn put(state: &ServerState, spool: Spool, digest: &Digest) -> Result<Blob> {
    let spooled = spool.finish().await?;
    check_digest(spooled.digest(), digest)?;
    Ok(state.blobs.put_spooled(spooled).await?)
}

/// Stores a whole blob under its digest and links it into the repository.
async fn store(state: &ServerState, repository: &str, spool: Spool, digest: &Digest) -> Result<Response> {
    let blob = put(state, spool, digest).await?;
    state.registry.link_blob(repository, &blob).await?;
    created(&format!("/v2/{repository}/blobs/{digest}"), digest)
}
