//! Removing what nothing needs any more.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use slipway_records::detail::PackageDetail;
use slipway_records::{
    PackageVersion, ReadPackages, ReadUpkeep, RepositoryContent, Result, Stored, WriteUpkeep,
};
use slipway_types::id::{ApplicationId, VersionId};
use slipway_types::{ComponentName, Digest};
use uuid::Uuid;

use crate::error::failed;
use crate::session::{Handle, Session, Writer};
use crate::value::{Int, Millis, Text, digests_json, int, millis, now, rows};

struct ContentRow {
    repository: String,
    digest: Text<Digest>,
}

struct StoredRow {
    blobs: Int<u64>,
    bytes: Int<u64>,
    measured_at: Millis,
}

impl From<StoredRow> for Stored {
    fn from(row: StoredRow) -> Self {
        Self { blobs: row.blobs.0, bytes: row.bytes.0, measured_at: row.measured_at.0 }
    }
}

impl From<ContentRow> for RepositoryContent {
    fn from(row: ContentRow) -> Self {
        Self { repository: row.repository, digest: row.digest.0 }
    }
}

/// Versions `v` of applications `a` that may go, their branch gone before ?1.
macro_rules! expired_versions {
    ($tail:tt $(, $arg:expr)*) => {
        sqlx::query_scalar!(
            r#"select v.id as "id!: Text<VersionId>" from application a
            join branch_gone g on g.source_id = a.source_id and g.since < ?1
            join version v on v.application_id = a.id and v.git_ref = g.name
            where not exists (select 1 from run r where +r.application_id = a.id
                and r.state in ('queued', 'planning', 'building', 'packaging', 'cancelling'))
            and not exists (select 1 from version_label l where l.version_id = v.id
                and l.key not like 'source/%' and l.key not like 'slipway/%')
            and not exists (select 1 from channel_history h where h.application_id = a.id
                and v.id in (h.from_version_id, h.to_version_id))
            and not exists (select 1 from deployed d where d.version_id = v.id)
            and not exists (select 1 from deployment d where d.bundle_id = v.id)
            and not exists (select 1 from version_content c where c.digest = v.digest and c.version_id <> v.id)
            and v.id is not (select max(n.id) from version n where n.application_id = a.id and n.component = '')
            and "# + $tail
            $(, $arg)*
        )
    };
}

/// Conditions under which a manifest `m` may leave a repository of application ?1, pushed before ?2.
macro_rules! expired_manifests {
    ($macro:ident!($($head:tt)*), $tail:tt $(, $arg:expr)*) => {
        sqlx::$macro!(
            $($head)* + " m.created_at < ?2
            and not exists (select 1 from manifest_unread)
            and not exists (select 1 from run r where +r.application_id = ?1
                and r.state in ('queued', 'planning', 'building', 'packaging', 'cancelling'))
            and not exists (select 1 from tag t where t.repository = m.repository and t.digest = m.digest)
            and not exists (select 1 from version_content c where c.digest = m.digest)
            and not exists (select 1 from manifest_child e
                join manifest p on p.repository = m.repository and p.digest = e.parent where e.child = m.digest)
            and not exists (select 1 from manifest s where s.repository = m.repository and s.digest = m.subject)
            and " + $tail
            $(, $arg)*
        )
    };
}

/// Conditions under which a blob `l` may leave a repository of application ?1, linked before ?2.
macro_rules! expired_links {
    ($macro:ident!($($head:tt)*), $tail:tt $(, $arg:expr)*) => {
        sqlx::$macro!(
            $($head)* + " l.linked_at < ?2
            and not exists (select 1 from manifest_unread)
            and not exists (select 1 from run r where +r.application_id = ?1
                and r.state in ('queued', 'planning', 'building', 'packaging', 'cancelling'))
            and not exists (select 1 from manifest_child e
                join manifest p on p.repository = l.repository and p.digest = e.parent where e.child = l.digest)
            and " + $tail
            $(, $arg)*
        )
    };
}

