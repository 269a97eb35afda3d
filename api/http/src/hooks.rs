//! `/hooks/SOURCE/FORGE`: webhooks. The signature is checked over the raw body before anything is
//! read, and the answer goes out after the commit.

mod event;
mod forge;
pub(crate) mod intake;
pub(crate) mod secret_cache;
mod signature;

use std::net::{IpAddr, SocketAddr};

use axum::body::{Body, to_bytes};
use axum::extract::{ConnectInfo, DefaultBodyLimit, Request, State};
use axum::http::header::{CONTENT_LENGTH, RETRY_AFTER};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use bytes::Bytes;
use chrono::Utc;
use serde::Serialize;
use slipway_records::{Delivery, Inserted, NewDelivery, Refusal};
use slipway_types::name::SourceName;
use slipway_types::state::DeliveryState;

use crate::extract::{Path, is_length_limit};
use crate::problem::ApiError;
use crate::state::{NO_ADDRESS, ServerState};
use event::{Event, EventAction};
use forge::Endpoint;
use secret_cache::Known;
use signature::Unproven;

/// Name of the built-in secret by which forges sign for a source.
pub(crate) fn webhook_secret_name(source: &SourceName) -> String {
    format!("webhook/{source}")
}

/// The webhook addresses.
pub(crate) fn router(state: &ServerState) -> Router<ServerState> {
    let limit = DefaultBodyLimit::max(state.options.max_hook_body_bytes);
    Router::new().route("/hooks/{source}/{forge}", post(receive)).layer(limit)
}

/// The answer to a webhook.
#[derive(Debug, Serialize)]
struct Accepted {
    delivery: String,
    /// `received`, or where the delivery stands that came first.
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

async fn receive(
    State(state): State<ServerState>,
    Path((source, endpoint)): Path<(String, String)>,
    request: Request,
) -> Result<Response, ApiError> {
    let endpoint = Endpoint::of_word(&endpoint)?;
    let address = address_of(&state, &request);
    let known = secret_cache::look_up(&state, &source).await?;
    let (parts, body) = request.into_parts();
    let body = match bounded(&state, &parts.headers, body).await {
        Ok(body) => body,
        Err(BadBody::TooLarge) => {
            let max = state.options.max_hook_body_bytes;
            let reason = format!("the body is larger than max_hook_body_bytes = {max}");
            refuse(&state, known.as_deref(), address, &reason).await?;
            return Err(ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", reason));
        }
        Err(BadBody::Broken) => return Err(ApiError::bad_request("bad_body", "the body broke off")),
    };
    let max_age_ms = state.options.max_signature_age_ms;
    let secret = known.as_ref().map(|known| &known.secret);
    let proof = signature::verify(endpoint, &parts.headers, &body, secret, Utc::now(), max_age_ms);
    match (known, proof) {
        (Some(known), Ok(proof)) => {
            let event = event::read(endpoint, &parts.headers, &body, proof)?;
            keep(&state, &known, event).await
        }
        (known, proof) => {
            let reason = proof.err().unwrap_or(Unproven::Mismatch);
            refuse(&state, known.as_deref(), address, &reason.to_string()).await?;
            // The same for a source that does not exist: nothing tells the two apart.
            Err(ApiError::new(StatusCode::UNAUTHORIZED, "signature_invalid", reason.to_string()).hint(
                "compare the forge's webhook secret with the source's; \
                 `slipway source` can make a new one, and lists what was refused",
            ))
        }
    }
}

enum BadBody {
    TooLarge,
    Broken,
}

async fn bounded(state: &ServerState, headers: &HeaderMap, body: Body) -> Result<Bytes, BadBody> {
    let max = state.options.max_hook_body_bytes;
    let announced = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|length| length > max as u64) {
        return Err(BadBody::TooLarge);
    }
    to_bytes(body, max)
        .await
        .map_err(|error| if is_length_limit(&error) { BadBody::TooLarge } else { BadBody::Broken })
}

/// The sender's address.
pub(crate) fn address_of(state: &ServerState, request: &Request) -> IpAddr {
    let connected = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|info| info.0.ip());
    sender_of(state, request.headers(), connected)
}

/// The same of a connection from `connected`, where that is known.
pub(crate) fn sender_of(state: &ServerState, headers: &HeaderMap, connected: Option<IpAddr>) -> IpAddr {
    let forwarded = || {
        // The last entry is the one our own proxy wrote.
        let header = headers.get("x-forwarded-for")?.to_str().ok()?;
        header.rsplit(',').next()?.trim().parse().ok()
    };
    let trusted = state.options.trust_forwarded_for.then(forwarded).flatten();
    trusted.or(connected).unwrap_or(NO_ADDRESS)
}

/// Commits the delivery, then answers.
async fn keep(state: &ServerState, known: &Known, event: Event) -> Result<Response, ApiError> {
    let (git_ref, commit, delivery_state) = match event.action {
        EventAction::Push { git_ref, commit } => (Some(git_ref), commit, DeliveryState::Received),
        EventAction::Nothing { git_ref, reason } => (git_ref, None, DeliveryState::Ignored { reason }),
    };
    let delivery = NewDelivery {
        source_id: known.source,
        origin: event.origin,
        external_id: event.external_id,
        event: event.name,
        git_ref,
        commit,
        actor: event.actor,
        fresh: false,
        state: delivery_state,
    };
    let inserted = state.intake.keep(delivery, known.application).await?;
    let status = match &inserted {
        Inserted::New(delivery) if matches!(delivery.state, DeliveryState::Received) => StatusCode::ACCEPTED,
        _ => StatusCode::OK,
    };
    Ok((status, Json(accepted(&inserted.into_inner()))).into_response())
}

fn accepted(delivery: &Delivery) -> Accepted {
    let reason = match &delivery.state {
        DeliveryState::Ignored { reason } => Some(reason.clone()),
        DeliveryState::Failed { fault } => Some(fault.message.clone()),
        DeliveryState::Received | DeliveryState::Planned { .. } => None,
    };
    Accepted { delivery: delivery.id.to_string(), state: delivery.state.word(), reason }
}

/// The answer to an address that sent too much that nobody signed.
pub(crate) fn too_many(state: &ServerState, address: IpAddr) -> ApiError {
    let detail = format!(
        "more than max_hook_refusals_per_minute = {} unverified requests from {address}",
        state.options.max_hook_refusals_per_minute
    );
    ApiError::new(StatusCode::TOO_MANY_REQUESTS, "too_many_requests", detail)
        .header(RETRY_AFTER, HeaderValue::from_static("60"))
}

/// Counts an unverified request; beyond the address's limit it costs no more than this.
async fn refuse(
    state: &ServerState,
    known: Option<&Known>,
    address: IpAddr,
    reason: &str,
) -> Result<(), ApiError> {
    state.metrics.hook_refused();
    if !state.refusals.allow(&address) {
        return Err(too_many(state, address));
    }
    let Some(known) = known else { return Ok(()) };
    let refusal = Refusal { at: Utc::now(), address: address.to_string(), reason: reason.to_owned() };
    let mut tx = state.records.begin().await?;
    tx.refusal_add(known.source, &refusal).await?;
    Ok(tx.commit().await?)
}
