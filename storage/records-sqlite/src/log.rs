//! Logs.

use async_trait::async_trait;
use slipway_records::{Change, LogChunk, ReadLogs, Result, WriteLogs};
use slipway_types::Digest;
use uuid::Uuid;

use crate::error::failed;
use crate::session::{Handle, Session, Writer};
use crate::value::{Int, Text, int};

struct ChunkRow {
    start: Int<u64>,
    length: Int<u64>,
    digest: Text<Digest>,
    mark: Option<String>,
}

#[async_trait]
impl<H: Handle> ReadLogs for Session<H> {
    async fn log_chunks(&mut self, log: Uuid, offset: u64, limit: u32) -> Result<Vec<LogChunk>> {
        let rows = sqlx::query_as!(
            ChunkRow,
            r#"select start as "start!: _", length as "length!: _", digest as "digest!: _",
            mark as "mark?" from log_chunk
            where log = ?1 and start + length > ?2
            and start >= coalesce((select max(start) from log_chunk where log = ?1 and start <= ?2), 0)
            order by start limit ?3"#,
            log.to_string(),
            int(offset),
            limit,
        )
        .fetch_all(self.db())
        .await
        .map_err(failed)?;
        Ok(rows
            .into_iter()
            .map(|row| LogChunk {
                offset: row.start.0,
                length: row.length.0,
                digest: row.digest.0,
                mark: row.mark,
            })
            .collect())
    }

    async fn log_size(&mut self, log: Uuid) -> Result<u64> {
        let size = sqlx::query_scalar!(
            r#"select start + length as "size!: i64" from log_chunk where log = ?1
            order by start desc limit 1"#,
            log.to_string(),
        )
        .fetch_optional(self.db())
        .await
        .map_err(failed)?;
        Ok(size.unwrap_or(0).unsigned_abs())
    }

    async fn log_mark(&mut self, log: Uuid) -> Result<Option<String>> {
        sqlx::query_scalar!(
            r#"select mark as "mark!" from log_chunk where log = ?1 and mark is not null
            order by start desc limit 1"#,
            log.to_string(),
        )
        .fetch_optional(self.db())
        .await
        .map_err(failed)
    }
}

#[async_trait]
impl WriteLogs for Writer {
    async fn log_append(&mut self, log: Uuid, chunk: &LogChunk) -> Result<bool> {
        if self.log_size(log).await? != chunk.offset {
            return Ok(false);
        }
        // Nothing to keep, and its place would be the next chunk's.
        if chunk.length == 0 {
            return Ok(true);
        }
        sqlx::query!(
            "insert into log_chunk (log, start, length, digest, mark) values (?1, ?2, ?3, ?4, ?5)",
            log.to_string(),
            int(chunk.offset),
            int(chunk.length),
            chunk.digest.to_string(),
            chunk.mark,
        )
        .execute(self.db())
        .await
        .map_err(failed)?;
        self.tell(Change::Log(log));
        Ok(true)
    }
}
