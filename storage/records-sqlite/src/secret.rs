//! Sealed secrets.

use async_trait::async_trait;
use slipway_records::{ReadSecrets, Result, SealedSecret, SecretRow, WriteSecrets};

use crate::error::failed;
use crate::session::{Handle, Session, Writer};
use crate::value::{Int, Millis, millis, now, rows};

/// A text that comes after whatever a name goes on with.
const ABOVE_ALL: char = char::MAX;

struct StoredSecret {
    name: String,
    version: Int<u64>,
    set_by: String,
    set_at: Millis,
}

impl From<StoredSecret> for SecretRow {
    fn from(row: StoredSecret) -> Self {
        Self { name: row.name, version: row.version.0, set_by: row.set_by, set_at: row.set_at.0 }
    }
}

struct StoredValue {
    version: Int<u64>,
    sealed_key: Vec<u8>,
    sealed_value: Vec<u8>,
    set_by: String,
    set_at: Millis,
}

#[async_trait]
impl<H: Handle> ReadSecrets for Session<H> {
    async fn secret_get(&mut self, name: &str) -> Result<Option<(SecretRow, SealedSecret)>> {
        let row = sqlx::query_as!(
            StoredValue,
            r#"select version as "version!: _", sealed_key as "sealed_key!", sealed_value as "sealed_value!",
            set_by as "set_by!", set_at as "set_at!: _" from secret
            where name = ?1 and sealed_value is not null"#,
            name,
        )
        .fetch_optional(self.db())
        .await
        .map_err(failed)?;
        Ok(row.map(|row| {
            let secret = SecretRow {
                name: name.to_owned(),
                version: row.version.0,
                set_by: row.set_by,
                set_at: row.set_at.0,
            };
            (secret, SealedSecret { sealed_key: row.sealed_key, sealed_value: row.sealed_value })
        }))
    }

    async fn secret_list(&mut self) -> Result<Vec<SecretRow>> {
        let rows = sqlx::query_as!(
            StoredSecret,
            r#"select name as "name!", version as "version!: _", set_by as "set_by!", set_at as "set_at!: _"
            from secret where sealed_value is not null order by name"#,
        )
        .fetch_all(self.db())
        .await
        .map_err(failed)?;
        Ok(rows.into_iter().map(SecretRow::from).collect())
    }

    async fn secret_page(&mut self, prefix: &str, after: Option<&str>, limit: u32) -> Result<Vec<SecretRow>> {
        let found = sqlx::query_as!(
            StoredSecret,
            r#"select name as "name!", version as "version!: _", set_by as "set_by!", set_at as "set_at!: _"
            from secret where sealed_value is not null and name >= ?1 and name < ?2 and name > ?3
            order by name limit ?4"#,
            prefix,
            format!("{prefix}{ABOVE_ALL}"),
            after.unwrap_or_default(),
            rows(limit),
        )
        .fetch_all(self.db())
        .await
        .map_err(failed)?;
        Ok(found.into_iter().map(SecretRow::from).collect())
    }
}

#[async_trait]
impl WriteSecrets for Writer {
    async fn secret_put(&mut self, name: &str, sealed: &SealedSecret, by: &str) -> Result<SecretRow> {
        let row = sqlx::query_as!(
            StoredSecret,
            r#"insert into secret (name, version, sealed_key, sealed_value, set_by, set_at)
            values (?1, 1, ?2, ?3, ?4, ?5)
            on conflict (name) do update set version = version + 1, sealed_key = excluded.sealed_key,
            sealed_value = excluded.sealed_value, set_by = excluded.set_by, set_at = excluded.set_at
            returning name as "name!", version as "version!: _", set_by as "set_by!", set_at as "set_at!: _""#,
            name,
            sealed.sealed_key,
            sealed.sealed_value,
            by,
            millis(now()),
        )
        .fetch_one(self.db())
        .await
        .map_err(failed)?;
        Ok(row.into())
    }

    async fn secret_remove(&mut self, name: &str) -> Result<bool> {
        let removed = sqlx::query!(
            "update secret set sealed_key = null, sealed_value = null
            where name = ?1 and sealed_value is not null",
            name,
        )
        .execute(self.db())
        .await
        .map_err(failed)?;
        Ok(removed.rows_affected() == 1)
    }
}
