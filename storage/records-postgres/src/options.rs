//! Where the database is, and its limits and times.

use std::fmt;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use slipway_records::Result;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use crate::error::failed;

/// Where the database is, and its limits and times.
#[derive(Clone)]
pub struct PostgresOptions {
    /// `postgres://USER@HOST:PORT/DATABASE`, with `?sslmode=verify-full&sslrootcert=FILE` and the
    /// like. Straight to the server or through a pooler that pools sessions, not transactions.
    pub url: String,
    /// Password, where `url` has none.
    pub password: Option<SecretString>,
    /// Connections at most, half of them for reading; one more listens for news.
    pub max_connections: u32,
    /// How long a caller waits for a connection, in milliseconds.
    pub acquire_timeout_ms: u64,
    /// How long a statement may take, waiting for locks included, in milliseconds.
    pub statement_timeout_ms: u64,
    /// How long a transaction may hold its locks without a statement, in milliseconds: those of a
    /// server that is gone are free after that.
    pub idle_transaction_timeout_ms: u64,
    /// How long bringing the tables up to this release may take, waiting for another server that
    /// does it included, in milliseconds.
    pub migration_timeout_ms: u64,
}

impl Default for PostgresOptions {
    fn default() -> Self {
        Self {
            url: String::new(),
            password: None,
            max_connections: 20,
            acquire_timeout_ms: 10_000,
            statement_timeout_ms: 30_000,
            idle_transaction_timeout_ms: 30_000,
            migration_timeout_ms: 600_000,
        }
    }
}

impl fmt::Debug for PostgresOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The address may hold a password.
        f.debug_struct("PostgresOptions")
            .field("max_connections", &self.max_connections)
            .field("acquire_timeout_ms", &self.acquire_timeout_ms)
            .field("statement_timeout_ms", &self.statement_timeout_ms)
            .field("idle_transaction_timeout_ms", &self.idle_transaction_timeout_ms)
            .field("migration_timeout_ms", &self.migration_timeout_ms)
            .finish_non_exhaustive()
    }
}

/// Statements kept prepared on each connection: more than there are.
const STATEMENTS_MAX: usize = 256;

impl PostgresOptions {
    /// How to connect for everything but migrations, which take their time.
    pub(crate) fn connecting(&self) -> Result<PgConnectOptions> {
        Ok(self.migrating()?.options([
            ("statement_timeout", self.statement_timeout_ms),
            ("idle_in_transaction_session_timeout", self.idle_transaction_timeout_ms),
        ]))
    }

    pub(crate) fn migrating(&self) -> Result<PgConnectOptions> {
        let mut options: PgConnectOptions = self.url.parse().map_err(failed)?;
        if let Some(password) = &self.password {
            options = options.password(password.expose_secret());
        }
        Ok(options.application_name("slipway").statement_cache_capacity(STATEMENTS_MAX).options([
            // What the statements are written for, whatever the database's default.
            ("default_transaction_isolation", "read committed"),
            // Tables that are there already are no news.
            ("client_min_messages", "warning"),
        ]))
    }

    pub(crate) fn pool(&self, connections: u32) -> PgPoolOptions {
        PgPoolOptions::new()
            .max_connections(connections.max(1))
            .acquire_timeout(Duration::from_millis(self.acquire_timeout_ms))
    }
}

/// `HOST:PORT/DATABASE` or the socket's path, without credentials.
pub(crate) fn place(options: &PgConnectOptions) -> String {
    let database = options.get_database().unwrap_or(options.get_username());
    match options.get_socket() {
        Some(socket) => format!("{}:{}/{database}", socket.display(), options.get_port()),
        None => format!("{}:{}/{database}", options.get_host(), options.get_port()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neither_the_place_nor_debug_tells_a_password() {
        let options = PostgresOptions {
            url: "postgres://me:hunter2@db.example.com:5433/slipway?sslmode=require".to_owned(),
            password: Some("hunter3".into()),
            ..PostgresOptions::default()
        };
        assert_eq!(place(&options.connecting().unwrap()), "db.example.com:5433/slipway");
        assert!(!format!("{options:?}").contains("hunter"));
    }

    #[test]
    fn an_address_that_is_none_is_refused() {
        let options = PostgresOptions { url: "no address".to_owned(), ..PostgresOptions::default() };
        assert!(options.connecting().is_err_and(|error| !error.is_transient()));
    }
}
