//! Two bundles of an application, compared: what the page of it shows and the API tells.

use std::collections::{BTreeMap, BTreeSet};

use futures::future::try_join_all;
use serde_json::Value;
use slipway_records::detail::{BundleDetail, BundleMember};
use slipway_records::{Application, PackageVersion, Source};
use slipway_types::{ApplicationName, ComponentName, Digest, Version};

use crate::auth::Caller;
use crate::history::History;
use crate::package_contents as contents;
use crate::problem::ApiError;
use crate::rest::version_views::find_version;
use crate::state::ServerState;
use crate::value_differences::{Difference, differences};

/// Components whose configuration is compared at once; the others' packages can be compared one by one.
const CONFIGURED_MAX: usize = 40;

/// How two bundles differ.
pub(crate) struct BundleComparison {
    pub(crate) application: Application,
    pub(crate) source: Option<Source>,
    pub(crate) from: PackageVersion,
    pub(crate) to: PackageVersion,
    /// Those that differ first, then by name.
    pub(crate) components: Vec<ComponentComparison>,
    /// `None` where one is of no commit or the history cannot be read now.
    pub(crate) history: Option<History>,
}

/// What became of a component.
pub(crate) struct ComponentComparison {
    pub(crate) component: ComponentName,
    pub(crate) from: Option<BundleMember>,
    pub(crate) to: Option<BundleMember>,
    /// Where what its developers declared for the deploy side differs.
    pub(crate) configuration: Vec<Difference>,
}

/// What became of a component, in a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    Added,
    Removed,
    Changed,
    Same,
}

impl ComponentComparison {
    /// What became of it.
    pub(crate) fn change(&self) -> Change {
        match (&self.from, &self.to) {
            (None, _) => Change::Added,
            (_, None) => Change::Removed,
            (Some(from), Some(to)) if from.digest == to.digest => Change::Same,
            (Some(_), Some(_)) => Change::Changed,
        }
    }
}

impl Change {
    /// Its word.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Added => "added",
            Self::Removed => "removed",
            Self::Changed => "changed",
            Self::Same => "same",
        }
    }
}

/// Compares two bundles of the application with that name.
pub(crate) async fn compare(
    state: &ServerState,
    caller: &Caller,
    name: &ApplicationName,
    (from, to): (&Version, &Version),
) -> Result<BundleComparison, ApiError> {
    let (application, from, to, source) = {
        let mut read = state.records.read().await?;
        let (application, from) = find_version(caller, read.as_mut(), name, None, from).await?;
        let (_, to) = find_version(caller, read.as_mut(), name, None, to).await?;
        let source = read.source_get(application.source_id).await?;
        (application, from, to, source)
    };
    let components = components(state, &application.name, members(&from)?, members(&to)?).await?;
    let history = History::between(state, &application, &from, &to).await;
    Ok(BundleComparison { application, source, from, to, components, history })
}

fn members(bundle: &PackageVersion) -> Result<BTreeMap<ComponentName, BundleMember>, ApiError> {
    let detail: BundleDetail =
        serde_json::from_value(bundle.detail.clone()).map_err(|error| ApiError::internal(&error))?;
    Ok(detail.members.into_iter().map(|member| (member.component.clone(), member)).collect())
}

/// What became of each component: first those that differ.
async fn components(
    state: &ServerState,
    application: &ApplicationName,
    mut from: BTreeMap<ComponentName, BundleMember>,
    mut to: BTreeMap<ComponentName, BundleMember>,
) -> Result<Vec<ComponentComparison>, ApiError> {
    let names: BTreeSet<ComponentName> = from.keys().chain(to.keys()).cloned().collect();
    let changed = names
        .iter()
        .filter_map(|name| Some((from.get(name)?, to.get(name)?)))
        .filter(|(before, after)| before.digest != after.digest);
    let read = changed.take(CONFIGURED_MAX).map(|(before, after)| async move {
        let old = workload(state, application, &before.component, &before.digest).await?;
        let new = workload(state, application, &after.component, &after.digest).await?;
        Ok::<_, ApiError>((after.component.clone(), differences(&old, &new)))
    });
    let mut configured: BTreeMap<ComponentName, Vec<Difference>> =
        try_join_all(read).await?.into_iter().collect();
    let compared = names.into_iter().map(|component| ComponentComparison {
        from: from.remove(&component),
        to: to.remove(&component),
        configuration: configured.remove(&component).unwrap_or_default(),
        component,
    });
    let mut compared: Vec<ComponentComparison> = compared.collect();
    compared.sort_by_key(|one| one.change() == Change::Same);
    Ok(compared)
}

/// What the developers of a package declared; nothing where its bytes are not here.
async fn workload(
    state: &ServerState,
    application: &ApplicationName,
    component: &ComponentName,
    digest: &Digest,
) -> Result<Value, ApiError> {
    let held = contents::read(state, application, component, digest).await?;
    Ok(held.map(|held| held.workload().clone()).unwrap_or_default())
}
