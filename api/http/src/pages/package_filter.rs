//! Which packages the form of an application's packages asks for. Channels and environments name bundles: the packages
//! there are those that the bundle holds.

use std::fmt::Display;
use std::str::FromStr;

use serde::Deserialize;
use slipway_records::detail::{BundleDetail, BundleMember};
use slipway_records::{Application, PackageVersion, Page, Read, SelectionPage, VersionFilter};
use slipway_types::label::{LabelKey, LabelValue};
use slipway_types::name::{ChannelName, EnvironmentName};
use slipway_types::selection::{CommitPrefix, Prereleases, Selection, SelectionOrder};
use slipway_types::{CommitId, ComponentName, Digest, Version};
use uuid::Uuid;

use super::address;
use crate::problem::ApiError;
use crate::rest::runs::branch_ref;
use crate::rest::{channels, environments};

/// Versions on one page: with eight long labels each it has 90 kB.
pub(super) const ROWS_MAX: u32 = 25;
/// One commit is found; another that begins alike tells that more of it is to be written.
const COMMITS_MAX: u32 = 2;

/// Which packages; empty fields ask for nothing.
#[derive(Debug, Default, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct PackagesQuery {
    pub(super) component: String,
    pub(super) branch: String,
    /// `KEY=VALUE`, several with commas between.
    pub(super) labels: String,
    /// A channel: what the bundle holds that it names.
    pub(super) channel: String,
    /// An environment: what the bundle holds that it runs.
    pub(super) place: String,
    /// A version, the beginning of a commit, or a digest.
    pub(super) q: String,
    pub(super) digest: String,
    pub(super) after: Option<Uuid>,
}

/// What the free text is.
#[derive(Debug, PartialEq, Eq)]
enum Text {
    Nothing,
    Version(Version),
    Commit(CommitPrefix),
    Digest(Digest),
}

/// A value of the form, or the problem that names the field.
fn field<T: FromStr<Err: Display>>(name: &str, text: &str) -> Result<Option<T>, ApiError> {
    let text = text.trim();
    if text.is_empty() {
        return Ok(None);
    }
    let bad = |error: T::Err| ApiError::bad_request("bad_query", format!("{name}: {error}"));
    text.parse().map(Some).map_err(bad)
}

impl Text {
    fn of(text: &str) -> Result<Self, ApiError> {
        let text = text.trim();
        if text.is_empty() {
            return Ok(Self::Nothing);
        }
        if let Ok(version) = text.parse() {
            return Ok(Self::Version(version));
        }
        if let Ok(digest) = text.parse() {
            return Ok(Self::Digest(digest));
        }
        text.parse().map(Self::Commit).map_err(|_| {
            let detail = "q: expected a version, the beginning of a commit (4 digits or more), or a digest";
            ApiError::bad_request("bad_query", detail)
        })
    }
}

impl PackagesQuery {
    /// Whether it asks for all.
    pub(super) fn is_empty(&self) -> bool {
        let fields =
            [&self.component, &self.branch, &self.labels, &self.channel, &self.place, &self.q, &self.digest];
        fields.iter().all(|text| text.trim().is_empty())
    }

    /// What the columns of versions must be.
    fn filter(&self) -> Result<VersionFilter, ApiError> {
        let git_ref = match self.branch.trim() {
            "" => None,
            branch => Some(branch_ref(branch)?),
        };
        let mut labels = Vec::new();
        for label in self.labels.split(',').map(str::trim).filter(|label| !label.is_empty()) {
            let Some((key, value)) = label.split_once('=') else {
                let detail = format!("labels: `{label}`: expected KEY=VALUE");
                return Err(ApiError::bad_request("bad_query", detail));
            };
            let bad = |error: &dyn Display| ApiError::bad_request("bad_query", format!("labels: {error}"));
            let key: LabelKey = key.trim().parse().map_err(|error| bad(&error))?;
            let value: LabelValue = value.trim().parse().map_err(|error| bad(&error))?;
            labels.push((key, value));
        }
        Ok(VersionFilter {
            component: field("component", &self.component)?.map(Some),
            git_ref,
            labels,
            digest: field("digest", &self.digest)?,
            ..VersionFilter::default()
        })
    }

