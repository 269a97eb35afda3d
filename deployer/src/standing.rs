//! What gates are asked about, gathered from the records.

use std::collections::{BTreeSet, HashMap};

use chrono::{DateTime, Utc};
use slipway_oci::builtin::signed_among;
use slipway_records::{
    Application, Approval, BundleCheck, Channel, Deployment, DeploymentCause, DeploymentFilter, Environment,
    Hold, Observation, PackageVersion, Page, Read, RecordsError,
};
use slipway_types::environment::EnvironmentSettings;
use slipway_types::id::{ApplicationId, DeploymentId, EnvironmentId, VersionId};
use slipway_types::label::LabelKey;
use slipway_types::state::DeploymentState;
use slipway_types::{ApplicationName, Digest, Fault};

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
    let application = named(read.as_mut(), deployment.application_id).await?;
    let place = Surroundings::look(read.as_mut(), application, environment).await.map_err(fault)?;
    let approvals = read.approvals_of(deployment.id).await.map_err(fault)?;
    let checks = read.checks_of(bundle.id).await.map_err(fault)?;
    let order = crate::waves::gates(read.as_mut(), deployment, environment).await.map_err(fault)?;
    drop(read);
    let signatures = signed(stage, deployment, &environment.settings, bundle).await?;
    Ok(place.gates((deployment, bundle), order, Told { approvals, checks, signatures }))
}

/// The same for deployments that are not stored, of one application, each with its bundle; in their order. Nobody said
/// anything of them, and none has its turn behind another. What all of them need is looked up once. A bundle whose
/// signatures cannot be read fails for itself.
pub async fn gates_of_drafts(
    stage: &Stage,
    drafts: &[(Deployment, &PackageVersion)],
    environment: &Environment,
) -> Result<Vec<Result<Vec<Gate>, Fault>>, Fault> {
    let Some((first, _)) = drafts.first() else { return Ok(Vec::new()) };
    let fault = |error: RecordsError| crate::records_fault(&error);
    let wanted = &environment.settings.gates.signatures;
    let mut read = stage.records.read().await.map_err(fault)?;
    let application = named(read.as_mut(), first.application_id).await?;
    let place = Surroundings::look(read.as_mut(), application, environment).await.map_err(fault)?;
    let versions: Vec<VersionId> = drafts.iter().map(|(_, bundle)| bundle.id).collect();
    let mut checks: HashMap<VersionId, Vec<BundleCheck>> = HashMap::new();
    for check in read.checks_among(&versions).await.map_err(fault)? {
        checks.entry(check.version_id).or_default().push(check);
    }
    let offered = match wanted.is_empty() {
        true => None,
        false => Some(offered(read.as_mut(), first.application_id, drafts).await?),
    };
    drop(read);
    let mut found = Vec::new();
    for (draft, bundle) in drafts {
        let bundle: &PackageVersion = bundle;
        let signatures = match &offered {
            None => Ok(Signatures::default()),
            Some((application, signed)) if signed.contains(&bundle.digest) => {
                stage.signatures(application, bundle, wanted).await
            }
            Some((application, _)) => {
                Ok(Signatures::judge(&[], wanted, crate::signatures::command(application, bundle)))
            }
        };
        let checks = checks.get(&bundle.id).cloned().unwrap_or_default();
        let told = |signatures| Told { approvals: Vec::new(), checks, signatures };
        found.push(signatures.map(|signatures| place.gates((draft, bundle), Vec::new(), told(signatures))));
    }
    Ok(found)
}

/// The application, and the digests of those bundles for which something is offered as a signature.
async fn offered(
    read: &mut dyn Read,
    application: ApplicationId,
    drafts: &[(Deployment, &PackageVersion)],
) -> Result<(ApplicationName, BTreeSet<Digest>), Fault> {
    let fault = |error: RecordsError| crate::records_fault(&error);
    let application = named(read, application).await?.name;
    let digests: Vec<Digest> = drafts.iter().map(|(_, bundle)| bundle.digest).collect();
    let signed = signed_among(read, &application.path(), &digests).await.map_err(fault)?;
    Ok((application, signed))
}

