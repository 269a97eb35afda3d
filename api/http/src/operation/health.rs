//! `/livez` and `/readyz`.

use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use slipway_types::Digest;

use crate::problem::ApiError;
use crate::state::ServerState;

/// The longest wait for what the server stands on.
const PROBE_TIMEOUT: Duration = Duration::from_secs(3);

/// The process answers.
pub(crate) async fn live() -> &'static str {
    "ok\n"
}

/// Requests can be served: the database and the object store answer, and the server is not stopping.
pub(crate) async fn ready(State(state): State<ServerState>) -> Result<&'static str, ApiError> {
    let refuse = |what| ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "not_ready", what);
    if state.stopping.is_cancelled() {
        return Err(refuse("the server is stopping"));
    }
    match tokio::time::timeout(PROBE_TIMEOUT, state.records.ping()).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => return Err(ApiError::unavailable(&error, "the database does not answer")),
        Err(_) => return Err(refuse("the database does not answer in time")),
    }
    // Whether it is there does not matter: the store answers.
    let anything = Digest::of(b"{}");
    match tokio::time::timeout(PROBE_TIMEOUT, state.blobs.head(&anything)).await {
        Ok(Ok(_)) => Ok("ok\n"),
        Ok(Err(error)) => Err(ApiError::unavailable(&error, "the object store does not answer")),
        Err(_) => Err(refuse("the object store does not answer in time")),
    }
}
