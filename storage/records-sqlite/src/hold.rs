//! Pins and holds.

use async_trait::async_trait;
use slipway_records::{Hold, ReadHolds, Result, WriteHolds};
use slipway_types::id::{ApplicationId, EnvironmentId, VersionId};

use crate::error::failed;
use crate::session::{Handle, Session, Writer};
use crate::value::{Int, Millis, Text, int, millis};

struct HoldRow {
    environment_id: Text<EnvironmentId>,
    application_id: Text<ApplicationId>,
    version_id: Option<Text<VersionId>>,
    reason: String,
    set_by: String,
    set_at: Millis,
    rollback_to: Option<Int<u64>>,
}

impl From<HoldRow> for Hold {
    fn from(row: HoldRow) -> Self {
        Self {
            environment_id: row.environment_id.0,
            application_id: row.application_id.0,
            version_id: row.version_id.map(|id| id.0),
            reason: row.reason,
            by: row.set_by,
            at: row.set_at.0,
            rollback_to: row.rollback_to.map(|generation| generation.0),
        }
    }
}

macro_rules! holds {
    ($tail:tt $(, $arg:expr)*) => {
        sqlx::query_as!(
            HoldRow,
            r#"select environment_id as "environment_id!: _", application_id as "application_id!: _",
            version_id as "version_id?: _", reason as "reason!", set_by as "set_by!", set_at as "set_at!: _",
            rollback_to as "rollback_to?: _" from hold "# + $tail
            $(, $arg)*
        )
    };
}

#[async_trait]
impl<H: Handle> ReadHolds for Session<H> {
    async fn hold_get(
        &mut self,
        environment: EnvironmentId,
        application: ApplicationId,
    ) -> Result<Option<Hold>> {
        let row = holds!(
            "where environment_id = ?1 and application_id = ?2",
            environment.to_string(),
            application.to_string()
        )
        .fetch_optional(self.db())
        .await;
        Ok(row.map_err(failed)?.map(Hold::from))
    }

    async fn hold_list(&mut self) -> Result<Vec<Hold>> {
        let found = holds!("order by environment_id, application_id").fetch_all(self.db()).await;
        Ok(found.map_err(failed)?.into_iter().map(Hold::from).collect())
    }
}

#[async_trait]
impl WriteHolds for Writer {
    async fn hold_put(&mut self, hold: &Hold) -> Result<()> {
        sqlx::query!(
            "insert into hold (environment_id, application_id, version_id, reason, set_by, set_at, rollback_to)
            values (?1, ?2, ?3, ?4, ?5, ?6, ?7) on conflict (environment_id, application_id) do update
            set version_id = excluded.version_id, reason = excluded.reason, set_by = excluded.set_by,
            set_at = excluded.set_at, rollback_to = excluded.rollback_to",
            hold.environment_id.to_string(),
            hold.application_id.to_string(),
            hold.version_id.map(|id| id.to_string()),
            hold.reason,
            hold.by,
            millis(hold.at),
            hold.rollback_to.map(int),
        )
        .execute(self.db())
        .await
        .map_err(failed)?;
        Ok(())
    }

    async fn hold_first(&mut self, hold: &Hold) -> Result<bool> {
        let inserted = sqlx::query!(
            "insert into hold (environment_id, application_id, version_id, reason, set_by, set_at, rollback_to)
            values (?1, ?2, ?3, ?4, ?5, ?6, ?7) on conflict (environment_id, application_id) do nothing",
            hold.environment_id.to_string(),
            hold.application_id.to_string(),
            hold.version_id.map(|id| id.to_string()),
            hold.reason,
            hold.by,
            millis(hold.at),
            hold.rollback_to.map(int),
        )
        .execute(self.db())
        .await
        .map_err(failed)?;
        Ok(inserted.rows_affected() == 1)
    }

    async fn hold_release(&mut self, environment: EnvironmentId, application: ApplicationId) -> Result<bool> {
        let released = sqlx::query!(
            "delete from hold where environment_id = ?1 and application_id = ?2",
            environment.to_string(),
            application.to_string(),
        )
        .execute(self.db())
        .await
        .map_err(failed)?;
        Ok(released.rows_affected() == 1)
    }
}
