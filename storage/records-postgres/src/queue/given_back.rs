//! Giving a claimed job back.

use std::time::Duration;

use slipway_records::queue::{LOSSES_MAX, LOSSES_SUSPICIOUS};
use slipway_records::{Change, RecordsError, Result};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::error::{failed, is_taken};
use crate::records::PostgresRecords;
use crate::value::seconds;

/// How often giving a job back may find its twin come or gone in between.
const GIVE_BACK_TRIES_MAX: usize = 8;

/// How a claim ended.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// Its worker failed, which counts.
    Failed,
    /// Its worker could not go on, which does not.
    Waits,
    /// Its worker's process died.
    Lost,
}

/// A claim that gives its job back, and why.
pub(super) struct GivenBack<'a> {
    pub(super) id: Uuid,
    pub(super) token: i64,
    pub(super) delay: Duration,
    pub(super) error: &'a str,
    pub(super) end: End,
}

impl GivenBack<'_> {
    /// Makes the job ready, unless another with its dedupe key is.
    async fn make_ready(&self, db: &mut PgConnection) -> sqlx::Result<bool> {
        let ready = sqlx::query!(
            "update job set state = 'ready', run_at = statement_timestamp() + make_interval(secs => $3),
            last_error = $4, lease_owner = null, lease_until = null,
            attempt = case when $5 then attempt else greatest(attempt - 1, 0) end,
            losses = case when $6 then losses + 1 when losses > $7 then losses else 0 end
            where id = $1 and token = $2 and state = 'leased' and not exists
            (select 1 from job twin where twin.dedupe_key = job.dedupe_key and twin.state = 'ready')",
            self.id,
            self.token,
            seconds(self.delay),
            self.error,
            self.end == End::Failed,
            self.end == End::Lost,
            i64::from(LOSSES_MAX),
        )
        .execute(db)
        .await?;
        Ok(ready.rows_affected() == 1)
    }

    /// Ends the job if its twin is ready: that does its work and carries its count on.
    async fn merge_into_twin(&self, db: &mut PgConnection) -> sqlx::Result<bool> {
        let merged = sqlx::query!(
            "with twin as (
                select id from job where state = 'ready'
                and dedupe_key = (select dedupe_key from job where id = $1) for update
            ), gone as (
                update job set state = 'done', last_error = $4, finished_at = statement_timestamp(),
                lease_owner = null, lease_until = null
                where id = $1 and token = $2 and state = 'leased' and exists (select 1 from twin)
                returning attempt, losses
            ) update job set last_error = $4,
            losses = greatest(job.losses, case when $6 then gone.losses + 1
                when gone.losses > $8 then gone.losses else 0 end),
            run_at = case when $6 and gone.losses + 1 >= $7
                then greatest(job.run_at, statement_timestamp() + make_interval(secs => $3))
                when job.losses >= $7 then job.run_at
                else least(job.run_at, statement_timestamp() + make_interval(secs => $3)) end,
            attempt = greatest(job.attempt, case when $5 then gone.attempt else greatest(gone.attempt - 1, 0) end)
            from gone, twin where job.id = twin.id",
            self.id,
            self.token,
            seconds(self.delay),
            self.error,
            self.end == End::Failed,
            self.end == End::Lost,
            i64::from(LOSSES_SUSPICIOUS),
            i64::from(LOSSES_MAX),
        )
        .execute(db)
        .await?;
        Ok(merged.rows_affected() == 1)
    }

    async fn is_mine(&self, db: &mut PgConnection) -> sqlx::Result<bool> {
        sqlx::query_scalar!(
            r#"select exists (select 1 from job where id = $1 and token = $2 and state = 'leased') as "mine!""#,
            self.id,
            self.token,
        )
        .fetch_one(db)
        .await
    }

    /// `None`: the twin came or went in between.
    async fn attempt(&self, records: &PostgresRecords) -> Result<Option<bool>> {
        let mut transaction = records.transaction().await?;
        match self.make_ready(&mut transaction).await {
            Ok(true) => {}
            Ok(false) if self.merge_into_twin(&mut transaction).await.map_err(failed)? => {}
            Ok(false) => {
                return Ok((!self.is_mine(&mut transaction).await.map_err(failed)?).then_some(false));
            }
            Err(error) if is_taken(&error) => return Ok(None),
            Err(error) => return Err(failed(error)),
        }
        records.news.announce(&mut transaction, &[Change::Job]).await?;
        transaction.commit().await.map_err(failed)?;
        records.news.send(&[Change::Job]);
        Ok(Some(true))
    }

    /// Does it; `false` if the job is no longer this claim's.
    pub(super) async fn carry_out(&self, records: &PostgresRecords) -> Result<bool> {
        for _ in 0..GIVE_BACK_TRIES_MAX {
            if let Some(given) = self.attempt(records).await? {
                return Ok(given);
            }
        }
        let moving = std::io::Error::other("jobs with the key come and go");
        Err(RecordsError::Unavailable(moving.into()))
    }
}
