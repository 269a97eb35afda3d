//! Blobs that nothing refers to, on their way out.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use slipway_records::{CondemnedBlob, ReadUnreferenced, Result, WriteUnreferenced};
use slipway_types::Digest;

use crate::error::failed;
use crate::session::{Handle, Session, Writer};
use crate::value::{Millis, Text, digests_json, millis, rows};

struct CondemnedRow {
    digest: Text<Digest>,
    since: Millis,
    removed: bool,
}

#[async_trait]
impl<H: Handle> ReadUnreferenced for Session<H> {
    async fn blobs_referenced(&mut self, digests: &[Digest]) -> Result<Vec<Digest>> {
        let found = sqlx::query_scalar!(
            r#"select d.value || '' as "digest!: Text<Digest>" from json_each(?1) d
            where exists (select 1 from blob_link where digest = d.value and origin is null)
            or exists (select 1 from manifest where digest = d.value)
            or exists (select 1 from git_pack where digest = d.value)
            or exists (select 1 from log_chunk where digest = d.value)
            or exists (select 1 from upload_part where digest = d.value)
            or exists (select 1 from version_content where digest = d.value)
            or exists (select 1 from definition where archive = d.value)"#,
            digests_json(digests),
        )
        .fetch_all(self.db())
        .await
        .map_err(failed)?;
        Ok(found.into_iter().map(|digest| digest.0).collect())
    }

    async fn blobs_unreferenced(&mut self, noted_before: DateTime<Utc>, limit: u32) -> Result<Vec<Digest>> {
        let found = sqlx::query_scalar!(
            r#"select digest as "digest!: Text<Digest>" from blob_unreferenced
            where removing_at is null and since < ?1 order by since, digest limit ?2"#,
            millis(noted_before),
            rows(limit),
        )
        .fetch_all(self.db())
        .await
        .map_err(failed)?;
        Ok(found.into_iter().map(|digest| digest.0).collect())
    }

    async fn blobs_condemned(&mut self, after: Option<&Digest>, limit: u32) -> Result<Vec<CondemnedBlob>> {
        let found = sqlx::query_as!(
            CondemnedRow,
            r#"select digest as "digest!: _", removing_at as "since!: _",
            removed_at is not null as "removed!: bool" from blob_unreferenced
            where removing_at is not null and digest > ?1 order by digest limit ?2"#,
            after.map_or_else(String::new, ToString::to_string),
            rows(limit),
        )
        .fetch_all(self.db())
        .await
        .map_err(failed)?;
        Ok(found
            .into_iter()
            .map(|row| CondemnedBlob { digest: row.digest.0, since: row.since.0, removed: row.removed })
            .collect())
    }
}

#[async_trait]
impl WriteUnreferenced for Writer {
    async fn blobs_note(&mut self, digests: &[Digest], at: DateTime<Utc>) -> Result<()> {
        sqlx::query!(
            "insert into blob_unreferenced (digest, since) select d.value, ?2 from json_each(?1) d
            where not exists (select 1 from blob_link where digest = d.value and origin is null)
            and not exists (select 1 from manifest where digest = d.value)
            and not exists (select 1 from git_pack where digest = d.value)
            and not exists (select 1 from log_chunk where digest = d.value)
            and not exists (select 1 from upload_part where digest = d.value)
            and not exists (select 1 from version_content where digest = d.value)
            and not exists (select 1 from definition where archive = d.value)
            on conflict (digest) do nothing",
            digests_json(digests),
            millis(at),
        )
        .execute(self.db())
        .await
        .map_err(failed)?;
        Ok(())
    }

    async fn blob_condemn(
        &mut self,
        digest: &Digest,
        noted_before: DateTime<Utc>,
        at: DateTime<Utc>,
    ) -> Result<bool> {
        if !self.blobs_referenced(&[*digest]).await?.is_empty() {
            sqlx::query!(
                "delete from blob_unreferenced where digest = ?1 and removing_at is null",
                digest.to_string(),
            )
            .execute(self.db())
            .await
            .map_err(failed)?;
            return Ok(false);
        }
        let condemned = sqlx::query!(
            "update blob_unreferenced set removing_at = ?3
            where digest = ?1 and removing_at is null and since < ?2",
            digest.to_string(),
            millis(noted_before),
            millis(at),
        )
        .execute(self.db())
        .await
        .map_err(failed)?;
        Ok(condemned.rows_affected() == 1)
    }

    async fn blob_removed(&mut self, digest: &Digest, at: DateTime<Utc>) -> Result<()> {
        sqlx::query!(
            "update blob_unreferenced set removed_at = ?2 where digest = ?1 and removing_at is not null",
            digest.to_string(),
            millis(at),
        )
        .execute(self.db())
        .await
        .map_err(failed)?;
        Ok(())
    }

    async fn blob_release(&mut self, digest: &Digest) -> Result<()> {
        sqlx::query!(
            "delete from blob_unreferenced where digest = ?1 and removing_at is not null",
            digest.to_string(),
        )
        .execute(self.db())
        .await
        .map_err(failed)?;
        Ok(())
    }
}
