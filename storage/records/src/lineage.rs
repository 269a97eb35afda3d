//! What became of published versions: which bundles took them up, and who labelled them how.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use slipway_types::Digest;
use slipway_types::id::{ApplicationId, VersionId};
use slipway_types::label::{LabelKey, LabelValue};

use crate::{PackageVersion, Page, Result};

/// One change of a label, as it was kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LabelChanged {
    /// Rises with every change of any label.
    pub seq: i64,
    /// The key.
    pub key: LabelKey,
    /// The value before; `None`: it was not there.
    pub from: Option<LabelValue>,
    /// The value since; `None`: it was removed.
    pub to: Option<LabelValue>,
    /// When.
    pub at: DateTime<Utc>,
    /// Who.
    pub by: String,
    /// Why.
    pub reason: Option<String>,
}

/// Looking up what became of versions.
#[async_trait]
pub trait ReadLineage {
    /// The bundles of an application that consist of what a digest names (a package, an image), newest first
    /// by publication.
    async fn bundles_with(
        &mut self,
        application: ApplicationId,
        digest: &Digest,
        page: Page,
    ) -> Result<Vec<PackageVersion>>;
    /// The changes of a version's labels since its birth, newest first, those before `before`; at most `limit`.
    async fn label_history(
        &mut self,
        version: VersionId,
        before: Option<i64>,
        limit: u32,
    ) -> Result<Vec<LabelChanged>>;
}
