//! The audit record.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use slipway_records::{AuditEntry, NewAuditEntry, ReadAudit, Result, WriteAudit};
use slipway_types::Digest;

use crate::error::failed;
use crate::session::{Handle, Session, Writer};
use crate::value::{Json, Text, json, now, rows, text};

struct AuditRow {
    seq: i64,
    at: DateTime<Utc>,
    actor: String,
    action: String,
    subject: String,
    detail: Json<serde_json::Value>,
    digest: Text<Digest>,
}

impl From<AuditRow> for AuditEntry {
    fn from(row: AuditRow) -> Self {
        Self {
            seq: row.seq,
            at: row.at,
            actor: row.actor,
            action: row.action,
            subject: row.subject,
            detail: row.detail.0,
            digest: row.digest.0,
        }
    }
}

macro_rules! entries {
    ($tail:tt $(, $arg:expr)*) => {
        sqlx::query_as!(
            AuditRow,
            r#"select seq as "seq!", at as "at!", actor as "actor!", action as "action!",
            subject as "subject!", detail as "detail!: _", digest as "digest!: _" from audit "# + $tail
            $(, $arg)*
        )
    };
}

#[async_trait]
impl<H: Handle> ReadAudit for Session<H> {
    async fn audit_list(
        &mut self,
        subject: Option<&str>,
        before: Option<i64>,
        limit: u32,
    ) -> Result<Vec<AuditEntry>> {
        // Two texts, so that each has an index to walk.
        let found = match subject {
            Some(subject) => {
                entries!(
                    "where subject = $1 and ($2::bigint is null or seq < $2) order by seq desc limit $3",
                    text(subject),
                    before,
                    rows(limit)
                )
                .fetch_all(self.db())
                .await
            }
            None => {
                entries!(
                    "where $1::bigint is null or seq < $1 order by seq desc limit $2",
                    before,
                    rows(limit)
                )
                .fetch_all(self.db())
                .await
            }
        };
        Ok(found.map_err(failed)?.into_iter().map(AuditEntry::from).collect())
    }
}

#[async_trait]
impl WriteAudit for Writer {
    async fn audit(&mut self, entry: NewAuditEntry) -> Result<()> {
        // The digest is of what is stored, or the record would seem altered.
        let entry = NewAuditEntry {
            actor: text(&entry.actor),
            subject: text(&entry.subject),
            detail: json(&entry.detail),
            ..entry
        };
        // One after the other: each entry covers the one before it.
        sqlx::query!("lock table audit in share row exclusive mode")
            .execute(self.db())
            .await
            .map_err(failed)?;
        let last = sqlx::query_scalar!(
            r#"select digest as "digest!: Text<Digest>" from audit order by seq desc limit 1"#
        )
        .fetch_optional(self.db())
        .await
        .map_err(failed)?;
        let at = now();
        let digest = AuditEntry::chain(last.map(|digest| digest.0).as_ref(), &entry, at);
        sqlx::query!(
            "insert into audit (at, actor, action, subject, detail, digest) values ($1, $2, $3, $4, $5, $6)",
            at,
            entry.actor,
            entry.action,
            entry.subject,
            entry.detail,
            digest.to_string(),
        )
        .execute(self.db())
        .await
        .map_err(failed)?;
        Ok(())
    }
}
