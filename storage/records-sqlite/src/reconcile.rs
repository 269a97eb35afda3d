//! What the built-in reconcile core knows.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use slipway_records::{
    EventsKept, ReadReconcile, ReconcileEvent, ReconcileKey, ReconcileState, Result, WriteReconcile,
};
use slipway_types::{Address, ApplicationName};

use crate::error::{failed, failed_insert};
use crate::session::{Handle, Session, Writer};
use crate::value::{Int, Millis, Text, int, millis, now, rows};

struct StateRow {
    environment: Text<Address>,
    application: Text<ApplicationName>,
    generation: Int<u64>,
    sequence: Int<u64>,
    document: String,
    is_settled: bool,
    updated_at: Millis,
    row_version: i64,
}

impl From<StateRow> for ReconcileState {
    fn from(row: StateRow) -> Self {
        Self {
            environment: row.environment.0,
            application: row.application.0,
            generation: row.generation.0,
            sequence: row.sequence.0,
            document: row.document,
            is_settled: row.is_settled,
            updated_at: row.updated_at.0,
            row_version: row.row_version,
        }
    }
}

struct EventRow {
    sequence: Int<u64>,
    generation: Int<u64>,
    event: String,
    at: Millis,
}

impl From<EventRow> for ReconcileEvent {
    fn from(row: EventRow) -> Self {
        Self { sequence: row.sequence.0, generation: row.generation.0, event: row.event, at: row.at.0 }
    }
}

struct KeyRow {
    environment: Text<Address>,
    application: Text<ApplicationName>,
}

#[async_trait]
impl<H: Handle> ReadReconcile for Session<H> {
    async fn reconcile_get(
        &mut self,
        environment: &Address,
        application: &ApplicationName,
    ) -> Result<Option<ReconcileState>> {
        let row = sqlx::query_as!(
            StateRow,
            r#"select environment as "environment!: _", application as "application!: _",
            generation as "generation!: _", sequence as "sequence!: _", document as "document!",
            is_settled as "is_settled!: bool", updated_at as "updated_at!: _", row_version as "row_version!"
            from reconcile_state where environment = ?1 and application = ?2"#,
            environment.to_string(),
            application.path(),
        )
        .fetch_optional(self.db())
        .await
        .map_err(failed)?;
        Ok(row.map(ReconcileState::from))
    }

    async fn reconcile_version(
        &mut self,
        environment: &Address,
        application: &ApplicationName,
    ) -> Result<Option<i64>> {
        let version = sqlx::query_scalar!(
            r#"select row_version as "row_version!" from reconcile_state
            where environment = ?1 and application = ?2"#,
            environment.to_string(),
            application.path(),
        )
        .fetch_optional(self.db())
        .await
        .map_err(failed)?;
        Ok(version)
    }

    async fn reconcile_events(
        &mut self,
        environment: &Address,
        application: &ApplicationName,
        since: u64,
        limit: u32,
    ) -> Result<Vec<ReconcileEvent>> {
        let found = sqlx::query_as!(
            EventRow,
            r#"select sequence as "sequence!: _", generation as "generation!: _", event as "event!",
            at as "at!: _" from reconcile_event
            where environment = ?1 and application = ?2 and sequence > ?3 order by sequence limit ?4"#,
            environment.to_string(),
            application.path(),
            // Whoever asks may name any number.
            i64::try_from(since).unwrap_or(i64::MAX),
            rows(limit),
        )
        .fetch_all(self.db())
        .await
        .map_err(failed)?;
        Ok(found.into_iter().map(ReconcileEvent::from).collect())
    }

    async fn reconcile_of_cluster(
        &mut self,
        cluster: &str,
        after: Option<ReconcileKey>,
        limit: u32,
    ) -> Result<Vec<ReconcileKey>> {
        let after = after.map(|(environment, application)| (environment.to_string(), application.path()));
        let (environment, application) = after.unwrap_or_default();
        let found = sqlx::query_as!(
            KeyRow,
            r#"select environment as "environment!: _", application as "application!: _" from reconcile_state
            where cluster = ?1 and (environment, application) > (?2, ?3)
            order by environment, application limit ?4"#,
            cluster,
            environment,
            application,
            rows(limit),
        )
        .fetch_all(self.db())
        .await
        .map_err(failed)?;
        Ok(found.into_iter().map(|row| (row.environment.0, row.application.0)).collect())
    }
}

