//! Logs by byte offset: in pieces, and as a stream that resumes where it was cut.

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, HeaderName};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures::Stream;
use serde::{Deserialize, Serialize};
use slipway_records::{Change, DeclaredCheck, Read, Run};
use slipway_types::fault::chain;
use slipway_types::id::{BuildId, CheckId, RunId};
use slipway_types::name::CheckName;
use slipway_types::state::{DeclaredCheckState, RunState};
use slipway_types::{ApplicationName, ComponentName, Role, Version};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::checks;
use super::run_views::{RunName, find_run};
use crate::auth::Caller;
use crate::extract::{Path, Query};
use crate::problem::ApiError;
use crate::state::ServerState;

/// Where the log goes on.
const NEXT_OFFSET: HeaderName = HeaderName::from_static("slipway-next-offset");
/// `true` once nothing more will come.
const COMPLETE: HeaderName = HeaderName::from_static("slipway-log-complete");
/// Bytes in one answer if nobody says otherwise.
const LIMIT_DEFAULT: u64 = 1 << 20;
/// Bytes in one event of a stream.
const EVENT_BYTES_MAX: u64 = 64 << 10;
/// Chunks looked up at once.
const CHUNKS_MAX: u32 = 256;

/// Which piece of the log.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct PieceQuery {
    /// First byte; 0 if absent.
    #[serde(default)]
    offset: u64,
    /// Bytes at most; 1 MiB if absent.
    limit: Option<u64>,
}

/// Where a stream begins.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct StreamQuery {
    /// First byte; `Last-Event-ID` goes before it.
    #[serde(default)]
    offset: u64,
}

/// One event of a stream; its id is the offset after `text`.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct LogEvent {
    /// First byte's place in the log.
    offset: u64,
    /// Bytes that are not UTF-8 are replaced.
    text: String,
}

/// What a log belongs to; it ends with that.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Owner {
    Run(RunId),
    Build(BuildId),
    Check(CheckId),
}

/// Where a log is asked for.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Place<'a> {
    Run(&'a RunName, Part<'a>),
    /// What people composed has checks, but no run.
    Bundle(&'a ApplicationName, &'a Version, &'a CheckName),
}

/// What of a run.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Part<'a> {
    Whole,
    Build(&'a ComponentName),
    /// By its name without `source/`.
    Check(&'a ComponentName),
}

impl Owner {
    /// By which the records name the log.
    pub(crate) fn log(self) -> Uuid {
        match self {
            Self::Run(id) => id.as_uuid(),
            Self::Build(id) => id.as_uuid(),
            Self::Check(id) => id.as_uuid(),
        }
    }

    /// Whether what it belongs to has ended, so that nothing more is written.
    pub(crate) async fn ended(self, read: &mut dyn Read) -> Result<bool, ApiError> {
        Ok(match self {
            Self::Run(id) => read.run_get(id).await?.is_none_or(|run| run.state.is_terminal()),
            Self::Build(id) => read.build_get(id).await?.is_none_or(|build| build.state.is_terminal()),
            Self::Check(id) => {
                read.declared_check_get(id).await?.is_none_or(|check| check.state.is_terminal())
            }
        })
    }

    /// The word of the state of what it belongs to.
    pub(crate) async fn state(self, read: &mut dyn Read) -> Result<&'static str, ApiError> {
        let word = match self {
            Self::Run(id) => read.run_get(id).await?.map(|run| run.state.word()),
            Self::Build(id) => read.build_get(id).await?.map(|build| build.state.word()),
            Self::Check(id) => read.declared_check_get(id).await?.map(|check| check.state.word()),
        };
        Ok(word.unwrap_or("removed"))
    }
}

