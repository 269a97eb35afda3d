//! All that the records know of a bundle, looked up at once: nothing of it asks the registry.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use slipway_records::detail::BundleDetail;
use slipway_records::{
    Application, Build, BundleCheck, Channel, DeclaredCheck, Deployment, DeploymentFilter, Environment,
    PackageVersion, Page, Read, Run, VersionFilter,
};
use slipway_types::id::EnvironmentId;
use slipway_types::name::SOURCE_CHECK_PREFIX;
use slipway_types::{ApplicationName, GitRef, Version};

use super::address;
use super::bundle_rows::Surroundings;
use super::log::log_address;
use super::log_of::LogOf;
use super::parts::{Moment, Status};
use super::texts::Texts;
use super::version_history::History;
use crate::auth::Caller;
use crate::problem::ApiError;
use crate::rest::version_views::find_version;
use crate::state::ServerState;

/// Deployments that are shown.
const DEPLOYMENTS_MAX: u32 = 20;

/// A bundle with what is known of it.
pub(super) struct KnownBundle {
    pub(super) application: Application,
    pub(super) version: PackageVersion,
    pub(super) detail: BundleDetail,
    pub(super) surroundings: Surroundings,
    /// The run that published it; absent of what people composed.
    pub(super) run: Option<Run>,
    pub(super) builds: Vec<Build>,
    pub(super) environments: Vec<Environment>,
    pub(super) channels: Vec<Channel>,
    pub(super) deployments: Vec<Deployment>,
    /// Where those are or were.
    places: Vec<Environment>,
    /// The one published before it, of the same branch if it is of one.
    pub(super) previous: Option<Version>,
    pub(super) history: History,
    declared: Vec<DeclaredCheck>,
    reported: Vec<BundleCheck>,
}

/// A check of a bundle.
pub(super) struct CheckLine {
    pub(super) name: String,
    pub(super) status: Status,
    /// The person whose word it is; absent of those that Slipway runs.
    pub(super) reported_by: Option<String>,
    pub(super) reason: Option<String>,
    pub(super) log: Option<String>,
    pub(super) waived_by: Option<String>,
}

/// A deployment of a version.
pub(super) struct DeploymentLine {
    pub(super) environment: String,
    /// The word for an environment that was removed; absent: it is there.
    pub(super) gone: Option<&'static str>,
    pub(super) address: String,
    pub(super) status: Status,
    pub(super) generation: u64,
    pub(super) by: String,
    pub(super) at: Moment,
}

impl KnownBundle {
    pub(super) async fn look(
        state: &ServerState,
        t: &'static Texts,
        caller: &Caller,
        (name, version): (&ApplicationName, &Version),
    ) -> Result<Self, ApiError> {
        let mut read = state.records.read().await?;
        let (application, version) = find_version(caller, read.as_mut(), name, None, version).await?;
        let detail: BundleDetail =
            serde_json::from_value(version.detail.clone()).map_err(|error| ApiError::internal(&error))?;
        let shown = std::slice::from_ref(&version);
        let surroundings = Surroundings::look(read.as_mut(), &application, shown).await?;
        let run = match detail.composed {
            None => read.run_get(version.run_id).await?,
            Some(_) => None,
        };
        let builds = match &run {
            Some(run) => read.builds_of(run.id).await?,
            None => Vec::new(),
        };
        let filter = DeploymentFilter {
            application: Some(application.id),
            bundle: Some(version.id),
            ..DeploymentFilter::default()
        };
        let deployments = read.deployment_list(&filter, Page::first(DEPLOYMENTS_MAX)).await?;
        let places: Vec<EnvironmentId> = deployments.iter().map(|row| row.environment_id).collect();
        Ok(Self {
            detail,
            surroundings,
            run,
            builds,
            environments: read.environment_list().await?,
            channels: read.channel_list(application.id).await?,
            places: read.environments_get(&places).await?,
            deployments,
            previous: previous(read.as_mut(), &application, &version).await?,
            history: History::look(read.as_mut(), t, caller, &application.name, &version).await?,
            declared: read.declared_checks_of(version.id).await?,
            reported: read.checks_of(version.id).await?,
            application,
            version,
        })
    }

    pub(super) fn deployment_lines(&self, t: &'static Texts, now: DateTime<Utc>) -> Vec<DeploymentLine> {
        deployment_lines(t, &self.application.name, &self.deployments, &self.places, now)
    }

    pub(super) fn check_lines(&self, t: &'static Texts) -> Vec<CheckLine> {
        let declared = self.declared.iter().map(|check| CheckLine {
            name: check.name.to_string(),
            status: Status::of(t, check.state.word()),
            reported_by: None,
            reason: check.state.reason(),
            log: self.log_of(check),
            waived_by: check.waiver.as_ref().map(|waiver| format!("{}: {}", waiver.by, waiver.reason)),
        });
        let reported = self.reported.iter().map(|check| CheckLine {
            name: check.name.to_string(),
            status: Status::of(t, check.state.word()),
            reported_by: Some(check.reported_by.clone()),
            reason: check.detail.clone(),
            log: None,
            waived_by: None,
        });
        declared.chain(reported).collect()
    }

    /// What people composed has no run whose page could show the log.
    fn log_of(&self, check: &DeclaredCheck) -> Option<String> {
        let name = check.name.as_str().strip_prefix(SOURCE_CHECK_PREFIX)?.parse().ok()?;
        let run = self.run.as_ref()?;
        Some(log_address(&self.application.name, run.number, &LogOf::Check(name)))
    }
}

/// Deployments as lines, each with its environment; one that was removed is called so.
fn deployment_lines(
    t: &'static Texts,
    application: &ApplicationName,
    deployments: &[Deployment],
    places: &[Environment],
    now: DateTime<Utc>,
) -> Vec<DeploymentLine> {
    let places: HashMap<_, _> = places.iter().map(|place| (place.id, place)).collect();
    let line = |row: &Deployment| {
        let place = places.get(&row.environment_id)?;
        let is_gone = place.removed_at.is_some();
        Some(DeploymentLine {
            environment: place.name.to_string(),
            gone: is_gone.then(|| t.state("removed")),
            address: if is_gone {
                address::deployment(row.id)
            } else {
                address::deployments_in(application, place.name.as_str())
            },
            status: Status::of(t, row.state.word()),
            generation: row.generation,
            by: row.created_by.clone(),
            at: Moment::new(t, row.created_at, now),
        })
    };
    deployments.iter().filter_map(line).collect()
}

/// The version published before one, of the same component or of the bundle, and of the same branch if it is of one.
pub(super) async fn previous(
    read: &mut dyn Read,
    application: &Application,
    version: &PackageVersion,
) -> Result<Option<Version>, ApiError> {
    let branch = version.source_ref().filter(|git_ref| matches!(git_ref, GitRef::Branch(_)));
    let filter = VersionFilter {
        application: Some(application.id),
        component: Some(version.component.clone()),
        git_ref: branch.cloned(),
        ..VersionFilter::default()
    };
    let before = Page { limit: 1, after: Some(version.id.as_uuid()) };
    Ok(read.version_list(&filter, before).await?.pop().map(|found| found.version))
}