    /// The versions that it asks for, newest first: one page of them.
    pub(super) async fn find(
        &self,
        read: &mut dyn Read,
        application: &Application,
    ) -> Result<Vec<PackageVersion>, ApiError> {
        let mut filter = VersionFilter { application: Some(application.id), ..self.filter()? };
        let bundles = self.named_bundles(read, application).await?;
        let mut only = None;
        match Text::of(&self.q)? {
            Text::Nothing => {}
            Text::Digest(digest) if filter.digest.is_some_and(|other| other != digest) => {
                return Ok(Vec::new());
            }
            Text::Digest(digest) => filter.digest = Some(digest),
            Text::Commit(prefix) => match commit_of(read, application, &prefix).await? {
                Some(commit) => filter.commit = Some(commit),
                None => return Ok(Vec::new()),
            },
            Text::Version(version) => only = Some(version),
        }
        let mut held = match &only {
            _ if !bundles.is_empty() => in_each(read, application, &bundles).await?,
            Some(version) => of_version(read, application, &filter, version).await?,
            None => {
                let page = Page { limit: ROWS_MAX, after: self.after };
                return Ok(read.version_list(&filter, page).await?);
            }
        };
        held.retain(|found| fits(&filter, found) && only.as_ref().is_none_or(|only| *only == found.version));
        held.retain(|version| self.after.is_none_or(|after| version.id.as_uuid() < after));
        held.sort_by_key(|version| std::cmp::Reverse(version.id.as_uuid()));
        held.truncate(ROWS_MAX as usize);
        Ok(held)
    }

    /// The bundles that the channel and the environment name; `None`: one names none.
    async fn named_bundles(
        &self,
        read: &mut dyn Read,
        application: &Application,
    ) -> Result<Vec<Option<PackageVersion>>, ApiError> {
        let mut bundles = Vec::new();
        if let Some(name) = field::<ChannelName>("channel", &self.channel)? {
            let channel = channels::found(read, application.id, &name).await?;
            bundles.push(read.version_get(channel.version_id).await?);
        }
        if let Some(name) = field::<EnvironmentName>("place", &self.place)? {
            let environment = environments::found(read, &name).await?;
            bundles.push(match read.deployment_out(environment.id, application.id).await? {
                Some(out) => read.version_get(out.bundle_id).await?,
                None => None,
            });
        }
        Ok(bundles)
    }

    /// Its address below the page of packages.
    pub(super) fn address(&self, page: &str) -> String {
        let after = self.after.map(|after| after.to_string()).unwrap_or_default();
        let pairs = [
            ("component", self.component.as_str()),
            ("branch", self.branch.as_str()),
            ("labels", self.labels.as_str()),
            ("channel", self.channel.as_str()),
            ("place", self.place.as_str()),
            ("q", self.q.as_str()),
            ("digest", self.digest.as_str()),
            ("after", after.as_str()),
        ];
        address::with_query(page, pairs)
    }

    /// The same with one label more.
    pub(super) fn with_label(&self, label: &str) -> Self {
        let mut labels: Vec<&str> = self.labels.split(',').map(str::trim).collect();
        labels.retain(|known| !known.is_empty() && *known != label);
        labels.push(label);
        Self { labels: labels.join(","), ..self.clone() }
    }
}

/// The commit that begins so; `None`: nothing was published from one.
async fn commit_of(
    read: &mut dyn Read,
    application: &Application,
    prefix: &CommitPrefix,
) -> Result<Option<CommitId>, ApiError> {
    if let Ok(whole) = prefix.to_string().parse() {
        return Ok(Some(whole));
    }
    let found = read.published_commits(application.id, prefix, COMMITS_MAX).await?;
    if found.len() > 1 {
        let detail = format!("q: several commits begin with {prefix}: write more of it");
        return Err(ApiError::bad_request("bad_query", detail));
    }
    Ok(found.into_iter().next())
}

/// The packages of one version: what a run publishes has one. A tag may release a component without a bundle, so where
/// there is none of this version, those of the newest bundle are looked for.
async fn of_version(
    read: &mut dyn Read,
    application: &Application,
    filter: &VersionFilter,
    version: &Version,
) -> Result<Vec<PackageVersion>, ApiError> {
    let components: Vec<ComponentName> = match &filter.component {
        Some(component) => component.clone().into_iter().collect(),
        None => {
            let mut bundle = read.version_find(application.id, None, version).await?;
            if bundle.is_none() {
                bundle = newest(read, application).await?;
            }
            let members = bundle.as_ref().map(members_of).transpose()?.unwrap_or_default();
            members.into_iter().map(|member| member.component).collect()
        }
    };
    let mut found = Vec::new();
    for component in &components {
        found.extend(read.version_find(application.id, Some(component), version).await?);
    }
    Ok(found)
}

