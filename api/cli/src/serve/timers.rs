//! What happens by the clock: sweeps of sources, upkeep. Timers only enqueue; jobs do the work, so
//! several servers with the same timers do it once.

use std::sync::Arc;
use std::time::Duration;

use chrono::{TimeDelta, Utc};
use slipway_records::job::{JobPayload, NewJob};
use slipway_records::{Change, PAGE_ROWS_MAX, Records, RecordsError, SourceKind};
use slipway_types::state::{DeploymentState, RunState};
use tokio_util::sync::CancellationToken;

/// How often sources are looked at for being due.
const TICK: Duration = Duration::from_secs(15);
/// How often upkeep is due.
const COLLECT_EVERY: Duration = Duration::from_hours(1);
/// How often it is looked for news of the built-in core that nobody was woken for: found within twice of it.
const OVERLOOKED_EVERY: Duration = Duration::from_mins(5);

/// Enqueues what is due until `stop`.
pub(crate) async fn run(records: Arc<dyn Records>, stop: CancellationToken) {
    let mut collected: Option<tokio::time::Instant> = None;
    // What the core told before this boot has been queued by `resume`.
    let mut compared = tokio::time::Instant::now();
    loop {
        if let Err(error) = enqueue_sweeps(records.as_ref()).await {
            tracing::warn!(%error, "cannot queue sweeps");
        }
        if collected.is_none_or(|at| at.elapsed() >= COLLECT_EVERY) {
            collected = Some(tokio::time::Instant::now());
            if let Err(error) = enqueue(records.as_ref(), JobPayload::Collect).await {
                tracing::warn!(%error, "cannot queue upkeep");
            }
        }
        if compared.elapsed() >= OVERLOOKED_EVERY {
            compared = tokio::time::Instant::now();
            if let Err(error) = enqueue_overlooked(records.as_ref()).await {
                tracing::warn!(%error, "cannot look for news that nobody heard");
            }
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(TICK) => {}
        }
    }
}

async fn enqueue(records: &dyn Records, payload: JobPayload) -> Result<(), RecordsError> {
    let mut tx = records.begin().await?;
    tx.job_enqueue(NewJob::new(payload, None)).await?;
    tx.commit().await
}

/// Has deployments listened to of which the built-in core told more than was heard. That is nearly always none:
/// whoever tells queues the job, unless it was killed or the database was away just then.
async fn enqueue_overlooked(records: &dyn Records) -> Result<(), RecordsError> {
    let behind = records.read().await?.observations_behind(PAGE_ROWS_MAX).await?;
    if behind.is_empty() {
        return Ok(());
    }
    let mut tx = records.begin().await?;
    for (deployment, application) in behind {
        tx.job_enqueue(NewJob::new(JobPayload::Observe { deployment }, Some(application))).await?;
    }
    tx.commit().await
}

async fn enqueue_sweeps(records: &dyn Records) -> Result<(), RecordsError> {
    let sources = records.read().await?.source_list().await?;
    let now = Utc::now();
    for source in sources {
        // A built-in source misses nothing while the server runs; see `resume`.
        let mirrored = matches!(source.kind, SourceKind::Https { .. });
        let interval = TimeDelta::seconds(i64::from(source.poll_interval_s));
        if mirrored && source.swept_at.is_none_or(|at| now - at >= interval) {
            enqueue(records, JobPayload::Sweep { source: source.id }).await?;
        }
    }
    Ok(())
}

/// At start: every source is swept, and every live run and every deployment at a receiver gets the job
/// that moves it, should it have none.
pub(crate) async fn resume(records: &dyn Records) -> Result<(), RecordsError> {
    for source in records.read().await?.source_list().await? {
        enqueue(records, JobPayload::Sweep { source: source.id }).await?;
    }
    let applications = records.read().await?.application_list().await?;
    for application in applications {
        for run in records.read().await?.runs_live(application.id).await? {
            let payload = match run.state {
                RunState::Packaging => JobPayload::Package { run: run.id },
                RunState::Cancelling { .. } => JobPayload::Cancel { run: run.id },
                _ => JobPayload::Plan { run: run.id },
            };
            let mut tx = records.begin().await?;
            tx.job_enqueue(NewJob::new(payload, Some(application.id))).await?;
            tx.commit().await?;
        }
    }
    for deployment in records.read().await?.deployments_out().await? {
        if !deployment.state.has_arrived() || deployment.state == DeploymentState::Live {
            let observe = JobPayload::Observe { deployment: deployment.id };
            let mut tx = records.begin().await?;
            tx.job_enqueue(NewJob::new(observe, Some(deployment.application_id))).await?;
            tx.commit().await?;
        }
    }
    records.changes().send(Change::Job);
    Ok(())
}
