//! Runs.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use slipway_types::id::{ApplicationId, DeliveryId, RunId};
use slipway_types::selection::CommitPrefix;
use slipway_types::state::RunState;
use slipway_types::{CommitId, GitRef};

use crate::{Inserted, Page, Result};

/// One pass of the pipeline over one commit of one ref for one application.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// Identity.
    pub id: RunId,
    /// Counts from 1 in its application; for people.
    pub number: i64,
    /// Whose.
    pub application_id: ApplicationId,
    /// The ref.
    pub git_ref: GitRef,
    /// The commit.
    pub commit: CommitId,
    /// Who caused it.
    pub actor: String,
    /// First line of the commit's message.
    pub subject: String,
    /// The commit's author, `Name <mail>`.
    pub author: String,
    /// The commit's time.
    pub committed_at: DateTime<Utc>,
    /// The delivery that made it; `None` for a retry.
    pub delivery_id: Option<DeliveryId>,
    /// The run it repeats.
    pub retry_of: Option<RunId>,
    /// Reuse nothing.
    pub fresh: bool,
    /// The branch counter reserved for its version, once packaging began.
    pub version_number: Option<u64>,
    /// Where it stands.
    pub state: RunState,
    /// Rises with every stored change; the key of compare-and-swap.
    pub generation: i64,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When planning began.
    pub started_at: Option<DateTime<Utc>>,
    /// When it became terminal.
    pub finished_at: Option<DateTime<Utc>>,
}

/// A run to be made, queued.
#[derive(Debug, Clone)]
pub struct NewRun {
    /// Whose.
    pub application_id: ApplicationId,
    /// The ref.
    pub git_ref: GitRef,
    /// The commit.
    pub commit: CommitId,
    /// Who caused it.
    pub actor: String,
    /// First line of the commit's message.
    pub subject: String,
    /// The commit's author.
    pub author: String,
    /// The commit's time.
    pub committed_at: DateTime<Utc>,
    /// The delivery that made it.
    pub delivery_id: Option<DeliveryId>,
    /// The run it repeats; only then may (application, ref, commit) occur again.
    pub retry_of: Option<RunId>,
    /// Reuse nothing.
    pub fresh: bool,
}

/// Which runs to list.
#[derive(Debug, Clone, Default)]
pub struct RunFilter {
    /// Of this application.
    pub application: Option<ApplicationId>,
    /// Of this ref.
    pub git_ref: Option<GitRef>,
    /// Of a commit that begins so.
    pub commit: Option<CommitPrefix>,
    /// In one of these states, by word; empty: in any.
    pub states: Vec<&'static str>,
}

/// Looking up runs.
#[async_trait]
pub trait ReadRuns {
    /// One run.
    async fn run_get(&mut self, id: RunId) -> Result<Option<Run>>;
    /// One run by its application's count.
    async fn run_by_number(&mut self, application: ApplicationId, number: i64) -> Result<Option<Run>>;
    /// Runs, newest first.
    async fn run_list(&mut self, filter: &RunFilter, page: Page) -> Result<Vec<Run>>;
    /// The live runs of an application (not terminal), oldest first.
    async fn runs_live(&mut self, application: ApplicationId) -> Result<Vec<Run>>;
    /// The newest run of each application that is there, where it is `failed` or `timed_out`; newest first, at most
    /// `limit`.
    async fn runs_failed_last(&mut self, limit: u32) -> Result<Vec<Run>>;
    /// The newest run of the ref that is `done`.
    async fn run_last_done(&mut self, application: ApplicationId, git_ref: &GitRef) -> Result<Option<Run>>;
}

/// Changing runs.
#[async_trait]
pub trait WriteRuns {
    /// Makes a run in state `queued`. Without `retry_of`, the one with the same (application, ref,
    /// commit) is found instead: the latest of it and its retries.
    async fn run_insert(&mut self, run: NewRun) -> Result<Inserted<Run>>;
    /// Stores state, times and version number if the row still has `run.generation`, and raises it;
    /// `false` if somebody was faster. `started_at` and `finished_at` are set by the caller.
    async fn run_save(&mut self, run: &mut Run) -> Result<bool>;
}
