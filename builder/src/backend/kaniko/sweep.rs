//! Removing what attempts that are over have left.

use chrono::{DateTime, Utc};
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt as _;
use slipway_records::worker::fault_of;
use slipway_types::Fault;
use slipway_types::state::{BuildState, DeclaredCheckState};

use super::Inner;
use super::cluster::Cluster;
use super::objects::{Attempt, EXPIRES, Purpose, TOKEN};

/// Removes an attempt's Job and Secret, and ends its token.
pub(super) async fn remove(inner: &Inner, cluster: &Cluster, attempt: &Attempt) -> Result<(), Fault> {
    let fault = |error| cluster.fault(error);
    let name = attempt.name();
    let secret = cluster.secret(&name).await.map_err(fault)?;
    // First of all: with the Job goes the Secret, and with that what says which token it was.
    if let Some(secret) = &secret {
        end_token(inner, secret).await?;
    }
    cluster.delete_job(&name).await.map_err(fault)?;
    if secret.is_some() {
        cluster.delete_secret(&name).await.map_err(fault)?;
    }
    Ok(())
}

async fn end_token(inner: &Inner, secret: &Secret) -> Result<(), Fault> {
    let Some(id) = secret.annotations().get(TOKEN).and_then(|id| id.parse().ok()) else { return Ok(()) };
    let fault = |error| fault_of(&error);
    let mut tx = inner.records.begin().await.map_err(fault)?;
    tx.token_revoke(id, Utc::now()).await.map_err(fault)?;
    tx.commit().await.map_err(fault)
}

/// Looks through all clusters; one that is away does not keep the others from being swept.
pub(super) async fn sweep(inner: &Inner) -> Result<(), Fault> {
    let mut failed = None;
    for cluster in &inner.clusters {
        if let Err(fault) = sweep_cluster(inner, cluster).await {
            failed = Some(fault);
        }
    }
    failed.map_or(Ok(()), Err)
}

async fn sweep_cluster(inner: &Inner, cluster: &Cluster) -> Result<(), Fault> {
    let fault = |error| cluster.fault(error);
    let jobs = cluster.jobs().await.map_err(fault)?;
    let secrets = cluster.secrets().await.map_err(fault)?;
    let of_jobs = jobs.iter().filter_map(|job| Attempt::of(Some(job.labels())));
    let of_secrets = secrets.iter().filter_map(|secret| Attempt::of(Some(secret.labels())));
    let all: std::collections::HashSet<Attempt> = of_jobs.chain(of_secrets).collect();
    let mut failed = None;
    for attempt in all {
        let expired = secrets
            .iter()
            .any(|secret| Attempt::of(Some(secret.labels())) == Some(attempt) && has_expired(secret));
        if expired || is_over(inner, &attempt).await? {
            tracing::info!(cluster = cluster.name(), job = attempt.name(), "removing what an attempt left");
            // One that cannot be removed keeps no other from it.
            if let Err(fault) = remove(inner, cluster, &attempt).await {
                failed = Some(fault);
            }
        }
    }
    failed.map_or(Ok(()), Err)
}

fn has_expired(secret: &Secret) -> bool {
    let at = secret.annotations().get(EXPIRES).and_then(|at| at.parse::<DateTime<Utc>>().ok());
    at.is_some_and(|at| at < Utc::now())
}

/// Whether no process will go on with the attempt. A build or check that the records do not know is another
/// installation's.
async fn is_over(inner: &Inner, attempt: &Attempt) -> Result<bool, Fault> {
    let fault = |error| fault_of(&error);
    let mut read = inner.records.read().await.map_err(fault)?;
    let build = match attempt.purpose {
        Purpose::Build(build) => read.build_get(build).await.map_err(fault)?,
        Purpose::Check(check) => {
            let found = read.declared_check_get(check).await.map_err(fault)?;
            return Ok(found.is_some_and(|check| match check.state {
                DeclaredCheckState::Running => attempt.number < check.attempt,
                _ => true,
            }));
        }
    };
    let Some(build) = build else { return Ok(false) };
    // An attempt is counted before its Job is made.
    Ok(match build.state {
        BuildState::Building { .. } | BuildState::Pushing { .. } | BuildState::Cancelling { .. } => {
            attempt.number < build.attempt
        }
        BuildState::Queued { .. } => attempt.number <= build.attempt,
        _ => true,
    })
}
