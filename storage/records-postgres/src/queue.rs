//! The job queue.
//!
//! Times are the database's: servers need not agree on theirs. A claim looks for the job whose turn
//! it is and takes it if nobody else does so at that moment (`skip locked`), else looks again.

mod given_back;

use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use slipway_records::queue::{LOSSES_SUSPICIOUS, pause_after_loss};
use slipway_records::{Job, JobPayload, JobState, NewJob, Page, Queue, QueueDepth, RecordsError, Result};
use slipway_types::id::{ApplicationId, JobId};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::error::{UnknownWord, failed, is_taken};
use crate::records::PostgresRecords;
use crate::value::{Id, Int, Json, below, json, rows, seconds, text};
use given_back::{End, GivenBack};

/// Done jobs removed in one transaction, so that its locks are few.
const FORGET_ROWS_MAX: i64 = 1000;
/// Jobs that others may take away from one claim before it gives up.
const CLAIM_TRIES_MAX: usize = 64;

struct JobRow {
    id: Id<JobId>,
    payload: Json<JobPayload>,
    application_id: Option<Id<ApplicationId>>,
    state: String,
    attempt: Int<u32>,
    attempts_max: Int<u32>,
    losses: Int<u32>,
    token: i64,
    run_at: DateTime<Utc>,
    last_error: Option<String>,
    created_at: DateTime<Utc>,
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
            run_at: row.run_at,
            last_error: row.last_error,
            created_at: row.created_at,
        })
    }
}

macro_rules! jobs {
    ($tail:tt $(, $arg:expr)*) => {
        sqlx::query_as!(
            JobRow,
            r#"select id as "id!: _", payload as "payload!: _", application_id as "application_id?: _",
            state as "state!", attempt as "attempt!: _", attempts_max as "attempts_max!: _",
            losses as "losses!: _", token as "token!", run_at as "run_at!", last_error as "last_error?",
            created_at as "created_at!" from job "# + $tail
            $(, $arg)*
        )
    };
}

/// Leases the job that `$taken` selects by `$1` and ends its application's turn. Neither waits for
/// another claim: a turn that one is just ending is ended.
macro_rules! lease {
    ($taken:tt, $by:expr, $owner:expr, $seconds:expr) => {
        sqlx::query_as!(
            JobRow,
            "with taken as ("
                + $taken
                + r#" for update skip locked), leased as (
                update job set state = 'leased', token = token + 1, lease_owner = $2,
                lease_until = statement_timestamp() + make_interval(secs => $3),
                attempt = attempt + case state when 'ready' then 1 else 0 end,
                losses = losses + case state when 'leased' then 1 else 0 end
                from taken where job.id = taken.id returning job.*
            ), served as (
                update queue_turn set served = nextval('queue_served') where turn in (
                    select t.turn from queue_turn t join leased on leased.turn = t.turn
                    for update of t skip locked)
            ) select id as "id!: _", payload as "payload!: _", application_id as "application_id?: _",
            state as "state!", attempt as "attempt!: _", attempts_max as "attempts_max!: _",
            losses as "losses!: _", token as "token!", run_at as "run_at!", last_error as "last_error?",
            created_at as "created_at!" from leased"#,
            $by,
            $owner,
            $seconds
        )
    };
}

/// Puts a job into the queue as part of the caller's transaction.
pub(crate) async fn enqueue(db: &mut PgConnection, job: &NewJob) -> Result<JobId> {
    let application = job.application_id.map(|id| id.as_uuid());
    sqlx::query!(
        "insert into queue_turn (turn, served) values (coalesce($1::uuid, $2), 0) on conflict (turn) do nothing",
        application,
        Uuid::nil(),
    )
    .execute(&mut *db)
    .await
    .map_err(failed)?;
    let id = sqlx::query_scalar!(
        r#"insert into job (id, kind, payload, dedupe_key, application_id, state, run_at, attempts_max, created_at)
        values ($1, $2, $3, $4, $5, 'ready', statement_timestamp() + make_interval(secs => $6), $7,
            statement_timestamp())
        on conflict (dedupe_key) where state = 'ready'
        do update set run_at = case when job.losses >= $8 then job.run_at
            else least(job.run_at, excluded.run_at) end returning id as "id!: Id<JobId>""#,
        JobId::new().as_uuid(),
        job.payload.kind(),
        json(&job.payload),
        job.payload.dedupe_key(),
        application,
        seconds(job.delay),
        i64::from(job.attempts_max),
        i64::from(LOSSES_SUSPICIOUS),
    )
    .fetch_one(db)
    .await
    .map_err(failed)?;
    Ok(id.0)
}

