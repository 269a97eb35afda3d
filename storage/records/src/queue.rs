//! The job queue: one table, short claiming statements, leases with heartbeats.
//!
//! A claim takes ready jobs that are due and leased ones whose lease has run out, and raises the
//! attempt's fencing token; every later statement about the job names the token and touches nothing
//! if another has claimed since. A lost lease counts in `losses`, not in `attempt`; a job that is
//! given back has lost none.

use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use slipway_types::id::{ApplicationId, JobId};

use crate::job::JobPayload;
use crate::{Page, Result};

/// How often in a row a job may lose its lease before it is taken for poison. A healthy job is hit
/// too when another ends the process, hence not fewer.
pub const LOSSES_MAX: u32 = 10;

/// After so many losses in a row a job is suspected of ending its worker's process.
pub const LOSSES_SUSPICIOUS: u32 = 3;
/// How far apart suspected jobs are started, so that one does not take the others down with it.
const SUSPECTS_APART: Duration = Duration::from_secs(10);

/// When a job that an earlier boot lost is due again: at once, unless it has so many `losses` that it
/// is to run apart from the `suspects` that are due again before it.
pub fn pause_after_loss(losses: u32, suspects: u32) -> Duration {
    if losses < LOSSES_SUSPICIOUS { Duration::ZERO } else { SUSPECTS_APART * (suspects + 1) }
}

/// Where a job stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobState {
    /// Waiting for its time and a worker.
    Ready,
    /// A worker has it.
    Leased,
    /// Done.
    Done,
    /// Given up; kept and shown.
    Dead,
}

impl JobState {
    /// The word stored and shown.
    pub fn word(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Leased => "leased",
            Self::Done => "done",
            Self::Dead => "dead",
        }
    }
}

/// A job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// Identity.
    pub id: JobId,
    /// What to do.
    pub payload: JobPayload,
    /// For whom.
    pub application_id: Option<ApplicationId>,
    /// Where it stands.
    pub state: JobState,
    /// Attempts that ended in an error or are under way; counts from 1 in a claimed job.
    pub attempt: u32,
    /// Attempts before it is dead.
    pub attempts_max: u32,
    /// Leases lost since a worker last gave the job back: they ran out, or their process died.
    pub losses: u32,
    /// Fencing token: rises with every claim.
    pub token: i64,
    /// When it is or was due.
    pub run_at: DateTime<Utc>,
    /// What the last attempt failed with.
    pub last_error: Option<String>,
    /// When it was queued.
    pub created_at: DateTime<Utc>,
}

/// How many jobs of a kind wait, and since when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueDepth {
    /// The kind's word.
    pub kind: String,
    /// The state's word.
    pub state: String,
    /// How many.
    pub count: u64,
    /// Of ready ones that are due: since when the oldest waits.
    pub oldest_due: Option<DateTime<Utc>>,
}

/// The queue.
#[async_trait]
pub trait Queue: Send + Sync {
    /// Claims one due job of one of `kinds` for `owner`, taking turns between applications (the one
    /// served longest ago first). A job whose lease ran out counts a loss; beyond [`LOSSES_MAX`] it
    /// is returned all the same, for its handler to bury. A ready job is passed over while another
    /// with its dedupe key holds a lease: what has one key never runs twice at once.
    async fn claim(&self, kinds: &[&'static str], owner: &str, lease: Duration) -> Result<Option<Job>>;

    /// Prolongs the lease; `false` if the job is no longer this claim's.
    async fn heartbeat(&self, job: JobId, token: i64, lease: Duration) -> Result<bool>;

    /// Ends the job well; `false` if it is no longer this claim's.
    async fn complete(&self, job: JobId, token: i64) -> Result<bool>;

    /// Gives the job back, due after `delay`, with what went wrong. `counts` tells whether the
    /// attempt counts (`false`: it merely waits for something). If a ready job with its dedupe key
    /// has come meanwhile, that one stays, due at the earlier time unless it is suspected, and this one
    /// is done.
    async fn give_back(
        &self,
        job: JobId,
        token: i64,
        delay: Duration,
        error: &str,
        counts: bool,
    ) -> Result<bool>;

    /// Gives the job up: it is kept and shown.
    async fn bury(&self, job: JobId, token: i64, error: &str) -> Result<bool>;

    /// Makes every job leased by an owner that begins with `prefix` ready, as a lost lease: the earlier
    /// boots of this instance, which died, since one that stops gives its jobs back. Those that were
    /// lost again and again are due apart ([`pause_after_loss`]). Returns how many.
    async fn release(&self, prefix: &str) -> Result<u64>;

    /// Counts by kind and state (done ones left out).
    async fn depth(&self) -> Result<Vec<QueueDepth>>;

    /// When the next job that is not yet due will be.
    async fn next_due(&self, kinds: &[&'static str]) -> Result<Option<DateTime<Utc>>>;

    /// Dead jobs, newest first.
    async fn dead(&self, page: Page) -> Result<Vec<Job>>;

    /// Removes done jobs older than `age`; returns how many.
    async fn forget_done(&self, age: Duration) -> Result<u64>;
}