async fn named(read: &mut dyn Read, application: ApplicationId) -> Result<Application, Fault> {
    let found = read.application_get(application).await.map_err(|error| crate::records_fault(&error))?;
    found.ok_or_else(gone)
}

fn gone() -> Fault {
    Fault::bug("deployment_unreadable", "what a deployment is about is gone")
}

/// What gates of an environment are asked about, whichever bundle of an application it is.
struct Surroundings<'a> {
    now: DateTime<Utc>,
    application: ApplicationName,
    environment: &'a Environment,
    hold: Option<Hold>,
    channels: Vec<Channel>,
    /// What ran upstream, if a soak there is asked for.
    upstream: Option<Vec<(Deployment, Option<Observation>)>>,
}

/// What is known of one deployment and its bundle.
struct Told {
    approvals: Vec<Approval>,
    checks: Vec<BundleCheck>,
    signatures: Signatures,
}

impl<'a> Surroundings<'a> {
    async fn look(
        read: &mut dyn Read,
        Application { id, name: application, .. }: Application,
        environment: &'a Environment,
    ) -> Result<Self, RecordsError> {
        let settings = &environment.settings;
        let mut upstream = None;
        if settings.gates.soak.is_some()
            && let Some(name) = &settings.upstream
            && let Some(found) = read.environment_by_name(name).await?
        {
            upstream = Some(heard(read, found.id, id).await?);
        }
        Ok(Self {
            hold: read.hold_get(environment.id, id).await?,
            channels: read.channel_list(id).await?,
            upstream,
            application,
            environment,
            now: Utc::now(),
        })
    }

    /// How the gates stand for a deployment, those of its `order` among others of its wave included.
    fn gates(
        &self,
        (deployment, bundle): (&Deployment, &PackageVersion),
        order: Vec<Gate>,
        told: Told,
    ) -> Vec<Gate> {
        let settings = &self.environment.settings;
        let channels = self.channels.iter().filter(|channel| channel.version_id == bundle.id);
        let facts = Facts {
            now: self.now,
            revision: deployment.revision.unwrap_or_else(|| Digest::of("")),
            authors: authors(deployment, bundle),
            approvals: told.approvals,
            labels: bundle.labels.clone(),
            channels: channels.map(|channel| channel.name.clone()).collect(),
            checks: told.checks,
            signatures: told.signatures,
            soaked_minutes: self
                .upstream
                .as_ref()
                .and_then(|heard| longest(heard, &deployment.lock, self.now)),
            upstream: settings.upstream.as_ref().map(ToString::to_string),
        };
        let pin =
            crate::pins::of(self.hold.as_ref(), deployment, (&self.application, &self.environment.name));
        pin.into_iter().chain(order).chain(ask(settings, &facts)).collect()
    }
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
    let application = application.map_err(|error| crate::records_fault(&error))?.ok_or_else(gone)?;
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
    Ok(longest(&heard(read, environment, application).await?, lock, now))
}

/// What of an application was handed off to an environment, newest first, with what was heard of each.
async fn heard(
    read: &mut dyn Read,
    environment: EnvironmentId,
    application: ApplicationId,
) -> Result<Vec<(Deployment, Option<Observation>)>, RecordsError> {
    let filter = DeploymentFilter {
        application: Some(application),
        environment: Some(environment),
        ..DeploymentFilter::default()
    };
    let mut rows = read.deployment_list(&filter, Page::first(UPSTREAM_MAX)).await?;
    rows.retain(|row| row.handed_off_at.is_some());
    let ids: Vec<DeploymentId> = rows.iter().map(|row| row.id).collect();
    let mut told: HashMap<_, _> = read.observations_of(&ids).await?.into_iter().collect();
    let with_told = |row: Deployment| {
        let observation = told.remove(&row.id);
        (row, observation)
    };
    Ok(rows.into_iter().map(with_told).collect())
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
        row(lock, DeploymentState::Superseded { by: DeploymentId::new(), failed: None }, out, Some(ended))
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
