//! Selecting bundles: the one way for people, API, command line and environments that follow.
//!
//! Filtering happens before the limit. What was selected comes with an [`Explanation`] if asked, which
//! says how many bundles there are, what each condition alone left out, and what to do if none is left.

use std::fmt;
use std::str::FromStr;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use slipway_types::Version;
use slipway_types::id::{ApplicationId, VersionId};
use slipway_types::name::EnvironmentName;
use slipway_types::selection::{Condition, Selection, SelectionOrder};

use crate::package::PackageVersion;
use crate::{PAGE_ROWS_MAX, ReadApplications, Result};

mod explanation;

pub use explanation::{Count, Explanation, NearestMiss};

/// Where a page of a selection ended: what follows comes after this bundle in the list's order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SelectionCursor {
    /// Its version.
    pub version: Version,
    /// Its identity.
    pub id: VersionId,
}

/// A text that is no cursor.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{found}` is no place in a list of bundles: give the `next` of the page before, unchanged")]
pub struct InvalidCursor {
    /// What was given, cut to 80 characters.
    pub found: String,
}

/// Which part of what is selected, and in which order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SelectionPage {
    /// The order.
    pub order: SelectionOrder,
    /// At most so many rows; capped at [`PAGE_ROWS_MAX`].
    pub limit: u32,
    /// What comes after this one.
    pub after: Option<SelectionCursor>,
}

/// One page of what is selected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selected {
    /// The bundles, in the order asked for.
    pub versions: Vec<PackageVersion>,
    /// Where the next page begins; `None` at the end.
    pub next: Option<SelectionCursor>,
    /// Why these, if that was asked.
    pub explanation: Option<Explanation>,
}

/// The bundle that a selection leads to, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pick {
    /// The first of what is selected; `None` if nothing is.
    pub version: Option<PackageVersion>,
    /// Why, to be kept with whatever is done with it.
    pub explanation: Explanation,
}

/// What an environment runs of an application.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deployed {
    /// The environment.
    pub environment: EnvironmentName,
    /// The bundle.
    pub version_id: VersionId,
    /// Its version.
    pub version: Version,
    /// Since when.
    pub since: DateTime<Utc>,
}

/// Looking up bundles by what they are.
#[async_trait]
pub trait ReadSelections: ReadApplications + Send {
    /// Bundles of the application that meet every condition of the selection but `failing`, which
    /// they do not meet.
    async fn selection_list(
        &mut self,
        application: ApplicationId,
        selection: &Selection,
        failing: Option<Condition>,
        page: &SelectionPage,
    ) -> Result<Vec<PackageVersion>>;

    /// How many these are; counting stops at `at_most`.
    async fn selection_count(
        &mut self,
        application: ApplicationId,
        selection: &Selection,
        failing: Option<Condition>,
        at_most: u32,
    ) -> Result<u32>;

    /// What the environment runs of the application now.
    async fn deployed_now(
        &mut self,
        application: ApplicationId,
        environment: &EnvironmentName,
    ) -> Result<Option<Deployed>>;

    /// One page of what is selected, with the reasons if asked: they cost a count for each condition.
    async fn select(
        &mut self,
        application: ApplicationId,
        selection: &Selection,
        page: &SelectionPage,
        explain: bool,
    ) -> Result<Selected> {
        let selection = selection.clone();
        let versions = self.selection_list(application, &selection, None, page).await?;
        let full = versions.len() >= page.limit.min(PAGE_ROWS_MAX) as usize;
        let next = versions.last().filter(|_| full).map(SelectionCursor::of);
        let explanation = match explain {
            true => Some(explanation::explain(self, application, &selection, page.order).await?),
            false => None,
        };
        Ok(Selected { versions, next, explanation })
    }

    /// The first bundle of what is selected, and why.
    async fn pick(
        &mut self,
        application: ApplicationId,
        selection: &Selection,
        order: SelectionOrder,
    ) -> Result<Pick> {
        let page = SelectionPage { order, limit: 1, after: None };
        let selected = self.select(application, selection, &page, true).await?;
        let version = selected.versions.into_iter().next();
        let explanation = selected.explanation.expect("invariant: the explanation was asked for");
        let chosen = version.as_ref().map(|version| &version.version);
        Ok(Pick { explanation: explanation.choosing(chosen), version })
    }
}

/// Noting what runs where.
#[async_trait]
pub trait WriteSelections {
    /// Notes that the environment runs the version of the application from `at` on, and no longer what
    /// it ran before; `None`: it runs nothing of it any more. What it runs already stays as it is.
    async fn deployed_note(
        &mut self,
        environment: &EnvironmentName,
        application: ApplicationId,
        version: Option<VersionId>,
        at: DateTime<Utc>,
    ) -> Result<()>;
}

impl SelectionPage {
    /// The first `limit` rows, the highest version first.
    pub fn first(limit: u32) -> Self {
        Self { order: SelectionOrder::Precedence, limit, after: None }
    }
}

impl SelectionCursor {
    /// After this bundle.
    pub fn of(version: &PackageVersion) -> Self {
        Self { version: version.version.clone(), id: version.id }
    }
}

impl FromStr for SelectionCursor {
    type Err = InvalidCursor;

    fn from_str(text: &str) -> Result<Self, InvalidCursor> {
        let parse = || {
            let (version, id) = text.split_once('@')?;
            Some(Self { version: version.parse().ok()?, id: id.parse().ok()? })
        };
        parse().ok_or_else(|| InvalidCursor { found: text.chars().take(80).collect() })
    }
}

impl fmt::Display for SelectionCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.version, self.id)
    }
}

impl Serialize for SelectionCursor {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for SelectionCursor {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}
