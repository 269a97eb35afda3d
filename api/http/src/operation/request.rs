//! Around every request: its id, its span, its time, and the answer when a handler panics.

use std::any::Any;
use std::time::{Duration, Instant};

use axum::extract::{MatchedPath, Request, State};
use axum::http::header::{CACHE_CONTROL, HeaderName, HeaderValue, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tracing::Instrument as _;
use uuid::Uuid;

use crate::problem::{ApiError, REQUEST_ID};
use crate::state::ServerState;

static REQUEST_ID_HEADER: HeaderName = HeaderName::from_static("x-request-id");
/// The longest request id taken over from a client, in characters.
const REQUEST_ID_CHARS_MAX: usize = 64;

/// Gives the request an id and a span, and counts it.
pub(crate) async fn observe(State(state): State<ServerState>, request: Request, next: Next) -> Response {
    let began = Instant::now();
    let id = request_id(request.headers());
    let route = request.extensions().get::<MatchedPath>().map_or("none", MatchedPath::as_str).to_owned();
    let method = request.method().clone();
    let span = tracing::info_span!("request", %id, %method, %route);
    let mut response = REQUEST_ID.scope(id.clone(), next.run(request)).instrument(span.clone()).await;
    let status = response.status();
    let took = began.elapsed();
    state.metrics.request(&route, known_method(&method), status.as_u16(), took);
    span.in_scope(|| {
        let took_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        tracing::debug!(status = status.as_u16(), took_ms, "answered");
    });
    if let Ok(id) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(REQUEST_ID_HEADER.clone(), id);
    }
    response
}

/// A method's word; those that clients make up count as one.
fn known_method(method: &Method) -> &str {
    let known = [Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::PATCH, Method::DELETE];
    if known.contains(method) { method.as_str() } else { "other" }
}

/// The client's own id if it is harmless, else a new one.
fn request_id(headers: &HeaderMap) -> String {
    let harmless = |id: &&str| {
        !id.is_empty()
            && id.len() <= REQUEST_ID_CHARS_MAX
            && id.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
    };
    let given = headers.get(&REQUEST_ID_HEADER).and_then(|id| id.to_str().ok()).filter(harmless);
    given.map_or_else(|| Uuid::now_v7().to_string(), str::to_owned)
}

/// Ends requests that take longer than `request_timeout_ms`.
pub(crate) async fn time_limit(State(state): State<ServerState>, request: Request, next: Next) -> Response {
    within(("request_timeout_ms", state.options.request_timeout_ms), request, next).await
}

/// Ends requests to compose that take longer than `compose_timeout_ms`, their bodies included.
pub(crate) async fn compose_limit(
    State(state): State<ServerState>,
    request: Request,
    next: Next,
) -> Response {
    within(("compose_timeout_ms", state.options.compose_timeout_ms), request, next).await
}

async fn within((name, limit_ms): (&str, u64), request: Request, next: Next) -> Response {
    let answer = tokio::time::timeout(Duration::from_millis(limit_ms), next.run(request)).await;
    answer.unwrap_or_else(|_| {
        let detail = format!("no answer within {name} = {limit_ms}");
        ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "timed_out", detail).into_response()
    })
}

/// Answers are never sniffed and, unless they say otherwise, never cached.
pub(crate) async fn safe_headers(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

/// The answer when a handler panicked.
#[expect(clippy::needless_pass_by_value, reason = "the layer hands it over")]
pub(crate) fn panicked(payload: Box<dyn Any + Send + 'static>) -> Response {
    let message = payload
        .downcast_ref::<&'static str>()
        .map(|text| (*text).to_owned())
        .or_else(|| payload.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "unknown".to_owned());
    tracing::error!(panic = %message, "a handler panicked");
    ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "the server failed at this request")
        .hint("the server's log has the cause under this request_id")
        .into_response()
}
