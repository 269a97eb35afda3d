//! Tells the page of a deployment when it changed.

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::IntoResponse;
use axum::response::sse::Event;
use slipway_records::Change;
use slipway_types::Role;
use slipway_types::fault::chain;
use slipway_types::state::DeploymentState;
use tokio::sync::mpsc;

use crate::auth::Caller;
use crate::extract::Path;
use crate::pages::visitor::Member;
use crate::problem::ApiError;
use crate::rest::deployment_views::{DeploymentName, find};
use crate::rest::logs::{end, sse, wait_for};
use crate::state::ServerState;

/// Which version of a deployment somebody saw: of its row, of what its receiver says, how many failures are kept, and
/// how many orders its receiver has not answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Version {
    row: i64,
    observation: i64,
    failures: usize,
    orders: usize,
}

impl Version {
    /// As an event's id, which comes back as `Last-Event-ID`.
    fn id(self) -> String {
        format!("{}.{}.{}.{}", self.row, self.observation, self.failures, self.orders)
    }
}

/// Events `changed`, each with the version as its id, then `end` once nothing can change any more. Whoever comes back
/// with the id of the newest version is told nothing.
pub(super) async fn stream(
    State(state): State<ServerState>,
    member: Member,
    Path(name): Path<DeploymentName>,
    headers: HeaderMap,
) -> Result<impl IntoResponse, ApiError> {
    let caller = member.session.caller;
    look(&state, &caller, name).await?;
    let seen = headers.get("last-event-id").and_then(|id| id.to_str().ok()).unwrap_or_default().to_owned();
    let (sender, receiver) = mpsc::channel(4);
    tokio::spawn(async move {
        if let Err(error) = follow(&state, &caller, name, seen, &sender).await {
            tracing::warn!(error = %chain(&error), "an event stream was cut");
        }
    });
    Ok(sse(receiver))
}

async fn follow(
    state: &ServerState,
    caller: &Caller,
    name: DeploymentName,
    mut seen: String,
    events: &mpsc::Sender<Result<Event, Infallible>>,
) -> Result<(), ApiError> {
    let mut changes = state.records.changes().subscribe();
    loop {
        let (version, deployment) = look(state, caller, name).await?;
        let id = version.id();
        if id != seen {
            let event = Event::default().event("changed").id(&id).data(deployment.word());
            if events.send(Ok(event)).await.is_err() {
                return Ok(());
            }
            seen = id;
        }
        // What was stopped may be finished by a retry.
        if deployment.is_terminal() && !matches!(deployment, DeploymentState::Terminated { .. }) {
            // Whoever left early needs no end.
            drop(events.send(Ok(end())).await);
            return Ok(());
        }
        let concerns = |change| matches!(change, Change::Deployment(other) if other == name.0);
        tokio::select! {
            () = state.stopping.cancelled() => return Ok(()),
            () = events.closed() => return Ok(()),
            () = wait_for(&mut changes, concerns) => {}
            () = tokio::time::sleep(Duration::from_millis(state.options.stream_poll_ms)) => {}
        }
    }
}

async fn look(
    state: &ServerState,
    caller: &Caller,
    name: DeploymentName,
) -> Result<(Version, DeploymentState), ApiError> {
    let mut read = state.records.read().await?;
    let (deployment, ..) = find(caller, read.as_mut(), name, Role::Reader).await?;
    let observation = read.observation_get(deployment.id).await?.unwrap_or_default();
    let has_failed =
        observation.nodes.values().any(|node| matches!(node.state.as_str(), "failed" | "timed_out"));
    let failures = if has_failed { read.failures_of(deployment.id).await?.len() } else { 0 };
    let orders = read.orders_pending(deployment.id).await?.len();
    let version =
        Version { row: deployment.row_version, observation: observation.row_version, failures, orders };
    Ok((version, deployment.state))
}
