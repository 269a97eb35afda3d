//! Checks that developers declare.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use slipway_records::{CheckOrder, DeclaredCheck, ReadDeclaredChecks, Result, Waiver, WriteDeclaredChecks};
use slipway_types::Digest;
use slipway_types::id::{ApplicationId, CheckId, RunId, VersionId};
use slipway_types::name::CheckName;
use slipway_types::state::DeclaredCheckState;

use crate::error::failed;
use crate::session::{Handle, Session, Writer};
use crate::value::{Id, Int, Json, Text, json, rows, text};

struct CheckRow {
    id: Id<CheckId>,
    version_id: Id<VersionId>,
    application_id: Id<ApplicationId>,
    run_id: Id<RunId>,
    name: Text<CheckName>,
    plan: Json<CheckOrder>,
    inputs: Text<Digest>,
    fresh: bool,
    state: Json<DeclaredCheckState>,
    attempt: Int<u32>,
    waived_by: Option<String>,
    waived_reason: Option<String>,
    waived_at: Option<DateTime<Utc>>,
    generation: i64,
    created_at: DateTime<Utc>,
    started_at: Option<DateTime<Utc>>,
    finished_at: Option<DateTime<Utc>>,
}

impl From<CheckRow> for DeclaredCheck {
    fn from(row: CheckRow) -> Self {
        let waiver = row.waived_by.zip(row.waived_reason).zip(row.waived_at);
        Self {
            id: row.id.0,
            version_id: row.version_id.0,
            application_id: row.application_id.0,
            run_id: row.run_id.0,
            name: row.name.0,
            order: row.plan.0,
            inputs: row.inputs.0,
            fresh: row.fresh,
            state: row.state.0,
            attempt: row.attempt.0,
            waiver: waiver.map(|((by, reason), at)| Waiver { by, reason, at }),
            generation: row.generation,
            created_at: row.created_at,
            started_at: row.started_at,
            finished_at: row.finished_at,
        }
    }
}

macro_rules! checks {
    ($tail:tt $(, $arg:expr)*) => {
        sqlx::query_as!(
            CheckRow,
            r#"select id as "id!: _", version_id as "version_id!: _", application_id as "application_id!: _",
            run_id as "run_id!: _", name as "name!: _", plan as "plan!: _", inputs as "inputs!: _",
            fresh as "fresh!", state_json as "state!: _", attempt as "attempt!: _",
            waived_by as "waived_by?", waived_reason as "waived_reason?", waived_at as "waived_at?",
            generation as "generation!", created_at as "created_at!", started_at as "started_at?",
            finished_at as "finished_at?" from declared_check "# + $tail
            $(, $arg)*
        )
    };
}

/// Whether it ran by itself and may serve others.
fn ran(check: &DeclaredCheck) -> bool {
    matches!(check.state, DeclaredCheckState::Passed { from: None })
}

#[async_trait]
impl<H: Handle> ReadDeclaredChecks for Session<H> {
    async fn declared_check_get(&mut self, id: CheckId) -> Result<Option<DeclaredCheck>> {
        let row = checks!("where id = $1", id.as_uuid()).fetch_optional(self.db()).await;
        Ok(row.map_err(failed)?.map(DeclaredCheck::from))
    }

    async fn declared_checks_of(&mut self, version: VersionId) -> Result<Vec<DeclaredCheck>> {
        let rows =
            checks!("where version_id = $1 order by name", version.as_uuid()).fetch_all(self.db()).await;
        Ok(rows.map_err(failed)?.into_iter().map(DeclaredCheck::from).collect())
    }

    async fn declared_checks_holding(&mut self, versions: &[VersionId]) -> Result<Vec<DeclaredCheck>> {
        let versions: Vec<uuid::Uuid> = versions.iter().map(VersionId::as_uuid).collect();
        let rows = checks!(
            "where state <> 'passed' and waived_at is null and version_id = any($1) order by version_id, name",
            &versions
        );
        let rows = rows.fetch_all(self.db()).await;
        Ok(rows.map_err(failed)?.into_iter().map(DeclaredCheck::from).collect())
    }

    async fn declared_checks_red_last(&mut self, limit: u32) -> Result<Vec<DeclaredCheck>> {
        // One step along an index for each application, however many runs there are.
        let rows = checks!(
            "where state not in ('queued', 'running', 'passed') and waived_at is null and run_id in (
                select (select r.id from run r where r.application_id = a.id order by r.id desc limit 1)
                from application a where a.deleted_at is null)
            order by version_id desc, name limit $1",
            rows(limit)
        );
        let rows = rows.fetch_all(self.db()).await;
        Ok(rows.map_err(failed)?.into_iter().map(DeclaredCheck::from).collect())
    }

    async fn declared_check_passed(
        &mut self,
        application: ApplicationId,
        inputs: &Digest,
        since: DateTime<Utc>,
    ) -> Result<Option<DeclaredCheck>> {
        let row = checks!(
            "where application_id = $1 and inputs = $2 and state = 'passed' and ran and finished_at >= $3
            order by finished_at desc limit 1",
            application.as_uuid(),
            inputs.to_string(),
            since
        );
        Ok(row.fetch_optional(self.db()).await.map_err(failed)?.map(DeclaredCheck::from))
    }
}

#[async_trait]
impl WriteDeclaredChecks for Writer {
    async fn declared_checks_insert(&mut self, checks: &[DeclaredCheck]) -> Result<Vec<CheckId>> {
        let mut made = Vec::new();
        for check in checks {
            let waiver = check.waiver.as_ref();
            let inserted = sqlx::query!(
                "insert into declared_check (id, version_id, application_id, run_id, name, plan, inputs, fresh,
                state, ran, state_json, attempt, waived_by, waived_reason, waived_at, generation, created_at,
                started_at, finished_at)
                values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19)
                on conflict (version_id, name) do nothing",
                check.id.as_uuid(),
                check.version_id.as_uuid(),
                check.application_id.as_uuid(),
                check.run_id.as_uuid(),
                check.name.as_str(),
                json(&check.order),
                check.inputs.to_string(),
                check.fresh,
                check.state.word(),
                ran(check),
                json(&check.state),
                i64::from(check.attempt),
                waiver.map(|waiver| waiver.by.clone()),
                waiver.map(|waiver| text(&waiver.reason)),
                waiver.map(|waiver| waiver.at),
                check.generation,
                check.created_at,
                check.started_at,
                check.finished_at,
            );
            let inserted = inserted.execute(self.db()).await.map_err(failed)?;
            if inserted.rows_affected() == 1 {
                made.push(check.id);
            }
        }
        Ok(made)
    }

    async fn declared_check_save(&mut self, check: &mut DeclaredCheck) -> Result<bool> {
        let waiver = check.waiver.as_ref();
        let saved = sqlx::query!(
            "update declared_check set fresh = $3, state = $4, ran = $5, state_json = $6, attempt = $7,
            waived_by = $8, waived_reason = $9, waived_at = $10, started_at = $11, finished_at = $12,
            generation = generation + 1 where id = $1 and generation = $2",
            check.id.as_uuid(),
            check.generation,
            check.fresh,
            check.state.word(),
            ran(check),
            json(&check.state),
            i64::from(check.attempt),
            waiver.map(|waiver| waiver.by.clone()),
            waiver.map(|waiver| text(&waiver.reason)),
            waiver.map(|waiver| waiver.at),
            check.started_at,
            check.finished_at,
        )
        .execute(self.db())
        .await
        .map_err(failed)?
        .rows_affected()
            == 1;
        if saved {
            check.generation += 1;
        }
        Ok(saved)
    }
}
