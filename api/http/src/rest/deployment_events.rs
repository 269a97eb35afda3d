//! A deployment's progress as a stream.

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::State;
use axum::response::IntoResponse;
use axum::response::sse::Event;
use slipway_records::Change;
use slipway_types::Role;
use slipway_types::fault::chain;
use slipway_types::id::DeploymentId;
use tokio::sync::mpsc;

use super::deployment_views::{DeploymentDetail, DeploymentName, detail, find};
use super::logs::{end, sse, wait_for};
use crate::auth::Caller;
use crate::extract::Path;
use crate::problem::ApiError;
use crate::state::ServerState;

/// The deployment whenever it changed: events `deployment`, then `end` once nothing moves by itself.
#[utoipa::path(get, path = "/api/v1/deployments/{deployment}/events", tag = "deployments",
    params(("deployment" = String, Path)),
    responses((status = 200, body = DeploymentDetail, content_type = "text/event-stream")))]
pub(crate) async fn stream(
    State(state): State<ServerState>,
    caller: Caller,
    Path(name): Path<DeploymentName>,
) -> Result<impl IntoResponse, ApiError> {
    let mut read = state.records.read().await?;
    find(&caller, read.as_mut(), name, Role::Reader).await?;
    drop(read);
    let (sender, receiver) = mpsc::channel(4);
    tokio::spawn(async move {
        if let Err(error) = follow(&state, &caller, name, &sender).await {
            tracing::warn!(error = %chain(&error), "an event stream was cut");
        }
    });
    Ok(sse(receiver))
}

async fn follow(
    state: &ServerState,
    caller: &Caller,
    name: DeploymentName,
    events: &mpsc::Sender<Result<Event, Infallible>>,
) -> Result<(), ApiError> {
    let mut changes = state.records.changes().subscribe();
    let mut sent = String::new();
    loop {
        let mut read = state.records.read().await?;
        let (deployment, application, environment) = find(caller, read.as_mut(), name, Role::Reader).await?;
        drop(read);
        let detail = detail(state, &deployment, &application, &environment).await?;
        let text = serde_json::to_string(&detail).map_err(|error| ApiError::internal(&error))?;
        if text != sent {
            if events.send(Ok(Event::default().event("deployment").data(&text))).await.is_err() {
                return Ok(());
            }
            sent = text;
        }
        if deployment.state.is_terminal() || deployment.state.has_arrived() {
            // Whoever left early needs no end.
            drop(events.send(Ok(end())).await);
            return Ok(());
        }
        let id: DeploymentId = deployment.id;
        let concerns = move |change| matches!(change, Change::Deployment(other) if other == id);
        tokio::select! {
            () = state.stopping.cancelled() => return Ok(()),
            () = events.closed() => return Ok(()),
            () = wait_for(&mut changes, concerns) => {}
            () = tokio::time::sleep(Duration::from_millis(state.options.stream_poll_ms)) => {}
        }
    }
}
