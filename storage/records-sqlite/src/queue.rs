//! The job queue.

use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use slipway_records::queue::{LOSSES_MAX, LOSSES_SUSPICIOUS, pause_after_loss};
use slipway_records::{
    Change, Job, JobPayload, JobState, NewJob, Page, Queue, QueueDepth, RecordsError, Result,
};
use slipway_types::id::{ApplicationId, JobId};
use sqlx::SqliteConnection;

use crate::error::{UnknownWord, failed};
use crate::records::SqliteRecords;
use crate::value::{Int, Json, Millis, Text, below, json, millis, millis_after, now, rows};

/// Done jobs removed in one transaction, so that other writers need not wait long.
const FORGET_ROWS_MAX: i64 = 1000;

struct JobRow {
    id: Text<JobId>,
    payload: Json<JobPayload>,
    application_id: Option<Text<ApplicationId>>,
    state: String,
    attempt: Int<u32>,
    attempts_max: Int<u32>,
    losses: Int<u32>,
    token: i64,
    run_at: Millis,
    last_error: Option<String>,
    created_at: Millis,
}

impl TryFrom<JobRow> for Job {
    type Error = RecordsError;

    fn try_from(row: JobRow) -> Result<Self> {
        let state = [JobState::Ready, JobState::Leased, JobState::Done, JobState::Dead]
            .into_iter()
            .find(|state| state.word() == row.state)
            .ok_or_else(|| RecordsError::Unreadable {
                what: format!("job {}", row.id.0),
                source: UnknownWord(row.state).into(),
            })?;
        Ok(Self {
            id: row.id.0,
            payload: row.payload.0,
            application_id: row.application_id.map(|id| id.0),
            state,
            attempt: row.attempt.0,
            attempts_max: row.attempts_max.0,
            losses: row.losses.0,
            token: row.token,
            run_at: row.run_at.0,
            last_error: row.last_error,
            created_at: row.created_at.0,
        })
    }
}

macro_rules! jobs {
    ($tail:tt $(, $arg:expr)*) => {
        sqlx::query_as!(
            JobRow,
            r#"select id as "id!: _", payload as "payload!: _", application_id as "application_id?: _",
            state as "state!", attempt as "attempt!: _", attempts_max as "attempts_max!: _",
            losses as "losses!: _", token as "token!", run_at as "run_at!: _", last_error as "last_error?",
            created_at as "created_at!: _" from job "# + $tail
            $(, $arg)*
        )
    };
}

/// Puts a job into the queue as part of the caller's transaction.
pub(crate) async fn enqueue(db: &mut SqliteConnection, job: &NewJob) -> Result<JobId> {
    let application = job.application_id.map(|id| id.to_string());
    sqlx::query!(
        "insert into queue_turn (turn, served) values (coalesce(?1, ''), 0) on conflict (turn) do nothing",
        application,
    )
    .execute(&mut *db)
    .await
    .map_err(failed)?;
    let id = sqlx::query_scalar!(
        r#"insert into job (id, kind, payload, dedupe_key, application_id, state, run_at, attempts_max, created_at)
        values (?1, ?2, ?3, ?4, ?5, 'ready', ?6, ?7, ?8)
        on conflict (dedupe_key) where state = 'ready' do update set run_at = case when losses >= ?9 then run_at else min(run_at, excluded.run_at) end
        returning id as "id!: Text<JobId>""#,
        JobId::new().to_string(),
        job.payload.kind(),
        json(&job.payload),
        job.payload.dedupe_key(),
        application,
        millis_after(job.delay),
        job.attempts_max,
        millis(now()),
        LOSSES_SUSPICIOUS,
    )
    .fetch_one(db)
    .await
    .map_err(failed)?;
    Ok(id.0)
}

/// A leased job whose lease has run out, the longest ago first.
async fn expired(db: &mut SqliteConnection, kinds: &str, now: i64) -> Result<Option<String>> {
    sqlx::query_scalar!(
        r#"select id as "id!" from job where state = 'leased' and lease_until <= ?2
        and kind in (select value from json_each(?1)) order by lease_until limit 1"#,
        kinds,
        now,
    )
    .fetch_optional(db)
    .await
    .map_err(failed)
}

/// The due job of those whose turn it is: for each turn and kind only the first is looked at, and
/// none whose dedupe key another job holds leased.
async fn next(db: &mut SqliteConnection, kinds: &str, now: i64) -> Result<Option<String>> {
    sqlx::query_scalar!(
        r#"select j.id as "id!" from queue_turn t cross join json_each(?1) k cross join job j
        where j.id = (select r.id from job r where r.turn = t.turn and r.kind = k.value and r.state = 'ready'
            and r.run_at <= ?2 and not exists (select 1 from job l
                where l.state = 'leased' and l.dedupe_key = r.dedupe_key and l.lease_until > ?2)
            order by r.run_at, r.id limit 1)
        order by t.served, j.run_at, j.id limit 1"#,
        kinds,
        now,
    )
    .fetch_optional(db)
    .await
    .map_err(failed)
}

