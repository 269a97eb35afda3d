//! The server's SQLite file, looked at from outside: what was written, and how often.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _, SqliteConnection};
use tokio::runtime::Runtime;

/// What repeating a finished step of a deployment may not change.
const CONTENT: [&str; 10] = [
    "approval",
    "audit",
    "blob_link",
    "deployed",
    "deployment",
    "environment",
    "hold",
    "manifest",
    "tag",
    "token",
];
/// Columns that tell of looking alone.
const LOOKED: [&str; 1] = ["last_used_at"];

/// The database of a server on SQLite.
pub(crate) struct Ledger {
    path: PathBuf,
    runtime: Runtime,
}

impl Ledger {
    /// The one in a data directory.
    pub(crate) fn open(data: &Path) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        Self { path: data.join("slipway.db"), runtime }
    }

    /// The rows of a query, columns as text, from a copy: the server's own files are left for it.
    pub(crate) fn rows(&self, query: &str) -> Vec<String> {
        let copy = tempfile::tempdir().expect("a temporary directory");
        let path = copy.path().join("slipway.db");
        fs::copy(&self.path, &path).expect("the database can be copied");
        let log = self.path.with_extension("db-wal");
        if log.exists() {
            fs::copy(log, path.with_extension("db-wal")).expect("its log can be copied");
        }
        self.runtime.block_on(async {
            let mut connection = connect(&path).await;
            let rows = sqlx::query(sqlx::AssertSqlSafe(query.to_owned())).fetch_all(&mut connection).await;
            let rows = rows.unwrap_or_else(|error| panic!("{query}: {error}"));
            connection.close().await.expect("the database can be closed");
            rows.iter().map(text_of).collect()
        })
    }

    /// The content of every table that stands for what was done.
    pub(crate) fn content(&self) -> BTreeMap<&'static str, Vec<String>> {
        let columns = |table: &str| {
            let names = self.rows(&format!("select name from pragma_table_info('{table}')"));
            let kept = names.into_iter().filter(|name| !LOOKED.contains(&name.as_str()));
            kept.collect::<Vec<_>>().join(", ")
        };
        let rows = |table: &str| {
            let columns = columns(table);
            self.rows(&format!("select {columns} from {table} order by {columns}"))
        };
        CONTENT.into_iter().map(|table| (table, rows(table))).collect()
    }

    /// Makes every finished job of deployments due once more; gives how many. The server must be stopped.
    pub(crate) fn enqueue_again(&self) -> u64 {
        self.runtime.block_on(async {
            let mut connection = connect(&self.path).await;
            let statement = "update job set state = 'ready', run_at = 0, finished_at = null, attempt = 0,
                losses = 0 where id in (select max(id) from job where state = 'done'
                and kind in ('deploy', 'follow', 'observe') and dedupe_key not in
                (select dedupe_key from job where state = 'ready') group by dedupe_key)";
            let done = sqlx::query(statement).execute(&mut connection).await.expect("jobs can be changed");
            connection.close().await.expect("the database can be closed");
            done.rows_affected()
        })
    }
}

async fn connect(path: &Path) -> SqliteConnection {
    let options = SqliteConnectOptions::new().filename(path).busy_timeout(std::time::Duration::from_secs(30));
    options.connect().await.expect("the database can be opened")
}

fn text_of(row: &sqlx::sqlite::SqliteRow) -> String {
    use sqlx::{Row as _, TypeInfo as _, ValueRef as _};
    let column = |index: usize| {
        let value = row.try_get_raw(index).expect("a column");
        if value.is_null() {
            return String::new();
        }
        match value.type_info().name() {
            "INTEGER" => row.get_unchecked::<i64, _>(index).to_string(),
            "BLOB" => hex::encode(row.get_unchecked::<Vec<u8>, _>(index)),
            _ => row.get_unchecked::<String, _>(index),
        }
    };
    (0..row.len()).map(column).collect::<Vec<_>>().join("|")
}
