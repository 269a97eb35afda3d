//! The server's SQLite file, looked at from outside.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _, SqliteConnection};
use tokio::runtime::Runtime;

/// What repeating a finished job may not change, with the columns that are looked at.
const CONTENT: [(&str, &str); 17] = [
    ("application", "*"),
    ("branch_number", "*"),
    ("blob_link", "repository, digest, size"),
    ("build", "*"),
    ("build_result", "*"),
    ("channel", "*"),
    ("delivery", "*"),
    ("git_pack", "*"),
    ("git_ref", "*"),
    ("label_history", "*"),
    ("label_pair", "*"),
    ("log_chunk", "*"),
    ("manifest", "*"),
    ("run", "*"),
    ("tag", "*"),
    ("version", "*"),
    ("version_label", "*"),
];

/// A row's columns as text.
pub(crate) type Row = Vec<String>;

pub(crate) struct Database {
    path: PathBuf,
    runtime: Runtime,
}

impl Database {
    /// The database in a data directory.
    pub(crate) fn open(data: &Path) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        Self { path: data.join("slipway.db"), runtime }
    }

    /// The rows of a query, each column as text.
    pub(crate) fn rows(&self, query: &str) -> Vec<Row> {
        self.rows_at(&self.path, query)
    }

    /// The first column of the first row.
    pub(crate) fn number(&self, query: &str) -> i64 {
        self.rows(query)[0][0].parse().expect("a number")
    }

    /// Asks a copy: the killed server's files are left for it to recover.
    pub(crate) fn number_in_copy(&self, query: &str) -> i64 {
        let copy = tempfile::tempdir().expect("a temporary directory");
        let path = copy.path().join("slipway.db");
        fs::copy(&self.path, &path).expect("the database can be copied");
        let log = self.path.with_extension("db-wal");
        if log.exists() {
            fs::copy(log, path.with_extension("db-wal")).expect("its log can be copied");
        }
        self.rows_at(&path, query)[0][0].parse().expect("a number")
    }

    /// The content of every table that stands for what was done.
    pub(crate) fn content(&self) -> BTreeMap<&'static str, Vec<Row>> {
        CONTENT
            .into_iter()
            .map(|(table, columns)| {
                let columns = if columns == "*" { self.columns(table) } else { columns.to_owned() };
                (table, self.rows(&format!("select {columns} from {table} order by {columns}")))
            })
            .collect()
    }

    /// Makes every finished job due once more, and asks each run to cancel; gives how many. The server
    /// must be stopped.
    pub(crate) fn enqueue_everything_again(&self) -> u64 {
        let again = self.execute(
            "update job set state = 'ready', run_at = 0, finished_at = null, attempt = 0, losses = 0 where id in
            (select max(id) from job where state = 'done' and kind <> 'collect' and dedupe_key not in
                (select dedupe_key from job where state = 'ready') group by dedupe_key)",
        );
        let cancels = self.execute(
            "insert into job (id, kind, payload, dedupe_key, application_id, state, run_at, attempts_max, created_at)
            select substr(id, 1, 24) || lower(hex(randomblob(6))), 'cancel', json_object('kind', 'cancel', 'run', id),
                'cancel/' || id, application_id, 'ready', 0, 5, 0 from run",
        );
        assert!(again > 0 && cancels > 0, "there is nothing to repeat");
        again + cancels
    }

    fn columns(&self, table: &str) -> String {
        let names = self.rows(&format!("select name from pragma_table_info('{table}')"));
        names.concat().join(", ")
    }

    fn rows_at(&self, path: &Path, query: &str) -> Vec<Row> {
        self.runtime.block_on(async {
            let mut connection = connect(path).await;
            let rows = sqlx::query(sqlx::AssertSqlSafe(query.to_owned())).fetch_all(&mut connection).await;
            let rows = rows.unwrap_or_else(|error| panic!("{query}: {error}"));
            connection.close().await.expect("the database can be closed");
            rows.iter().map(text_of).collect()
        })
    }

    fn execute(&self, statement: &'static str) -> u64 {
        self.runtime.block_on(async {
            let mut connection = connect(&self.path).await;
            let done = sqlx::query(statement).execute(&mut connection).await;
            let done = done.unwrap_or_else(|error| panic!("{statement}: {error}"));
            connection.close().await.expect("the database can be closed");
            done.rows_affected()
        })
    }
}

async fn connect(path: &Path) -> SqliteConnection {
    let options = SqliteConnectOptions::new().filename(path).busy_timeout(std::time::Duration::from_secs(30));
    options.connect().await.expect("the database can be opened")
}

fn text_of(row: &sqlx::sqlite::SqliteRow) -> Row {
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