/// Leases one job to `owner` and ends its application's turn.
async fn lease(db: &mut SqliteConnection, id: &str, owner: &str, until: i64) -> Result<Job> {
    sqlx::query!(
        "update job set state = 'leased', token = token + 1, lease_owner = ?2, lease_until = ?3,
        attempt = attempt + (state = 'ready'), losses = losses + (state = 'leased') where id = ?1",
        id,
        owner,
        until,
    )
    .execute(&mut *db)
    .await
    .map_err(failed)?;
    sqlx::query!(
        "update queue_turn set served = (select max(served) + 1 from queue_turn)
        where turn = (select turn from job where id = ?1)",
        id,
    )
    .execute(&mut *db)
    .await
    .map_err(failed)?;
    jobs!("where id = ?1", id).fetch_one(db).await.map_err(failed)?.try_into()
}

/// How a claim ended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    /// Its worker failed, which counts.
    Failed,
    /// Its worker could not go on, which does not.
    Waits,
    /// Its worker's process died.
    Lost,
}

/// Makes a leased job ready, unless another with its dedupe key is.
async fn make_ready(
    db: &mut SqliteConnection,
    id: &str,
    token: i64,
    due: i64,
    error: &str,
    end: End,
) -> Result<bool> {
    let ready = sqlx::query!(
        "update job set state = 'ready', run_at = ?3, last_error = ?4, lease_owner = null, lease_until = null,
        attempt = case when ?5 then attempt else max(attempt - 1, 0) end,
        losses = case when ?6 then losses + 1 when losses > ?7 then losses else 0 end
        where id = ?1 and token = ?2 and state = 'leased' and not exists
        (select 1 from job twin where twin.dedupe_key = job.dedupe_key and twin.state = 'ready')",
        id,
        token,
        due,
        error,
        end == End::Failed,
        end == End::Lost,
        LOSSES_MAX,
    )
    .execute(db)
    .await
    .map_err(failed)?;
    Ok(ready.rows_affected() == 1)
}

/// Ends a leased job whose twin is ready: the twin does its work and carries its count on.
async fn merge_into_twin(
    db: &mut SqliteConnection,
    id: &str,
    token: i64,
    due: i64,
    error: &str,
    end: End,
) -> Result<bool> {
    let ended = sqlx::query!(
        "update job set state = 'done', last_error = ?3, finished_at = ?4, lease_owner = null,
        lease_until = null where id = ?1 and token = ?2 and state = 'leased'",
        id,
        token,
        error,
        millis(now()),
    )
    .execute(&mut *db)
    .await
    .map_err(failed)?
    .rows_affected()
        == 1;
    if ended {
        sqlx::query!(
            "update job set last_error = ?3, run_at = case
                when ?5 and gone.losses + 1 >= ?6 then max(job.run_at, ?2)
                when job.losses >= ?6 then job.run_at else min(job.run_at, ?2) end,
            losses = max(job.losses, case when ?5 then gone.losses + 1
                when gone.losses > ?7 then gone.losses else 0 end),
            attempt = max(job.attempt, case when ?4 then gone.attempt else max(gone.attempt - 1, 0) end)
            from (select dedupe_key, attempt, losses from job where id = ?1) gone
            where job.dedupe_key = gone.dedupe_key and job.state = 'ready'",
            id,
            due,
            error,
            end == End::Failed,
            end == End::Lost,
            LOSSES_SUSPICIOUS,
            LOSSES_MAX,
        )
        .execute(db)
        .await
        .map_err(failed)?;
    }
    Ok(ended)
}

#[async_trait]
impl Queue for SqliteRecords {
    async fn claim(&self, kinds: &[&'static str], owner: &str, lease_for: Duration) -> Result<Option<Job>> {
        let kinds = json(kinds);
        // A look on a reader first: an empty queue costs no turn at the writer.
        let due = sqlx::query_scalar!(
            r#"select exists (select 1 from job where state = 'ready' and run_at <= ?2
                and kind in (select value from json_each(?1)))
            or exists (select 1 from job where state = 'leased' and lease_until <= ?2
                and kind in (select value from json_each(?1))) as "due!: bool""#,
            kinds,
            millis(now()),
        )
        .fetch_one(&self.readers)
        .await
        .map_err(failed)?;
        if !due {
            return Ok(None);
        }
        let mut transaction = self.transaction().await?;
        let now = millis(now());
        let found = match expired(&mut transaction, &kinds, now).await? {
            Some(id) => Some(id),
            None => next(&mut transaction, &kinds, now).await?,
        };
        let Some(id) = found else { return Ok(None) };
        let job = lease(&mut transaction, &id, owner, millis_after(lease_for)).await?;
        transaction.commit().await.map_err(failed)?;
        Ok(Some(job))
    }

    async fn heartbeat(&self, job: JobId, token: i64, lease: Duration) -> Result<bool> {
        let kept = sqlx::query!(
            "update job set lease_until = ?3 where id = ?1 and token = ?2 and state = 'leased'",
            job.to_string(),
            token,
            millis_after(lease),
        )
        .execute(&self.writer)
        .await
        .map_err(failed)?;
        Ok(kept.rows_affected() == 1)
    }