#[async_trait]
impl WriteReconcile for Writer {
    async fn reconcile_save(
        &mut self,
        state: &mut ReconcileState,
        events: &[ReconcileEvent],
    ) -> Result<bool> {
        state.check_size()?;
        let at = now();
        let stored = match state.row_version {
            0 => self.reconcile_insert(state, at).await?,
            _ => self.reconcile_update(state, at).await?,
        };
        if !stored {
            return Ok(false);
        }
        self.reconcile_append(state, events).await?;
        state.updated_at = at;
        state.row_version += 1;
        Ok(true)
    }

    async fn reconcile_forget_events(
        &mut self,
        environment: &Address,
        application: &ApplicationName,
        before_generation: u64,
    ) -> Result<u64> {
        let removed = sqlx::query!(
            "delete from reconcile_event where environment = ?1 and application = ?2 and generation < ?3",
            environment.to_string(),
            application.path(),
            int(before_generation),
        )
        .execute(self.db())
        .await
        .map_err(failed)?;
        Ok(removed.rows_affected())
    }

    async fn reconcile_thin_events(
        &mut self,
        environment: &Address,
        application: &ApplicationName,
        generation: u64,
        kept: EventsKept,
    ) -> Result<u64> {
        let removed = sqlx::query!(
            "delete from reconcile_event where environment = ?1 and application = ?2 and generation = ?3
            and sequence > (select sequence from reconcile_event where environment = ?1 and application = ?2
                and generation = ?3 order by sequence limit 1 offset ?4)
            and sequence < (select sequence from reconcile_event where environment = ?1 and application = ?2
                and generation = ?3 order by sequence desc limit 1 offset ?5)",
            environment.to_string(),
            application.path(),
            int(generation),
            i64::from(kept.first.max(1)) - 1,
            i64::from(kept.newest.max(1)) - 1,
        )
        .execute(self.db())
        .await
        .map_err(failed)?;
        Ok(removed.rows_affected())
    }

    async fn reconcile_remove(
        &mut self,
        environment: &Address,
        application: &ApplicationName,
    ) -> Result<bool> {
        let removed = sqlx::query!(
            "delete from reconcile_state where environment = ?1 and application = ?2",
            environment.to_string(),
            application.path(),
        )
        .execute(self.db())
        .await
        .map_err(failed)?;
        Ok(removed.rows_affected() == 1)
    }
}

impl Writer {
    async fn reconcile_insert(&mut self, state: &ReconcileState, at: DateTime<Utc>) -> Result<bool> {
        let made = sqlx::query!(
            "insert into reconcile_state (environment, application, cluster, generation, sequence, document,
            is_settled, updated_at, row_version) values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, 1)
            on conflict (environment, application) do nothing",
            state.environment.to_string(),
            state.application.path(),
            state.environment.cluster(),
            int(state.generation),
            int(state.sequence),
            state.document,
            state.is_settled,
            millis(at),
        )
        .execute(self.db())
        .await
        .map_err(failed)?;
        Ok(made.rows_affected() == 1)
    }

    async fn reconcile_update(&mut self, state: &ReconcileState, at: DateTime<Utc>) -> Result<bool> {
        // Versions begin anew where a row was removed and made again, generations do not.
        let changed = sqlx::query!(
            "update reconcile_state set generation = ?4, sequence = ?5, document = ?6, is_settled = ?7,
            updated_at = ?8, row_version = row_version + 1
            where environment = ?1 and application = ?2 and row_version = ?3 and generation <= ?4",
            state.environment.to_string(),
            state.application.path(),
            state.row_version,
            int(state.generation),
            int(state.sequence),
            state.document,
            state.is_settled,
            millis(at),
        )
        .execute(self.db())
        .await
        .map_err(failed)?;
        Ok(changed.rows_affected() == 1)
    }

    /// Adds the events of a state that is stored.
    async fn reconcile_append(&mut self, state: &ReconcileState, events: &[ReconcileEvent]) -> Result<()> {
        for event in events {
            sqlx::query!(
                "insert into reconcile_event (environment, application, sequence, generation, event, at)
                values (?1, ?2, ?3, ?4, ?5, ?6)",
                state.environment.to_string(),
                state.application.path(),
                int(event.sequence),
                int(event.generation),
                event.event,
                millis(event.at),
            )
            .execute(self.db())
            .await
            .map_err(|error| {
                failed_insert(error, || {
                    format!("event {} of `{}` in {}", event.sequence, state.application, state.environment)
                })
            })?;
        }
        Ok(())
    }
}
