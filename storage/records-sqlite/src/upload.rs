//! Blob uploads.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use slipway_records::{ReadUploads, Result, Upload, UploadPart, WriteUploads};
use slipway_types::Digest;
use slipway_types::id::UploadId;

use crate::error::failed;
use crate::session::{Handle, Session, Writer};
use crate::value::{Int, Text, int, millis, rows};

struct PartRow {
    start: Int<u64>,
    length: Int<u64>,
    digest: Text<Digest>,
}

#[async_trait]
impl<H: Handle> ReadUploads for Session<H> {
    async fn upload_get(&mut self, id: UploadId) -> Result<Option<Upload>> {
        let repository = sqlx::query_scalar!(
            r#"select repository as "repository!" from upload where id = ?1"#,
            id.to_string()
        )
        .fetch_optional(self.db())
        .await
        .map_err(failed)?;
        let Some(repository) = repository else { return Ok(None) };
        let parts = sqlx::query_as!(
            PartRow,
            r#"select start as "start!: _", length as "length!: _", digest as "digest!: _"
            from upload_part where upload_id = ?1 order by start"#,
            id.to_string(),
        )
        .fetch_all(self.db())
        .await
        .map_err(failed)?;
        let parts = parts
            .into_iter()
            .map(|row| UploadPart { offset: row.start.0, length: row.length.0, digest: row.digest.0 })
            .collect();
        Ok(Some(Upload { id, repository, parts }))
    }
}

#[async_trait]
impl WriteUploads for Writer {
    async fn upload_begin(&mut self, id: UploadId, repository: &str, at: DateTime<Utc>) -> Result<()> {
        sqlx::query!(
            "insert into upload (id, repository, used_at) values (?1, ?2, ?3)",
            id.to_string(),
            repository,
            millis(at),
        )
        .execute(self.db())
        .await
        .map_err(failed)?;
        Ok(())
    }

    async fn upload_append(&mut self, id: UploadId, part: &UploadPart, at: DateTime<Utc>) -> Result<bool> {
        let used = sqlx::query!("update upload set used_at = ?2 where id = ?1", id.to_string(), millis(at))
            .execute(self.db())
            .await
            .map_err(failed)?;
        if used.rows_affected() == 0 {
            return Ok(false);
        }
        let made = sqlx::query!(
            "insert into upload_part (upload_id, start, length, digest) select ?1, ?2, ?3, ?4
            where ?2 = coalesce((select max(start + length) from upload_part where upload_id = ?1), 0)",
            id.to_string(),
            int(part.offset),
            int(part.length),
            part.digest.to_string(),
        )
        .execute(self.db())
        .await
        .map_err(failed)?;
        Ok(made.rows_affected() == 1)
    }

    async fn upload_remove(&mut self, id: UploadId) -> Result<bool> {
        let removed = sqlx::query!("delete from upload where id = ?1", id.to_string())
            .execute(self.db())
            .await
            .map_err(failed)?;
        Ok(removed.rows_affected() == 1)
    }

    async fn uploads_remove(&mut self, before: DateTime<Utc>, limit: u32) -> Result<u64> {
        let removed = sqlx::query!(
            "delete from upload where id in (select id from upload where used_at < ?1 order by used_at limit ?2)",
            millis(before),
            rows(limit),
        )
        .execute(self.db())
        .await
        .map_err(failed)?;
        Ok(removed.rows_affected())
    }
}
