//! The `collect` job: removing what nothing needs any more, a bounded piece at a time.
//!
//! Rows go first, each with its conditions checked again in the transaction that removes it; bytes
//! go after a time of grace, in the steps of [`slipway_records::upkeep`]. Any step may be killed and
//! repeated.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use slipway_git::GitStore;
use slipway_objects::{BlobError, Blobs};
use slipway_records::job::JobPayload;
use slipway_records::{Handler, Job, JobContext, JobError, Records};
use slipway_types::{Digest, Fault};
use tokio_util::sync::CancellationToken;

mod blobs;
mod packs;
mod repository;
mod rows;
#[cfg(test)]
mod tests;

/// What is kept how long, and how much is done at once.
#[derive(Debug, Clone)]
pub struct CollectOptions {
    /// Logs of runs and builds are kept so many days.
    pub keep_log_days: u32,
    /// Versions of a deleted branch, and images that no version names, are kept so many days.
    pub keep_branch_days: u32,
    /// Done jobs are kept so many hours.
    pub keep_done_job_hours: u32,
    /// Expired tokens of builds are kept so many hours.
    pub keep_build_token_hours: u32,
    /// Steps in applications' cache repositories are kept so many days.
    pub keep_cache_days: u32,
    /// Uploads into the registry are forgotten when idle for so many hours.
    pub keep_upload_hours: u32,
    /// What references of base images led to is kept so many hours.
    pub keep_resolution_hours: u32,
    /// Incidents that are over are kept so many days, with what was told of them.
    pub keep_incident_days: u32,
    /// Files of earlier boots in the spool are kept so many hours.
    pub keep_spool_hours: u32,
    /// Blobs that nothing refers to are kept so many hours, counted from when that was first seen.
    pub gc_grace_hours: u32,
    /// How many hours lie between two looks at all stored blobs.
    pub scan_interval_hours: u32,
    /// A removed blob that was stored again may be referred to after so many minutes.
    pub min_condemned_minutes: u32,
    /// A removed blob may be referred to after so many minutes: longer than any push or build takes
    /// between finding a blob stored and publishing a reference to it.
    pub max_condemned_minutes: u32,
    /// A source with more packs gets its smaller ones written into one.
    pub max_packs: usize,
    /// Rows looked at and removed in one transaction.
    pub page_rows: u32,
    /// Pages of each kind in one pass; a pass that was not enough is followed by another soon.
    pub max_pages: u32,
    /// The largest manifest that is read, in bytes.
    pub max_manifest_bytes: u64,
    /// Only say what would be removed.
    pub dry_run: bool,
}

impl Default for CollectOptions {
    fn default() -> Self {
        Self {
            keep_log_days: 90,
            keep_branch_days: 30,
            keep_done_job_hours: 24,
            keep_build_token_hours: 24,
            keep_cache_days: 14,
            keep_upload_hours: 12,
            keep_resolution_hours: 24,
            keep_incident_days: 90,
            keep_spool_hours: 24,
            gc_grace_hours: 24,
            scan_interval_hours: 6,
            min_condemned_minutes: 5,
            max_condemned_minutes: 60,
            max_packs: 50,
            page_rows: 100,
            max_pages: 20,
            max_manifest_bytes: 16 << 20,
            dry_run: false,
        }
    }
}

impl CollectOptions {
    fn hours(hours: u32) -> TimeDelta {
        TimeDelta::hours(i64::from(hours))
    }

    fn days(days: u32) -> TimeDelta {
        TimeDelta::days(i64::from(days))
    }
}

/// What a pass removed, or would have removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Collected {
    /// Spool files of earlier boots.
    pub spool_files: u64,
    /// Done jobs.
    pub jobs: u64,
    /// Uploads that lay idle.
    pub uploads: u64,
    /// Expired tokens of builds.
    pub build_tokens: u64,
    /// Cached steps of builds on clusters.
    pub cached_steps: u64,
    /// What references of base images led to.
    pub resolutions: u64,
    /// Incidents that are over.
    pub incidents: u64,
    /// Logs.
    pub logs: u64,
    /// Packs replaced by one that holds them.
    pub packs: u64,
    /// Versions of bundles and packages.
    pub versions: u64,
    /// Manifests taken out of a repository.
    pub manifests: u64,
    /// Blobs taken out of a repository.
    pub links: u64,
    /// Blobs whose bytes were removed.
    pub blobs: u64,
    /// Whether there was more than one pass may do.
    pub unfinished: bool,
    /// Removed blobs that may not be referred to yet.
    pub condemned: u64,
}

