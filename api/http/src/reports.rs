//! `/receivers/ADDRESS/report`: what receivers report by themselves. The proof is a signature over the raw
//! body by the key of that environment's receiver; there is no token.

use std::collections::BTreeMap;
use std::net::IpAddr;

use axum::body::to_bytes;
use axum::extract::{Request, State};
use axum::http::header::RETRY_AFTER;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::{Json, Router};
use slipway_records::deploying::{ReportRefused, ReportTaken};
use slipway_types::Address;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::extract::{Path, is_length_limit};
use crate::hooks::{address_of, too_many};
use crate::problem::ApiError;
use crate::state::ServerState;

/// The largest report, in bytes: the contract's own limit.
const REPORT_BYTES_MAX: usize = 4 << 20;
/// Headers that a claim is made of begin so.
const CLAIM_HEADERS: &str = "slipway-";
/// Without all of these nothing is claimed.
const CLAIM_NEEDS: [&str; 3] = ["slipway-key", "slipway-time", "slipway-signature"];

/// The address that receivers report to, described.
pub(crate) fn calls() -> OpenApiRouter<ServerState> {
    OpenApiRouter::new().routes(routes!(receive))
}

/// The address that receivers report to.
pub(crate) fn router() -> Router<ServerState> {
    calls().split_for_parts().0
}

/// Takes what a receiver reports of an environment: `{"events": […]}`. The proof is no token but the headers
/// `Slipway-Key`, `Slipway-Time` and `Slipway-Signature`, for the purpose `report`.
#[utoipa::path(post, path = "/receivers/{unit}/{cluster}/{namespace}/{stage}/report", tag = "receivers",
    params(("unit" = String, Path), ("cluster" = String, Path), ("namespace" = String, Path), ("stage" = String, Path)),
    request_body = Object, responses((status = 200, body = Object)), security(()))]
pub(crate) async fn receive(
    State(state): State<ServerState>,
    Path((unit, cluster, namespace, stage)): Path<(String, String, String, String)>,
    request: Request,
) -> Result<Json<ReportTaken>, ApiError> {
    let from = address_of(&state, &request);
    let address = format!("{unit}/{cluster}/{namespace}/{stage}").parse::<Address>();
    let address = address.map_err(|error| ApiError::bad_request("bad_path", error.to_string()))?;
    let (parts, body) = request.into_parts();
    let claim = claim(&parts.headers);
    // Before a byte of the body is read.
    if let Some(missing) = CLAIM_NEEDS.into_iter().find(|name| !claim.contains_key(*name)) {
        return Err(unproven(&state, from, format!("the request carries no header {missing}")));
    }
    let body = to_bytes(body, REPORT_BYTES_MAX).await.map_err(|error| {
        if is_length_limit(&error) {
            let detail = format!("a report has at most {REPORT_BYTES_MAX} bytes");
            return ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", detail);
        }
        ApiError::bad_request("bad_body", "the body broke off")
    })?;
    match state.deploying.report(&address, &claim, &body).await {
        Ok(taken) => Ok(Json(taken)),
        Err(ReportRefused::Unproven(why)) => Err(unproven(&state, from, why)),
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

/// The answer to who proves nothing; beyond the address's limit it says only that.
fn unproven(state: &ServerState, from: IpAddr, why: String) -> ApiError {
    state.metrics.hook_refused();
    if !state.refusals.allow(&from) {
        return too_many(state, from);
    }
    ApiError::new(StatusCode::UNAUTHORIZED, "signature_invalid", why)
        .hint("sign with the key of this environment's receiver, for the purpose `report`")
}

fn claim(headers: &HeaderMap) -> BTreeMap<String, String> {
    let ours = headers.iter().filter(|(name, _)| name.as_str().starts_with(CLAIM_HEADERS));
    ours.filter_map(|(name, value)| Some((name.to_string(), value.to_str().ok()?.to_owned()))).collect()
}
