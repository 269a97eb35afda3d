//! Resolutions of image references.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use slipway_records::{ReadResolutions, Resolution, Result, WriteResolutions};
use slipway_types::{Digest, ImageReference};

use crate::error::failed;
use crate::session::{Handle, Session, Writer};
use crate::value::{Millis, Text, millis, rows};

struct StoredResolution {
    digest: Text<Digest>,
    resolved_at: Millis,
}

#[async_trait]
impl<H: Handle> ReadResolutions for Session<H> {
    async fn resolution_get(&mut self, reference: &ImageReference) -> Result<Option<Resolution>> {
        let row = sqlx::query_as!(
            StoredResolution,
            r#"select digest as "digest!: _", resolved_at as "resolved_at!: _" from resolution
            where reference = ?1"#,
            reference.to_string(),
        )
        .fetch_optional(self.db())
        .await
        .map_err(failed)?;
        Ok(row.map(|row| Resolution {
            reference: reference.clone(),
            digest: row.digest.0,
            resolved_at: row.resolved_at.0,
        }))
    }
}

#[async_trait]
impl WriteResolutions for Writer {
    async fn resolution_put(&mut self, resolution: &Resolution) -> Result<()> {
        sqlx::query!(
            "insert into resolution (reference, digest, resolved_at) values (?1, ?2, ?3)
            on conflict (reference) do update set digest = excluded.digest, resolved_at = excluded.resolved_at
            where excluded.resolved_at > resolution.resolved_at",
            resolution.reference.to_string(),
            resolution.digest.to_string(),
            millis(resolution.resolved_at),
        )
        .execute(self.db())
        .await
        .map_err(failed)?;
        Ok(())
    }

    async fn resolutions_remove(&mut self, before: DateTime<Utc>, limit: u32) -> Result<u64> {
        let removed = sqlx::query!(
            "delete from resolution where reference in
            (select reference from resolution where resolved_at < ?1 order by resolved_at limit ?2)",
            millis(before),
            rows(limit),
        )
        .execute(self.db())
        .await
        .map_err(failed)?;
        Ok(removed.rows_affected())
    }
}
