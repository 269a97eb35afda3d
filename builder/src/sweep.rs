//! The `sweep` job: heads that have no run get a delivery, so that a missed webhook or a process
//! killed at the wrong moment loses nothing.

use std::sync::Arc;

use async_trait::async_trait;
use chrono::Utc;
use slipway_git::{Credential, GitStore, Notify, Wanted};
use slipway_records::job::{JobPayload, NewJob};
use slipway_records::{
    Application, Handler, Job, JobContext, JobError, NewDelivery, Origin, Page, Records, RecordsError,
    RefRow, RunFilter, Source, SourceKind,
};
use slipway_secrets::Secrets;
use slipway_types::state::DeliveryState;
use slipway_types::{Class, Fault};

use crate::configuration_only;

/// Who made what the sweep found.
pub const SWEEP_ACTOR: &str = "sweep";

/// How many of a source's newest deliveries are looked through for what became of a head.
const LATEST_MAX: u32 = 100;

/// Does `sweep` jobs.
pub struct SweepHandler {
    /// The records.
    pub records: Arc<dyn Records>,
    /// Where commits are.
    pub git: GitStore,
    /// Where credentials of sources are.
    pub secrets: Secrets,
}

#[async_trait]
impl Handler for SweepHandler {
    async fn run(&self, job: &Job, _context: &JobContext) -> Result<(), JobError> {
        let Some(source) = self.source(job).await? else { return Ok(()) };
        let mirrored = self.mirror(&source).await;
        let error = mirrored.as_ref().err().map(|fault| fault.message.clone());
        let mut tx = self.records.begin().await?;
        tx.source_swept(source.id, Utc::now(), error.as_deref()).await?;
        tx.commit().await?;
        self.deliver_missed(&source).await?;
        configure(self.records.as_ref(), &source).await?;
        // What went wrong is kept with the source; the next sweep tries again.
        Ok(())
    }

    async fn bury(&self, _job: &Job, _fault: Fault) -> Result<(), JobError> {
        Ok(())
    }
}

impl SweepHandler {
    async fn source(&self, job: &Job) -> Result<Option<Source>, JobError> {
        let JobPayload::Sweep { source } = job.payload else { return Ok(None) };
        Ok(self.records.read().await?.source_get(source).await?)
    }

    async fn mirror(&self, source: &Source) -> Result<(), Fault> {
        let SourceKind::Https { url } = &source.kind else { return Ok(()) };
        let credential = credential(&self.secrets, source).await?;
        self.git.fetch(source.id, url, credential.as_ref(), &Wanted::All, &Notify::None).await.map(drop)
    }

    /// Heads that some application has no run for get a delivery. That one named them before is not
    /// enough: it may have failed while the forge was away, or come before the forge showed the commit.
    async fn deliver_missed(&self, source: &Source) -> Result<(), JobError> {
        let mut read = self.records.read().await?;
        let heads = read.git_refs(source.id).await?;
        let applications = read.applications_of_source(source.id).await?;
        let latest = read.delivery_list(source.id, Page::first(LATEST_MAX)).await?;
        let is_followed = !read.configuration_sources_of(source.id).await?.is_empty();
        drop(read);
        let is_in_hand = |head: &RefRow| {
            let of_head = latest.iter().filter(|delivery| {
                delivery.git_ref.as_ref() == Some(&head.name)
                    && delivery.commit.as_ref() == Some(&head.commit)
            });
            of_head.map(|delivery| &delivery.state).any(|state| match state {
                DeliveryState::Received => true,
                DeliveryState::Failed { fault } => fault.class != Class::Transient,
                DeliveryState::Ignored { reason } => is_followed && configuration_only::is_reason(reason),
                DeliveryState::Planned { .. } => false,
            })
        };
        for head in heads {
            if is_in_hand(&head) || self.is_served(&applications, &head).await? {
                continue;
            }
            let delivery = NewDelivery {
                source_id: source.id,
                origin: Origin::Sweep,
                external_id: None,
                event: "sweep".to_owned(),
                git_ref: Some(head.name),
                commit: Some(head.commit),
                actor: SWEEP_ACTOR.to_owned(),
                fresh: false,
                state: DeliveryState::Received,
            };
            let mut tx = self.records.begin().await?;
            let delivery = tx.delivery_insert(delivery).await?.into_inner();
            tx.job_enqueue(NewJob::new(JobPayload::Deliver { delivery: delivery.id }, None)).await?;
            tx.commit().await?;
        }
        Ok(())
    }

    /// Whether every application has a run of the head.
    async fn is_served(&self, applications: &[Application], head: &RefRow) -> Result<bool, JobError> {
        let mut read = self.records.read().await?;
        for application in applications {
            let filter = RunFilter {
                application: Some(application.id),
                git_ref: Some(head.name.clone()),
                commit: Some((&head.commit).into()),
                states: Vec::new(),
            };
            if read.run_list(&filter, Page::first(1)).await?.is_empty() {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// Has the configuration taken over that is followed from a source, if any is.
pub async fn configure(records: &dyn Records, source: &Source) -> Result<(), RecordsError> {
    if records.read().await?.configuration_sources_of(source.id).await?.is_empty() {
        return Ok(());
    }
    let mut tx = records.begin().await?;
    tx.job_enqueue(NewJob::new(JobPayload::Configure { source: source.id }, None)).await?;
    tx.commit().await
}

/// The credential of a source, read from where it is kept.
pub async fn credential(secrets: &Secrets, source: &Source) -> Result<Option<Credential>, Fault> {
    let Some(reference) = &source.credential else { return Ok(None) };
    let resolved = secrets.resolve(reference).await?;
    Ok(Some(Credential::parse(&resolved.value)))
}
