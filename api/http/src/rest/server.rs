//! The server itself: release, addresses, limits and queue.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use chrono::{DateTime, Utc};
use serde::Serialize;
use slipway_records::port::{BuildPlace, MachineFinding};
use slipway_types::Role;
use utoipa::ToSchema;

use super::list::{List, PageQuery};
use crate::auth::Caller;
use crate::extract::Query;
use crate::problem::ApiError;
use crate::state::{Retention, ServerState, VERSION};

/// What this server is.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ServerView {
    pub(crate) version: &'static str,
    pub(crate) public_url: String,
    /// Host and port of the built-in registry.
    pub(crate) registry: String,
    /// The registry that images are kept in, if not the built-in one.
    pub(crate) image_target: Option<String>,
    pub(crate) database: String,
    /// Who asks.
    pub(crate) caller: String,
    pub(crate) limits: LimitsView,
    /// What is kept how long.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) retention: Option<Retention>,
}

/// What is stored as blobs: images, packages, git packs and logs.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct StorageView {
    /// How many blobs; absent until upkeep has looked at all of them for the first time.
    pub(crate) blobs: Option<u64>,
    /// How many bytes in all, those too that wait to be removed.
    pub(crate) bytes: Option<u64>,
    /// When upkeep began to look.
    pub(crate) measured_at: Option<DateTime<Utc>>,
}

/// Limits of the HTTP side, each with its unit in its name.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct LimitsView {
    pub(crate) max_hook_body_bytes: usize,
    pub(crate) max_api_body_bytes: usize,
    pub(crate) max_manifest_bytes: usize,
    pub(crate) max_upload_bytes: u64,
    pub(crate) max_push_bytes: u64,
    pub(crate) max_audit_entries: u32,
    pub(crate) request_timeout_ms: u64,
    pub(crate) compose_timeout_ms: u64,
    pub(crate) push_progress_timeout_ms: u64,
}

/// The registry that images are kept in.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ImageTargetView {
    /// `HOST[:PORT]/PREFIX`.
    pub(crate) address: String,
    pub(crate) ok: bool,
    /// Why it cannot be used.
    pub(crate) error: Option<String>,
}

/// A place where images are built.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct BuildPlaceView {
    /// `assemble`, `docker` or `kaniko`.
    pub(crate) backend: &'static str,
    /// An engine's address, a cluster's name.
    pub(crate) name: String,
    pub(crate) ok: bool,
    /// What answers there, or what is wrong.
    pub(crate) detail: String,
}

/// Something about the machine that the server runs on.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct MachineFindingView {
    /// `disk`, `spool`, `objects`, `proxy`, `helm`, `kustomize`.
    pub(crate) check: &'static str,
    pub(crate) ok: bool,
    /// Whether the server cannot do its work if it is not `ok`.
    pub(crate) needed: bool,
    /// What is there, or what is wrong and what to do.
    pub(crate) detail: String,
}

/// Jobs of one kind in one state.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DepthView {
    pub(crate) kind: String,
    /// `ready`, `leased` or `dead`.
    pub(crate) state: String,
    pub(crate) count: u64,
    /// Of ready ones that are due: since when the oldest waits.
    pub(crate) oldest_due: Option<DateTime<Utc>>,
}

/// A job that was given up.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DeadJobView {
    pub(crate) id: String,
    pub(crate) kind: &'static str,
    #[schema(value_type = Object)]
    pub(crate) payload: serde_json::Value,
    pub(crate) attempt: u32,
    pub(crate) losses: u32,
    pub(crate) last_error: Option<String>,
    pub(crate) created_at: DateTime<Utc>,
}

/// Release, addresses and limits.
#[utoipa::path(get, path = "/api/v1/server", tag = "server", responses((status = 200, body = ServerView)))]
pub(crate) async fn show(
    State(state): State<ServerState>,
    caller: Caller,
) -> Result<Json<ServerView>, ApiError> {
    caller.somewhere(Role::Reader)?;
    let options = &state.options;
    Ok(Json(ServerView {
        version: VERSION,
        public_url: state.public_address(""),
        registry: state.registry_host(),
        image_target: state.external.as_ref().map(|registry| registry.prefix().to_string()),
        database: state.records.describe(),
        caller: caller.name().to_owned(),
        limits: LimitsView {
            max_hook_body_bytes: options.max_hook_body_bytes,
            max_api_body_bytes: options.max_api_body_bytes,
            max_manifest_bytes: options.max_manifest_bytes,
            max_upload_bytes: options.max_upload_bytes,
            max_push_bytes: options.max_push_bytes,
            max_audit_entries: options.max_audit_entries,
            request_timeout_ms: options.request_timeout_ms,
            compose_timeout_ms: options.compose_timeout_ms,
            push_progress_timeout_ms: options.push_progress_timeout_ms,
        },
        retention: options.retention,
    }))
}