/// What is due.
struct Due {
    expired: bool,
    ready: bool,
}

/// A ready job that a claim would take, and whose turn it is.
struct Candidate {
    id: Uuid,
    turn: Uuid,
}

/// What others are just taking.
#[derive(Default)]
struct PassedOver {
    jobs: Vec<Uuid>,
    turns: Vec<Uuid>,
}

impl PostgresRecords {
    async fn due(&self, kinds: &[String]) -> Result<Due> {
        sqlx::query_as!(
            Due,
            r#"select exists (select 1 from job where state = 'leased' and lease_until <= statement_timestamp()
                and kind = any($1)) as "expired!",
            exists (select 1 from job where state = 'ready' and run_at <= statement_timestamp()
                and kind = any($1)) as "ready!""#,
            kinds,
        )
        .fetch_one(&self.writers)
        .await
        .map_err(failed)
    }

    /// Leases the job whose lease has run out the longest ago, if nobody else is about to.
    async fn claim_expired(&self, kinds: &[String], owner: &str, lease: Duration) -> Result<Option<JobRow>> {
        lease!(
            "select id from job where state = 'leased' and lease_until <= statement_timestamp()
            and kind = any($1) order by lease_until limit 1",
            kinds,
            owner,
            seconds(lease)
        )
        .fetch_optional(&self.writers)
        .await
        .map_err(failed)
    }

    /// The due job of those whose turn it is: for each turn and kind only the first is looked at.
    /// Turns that others are just ending come last.
    async fn candidate(&self, kinds: &[String], passed: &PassedOver) -> Result<Option<Candidate>> {
        sqlx::query_as!(
            Candidate,
            r#"select j.id as "id!", t.turn as "turn!" from queue_turn t cross join unnest($1::text[]) k (kind)
            cross join lateral (
                select id, run_at from job where turn = t.turn and kind = k.kind and state = 'ready'
                and run_at <= statement_timestamp() and id <> all($2) and not exists (
                    select 1 from job other where other.dedupe_key = job.dedupe_key and other.state = 'leased')
                order by run_at, id limit 1) j
            order by t.turn = any($3), t.served, j.run_at, j.id limit 1"#,
            kinds,
            &passed.jobs,
            &passed.turns,
        )
        .fetch_optional(&self.writers)
        .await
        .map_err(failed)
    }

    /// Leases that job to `owner`, unless another is faster.
    async fn claim_ready(&self, job: Uuid, owner: &str, lease: Duration) -> Result<Option<JobRow>> {
        let leased = lease!(
            "select id from job where id = $1 and state = 'ready' and run_at <= statement_timestamp()",
            job,
            owner,
            seconds(lease)
        )
        .fetch_optional(&self.writers)
        .await;
        match leased {
            // Its twin was leased since it was chosen.
            Err(error) if is_taken(&error) => Ok(None),
            leased => leased.map_err(failed),
        }
    }

    async fn claim_next(&self, kinds: &[String], owner: &str, lease: Duration) -> Result<Option<JobRow>> {
        let mut passed = PassedOver::default();
        for _ in 0..CLAIM_TRIES_MAX {
            let Some(candidate) = self.candidate(kinds, &passed).await? else { return Ok(None) };
            let job = self.claim_ready(candidate.id, owner, lease).await?;
            if job.is_some() {
                return Ok(job);
            }
            passed.jobs.push(candidate.id);
            passed.turns.push(candidate.turn);
        }
        Ok(None)
    }
}

