//! Sources and applications.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use slipway_records::{
    Application, NewSource, ReadApplications, RecordsError, Result, Source, SourceKind, WriteApplications,
};
use slipway_types::id::{ApplicationId, SourceId};
use slipway_types::name::SourceName;
use slipway_types::{ApplicationName, SecretReference};

use crate::error::failed;
use crate::session::{Handle, Session, Writer};
use crate::value::{Id, Int, Text, now, rows, text};

struct SourceRow {
    id: Id<SourceId>,
    name: Text<SourceName>,
    url: Option<String>,
    credential: Option<Text<SecretReference>>,
    poll_interval_s: Int<u32>,
    swept_at: Option<DateTime<Utc>>,
    last_error: Option<String>,
    created_at: DateTime<Utc>,
}

impl From<SourceRow> for Source {
    fn from(row: SourceRow) -> Self {
        Self {
            id: row.id.0,
            name: row.name.0,
            // The table holds an address for every kind but the built-in one.
            kind: row.url.map_or(SourceKind::Builtin, |url| SourceKind::Https { url }),
            credential: row.credential.map(|reference| reference.0),
            poll_interval_s: row.poll_interval_s.0,
            swept_at: row.swept_at,
            last_error: row.last_error,
            created_at: row.created_at,
        }
    }
}

macro_rules! sources {
    ($tail:tt $(, $arg:expr)*) => {
        sqlx::query_as!(
            SourceRow,
            r#"select id as "id!: _", name as "name!: _", url as "url?", credential as "credential?: _",
            poll_interval_s as "poll_interval_s!: _", swept_at as "swept_at?", last_error as "last_error?",
            created_at as "created_at!" from source "# + $tail
            $(, $arg)*
        )
    };
}

struct ApplicationRow {
    id: Id<ApplicationId>,
    name: Text<ApplicationName>,
    source_id: Id<SourceId>,
    path: String,
    created_at: DateTime<Utc>,
}

impl From<ApplicationRow> for Application {
    fn from(row: ApplicationRow) -> Self {
        Self {
            id: row.id.0,
            name: row.name.0,
            source_id: row.source_id.0,
            path: row.path,
            created_at: row.created_at,
        }
    }
}

macro_rules! applications {
    ($tail:tt $(, $arg:expr)*) => {
        sqlx::query_as!(
            ApplicationRow,
            r#"select id as "id!: _", name as "name!: _", source_id as "source_id!: _", path as "path!",
            created_at as "created_at!" from application "# + $tail
            $(, $arg)*
        )
    };
}

#[async_trait]
impl<H: Handle> ReadApplications for Session<H> {
    async fn source_get(&mut self, id: SourceId) -> Result<Option<Source>> {
        let row = sources!("where id = $1", id.as_uuid()).fetch_optional(self.db()).await;
        Ok(row.map_err(failed)?.map(Source::from))
    }

    async fn source_by_name(&mut self, name: &SourceName) -> Result<Option<Source>> {
        let row = sources!("where name = $1", name.as_str()).fetch_optional(self.db()).await;
        Ok(row.map_err(failed)?.map(Source::from))
    }

    async fn source_list(&mut self) -> Result<Vec<Source>> {
        let rows = sources!("order by name").fetch_all(self.db()).await.map_err(failed)?;
        Ok(rows.into_iter().map(Source::from).collect())
    }

    async fn source_page(&mut self, after: Option<&SourceName>, limit: u32) -> Result<Vec<Source>> {
        let after = after.map_or("", SourceName::as_str);
        let found = sources!("where name > $1 order by name limit $2", after, rows(limit));
        let found = found.fetch_all(self.db()).await.map_err(failed)?;
        Ok(found.into_iter().map(Source::from).collect())
    }

    async fn sources_get(&mut self, ids: &[SourceId]) -> Result<Vec<Source>> {
        let ids: Vec<uuid::Uuid> = ids.iter().map(SourceId::as_uuid).collect();
        let found = sources!("where id = any($1)", &ids).fetch_all(self.db()).await;
        Ok(found.map_err(failed)?.into_iter().map(Source::from).collect())
    }

    async fn application_get(&mut self, id: ApplicationId) -> Result<Option<Application>> {
        let row = applications!("where id = $1", id.as_uuid()).fetch_optional(self.db()).await;
        Ok(row.map_err(failed)?.map(Application::from))
    }

