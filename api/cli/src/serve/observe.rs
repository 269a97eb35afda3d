//! Feeding the metrics: what ends is counted with how long it took; disk and clusters are measured.

use std::collections::{HashSet, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use slipway_builder::backend::kaniko::KanikoBackend;
use slipway_builder::disk::free_bytes;
use slipway_http::Metrics;
use slipway_records::{Change, Records, RecordsError};
use slipway_types::id::{BuildId, RunId};
use tokio::sync::broadcast::error::RecvError;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// More than end while the news of one end come.
const MAX_COUNTED: usize = 4096;
/// How often what cannot be counted as it happens is measured.
const MEASURE_EVERY: Duration = Duration::from_secs(5);

/// Measures the disk and the clusters until `stop`.
pub(crate) async fn measure(
    metrics: Arc<Metrics>,
    data: PathBuf,
    kaniko: Option<KanikoBackend>,
    stop: CancellationToken,
) {
    loop {
        match free_bytes(&data) {
            Ok(bytes) => metrics.free(bytes),
            Err(error) => tracing::debug!(%error, "the free space is not known"),
        }
        if let Some(kaniko) = &kaniko {
            for load in kaniko.load().await {
                metrics.cluster(&load);
            }
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(MEASURE_EVERY) => {}
        }
    }
}

/// Counts the runs and builds that end in this process until `stop`.
pub(crate) async fn run(records: Arc<dyn Records>, metrics: Arc<Metrics>, stop: CancellationToken) {
    let mut changes = records.changes().subscribe();
    let mut counted = Counted::default();
    loop {
        let change = tokio::select! {
            () = stop.cancelled() => return,
            change = changes.recv() => change,
        };
        let counted = match change {
            Ok(Change::Run(run)) => count_run(records.as_ref(), &metrics, &mut counted, run).await,
            Ok(Change::Build(_, build)) => count_build(records.as_ref(), &metrics, &mut counted, build).await,
            Ok(_) | Err(RecvError::Lagged(_)) => Ok(()),
            Err(RecvError::Closed) => return,
        };
        if let Err(error) = counted {
            tracing::debug!(%error, "an end is not counted");
        }
    }
}

/// What was counted lately: of one end there is more than one piece of news.
#[derive(Default)]
struct Counted {
    known: HashSet<Uuid>,
    order: VecDeque<Uuid>,
}

impl Counted {
    fn is_new(&mut self, id: Uuid) -> bool {
        if !self.known.insert(id) {
            return false;
        }
        self.order.push_back(id);
        if self.order.len() > MAX_COUNTED
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
        true
    }
}

async fn count_run(
    records: &dyn Records,
    metrics: &Metrics,
    counted: &mut Counted,
    id: RunId,
) -> Result<(), RecordsError> {
    let Some(run) = records.read().await?.run_get(id).await? else { return Ok(()) };
    if let Some(end) = run.finished_at
        && counted.is_new(id.as_uuid())
    {
        metrics.stage("run", run.state.word(), between(run.created_at, end));
    }
    Ok(())
}

async fn count_build(
    records: &dyn Records,
    metrics: &Metrics,
    counted: &mut Counted,
    id: BuildId,
) -> Result<(), RecordsError> {
    let Some(build) = records.read().await?.build_get(id).await? else { return Ok(()) };
    let Some(end) = build.finished_at else { return Ok(()) };
    if !counted.is_new(id.as_uuid()) {
        return Ok(());
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_is_counted_once_however_often_it_is_told() {
        let mut counted = Counted::default();
        let first = Uuid::from_u128(1);
        assert!(counted.is_new(first) && !counted.is_new(first));
        for other in 2..=(MAX_COUNTED as u128 + 1) {
            assert!(counted.is_new(Uuid::from_u128(other)));
        }
        assert_eq!(counted.known.len(), MAX_COUNTED);
        assert!(counted.is_new(first), "only the latest are kept");
    }
}
