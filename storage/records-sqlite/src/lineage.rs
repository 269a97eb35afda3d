//! What became of published versions.

use async_trait::async_trait;
use slipway_records::{LabelChanged, PackageVersion, Page, ReadLineage, Result};
use slipway_types::Digest;
use slipway_types::id::{ApplicationId, VersionId};
use slipway_types::label::{LabelKey, LabelValue};

use crate::error::failed;
use crate::session::{Handle, Session};
use crate::value::{Millis, Text, below, rows};

struct ChangeRow {
    seq: i64,
    key: Text<LabelKey>,
    from: Option<Text<LabelValue>>,
    to: Option<Text<LabelValue>>,
    at: Millis,
    by: String,
    reason: Option<String>,
}

impl From<ChangeRow> for LabelChanged {
    fn from(row: ChangeRow) -> Self {
        Self {
            seq: row.seq,
            key: row.key.0,
            from: row.from.map(|value| value.0),
            to: row.to.map(|value| value.0),
            at: row.at.0,
            by: row.by,
            reason: row.reason,
        }
    }
}

#[async_trait]
impl<H: Handle> ReadLineage for Session<H> {
    async fn bundles_with(
        &mut self,
        application: ApplicationId,
        digest: &Digest,
        page: Page,
    ) -> Result<Vec<PackageVersion>> {
        let found = sqlx::query_scalar!(
            r#"select c.version_id as "id!: Text<VersionId>" from version_content c
            cross join version v on v.id = c.version_id
            where c.digest = ?1 and c.version_id < ?2 and v.application_id = ?3 and v.component = ''
            order by c.version_id desc limit ?4"#,
            digest.to_string(),
            below(page.after),
            application.to_string(),
            rows(page.limit),
        )
        .fetch_all(self.db())
        .await
        .map_err(failed)?;
        let ids: Vec<VersionId> = found.into_iter().map(|id| id.0).collect();
        self.versions_in_order(&ids).await
    }

    async fn label_history(
        &mut self,
        version: VersionId,
        before: Option<i64>,
        limit: u32,
    ) -> Result<Vec<LabelChanged>> {
        let changes = sqlx::query_as!(
            ChangeRow,
            r#"select id as "seq!: i64", key as "key!: _", old_value as "from: _", new_value as "to: _",
            changed_at as "at!: _", changed_by as "by!", reason from label_history
            where version_id = ?1 and id < ?2 order by id desc limit ?3"#,
            version.to_string(),
            before.unwrap_or(i64::MAX),
            rows(limit),
        )
        .fetch_all(self.db())
        .await;
        Ok(changes.map_err(failed)?.into_iter().map(LabelChanged::from).collect())
    }
}
