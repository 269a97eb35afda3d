//! Bundles as rows of a page, with what is known of them elsewhere.

use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashMap};

use chrono::{DateTime, Utc};
use slipway_oci::builtin::signed_among;
use slipway_records::detail::BundleDetail;
use slipway_records::{Application, PackageVersion, Read, Run, Source, SourceKind};
use slipway_types::id::{RunId, VersionId};
use slipway_types::{CommitId, Digest, GitRef};

use super::address;
use super::bundle_filter::BundleFilter;
use super::parts::{Moment, ShortDigest, size};
use super::tabs::Link;
use super::texts::Texts;
use crate::problem::ApiError;

/// A bundle.
pub(super) struct BundleRow {
    pub(super) version: String,
    /// Its page.
    pub(super) address: String,
    pub(super) at: Moment,
    pub(super) branch: Option<Link>,
    pub(super) tag: Option<String>,
    pub(super) commit: Option<Link>,
    pub(super) author: Option<String>,
    pub(super) subject: Option<String>,
    pub(super) run: Option<Link>,
    pub(super) labels: Vec<Link>,
    pub(super) channels: Vec<Link>,
    pub(super) places: Vec<String>,
    /// Whether something is offered as a signature of it; its page says whose they are.
    pub(super) has_signatures: bool,
    pub(super) size: String,
    pub(super) digest: ShortDigest,
    pub(super) composed_by: Option<String>,
    pub(super) held: Vec<String>,
    pub(super) packages: Vec<PackageLine>,
}

/// A component package in a bundle.
pub(super) struct PackageLine {
    pub(super) component: String,
    /// Its page.
    pub(super) address: String,
    pub(super) version: String,
    pub(super) size: String,
    pub(super) reused: bool,
}

/// What is known of bundles elsewhere.
pub(super) struct Surroundings {
    application: Application,
    source: Option<Source>,
    runs: HashMap<RunId, Run>,
    channels: HashMap<VersionId, Vec<String>>,
    places: HashMap<VersionId, Vec<String>>,
    held: HashMap<VersionId, Vec<String>>,
    signed: BTreeSet<Digest>,
}

/// The runs that published those versions.
pub(super) async fn runs_of(
    read: &mut dyn Read,
    versions: &[PackageVersion],
) -> Result<HashMap<RunId, Run>, ApiError> {
    let mut runs = HashMap::new();
    for version in versions {
        if let Entry::Vacant(place) = runs.entry(version.run_id)
            && let Some(run) = read.run_get(version.run_id).await?
        {
            place.insert(run);
        }
    }
    Ok(runs)
}

/// Where a commit is shown: at the forge it comes from, else what was published from it.
pub(super) fn commit_link(
    application: &Application,
    source: Option<&Source>,
    version: &PackageVersion,
) -> Option<Link> {
    version.source_commit().map(|commit| link_of_commit(application, source, commit))
}

/// Where a commit is shown.
pub(super) fn link_of_commit(application: &Application, source: Option<&Source>, commit: &CommitId) -> Link {
    let address = match source.map(|source| &source.kind) {
        // Every forge that receives webhooks from shows commits there.
        Some(SourceKind::Https { url }) => {
            format!("{}/commit/{commit}", url.trim_end_matches('/').trim_end_matches(".git"))
        }
        Some(SourceKind::Builtin) | None => {
            let filter = BundleFilter { q: commit.to_string(), ..BundleFilter::default() };
            filter.address(&address::application(&application.name))
        }
    };
    Link { text: commit.short().to_owned(), address }
}

/// A commit's author without the mail address.
pub(super) fn author_name(author: &str) -> String {
    let name = author.split_once('<').map_or(author, |(name, _)| name).trim();
    if name.is_empty() { author.to_owned() } else { name.to_owned() }
}

