//! Published versions as JSON, and which of them to list.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use slipway_records::detail::{BundleDetail, BundleMember, ComposedFrom, PackageDetail};
use slipway_records::{Application, DeclaredCheck, PackageVersion, Read, VersionFilter};
use slipway_types::label::{LabelKey, LabelValue};
use slipway_types::{ApplicationName, CommitId, ComponentName, Digest, GitRef, Role, Version};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::list::PageQuery;
use super::run_views::image_reference;
use super::runs::branch_ref;
use super::signatures::SignatureView;
use crate::auth::Caller;
use crate::problem::ApiError;
use crate::state::ServerState;

/// A bundle: one version of the whole application.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct BundleView {
    application: String,
    version: String,
    digest: String,
    /// Absent of what people composed.
    commit: Option<String>,
    /// The branch it was published from, if not from a tag.
    branch: Option<String>,
    /// Absent of what people composed.
    r#ref: Option<String>,
    /// Of a bundle that people composed: from what.
    #[serde(skip_serializing_if = "Option::is_none")]
    composed: Option<ComposedView>,
    labels: BTreeMap<String, String>,
    created_at: DateTime<Utc>,
    /// Digest of the locked component set alone.
    lock_digest: String,
    /// Full reference of the bundle by digest.
    reference: String,
    /// The run that published it, or the one it was composed from.
    run: String,
    packages: Vec<MemberView>,
    /// Why it is held, if it is: each check of its developers that is not green.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    held: Vec<String>,
    /// What is offered as its signatures; not in lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) signatures: Option<Vec<SignatureView>>,
}

/// How a bundle was composed.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ComposedView {
    by: String,
    /// Version of the bundle it began with.
    from: String,
    /// What was exchanged, by component: a version, or an image by digest.
    set: BTreeMap<String, String>,
    reason: Option<String>,
}

/// One component package inside a bundle.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct MemberView {
    component: String,
    version: String,
    built_as: String,
    digest: String,
    kit: String,
    /// Full references by digest.
    images: Vec<String>,
    /// Whether an earlier package stands in unchanged.
    reused: bool,
    /// Size in bytes of its own content.
    size: u64,
}

/// One version of a component package.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PackageView {
    application: String,
    component: String,
    version: String,
    /// The version under which the package was first published.
    built_as: String,
    digest: String,
    /// Size in bytes of its own content.
    size: u64,
    /// Absent of what people composed.
    commit: Option<String>,
    branch: Option<String>,
    /// Absent of what people composed.
    r#ref: Option<String>,
    labels: BTreeMap<String, String>,
    created_at: DateTime<Utc>,
    kit: String,
    /// Full references by digest.
    images: Vec<String>,
    /// Full reference of the package by digest.
    reference: String,
    fingerprint: String,
    run: String,
}

/// Which versions.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct VersionQuery {
    /// Of this application.
    #[param(value_type = Option<String>)]
    pub(crate) application: Option<ApplicationName>,
    /// Of this component; packages only.
    #[param(value_type = Option<String>)]
    pub(crate) component: Option<ComponentName>,
    /// Published from this branch.
    pub(super) branch: Option<String>,
    /// Published from this ref, by its full name.
    #[param(value_type = Option<String>)]
    pub(super) r#ref: Option<GitRef>,
    /// Published from this commit.
    #[param(value_type = Option<String>)]
    pub(super) commit: Option<CommitId>,
    /// Having these labels: `key=value`, separated by commas.
    pub(super) label: Option<String>,
    /// Under this digest.
    #[param(value_type = Option<String>)]
    pub(super) digest: Option<Digest>,
    /// Rows in the answer, 1 to 500; 50 if absent.
    pub(crate) limit: Option<u32>,
    /// `next` of the page before.
    #[param(value_type = Option<String>)]
    pub(crate) after: Option<Uuid>,
}

/// The labels of a list `key=value,…`.
pub(super) fn label_pairs(list: Option<&str>) -> Result<Vec<(LabelKey, LabelValue)>, ApiError> {
    let bad = |why: String| ApiError::bad_request("bad_query", format!("label: {why}"));
    let label = |pair: &str| -> Result<(LabelKey, LabelValue), ApiError> {
        let (key, value) = pair.split_once('=').ok_or_else(|| bad("expected key=value".to_owned()))?;
        let key = key.trim().parse().map_err(|error| bad(format!("{error}")))?;
        let value = value.parse().map_err(|error| bad(format!("{error}")))?;
        Ok((key, value))
    };
    list.map_or(Ok(Vec::new()), |list| list.split(',').map(label).collect())
}

impl VersionQuery {
    /// The page asked for.
    pub(crate) fn page(&self) -> Result<slipway_records::Page, ApiError> {
        PageQuery::new(self.limit, self.after).page()
    }

