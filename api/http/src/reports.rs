//! `/receivers/ADDRESS/report`: what receivers report by themselves. The proof is a signature over the raw
//! body by the key of that environment's receiver; there is no token.

use std::collections::BTreeMap;

use axum::body::to_bytes;
use axum::extract::{Request, State};
use axum::http::header::RETRY_AFTER;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::routing::post;
use axum::{Json, Router};
use slipway_records::deploying::{ReportRefused, ReportTaken};
use slipway_types::Address;

use crate::extract::{Path, is_length_limit};
use crate::hooks::{address_of, too_many};
use crate::problem::ApiError;
use crate::state::ServerState;

/// The largest report, in bytes: the contract's own limit.
const REPORT_BYTES_MAX: usize = 4 << 20;
/// Headers that a claim is made of begin so.
const CLAIM_HEADERS: &str = "slipway-";

/// The address that receivers report to.
pub(crate) fn router() -> Router<ServerState> {
    Router::new().route("/receivers/{unit}/{cluster}/{namespace}/{stage}/report", post(receive))
}

async fn receive(
    State(state): State<ServerState>,
    Path((unit, cluster, namespace, stage)): Path<(String, String, String, String)>,
    request: Request,
) -> Result<Json<ReportTaken>, ApiError> {
    let from = address_of(&state, &request);
    let address = format!("{unit}/{cluster}/{namespace}/{stage}").parse::<Address>();
    let address = address.map_err(|error| ApiError::bad_request("bad_path", error.to_string()))?;
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, REPORT_BYTES_MAX).await.map_err(|error| {
        if is_length_limit(&error) {
            let detail = format!("a report has at most {REPORT_BYTES_MAX} bytes");
            return ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", detail);
        }
        ApiError::bad_request("bad_body", "the body broke off")
    })?;
    match state.deploying.report(&address, &claim(&parts.headers), &body).await {
        Ok(taken) => Ok(Json(taken)),
        Err(ReportRefused::Unproven(why)) => {
            state.metrics.hook_refused();
            if !state.refusals.allow(&from) {
                return Err(too_many(&state, from));
            }
            Err(ApiError::new(StatusCode::UNAUTHORIZED, "signature_invalid", why)
                .hint("sign with the key of this environment's receiver, for the purpose `report`"))
        }
        Err(ReportRefused::Large(why)) => {
            Err(ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", why))
        }
        Err(ReportRefused::Form(why)) => Err(ApiError::bad_request("bad_body", why)),
        Err(ReportRefused::Foreign(why)) => {
            Err(ApiError::new(StatusCode::FORBIDDEN, "foreign_environment", why))
        }
        Err(ReportRefused::Unavailable(fault)) => {
            Err(ApiError::of_fault(fault).header(RETRY_AFTER, HeaderValue::from_static("5")))
        }
    }
}

fn claim(headers: &HeaderMap) -> BTreeMap<String, String> {
    let ours = headers.iter().filter(|(name, _)| name.as_str().starts_with(CLAIM_HEADERS));
    ours.filter_map(|(name, value)| Some((name.to_string(), value.to_str().ok()?.to_owned()))).collect()
}
