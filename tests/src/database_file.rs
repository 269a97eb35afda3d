//! The SQLite file of a server, looked at from outside.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqliteRow};
use sqlx::{ConnectOptions as _, Connection as _, SqliteConnection};
use tokio::runtime::Runtime;

/// How long it is waited for whoever writes.
const BUSY_TIMEOUT: Duration = Duration::from_secs(30);

/// The database of a server on SQLite.
#[derive(Debug)]
pub struct DatabaseFile {
    path: PathBuf,
    runtime: Runtime,
}

impl DatabaseFile {
    /// The one in a data directory.
    pub fn open(data: &Path) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        Self { path: data.join("slipway.db"), runtime }
    }

    /// The rows of a query, each column as text.
    pub fn rows(&self, query: &str) -> Vec<Vec<String>> {
        self.rows_at(&self.path, query)
    }

    /// The same from a copy: a killed server's files are left for it to recover. Of one that runs the copy would be
    /// torn.
    pub fn rows_in_copy(&self, query: &str) -> Vec<Vec<String>> {
        let copy = tempfile::tempdir().expect("a temporary directory");
        let path = copy.path().join("slipway.db");
        fs::copy(&self.path, &path).expect("the database can be copied");
        let log = self.path.with_extension("db-wal");
        if log.exists() {
            fs::copy(log, path.with_extension("db-wal")).expect("its log can be copied");
        }
        self.rows_at(&path, query)
    }

    /// Changes rows; gives how many.
    pub fn execute(&self, statement: &'static str) -> u64 {
        self.runtime.block_on(async {
            let mut connection = connect(&self.path).await;
            let done = sqlx::query(statement).execute(&mut connection).await;
            let done = done.unwrap_or_else(|error| panic!("{statement}: {error}"));
            connection.close().await.expect("the database can be closed");
            done.rows_affected()
        })
    }

    fn rows_at(&self, path: &Path, query: &str) -> Vec<Vec<String>> {
        self.runtime.block_on(async {
            let mut connection = connect(path).await;
            let rows = sqlx::query(sqlx::AssertSqlSafe(query.to_owned())).fetch_all(&mut connection).await;
            let rows = rows.unwrap_or_else(|error| panic!("{query}: {error}"));
            connection.close().await.expect("the database can be closed");
            rows.iter().map(text_of).collect()
        })
    }
}

async fn connect(path: &Path) -> SqliteConnection {
    let options = SqliteConnectOptions::new().filename(path).busy_timeout(BUSY_TIMEOUT);
    options.connect().await.expect("the database can be opened")
}

fn text_of(row: &SqliteRow) -> Vec<String> {
    use sqlx::{Row as _, TypeInfo as _, ValueRef as _};
    (0..row.len())
        .map(|index| {
            let value = row.try_get_raw(index).expect("a column");
            if value.is_null() {
                return String::new();
            }
            match value.type_info().name() {
                "INTEGER" => row.get_unchecked::<i64, _>(index).to_string(),
                "BLOB" => hex::encode(row.get_unchecked::<Vec<u8>, _>(index)),
                _ => row.get_unchecked::<String, _>(index),
            }
        })
        .collect()
}
