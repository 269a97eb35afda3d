//! The audit record.

use async_trait::async_trait;
use slipway_records::{AuditEntry, NewAuditEntry, ReadAudit, Result, WriteAudit};
use slipway_types::Digest;

use crate::error::failed;
use crate::session::{Handle, Session, Writer};
use crate::value::{Json, Millis, Text, json, millis, now, rows};

struct AuditRow {
    seq: i64,
    at: Millis,
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
            at: row.at.0,
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
            r#"select seq as "seq!", at as "at!: _", actor as "actor!", action as "action!",
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
                    "where subject = ?1 and (?2 is null or seq < ?2) order by seq desc limit ?3",
                    subject,
                    before,
                    rows(limit)
                )
                .fetch_all(self.db())
                .await
            }
            None => {
                entries!("where ?1 is null or seq < ?1 order by seq desc limit ?2", before, rows(limit))
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
        let last = sqlx::query_scalar!(
            r#"select digest as "digest!: Text<Digest>" from audit order by seq desc limit 1"#
        )
        .fetch_optional(self.db())
        .await
        .map_err(failed)?;
        let at = now();
        let digest = AuditEntry::chain(last.map(|digest| digest.0).as_ref(), &entry, at);
        sqlx::query!(
            "insert into audit (at, actor, action, subject, detail, digest) values (?1, ?2, ?3, ?4, ?5, ?6)",
            millis(at),
            entry.actor,
            entry.action,
            entry.subject,
            json(&entry.detail),
            digest.to_string(),
        )
        .execute(self.db())
        .await
        .map_err(failed)?;
        Ok(())
    }
}
