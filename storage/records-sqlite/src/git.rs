//! Packs and refs.

use async_trait::async_trait;
use slipway_records::{PackRow, ReadGit, RefMove, RefRow, Result, WriteGit};
use slipway_types::id::SourceId;
use slipway_types::{CommitId, Digest, GitRef};

use crate::error::failed;
use crate::session::{Handle, Session, Writer};
use crate::value::{Int, Text, int};

struct StoredRef {
    name: Text<GitRef>,
    object_id: Text<CommitId>,
    commit_id: Text<CommitId>,
}

struct StoredPack {
    seq: i64,
    digest: Text<Digest>,
    size: Int<u64>,
}

impl From<StoredPack> for PackRow {
    fn from(row: StoredPack) -> Self {
        Self { seq: row.seq, digest: row.digest.0, size: row.size.0 }
    }
}

#[async_trait]
impl<H: Handle> ReadGit for Session<H> {
    async fn git_refs(&mut self, source: SourceId) -> Result<Vec<RefRow>> {
        let rows = sqlx::query_as!(
            StoredRef,
            r#"select name as "name!: _", object_id as "object_id!: _", commit_id as "commit_id!: _"
            from git_ref where source_id = ?1 order by name"#,
            source.to_string(),
        )
        .fetch_all(self.db())
        .await
        .map_err(failed)?;
        Ok(rows
            .into_iter()
            .map(|row| RefRow { name: row.name.0, object: row.object_id.0, commit: row.commit_id.0 })
            .collect())
    }

    async fn git_packs(&mut self, source: SourceId, after: i64) -> Result<Vec<PackRow>> {
        let rows = sqlx::query_as!(
            StoredPack,
            r#"select seq as "seq!", digest as "digest!: _", size as "size!: _" from git_pack
            where source_id = ?1 and seq > ?2 order by seq"#,
            source.to_string(),
            after,
        )
        .fetch_all(self.db())
        .await
        .map_err(failed)?;
        Ok(rows.into_iter().map(PackRow::from).collect())
    }

    async fn git_revision(&mut self, source: SourceId) -> Result<i64> {
        let revision = sqlx::query_scalar!(
            r#"select git_revision as "git_revision!" from source where id = ?1"#,
            source.to_string()
        )
        .fetch_optional(self.db())
        .await
        .map_err(failed)?;
        Ok(revision.unwrap_or(0))
    }
}

impl Writer {
    async fn git_changed(&mut self, source: SourceId) -> Result<()> {
        sqlx::query!("update source set git_revision = git_revision + 1 where id = ?1", source.to_string())
            .execute(self.db())
            .await
            .map_err(failed)?;
        Ok(())
    }
}

#[async_trait]
impl WriteGit for Writer {
    async fn git_pack_add(&mut self, source: SourceId, digest: Digest, size: u64) -> Result<PackRow> {
        let found = sqlx::query_as!(
            StoredPack,
            r#"select seq as "seq!", digest as "digest!: _", size as "size!: _" from git_pack
            where source_id = ?1 and digest = ?2"#,
            source.to_string(),
            digest.to_string(),
        )
        .fetch_optional(self.db())
        .await
        .map_err(failed)?;
        if let Some(found) = found {
            return Ok(found.into());
        }
        let seq = sqlx::query_scalar!(
            r#"insert into git_pack (source_id, seq, digest, size)
            select ?1, coalesce(max(seq), 0) + 1, ?2, ?3 from git_pack where source_id = ?1
            returning seq as "seq!""#,
            source.to_string(),
            digest.to_string(),
            int(size),
        )
        .fetch_one(self.db())
        .await
        .map_err(failed)?;
        self.git_changed(source).await?;
        Ok(PackRow { seq, digest, size })
    }

    async fn git_packs_replace(
        &mut self,
        source: SourceId,
        replaced: &[PackRow],
        digest: Digest,
        size: u64,
    ) -> Result<Option<PackRow>> {
        let there = self.git_packs(source, 0).await?;
        if replaced.iter().any(|pack| !there.contains(pack)) {
            return Ok(None);
        }
        // Added first, so that its number is above all others.
        let added = self.git_pack_add(source, digest, size).await?;
        for pack in replaced.iter().filter(|pack| pack.digest != digest) {
            sqlx::query!(
                "delete from git_pack where source_id = ?1 and seq = ?2",
                source.to_string(),
                pack.seq
            )
            .execute(self.db())
            .await
            .map_err(failed)?;
        }
        self.git_changed(source).await?;
        Ok(Some(added))
    }

    async fn git_ref_move(&mut self, source: SourceId, change: &RefMove) -> Result<bool> {
        let (source_id, name) = (source.to_string(), change.name.to_string());
        let outcome = match (&change.old, &change.new) {
            (None, None) => {
                return Ok(!sqlx::query_scalar!(
                    r#"select exists (select 1 from git_ref where source_id = ?1 and name = ?2)
                    as "exists!: bool""#,
                    source_id,
                    name,
                )
                .fetch_one(self.db())
                .await
                .map_err(failed)?);
            }
            (None, Some((object, commit))) => {
                sqlx::query!(
                    "insert into git_ref (source_id, name, object_id, commit_id) values (?1, ?2, ?3, ?4)
                    on conflict (source_id, name) do nothing",
                    source_id,
                    name,
                    object.as_str(),
                    commit.as_str(),
                )
                .execute(self.db())
                .await
            }
            (Some(old), Some((object, commit))) => {
                sqlx::query!(
                    "update git_ref set object_id = ?4, commit_id = ?5
                    where source_id = ?1 and name = ?2 and object_id = ?3",
                    source_id,
                    name,
                    old.as_str(),
                    object.as_str(),
                    commit.as_str(),
                )
                .execute(self.db())
                .await
            }
            (Some(old), None) => {
                sqlx::query!(
                    "delete from git_ref where source_id = ?1 and name = ?2 and object_id = ?3",
                    source_id,
                    name,
                    old.as_str(),
                )
                .execute(self.db())
                .await
            }
        };
        let moved = outcome.map_err(failed)?.rows_affected() == 1;
        if moved {
            self.git_changed(source).await?;
        }
        Ok(moved)
    }
}
