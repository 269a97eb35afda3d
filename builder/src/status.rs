//! The `status` job: telling the forge where a run stands.

use std::sync::Arc;

use async_trait::async_trait;
use slipway_records::job::JobPayload;
use slipway_records::{Handler, Job, JobContext, JobError, Records, SourceKind};
use slipway_types::Fault;

/// Does `status` jobs.
pub struct StatusHandler {
    /// The records.
    pub records: Arc<dyn Records>,
}

#[async_trait]
impl Handler for StatusHandler {
    async fn run(&self, job: &Job, _context: &JobContext) -> Result<(), JobError> {
        let JobPayload::Status { run } = job.payload else { return Ok(()) };
        let mut read = self.records.read().await?;
        let Some(run) = read.run_get(run).await? else { return Ok(()) };
        let Some(application) = read.application_get(run.application_id).await? else { return Ok(()) };
        let Some(source) = read.source_get(application.source_id).await? else { return Ok(()) };
        match source.kind {
            // Whoever pushed to the built-in remote has seen it on the terminal.
            SourceKind::Builtin => Ok(()),
            SourceKind::Https { .. } => {
                tracing::debug!(run.id = %run.id, state = run.state.word(), "no commit status is sent to forges yet");
                Ok(())
            }
        }
    }

    async fn bury(&self, _job: &Job, _fault: Fault) -> Result<(), JobError> {
        // A forge that takes no status never fails a run.
        Ok(())
    }
}
