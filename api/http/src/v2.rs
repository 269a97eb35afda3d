//! The registry at `/v2`: the OCI distribution specification 1.1 over the built-in registry.

mod access;
mod answer;
mod blobs;
mod lists;
mod manifests;
mod range;
mod target;
mod uploads;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Path, Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::any;

use crate::auth::{Caller, authenticate};
use crate::state::ServerState;
use answer::{Refusal, Result};
use target::Target;

/// Everything under `/v2`.
pub(crate) fn router() -> Router<ServerState> {
    Router::new()
        .route("/v2", any(base))
        .route("/v2/", any(base))
        .route("/v2/{*path}", any(dispatch))
        .layer(DefaultBodyLimit::disable())
        .layer(from_fn(api_version))
}

async fn api_version(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let version = HeaderValue::from_static("registry/2.0");
    response.headers_mut().insert("docker-distribution-api-version", version);
    response
}

/// The caller of a registry request. Only Basic is offered: a Bearer challenge would send clients
/// looking for a token server.
async fn caller_of(state: &ServerState, headers: &HeaderMap) -> Result<Caller> {
    Ok(authenticate(state, headers).await?)
}

/// Whether this is a registry and the caller may use it.
async fn base(State(state): State<ServerState>, headers: HeaderMap) -> Result<Response> {
    caller_of(&state, &headers).await?;
    Ok((StatusCode::OK, axum::Json(serde_json::json!({}))).into_response())
}

async fn dispatch(
    State(state): State<ServerState>,
    Path(path): Path<String>,
    request: Request,
) -> Result<Response> {
    let (parts, body) = request.into_parts();
    let caller = caller_of(&state, &parts.headers).await?;
    let target = Target::parse(&path).ok_or_else(|| Refusal::unsupported("this address"))?;
    let method = parts.method.clone();
    match (target, method) {
        (Target::Catalog, Method::GET) => lists::catalog(&state, &caller, &parts).await,
        (Target::Tags { repository }, Method::GET) => lists::tags(&state, &caller, &repository, &parts).await,
        (Target::Referrers { repository, digest }, Method::GET) => {
            lists::referrers(&state, &caller, &repository, &digest, &parts).await
        }
        (Target::Manifest { repository, reference }, _) => {
            manifests::answer(&state, &caller, &repository, &reference, &parts, body).await
        }
        (Target::Blob { repository, digest }, _) => {
            blobs::answer(&state, &caller, &repository, &digest, &parts).await
        }
        (Target::Uploads { repository }, Method::POST) => {
            uploads::begin(&state, &caller, &repository, &parts, body).await
        }
        (Target::Upload { repository, id }, _) => {
            uploads::go_on(&state, &caller, &repository, &id, &parts, body).await
        }
        (_, method) => Err(Refusal::unsupported(&format!("{method} here"))),
    }
}