/// What the log at a place belongs to, if the caller may read it.
pub(crate) async fn owner_of(
    caller: &Caller,
    read: &mut dyn Read,
    place: Place<'_>,
) -> Result<Owner, ApiError> {
    let (run, part) = match place {
        Place::Run(run, part) => (run, part),
        Place::Bundle(application, version, name) => {
            let named = (application, version, name);
            return Ok(log_of(&checks::declared(read, caller, named, Role::Reader).await?));
        }
    };
    let (run, _) = find_run(caller, read, run, Role::Reader).await?;
    let component = match part {
        Part::Whole => return Ok(Owner::Run(run.id)),
        Part::Build(component) => component,
        Part::Check(name) => return check_of(read, &run, name).await,
    };
    let builds = read.builds_of(run.id).await?;
    if let Some(build) = builds.iter().find(|build| build.component == *component) {
        return Ok(Owner::Build(build.id));
    }
    let names: Vec<&str> = builds.iter().map(|build| build.component.as_str()).collect();
    let hint = format!("the run has builds of: {}", names.join(", "));
    let refusal = ApiError::not_found("build of component", component);
    Err(if names.is_empty() { refusal } else { refusal.hint(hint) })
}

/// The check of what the run published.
async fn check_of(read: &mut dyn Read, run: &Run, name: &ComponentName) -> Result<Owner, ApiError> {
    let bundle = match run.state {
        RunState::Done { bundle, .. } => bundle,
        _ => None,
    };
    let checks = match bundle {
        Some(bundle) => read.declared_checks_of(bundle).await?,
        None => Vec::new(),
    };
    let found = checks.into_iter().find(|check| check.name.as_str() == format!("source/{name}"));
    let found = found.ok_or_else(|| {
        ApiError::not_found("check", name).hint("checks begin once their run is done: `slipway check list`")
    })?;
    Ok(log_of(&found))
}

/// The check whose log it is: its own, or that of the one that stands in for it.
fn log_of(check: &DeclaredCheck) -> Owner {
    Owner::Check(match &check.state {
        DeclaredCheckState::Passed { from: Some(earlier) } => earlier.check,
        _ => check.id,
    })
}

/// Up to `limit` bytes from `offset` on. Callers hold no connection to the records meanwhile: an object store that is
/// slow would keep all others from theirs.
pub(crate) async fn read_piece(
    state: &ServerState,
    log: Uuid,
    offset: u64,
    limit: u64,
) -> Result<Vec<u8>, ApiError> {
    let mut piece = Vec::new();
    // No log is so long, and the records keep no such number.
    if i64::try_from(offset).is_err() {
        return Ok(piece);
    }
    let chunks = state.records.read().await?.log_chunks(log, offset, CHUNKS_MAX).await?;
    for chunk in chunks {
        let wanted = limit - piece.len() as u64;
        if wanted == 0 {
            break;
        }
        let bytes: Bytes = state
            .blobs
            .get(&chunk.digest, chunk.length)
            .await
            .map_err(|error| ApiError::unavailable(&error, "a piece of the log cannot be read"))?;
        let position = offset + piece.len() as u64;
        let skip = usize::try_from(position.saturating_sub(chunk.offset)).unwrap_or(usize::MAX);
        let rest = bytes.get(skip..).unwrap_or_default();
        let take = rest.len().min(usize::try_from(wanted).unwrap_or(usize::MAX));
        piece.extend_from_slice(&rest[..take]);
    }
    Ok(piece)
}

async fn piece(
    state: &ServerState,
    caller: &Caller,
    place: Place<'_>,
    query: &PieceQuery,
) -> Result<Response, ApiError> {
    let limit = query.limit.unwrap_or(LIMIT_DEFAULT);
    if limit == 0 || limit > state.options.max_log_bytes {
        let max = state.options.max_log_bytes;
        return Err(ApiError::bad_request("bad_query", format!("limit: expected 1 to {max} bytes")));
    }
    let mut read = state.records.read().await?;
    let owner = owner_of(caller, read.as_mut(), place).await?;
    // Asked before reading: what ended then has written all it will.
    let ended = owner.ended(read.as_mut()).await?;
    let size = read.log_size(owner.log()).await?;
    drop(read);
    let bytes = read_piece(state, owner.log(), query.offset, limit).await?;
    let next = query.offset + bytes.len() as u64;
    let complete = ended && next >= size;
    let headers = [
        (CONTENT_TYPE, "text/plain; charset=utf-8".to_owned()),
        (NEXT_OFFSET, next.to_string()),
        (COMPLETE, complete.to_string()),
    ];
    Ok((headers, bytes).into_response())
}

