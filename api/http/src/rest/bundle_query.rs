//! Which bundles a request asks for: a plain list by publication, or a selection.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use slipway_records::{Explanation, SelectionCursor, SelectionPage};
use slipway_types::name::{ChannelName, EnvironmentName};
use slipway_types::selection::{
    Author, BranchName, CommitPrefix, LabelSelector, Prereleases, Selection, SelectionOrder, VersionRange,
};
use slipway_types::{ApplicationName, Digest, GitRef};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::list::PageQuery;
use super::version_views::{BundleView, VersionQuery, label_pairs};
use crate::problem::ApiError;

/// Which bundles. With `range`, `selector`, `channel`, a part of a commit, `author`, `since`, `until`,
/// `deployed_in`, `prerelease`, `order` or `explain`, bundles of one application are selected: the
/// highest version first, pre-releases only if a branch, commit, channel or environment is given. Else they are
/// listed, all of them, the one published last first.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct BundleQuery {
    /// Of this application; a selection needs it.
    #[param(value_type = Option<String>)]
    pub(crate) application: Option<ApplicationName>,
    /// Published from this branch.
    #[param(value_type = Option<String>)]
    branch: Option<BranchName>,
    /// Published from this ref, by its full name; not in a selection.
    #[param(value_type = Option<String>)]
    r#ref: Option<GitRef>,
    /// Published from a commit that begins so: 4 to 40 digits.
    #[param(value_type = Option<String>)]
    commit: Option<CommitPrefix>,
    /// Having these labels: `key=value`, separated by commas.
    label: Option<String>,
    /// Under this digest; not in a selection.
    #[param(value_type = Option<String>)]
    digest: Option<Digest>,
    /// Of a version in this range, e.g. `^1.4` or `>=1.0.0 <2`.
    #[param(value_type = Option<String>)]
    range: Option<VersionRange>,
    /// Having labels as this selector says, e.g. `tier in (gold,silver),!broken`.
    #[param(value_type = Option<String>)]
    selector: Option<LabelSelector>,
    /// Named by this channel.
    #[param(value_type = Option<String>)]
    channel: Option<ChannelName>,
    /// Written or pushed by this person: name, mail address, `Name <address>` or login.
    #[param(value_type = Option<String>)]
    author: Option<Author>,
    /// Published at this time or later.
    since: Option<DateTime<Utc>>,
    /// Published before this time.
    until: Option<DateTime<Utc>>,
    /// Run by this environment now.
    #[param(value_type = Option<String>)]
    deployed_in: Option<EnvironmentName>,
    /// Whether pre-releases take part: `auto`, `yes` or `no`.
    #[param(value_type = Option<String>)]
    prerelease: Option<Prereleases>,
    /// Whether bundles take part that their developers' checks hold: by itself in lists, not in picks.
    held: Option<bool>,
    /// `precedence` or `newest`.
    #[param(value_type = Option<String>)]
    order: Option<SelectionOrder>,
    /// Whether to say why these.
    explain: Option<bool>,
    /// Rows in the answer, 1 to 500; 50 if absent.
    pub(crate) limit: Option<u32>,
    /// `next` of the page before.
    pub(crate) after: Option<String>,
}

/// One page of bundles.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct BundleList {
    /// The rows.
    pub(crate) items: Vec<BundleView>,
    /// Give this as `after` to get the rows that follow; absent at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) next: Option<String>,
    /// Why these, if that was asked; `lines` are for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub(crate) explanation: Option<Explanation>,
}

/// The bundle that a selection leads to.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PickView {
    /// Absent if nothing is selected.
    pub(crate) bundle: Option<BundleView>,
    /// Why this one, or why none; `lines` are for people.
    #[schema(value_type = Object)]
    pub(crate) explanation: Explanation,
}

impl BundleQuery {
    /// Whether bundles are to be selected.
    pub(crate) fn selects(&self) -> bool {
        self.range.is_some()
            || self.selector.is_some()
            || self.channel.is_some()
            || self.author.is_some()
            || self.since.is_some()
            || self.until.is_some()
            || self.deployed_in.is_some()
            || self.prerelease.is_some()
            || self.held.is_some()
            || self.order.is_some()
            || self.explain.is_some()
            || self.commit.as_ref().is_some_and(|commit| commit.as_str().len() < 40)
    }

    /// The same as a plain list.
    pub(crate) fn listed(self) -> Result<VersionQuery, ApiError> {
        let commit = self.commit.map(|commit| commit.as_str().parse()).transpose();
        let commit =
            commit.map_err(|error| ApiError::bad_request("bad_query", format!("commit: {error}")))?;
        let after: Option<Uuid> =
            self.after.map(|after| after.parse()).transpose().map_err(|_| {
                ApiError::bad_request("bad_query", "after: give the `next` of the page before")
            })?;
        Ok(VersionQuery {
            application: self.application,
            component: None,
            branch: self.branch.map(|branch| branch.to_string()),
            r#ref: self.r#ref,
            commit,
            label: self.label,
            digest: self.digest,
            limit: self.limit,
            after,
        })
    }

    /// The selection asked for; `held`: whether held bundles take part where it says nothing of them.
    pub(crate) fn selection(&self, held: bool) -> Result<Selection, ApiError> {
        let bad = |why: String| ApiError::bad_request("bad_query", why);
        for (name, given) in [("ref", self.r#ref.is_some()), ("digest", self.digest.is_some())] {
            if given {
                return Err(bad(format!(
                    "{name}: a list by {name} is no selection; leave it out, or use branch, commit or range"
                )));
            }
        }
        let mut selector = self.selector.clone().unwrap_or_default();
        for (key, value) in label_pairs(self.label.as_deref())? {
            selector = selector.with(key, value).map_err(|error| bad(format!("label: {error}")))?;
        }
        Ok(Selection {
            range: self.range.clone(),
            selector,
            branch: self.branch.clone(),
            channel: self.channel.clone(),
            commit: self.commit.clone(),
            author: self.author.clone(),
            published_after: self.since,
            published_before: self.until,
            deployed_in: self.deployed_in.clone(),
            prerelease: self.prerelease.unwrap_or_default(),
            held: self.held.unwrap_or(held),
        })
    }

    /// The order asked for.
    pub(crate) fn order(&self) -> SelectionOrder {
        self.order.unwrap_or_default()
    }

    /// Whether to say why.
    pub(crate) fn explains(&self) -> bool {
        self.explain.unwrap_or_default()
    }

    /// The page of the selection.
    pub(crate) fn selection_page(&self) -> Result<SelectionPage, ApiError> {
        let limit = PageQuery::new(self.limit, None).page()?.limit;
        let after: Option<SelectionCursor> = self
            .after
            .as_ref()
            .map(|after| after.parse())
            .transpose()
            .map_err(|error| ApiError::bad_request("bad_query", format!("after: {error}")))?;
        Ok(SelectionPage { order: self.order(), limit, after })
    }
}
