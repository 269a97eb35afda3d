//! The server's SQLite file, looked at from outside: what was written, and how often.

use std::collections::BTreeMap;
use std::path::Path;

use slipway_tests::database_file::DatabaseFile;

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
pub(crate) struct Ledger(DatabaseFile);

fn joined(rows: &[Vec<String>]) -> Vec<String> {
    rows.iter().map(|columns| columns.join("|")).collect()
}

impl Ledger {
    /// The one in a data directory.
    pub(crate) fn open(data: &Path) -> Self {
        Self(DatabaseFile::open(data))
    }

    /// The rows of a query, columns as text.
    pub(crate) fn rows(&self, query: &str) -> Vec<String> {
        joined(&self.0.rows(query))
    }

    /// The same of a server that was killed, whose own files are left for it.
    pub(crate) fn rows_of_killed(&self, query: &str) -> Vec<String> {
        joined(&self.0.rows_in_copy(query))
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
        self.0.execute(
            "update job set state = 'ready', run_at = 0, finished_at = null, attempt = 0, losses = 0
            where id in (select max(id) from job where state = 'done'
                and kind in ('deploy', 'follow', 'observe') and dedupe_key not in
                (select dedupe_key from job where state = 'ready') group by dedupe_key)",
        )
    }
}