    async fn complete(&self, job: JobId, token: i64) -> Result<bool> {
        let done = sqlx::query!(
            "update job set state = 'done', finished_at = ?3, lease_owner = null, lease_until = null
            where id = ?1 and token = ?2 and state = 'leased'",
            job.to_string(),
            token,
            millis(now()),
        )
        .execute(&self.writer)
        .await
        .map_err(failed)?;
        Ok(done.rows_affected() == 1)
    }

    async fn give_back(
        &self,
        job: JobId,
        token: i64,
        delay: Duration,
        error: &str,
        counts: bool,
    ) -> Result<bool> {
        let (id, due) = (job.to_string(), millis_after(delay));
        let end = if counts { End::Failed } else { End::Waits };
        let mut transaction = self.transaction().await?;
        let given = make_ready(&mut transaction, &id, token, due, error, end).await?
            || merge_into_twin(&mut transaction, &id, token, due, error, end).await?;
        transaction.commit().await.map_err(failed)?;
        if given {
            self.changes.send(Change::Job);
        }
        Ok(given)
    }

    async fn bury(&self, job: JobId, token: i64, error: &str) -> Result<bool> {
        let dead = sqlx::query!(
            "update job set state = 'dead', finished_at = ?3, last_error = ?4, lease_owner = null,
            lease_until = null where id = ?1 and token = ?2 and state = 'leased'",
            job.to_string(),
            token,
            millis(now()),
            error,
        )
        .execute(&self.writer)
        .await
        .map_err(failed)?;
        Ok(dead.rows_affected() == 1)
    }

    async fn release(&self, prefix: &str) -> Result<u64> {
        let mut transaction = self.transaction().await?;
        let leased = sqlx::query!(
            r#"select id as "id!", token as "token!", losses as "losses!: Int<u32>" from job
            where state = 'leased' and substr(lease_owner, 1, length(?1)) = ?1 order by lease_until, id"#,
            prefix,
        )
        .fetch_all(&mut *transaction)
        .await
        .map_err(failed)?;
        let mut suspects = 0;
        for job in &leased {
            let pause = pause_after_loss(job.losses.0 + 1, suspects);
            suspects += u32::from(!pause.is_zero());
            let (due, error) = (millis_after(pause), "the server died");
            let _ready = make_ready(&mut transaction, &job.id, job.token, due, error, End::Lost).await?
                || merge_into_twin(&mut transaction, &job.id, job.token, due, error, End::Lost).await?;
        }
        transaction.commit().await.map_err(failed)?;
        if !leased.is_empty() {
            self.changes.send(Change::Job);
        }
        Ok(leased.len() as u64)
    }

    async fn depth(&self) -> Result<Vec<QueueDepth>> {
        struct Row {
            kind: String,
            state: String,
            count: Int<u64>,
            oldest_due: Option<Millis>,
        }
        let rows = sqlx::query_as!(
            Row,
            r#"select kind as "kind!", state as "state!", count(*) as "count!: _",
            min(case when state = 'ready' and run_at <= ?1 then run_at end) as "oldest_due?: _"
            from job where state <> 'done' group by state, kind order by kind, state"#,
            millis(now()),
        )
        .fetch_all(&self.readers)
        .await
        .map_err(failed)?;
        Ok(rows
            .into_iter()
            .map(|row| QueueDepth {
                kind: row.kind,
                state: row.state,
                count: row.count.0,
                oldest_due: row.oldest_due.map(|at| at.0),
            })
            .collect())
    }

    async fn next_due(&self, kinds: &[&'static str]) -> Result<Option<DateTime<Utc>>> {
        let due = sqlx::query_scalar!(
            r#"select min((select min(run_at) from job
                where state = 'ready' and kind = k.value and run_at > ?2)) as "due?: Millis"
            from json_each(?1) k"#,
            json(kinds),
            millis(now()),
        )
        .fetch_one(&self.readers)
        .await
        .map_err(failed)?;
        Ok(due.map(|at| at.0))
    }

    async fn dead(&self, page: Page) -> Result<Vec<Job>> {
        let rows = jobs!(
            "where state = 'dead' and id < ?1 order by id desc limit ?2",
            below(page.after),
            rows(page.limit)
        )
        .fetch_all(&self.readers)
        .await
        .map_err(failed)?;
        rows.into_iter().map(Job::try_from).collect()
    }

    async fn forget_done(&self, age: Duration) -> Result<u64> {
        let before = millis(now()).saturating_sub(i64::try_from(age.as_millis()).unwrap_or(i64::MAX));
        let mut total = 0;
        loop {
            let removed = sqlx::query!(
                "delete from job where id in (select id from job where state = 'done' and finished_at <= ?1
                order by finished_at limit ?2)",
                before,
                FORGET_ROWS_MAX,
            )
            .execute(&self.writer)
            .await
            .map_err(failed)?
            .rows_affected();
            total += removed;
            if removed < FORGET_ROWS_MAX.unsigned_abs() {
                return Ok(total);
            }
        }
    }
}