    /// What the query and the caller's limits leave, except for `component`.
    pub(crate) async fn filter(
        &self,
        caller: &Caller,
        read: &mut dyn Read,
    ) -> Result<VersionFilter, ApiError> {
        let application = match &self.application {
            Some(name) => Some(caller.application(read, name, Role::Reader).await?.id),
            None => caller.limited_to(),
        };
        let git_ref = match &self.branch {
            Some(branch) => Some(branch_ref(branch)?),
            None => self.r#ref.clone(),
        };
        Ok(VersionFilter {
            application,
            component: None,
            git_ref,
            commit: self.commit.clone(),
            labels: label_pairs(self.label.as_deref())?,
            digest: self.digest,
        })
    }
}

/// A version of a component or, with `None`, of the bundle, of an application that the caller may see.
pub(crate) async fn find_version(
    caller: &Caller,
    read: &mut dyn Read,
    application: &ApplicationName,
    component: Option<&ComponentName>,
    version: &Version,
) -> Result<(Application, PackageVersion), ApiError> {
    let application = caller.application(read, application, Role::Reader).await?;
    let found = read.version_find(application.id, component, version).await?;
    let found = found.ok_or_else(|| match component {
        Some(component) => ApiError::not_found("package version", format!("{component} {version}")),
        None => ApiError::not_found("bundle version", version),
    })?;
    Ok((application, found))
}

fn label_texts(version: &PackageVersion) -> BTreeMap<String, String> {
    version.labels.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect()
}

/// The application's repositories begin with its name and team, also for the default team.
fn path_of(application: &str) -> String {
    application.parse::<ApplicationName>().map_or_else(|_| application.to_owned(), |name| name.path())
}

fn composed_view(composed: &ComposedFrom) -> ComposedView {
    ComposedView {
        by: composed.by.clone(),
        from: composed.from.to_string(),
        set: composed.set.iter().map(|(name, what)| (name.to_string(), what.clone())).collect(),
        reason: composed.reason.clone(),
    }
}

fn member_view(state: &ServerState, member: &BundleMember) -> MemberView {
    MemberView {
        component: member.component.to_string(),
        version: member.version.to_string(),
        built_as: member.built_as.to_string(),
        digest: member.digest.to_string(),
        kit: member.kit.clone(),
        images: member.images.iter().map(|image| image_reference(state, image)).collect(),
        reused: member.reused,
        size: member.size,
    }
}

/// A bundle of the application with that name.
pub(crate) fn bundle_view<'c>(
    state: &ServerState,
    version: &PackageVersion,
    application: &str,
    holding: impl Iterator<Item = &'c DeclaredCheck>,
) -> Result<BundleView, ApiError> {
    let detail: BundleDetail =
        serde_json::from_value(version.detail.clone()).map_err(|error| ApiError::internal(&error))?;
    Ok(BundleView {
        application: application.to_owned(),
        version: version.version.to_string(),
        digest: version.digest.to_string(),
        commit: version.source_commit().map(ToString::to_string),
        branch: version.git_ref.branch().map(str::to_owned),
        r#ref: version.source_ref().map(ToString::to_string),
        labels: label_texts(version),
        created_at: version.created_at,
        lock_digest: version.fingerprint.to_string(),
        reference: format!("{}/{}@{}", state.registry_host(), path_of(application), version.digest),
        run: version.run_id.to_string(),
        composed: detail.composed.as_ref().map(composed_view),
        packages: detail.members.iter().map(|member| member_view(state, member)).collect(),
        held: holding.map(DeclaredCheck::standing).collect(),
        signatures: None,
    })
}

/// A component package of the application with that name.
pub(crate) fn package_view(
    state: &ServerState,
    version: &PackageVersion,
    application: &str,
) -> Result<PackageView, ApiError> {
    let detail: PackageDetail =
        serde_json::from_value(version.detail.clone()).map_err(|error| ApiError::internal(&error))?;
    let component = version.component.as_ref().map(ToString::to_string).unwrap_or_default();
    let host = state.registry_host();
    Ok(PackageView {
        application: application.to_owned(),
        reference: format!("{host}/{}/c/{component}@{}", path_of(application), version.digest),
        component,
        version: version.version.to_string(),
        built_as: version.built_as.to_string(),
        digest: version.digest.to_string(),
        size: version.size,
        commit: version.source_commit().map(ToString::to_string),
        branch: version.git_ref.branch().map(str::to_owned),
        r#ref: version.source_ref().map(ToString::to_string),
        labels: label_texts(version),
        created_at: version.created_at,
        kit: detail.kit,
        images: detail.images.iter().map(|image| image_reference(state, image)).collect(),
        fingerprint: version.fingerprint.to_string(),
        run: version.run_id.to_string(),
    })
}
