//! Opening the database, and what it offers as a whole.

use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use async_trait::async_trait;
use slipway_records::{Changes, Queue, Read, Records, RecordsError, Result, Write};
use sqlx::migrate::{MigrateError, Migrator};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{Connection, Sqlite, SqliteConnection, SqlitePool, Transaction};

use crate::error::failed;
use crate::session::Session;

static MIGRATOR: Migrator = sqlx::migrate!("../../migrations/sqlite");

/// Limits and times of the embedded database.
#[derive(Debug, Clone, Copy)]
pub struct SqliteOptions {
    /// Connections that read, beside the one that writes.
    pub readers: u32,
    /// How long a statement waits for another process's lock, in milliseconds.
    pub busy_timeout_ms: u64,
    /// How long a caller waits for its turn to write, or for a reader, in milliseconds.
    pub acquire_timeout_ms: u64,
    /// The write-ahead log is moved into the database once it has so many pages of 4 KiB.
    pub wal_autocheckpoint_pages: u32,
    /// The write-ahead log is cut back to so many bytes after that.
    pub max_wal_bytes: u64,
}

impl Default for SqliteOptions {
    fn default() -> Self {
        Self {
            readers: 4,
            busy_timeout_ms: 10_000,
            acquire_timeout_ms: 30_000,
            wal_autocheckpoint_pages: 1_000,
            max_wal_bytes: 64 << 20,
        }
    }
}

/// The records in one SQLite file.
#[derive(Debug)]
pub struct SqliteRecords {
    path: PathBuf,
    pub(crate) writer: SqlitePool,
    pub(crate) readers: SqlitePool,
    pub(crate) changes: Changes,
}

/// Statements kept prepared on each connection: more than there are.
const STATEMENTS_MAX: usize = 256;
/// Rows that `PRAGMA optimize` looks at for each index.
const ANALYSIS_ROWS_MAX: u32 = 400;

impl SqliteOptions {
    fn reading(&self, path: &Path) -> SqliteConnectOptions {
        SqliteConnectOptions::new()
            .filename(path)
            .read_only(true)
            .busy_timeout(Duration::from_millis(self.busy_timeout_ms))
            .statement_cache_capacity(STATEMENTS_MAX)
            .thread_name(|n| format!("sqlite-{n}"))
    }

    fn writing(&self, path: &Path) -> SqliteConnectOptions {
        self.reading(path)
            .read_only(false)
            .foreign_keys(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .pragma("wal_autocheckpoint", self.wal_autocheckpoint_pages.to_string())
            .pragma("journal_size_limit", self.max_wal_bytes.to_string())
            .optimize_on_close(true, ANALYSIS_ROWS_MAX)
    }

    fn pool(&self, connections: u32) -> SqlitePoolOptions {
        SqlitePoolOptions::new()
            .max_connections(connections)
            .acquire_timeout(Duration::from_millis(self.acquire_timeout_ms))
            .idle_timeout(None)
            .max_lifetime(None)
            // A file cannot hang up.
            .test_before_acquire(false)
            .after_release(|connection, _| Box::pin(is_at_rest(connection)))
    }
}

/// Whether no transaction is open once a dropped one was rolled back. On a full disk SQLite ends a
/// transaction itself; its driver then fails to, and counts it on for ever: such a connection must go.
async fn is_at_rest(connection: &mut SqliteConnection) -> sqlx::Result<bool> {
    if connection.is_in_transaction() {
        connection.ping().await?;
    }
    Ok(!connection.is_in_transaction())
}

/// Makes an empty file that only its owner can read; SQLite gives its companions the same mode.
fn create_private(path: &Path) -> Result<()> {
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::StorageFull => Err(RecordsError::NoSpace(error.into())),
        Err(error) => Err(RecordsError::Unavailable(error.into())),
    }
}

impl SqliteRecords {
    /// Opens the database at `path`, making it (readable by its owner only) and bringing its tables
    /// up to this release as needed. A database of a newer release is taken as it is.
    pub async fn open(path: &Path, options: SqliteOptions) -> Result<Self> {
        create_private(path)?;
        let writer = options.pool(1).connect_with(options.writing(path)).await.map_err(failed)?;
        let readers = options.pool(options.readers.max(1)).connect_lazy_with(options.reading(path));
        let records = Self { path: path.to_owned(), writer, readers, changes: Changes::default() };
        records.migrate().await?;
        Ok(records)
    }

    async fn migrate(&self) -> Result<()> {
        let mut migrator =
            Migrator { migrations: MIGRATOR.migrations.clone(), ..Migrator::with_migrations(Vec::new()) };
        migrator.set_ignore_missing(true);
        migrator.run(&self.writer).await.map_err(|error| match error {
            MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => failed(error),
            other => RecordsError::Refused(other.into()),
        })
    }

    /// Writes a copy of the whole database, as of now, to a new file. Nobody waits for it.
    pub async fn backup(&self, path: &Path) -> Result<()> {
        let Some(target) = path.to_str() else {
            let error = io::Error::new(io::ErrorKind::InvalidInput, "the path must be UTF-8");
            return Err(RecordsError::Refused(error.into()));
        };
        // Filled in place, so the copy too is its owner's alone.
        create_private(path)?;
        // A connection of its own, which never waits for the writer.
        let options = SqliteOptions::default().reading(&self.path).read_only(false);
        let mut connection = sqlx::SqliteConnection::connect_with(&options).await.map_err(failed)?;
        let written = sqlx::query("vacuum into ?1").bind(target).execute(&mut connection).await;
        connection.close().await.map_err(failed)?;
        written.map_err(failed)?;
        Ok(())
    }

    /// Closes every connection, waiting for those in use; the write-ahead log is then empty.
    pub async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) async fn transaction(&self) -> Result<Transaction<'static, Sqlite>> {
        self.writer.begin_with("BEGIN IMMEDIATE").await.map_err(failed)
    }
}

#[async_trait]
impl Records for SqliteRecords {
    async fn read(&self) -> Result<Box<dyn Read>> {
        let connection = self.readers.acquire().await.map_err(failed)?;
        Ok(Box::new(Session::new(connection, self.changes.clone())))
    }

    async fn begin(&self) -> Result<Box<dyn Write>> {
        Ok(Box::new(Session::new(self.transaction().await?, self.changes.clone())))
    }

    fn queue(&self) -> &dyn Queue {
        self
    }

    fn changes(&self) -> &Changes {
        &self.changes
    }

    fn describe(&self) -> String {
        format!("SQLite at {}", self.path.display())
    }

    async fn ping(&self) -> Result<()> {
        sqlx::query_scalar!("select 1").fetch_one(&self.readers).await.map_err(failed)?;
        Ok(())
    }
}
