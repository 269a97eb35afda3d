//! Checks of a bundle that others ran and report.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use slipway_records::{BundleCheck, CheckState, ReadBundleChecks, Result, WriteBundleChecks};
use slipway_types::id::VersionId;
use slipway_types::name::CheckName;

use crate::error::failed;
use crate::session::{Handle, Session, Writer};
use crate::value::{Id, Text, text};

struct CheckRow {
    version_id: Id<VersionId>,
    name: Text<CheckName>,
    state: Text<CheckState>,
    detail: Option<String>,
    url: Option<String>,
    reported_by: String,
    reported_at: DateTime<Utc>,
}

impl From<CheckRow> for BundleCheck {
    fn from(row: CheckRow) -> Self {
        Self {
            version_id: row.version_id.0,
            name: row.name.0,
            state: row.state.0,
            detail: row.detail,
            url: row.url,
            reported_by: row.reported_by,
            reported_at: row.reported_at,
        }
    }
}

#[async_trait]
impl<H: Handle> ReadBundleChecks for Session<H> {
    async fn checks_of(&mut self, version: VersionId) -> Result<Vec<BundleCheck>> {
        let found = sqlx::query_as!(
            CheckRow,
            r#"select version_id as "version_id!: _", name as "name!: _", state as "state!: _", detail, url,
            reported_by as "reported_by!", reported_at as "reported_at!" from bundle_check
            where version_id = $1 order by name, reported_by"#,
            version.as_uuid(),
        )
        .fetch_all(self.db())
        .await
        .map_err(failed)?;
        Ok(found.into_iter().map(BundleCheck::from).collect())
    }

    async fn checks_among(&mut self, versions: &[VersionId]) -> Result<Vec<BundleCheck>> {
        let versions: Vec<uuid::Uuid> = versions.iter().map(VersionId::as_uuid).collect();
        let found = sqlx::query_as!(
            CheckRow,
            r#"select version_id as "version_id!: _", name as "name!: _", state as "state!: _", detail, url,
            reported_by as "reported_by!", reported_at as "reported_at!" from bundle_check
            where version_id = any($1) order by version_id, name, reported_by"#,
            &versions,
        )
        .fetch_all(self.db())
        .await
        .map_err(failed)?;
        Ok(found.into_iter().map(BundleCheck::from).collect())
    }
}

#[async_trait]
impl WriteBundleChecks for Writer {
    async fn check_put(&mut self, check: &BundleCheck) -> Result<()> {
        sqlx::query!(
            "insert into bundle_check (version_id, name, state, detail, url, reported_by, reported_at)
            values ($1, $2, $3, $4, $5, $6, $7) on conflict (version_id, name, reported_by) do update
            set state = excluded.state, detail = excluded.detail, url = excluded.url,
            reported_at = excluded.reported_at",
            check.version_id.as_uuid(),
            check.name.as_str(),
            check.state.word(),
            check.detail.as_deref().map(text),
            check.url.as_deref().map(text),
            text(&check.reported_by),
            check.reported_at,
        )
        .execute(self.db())
        .await
        .map_err(failed)?;
        Ok(())
    }
}
