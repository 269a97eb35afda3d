//! From where configuration is followed.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use slipway_records::{
    ConfigurationSource, NewConfigurationSource, ReadConfigurationSources, Result, SourceAway,
    WriteConfigurationSources,
};
use slipway_types::id::{ApplicationId, SourceId};
use slipway_types::{CommitId, Violation};

use crate::error::failed;
use crate::session::{Handle, Session, Writer};
use crate::value::{Id, Json, Text, json, now, text};

struct Row {
    application_id: Id<ApplicationId>,
    level: String,
    source_id: Id<SourceId>,
    branch: String,
    path: String,
    set_at: DateTime<Utc>,
    set_by: String,
    reason: Option<String>,
    revision: i64,
    seen_commit: Option<Text<CommitId>>,
    seen_at: Option<DateTime<Utc>>,
    faults: Json<Vec<Violation>>,
    away: Option<Json<SourceAway>>,
}

impl From<Row> for ConfigurationSource {
    fn from(row: Row) -> Self {
        Self {
            application_id: row.application_id.0,
            level: row.level,
            source_id: row.source_id.0,
            branch: row.branch,
            path: row.path,
            set_at: row.set_at,
            set_by: row.set_by,
            reason: row.reason,
            revision: row.revision,
            seen_commit: row.seen_commit.map(|commit| commit.0),
            seen_at: row.seen_at,
            faults: row.faults.0,
            away: row.away.map(|away| away.0),
        }
    }
}

macro_rules! sources {
    ($tail:tt $(, $arg:expr)*) => {
        sqlx::query_as!(
            Row,
            r#"select application_id as "application_id!: _", level as "level!", source_id as "source_id!: _",
            branch as "branch!", path as "path!", set_at as "set_at!", set_by as "set_by!", reason,
            revision as "revision!", seen_commit as "seen_commit?: _", seen_at as "seen_at?",
            faults as "faults!: _", away as "away?: _" from configuration_source "# + $tail
            $(, $arg)*
        )
    };
}

#[async_trait]
impl<H: Handle> ReadConfigurationSources for Session<H> {
    async fn configuration_sources(
        &mut self,
        application: ApplicationId,
    ) -> Result<Vec<ConfigurationSource>> {
        let rows = sources!("where application_id = $1 order by level", application.as_uuid())
            .fetch_all(self.db())
            .await;
        Ok(rows.map_err(failed)?.into_iter().map(ConfigurationSource::from).collect())
    }

    async fn configuration_sources_of(&mut self, source: SourceId) -> Result<Vec<ConfigurationSource>> {
        let rows = sources!(
            "where source_id = $1 and exists (select 1 from application a
                where a.id = configuration_source.application_id and a.deleted_at is null)
            order by application_id, level",
            source.as_uuid()
        )
        .fetch_all(self.db())
        .await;
        Ok(rows.map_err(failed)?.into_iter().map(ConfigurationSource::from).collect())
    }
}

#[async_trait]
impl WriteConfigurationSources for Writer {
    async fn configuration_sources_lock(&mut self, application: ApplicationId) -> Result<()> {
        // Rows that refer to the application may still be made.
        sqlx::query!(
            "select 1 as one from application where id = $1 for no key update",
            application.as_uuid()
        )
        .fetch_optional(self.db())
        .await
        .map_err(failed)?;
        Ok(())
    }

    async fn configuration_source_put(&mut self, new: NewConfigurationSource) -> Result<ConfigurationSource> {
        let row = sqlx::query_as!(
            Row,
            r#"insert into configuration_source (application_id, level, source_id, branch, path, set_at, set_by,
            reason, revision, faults) values ($1, $2, $3, $4, $5, $6, $7, $8, 1, '[]')
            on conflict (application_id, level) do update set source_id = excluded.source_id,
            branch = excluded.branch, path = excluded.path, set_at = excluded.set_at, set_by = excluded.set_by,
            reason = excluded.reason, revision = configuration_source.revision + 1, seen_commit = null,
            seen_at = null, faults = '[]', away = null
            returning application_id as "application_id!: _", level as "level!", source_id as "source_id!: _",
            branch as "branch!", path as "path!", set_at as "set_at!", set_by as "set_by!", reason,
            revision as "revision!", seen_commit as "seen_commit?: _", seen_at as "seen_at?",
            faults as "faults!: _", away as "away?: _""#,
            new.application_id.as_uuid(),
            text(&new.level),
            new.source_id.as_uuid(),
            text(&new.branch),
            text(&new.path),
            now(),
            text(&new.by),
            new.reason.as_deref().map(text),
        )
        .fetch_one(self.db())
        .await
        .map_err(failed)?;
        Ok(row.into())
    }

    async fn configuration_source_remove(&mut self, application: ApplicationId, level: &str) -> Result<bool> {
        let removed = sqlx::query!(
            "delete from configuration_source where application_id = $1 and level = $2",
            application.as_uuid(),
            level,
        )
        .execute(self.db())
        .await
        .map_err(failed)?;
        Ok(removed.rows_affected() == 1)
    }

    async fn configuration_source_seen(&mut self, source: &mut ConfigurationSource) -> Result<bool> {
        let saved = sqlx::query!(
            "update configuration_source set seen_commit = $4, seen_at = $5, faults = $6, away = $11,
            revision = revision + 1 where application_id = $1 and level = $2 and revision = $3
            and source_id = $7 and branch = $8 and path = $9 and set_at = $10",
            source.application_id.as_uuid(),
            source.level,
            source.revision,
            source.seen_commit.as_ref().map(ToString::to_string),
            source.seen_at,
            json(&source.faults),
            source.source_id.as_uuid(),
            source.branch,
            source.path,
            source.set_at,
            source.away.as_ref().map(json),
        )
        .execute(self.db())
        .await
        .map_err(failed)?
        .rows_affected()
            == 1;
        if saved {
            source.revision += 1;
        }
        Ok(saved)
    }
}