#[async_trait]
impl<H: Handle> ReadUpkeep for Session<H> {
    async fn upkeep_applications(
        &mut self,
        after: Option<ApplicationId>,
        limit: u32,
    ) -> Result<Vec<ApplicationId>> {
        let ids = sqlx::query_scalar!(
            r#"select id as "id!: Text<ApplicationId>" from application where id > ?1 order by id limit ?2"#,
            after.map_or_else(String::new, |id| id.to_string()),
            rows(limit),
        )
        .fetch_all(self.db())
        .await
        .map_err(failed)?;
        Ok(ids.into_iter().map(|id| id.0).collect())
    }

    async fn versions_expired(
        &mut self,
        application: ApplicationId,
        gone_before: DateTime<Utc>,
        limit: u32,
    ) -> Result<Vec<PackageVersion>> {
        let ids = expired_versions!(
            "a.id = ?2 order by v.component <> '', v.id limit ?3",
            millis(gone_before),
            application.to_string(),
            rows(limit)
        )
        .fetch_all(self.db())
        .await
        .map_err(failed)?;
        let mut versions = Vec::with_capacity(ids.len());
        for id in ids {
            versions.extend(self.version_get(id.0).await?);
        }
        Ok(versions)
    }

    async fn manifests_unread(&mut self, limit: u32) -> Result<Vec<Digest>> {
        let digests = sqlx::query_scalar!(
            r#"select digest as "digest!: Text<Digest>" from manifest_unread order by digest limit ?1"#,
            rows(limit),
        )
        .fetch_all(self.db())
        .await
        .map_err(failed)?;
        Ok(digests.into_iter().map(|digest| digest.0).collect())
    }

    async fn manifests_expired(
        &mut self,
        application: ApplicationId,
        pushed_before: DateTime<Utc>,
        limit: u32,
    ) -> Result<Vec<RepositoryContent>> {
        let found = expired_manifests!(
            query_as!(
                ContentRow,
                r#"select m.repository as "repository!", m.digest as "digest!: _" from application a
                join manifest m on m.repository = a.name
                    or (m.repository > a.name || '/c/' and m.repository < a.name || '/c0')
                    or (m.repository > a.name || '/i/' and m.repository < a.name || '/i0')
                    or m.repository in (a.name || '/base', a.name || '/cache')
                where a.id = ?1 and "#
            ),
            "true order by m.repository, m.digest limit ?3",
            application.to_string(),
            millis(pushed_before),
            rows(limit)
        )
        .fetch_all(self.db())
        .await
        .map_err(failed)?;
        Ok(found.into_iter().map(RepositoryContent::from).collect())
    }

    async fn links_expired(
        &mut self,
        application: ApplicationId,
        linked_before: DateTime<Utc>,
        limit: u32,
    ) -> Result<Vec<RepositoryContent>> {
        let found = expired_links!(
            query_as!(
                ContentRow,
                r#"select l.repository as "repository!", l.digest as "digest!: _" from application a
                join blob_link l on l.repository = a.name
                    or (l.repository > a.name || '/c/' and l.repository < a.name || '/c0')
                    or (l.repository > a.name || '/i/' and l.repository < a.name || '/i0')
                    or l.repository in (a.name || '/base', a.name || '/cache')
                where a.id = ?1 and "#
            ),
            "true order by l.repository, l.digest limit ?3",
            application.to_string(),
            millis(linked_before),
            rows(limit)
        )
        .fetch_all(self.db())
        .await
        .map_err(failed)?;
        Ok(found.into_iter().map(RepositoryContent::from).collect())
    }

    async fn stored_get(&mut self) -> Result<Option<Stored>> {
        let found = sqlx::query_as!(
            StoredRow,
            r#"select blobs as "blobs!: _", bytes as "bytes!: _", measured_at as "measured_at!: _"
            from blob_total where id = 1"#,
        )
        .fetch_optional(self.db())
        .await
        .map_err(failed)?;
        Ok(found.map(Stored::from))
    }
}

