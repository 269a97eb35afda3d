//! The `sweep` job: heads that no delivery named get one, so that a missed webhook or a process
//! killed at the wrong moment loses nothing.

use std::sync::Arc;

use async_trait::async_trait;
use chrono::Utc;
use slipway_git::{Credential, GitStore, Notify, Wanted};
use slipway_records::job::{JobPayload, NewJob};
use slipway_records::{Handler, Job, JobContext, JobError, NewDelivery, Origin, Records, Source, SourceKind};
use slipway_secrets::Secrets;
use slipway_types::Fault;
use slipway_types::state::DeliveryState;

/// Who made what the sweep found.
pub const SWEEP_ACTOR: &str = "sweep";

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

    /// Heads without a delivery get one. The check and the insertion are one transaction, so that a
    /// push under way is not doubled.
    async fn deliver_missed(&self, source: &Source) -> Result<(), JobError> {
        let heads = self.records.read().await?.git_refs(source.id).await?;
        for head in heads {
            if self.records.read().await?.delivery_names(source.id, &head.name, &head.commit).await? {
                continue;
            }
            let mut tx = self.records.begin().await?;
            if tx.delivery_names(source.id, &head.name, &head.commit).await? {
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
            let delivery = tx.delivery_insert(delivery).await?.into_inner();
            tx.job_enqueue(NewJob::new(JobPayload::Deliver { delivery: delivery.id }, None)).await?;
            tx.commit().await?;
        }
        Ok(())
    }
}

/// The credential of a source, read from where it is kept.
pub async fn credential(secrets: &Secrets, source: &Source) -> Result<Option<Credential>, Fault> {
    let Some(reference) = &source.credential else { return Ok(None) };
    let resolved = secrets.resolve(reference).await?;
    Ok(Some(Credential::parse(&resolved.value)))
}
