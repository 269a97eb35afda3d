//! Checks of a bundle that others ran and report.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use slipway_types::id::VersionId;
use slipway_types::name::CheckName;

use crate::Result;

/// How a check of a bundle stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CheckState {
    /// Under way.
    Pending,
    /// Green.
    Passed,
    /// Red.
    Failed,
}

impl CheckState {
    /// The state's word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Passed => "passed",
            Self::Failed => "failed",
        }
    }
}

/// A text that is no state of a check.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown check state `{0}`: expected pending, passed or failed")]
pub struct UnknownCheckState(String);

impl std::str::FromStr for CheckState {
    type Err = UnknownCheckState;

    fn from_str(text: &str) -> Result<Self, UnknownCheckState> {
        match text {
            "pending" => Ok(Self::Pending),
            "passed" => Ok(Self::Passed),
            "failed" => Ok(Self::Failed),
            other => Err(UnknownCheckState(other.chars().take(40).collect())),
        }
    }
}

/// One person's report of a check of a bundle version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BundleCheck {
    /// Of which version.
    pub version_id: VersionId,
    /// Its name.
    pub name: CheckName,
    /// How it stands.
    pub state: CheckState,
    /// What was found.
    pub detail: Option<String>,
    /// Where more is to be read.
    pub url: Option<String>,
    /// The person who reported it.
    pub reported_by: String,
    /// When.
    pub reported_at: DateTime<Utc>,
}

/// Looking up reported checks.
#[async_trait]
pub trait ReadBundleChecks {
    /// The checks of a bundle version, by name and who reported.
    async fn checks_of(&mut self, version: VersionId) -> Result<Vec<BundleCheck>>;
    /// The checks of these bundle versions, by version, name and who reported.
    async fn checks_among(&mut self, versions: &[VersionId]) -> Result<Vec<BundleCheck>>;
}

/// Keeping reported checks.
#[async_trait]
pub trait WriteBundleChecks {
    /// Keeps a report: it takes the place of what the same person said of the check before, and of nobody else's word.
    async fn check_put(&mut self, check: &BundleCheck) -> Result<()>;
}
