//! Browsers in which somebody is signed in.

use async_trait::async_trait;
use chrono::{DateTime, DurationRound, TimeDelta, Utc};
use slipway_records::{ReadSignIns, RecordsError, Result, SignIn, WriteSignIns};
use slipway_types::Digest;
use slipway_types::id::TokenId;

use crate::error::failed;
use crate::session::{Handle, Session, Writer};
use crate::value::{Id, Text, rows};

struct SignInRow {
    hash: Text<Digest>,
    token_id: Id<TokenId>,
    created_at: DateTime<Utc>,
    last_seen_at: DateTime<Utc>,
    expires_at: DateTime<Utc>,
}

impl From<SignInRow> for SignIn {
    fn from(row: SignInRow) -> Self {
        Self {
            hash: row.hash.0,
            token_id: row.token_id.0,
            created_at: row.created_at,
            last_seen_at: row.last_seen_at,
            expires_at: row.expires_at,
        }
    }
}

#[async_trait]
impl<H: Handle> ReadSignIns for Session<H> {
    async fn sign_in_get(&mut self, hash: &Digest) -> Result<Option<SignIn>> {
        let found = sqlx::query_as!(
            SignInRow,
            r#"select hash as "hash!: _", token_id as "token_id!: _", created_at as "created_at!",
            last_seen_at as "last_seen_at!", expires_at as "expires_at!"
            from sign_in where hash = $1"#,
            hash.to_string(),
        )
        .fetch_optional(self.db())
        .await
        .map_err(failed)?;
        Ok(found.map(SignIn::from))
    }
}

#[async_trait]
impl WriteSignIns for Writer {
    async fn sign_in_insert(&mut self, sign_in: &SignIn) -> Result<()> {
        let made = sqlx::query!(
            "insert into sign_in (hash, token_id, created_at, last_seen_at, expires_at)
            values ($1, $2, $3, $4, $5) on conflict do nothing",
            sign_in.hash.to_string(),
            sign_in.token_id.as_uuid(),
            sign_in.created_at,
            sign_in.last_seen_at,
            sign_in.expires_at,
        )
        .execute(self.db())
        .await
        .map_err(failed)?;
        if made.rows_affected() == 0 {
            return Err(RecordsError::Conflict { what: "the sign-in".to_owned() });
        }
        Ok(())
    }

    async fn sign_in_seen(&mut self, hash: &Digest, at: DateTime<Utc>) -> Result<()> {
        let minute = at.duration_trunc(TimeDelta::minutes(1)).unwrap_or(at);
        sqlx::query!(
            "update sign_in set last_seen_at = $2 where hash = $1 and last_seen_at < $2",
            hash.to_string(),
            minute,
        )
        .execute(self.db())
        .await
        .map_err(failed)?;
        Ok(())
    }

    async fn sign_in_remove(&mut self, hash: &Digest) -> Result<bool> {
        let removed = sqlx::query!("delete from sign_in where hash = $1", hash.to_string())
            .execute(self.db())
            .await
            .map_err(failed)?;
        Ok(removed.rows_affected() == 1)
    }

    async fn sign_ins_forget(&mut self, before: DateTime<Utc>, limit: u32) -> Result<u64> {
        let removed = sqlx::query!(
            "delete from sign_in where hash in
            (select hash from sign_in where expires_at < $1 order by expires_at limit $2)",
            before,
            rows(limit),
        )
        .execute(self.db())
        .await
        .map_err(failed)?;
        Ok(removed.rows_affected())
    }
}