/// Does `collect` jobs.
pub struct CollectHandler {
    /// The records.
    pub records: Arc<dyn Records>,
    /// The stored bytes.
    pub blobs: Blobs,
    /// Git data.
    pub git: GitStore,
    /// What is kept how long.
    pub options: CollectOptions,
}

/// One pass.
struct Pass<'a> {
    records: &'a dyn Records,
    blobs: &'a Blobs,
    git: &'a GitStore,
    options: &'a CollectOptions,
    now: DateTime<Utc>,
    stop: &'a CancellationToken,
    collected: Collected,
    /// Manifests whose bytes are missing or damaged: what they name is not known.
    unreadable: BTreeSet<Digest>,
}

impl Pass<'_> {
    /// Asked between two transactions.
    fn go_on(&self) -> Result<(), JobError> {
        if self.stop.is_cancelled() { Err(JobError::Stopped) } else { Ok(()) }
    }
}

/// How soon a pass that did not get through is followed by the next.
const NEXT_PASS: Duration = Duration::from_secs(5);
/// How often blobs just removed are looked after.
const WATCH_EVERY: Duration = Duration::from_mins(1);

impl CollectHandler {
    /// Upkeep of these records, blobs and git data.
    pub fn new(records: Arc<dyn Records>, blobs: Blobs, git: GitStore, options: CollectOptions) -> Self {
        Self { records, blobs, git, options }
    }

    /// One pass, at the time `now`.
    pub async fn collect(&self, now: DateTime<Utc>, stop: &CancellationToken) -> Result<Collected, JobError> {
        let mut pass = self.begin(now, stop);
        pass.expire_rows().await?;
        pass.expire_repositories().await?;
        pass.tell_unreadable();
        pass.settle_condemned().await?;
        if self.scan_is_due(now).await? {
            pass.note_unreferenced().await?;
        }
        pass.remove_unreferenced().await?;
        // Last: it may take long, and nothing waits for it.
        pass.consolidate_packs().await?;
        Ok(pass.collected)
    }

    fn begin<'a>(&'a self, now: DateTime<Utc>, stop: &'a CancellationToken) -> Pass<'a> {
        Pass {
            records: self.records.as_ref(),
            blobs: &self.blobs,
            git: &self.git,
            options: &self.options,
            now,
            stop,
            collected: Collected::default(),
            unreadable: BTreeSet::new(),
        }
    }

    /// Whether all stored blobs are to be looked at, which costs a list of the bucket: the records know when any server
    /// did so last.
    async fn scan_is_due(&self, now: DateTime<Utc>) -> Result<bool, JobError> {
        let last = self.records.read().await?.stored_get().await?;
        let interval = CollectOptions::hours(self.options.scan_interval_hours);
        Ok(last.is_none_or(|last| now - last.measured_at >= interval))
    }
}

#[async_trait]
impl Handler for CollectHandler {
    async fn run(&self, job: &Job, context: &JobContext) -> Result<(), JobError> {
        if job.payload != JobPayload::Collect {
            return Ok(());
        }
        let collected = self.collect(Utc::now(), &context.cancelled).await?;
        if collected != Collected::default() {
            tracing::info!(?collected, dry_run = self.options.dry_run, "upkeep");
        }
        if self.options.dry_run {
            return Ok(());
        }
        if collected.unfinished {
            let why = "more is to be removed than one pass does".to_owned();
            return Err(JobError::Wait { why, delay: NEXT_PASS });
        }
        if collected.condemned > 0 {
            let why = format!("{} blobs were removed a moment ago and are watched", collected.condemned);
            return Err(JobError::Wait { why, delay: WATCH_EVERY });
        }
        Ok(())
    }

    async fn bury(&self, _job: &Job, _fault: Fault) -> Result<(), JobError> {
        // The next one by the clock goes on.
        Ok(())
    }
}

/// What the object store's failure means to a pass: later passes try again.
fn blobs_fault(error: &BlobError) -> Fault {
    let text = slipway_types::fault::chain(error);
    tracing::warn!(error = %text, "upkeep cannot use the object store");
    Fault::transient("object_store", error.to_string())
}