    async fn application_by_name(&mut self, name: &ApplicationName) -> Result<Option<Application>> {
        let row = applications!("where name = $1 and deleted_at is null", name.path())
            .fetch_optional(self.db())
            .await;
        Ok(row.map_err(failed)?.map(Application::from))
    }

    async fn application_list(&mut self) -> Result<Vec<Application>> {
        let rows = applications!("where deleted_at is null order by name").fetch_all(self.db()).await;
        Ok(rows.map_err(failed)?.into_iter().map(Application::from).collect())
    }

    async fn application_page(
        &mut self,
        after: Option<&ApplicationName>,
        limit: u32,
    ) -> Result<Vec<Application>> {
        let after = after.map(ApplicationName::path).unwrap_or_default();
        let found = applications!(
            "where deleted_at is null and name > $1 order by name limit $2",
            after,
            rows(limit)
        );
        let found = found.fetch_all(self.db()).await.map_err(failed)?;
        Ok(found.into_iter().map(Application::from).collect())
    }

    async fn applications_of_source(&mut self, source: SourceId) -> Result<Vec<Application>> {
        let rows =
            applications!("where source_id = $1 and deleted_at is null order by name", source.as_uuid())
                .fetch_all(self.db())
                .await;
        Ok(rows.map_err(failed)?.into_iter().map(Application::from).collect())
    }
}

#[async_trait]
impl WriteApplications for Writer {
    async fn source_insert(&mut self, source: NewSource) -> Result<Source> {
        let source = Source {
            id: SourceId::new(),
            name: source.name,
            kind: source.kind,
            credential: source.credential,
            poll_interval_s: source.poll_interval_s,
            swept_at: None,
            last_error: None,
            created_at: now(),
        };
        let (kind, url) = match &source.kind {
            SourceKind::Builtin => ("builtin", None),
            SourceKind::Https { url } => ("https", Some(url.as_str())),
        };
        let made = sqlx::query!(
            "insert into source (id, name, kind, url, credential, poll_interval_s, created_at)
            values ($1, $2, $3, $4, $5, $6, $7) on conflict (name) do nothing",
            source.id.as_uuid(),
            source.name.as_str(),
            kind,
            url,
            source.credential.as_ref().map(ToString::to_string),
            i64::from(source.poll_interval_s),
            source.created_at,
        )
        .execute(self.db())
        .await
        .map_err(failed)?;
        if made.rows_affected() == 0 {
            return Err(RecordsError::Conflict { what: format!("source `{}`", source.name) });
        }
        Ok(source)
    }

    async fn source_swept(&mut self, id: SourceId, at: DateTime<Utc>, error: Option<&str>) -> Result<()> {
        sqlx::query!(
            "update source set last_error = $3,
            swept_at = case when $3::text is null then $2 else swept_at end where id = $1",
            id.as_uuid(),
            at,
            error.map(text),
        )
        .execute(self.db())
        .await
        .map_err(failed)?;
        Ok(())
    }

    async fn application_insert(
        &mut self,
        name: &ApplicationName,
        source: SourceId,
        path: &str,
    ) -> Result<Application> {
        let row = sqlx::query_as!(
            ApplicationRow,
            r#"insert into application (id, name, source_id, path, created_at) values ($1, $2, $3, $4, $5)
            on conflict (name) do update set source_id = $3, path = $4, deleted_at = null
            where application.deleted_at is not null
            returning id as "id!: _", name as "name!: _", source_id as "source_id!: _", path as "path!",
            created_at as "created_at!""#,
            ApplicationId::new().as_uuid(),
            name.path(),
            source.as_uuid(),
            path,
            now(),
        )
        .fetch_optional(self.db())
        .await
        .map_err(failed)?;
        row.map(Application::from)
            .ok_or_else(|| RecordsError::Conflict { what: format!("application `{name}`") })
    }

    async fn application_delete(&mut self, id: ApplicationId) -> Result<()> {
        sqlx::query!(
            "update application set deleted_at = $2 where id = $1 and deleted_at is null",
            id.as_uuid(),
            now(),
        )
        .execute(self.db())
        .await
        .map_err(failed)?;
        Ok(())
    }
}
