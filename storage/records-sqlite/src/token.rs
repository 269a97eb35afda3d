//! Access tokens.

use async_trait::async_trait;
use chrono::{DateTime, DurationRound, TimeDelta, Utc};
use slipway_records::{NewToken, ReadTokens, Result, TokenPage, TokenRow, WriteTokens};
use slipway_types::access::RepositoryGrant;
use slipway_types::id::{ApplicationId, EnvironmentId, TokenId};
use slipway_types::{Digest, Role};

use crate::error::{failed, failed_insert};
use crate::session::{Handle, Session, Writer};
use crate::value::{Json, Millis, Text, json, millis, now, rows};

struct StoredToken {
    id: Text<TokenId>,
    name: String,
    person: Option<String>,
    role: Option<Text<Role>>,
    break_glass: bool,
    application_id: Option<Text<ApplicationId>>,
    pulls_for: Option<Text<EnvironmentId>>,
    grants: Json<Vec<RepositoryGrant>>,
    created_at: Millis,
    expires_at: Option<Millis>,
    last_used_at: Option<Millis>,
    revoked_at: Option<Millis>,
}

impl From<StoredToken> for TokenRow {
    fn from(row: StoredToken) -> Self {
        let role = row.role.filter(|_| row.pulls_for.is_none());
        Self {
            id: row.id.0,
            name: row.name,
            person: row.person,
            role: role.map(|role| role.0),
            break_glass: row.break_glass,
            application_id: row.application_id.map(|id| id.0),
            pulls_for: row.pulls_for.map(|id| id.0),
            grants: row.grants.0,
            created_at: row.created_at.0,
            expires_at: row.expires_at.map(|at| at.0),
            last_used_at: row.last_used_at.map(|at| at.0),
            revoked_at: row.revoked_at.map(|at| at.0),
        }
    }
}

/// The role in a token's row. One that only pulls has the least: it is all that the release before knows of it.
fn stored_role(row: &TokenRow) -> Option<Role> {
    row.role.or(row.pulls_for.map(|_| Role::Reader))
}

macro_rules! tokens {
    ($tail:tt $(, $arg:expr)*) => {
        sqlx::query_as!(
            StoredToken,
            r#"select id as "id!: _", name as "name!", person, role as "role?: _",
            break_glass as "break_glass!: _",
            application_id as "application_id?: _", pull_environment_id as "pulls_for?: _",
            grants as "grants!: _", created_at as "created_at!: _",
            expires_at as "expires_at?: _", last_used_at as "last_used_at?: _", revoked_at as "revoked_at?: _"
            from token "# + $tail
            $(, $arg)*
        )
    };
}

#[async_trait]
impl<H: Handle> ReadTokens for Session<H> {
    async fn token_by_hash(&mut self, hash: &Digest) -> Result<Option<TokenRow>> {
        let row = tokens!("where hash = ?1", hash.to_string()).fetch_optional(self.db()).await;
        Ok(row.map_err(failed)?.map(TokenRow::from))
    }

    async fn token_get(&mut self, id: TokenId) -> Result<Option<TokenRow>> {
        let row = tokens!("where id = ?1", id.to_string()).fetch_optional(self.db()).await;
        Ok(row.map_err(failed)?.map(TokenRow::from))
    }

    async fn token_live_by_name(&mut self, name: &str) -> Result<Option<TokenRow>> {
        let row = tokens!("where name = ?1 and revoked_at is null", name).fetch_optional(self.db()).await;
        Ok(row.map_err(failed)?.map(TokenRow::from))
    }

    async fn pull_tokens_of_environment(&mut self, environment: EnvironmentId) -> Result<Vec<TokenRow>> {
        let rows = tokens!(
            "where pull_environment_id = ?1 and revoked_at is null order by name",
            environment.to_string()
        )
        .fetch_all(self.db())
        .await;
        Ok(rows.map_err(failed)?.into_iter().map(TokenRow::from).collect())
    }

