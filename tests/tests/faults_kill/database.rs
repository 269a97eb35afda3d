//! The server's SQLite file, looked at from outside.

use std::collections::BTreeMap;
use std::path::Path;

use slipway_tests::database_file::DatabaseFile;

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

pub(crate) struct Database(DatabaseFile);

impl Database {
    /// The database in a data directory.
    pub(crate) fn open(data: &Path) -> Self {
        Self(DatabaseFile::open(data))
    }

    /// The rows of a query, each column as text.
    pub(crate) fn rows(&self, query: &str) -> Vec<Row> {
        self.0.rows(query)
    }

    /// The first column of the first row.
    pub(crate) fn number(&self, query: &str) -> i64 {
        self.rows(query)[0][0].parse().expect("a number")
    }

    /// Asks a copy: the killed server's files are left for it to recover.
    pub(crate) fn number_in_copy(&self, query: &str) -> i64 {
        self.0.rows_in_copy(query)[0][0].parse().expect("a number")
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
        let again = self.0.execute(
            "update job set state = 'ready', run_at = 0, finished_at = null, attempt = 0, losses = 0 where id in
            (select max(id) from job where state = 'done' and kind <> 'collect' and dedupe_key not in
                (select dedupe_key from job where state = 'ready') group by dedupe_key)",
        );
        let cancels = self.0.execute(
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
}
