//! Bytes that nothing refers to: noted, condemned after the time of grace, removed, watched.

use chrono::TimeDelta;
use futures::{StreamExt, TryStreamExt, stream};
use slipway_records::{CondemnedBlob, JobError, Stored};
use slipway_types::Digest;

use super::{CollectOptions, Pass, blobs_fault};

/// Blobs asked about in one statement.
const SCAN_CHUNK: usize = 500;
/// Requests to the object store at once.
const REQUESTS: usize = 8;

impl Pass<'_> {
    /// Looks at all stored blobs, notes those that nothing refers to, and keeps how much is stored.
    pub(super) async fn note_unreferenced(&mut self) -> Result<(), JobError> {
        let old = self.now - CollectOptions::hours(self.options.gc_grace_hours);
        let mut stored = Stored { blobs: 0, bytes: 0, measured_at: self.now };
        let mut chunks = self.blobs.list().try_chunks(SCAN_CHUNK);
        while let Some(chunk) = chunks.next().await {
            self.go_on()?;
            let chunk = chunk.map_err(|error| blobs_fault(&error.1))?;
            stored.blobs += chunk.len() as u64;
            stored.bytes += chunk.iter().map(|listed| listed.blob.size).sum::<u64>();
            let digests: Vec<Digest> = chunk.iter().map(|listed| listed.blob.digest).collect();
            let referenced = self.records.read().await?.blobs_referenced(&digests).await?;
            let unreferenced = chunk.iter().filter(|listed| !referenced.contains(&listed.blob.digest));
            if self.options.dry_run {
                let due = unreferenced.filter(|listed| listed.last_modified < old);
                self.collected.blobs += due.count() as u64;
                continue;
            }
            let unreferenced: Vec<Digest> = unreferenced.map(|listed| listed.blob.digest).collect();
            if !unreferenced.is_empty() {
                let mut tx = self.records.begin().await?;
                tx.blobs_note(&unreferenced, self.now).await?;
                tx.commit().await?;
            }
        }
        let mut tx = self.records.begin().await?;
        tx.stored_put(&stored).await?;
        Ok(tx.commit().await?)
    }

    /// Removes the bytes of blobs that nothing has referred to for the time of grace.
    pub(super) async fn remove_unreferenced(&mut self) -> Result<(), JobError> {
        if self.options.dry_run {
            return Ok(());
        }
        let noted_before = self.now - CollectOptions::hours(self.options.gc_grace_hours);
        for _ in 0..self.options.max_pages {
            self.go_on()?;
            let mut read = self.records.read().await?;
            let due = read.blobs_unreferenced(noted_before, self.options.page_rows).await?;
            drop(read);
            if due.is_empty() {
                return Ok(());
            }
            let mut condemned = Vec::new();
            let mut tx = self.records.begin().await?;
            for digest in due {
                if tx.blob_condemn(&digest, noted_before, self.now).await? {
                    condemned.push(digest);
                }
            }
            tx.commit().await?;
            self.collected.condemned += condemned.len() as u64;
            self.remove(condemned).await?;
        }
        self.collected.unfinished = true;
        Ok(())
    }

    /// Deletes the bytes of condemned blobs. What the store does not delete now it will later.
    async fn remove(&mut self, condemned: Vec<Digest>) -> Result<(), JobError> {
        let blobs = self.blobs;
        let removed: Vec<Digest> = stream::iter(condemned)
            .map(|digest| async move {
                match blobs.delete(&digest).await {
                    Ok(()) => Some(digest),
                    Err(error) => {
                        tracing::warn!(%digest, %error, "cannot delete a blob that nothing refers to");
                        None
                    }
                }
            })
            .buffer_unordered(REQUESTS)
            .filter_map(std::future::ready)
            .collect()
            .await;
        let mut tx = self.records.begin().await?;
        for digest in &removed {
            tx.blob_removed(digest, self.now).await?;
        }
        tx.commit().await?;
        self.collected.blobs += removed.len() as u64;
        Ok(())
    }

    /// Goes on with removals that were broken off, and lets digests be referred to again.
    pub(super) async fn settle_condemned(&mut self) -> Result<(), JobError> {
        if self.options.dry_run {
            return Ok(());
        }
        let mut after = None;
        loop {
            self.go_on()?;
            let mut read = self.records.read().await?;
            let page = read.blobs_condemned(after.as_ref(), self.options.page_rows).await?;
            drop(read);
            let Some(last) = page.last() else { return Ok(()) };
            after = Some(last.digest);
            let (removed, broken_off): (Vec<_>, Vec<_>) = page.into_iter().partition(|blob| blob.removed);
            self.collected.condemned += broken_off.len() as u64;
            self.remove(broken_off.into_iter().map(|blob| blob.digest).collect()).await?;
            self.release(removed).await?;
        }
    }

    async fn release(&mut self, removed: Vec<CondemnedBlob>) -> Result<(), JobError> {
        let (blobs, now) = (self.blobs, self.now);
        let min = TimeDelta::minutes(i64::from(self.options.min_condemned_minutes));
        let max = TimeDelta::minutes(i64::from(self.options.max_condemned_minutes));
        let watched = removed.len() as u64;
        let free: Vec<Digest> = stream::iter(removed)
            .map(|blob| async move {
                let age = now - blob.since;
                let free = age >= max
                    // Stored again. A deletion that was sent earlier has arrived by now or never will.
                    || (age >= min && matches!(blobs.head(&blob.digest).await, Ok(Some(_))));
                free.then_some(blob.digest)
            })
            .buffer_unordered(REQUESTS)
            .filter_map(std::future::ready)
            .collect()
            .await;
        self.collected.condemned += watched - free.len() as u64;
        if free.is_empty() {
            return Ok(());
        }
        let mut tx = self.records.begin().await?;
        for digest in &free {
            tx.blob_release(digest).await?;
        }
        Ok(tx.commit().await?)
    }
}
