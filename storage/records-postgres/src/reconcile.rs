//! What the built-in reconcile core knows.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use slipway_records::{
    EventsKept, ReadReconcile, ReconcileEvent, ReconcileKey, ReconcileState, RecordsError, Result,
    WriteReconcile,
};
use slipway_types::{Address, ApplicationName};

use crate::error::failed;
use crate::session::{Handle, Session, Writer};
use crate::value::{Int, Text, int, rows, text};

struct StateRow {
    environment: Text<Address>,
    application: Text<ApplicationName>,
    generation: Int<u64>,
    sequence: Int<u64>,
    document: String,
    is_settled: bool,
    updated_at: DateTime<Utc>,
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
            updated_at: row.updated_at,
            row_version: row.row_version,
        }
    }
}

struct EventRow {
    sequence: Int<u64>,
    generation: Int<u64>,
    event: String,
    at: DateTime<Utc>,
}

impl From<EventRow> for ReconcileEvent {
    fn from(row: EventRow) -> Self {
        Self { sequence: row.sequence.0, generation: row.generation.0, event: row.event, at: row.at }
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
            is_settled as "is_settled!", updated_at as "updated_at!", row_version as "row_version!"
            from reconcile_state where environment = $1 and application = $2"#,
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
            where environment = $1 and application = $2"#,
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
            at as "at!" from reconcile_event
            where environment = $1 and application = $2 and sequence > $3 order by sequence limit $4"#,
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
            where cluster = $1 and (environment, application) > ($2, $3)
            order by environment, application limit $4"#,
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
        let stored = match state.row_version {
            0 => self.reconcile_insert(state).await?,
            _ => self.reconcile_update(state).await?,
        };
        let Some(at) = stored else { return Ok(false) };
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
            "delete from reconcile_event where environment = $1 and application = $2 and generation < $3",
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
            "delete from reconcile_event where environment = $1 and application = $2 and generation = $3
            and sequence > (select sequence from reconcile_event where environment = $1 and application = $2
                and generation = $3 order by sequence limit 1 offset $4)
            and sequence < (select sequence from reconcile_event where environment = $1 and application = $2
                and generation = $3 order by sequence desc limit 1 offset $5)",
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
            "delete from reconcile_state where environment = $1 and application = $2",
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
    /// When it was stored, by the database's clock, as jobs are due.
    async fn reconcile_insert(&mut self, state: &ReconcileState) -> Result<Option<DateTime<Utc>>> {
        let made = sqlx::query_scalar!(
            r#"insert into reconcile_state (environment, application, cluster, generation, sequence, document,
            is_settled, updated_at, row_version) values ($1, $2, $3, $4, $5, $6, $7, statement_timestamp(), 1)
            on conflict (environment, application) do nothing returning updated_at as "updated_at!""#,
            state.environment.to_string(),
            state.application.path(),
            state.environment.cluster(),
            int(state.generation),
            int(state.sequence),
            text(&state.document),
            state.is_settled,
        )
        .fetch_optional(self.db())
        .await;
        made.map_err(failed)
    }

    async fn reconcile_update(&mut self, state: &ReconcileState) -> Result<Option<DateTime<Utc>>> {
        // Versions begin anew where a row was removed and made again, generations do not.
        let changed = sqlx::query_scalar!(
            r#"update reconcile_state set generation = $4, sequence = $5, document = $6, is_settled = $7,
            updated_at = statement_timestamp(), row_version = row_version + 1
            where environment = $1 and application = $2 and row_version = $3 and generation <= $4
            returning updated_at as "updated_at!""#,
            state.environment.to_string(),
            state.application.path(),
            state.row_version,
            int(state.generation),
            int(state.sequence),
            text(&state.document),
            state.is_settled,
        )
        .fetch_optional(self.db())
        .await;
        changed.map_err(failed)
    }

    /// Adds the events of a state that is stored.
    async fn reconcile_append(&mut self, state: &ReconcileState, events: &[ReconcileEvent]) -> Result<()> {
        if events.is_empty() {
            return Ok(());
        }
        let sequences: Vec<i64> = events.iter().map(|event| int(event.sequence)).collect();
        let generations: Vec<i64> = events.iter().map(|event| int(event.generation)).collect();
        let texts: Vec<String> = events.iter().map(|event| text(&event.event)).collect();
        let times: Vec<DateTime<Utc>> = events.iter().map(|event| event.at).collect();
        let added = sqlx::query!(
            "insert into reconcile_event (environment, application, sequence, generation, event, at)
            select $1, $2, e.sequence, e.generation, e.event, e.at
            from unnest($3::bigint[], $4::bigint[], $5::text[], $6::timestamptz[])
                e (sequence, generation, event, at)
            on conflict (environment, application, sequence) do nothing",
            state.environment.to_string(),
            state.application.path(),
            &sequences,
            &generations,
            &texts,
            &times,
        )
        .execute(self.db())
        .await
        .map_err(failed)?;
        if usize::try_from(added.rows_affected()) != Ok(events.len()) {
            let what = format!(
                "one of the events up to {} of `{}` in {}",
                state.sequence, state.application, state.environment
            );
            return Err(RecordsError::Conflict { what });
        }
        Ok(())
    }
}