    async fn pull_tokens_of_application(&mut self, application: ApplicationId) -> Result<Vec<TokenRow>> {
        let rows = tokens!(
            "where pull_environment_id is not null and application_id = ?1 and revoked_at is null
            order by name",
            application.to_string()
        )
        .fetch_all(self.db())
        .await;
        Ok(rows.map_err(failed)?.into_iter().map(TokenRow::from).collect())
    }

    async fn token_list(&mut self) -> Result<Vec<TokenRow>> {
        let rows = tokens!("where role is not null order by name, id").fetch_all(self.db()).await;
        Ok(rows.map_err(failed)?.into_iter().map(TokenRow::from).collect())
    }

    async fn token_page(&mut self, page: &TokenPage) -> Result<Vec<TokenRow>> {
        let (name, id) = match &page.after {
            Some((name, id)) => (name.as_str(), id.to_string()),
            None => ("", String::new()),
        };
        let found = match page.holding_at {
            None => {
                tokens!(
                    "where role is not null and (name, id) > (?1, ?2) order by name, id limit ?3",
                    name,
                    id,
                    rows(page.limit)
                )
                .fetch_all(self.db())
                .await
            }
            // `+`: the index of names that are taken would be walked through the tokens of builds.
            Some(at) => {
                tokens!(
                    "where role is not null and (name, id) > (?1, ?2) and +revoked_at is null
                    and (expires_at is null or expires_at > ?3) order by name, id limit ?4",
                    name,
                    id,
                    millis(at),
                    rows(page.limit)
                )
                .fetch_all(self.db())
                .await
            }
        };
        Ok(found.map_err(failed)?.into_iter().map(TokenRow::from).collect())
    }

    async fn token_any_ended(&mut self, at: DateTime<Utc>) -> Result<bool> {
        let ended = sqlx::query_scalar!(
            r#"select id as "id!: Text<TokenId>" from token
            where role is not null and (revoked_at is not null or expires_at <= ?1) limit 1"#,
            millis(at),
        )
        .fetch_optional(self.db())
        .await
        .map_err(failed)?;
        Ok(ended.is_some())
    }
}

#[async_trait]
impl WriteTokens for Writer {
    async fn token_insert(&mut self, token: NewToken) -> Result<TokenRow> {
        let row = TokenRow {
            id: TokenId::new(),
            name: token.name,
            person: token.person,
            role: token.role.filter(|_| token.pulls_for.is_none()),
            break_glass: token.break_glass,
            application_id: token.application_id,
            pulls_for: token.pulls_for,
            grants: token.grants,
            created_at: now(),
            expires_at: token.expires_at,
            last_used_at: None,
            revoked_at: None,
        };
        let role = stored_role(&row);
        sqlx::query!(
            "insert into token (id, name, hash, role, application_id, grants, created_at, expires_at, person,
            break_glass, pull_environment_id)
            values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
            row.id.to_string(),
            row.name,
            token.hash.to_string(),
            role.map(|role| role.to_string()),
            row.application_id.map(|id| id.to_string()),
            json(&row.grants),
            millis(row.created_at),
            row.expires_at.map(millis),
            row.person,
            row.break_glass,
            row.pulls_for.map(|id| id.to_string()),
        )
        .execute(self.db())
        .await
        .map_err(|error| failed_insert(error, || format!("token `{}`", row.name)))?;
        Ok(row)
    }

    async fn token_used(&mut self, id: TokenId, at: DateTime<Utc>) -> Result<()> {
        let minute = at.duration_trunc(TimeDelta::minutes(1)).unwrap_or(at);
        sqlx::query!(
            "update token set last_used_at = ?2
            where id = ?1 and (last_used_at is null or last_used_at < ?2)",
            id.to_string(),
            millis(minute),
        )
        .execute(self.db())
        .await
        .map_err(failed)?;
        Ok(())
    }

    async fn token_revoke(&mut self, id: TokenId, at: DateTime<Utc>) -> Result<bool> {
        let revoked = sqlx::query!(
            "update token set revoked_at = ?2 where id = ?1 and revoked_at is null",
            id.to_string(),
            millis(at),
        )
        .execute(self.db())
        .await
        .map_err(failed)?;
        Ok(revoked.rows_affected() == 1)
    }
}
