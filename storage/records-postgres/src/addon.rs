//! Instances of add-ons, and who is bound to them.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use slipway_records::{AddonBinding, AddonInstance, ReadAddons, RecordsError, Result, WriteAddons};
use slipway_types::ApplicationName;
use slipway_types::id::{AddonBindingId, AddonId, ApplicationId, EnvironmentId};
use slipway_types::name::{AddonName, EnvironmentName};
use slipway_types::state::AddonState;

use crate::environment::keep_environment;
use crate::error::failed;
use crate::session::{Handle, Session, Writer};
use crate::value::{Id, Int, Json, Text, int, json, rows, text};

struct InstanceRow {
    detail: Json<AddonInstance>,
    row_version: i64,
}

impl From<InstanceRow> for AddonInstance {
    fn from(row: InstanceRow) -> Self {
        Self { row_version: row.row_version, ..row.detail.0 }
    }
}

struct BindingRow {
    id: Id<AddonBindingId>,
    addon_id: Id<AddonId>,
    addon: Text<AddonName>,
    application_id: Id<ApplicationId>,
    application: Text<ApplicationName>,
    environment_id: Id<EnvironmentId>,
    environment: Text<EnvironmentName>,
    account: String,
    prefix: Option<String>,
    generation: Int<u64>,
    created_at: DateTime<Utc>,
    created_by: String,
    ended_at: Option<DateTime<Utc>>,
}

impl From<BindingRow> for AddonBinding {
    fn from(row: BindingRow) -> Self {
        Self {
            id: row.id.0,
            addon_id: row.addon_id.0,
            addon: row.addon.0,
            application_id: row.application_id.0,
            application: row.application.0,
            environment_id: row.environment_id.0,
            environment: row.environment.0,
            account: row.account,
            prefix: row.prefix,
            generation: row.generation.0,
            created_at: row.created_at,
            created_by: row.created_by,
            ended_at: row.ended_at,
        }
    }
}

macro_rules! instances {
    ($tail:tt $(, $arg:expr)*) => {
        sqlx::query_as!(
            InstanceRow,
            r#"select detail as "detail!: _", row_version as "row_version!" from addon_instance "# + $tail
            $(, $arg)*
        )
    };
}

macro_rules! bindings {
    ($tail:tt $(, $arg:expr)*) => {
        sqlx::query_as!(
            BindingRow,
            r#"select b.id as "id!: _", b.addon_id as "addon_id!: _", i.name as "addon!: _",
            b.application_id as "application_id!: _", a.name as "application!: _",
            b.environment_id as "environment_id!: _", e.name as "environment!: _", b.account as "account!",
            b.prefix as "prefix?", b.generation as "generation!: _", b.created_at as "created_at!",
            b.created_by as "created_by!", b.ended_at as "ended_at?" from addon_binding b
            join addon_instance i on i.id = b.addon_id join application a on a.id = b.application_id
            join environment e on e.id = b.environment_id "# + $tail
            $(, $arg)*
        )
    };
}

fn is_released(addon: &AddonInstance) -> bool {
    addon.state == AddonState::Released
}

#[async_trait]
impl<H: Handle> ReadAddons for Session<H> {
    async fn addon_get(&mut self, id: AddonId) -> Result<Option<AddonInstance>> {
        let row = instances!("where id = $1", id.as_uuid()).fetch_optional(self.db()).await;
        Ok(row.map_err(failed)?.map(AddonInstance::from))
    }

    async fn addon_by_name(&mut self, name: &AddonName) -> Result<Option<AddonInstance>> {
        let row = instances!("where name = $1 and not is_released", name.as_str());
        Ok(row.fetch_optional(self.db()).await.map_err(failed)?.map(AddonInstance::from))
    }

    async fn addon_list(&mut self) -> Result<Vec<AddonInstance>> {
        let rows = instances!("where not is_released order by name").fetch_all(self.db()).await;
        Ok(rows.map_err(failed)?.into_iter().map(AddonInstance::from).collect())
    }

    async fn addon_page(&mut self, after: Option<&AddonName>, limit: u32) -> Result<Vec<AddonInstance>> {
        let after = after.map_or("", AddonName::as_str);
        let found =
            instances!("where not is_released and name > $1 order by name limit $2", after, rows(limit));
        let found = found.fetch_all(self.db()).await.map_err(failed)?;
        Ok(found.into_iter().map(AddonInstance::from).collect())
    }

