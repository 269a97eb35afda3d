//! Operators' configuration that is followed from a git source.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use slipway_types::id::{ApplicationId, SourceId};
use slipway_types::name::SourceName;
use slipway_types::{CommitId, Violation};

use crate::Result;

/// Stands for every level where all of them are followed: a file each.
pub const EVERY_LEVEL: &str = "*";

/// The file and commit that a version of configuration was taken from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigurationOrigin {
    /// The source.
    pub source: SourceName,
    /// The branch.
    pub branch: String,
    /// The file, from the repository's root.
    pub path: String,
    /// The commit.
    pub commit: CommitId,
}

/// A source that could not be asked when it was looked at last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceAway {
    /// When it first did not answer.
    pub since: DateTime<Utc>,
    /// What stood against it the last time.
    pub why: String,
    /// When it is asked again, at the latest.
    pub next_at: DateTime<Utc>,
}

/// From where a level is followed.
#[derive(Debug, Clone, PartialEq)]
pub struct ConfigurationSource {
    /// Whose configuration.
    pub application_id: ApplicationId,
    /// The level, or [`EVERY_LEVEL`].
    pub level: String,
    /// The source.
    pub source_id: SourceId,
    /// The branch.
    pub branch: String,
    /// The file; for [`EVERY_LEVEL`] the directory, empty for the root.
    pub path: String,
    /// Since when.
    pub set_at: DateTime<Utc>,
    /// By whom.
    pub set_by: String,
    /// Why.
    pub reason: Option<String>,
    /// Rises with every stored change; the key of compare-and-swap.
    pub revision: i64,
    /// The newest commit that was looked at.
    pub seen_commit: Option<CommitId>,
    /// When.
    pub seen_at: Option<DateTime<Utc>>,
    /// What stood against it there: what it speaks of holds as it was before.
    pub faults: Vec<Violation>,
    /// That the source does not answer; `None` while it does.
    pub away: Option<SourceAway>,
}

/// A level to be followed.
#[derive(Debug, Clone)]
pub struct NewConfigurationSource {
    /// Whose configuration.
    pub application_id: ApplicationId,
    /// The level, or [`EVERY_LEVEL`].
    pub level: String,
    /// The source.
    pub source_id: SourceId,
    /// The branch.
    pub branch: String,
    /// The file or directory.
    pub path: String,
    /// By whom.
    pub by: String,
    /// Why.
    pub reason: Option<String>,
}

/// Looking up from where configuration is followed.
#[async_trait]
pub trait ReadConfigurationSources {
    /// From where an application's levels are followed, by level.
    async fn configuration_sources(&mut self, application: ApplicationId)
    -> Result<Vec<ConfigurationSource>>;
    /// What follows a source, by application and level; deleted applications follow nothing.
    async fn configuration_sources_of(&mut self, source: SourceId) -> Result<Vec<ConfigurationSource>>;
}

/// Changing from where configuration is followed.
#[async_trait]
pub trait WriteConfigurationSources {
    /// Keeps others from changing what the application follows until this transaction ends, so that what is
    /// read of it holds.
    async fn configuration_sources_lock(&mut self, application: ApplicationId) -> Result<()>;
    /// Follows; takes the place of what the level followed before. Nothing of it is seen yet.
    async fn configuration_source_put(&mut self, new: NewConfigurationSource) -> Result<ConfigurationSource>;
    /// Follows no more; `false` if it did not.
    async fn configuration_source_remove(&mut self, application: ApplicationId, level: &str) -> Result<bool>;
    /// Stores `seen_commit`, `seen_at`, `faults` and `away` if the row still follows the same since `source.set_at`
    /// and has `source.revision`, and raises that; `false` if somebody was faster. Revisions begin anew where
    /// somebody follows again.
    async fn configuration_source_seen(&mut self, source: &mut ConfigurationSource) -> Result<bool>;
}
