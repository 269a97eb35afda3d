//! A run's progress as a stream.

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::State;
use axum::response::IntoResponse;
use axum::response::sse::Event;
use slipway_records::Change;
use slipway_types::Role;
use slipway_types::fault::chain;
use slipway_types::id::RunId;
use tokio::sync::mpsc;

use super::logs::{end, sse, wait_for};
use super::run_views::{RunDetail, RunName, find_run, run_detail};
use crate::auth::Caller;
use crate::extract::Path;
use crate::problem::ApiError;
use crate::state::ServerState;

/// The run whenever it or one of its builds changed: events `run`, each the whole run, then `end`.
/// A client that comes back gets the run as it stands.
#[utoipa::path(get, path = "/api/v1/runs/{run}/events", tag = "runs", params(("run" = String, Path)),
    responses((status = 200, body = RunDetail, content_type = "text/event-stream")))]
pub(crate) async fn stream(
    State(state): State<ServerState>,
    caller: Caller,
    Path(name): Path<RunName>,
) -> Result<impl IntoResponse, ApiError> {
    let mut read = state.records.read().await?;
    let (run, _) = find_run(&caller, read.as_mut(), &name, Role::Reader).await?;
    drop(read);
    let (sender, receiver) = mpsc::channel(4);
    tokio::spawn(async move {
        if let Err(error) = follow(&state, run.id, &sender).await {
            tracing::warn!(error = %chain(&error), "an event stream was cut");
        }
    });
    Ok(sse(receiver))
}

async fn follow(
    state: &ServerState,
    id: RunId,
    events: &mpsc::Sender<Result<Event, Infallible>>,
) -> Result<(), ApiError> {
    let mut changes = state.records.changes().subscribe();
    let mut sent = String::new();
    loop {
        let Some((detail, ended)) = look(state, id).await? else { return Ok(()) };
        let text = serde_json::to_string(&detail).map_err(|error| ApiError::internal(&error))?;
        if text != sent {
            if events.send(Ok(Event::default().event("run").data(&text))).await.is_err() {
                return Ok(());
            }
            sent = text;
        }
        if ended {
            // Whoever left early needs no end.
            drop(events.send(Ok(end())).await);
            return Ok(());
        }
        let concerns = |change| matches!(change, Change::Run(run) | Change::Build(run, _) if run == id);
        tokio::select! {
            () = state.stopping.cancelled() => return Ok(()),
            () = events.closed() => return Ok(()),
            () = wait_for(&mut changes, concerns) => {}
            () = tokio::time::sleep(Duration::from_millis(state.options.stream_poll_ms)) => {}
        }
    }
}

/// The run as it stands and whether it has ended.
async fn look(state: &ServerState, id: RunId) -> Result<Option<(RunDetail, bool)>, ApiError> {
    let mut read = state.records.read().await?;
    let Some(run) = read.run_get(id).await? else { return Ok(None) };
    let Some(application) = read.application_get(run.application_id).await? else { return Ok(None) };
    let detail = run_detail(state, read.as_mut(), &run, &application).await?;
    Ok(Some((detail, run.state.is_terminal())))
}