/// The newest bundle.
async fn newest(read: &mut dyn Read, application: &Application) -> Result<Option<PackageVersion>, ApiError> {
    let any = Selection { prerelease: Prereleases::Yes, held: true, ..Selection::default() };
    let page = SelectionPage { order: SelectionOrder::Newest, limit: 1, after: None };
    Ok(read.select(application.id, &any, &page, false).await?.versions.pop())
}

/// What a bundle holds.
fn members_of(bundle: &PackageVersion) -> Result<Vec<BundleMember>, ApiError> {
    let detail: BundleDetail =
        serde_json::from_value(bundle.detail.clone()).map_err(|error| ApiError::internal(&error))?;
    Ok(detail.members)
}

/// The packages that every one of these bundles holds; none if one of them is not there.
async fn in_each(
    read: &mut dyn Read,
    application: &Application,
    bundles: &[Option<PackageVersion>],
) -> Result<Vec<PackageVersion>, ApiError> {
    let mut each = Vec::with_capacity(bundles.len());
    for bundle in bundles {
        let Some(bundle) = bundle else { return Ok(Vec::new()) };
        each.push(members_of(bundle)?);
    }
    let Some((first, others)) = each.split_first() else { return Ok(Vec::new()) };
    let mut held = Vec::new();
    for member in first {
        let is_member =
            |other: &BundleMember| other.component == member.component && other.version == member.version;
        if others.iter().all(|members| members.iter().any(is_member)) {
            held.extend(read.version_find(application.id, Some(&member.component), &member.version).await?);
        }
    }
    Ok(held)
}

/// Whether a version is as the columns must be.
fn fits(filter: &VersionFilter, version: &PackageVersion) -> bool {
    let VersionFilter { application, component, git_ref, commit, labels, digest } = filter;
    application.is_none_or(|wanted| wanted == version.application_id)
        && component.as_ref().is_none_or(|wanted| *wanted == version.component)
        && git_ref.as_ref().is_none_or(|wanted| *wanted == version.git_ref)
        && commit.as_ref().is_none_or(|wanted| *wanted == version.commit)
        && labels.iter().all(|(key, value)| version.labels.get(key) == Some(value))
        && digest.is_none_or(|wanted| wanted == version.digest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_more_is_a_link_and_one_twice_is_one() {
        let query = PackagesQuery { branch: "main".to_owned(), ..PackagesQuery::default() };
        let more = query.with_label("tier=gold").with_label("qa=passed").with_label("tier=gold");
        assert_eq!(more.address("/p"), "/p?branch=main&labels=qa%3Dpassed%2Ctier%3Dgold");
        assert_eq!(more.filter().unwrap().labels.len(), 2);
    }

    #[test]
    fn a_wrong_field_is_named() {
        let empty = PackagesQuery::default;
        for (query, wanted) in [
            (PackagesQuery { labels: "gold".to_owned(), ..empty() }, "labels: "),
            (PackagesQuery { labels: "=gold".to_owned(), ..empty() }, "labels: "),
            (PackagesQuery { digest: "sha256:12".to_owned(), ..empty() }, "digest: "),
            (PackagesQuery { component: "No!".to_owned(), ..empty() }, "component: "),
        ] {
            let refused = query.filter().unwrap_err();
            assert!(refused.detail().starts_with(wanted), "{}", refused.detail());
        }
        assert!(empty().is_empty() && empty().filter().is_ok());
    }

    #[test]
    fn a_text_is_a_version_a_commit_or_a_digest() {
        assert!(matches!(Text::of("0.1.0-main.3").unwrap(), Text::Version(_)));
        assert!(matches!(Text::of("abc1").unwrap(), Text::Commit(_)));
        assert!(matches!(Text::of(&Digest::of("x").to_string()).unwrap(), Text::Digest(_)));
        assert_eq!(Text::of(" ").unwrap(), Text::Nothing);
        assert!(Text::of("Ann Lee").unwrap_err().detail().starts_with("q: "));
    }
}