impl Surroundings {
    pub(super) async fn look(
        read: &mut dyn Read,
        application: &Application,
        versions: &[PackageVersion],
    ) -> Result<Self, ApiError> {
        let mut channels: HashMap<_, Vec<_>> = HashMap::new();
        for channel in read.channel_list(application.id).await? {
            channels.entry(channel.version_id).or_default().push(channel.name.to_string());
        }
        let mut places: HashMap<_, Vec<_>> = HashMap::new();
        let environments = read.environment_list().await?;
        for row in read.deployments_out_of(application.id).await? {
            let environment = environments.iter().find(|known| known.id == row.environment_id);
            if let Some(environment) = environment {
                places.entry(row.bundle_id).or_default().push(environment.name.to_string());
            }
        }
        let ids: Vec<_> = versions.iter().map(|version| version.id).collect();
        let mut held: HashMap<_, Vec<_>> = HashMap::new();
        for check in read.declared_checks_holding(&ids).await? {
            held.entry(check.version_id).or_default().push(check.standing());
        }
        let digests: Vec<Digest> = versions.iter().map(|version| version.digest).collect();
        Ok(Self {
            application: application.clone(),
            source: read.source_get(application.source_id).await?,
            signed: signed_among(read, &application.name.path(), &digests).await?,
            runs: runs_of(read, versions).await?,
            channels,
            places,
            held,
        })
    }

    /// Where the application's commits come from.
    pub(super) fn source(&self) -> Option<&Source> {
        self.source.as_ref()
    }

    /// A bundle as a row; its links narrow `filter`.
    pub(super) fn row(
        &self,
        t: &'static Texts,
        version: &PackageVersion,
        filter: &BundleFilter,
        now: DateTime<Utc>,
    ) -> Result<BundleRow, ApiError> {
        let detail: BundleDetail =
            serde_json::from_value(version.detail.clone()).map_err(|error| ApiError::internal(&error))?;
        let page = address::application(&self.application.name);
        let run = self.runs.get(&version.run_id);
        let branch = version.source_ref().and_then(GitRef::branch).map(|branch| {
            let narrowed = BundleFilter { branch: branch.to_owned(), ..filter.first() };
            Link { text: branch.to_owned(), address: narrowed.address(&page) }
        });
        let channels = self.channels.get(&version.id).into_iter().flatten().map(|channel| {
            let narrowed = BundleFilter { channel: channel.clone(), ..filter.first() };
            Link { text: channel.clone(), address: narrowed.address(&page) }
        });
        let labels = version.labels.iter().map(|(key, value)| Link {
            text: format!("{key}={value}"),
            address: filter.with_label(key, value).address(&page),
        });
        let packages = detail.members.iter().map(|member| PackageLine {
            component: member.component.to_string(),
            address: address::package(&self.application.name, &member.component, &member.version),
            version: member.version.to_string(),
            size: size(member.size),
            reused: member.reused,
        });
        Ok(BundleRow {
            version: version.version.to_string(),
            address: address::bundle(&self.application.name, &version.version),
            at: Moment::new(t, version.created_at, now),
            branch,
            tag: match version.source_ref() {
                Some(GitRef::Tag(tag)) => Some(tag.clone()),
                Some(GitRef::Branch(_)) | None => None,
            },
            commit: commit_link(&self.application, self.source.as_ref(), version),
            author: run.map(|run| author_name(&run.author)),
            subject: run.map(|run| run.subject.clone()),
            run: run.map(|run| Link {
                text: format!("#{}", run.number),
                address: address::run(&self.application.name, run.number),
            }),
            labels: labels.collect(),
            channels: channels.collect(),
            places: self.places.get(&version.id).cloned().unwrap_or_default(),
            has_signatures: self.signed.contains(&version.digest),
            size: size(version.size),
            digest: ShortDigest::new(t, &version.digest),
            composed_by: detail.composed.map(|composed| composed.by),
            held: self.held.get(&version.id).cloned().unwrap_or_default(),
            packages: packages.collect(),
        })
    }
}
