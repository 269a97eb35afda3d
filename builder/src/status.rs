//! The `status` job: telling the forge where a run stands.
//!
//! What is told is what the run is when the job is done, not when it was queued, so late and
//! repeated jobs do no harm. Nothing that happens here ends or fails a run.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use chrono::{TimeDelta, Utc};
use secrecy::SecretString;
use slipway_git::GitOptions;
use slipway_records::job::JobPayload;
use slipway_records::run::RunFilter;
use slipway_records::{
    Application, Handler, Job, JobContext, JobError, Page, Records, Run, Source, SourceKind,
};
use slipway_secrets::Secrets;
use slipway_types::id::SourceId;
use slipway_types::{Class, Fault};

mod forge;
mod send;
#[cfg(test)]
mod tests;

use forge::{Forge, Repository, Token};
use send::Refusal;

/// Limits of telling forges.
#[derive(Debug, Clone)]
pub struct StatusOptions {
    /// How long connecting to a forge may take, in milliseconds.
    pub connect_timeout_ms: u64,
    /// How long a forge may take to answer, in milliseconds.
    pub request_timeout_ms: u64,
    /// How long a forge that fails is asked again, in milliseconds from when the job was queued.
    pub give_up_after_ms: u64,
    /// The pause between two tries, in milliseconds, if the forge names none.
    pub retry_pause_ms: u64,
    /// The longest pause that a forge may ask for, in milliseconds.
    pub max_retry_pause_ms: u64,
    /// Which addresses forges may have: the rules by which sources are fetched.
    pub git: GitOptions,
}

impl Default for StatusOptions {
    fn default() -> Self {
        Self {
            connect_timeout_ms: 10_000,
            request_timeout_ms: 30_000,
            give_up_after_ms: 3_600_000,
            retry_pause_ms: 15_000,
            max_retry_pause_ms: 600_000,
            git: GitOptions::default(),
        }
    }
}

/// Does `status` jobs.
pub struct StatusHandler {
    /// The records.
    pub records: Arc<dyn Records>,
    /// Where credentials of sources are.
    pub secrets: Secrets,
    /// Address under which people reach this server, without a slash at the end.
    pub public_url: String,
    /// Limits.
    pub options: StatusOptions,
    /// What was logged already, so that a wrong credential fills no log.
    told: Mutex<BTreeSet<(SourceId, String)>>,
}

/// How many different refusals are remembered before the log may repeat itself.
const TOLD_MAX: usize = 1000;
/// Deliveries looked at to find out which forge a source is on.
const DELIVERIES_LOOKED_AT: u32 = 100;

/// All that a status needs.
struct Told {
    run: Run,
    application: Application,
    source: Source,
    repository: Repository,
}

impl StatusHandler {
    /// Tells forges about runs; links lead to `public_url`.
    pub fn new(
        records: Arc<dyn Records>,
        secrets: Secrets,
        public_url: impl Into<String>,
        options: StatusOptions,
    ) -> Self {
        let public_url = public_url.into().trim_end_matches('/').to_owned();
        Self { records, secrets, public_url, options, told: Mutex::default() }
    }

    /// `None` if there is no forge to tell.
    async fn load(&self, job: &Job) -> Result<Option<Told>, JobError> {
        let JobPayload::Status { run } = job.payload else { return Ok(None) };
        let mut read = self.records.read().await?;
        let Some(run) = read.run_get(run).await? else { return Ok(None) };
        let Some(application) = read.application_get(run.application_id).await? else { return Ok(None) };
        let Some(source) = read.source_get(application.source_id).await? else { return Ok(None) };
        // Whoever pushed to the built-in remote has seen it on the terminal.
        let SourceKind::Https { url } = &source.kind else { return Ok(None) };
        if source.credential.is_none() {
            return Ok(None);
        }
        let deliveries = read.delivery_list(source.id, Page::first(DELIVERIES_LOOKED_AT)).await?;
        let by_webhook = deliveries.iter().find_map(|delivery| Forge::of_origin(delivery.origin));
        let Some(repository) = Repository::parse(url, by_webhook) else { return Ok(None) };
        // A status belongs to the commit: of several runs of one commit the newest speaks.
        let filter = RunFilter {
            application: Some(run.application_id),
            commit: Some((&run.commit).into()),
            ..RunFilter::default()
        };
        let run = read.run_list(&filter, Page::first(1)).await?.pop().unwrap_or(run);
        Ok(Some(Told { run, application, source, repository }))
    }

    async fn token(&self, source: &Source) -> Result<Token, Fault> {
        let reference =
            source.credential.as_ref().expect("invariant: only sources with a credential get here");
        let value: SecretString = self.secrets.resolve(reference).await?.value;
        Ok(Token::parse(&value))
    }

    async fn tell(&self, told: &Told) -> Result<(), Refusal> {
        let token = self.token(&told.source).await?;
        let target_url = format!("{}/runs/{}", self.public_url, told.run.id);
        let status = told.repository.status(&told.run, &told.application.name, &target_url);
        send::post(&status, &token, &self.options).await
    }

    /// Logs a refusal the first time only.
    fn note(&self, source: &Source, fault: &Fault) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.len() >= TOLD_MAX {
            told.clear();
        }
        if told.insert((source.id, fault.code.clone())) {
            tracing::warn!(source = %source.name, %fault, "the forge takes no commit status");
        }
    }

    fn may_try_again(&self, job: &Job) -> bool {
        let within = i64::try_from(self.options.give_up_after_ms).unwrap_or(i64::MAX);
        Utc::now() - job.created_at < TimeDelta::milliseconds(within)
    }
}

#[async_trait]
impl Handler for StatusHandler {
    async fn run(&self, job: &Job, context: &JobContext) -> Result<(), JobError> {
        let Some(told) = self.load(job).await? else { return Ok(()) };
        let outcome = tokio::select! {
            outcome = self.tell(&told) => outcome,
            () = context.cancelled.cancelled() => return Err(JobError::Stopped),
        };
        match outcome {
            Ok(()) => Ok(()),
            Err(Refusal { fault, after }) if fault.class == Class::Transient && self.may_try_again(job) => {
                let pause = Duration::from_millis(self.options.retry_pause_ms);
                let longest = Duration::from_millis(self.options.max_retry_pause_ms);
                let delay = after.unwrap_or(pause).clamp(pause.min(longest), longest);
                Err(JobError::Wait { why: fault.message, delay })
            }
            Err(Refusal { fault, .. }) => {
                self.note(&told.source, &fault);
                Ok(())
            }
        }
    }

    async fn bury(&self, _job: &Job, _fault: Fault) -> Result<(), JobError> {
        // A forge that takes no status never fails a run.
        Ok(())
    }
}
