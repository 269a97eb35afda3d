//! Feeding the metrics: what ends is counted with how long it took.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use slipway_http::Metrics;
use slipway_records::{Change, Records, RecordsError};
use slipway_types::id::{BuildId, RunId};
use tokio::sync::broadcast::error::RecvError;
use tokio_util::sync::CancellationToken;

/// Counts the runs and builds that end in this process until `stop`.
pub(crate) async fn run(records: Arc<dyn Records>, metrics: Arc<Metrics>, stop: CancellationToken) {
    let mut changes = records.changes().subscribe();
    loop {
        let change = tokio::select! {
            () = stop.cancelled() => return,
            change = changes.recv() => change,
        };
        let counted = match change {
            Ok(Change::Run(run)) => count_run(records.as_ref(), &metrics, run).await,
            Ok(Change::Build(_, build)) => count_build(records.as_ref(), &metrics, build).await,
            Ok(_) | Err(RecvError::Lagged(_)) => Ok(()),
            Err(RecvError::Closed) => return,
        };
        if let Err(error) = counted {
            tracing::debug!(%error, "an end is not counted");
        }
    }
}

async fn count_run(records: &dyn Records, metrics: &Metrics, id: RunId) -> Result<(), RecordsError> {
    let Some(run) = records.read().await?.run_get(id).await? else { return Ok(()) };
    if let Some(end) = run.finished_at {
        metrics.stage("run", run.state.word(), between(run.created_at, end));
    }
    Ok(())
}

async fn count_build(records: &dyn Records, metrics: &Metrics, id: BuildId) -> Result<(), RecordsError> {
    let Some(build) = records.read().await?.build_get(id).await? else { return Ok(()) };
    let Some(end) = build.finished_at else { return Ok(()) };
    let outcome = build.state.word();
    if let Some(start) = build.started_at {
        metrics.stage("queue", outcome, between(build.created_at, start));
        metrics.stage("build", outcome, between(start, end));
    }
    Ok(())
}

fn between(start: DateTime<Utc>, end: DateTime<Utc>) -> Duration {
    (end - start).to_std().unwrap_or_default()
}