impl Writer {
    async fn tag_remove(&mut self, repository: &str, tag: &str, digest: &Digest) -> Result<()> {
        sqlx::query!(
            "delete from tag where repository = ?1 and name = ?2 and digest = ?3",
            repository,
            tag,
            digest.to_string(),
        )
        .execute(self.db())
        .await
        .map_err(failed)?;
        Ok(())
    }

    /// Removes the tags under which signatures and the like of a manifest lie: `sha256-HEX.sig`.
    async fn attached_tags_remove(&mut self, repository: &str, subject: &Digest) -> Result<()> {
        sqlx::query!(
            "delete from tag where repository = ?1 and name like ?2",
            repository,
            format!("sha256-{}.%", subject.hex()),
        )
        .execute(self.db())
        .await
        .map_err(failed)?;
        Ok(())
    }

    /// Removes the tags that publishing the version made.
    async fn version_tags_remove(&mut self, version: &PackageVersion) -> Result<()> {
        let path = sqlx::query_scalar!(
            r#"select name as "name!" from application where id = ?1"#,
            version.application_id.to_string(),
        )
        .fetch_one(self.db())
        .await
        .map_err(failed)?;
        let tag = version.version.to_string();
        let Some(component) = &version.component else {
            self.tag_remove(&path, &tag, &version.digest).await?;
            return self.attached_tags_remove(&path, &version.digest).await;
        };
        self.tag_remove(&format!("{path}/c/{component}"), &tag, &version.digest).await?;
        let detail = serde_json::from_value::<PackageDetail>(version.detail.clone());
        for image in detail.map(|detail| detail.images).unwrap_or_default() {
            self.tag_remove(&image.repository, &tag, &image.digest).await?;
        }
        Ok(())
    }

    async fn version_rows_remove(&mut self, version: &PackageVersion) -> Result<()> {
        let id = version.id.to_string();
        sqlx::query!(
            "insert into version_tombstone (application_id, component, version, digest, removed_at)
            values (?1, ?2, ?3, ?4, ?5)",
            version.application_id.to_string(),
            version.component.as_ref().map_or("", ComponentName::as_str),
            version.version.to_string(),
            version.digest.to_string(),
            millis(now()),
        )
        .execute(self.db())
        .await
        .map_err(failed)?;
        sqlx::query!("delete from bundle_check where version_id = ?1", id)
            .execute(self.db())
            .await
            .map_err(failed)?;
        sqlx::query!("delete from version_label where version_id = ?1", id)
            .execute(self.db())
            .await
            .map_err(failed)?;
        sqlx::query!("delete from label_history where version_id = ?1", id)
            .execute(self.db())
            .await
            .map_err(failed)?;
        sqlx::query!("delete from version_content where version_id = ?1", id)
            .execute(self.db())
            .await
            .map_err(failed)?;
        sqlx::query!("delete from version where id = ?1", id).execute(self.db()).await.map_err(failed)?;
        Ok(())
    }
}

#[async_trait]
impl WriteUpkeep for Writer {
    async fn version_remove(&mut self, id: VersionId, gone_before: DateTime<Utc>) -> Result<bool> {
        let expired = expired_versions!("v.id = ?2", millis(gone_before), id.to_string())
            .fetch_optional(self.db())
            .await
            .map_err(failed)?;
        if expired.is_none() {
            return Ok(false);
        }
        let Some(version) = self.version_get(id).await? else { return Ok(false) };
        self.version_tags_remove(&version).await?;
        self.version_rows_remove(&version).await?;
        Ok(true)
    }