/// The kinds, as PostgreSQL takes them.
fn words(kinds: &[&'static str]) -> Vec<String> {
    kinds.iter().map(|kind| (*kind).to_owned()).collect()
}

#[async_trait]
impl Queue for PostgresRecords {
    async fn claim(&self, kinds: &[&'static str], owner: &str, lease: Duration) -> Result<Option<Job>> {
        let kinds = words(kinds);
        let due = self.due(&kinds).await?;
        let mut found = None;
        if due.expired {
            found = self.claim_expired(&kinds, owner, lease).await?;
        }
        if found.is_none() && due.ready {
            found = self.claim_next(&kinds, owner, lease).await?;
        }
        found.map(Job::try_from).transpose()
    }

    async fn heartbeat(&self, job: JobId, token: i64, lease: Duration) -> Result<bool> {
        let kept = sqlx::query!(
            "update job set lease_until = statement_timestamp() + make_interval(secs => $3)
            where id = $1 and token = $2 and state = 'leased'",
            job.as_uuid(),
            token,
            seconds(lease),
        )
        .execute(&self.writers)
        .await
        .map_err(failed)?;
        Ok(kept.rows_affected() == 1)
    }

    async fn complete(&self, job: JobId, token: i64) -> Result<bool> {
        let done = sqlx::query!(
            "update job set state = 'done', finished_at = statement_timestamp(), lease_owner = null,
            lease_until = null where id = $1 and token = $2 and state = 'leased'",
            job.as_uuid(),
            token,
        )
        .execute(&self.writers)
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
        let error = text(error);
        let end = if counts { End::Failed } else { End::Waits };
        GivenBack { id: job.as_uuid(), token, delay, error: &error, end }.carry_out(self).await
    }

    async fn bury(&self, job: JobId, token: i64, error: &str) -> Result<bool> {
        let dead = sqlx::query!(
            "update job set state = 'dead', finished_at = statement_timestamp(), last_error = $3,
            lease_owner = null, lease_until = null where id = $1 and token = $2 and state = 'leased'",
            job.as_uuid(),
            token,
            text(error),
        )
        .execute(&self.writers)
        .await
        .map_err(failed)?;
        Ok(dead.rows_affected() == 1)
    }

    async fn release(&self, prefix: &str) -> Result<u64> {
        let leased = sqlx::query!(
            r#"select id as "id!", token as "token!", losses as "losses!: Int<u32>" from job
            where state = 'leased' and starts_with(lease_owner, $1) order by lease_until, id"#,
            prefix,
        )
        .fetch_all(&self.writers)
        .await
        .map_err(failed)?;
        let (mut released, mut suspects) = (0, 0);
        for job in &leased {
            let delay = pause_after_loss(job.losses.0 + 1, suspects);
            suspects += u32::from(!delay.is_zero());
            let error = "the server died";
            let given = GivenBack { id: job.id, token: job.token, delay, error, end: End::Lost };
            released += u64::from(given.carry_out(self).await?);
        }
        Ok(released)
    }

    async fn depth(&self) -> Result<Vec<QueueDepth>> {
        struct Row {
            kind: String,
            state: String,
            count: Int<u64>,
            oldest_due: Option<DateTime<Utc>>,
        }
        let rows = sqlx::query_as!(
            Row,
            r#"select kind as "kind!", state as "state!", count(*) as "count!: _",
            min(run_at) filter (where state = 'ready' and run_at <= statement_timestamp()) as "oldest_due?"
            from job where state <> 'done' group by state, kind order by kind, state"#,
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
                oldest_due: row.oldest_due,
            })
            .collect())
    }

    async fn next_due(&self, kinds: &[&'static str]) -> Result<Option<DateTime<Utc>>> {
        sqlx::query_scalar!(
            r#"select min((select min(run_at) from job
                where state = 'ready' and kind = k.kind and run_at > statement_timestamp())) as "due?"
            from unnest($1::text[]) k (kind)"#,
            &words(kinds),
        )
        .fetch_one(&self.readers)
        .await
        .map_err(failed)
    }

    async fn dead(&self, page: Page) -> Result<Vec<Job>> {
        let rows = jobs!(
            "where state = 'dead' and id < $1 order by id desc limit $2",
            below(page.after),
            rows(page.limit)
        )
        .fetch_all(&self.readers)
        .await
        .map_err(failed)?;
        rows.into_iter().map(Job::try_from).collect()
    }

    async fn forget_done(&self, age: Duration) -> Result<u64> {
        let mut total = 0;
        loop {
            let removed = sqlx::query!(
                "delete from job where id in (select id from job where state = 'done'
                and finished_at <= statement_timestamp() - make_interval(secs => $1)
                order by finished_at limit $2 for update skip locked)",
                seconds(age),
                FORGET_ROWS_MAX,
            )
            .execute(&self.writers)
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
