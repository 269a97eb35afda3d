//! Versions of deleted branches, then what is left in the repositories without them.

use std::collections::BTreeSet;

use serde_json::Value;
use slipway_objects::BlobError;
use slipway_records::JobError;
use slipway_types::Digest;
use slipway_types::id::ApplicationId;

use super::{CollectOptions, Pass, blobs_fault};

impl Pass<'_> {
    pub(super) async fn expire_repositories(&mut self) -> Result<(), JobError> {
        let mut after = None;
        loop {
            let mut read = self.records.read().await?;
            let page = read.upkeep_applications(after, self.options.page_rows).await?;
            drop(read);
            let Some(last) = page.last() else { return Ok(()) };
            after = Some(*last);
            for application in page {
                self.expire_versions(application).await?;
                self.read_manifests().await?;
                self.expire_manifests(application).await?;
                self.expire_links(application).await?;
            }
        }
    }

    /// Bundles go first: packages that only they held come up on the next page.
    async fn expire_versions(&mut self, application: ApplicationId) -> Result<(), JobError> {
        let gone_before = self.now - CollectOptions::days(self.options.keep_branch_days);
        for _ in 0..self.options.max_pages {
            self.go_on()?;
            let mut read = self.records.read().await?;
            let expired = read.versions_expired(application, gone_before, self.options.page_rows).await?;
            drop(read);
            if self.options.dry_run {
                self.collected.versions += expired.len() as u64;
                return Ok(());
            }
            let mut tx = self.records.begin().await?;
            let mut removed = Vec::new();
            for version in expired {
                if tx.version_remove(version.id, gone_before).await? {
                    removed.push(version);
                }
            }
            if removed.is_empty() {
                return Ok(());
            }
            tx.commit().await?;
            for version in &removed {
                tracing::info!(
                    version = %version.version, component = ?version.component, git_ref = %version.git_ref,
                    digest = %version.digest, "removed a version of a deleted branch"
                );
            }
            self.collected.versions += removed.len() as u64;
        }
        self.collected.unfinished = true;
        Ok(())
    }

    /// Notes what stored manifests name.
    async fn read_manifests(&mut self) -> Result<(), JobError> {
        if self.options.dry_run {
            return Ok(());
        }
        for _ in 0..self.options.max_pages {
            self.go_on()?;
            let mut read = self.records.read().await?;
            let unread = read.manifests_unread(self.options.page_rows).await?;
            drop(read);
            let mut noted = Vec::new();
            for digest in unread {
                // Those of one application come up with the next one again.
                if self.unreadable.contains(&digest) {
                    continue;
                }
                match self.blobs.get(&digest, self.options.max_manifest_bytes).await {
                    Ok(bytes) => noted.push((digest, named_by(&bytes))),
                    Err(error @ (BlobError::Missing { .. } | BlobError::Corrupt { .. })) => {
                        // What it names is not known, so nothing may go until it is repaired.
                        tracing::debug!(%digest, %error, "a manifest cannot be read");
                        self.unreadable.insert(digest);
                    }
                    Err(error) => return Err(blobs_fault(&error).into()),
                }
            }
            if noted.is_empty() {
                return Ok(());
            }
            let mut tx = self.records.begin().await?;
            for (digest, children) in &noted {
                tx.manifest_note(digest, children).await?;
            }
            tx.commit().await?;
        }
        self.collected.unfinished = true;
        Ok(())
    }

    /// Says once how many manifests cannot be read; which ones is told at the level debug.
    pub(super) fn tell_unreadable(&self) {
        if let Some(first) = self.unreadable.first() {
            tracing::warn!(
                manifests = self.unreadable.len(), %first,
                "manifests cannot be read: nothing is removed from repositories until their bytes are back"
            );
        }
    }

    /// An index goes first: what only it named comes up on the next page.
    async fn expire_manifests(&mut self, application: ApplicationId) -> Result<(), JobError> {
        let before = self.now - CollectOptions::days(self.options.keep_branch_days);
        for _ in 0..self.options.max_pages {
            self.go_on()?;
            let mut read = self.records.read().await?;
            let expired = read.manifests_expired(application, before, self.options.page_rows).await?;
            drop(read);
            if self.options.dry_run {
                self.collected.manifests += expired.len() as u64;
                return Ok(());
            }
            let mut tx = self.records.begin().await?;
            let mut removed = 0;
            for content in &expired {
                removed += u64::from(tx.manifest_expire(application, content, before).await?);
            }
            if removed == 0 {
                return Ok(());
            }
            tx.commit().await?;
            self.collected.manifests += removed;
        }
        self.collected.unfinished = true;
        Ok(())
    }

    async fn expire_links(&mut self, application: ApplicationId) -> Result<(), JobError> {
        let before = self.now - CollectOptions::hours(self.options.gc_grace_hours);
        for _ in 0..self.options.max_pages {
            self.go_on()?;
            let mut read = self.records.read().await?;
            let expired = read.links_expired(application, before, self.options.page_rows).await?;
            drop(read);
            if self.options.dry_run {
                self.collected.links += expired.len() as u64;
                return Ok(());
            }
            let mut tx = self.records.begin().await?;
            let mut removed = 0;
            for content in &expired {
                removed += u64::from(tx.link_expire(application, content, before).await?);
            }
            if removed == 0 {
                return Ok(());
            }
            tx.commit().await?;
            self.collected.links += removed;
        }
        self.collected.unfinished = true;
        Ok(())
    }
}

/// Every digest that a manifest or index names, its subject left out: that one needs no help from
/// those who speak about it.
fn named_by(bytes: &[u8]) -> Vec<Digest> {
    let mut found = BTreeSet::new();
    if let Ok(Value::Object(mut manifest)) = serde_json::from_slice(bytes) {
        manifest.remove("subject");
        gather(&Value::Object(manifest), &mut found);
    }
    found.into_iter().collect()
}

fn gather(value: &Value, found: &mut BTreeSet<Digest>) {
    match value {
        Value::Object(fields) => {
            found.extend(fields.get("digest").and_then(Value::as_str).and_then(|d| d.parse::<Digest>().ok()));
            fields.values().for_each(|value| gather(value, found));
        }
        Value::Array(values) => values.iter().for_each(|value| gather(value, found)),
        _ => {}
    }
}
