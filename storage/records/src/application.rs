//! Sources and the applications they feed.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use slipway_types::id::{ApplicationId, SourceId};
use slipway_types::name::SourceName;
use slipway_types::{ApplicationName, SecretReference};

use crate::Result;

/// Where a source's commits come from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum SourceKind {
    /// Pushed to Slipway's own git remote.
    Builtin,
    /// Mirrored from a forge over HTTPS.
    Https {
        /// Clone address, without credentials.
        url: String,
    },
}

/// A git repository Slipway builds from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// Identity.
    pub id: SourceId,
    /// Unique name.
    pub name: SourceName,
    /// Where its commits come from.
    pub kind: SourceKind,
    /// Credential for fetching and for commit status: user and password or token.
    pub credential: Option<SecretReference>,
    /// How often the sweep compares heads, in seconds.
    pub poll_interval_s: u32,
    /// When the sweep last compared heads and succeeded.
    pub swept_at: Option<DateTime<Utc>>,
    /// What the last fetch or sweep failed with.
    pub last_error: Option<String>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
}

/// A source to be made.
#[derive(Debug, Clone)]
pub struct NewSource {
    /// Unique name.
    pub name: SourceName,
    /// Where its commits come from.
    pub kind: SourceKind,
    /// Credential for fetching.
    pub credential: Option<SecretReference>,
    /// How often the sweep compares heads, in seconds.
    pub poll_interval_s: u32,
}

/// A named product built from one directory of one source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Application {
    /// Identity.
    pub id: ApplicationId,
    /// Full name.
    pub name: ApplicationName,
    /// Its source.
    pub source_id: SourceId,
    /// Directory of `slipway.yaml` in the source, without slashes at the ends; empty for the root.
    pub path: String,
    /// When it was made.
    pub created_at: DateTime<Utc>,
}

/// Looking up sources and applications.
#[async_trait]
pub trait ReadApplications {
    /// One source.
    async fn source_get(&mut self, id: SourceId) -> Result<Option<Source>>;
    /// One source by name.
    async fn source_by_name(&mut self, name: &SourceName) -> Result<Option<Source>>;
    /// All sources by name.
    async fn source_list(&mut self) -> Result<Vec<Source>>;
    /// The sources by name that come after that name, at most `limit`, which is capped at [`crate::PAGE_ROWS_MAX`];
    /// `None`: from the first.
    async fn source_page(&mut self, after: Option<&SourceName>, limit: u32) -> Result<Vec<Source>>;
    /// Those of these sources that there are, each once, in no order.
    async fn sources_get(&mut self, ids: &[SourceId]) -> Result<Vec<Source>>;
    /// One application.
    async fn application_get(&mut self, id: ApplicationId) -> Result<Option<Application>>;
    /// One application by full name. Deleted ones are not found.
    async fn application_by_name(&mut self, name: &ApplicationName) -> Result<Option<Application>>;
    /// All applications by name, deleted ones left out.
    async fn application_list(&mut self) -> Result<Vec<Application>>;
    /// The applications by full name that come after that name, deleted ones left out, at most `limit`, which is
    /// capped at [`crate::PAGE_ROWS_MAX`]; `None`: from the first.
    async fn application_page(
        &mut self,
        after: Option<&ApplicationName>,
        limit: u32,
    ) -> Result<Vec<Application>>;
    /// The applications that a source feeds, by name.
    async fn applications_of_source(&mut self, source: SourceId) -> Result<Vec<Application>>;
}

/// Making and removing sources and applications.
#[async_trait]
pub trait WriteApplications {
    /// Makes a source. `Conflict` if the name is taken.
    async fn source_insert(&mut self, source: NewSource) -> Result<Source>;
    /// Notes the end of a sweep or fetch; `error` as people may see it.
    async fn source_swept(&mut self, id: SourceId, at: DateTime<Utc>, error: Option<&str>) -> Result<()>;
    /// Makes an application. `Conflict` if the name is taken.
    async fn application_insert(
        &mut self,
        name: &ApplicationName,
        source: SourceId,
        path: &str,
    ) -> Result<Application>;
    /// Hides an application; its versions stay pullable and its name stays taken by its history
    /// until made again, which continues its numbers.
    async fn application_delete(&mut self, id: ApplicationId) -> Result<()>;
}
