//! What gates are asked about, gathered from the records.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use slipway_records::{
    Deployment, DeploymentCause, DeploymentFilter, Environment, Observation, PackageVersion, Page, Read,
    RecordsError,
};
use slipway_types::environment::EnvironmentSettings;
use slipway_types::id::{ApplicationId, EnvironmentId};
use slipway_types::label::LabelKey;
use slipway_types::state::DeploymentState;
use slipway_types::{Digest, Fault};

use crate::gates::{Facts, Gate, ask};
use crate::handler::is_removal;
use crate::signatures::Signatures;
use crate::stage::Stage;

/// How many deployments upstream are looked at for a soak.
const UPSTREAM_MAX: u32 = 200;

/// How every gate stands for a deployment now, in the order people read them. A return to what was live asks none.
pub async fn gates(
    stage: &Stage,
    deployment: &Deployment,
    environment: &Environment,
    bundle: &PackageVersion,
) -> Result<Vec<Gate>, Fault> {
    if let DeploymentCause::Rollback { to, was_live: true, .. } = &deployment.cause {
        return Ok(vec![Gate {
            gate: "rollback",
            open: true,
            detail: format!("generation {to} was live: no gate is asked"),
            opens_in_s: None,
        }]);
    }
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
    let pin = crate::pins::gate(read.as_mut(), deployment, environment).await.map_err(fault)?;
    let order = crate::waves::gates(read.as_mut(), deployment, environment).await.map_err(fault)?;
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
    Ok(pin.into_iter().chain(order).chain(ask(settings, &facts)).collect())
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
    let mut heard = Vec::new();
    for row in rows.into_iter().filter(|row| row.handed_off_at.is_some()) {
        let observation = read.observation_get(row.id).await?;
        heard.push((row, observation));
    }
    Ok(longest(&heard, lock, now))
}

/// The longest stretch of these components, in minutes; deployments newest first, with what was heard of
/// them.
fn longest(rows: &[(Deployment, Option<Observation>)], lock: &Digest, now: DateTime<Utc>) -> Option<u64> {
    let mut longest = None;
    // A later deployment of the same components goes on with the time of the earlier one.
    let mut until: Option<DateTime<Utc>> = None;
    for (row, observation) in rows {
        let Some(began) = ran(row, observation.as_ref()).filter(|_| row.lock == *lock) else {
            until = None;
            continue;
        };
        let end = until.unwrap_or_else(|| row.finished_at.unwrap_or(now));
        let minutes = u64::try_from((end - began).num_minutes()).unwrap_or(0);
        longest = longest.max(Some(minutes));
        until = observation.as_ref().is_none_or(|observation| !observation.interrupted).then_some(end);
    }
    longest
}

/// Since when a deployment runs as wanted, or ran until another took its place. `None`: it does not, or did
/// not.
pub(crate) async fn ran_since(
    read: &mut dyn Read,
    deployment: &Deployment,
) -> Result<Option<DateTime<Utc>>, RecordsError> {
    let observation = read.observation_get(deployment.id).await?;
    Ok(ran(deployment, observation.as_ref()))
}

/// The same from what was heard of it.
fn ran(deployment: &Deployment, observation: Option<&Observation>) -> Option<DateTime<Utc>> {
    let is_superseded = matches!(deployment.state, DeploymentState::Superseded { .. });
    if is_removal(deployment) || !(deployment.state.has_arrived() || is_superseded) {
        return None;
    }
    // Nobody reports on what was only delivered: it counts from there.
    match observation {
        Some(observation) => observation.live_since,
        None => deployment.handed_off_at,
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use chrono::TimeDelta;
    use slipway_records::NewDeployment;
    use slipway_types::Version;
    use slipway_types::id::{DeploymentId, VersionId};

    use super::*;

    pub(crate) fn minute(number: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::minutes(number)
    }

    /// A deployment of the components `lock`, with the minutes when it was handed off and when it ended.
    pub(crate) fn row(lock: &str, state: DeploymentState, out: i64, ended: Option<i64>) -> Deployment {
        let new = NewDeployment {
            application_id: ApplicationId::new(),
            environment_id: EnvironmentId::new(),
            bundle_id: VersionId::new(),
            bundle_version: Version::release(1, 0, 0),
            bundle_digest: Digest::of("bundle"),
            lock: Digest::of(lock),
            choice: serde_json::Value::Null,
            cause: DeploymentCause::Deploy,
            created_by: "ann".to_owned(),
            document: None,
        };
        Deployment {
            state,
            handed_off_at: Some(minute(out)),
            finished_at: ended.map(minute),
            ..new.draft(1, minute(out))
        }
    }

    fn superseded(lock: &str, out: i64, ended: i64) -> Deployment {
        row(lock, DeploymentState::Superseded { by: DeploymentId::new() }, out, Some(ended))
    }

    fn live(since: i64, interrupted: bool) -> Option<Observation> {
        Some(Observation { live_since: Some(minute(since)), interrupted, ..Observation::default() })
    }

    fn minutes(rows: &[(Deployment, Option<Observation>)], now: i64) -> Option<u64> {
        longest(rows, &Digest::of("a"), minute(now))
    }

    #[test]
    fn a_newer_deployment_of_the_same_components_goes_on_with_their_time() {
        let now = row("a", DeploymentState::Live, 4, None);
        let rows = [(now, live(5, false)), (superseded("a", 0, 4), live(1, false))];
        assert_eq!(minutes(&rows, 64), Some(63));
        // Nobody reports on these.
        let artifact = DeploymentState::Delivered { artifact: "x".to_owned() };
        let rows = [(row("a", artifact, 30, None), None), (superseded("a", 0, 30), None)];
        assert_eq!(minutes(&rows, 60), Some(60));
    }

    #[test]
    fn a_stretch_ends_where_one_failed_or_other_components_ran() {
        let now = || row("a", DeploymentState::Live, 4, None);
        // It failed for 50 minutes, and was tried again.
        let rows = [(now(), live(54, true)), (superseded("a", 0, 4), live(1, false))];
        assert_eq!(minutes(&rows, 64), Some(10));
        let never_ran = Some(Observation::default());
        for between in [(superseded("a", 2, 4), never_ran), (superseded("b", 2, 4), live(2, false))] {
            let rows = [(now(), live(5, false)), between, (superseded("a", 0, 2), live(0, false))];
            assert_eq!(minutes(&rows, 64), Some(59));
        }
        // What ran as long before counts for itself.
        let rows = [(now(), live(54, true)), (superseded("a", -60, 4), live(-59, false))];
        assert_eq!(minutes(&rows, 64), Some(63));
    }
}
