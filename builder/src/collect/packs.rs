//! Many small packs of a source become one.

use slipway_records::JobError;
use slipway_types::fault::chain;

use super::Pass;

impl Pass<'_> {
    /// A source that fails is left to the next pass.
    pub(super) async fn consolidate_packs(&mut self) -> Result<(), JobError> {
        if self.options.dry_run {
            return Ok(());
        }
        let sources = self.records.read().await?.source_list().await?;
        for source in sources {
            let consolidated = tokio::select! {
                consolidated = self.git.consolidate(source.id, self.options.max_packs) => consolidated,
                () = self.stop.cancelled() => return Err(JobError::Stopped),
            };
            match consolidated {
                Ok(packs) => self.collected.packs += packs as u64,
                Err(error) => {
                    tracing::warn!(source = %source.name, error = %chain(&error), "packs stay as they are");
                }
            }
        }
        Ok(())
    }
}
