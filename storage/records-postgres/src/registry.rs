//! What each repository of the built-in registry holds.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use slipway_records::{ManifestRow, ReadRegistry, Result, WriteRegistry};
use slipway_types::{Digest, ImageReference};

use crate::error::failed;
use crate::session::{Handle, Session, Writer};
use crate::value::{Int, Json, Text, int, json, text};

struct StoredManifest {
    repository: String,
    digest: Text<Digest>,
    media_type: String,
    artifact_type: Option<String>,
    subject: Option<Text<Digest>>,
    size: Int<u64>,
    annotations: Json<serde_json::Map<String, serde_json::Value>>,
    created_at: DateTime<Utc>,
}

impl From<StoredManifest> for ManifestRow {
    fn from(row: StoredManifest) -> Self {
        Self {
            repository: row.repository,
            digest: row.digest.0,
            media_type: row.media_type,
            artifact_type: row.artifact_type,
            subject: row.subject.map(|digest| digest.0),
            size: row.size.0,
            annotations: row.annotations.0,
            created_at: row.created_at,
        }
    }
}

macro_rules! manifests {
    ($tail:tt $(, $arg:expr)*) => {
        sqlx::query_as!(
            StoredManifest,
            r#"select repository as "repository!", digest as "digest!: _", media_type as "media_type!",
            artifact_type as "artifact_type?", subject as "subject?: _", size as "size!: _", annotations as "annotations!: _",
            created_at as "created_at!" from manifest "# + $tail
            $(, $arg)*
        )
    };
}

#[async_trait]
impl<H: Handle> ReadRegistry for Session<H> {
    async fn blob_linked(&mut self, repository: &str, digest: &Digest) -> Result<Option<u64>> {
        self.enter_registry().await?;
        let size = sqlx::query_scalar!(
            r#"select size as "size!: Int<u64>" from blob_link where repository = $1 and digest = $2"#,
            repository,
            digest.to_string(),
        )
        .fetch_optional(self.db())
        .await
        .map_err(failed)?;
        Ok(size.map(|size| size.0))
    }

    async fn blob_origin(&mut self, repository: &str, digest: &Digest) -> Result<Option<ImageReference>> {
        self.enter_registry().await?;
        let origin = sqlx::query_scalar!(
            r#"select origin as "origin!: Text<ImageReference>" from blob_link
            where repository = $1 and digest = $2 and origin is not null"#,
            repository,
            digest.to_string(),
        )
        .fetch_optional(self.db())
        .await
        .map_err(failed)?;
        Ok(origin.map(|origin| origin.0))
    }

    async fn blob_origins(&mut self, digest: &Digest, limit: u32) -> Result<Vec<ImageReference>> {
        self.enter_registry().await?;
        let origins = sqlx::query_scalar!(
            r#"select distinct origin as "origin!: Text<ImageReference>" from blob_link
            where digest = $1 and origin is not null order by 1 limit $2"#,
            digest.to_string(),
            i64::from(limit),
        )
        .fetch_all(self.db())
        .await
        .map_err(failed)?;
        Ok(origins.into_iter().map(|origin| origin.0).collect())
    }

    async fn manifest_get(&mut self, repository: &str, digest: &Digest) -> Result<Option<ManifestRow>> {
        self.enter_registry().await?;
        let row = manifests!("where repository = $1 and digest = $2", repository, digest.to_string())
            .fetch_optional(self.db())
            .await;
        Ok(row.map_err(failed)?.map(ManifestRow::from))
    }

    async fn tag_get(&mut self, repository: &str, tag: &str) -> Result<Option<Digest>> {
        self.enter_registry().await?;
        let digest = sqlx::query_scalar!(
            r#"select digest as "digest!: Text<Digest>" from tag where repository = $1 and name = $2"#,
            repository,
            tag,
        )
        .fetch_optional(self.db())
        .await
        .map_err(failed)?;
        Ok(digest.map(|digest| digest.0))
    }

    async fn tag_list(&mut self, repository: &str, after: Option<&str>, limit: u32) -> Result<Vec<String>> {
        sqlx::query_scalar!(
            r#"select name as "name!" from tag where repository = $1 and name > $2 order by name limit $3"#,
            repository,
            after.unwrap_or(""),
            i64::from(limit),
        )
        .fetch_all(self.db())
        .await
        .map_err(failed)
    }

    async fn referrers(&mut self, repository: &str, subject: &Digest) -> Result<Vec<ManifestRow>> {
        let rows = manifests!(
            "where repository = $1 and subject = $2 order by digest",
            repository,
            subject.to_string()
        )
        .fetch_all(self.db())
        .await;
        Ok(rows.map_err(failed)?.into_iter().map(ManifestRow::from).collect())
    }

    async fn tags_among(&mut self, repository: &str, tags: &[String]) -> Result<Vec<String>> {
        sqlx::query_scalar!(
            r#"select name as "name!" from tag where repository = $1 and name = any($2) order by name"#,
            repository,
            tags,
        )
        .fetch_all(self.db())
        .await
        .map_err(failed)
    }

    async fn subjects_among(
        &mut self,
        repository: &str,
        artifact_type: &str,
        digests: &[Digest],
    ) -> Result<Vec<Digest>> {
        let digests: Vec<String> = digests.iter().map(ToString::to_string).collect();
        let found = sqlx::query_scalar!(
            r#"select distinct subject as "subject!: Text<Digest>" from manifest
            where repository = $1 and subject = any($2) and artifact_type = $3 order by 1"#,
            repository,
            &digests,
            artifact_type,
        )
        .fetch_all(self.db())
        .await
        .map_err(failed)?;
        Ok(found.into_iter().map(|subject| subject.0).collect())
    }