    async fn manifest_note(&mut self, digest: &Digest, children: &[Digest]) -> Result<()> {
        let digest = digest.to_string();
        sqlx::query!(
            "insert into manifest_read (digest) values (?1) on conflict (digest) do nothing",
            digest
        )
        .execute(self.db())
        .await
        .map_err(failed)?;
        sqlx::query!(
            "insert into manifest_child (child, parent) select value, ?1 from json_each(?2) where true
            on conflict (child, parent) do nothing",
            digest,
            digests_json(children),
        )
        .execute(self.db())
        .await
        .map_err(failed)?;
        sqlx::query!("delete from manifest_unread where digest = ?1", digest)
            .execute(self.db())
            .await
            .map_err(failed)?;
        Ok(())
    }

    async fn manifest_expire(
        &mut self,
        application: ApplicationId,
        content: &RepositoryContent,
        pushed_before: DateTime<Utc>,
    ) -> Result<bool> {
        let removed = expired_manifests!(
            query!("delete from manifest as m where "),
            "m.repository = ?3 and m.digest = ?4",
            application.to_string(),
            millis(pushed_before),
            content.repository,
            content.digest.to_string()
        )
        .execute(self.db())
        .await
        .map_err(failed)?;
        Ok(removed.rows_affected() == 1)
    }

    async fn link_expire(
        &mut self,
        application: ApplicationId,
        content: &RepositoryContent,
        linked_before: DateTime<Utc>,
    ) -> Result<bool> {
        let removed = expired_links!(
            query!("delete from blob_link as l where "),
            "l.repository = ?3 and l.digest = ?4",
            application.to_string(),
            millis(linked_before),
            content.repository,
            content.digest.to_string()
        )
        .execute(self.db())
        .await
        .map_err(failed)?;
        Ok(removed.rows_affected() == 1)
    }

    async fn logs_remove(&mut self, before: DateTime<Utc>, limit: u32) -> Result<u64> {
        // A log has the name of its run or build, a UUIDv7: the time stands in front.
        let first_kept = uuid::Builder::from_unix_timestamp_millis(millis(before).unsigned_abs(), &[0; 10]);
        let logs = sqlx::query_scalar!(
            r#"select distinct log as "log!: Text<Uuid>" from log_chunk where log < ?1 order by log limit ?2"#,
            first_kept.into_uuid().to_string(),
            rows(limit),
        )
        .fetch_all(self.db())
        .await
        .map_err(failed)?;
        for log in &logs {
            sqlx::query!("delete from log_chunk where log = ?1", log.0.to_string())
                .execute(self.db())
                .await
                .map_err(failed)?;
        }
        Ok(logs.len() as u64)
    }

    async fn cache_tags_remove(&mut self, before: DateTime<Utc>, limit: u32) -> Result<u64> {
        let removed = sqlx::query!(
            "delete from tag where (repository, name) in
            (select t.repository, t.name from application a
            join tag t on t.repository = a.name || '/cache'
            join manifest m on m.repository = t.repository and m.digest = t.digest
            where m.created_at < ?1 order by t.repository, t.name limit ?2)",
            millis(before),
            rows(limit),
        )
        .execute(self.db())
        .await
        .map_err(failed)?;
        Ok(removed.rows_affected())
    }

    async fn build_tokens_remove(&mut self, before: DateTime<Utc>, limit: u32) -> Result<u64> {
        let removed = sqlx::query!(
            "delete from token where id in
            (select id from token where role is null and expires_at < ?1 order by id limit ?2)",
            millis(before),
            rows(limit),
        )
        .execute(self.db())
        .await
        .map_err(failed)?;
        Ok(removed.rows_affected())
    }

    async fn stored_put(&mut self, stored: &Stored) -> Result<()> {
        sqlx::query!(
            "insert into blob_total (id, blobs, bytes, measured_at) values (1, ?1, ?2, ?3)
            on conflict (id) do update
            set blobs = excluded.blobs, bytes = excluded.bytes, measured_at = excluded.measured_at
            where blob_total.measured_at <= excluded.measured_at",
            int(stored.blobs),
            int(stored.bytes),
            millis(stored.measured_at),
        )
        .execute(self.db())
        .await
        .map_err(failed)?;
        Ok(())
    }
}
