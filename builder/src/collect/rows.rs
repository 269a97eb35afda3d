//! What goes by its age alone: spool files, done jobs, uploads, tokens of builds, resolutions, incidents,
//! logs.

use std::time::Duration;

use slipway_records::JobError;

use super::{CollectOptions, Pass, blobs_fault};

impl Pass<'_> {
    pub(super) async fn expire_rows(&mut self) -> Result<(), JobError> {
        if self.options.dry_run {
            return Ok(());
        }
        let spool = hours(self.options.keep_spool_hours);
        let swept = self.blobs.sweep_spool(spool).await.map_err(|error| blobs_fault(&error))?;
        self.collected.spool_files = swept.files;
        self.collected.jobs =
            self.records.queue().forget_done(hours(self.options.keep_done_job_hours)).await?;
        self.expire_uploads().await?;
        self.expire_tokens().await?;
        self.expire_cached_steps().await?;
        self.expire_resolutions().await?;
        self.expire_incidents().await?;
        self.expire_logs().await
    }

    async fn expire_uploads(&mut self) -> Result<(), JobError> {
        let before = self.now - CollectOptions::hours(self.options.keep_upload_hours);
        for _ in 0..self.options.max_pages {
            self.go_on()?;
            let mut tx = self.records.begin().await?;
            let removed = tx.uploads_remove(before, self.options.page_rows).await?;
            if removed == 0 {
                return Ok(());
            }
            tx.commit().await?;
            self.collected.uploads += removed;
        }
        self.collected.unfinished = true;
        Ok(())
    }

    /// The executor takes none that is older.
    async fn expire_cached_steps(&mut self) -> Result<(), JobError> {
        let before = self.now - CollectOptions::days(self.options.keep_cache_days);
        for _ in 0..self.options.max_pages {
            self.go_on()?;
            let mut tx = self.records.begin().await?;
            let removed = tx.cache_tags_remove(before, self.options.page_rows).await?;
            if removed == 0 {
                return Ok(());
            }
            tx.commit().await?;
            self.collected.cached_steps += removed;
        }
        self.collected.unfinished = true;
        Ok(())
    }

    async fn expire_tokens(&mut self) -> Result<(), JobError> {
        let before = self.now - CollectOptions::hours(self.options.keep_build_token_hours);
        for _ in 0..self.options.max_pages {
            self.go_on()?;
            let mut tx = self.records.begin().await?;
            let removed = tx.build_tokens_remove(before, self.options.page_rows).await?;
            if removed == 0 {
                return Ok(());
            }
            tx.commit().await?;
            self.collected.build_tokens += removed;
        }
        self.collected.unfinished = true;
        Ok(())
    }

    /// Older ones stand in for no registry any more.
    async fn expire_resolutions(&mut self) -> Result<(), JobError> {
        let before = self.now - CollectOptions::hours(self.options.keep_resolution_hours);
        for _ in 0..self.options.max_pages {
            self.go_on()?;
            let mut tx = self.records.begin().await?;
            let removed = tx.resolutions_remove(before, self.options.page_rows).await?;
            if removed == 0 {
                return Ok(());
            }
            tx.commit().await?;
            self.collected.resolutions += removed;
        }
        self.collected.unfinished = true;
        Ok(())
    }

    async fn expire_incidents(&mut self) -> Result<(), JobError> {
        let before = self.now - CollectOptions::days(self.options.keep_incident_days);
        for _ in 0..self.options.max_pages {
            self.go_on()?;
            let mut tx = self.records.begin().await?;
            let removed = tx.incidents_forget(before, self.options.page_rows).await?;
            if removed == 0 {
                return Ok(());
            }
            tx.commit().await?;
            self.collected.incidents += removed;
        }
        self.collected.unfinished = true;
        Ok(())
    }

    async fn expire_logs(&mut self) -> Result<(), JobError> {
        /// A log may have thousands of chunks, and all of them go in one transaction.
        const LOGS: u32 = 5;
        let before = self.now - CollectOptions::days(self.options.keep_log_days);
        for _ in 0..self.options.max_pages {
            self.go_on()?;
            let mut tx = self.records.begin().await?;
            let removed = tx.logs_remove(before, LOGS).await?;
            if removed == 0 {
                return Ok(());
            }
            tx.commit().await?;
            self.collected.logs += removed;
        }
        self.collected.unfinished = true;
        Ok(())
    }
}

fn hours(hours: u32) -> Duration {
    Duration::from_hours(u64::from(hours))
}