/// Whether the registry that images are kept in answers and takes the configured credential.
#[utoipa::path(get, path = "/api/v1/server/image-target", tag = "server",
    responses((status = 200, body = ImageTargetView), (status = 404)))]
pub(crate) async fn image_target(
    State(state): State<ServerState>,
    caller: Caller,
) -> Result<Json<ImageTargetView>, ApiError> {
    caller.on_server(Role::Reader)?;
    let Some(registry) = &state.external else {
        return Err(ApiError::new(
            StatusCode::NOT_FOUND,
            "not_found",
            "images are kept in the built-in registry",
        ));
    };
    let limit = Duration::from_millis(state.options.request_timeout_ms / 2);
    let error = match tokio::time::timeout(limit, registry.check()).await {
        Ok(checked) => checked.err().map(|error| error.to_string()),
        Err(_) => Some(format!("it did not answer within {} ms", limit.as_millis())),
    };
    Ok(Json(ImageTargetView { address: registry.prefix().to_string(), ok: error.is_none(), error }))
}

/// Where images are built, and whether they can be there now.
#[utoipa::path(get, path = "/api/v1/server/backends", tag = "server",
    responses((status = 200, body = List<BuildPlaceView>)))]
pub(crate) async fn backends(
    State(state): State<ServerState>,
    caller: Caller,
) -> Result<Json<List<BuildPlaceView>>, ApiError> {
    caller.on_server(Role::Reader)?;
    let view = |place: BuildPlace| BuildPlaceView {
        backend: place.backend,
        name: place.name,
        ok: place.ok,
        detail: place.detail,
    };
    Ok(Json(List::whole(state.places.look().await.into_iter().map(view).collect())))
}

/// The machine that the server runs on: its disks, programs beside it, the object store and the proxy it reaches.
#[utoipa::path(get, path = "/api/v1/server/machine", tag = "server",
    responses((status = 200, body = List<MachineFindingView>)))]
pub(crate) async fn machine(
    State(state): State<ServerState>,
    caller: Caller,
) -> Result<Json<List<MachineFindingView>>, ApiError> {
    caller.on_server(Role::Reader)?;
    let view = |found: MachineFinding| MachineFindingView {
        check: found.check,
        ok: found.ok,
        needed: found.needed,
        detail: found.detail,
    };
    Ok(Json(List::whole(state.machine.look().await.into_iter().map(view).collect())))
}

/// How much is stored, as upkeep measured it last.
#[utoipa::path(get, path = "/api/v1/server/storage", tag = "server", responses((status = 200, body = StorageView)))]
pub(crate) async fn storage(
    State(state): State<ServerState>,
    caller: Caller,
) -> Result<Json<StorageView>, ApiError> {
    caller.on_server(Role::Reader)?;
    let stored = state.records.read().await?.stored_get().await?;
    Ok(Json(StorageView {
        blobs: stored.map(|stored| stored.blobs),
        bytes: stored.map(|stored| stored.bytes),
        measured_at: stored.map(|stored| stored.measured_at),
    }))
}

/// How many jobs wait, run or were given up, by kind.
#[utoipa::path(get, path = "/api/v1/queue", tag = "server", responses((status = 200, body = List<DepthView>)))]
pub(crate) async fn queue(
    State(state): State<ServerState>,
    caller: Caller,
) -> Result<Json<List<DepthView>>, ApiError> {
    caller.on_server(Role::Reader)?;
    let depths = state.records.queue().depth().await?;
    let view = |depth: slipway_records::QueueDepth| DepthView {
        kind: depth.kind,
        state: depth.state,
        count: depth.count,
        oldest_due: depth.oldest_due,
    };
    Ok(Json(List::whole(depths.into_iter().map(view).collect())))
}

/// Jobs that were given up, newest first.
#[utoipa::path(get, path = "/api/v1/queue/dead", tag = "server", params(PageQuery),
    responses((status = 200, body = List<DeadJobView>)))]
pub(crate) async fn dead_jobs(
    State(state): State<ServerState>,
    caller: Caller,
    Query(query): Query<PageQuery>,
) -> Result<Json<List<DeadJobView>>, ApiError> {
    caller.on_server(Role::Reader)?;
    let page = query.page()?;
    let jobs = state.records.queue().dead(page.clone()).await?;
    let mut rows = Vec::with_capacity(jobs.len());
    for job in jobs {
        let view = DeadJobView {
            id: job.id.to_string(),
            kind: job.payload.kind(),
            payload: serde_json::to_value(&job.payload).map_err(|error| ApiError::internal(&error))?,
            attempt: job.attempt,
            losses: job.losses,
            last_error: job.last_error,
            created_at: job.created_at,
        };
        rows.push((job.id.as_uuid(), view));
    }
    Ok(Json(List::page(&page, rows)))
}