/// How many leading bytes end at a character's end, so that no character is cut between events.
pub(crate) fn whole_characters(bytes: &[u8]) -> usize {
    let tail = bytes.len().saturating_sub(3);
    for (place, byte) in bytes.iter().enumerate().skip(tail).rev() {
        let length = match byte {
            0xC2..=0xDF => 2,
            0xE0..=0xEF => 3,
            0xF0..=0xF4 => 4,
            0x80..=0xBF => continue,
            _ => return bytes.len(),
        };
        return if place + length > bytes.len() { place } else { bytes.len() };
    }
    bytes.len()
}

/// Sends the log to `events` until it ends, the client goes or the server stops.
async fn follow(
    state: &ServerState,
    owner: Owner,
    mut offset: u64,
    events: &mpsc::Sender<Result<Event, Infallible>>,
) -> Result<(), ApiError> {
    let mut changes = state.records.changes().subscribe();
    loop {
        let mut read = state.records.read().await?;
        let ended = owner.ended(read.as_mut()).await?;
        drop(read);
        let bytes = read_piece(state, owner.log(), offset, EVENT_BYTES_MAX).await?;
        let length = if ended && (bytes.len() as u64) < EVENT_BYTES_MAX {
            bytes.len()
        } else {
            whole_characters(&bytes)
        };
        if length > 0 {
            let event = LogEvent { offset, text: String::from_utf8_lossy(&bytes[..length]).into_owned() };
            offset += length as u64;
            let event = Event::default().event("log").id(offset.to_string()).json_data(event);
            let event = event.expect("invariant: a log event serialises");
            if events.send(Ok(event)).await.is_err() {
                return Ok(());
            }
        } else if ended {
            let end = end().id(offset.to_string());
            // Whoever left early needs no end.
            drop(events.send(Ok(end)).await);
            return Ok(());
        } else {
            let poll = Duration::from_millis(state.options.stream_poll_ms);
            tokio::select! {
                () = state.stopping.cancelled() => return Ok(()),
                () = events.closed() => return Ok(()),
                () = wait_for(&mut changes, |change| concerns(change, owner)) => {}
                () = tokio::time::sleep(poll) => {}
            }
        }
    }
}

/// Whether news is of that log or of what it belongs to.
pub(crate) fn concerns(change: Change, owner: Owner) -> bool {
    match (change, owner) {
        (Change::Log(log), _) => log == owner.log(),
        (Change::Run(run), Owner::Run(own)) => run == own,
        (Change::Build(_, build), Owner::Build(own)) => build == own,
        _ => false,
    }
}

/// Waits for news that `wanted` picks; missed news counts as such.
pub(crate) async fn wait_for(
    changes: &mut tokio::sync::broadcast::Receiver<Change>,
    wanted: impl Fn(Change) -> bool,
) {
    use tokio::sync::broadcast::error::RecvError;
    loop {
        match changes.recv().await {
            Ok(change) if !wanted(change) => {}
            Ok(_) | Err(RecvError::Lagged(_)) => return,
            // No more news: the slow poll of the caller goes on.
            Err(RecvError::Closed) => std::future::pending().await,
        }
    }
}

type EventStream = Sse<axum::response::sse::KeepAliveStream<ReceiverStream<Result<Event, Infallible>>>>;

