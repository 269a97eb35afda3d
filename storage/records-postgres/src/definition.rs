//! Installed definitions, what applications hold of them, and what revisions were made by.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use slipway_records::{
    Configuration, DefinitionHold, DefinitionUse, FrozenDefinition, InstalledDefinition, ReadDefinitions,
    RecordsError, Result, WriteDefinitions,
};
use slipway_types::id::ApplicationId;
use slipway_types::name::{DefinitionName, EnvironmentName};
use slipway_types::{ApplicationName, DefinitionKind, Digest, Version};

use crate::environment::ConfigurationRow;
use crate::error::failed;
use crate::session::{Handle, Session, Writer};
use crate::value::{Id, Int, Text, int, text};

struct InstalledRow {
    kind: Text<DefinitionKind>,
    name: Text<DefinitionName>,
    version: Text<Version>,
    digest: Text<Digest>,
    archive: Text<Digest>,
    reference: String,
    enabled: bool,
    installed_at: DateTime<Utc>,
    installed_by: String,
}

impl From<InstalledRow> for InstalledDefinition {
    fn from(row: InstalledRow) -> Self {
        Self {
            kind: row.kind.0,
            name: row.name.0,
            version: row.version.0,
            digest: row.digest.0,
            archive: row.archive.0,
            reference: row.reference,
            enabled: row.enabled,
            installed_at: row.installed_at,
            installed_by: row.installed_by,
        }
    }
}

struct UseRow {
    kind: Text<DefinitionKind>,
    name: Text<DefinitionName>,
    version: Text<Version>,
    digest: Text<Digest>,
    application: Text<ApplicationName>,
    environment: Text<EnvironmentName>,
}

impl From<UseRow> for DefinitionUse {
    fn from(row: UseRow) -> Self {
        let definition = FrozenDefinition {
            kind: row.kind.0,
            name: row.name.0,
            version: row.version.0,
            digest: row.digest.0,
        };
        Self { definition, application: row.application.0, environment: row.environment.0 }
    }
}

struct HoldRow {
    application_id: Id<ApplicationId>,
    kind: Text<DefinitionKind>,
    name: Text<DefinitionName>,
    major: Int<u64>,
    set_at: DateTime<Utc>,
    set_by: String,
}

impl From<HoldRow> for DefinitionHold {
    fn from(row: HoldRow) -> Self {
        Self {
            application_id: row.application_id.0,
            kind: row.kind.0,
            name: row.name.0,
            major: row.major.0,
            set_at: row.set_at,
            set_by: row.set_by,
        }
    }
}

#[async_trait]
impl<H: Handle> ReadDefinitions for Session<H> {
    async fn definition_list(&mut self) -> Result<Vec<InstalledDefinition>> {
        let found = sqlx::query_as!(
            InstalledRow,
            r#"select kind as "kind!: _", name as "name!: _", version as "version!: _", digest as "digest!: _",
            archive as "archive!: _", reference as "reference!", enabled as "enabled!: bool",
            installed_at as "installed_at!", installed_by as "installed_by!" from definition
            order by kind, name, version"#,
        )
        .fetch_all(self.db())
        .await
        .map_err(failed)?;
        Ok(found.into_iter().map(InstalledDefinition::from).collect())
    }

    async fn definition_uses(&mut self) -> Result<Vec<DefinitionUse>> {
        let found = sqlx::query_as!(
            UseRow,
            r#"select distinct r.kind as "kind!: _", r.name as "name!: _", r.version as "version!: _",
            r.digest as "digest!: _", a.name as "application!: _", e.name as "environment!: _"
            from deployment d
            join revision_definition r on r.revision = d.revision
            join application a on a.id = d.application_id
            join environment e on e.id = d.environment_id
            where d.state not in ('rejected', 'broken', 'declined', 'expired', 'withdrawn', 'terminated',
                'superseded', 'deleted')
            order by 1, 2, 3, 5, 6"#,
        )
        .fetch_all(self.db())
        .await
        .map_err(failed)?;
        Ok(found.into_iter().map(DefinitionUse::from).collect())
    }

    async fn definition_holds(&mut self, application: Option<ApplicationId>) -> Result<Vec<DefinitionHold>> {
        let found = sqlx::query_as!(
            HoldRow,
            r#"select h.application_id as "application_id!: _", h.kind as "kind!: _", h.name as "name!: _",
            h.major as "major!: _", h.set_at as "set_at!", h.set_by as "set_by!"
            from definition_hold h join application a on a.id = h.application_id
            where a.deleted_at is null and ($1::uuid is null or h.application_id = $1)
            order by h.application_id, h.kind, h.name"#,
            application.map(|id| id.as_uuid()),
        )
        .fetch_all(self.db())
        .await
        .map_err(failed)?;
        Ok(found.into_iter().map(DefinitionHold::from).collect())
    }

