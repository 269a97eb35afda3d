//! What gates are asked about, gathered from the records.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use slipway_records::{Deployment, DeploymentFilter, Environment, PackageVersion, Page, Read, RecordsError};
use slipway_types::environment::EnvironmentSettings;
use slipway_types::id::{ApplicationId, EnvironmentId};
use slipway_types::label::LabelKey;
use slipway_types::{Digest, Fault};

use crate::gates::{Facts, Gate, ask};
use crate::signatures::Signatures;
use crate::stage::Stage;

/// How many deployments upstream are looked at for a soak.
const UPSTREAM_MAX: u32 = 200;

/// How every gate stands for a deployment now, in the order people read them.
pub async fn gates(
    stage: &Stage,
    deployment: &Deployment,
    environment: &Environment,
    bundle: &PackageVersion,
) -> Result<Vec<Gate>, Fault> {
    let fault = |error: RecordsError| crate::records_fault(&error);
    let mut read = stage.records.read().await.map_err(fault)?;
    let revision = deployment.revision.unwrap_or_else(|| Digest::of(""));
    let settings = &environment.settings;
    let approvals = read.approvals_of(deployment.id).await.map_err(fault)?;
    let channels = read.channel_list(deployment.application_id).await.map_err(fault)?;
    let checks = read.checks_of(bundle.id).await.map_err(fault)?;
    let now = Utc::now();
    let mut soaked_minutes = None;
    if settings.gates.soak.is_some()
        && let Some(upstream) = &settings.upstream
        && let Some(upstream) = read.environment_by_name(upstream).await.map_err(fault)?
    {
        let soaked =
            soaked(read.as_mut(), upstream.id, deployment.application_id, &deployment.lock, now).await;
        soaked_minutes = soaked.map_err(fault)?;
    }
    drop(read);
    let facts = Facts {
        now,
        revision,
        authors: authors(deployment, bundle),
        approvals,
        labels: bundle.labels.clone(),
        channels: channels
            .into_iter()
            .filter(|channel| channel.version_id == bundle.id)
            .map(|channel| channel.name)
            .collect(),
        checks,
        signatures: signed(stage, deployment, settings, bundle).await?,
        soaked_minutes,
        upstream: settings.upstream.as_ref().map(ToString::to_string),
    };
    Ok(ask(settings, &facts))
}

/// Whose signatures hold. Where none is asked for, none is looked for.
async fn signed(
    stage: &Stage,
    deployment: &Deployment,
    settings: &EnvironmentSettings,
    bundle: &PackageVersion,
) -> Result<Signatures, Fault> {
    if settings.gates.signatures.is_empty() {
        return Ok(Signatures::default());
    }
    let mut read = stage.records.read().await.map_err(|error| crate::records_fault(&error))?;
    let application = read.application_get(deployment.application_id).await;
    drop(read);
    let application = application
        .map_err(|error| crate::records_fault(&error))?
        .ok_or_else(|| Fault::bug("deployment_unreadable", "what a deployment is about is gone"))?;
    stage.signatures(&application.name, bundle, &settings.gates.signatures).await
}

/// Who made the deployment, and who pushed the commit.
fn authors(deployment: &Deployment, bundle: &PackageVersion) -> BTreeSet<String> {
    let actor = LabelKey::of_server("actor").ok().and_then(|key| bundle.labels.get(&key).cloned());
    let actor = actor.map(|actor| actor.as_str().to_owned());
    std::iter::once(deployment.created_by.clone()).chain(actor).collect()
}

/// The longest time that these components have run in an environment without a break, in minutes.
pub async fn soaked(
    read: &mut dyn Read,
    environment: EnvironmentId,
    application: ApplicationId,
    lock: &Digest,
    now: DateTime<Utc>,
) -> Result<Option<u64>, RecordsError> {
    let filter = DeploymentFilter {
        application: Some(application),
        environment: Some(environment),
        ..DeploymentFilter::default()
    };
    let rows = read.deployment_list(&filter, Page::first(UPSTREAM_MAX)).await?;
    let mut longest = None;
    // A later deployment of the same components goes on with the time of the earlier one.
    let mut until: Option<DateTime<Utc>> = None;
    for row in rows.iter().filter(|row| row.handed_off_at.is_some()) {
        if row.lock != *lock || !(row.state.has_arrived() || row.state.word() == "superseded") {
            until = None;
            continue;
        }
        let end = *until.get_or_insert_with(|| row.finished_at.unwrap_or(now));
        let began = row.handed_off_at.unwrap_or(end);
        let minutes = u64::try_from((end - began).num_minutes()).unwrap_or(0);
        longest = longest.max(Some(minutes));
    }
    Ok(longest)
}