async fn stream(
    state: ServerState,
    caller: &Caller,
    place: Place<'_>,
    query: &StreamQuery,
    headers: &HeaderMap,
) -> Result<EventStream, ApiError> {
    let mut read = state.records.read().await?;
    let owner = owner_of(caller, read.as_mut(), place).await?;
    drop(read);
    let offset = match headers.get("last-event-id").and_then(|id| id.to_str().ok()) {
        Some(id) => id.parse().map_err(|_| {
            ApiError::bad_request("bad_header", "Last-Event-ID: expected the id of an event of this stream")
        })?,
        None => query.offset,
    };
    let (sender, receiver) = mpsc::channel(8);
    tokio::spawn(async move {
        if let Err(error) = follow(&state, owner, offset, &sender).await {
            tracing::warn!(error = %chain(&error), "a log stream was cut");
        }
    });
    Ok(sse(receiver))
}

/// The event that nothing follows. Browsers pass over events without data.
pub(crate) fn end() -> Event {
    Event::default().event("end").data("{}")
}

/// An event stream that keeps proxies awake.
pub(crate) fn sse(receiver: mpsc::Receiver<Result<Event, Infallible>>) -> EventStream {
    fn events<S: Stream<Item = Result<Event, Infallible>>>(stream: S) -> S {
        stream
    }
    Sse::new(events(ReceiverStream::new(receiver))).keep_alive(KeepAlive::default())
}

/// A piece of the log of a run's planning and packaging. `Slipway-Next-Offset` says where it goes
/// on, `Slipway-Log-Complete` whether anything more may come.
#[utoipa::path(get, path = "/api/v1/runs/{run}/log", tag = "runs", params(("run" = String, Path), PieceQuery),
    responses((status = 200, body = String, content_type = "text/plain")))]
pub(crate) async fn of_run(
    State(state): State<ServerState>,
    caller: Caller,
    Path(run): Path<RunName>,
    Query(query): Query<PieceQuery>,
) -> Result<Response, ApiError> {
    piece(&state, &caller, Place::Run(&run, Part::Whole), &query).await
}

/// A piece of a build's log. `Slipway-Next-Offset` says where it goes on, `Slipway-Log-Complete`
/// whether anything more may come.
#[utoipa::path(get, path = "/api/v1/runs/{run}/builds/{component}/log", tag = "runs",
    params(("run" = String, Path), ("component" = String, Path), PieceQuery),
    responses((status = 200, body = String, content_type = "text/plain")))]
pub(crate) async fn of_build(
    State(state): State<ServerState>,
    caller: Caller,
    Path((run, component)): Path<(RunName, ComponentName)>,
    Query(query): Query<PieceQuery>,
) -> Result<Response, ApiError> {
    piece(&state, &caller, Place::Run(&run, Part::Build(&component)), &query).await
}

/// A run's log as it grows: events `log`, each with the next offset as its id, then `end`.
#[utoipa::path(get, path = "/api/v1/runs/{run}/log/stream", tag = "runs", params(("run" = String, Path), StreamQuery),
    responses((status = 200, body = LogEvent, content_type = "text/event-stream")))]
pub(crate) async fn stream_of_run(
    State(state): State<ServerState>,
    caller: Caller,
    Path(run): Path<RunName>,
    Query(query): Query<StreamQuery>,
    headers: HeaderMap,
) -> Result<EventStream, ApiError> {
    stream(state, &caller, Place::Run(&run, Part::Whole), &query, &headers).await
}

/// A build's log as it grows: events `log`, each with the next offset as its id, then `end`.
#[utoipa::path(get, path = "/api/v1/runs/{run}/builds/{component}/log/stream", tag = "runs",
    params(("run" = String, Path), ("component" = String, Path), StreamQuery),
    responses((status = 200, body = LogEvent, content_type = "text/event-stream")))]
