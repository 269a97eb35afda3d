//! All that the records know of a version of a component package, looked up at once.

use chrono::Utc;
use slipway_records::detail::PackageDetail;
use slipway_records::{Application, Build, Environment, PackageVersion, Page, Run, Source};
use slipway_types::{ApplicationName, ComponentName, Version};
use uuid::Uuid;

use super::address;
use super::bundle_chain::{build_item, image_item, run_item};
use super::bundle_filter::BundleFilter;
use super::bundle_rows::{BundleRow, Surroundings, author_name, commit_link};
use super::chain::{Chain, Item};
use super::known_bundle::previous;
use super::texts::Texts;
use super::version_history::History;
use crate::auth::Caller;
use crate::package_contents::first_published;
use crate::problem::ApiError;
use crate::rest::version_views::find_version;
use crate::state::ServerState;

/// Bundles that hold it, on one page.
const USED_MAX: u32 = 20;

/// A version of a component package with what is known of it.
pub(super) struct KnownPackage {
    pub(super) application: Application,
    pub(super) version: PackageVersion,
    pub(super) detail: PackageDetail,
    pub(super) source: Option<Source>,
    /// The run that made it, which may be an earlier one than the version's; absent of what people composed.
    pub(super) run: Option<Run>,
    pub(super) environments: Vec<Environment>,
    /// The version published before it.
    pub(super) previous: Option<Version>,
    /// Bundles that hold it.
    pub(super) used_by: Vec<BundleRow>,
    /// The last of those, if there may be more.
    pub(super) last_used: Option<Uuid>,
    pub(super) history: History,
    /// The version it was first published as.
    first: PackageVersion,
    build: Option<Build>,
}

impl KnownPackage {
    pub(super) async fn look(
        state: &ServerState,
        t: &'static Texts,
        caller: &Caller,
        (name, component, version): (&ApplicationName, &ComponentName, &Version),
        after: Option<Uuid>,
    ) -> Result<Self, ApiError> {
        let mut read = state.records.read().await?;
        let (application, version) =
            find_version(caller, read.as_mut(), name, Some(component), version).await?;
        let detail: PackageDetail =
            serde_json::from_value(version.detail.clone()).map_err(|error| ApiError::internal(&error))?;
        let first = first_published(read.as_mut(), &version).await?;
        let run = match first.source_commit() {
            Some(_) => read.run_get(first.run_id).await?,
            None => None,
        };
        let build = match &run {
            Some(run) => {
                read.builds_of(run.id).await?.into_iter().find(|build| build.component == *component)
            }
            None => None,
        };
        let bundles =
            read.bundles_with(application.id, &version.digest, Page { limit: USED_MAX, after }).await?;
        let surroundings = Surroundings::look(read.as_mut(), &application, &bundles).await?;
        let (filter, now) = (BundleFilter::default(), Utc::now());
        let used_by = bundles.iter().map(|bundle| surroundings.row(t, bundle, &filter, now));
        let used_by = used_by.collect::<Result<Vec<_>, _>>()?;
        let is_full = bundles.len() >= USED_MAX as usize;
        Ok(Self {
            detail,
            run,
            build,
            first,
            source: surroundings.source().cloned(),
            environments: read.environment_list().await?,
            previous: previous(read.as_mut(), &application, &version).await?,
            used_by,
            last_used: bundles.last().filter(|_| is_full).map(|last| last.id.as_uuid()),
            history: History::look(read.as_mut(), t, caller, &application.name, &version).await?,
            application,
            version,
        })
    }

    /// Commit, build, images, the package itself, bundles, environments that run them.
    pub(super) fn chain(&self, t: &'static Texts, used_by: &[BundleRow]) -> Chain {
        let name = &self.application.name;
        let commit = commit_link(&self.application, self.source.as_ref(), &self.first);
        let commit = commit.zip(self.run.as_ref()).map(|(link, run)| {
            let note = format!("{}: {}", author_name(&run.author), run.subject);
            Item::new(link.text).at(link.address).note(note)
        });
        let build = self.run.as_ref().map(|run| match &self.build {
            Some(build) => build_item(t, name, run, build),
            None => run_item(t, name, run),
        });
        let images = self.detail.images.iter().map(|image| image_item(&image.digest)).collect();
        let here = Item::new(self.version.version.to_string()).note(self.version.digest.short());
        let bundles = used_by.iter().map(|row| Item::new(row.version.clone()).at(row.address.clone()));
        let mut places: Vec<&String> = used_by.iter().flat_map(|row| &row.places).collect();
        places.sort();
        places.dedup();
        let place = |environment: &&String| {
            Item::new(environment.as_str()).at(address::deployments_in(name, environment))
        };
        Chain::new(t)
            .step(t, t.commit, commit.into_iter().collect())
            .step(t, t.versions.builds, build.into_iter().collect())
            .step(t, t.images, images)
            .here(t, t.versions.package, here)
            .step(t, t.bundles, bundles.collect())
            .step(t, t.versions.deployments_of, places.iter().map(place).collect())
    }
}