    async fn addon_bindings(&mut self, addon: AddonId) -> Result<Vec<AddonBinding>> {
        let rows = bindings!("where b.addon_id = $1 order by b.id", addon.as_uuid());
        let rows = rows.fetch_all(self.db()).await.map_err(failed)?;
        Ok(rows.into_iter().map(AddonBinding::from).collect())
    }

    async fn addon_bindings_live(&mut self) -> Result<Vec<AddonBinding>> {
        let rows = bindings!("where b.ended_at is null order by b.id").fetch_all(self.db()).await;
        Ok(rows.map_err(failed)?.into_iter().map(AddonBinding::from).collect())
    }

    async fn addon_bindings_among(&mut self, addons: &[AddonId]) -> Result<Vec<AddonBinding>> {
        let ids: Vec<uuid::Uuid> = addons.iter().map(AddonId::as_uuid).collect();
        let found = bindings!("where b.addon_id = any($1) and b.ended_at is null order by b.id", &ids);
        let found = found.fetch_all(self.db()).await.map_err(failed)?;
        Ok(found.into_iter().map(AddonBinding::from).collect())
    }

    async fn addon_bindings_of(
        &mut self,
        application: ApplicationId,
        environment: EnvironmentId,
    ) -> Result<Vec<AddonBinding>> {
        let rows = bindings!(
            "where b.application_id = $1 and b.environment_id = $2 and b.ended_at is null order by b.id",
            application.as_uuid(),
            environment.as_uuid()
        );
        let rows = rows.fetch_all(self.db()).await.map_err(failed)?;
        Ok(rows.into_iter().map(AddonBinding::from).collect())
    }
}

#[async_trait]
impl WriteAddons for Writer {
    async fn addon_insert(&mut self, addon: &AddonInstance) -> Result<()> {
        keep_environment(self.db(), addon.environment_id).await?;
        let made = sqlx::query!(
            "insert into addon_instance (id, name, environment_id, detail, is_released, row_version)
            values ($1, $2, $3, $4, $5, $6) on conflict do nothing",
            addon.id.as_uuid(),
            addon.name.as_str(),
            addon.environment_id.as_uuid(),
            json(addon),
            is_released(addon),
            addon.row_version,
        )
        .execute(self.db())
        .await
        .map_err(failed)?;
        if made.rows_affected() == 0 {
            return Err(RecordsError::Conflict { what: format!("add-on `{}`", addon.name) });
        }
        Ok(())
    }

    async fn addon_save(&mut self, addon: &mut AddonInstance) -> Result<bool> {
        let saved = sqlx::query!(
            "update addon_instance set detail = $3, is_released = $4, row_version = row_version + 1
            where id = $1 and row_version = $2",
            addon.id.as_uuid(),
            addon.row_version,
            json(addon),
            is_released(addon),
        )
        .execute(self.db())
        .await
        .map_err(failed)?
        .rows_affected()
            == 1;
        if saved {
            addon.row_version += 1;
        }
        Ok(saved)
    }

    async fn addon_bind(&mut self, binding: &AddonBinding) -> Result<bool> {
        keep_environment(self.db(), binding.environment_id).await?;
        let made = sqlx::query!(
            "insert into addon_binding (id, addon_id, application_id, environment_id, account, prefix,
            generation, created_at, created_by) values ($1, $2, $3, $4, $5, $6, $7, $8, $9)
            on conflict do nothing",
            binding.id.as_uuid(),
            binding.addon_id.as_uuid(),
            binding.application_id.as_uuid(),
            binding.environment_id.as_uuid(),
            text(&binding.account),
            binding.prefix.as_deref().map(text),
            int(binding.generation),
            binding.created_at,
            text(&binding.created_by),
        )
        .execute(self.db())
        .await
        .map_err(failed)?;
        Ok(made.rows_affected() == 1)
    }

    async fn addon_unbind(&mut self, binding: AddonBindingId, by: &str, at: DateTime<Utc>) -> Result<bool> {
        let ended = sqlx::query!(
            "update addon_binding set ended_at = $2, ended_by = $3 where id = $1 and ended_at is null",
            binding.as_uuid(),
            at,
            text(by),
        )
        .execute(self.db())
        .await
        .map_err(failed)?;
        Ok(ended.rows_affected() == 1)
    }
}
