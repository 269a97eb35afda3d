//! The SQLite adapter keeps every promise of the records.

#![expect(clippy::unwrap_used, reason = "a failing test is a panic")]

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use slipway_records::{Records, RecordsError};
use slipway_records_sqlite::{SqliteOptions, SqliteRecords};
use sqlx::{Connection, Row, SqliteConnection};
use tempfile::TempDir;

async fn open(path: &Path) -> SqliteRecords {
    SqliteRecords::open(path, SqliteOptions::default()).await.unwrap()
}

async fn fresh() -> (Arc<dyn Records>, TempDir) {
    let directory = TempDir::new().unwrap();
    let records: Arc<dyn Records> = Arc::new(open(&directory.path().join("records.db")).await);
    (records, directory)
}

slipway_tests::conformance!(crate::fresh);

async fn make_source(records: &SqliteRecords) {
    let mut tx = records.begin().await.unwrap();
    let source = slipway_records::NewSource {
        name: "shop".parse().unwrap(),
        kind: slipway_records::SourceKind::Builtin,
        credential: None,
        poll_interval_s: 60,
    };
    tx.source_insert(source).await.unwrap();
    tx.commit().await.unwrap();
}

#[tokio::test]
async fn the_files_are_their_owners_alone_and_open_again() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("records.db");
    let records = open(&path).await;
    make_source(&records).await;
    for entry in std::fs::read_dir(directory.path()).unwrap() {
        let entry = entry.unwrap();
        assert_eq!(entry.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{entry:?}");
    }
    records.close().await;
    let again = open(&path).await;
    assert_eq!(again.read().await.unwrap().source_list().await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_backup_is_a_database_of_its_own() {
    let directory = TempDir::new().unwrap();
    let records = open(&directory.path().join("records.db")).await;
    make_source(&records).await;
    let copy = directory.path().join("copy.db");
    // A transaction under way does not hold it up and is not in it.
    let mut tx = records.begin().await.unwrap();
    let shop = tx.source_by_name(&"shop".parse().unwrap()).await.unwrap().unwrap();
    tx.application_insert(&"shop".parse().unwrap(), shop.id, "").await.unwrap();
    records.backup(&copy).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(std::fs::metadata(&copy).unwrap().permissions().mode() & 0o777, 0o600);
    let mut read = open(&copy).await.read().await.unwrap();
    assert_eq!(read.source_list().await.unwrap().len(), 1);
    assert_eq!(read.application_list().await.unwrap(), []);
    assert!(records.backup(&copy).await.is_err(), "a backup overwrites nothing");
}

#[tokio::test]
async fn a_database_that_cannot_be_opened_is_named_unavailable() {
    let directory = TempDir::new().unwrap();
    let missing = directory.path().join("missing/records.db");
    let error = SqliteRecords::open(&missing, SqliteOptions::default()).await.unwrap_err();
    assert!(error.is_transient(), "{error:?}");
}

#[tokio::test]
async fn a_damaged_file_is_told_from_a_refused_statement() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("records.db");
    std::fs::write(&path, [b'x'; 8192]).unwrap();
    let opened = SqliteRecords::open(&path, SqliteOptions::default()).await;
    assert!(matches!(opened.err(), Some(RecordsError::Damaged(_))));
}

#[tokio::test]
async fn a_label_is_looked_up_by_its_version_whatever_the_figures_of_the_tables_say() {
    // The figures of a database with two bundles, which stay until it is closed.
    const SMALL: &str = "analyze; delete from sqlite_stat1;
        insert into sqlite_stat1 (tbl, idx, stat) values ('version', 'bundle_newest', '2 2 1'),
            ('version', 'sqlite_autoindex_version_1', '2 1'), ('version_label', 'version_label', '25 5 1')";
    const LOOK: &str = "explain query plan select f.id from bundle_label b join facet f
        on f.application_id = b.application_id and f.kind = b.kind and f.name = b.name and f.value = b.value
        where b.version_id = 'a' and b.pair_id = 1";
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("records.db");
    open(&path).await.close().await;
    let path = path.to_str().unwrap();
    sqlx::raw_sql(SMALL).execute(&mut SqliteConnection::connect(path).await.unwrap()).await.unwrap();
    let mut db = SqliteConnection::connect(path).await.unwrap();
    let steps = sqlx::query(LOOK).fetch_all(&mut db).await.unwrap();
    let steps: Vec<String> = steps.iter().map(|row| row.get("detail")).collect();
    let tables: Vec<&String> =
        steps.iter().filter(|step| step.contains(" v ") || step.contains(" l ")).collect();
    assert_eq!(tables.len(), 4, "{steps:#?}");
    assert!(tables.iter().all(|step| step.starts_with("SEARCH")), "{steps:#?}");
}
