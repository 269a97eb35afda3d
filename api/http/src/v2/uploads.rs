//! Pushing blobs: at once, in chunks, or mounted from another repository.

use std::time::Duration;

use axum::body::Body;
use axum::http::header::{CONTENT_RANGE, HeaderName, LOCATION, RANGE, RETRY_AFTER};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use futures::TryStreamExt as _;
use slipway_objects::Spool;
use slipway_oci::builtin::RegistryError;
use slipway_types::Digest;

use super::access::{Right, allow, may};
use super::answer::{Refusal, Result, created, header_value};
use super::lists::parameter;
use super::range::chunk;
use super::session::Session;
use crate::auth::Caller;
use crate::state::ServerState;

const UPLOAD_ID: HeaderName = HeaderName::from_static("docker-upload-uuid");

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
        let mut spool = state.blobs.spool_limited(state.options.max_upload_bytes)?;
        take_in(state, &mut spool, body, None).await?;
        return store(state, repository, spool, &digest).await;
    }
    let spool = state.blobs.spool_limited(state.options.max_upload_bytes)?;
    let session = state.uploads.begin(repository, spool).ok_or_else(|| {
        let message = format!("max_uploads = {} uploads are under way", state.options.max_uploads);
        Refusal::new(StatusCode::TOO_MANY_REQUESTS, "TOOMANYREQUESTS", message).header(RETRY_AFTER, "5")
    })?;
    progress(&session, StatusCode::ACCEPTED, 0)
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
    let session = state.uploads.find(repository, id).ok_or_else(Refusal::upload_unknown)?;
    match request.method {
        Method::PATCH => append(state, &session, &request.headers, body).await,
        Method::PUT => finish(state, &session, request, body).await,
        Method::GET => {
            let spool = session.spool.lock().await;
            let size = spool.as_ref().ok_or_else(Refusal::upload_unknown)?.size();
            progress(&session, StatusCode::NO_CONTENT, size)
        }
        Method::DELETE => {
            state.uploads.end(session.id);
            Ok(StatusCode::NO_CONTENT.into_response())
        }
        _ => Err(Refusal::unsupported("this method on uploads")),
    }
}

fn location(session: &Session) -> String {
    format!("/v2/{}/blobs/uploads/{}", session.repository, session.id)
}

fn progress(session: &Session, status: StatusCode, size: u64) -> Result<Response> {
    let mut response = status.into_response();
    let headers = response.headers_mut();
    headers.insert(LOCATION, header_value(&location(session))?);
    headers.insert(RANGE, header_value(&format!("0-{}", size.saturating_sub(1)))?);
    headers.insert(UPLOAD_ID, header_value(&session.id.to_string())?);
    Ok(response)
}

/// Refuses a chunk that does not begin where the upload stands.
fn check_place(session: &Session, headers: &HeaderMap, size: u64) -> Result<()> {
    let Some(header) = headers.get(CONTENT_RANGE) else { return Ok(()) };
    let range = header.to_str().ok().and_then(chunk);
    let out_of_place = |message: String| {
        Refusal::new(StatusCode::RANGE_NOT_SATISFIABLE, "BLOB_UPLOAD_INVALID", message)
            .header(LOCATION, &location(session))
            .header(RANGE, &format!("0-{}", size.saturating_sub(1)))
    };
    match range {
        Some((first, _)) if first == size => Ok(()),
        Some((first, _)) => {
            Err(out_of_place(format!("the chunk begins at {first}, the upload stands at {size}")))
        }
        None => Err(out_of_place("Content-Range is not FIRST-LAST".to_owned())),
    }
}

/// Writes the body to the spool. What arrived before it broke off is kept: the client can resume.
async fn take_in(
    state: &ServerState,
    spool: &mut Spool,
    body: Body,
    session: Option<&Session>,
) -> Result<()> {
    let idle_timeout = Duration::from_millis(state.options.upload_idle_timeout_ms);
    let mut chunks = body.into_data_stream();
    loop {
        let chunk = tokio::time::timeout(idle_timeout, chunks.try_next()).await.map_err(|_| {
            let message = "nothing came within upload_idle_timeout_ms";
            Refusal::new(StatusCode::REQUEST_TIMEOUT, "BLOB_UPLOAD_INVALID", message)
        })?;
        let chunk = chunk.map_err(|_| {
            Refusal::new(StatusCode::BAD_REQUEST, "BLOB_UPLOAD_INVALID", "the body broke off")
        })?;
        let Some(chunk) = chunk else { return Ok(()) };
        spool.write(&chunk).await?;
        if let Some(session) = session {
            session.touch();
        }
    }
}

async fn append(state: &ServerState, session: &Session, headers: &HeaderMap, body: Body) -> Result<Response> {
    let mut guard = session.spool.lock().await;
    let spool = guard.as_mut().ok_or_else(Refusal::upload_unknown)?;
    check_place(session, headers, spool.size())?;
    take_in(state, spool, body, Some(session)).await?;
    progress(session, StatusCode::ACCEPTED, spool.size())
}

async fn finish(state: &ServerState, session: &Session, request: &Parts, body: Body) -> Result<Response> {
    let digest = parameter(request, "digest")
        .ok_or_else(|| Refusal::digest_invalid("the last request of an upload names its digest"))?;
    let digest: Digest = digest.parse().map_err(RegistryError::from)?;
    let mut guard = session.spool.lock().await;
    let spool = guard.as_mut().ok_or_else(Refusal::upload_unknown)?;
    check_place(session, &request.headers, spool.size())?;
    take_in(state, spool, body, Some(session)).await?;
    let spool = guard.take().ok_or_else(Refusal::upload_unknown)?;
    state.uploads.end(session.id);
    store(state, &session.repository, spool, &digest).await
}

/// Stores a finished upload under its digest and links it into the repository.
async fn store(state: &ServerState, repository: &str, spool: Spool, digest: &Digest) -> Result<Response> {
    let spooled = spool.finish().await?;
    if spooled.digest() != *digest {
        return Err(Refusal::digest_invalid(format!("the blob's digest is {}", spooled.digest())));
    }
    let blob = state.blobs.put_spooled(spooled).await?;
    state.registry.link_blob(repository, &blob).await?;
    created(&format!("/v2/{repository}/blobs/{digest}"), digest)
}