    async fn repository_list(&mut self, after: Option<&str>, limit: u32) -> Result<Vec<String>> {
        // Steps from name to name along the indexes instead of reading every row.
        sqlx::query_scalar!(
            r#"with recursive step (name) as (
                select min(name) from (select min(repository) as name from manifest where repository > $1
                    union all select min(repository) from blob_link where repository > $1) first
                union all
                select (select min(name) from (
                    select min(repository) as name from manifest where repository > step.name
                    union all select min(repository) from blob_link where repository > step.name) next)
                from step where step.name is not null
            ) select name as "name!" from step where name is not null limit $2"#,
            after.unwrap_or(""),
            i64::from(limit),
        )
        .fetch_all(self.db())
        .await
        .map_err(failed)
    }

    async fn repository_exists(&mut self, repository: &str) -> Result<bool> {
        sqlx::query_scalar!(
            r#"select exists (select 1 from manifest where repository = $1)
            or exists (select 1 from blob_link where repository = $1) as "exists!""#,
            repository,
        )
        .fetch_one(self.db())
        .await
        .map_err(failed)
    }
}

#[async_trait]
impl WriteRegistry for Writer {
    async fn blob_link(&mut self, repository: &str, digest: &Digest, size: u64) -> Result<()> {
        self.enter_registry().await?;
        sqlx::query!(
            "insert into blob_link (repository, digest, size) values ($1, $2, $3)
            on conflict (repository, digest) do update set linked_at = excluded.linked_at, origin = null",
            repository,
            digest.to_string(),
            int(size),
        )
        .execute(self.db())
        .await
        .map_err(failed)?;
        Ok(())
    }

    async fn blob_link_elsewhere(
        &mut self,
        repository: &str,
        digest: &Digest,
        size: u64,
        origin: &ImageReference,
    ) -> Result<()> {
        self.enter_registry().await?;
        sqlx::query!(
            "insert into blob_link (repository, digest, size, origin) values ($1, $2, $3, $4)
            on conflict (repository, digest) do update set linked_at = excluded.linked_at, origin = case
            when blob_link.origin is null then null else excluded.origin end",
            repository,
            digest.to_string(),
            int(size),
            origin.to_string(),
        )
        .execute(self.db())
        .await
        .map_err(failed)?;
        Ok(())
    }

    async fn blob_unlink(&mut self, repository: &str, digest: &Digest) -> Result<bool> {
        self.enter_registry().await?;
        let removed = sqlx::query!(
            "delete from blob_link where repository = $1 and digest = $2",
            repository,
            digest.to_string(),
        )
        .execute(self.db())
        .await
        .map_err(failed)?;
        Ok(removed.rows_affected() == 1)
    }

    async fn manifest_put(&mut self, manifest: &ManifestRow) -> Result<()> {
        self.enter_registry().await?;
        sqlx::query!(
            "insert into manifest (repository, digest, media_type, artifact_type, subject, size, annotations,
            created_at) values ($1, $2, $3, $4, $5, $6, $7, $8)
            on conflict (repository, digest) do update set media_type = excluded.media_type,
            artifact_type = excluded.artifact_type, subject = excluded.subject,
            annotations = excluded.annotations",
            manifest.repository,
            manifest.digest.to_string(),
            text(&manifest.media_type),
            manifest.artifact_type.as_deref().map(text),
            manifest.subject.map(|digest| digest.to_string()),
            int(manifest.size),
            json(&manifest.annotations),
            manifest.created_at,
        )
        .execute(self.db())
        .await
        .map_err(failed)?;
        Ok(())
    }

    async fn manifest_delete(&mut self, repository: &str, digest: &Digest) -> Result<bool> {
        self.enter_registry().await?;
        let removed = sqlx::query!(
            "delete from manifest where repository = $1 and digest = $2",
            repository,
            digest.to_string(),
        )
        .execute(self.db())
        .await
        .map_err(failed)?;
        Ok(removed.rows_affected() == 1)
    }

    async fn tag_put(&mut self, repository: &str, tag: &str, digest: &Digest) -> Result<()> {
        self.enter_registry().await?;
        sqlx::query!(
            "insert into tag (repository, name, digest) values ($1, $2, $3)
            on conflict (repository, name) do update set digest = excluded.digest",
            repository,
            tag,
            digest.to_string(),
        )
        .execute(self.db())
        .await
        .map_err(failed)?;
        Ok(())
    }

    async fn tag_move(
        &mut self,
        repository: &str,
        tag: &str,
        from: Option<&Digest>,
        to: &Digest,
    ) -> Result<bool> {
        let moved = match from {
            None => {
                sqlx::query!(
                    "insert into tag (repository, name, digest) values ($1, $2, $3)
                    on conflict (repository, name) do nothing",
                    repository,
                    tag,
                    to.to_string(),
                )
                .execute(self.db())
                .await
            }
            Some(from) => {
                sqlx::query!(
                    "update tag set digest = $4 where repository = $1 and name = $2 and digest = $3",
                    repository,
                    tag,
                    from.to_string(),
                    to.to_string(),
                )
                .execute(self.db())
                .await
            }
        };
        Ok(moved.map_err(failed)?.rows_affected() == 1)
    }

    async fn tag_delete(&mut self, repository: &str, tag: &str) -> Result<bool> {
        let removed = sqlx::query!("delete from tag where repository = $1 and name = $2", repository, tag)
            .execute(self.db())
            .await
            .map_err(failed)?;
        Ok(removed.rows_affected() == 1)
    }
}
