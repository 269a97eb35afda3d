//! Sources and applications.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use slipway_records::{
    Application, NewSource, ReadApplications, Result, Source, SourceKind, WriteApplications,
};
use slipway_types::id::{ApplicationId, SourceId};
use slipway_types::name::SourceName;
use slipway_types::{ApplicationName, SecretReference};

use crate::error::{failed, failed_insert};
use crate::session::{Handle, Session, Writer};
use crate::value::{Int, Millis, Text, json, millis, now, rows};

struct SourceRow {
    id: Text<SourceId>,
    name: Text<SourceName>,
    url: Option<String>,
    credential: Option<Text<SecretReference>>,
    poll_interval_s: Int<u32>,
    swept_at: Option<Millis>,
    last_error: Option<String>,
    created_at: Millis,
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
            swept_at: row.swept_at.map(|at| at.0),
            last_error: row.last_error,
            created_at: row.created_at.0,
        }
    }
}

macro_rules! sources {
    ($tail:tt $(, $arg:expr)*) => {
        sqlx::query_as!(
            SourceRow,
            r#"select id as "id!: _", name as "name!: _", url as "url?", credential as "credential?: _",
            poll_interval_s as "poll_interval_s!: _", swept_at as "swept_at?: _", last_error as "last_error?",
            created_at as "created_at!: _" from source "# + $tail
            $(, $arg)*
        )
    };
}

struct ApplicationRow {
    id: Text<ApplicationId>,
    name: Text<ApplicationName>,
    source_id: Text<SourceId>,
    path: String,
    created_at: Millis,
}

impl From<ApplicationRow> for Application {
    fn from(row: ApplicationRow) -> Self {
        Self {
            id: row.id.0,
            name: row.name.0,
            source_id: row.source_id.0,
            path: row.path,
            created_at: row.created_at.0,
        }
    }
}

macro_rules! applications {
    ($tail:tt $(, $arg:expr)*) => {
        sqlx::query_as!(
            ApplicationRow,
            r#"select id as "id!: _", name as "name!: _", source_id as "source_id!: _", path as "path!",
            created_at as "created_at!: _" from application "# + $tail
            $(, $arg)*
        )
    };
}

#[async_trait]
impl<H: Handle> ReadApplications for Session<H> {
    async fn source_get(&mut self, id: SourceId) -> Result<Option<Source>> {
        let row = sources!("where id = ?1", id.to_string()).fetch_optional(self.db()).await;
        Ok(row.map_err(failed)?.map(Source::from))
    }

    async fn source_by_name(&mut self, name: &SourceName) -> Result<Option<Source>> {
        let row = sources!("where name = ?1", name.as_str()).fetch_optional(self.db()).await;
        Ok(row.map_err(failed)?.map(Source::from))
    }

    async fn source_list(&mut self) -> Result<Vec<Source>> {
        let rows = sources!("order by name").fetch_all(self.db()).await.map_err(failed)?;
        Ok(rows.into_iter().map(Source::from).collect())
    }

    async fn source_page(&mut self, after: Option<&SourceName>, limit: u32) -> Result<Vec<Source>> {
        let after = after.map_or("", SourceName::as_str);
        let found = sources!("where name > ?1 order by name limit ?2", after, rows(limit));
        let found = found.fetch_all(self.db()).await.map_err(failed)?;
        Ok(found.into_iter().map(Source::from).collect())
    }

    async fn sources_get(&mut self, ids: &[SourceId]) -> Result<Vec<Source>> {
        let ids: Vec<String> = ids.iter().map(ToString::to_string).collect();
        let found =
            sources!("where id in (select value from json_each(?1))", json(&ids)).fetch_all(self.db()).await;
        Ok(found.map_err(failed)?.into_iter().map(Source::from).collect())
    }

    async fn application_get(&mut self, id: ApplicationId) -> Result<Option<Application>> {
        let row = applications!("where id = ?1", id.to_string()).fetch_optional(self.db()).await;
        Ok(row.map_err(failed)?.map(Application::from))
    }

    async fn application_by_name(&mut self, name: &ApplicationName) -> Result<Option<Application>> {
        let row = applications!("where name = ?1 and deleted_at is null", name.path())
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
            "where deleted_at is null and name > ?1 order by name limit ?2",
            after,
            rows(limit)
        );
        let found = found.fetch_all(self.db()).await.map_err(failed)?;
        Ok(found.into_iter().map(Application::from).collect())
    }

    async fn applications_of_source(&mut self, source: SourceId) -> Result<Vec<Application>> {
        let rows =
            applications!("where source_id = ?1 and deleted_at is null order by name", source.to_string())
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
        sqlx::query!(
            "insert into source (id, name, kind, url, credential, poll_interval_s, created_at)
            values (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            source.id.to_string(),
            source.name.as_str(),
            kind,
            url,
            source.credential.as_ref().map(ToString::to_string),
            source.poll_interval_s,
            millis(source.created_at),
        )
        .execute(self.db())
        .await
        .map_err(|error| failed_insert(error, || format!("source `{}`", source.name)))?;
        Ok(source)
    }

    async fn source_swept(&mut self, id: SourceId, at: DateTime<Utc>, error: Option<&str>) -> Result<()> {
        sqlx::query!(
            "update source set last_error = ?3, swept_at = case when ?3 is null then ?2 else swept_at end
            where id = ?1",
            id.to_string(),
            millis(at),
            error,
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
            r#"insert into application (id, name, source_id, path, created_at) values (?1, ?2, ?3, ?4, ?5)
            on conflict (name) do update set source_id = ?3, path = ?4, deleted_at = null
            where deleted_at is not null
            returning id as "id!: _", name as "name!: _", source_id as "source_id!: _", path as "path!",
            created_at as "created_at!: _""#,
            ApplicationId::new().to_string(),
            name.path(),
            source.to_string(),
            path,
            millis(now()),
        )
        .fetch_optional(self.db())
        .await
        .map_err(failed)?;
        row.map(Application::from)
            .ok_or_else(|| slipway_records::RecordsError::Conflict { what: format!("application `{name}`") })
    }

    async fn application_delete(&mut self, id: ApplicationId) -> Result<()> {
        sqlx::query!(
            "update application set deleted_at = ?2 where id = ?1 and deleted_at is null",
            id.to_string(),
            millis(now()),
        )
        .execute(self.db())
        .await
        .map_err(failed)?;
        Ok(())
    }
}