    async fn configurations_in_force(
        &mut self,
        application: Option<ApplicationId>,
    ) -> Result<Vec<Configuration>> {
        let found = sqlx::query_as!(
            ConfigurationRow,
            r#"select c.application_id as "application_id!: _", c.level as "level!", c.version as "version!",
            c.document as "document!", c.digest as "digest!: _", c.set_at as "set_at!",
            c.set_by as "set_by!", c.reason, c.origin as "origin?: _" from configuration c
            join application a on a.id = c.application_id
            where a.deleted_at is null and c.document <> '' and ($1::uuid is null or c.application_id = $1)
            and c.version = (select max(version) from configuration
                where application_id = c.application_id and level = c.level)
            order by c.application_id, c.level"#,
            application.map(|id| id.as_uuid()),
        )
        .fetch_all(self.db())
        .await
        .map_err(failed)?;
        Ok(found.into_iter().map(Configuration::from).collect())
    }
}

#[async_trait]
impl WriteDefinitions for Writer {
    async fn definition_insert(&mut self, definition: &InstalledDefinition) -> Result<()> {
        let inserted = sqlx::query!(
            "insert into definition (kind, name, version, digest, archive, reference, enabled, installed_at,
            installed_by) values ($1, $2, $3, $4, $5, $6, $7, $8, $9) on conflict do nothing",
            definition.kind.word(),
            definition.name.as_str(),
            definition.version.to_string(),
            definition.digest.to_string(),
            definition.archive.to_string(),
            text(&definition.reference),
            definition.enabled,
            definition.installed_at,
            text(&definition.installed_by),
        )
        .execute(self.db())
        .await
        .map_err(failed)?;
        if inserted.rows_affected() == 0 {
            let InstalledDefinition { kind, name, version, .. } = definition;
            return Err(RecordsError::Conflict { what: format!("{} `{name}` {version}", kind.noun()) });
        }
        Ok(())
    }

    async fn definition_enable(
        &mut self,
        kind: DefinitionKind,
        name: &DefinitionName,
        version: &Version,
        enabled: bool,
    ) -> Result<bool> {
        let changed = sqlx::query!(
            "update definition set enabled = $4 where kind = $1 and name = $2 and version = $3",
            kind.word(),
            name.as_str(),
            version.to_string(),
            enabled,
        )
        .execute(self.db())
        .await
        .map_err(failed)?;
        Ok(changed.rows_affected() == 1)
    }

    async fn definition_remove(
        &mut self,
        kind: DefinitionKind,
        name: &DefinitionName,
        version: &Version,
    ) -> Result<bool> {
        let removed = sqlx::query!(
            "delete from definition where kind = $1 and name = $2 and version = $3",
            kind.word(),
            name.as_str(),
            version.to_string(),
        )
        .execute(self.db())
        .await
        .map_err(failed)?;
        Ok(removed.rows_affected() == 1)
    }

    async fn revision_made_by(&mut self, revision: &Digest, definitions: &[FrozenDefinition]) -> Result<()> {
        for definition in definitions {
            sqlx::query!(
                "insert into revision_definition (revision, kind, name, version, digest)
                values ($1, $2, $3, $4, $5) on conflict (revision, kind, name) do nothing",
                revision.to_string(),
                definition.kind.word(),
                definition.name.as_str(),
                definition.version.to_string(),
                definition.digest.to_string(),
            )
            .execute(self.db())
            .await
            .map_err(failed)?;
        }
        Ok(())
    }

    async fn definition_hold_first(&mut self, hold: &DefinitionHold) -> Result<bool> {
        let inserted = sqlx::query!(
            "insert into definition_hold (application_id, kind, name, major, set_at, set_by)
            values ($1, $2, $3, $4, $5, $6) on conflict (application_id, kind, name) do nothing",
            hold.application_id.as_uuid(),
            hold.kind.word(),
            hold.name.as_str(),
            int(hold.major),
            hold.set_at,
            text(&hold.set_by),
        )
        .execute(self.db())
        .await
        .map_err(failed)?;
        Ok(inserted.rows_affected() == 1)
    }

    async fn definition_hold_put(&mut self, hold: &DefinitionHold) -> Result<()> {
        sqlx::query!(
            "insert into definition_hold (application_id, kind, name, major, set_at, set_by)
            values ($1, $2, $3, $4, $5, $6) on conflict (application_id, kind, name) do update
            set major = excluded.major, set_at = excluded.set_at, set_by = excluded.set_by",
            hold.application_id.as_uuid(),
            hold.kind.word(),
            hold.name.as_str(),
            int(hold.major),
            hold.set_at,
            text(&hold.set_by),
        )
        .execute(self.db())
        .await
        .map_err(failed)?;
        Ok(())
    }

    async fn definition_hold_remove(
        &mut self,
        application: ApplicationId,
        kind: DefinitionKind,
        name: &DefinitionName,
    ) -> Result<bool> {
        let removed = sqlx::query!(
            "delete from definition_hold where application_id = $1 and kind = $2 and name = $3",
            application.as_uuid(),
            kind.word(),
            name.as_str(),
        )
        .execute(self.db())
        .await
        .map_err(failed)?;
        Ok(removed.rows_affected() == 1)
    }
}