pub(crate) async fn stream_of_build(
    State(state): State<ServerState>,
    caller: Caller,
    Path((run, component)): Path<(RunName, ComponentName)>,
    Query(query): Query<StreamQuery>,
    headers: HeaderMap,
) -> Result<EventStream, ApiError> {
    stream(state, &caller, Place::Run(&run, Part::Build(&component)), &query, &headers).await
}

/// A piece of the log of a check that developers declare. `Slipway-Next-Offset` says where it goes on,
/// `Slipway-Log-Complete` whether anything more may come.
#[utoipa::path(get, path = "/api/v1/runs/{run}/checks/{name}/log", tag = "runs",
    params(("run" = String, Path), ("name" = String, Path, description = "without source/"), PieceQuery),
    responses((status = 200, body = String, content_type = "text/plain")))]
pub(crate) async fn of_check(
    State(state): State<ServerState>,
    caller: Caller,
    Path((run, name)): Path<(RunName, ComponentName)>,
    Query(query): Query<PieceQuery>,
) -> Result<Response, ApiError> {
    piece(&state, &caller, Place::Run(&run, Part::Check(&name)), &query).await
}

/// The log of a check as it grows: events `log`, each with the next offset as its id, then `end`.
#[utoipa::path(get, path = "/api/v1/runs/{run}/checks/{name}/log/stream", tag = "runs",
    params(("run" = String, Path), ("name" = String, Path, description = "without source/"), StreamQuery),
    responses((status = 200, body = LogEvent, content_type = "text/event-stream")))]
pub(crate) async fn stream_of_check(
    State(state): State<ServerState>,
    caller: Caller,
    Path((run, name)): Path<(RunName, ComponentName)>,
    Query(query): Query<StreamQuery>,
    headers: HeaderMap,
) -> Result<EventStream, ApiError> {
    stream(state, &caller, Place::Run(&run, Part::Check(&name)), &query, &headers).await
}

/// A piece of the log of a bundle's check that developers declare, also where people composed the bundle.
/// `Slipway-Next-Offset` says where it goes on, `Slipway-Log-Complete` whether anything more may come.
#[utoipa::path(get, path = "/api/v1/bundles/{application}/{version}/checks/{name}/log", tag = "bundles",
    params(("application" = String, Path), ("version" = String, Path), ("name" = String, Path), PieceQuery),
    responses((status = 200, body = String, content_type = "text/plain")))]
pub(crate) async fn of_bundle_check(
    State(state): State<ServerState>,
    caller: Caller,
    Path((application, version, name)): Path<(ApplicationName, Version, CheckName)>,
    Query(query): Query<PieceQuery>,
) -> Result<Response, ApiError> {
    piece(&state, &caller, Place::Bundle(&application, &version, &name), &query).await
}

/// The log of a bundle's check as it grows: events `log`, each with the next offset as its id, then `end`.
#[utoipa::path(get, path = "/api/v1/bundles/{application}/{version}/checks/{name}/log/stream", tag = "bundles",
    params(("application" = String, Path), ("version" = String, Path), ("name" = String, Path), StreamQuery),
    responses((status = 200, body = LogEvent, content_type = "text/event-stream")))]
pub(crate) async fn stream_of_bundle_check(
    State(state): State<ServerState>,
    caller: Caller,
    Path((application, version, name)): Path<(ApplicationName, Version, CheckName)>,
    Query(query): Query<StreamQuery>,
    headers: HeaderMap,
) -> Result<EventStream, ApiError> {
    stream(state, &caller, Place::Bundle(&application, &version, &name), &query, &headers).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_character_is_cut_between_events() {
        let text = "a€ü😀".as_bytes();
        for end in 0..=text.len() {
            let length = whole_characters(&text[..end]);
            assert!(std::str::from_utf8(&text[..length]).is_ok(), "{end}");
            assert!(end - length < 4);
        }
        assert_eq!(whole_characters(b"\xff\xff"), 2);
    }
}
