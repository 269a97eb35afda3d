//! What a migration makes of rows that were there before is what it makes of the same rows written later.

#![expect(clippy::unwrap_used, reason = "in a test a panic is the report")]

use std::sync::Arc;

use slipway_records::{LabelChange, NewRun, NewSource, NewToken, NewVersion, Records, SourceKind};
use slipway_records_postgres::{PostgresOptions, PostgresRecords};
use slipway_records_sqlite::{SqliteOptions, SqliteRecords};
use slipway_tests::server::Database;
use slipway_types::environment::EnvironmentSettings;
use slipway_types::{Digest, GitRef, Role};
use sqlx::{Connection, Row, SqliteConnection};
use tempfile::TempDir;

/// Bundles and a package with labels, some of which changed.
async fn fill(records: Arc<dyn Records>) {
    let mut tx = records.begin().await.unwrap();
    let source = NewSource {
        name: "shop".parse().unwrap(),
        kind: SourceKind::Builtin,
        credential: None,
        poll_interval_s: 60,
    };
    let source = tx.source_insert(source).await.unwrap();
    let application = tx.application_insert(&"shop".parse().unwrap(), source.id, "").await.unwrap().id;
    let run = NewRun {
        application_id: application,
        git_ref: GitRef::Branch("main".into()),
        commit: "a".repeat(40).parse().unwrap(),
        actor: "Ann-L".into(),
        subject: "Go on".into(),
        author: "Ann Lee <Ann@example.com>".into(),
        committed_at: chrono::Utc::now(),
        delivery_id: None,
        retry_of: None,
        fresh: false,
    };
    let run = tx.run_insert(run).await.unwrap().into_inner();
    for (component, version, git_ref) in [
        (None, "1.0.0", GitRef::Tag("v1.0.0".into())),
        (None, "1.0.1-main.1", GitRef::Branch("main".into())),
        (Some("api"), "1.0.1-main.1", GitRef::Branch("main".into())),
    ] {
        let new = NewVersion {
            application_id: application,
            component: component.map(|name: &str| name.parse().unwrap()),
            version: version.parse().unwrap(),
            digest: Digest::of(format!("{component:?} {version}")),
            size: 1,
            built_as: version.parse().unwrap(),
            run_id: run.id,
            git_ref,
            commit: run.commit.clone(),
            fingerprint: Digest::of(version),
            detail: serde_json::json!({}),
            labels: [("a", "x"), ("source/b", ""), ("gone", "soon")]
                .map(|(key, value)| (key.parse().unwrap(), value.parse().unwrap()))
                .into(),
        };
        let version = tx.version_insert(new).await.unwrap().into_inner();
        for (key, value) in [("gone", None), ("a", Some("y"))] {
            let change = LabelChange {
                version_id: version.id,
                key: key.parse().unwrap(),
                old: None,
                check: false,
                new: value.map(|value: &str| value.parse().unwrap()),
                by: "ann".into(),
                reason: None,
            };
            assert!(tx.label_change(&change).await.unwrap());
        }
    }
    tx.commit().await.unwrap();
}

/// What both bundles are selected by: a branch, a release, four authors each, two labels and two keys each.
const FACETS: usize = 2 + 2 * (4 + 2 + 2);

#[tokio::test]
async fn bundles_of_an_older_sqlite_database_are_selected_by_the_same() {
    const DUMP: &str = "select f.kind || ' ' || f.name || '=' || f.value || ' ' || b.sort_key || ' '
        || b.version_id || ' ' || b.created_at from bundle_facet b join facet f on f.id = b.facet_id order by 1";
    const UNDO: &str =
        "drop trigger bundle_insert; drop trigger bundle_delete; drop trigger bundle_label_insert;
        drop trigger bundle_label_delete; drop view bundle_birth; drop view bundle_label;
        drop table bundle_facet; drop table facet; drop table deployed; drop index bundle_precedence;
        drop index bundle_newest; drop index bundle_commit";
    async fn dump(db: &mut SqliteConnection) -> Vec<String> {
        let rows = sqlx::query(DUMP).fetch_all(db).await.unwrap();
        rows.iter().map(|row| row.get(0)).collect()
    }
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("records.db");
    let records = Arc::new(SqliteRecords::open(&path, SqliteOptions::default()).await.unwrap());
    fill(records.clone()).await;
    records.close().await;
    let mut db = SqliteConnection::connect(path.to_str().unwrap()).await.unwrap();
    let written = dump(&mut db).await;
    sqlx::raw_sql(UNDO).execute(&mut db).await.unwrap();
    let migration = include_str!("../../migrations/sqlite/0013_selection.sql");
    sqlx::raw_sql(migration).execute(&mut db).await.unwrap();
    assert_eq!(dump(&mut db).await, written);
    assert_eq!(written.len(), FACETS, "{written:#?}");
}

#[tokio::test]
async fn bundles_of_an_older_postgres_database_are_selected_by_the_same() {
    const DUMP: &str = "select f.kind || ' ' || f.name || '=' || f.value || ' ' || c.sort_key || ' '
        || c.version_id || ' ' || c.commit_id || ' ' || c.created_at
        from bundle_card c cross join unnest(c.facets) u (id) join facet f on f.id = u.id order by 1";
    const UNDO: &str = "drop table bundle_card, facet, deployed;
        drop trigger bundle_insert on version; drop trigger bundle_label_insert on version_label;
        drop trigger bundle_label_delete on version_label; drop function bundle_insert, bundle_label_insert,
        bundle_label_delete, bundle_birth";
    let database = Database::create();
    let options = PostgresOptions { url: database.url().to_owned(), ..PostgresOptions::default() };
    let records = Arc::new(PostgresRecords::connect(options).await.unwrap());
    fill(records.clone()).await;
    records.close().await;
    let written = database.sql(DUMP);
    database.sql(UNDO);
    database.sql(include_str!("../../migrations/postgres/0013_selection.sql"));
    assert_eq!(database.sql(DUMP), written);
    assert_eq!(written.lines().count(), FACETS, "{written}");
}

/// A definition, and a blob that nothing refers to.
const BEGIN_SQLITE: [&str; 2] = [
    "insert into definition
    (kind, name, version, digest, archive, reference, enabled, installed_at, installed_by)
    values ('trait', 'careful', '1.0.0', 'd', 'b', 'r', 1, 0, 'ann')",
    "insert into blob_unreferenced (digest, since) values ('a', 0)",
];
const BEGIN_POSTGRES: [&str; 2] = [
    "insert into definition
    (kind, name, version, digest, archive, reference, enabled, installed_at, installed_by)
    values ('trait', 'careful', '1.0.0', 'd', 'b', 'r', true, now(), 'ann')",
    "insert into blob_unreferenced (digest, since) values ('a', now())",
];
/// What a server of the release before does, which knows of no definitions.
const NOTE: &str =
    "insert into blob_unreferenced (digest, since) select 'b', since from blob_unreferenced where digest = 'a'
    on conflict (digest) do nothing";
const CONDEMN: &str = "update blob_unreferenced set removing_at = since where removing_at is null";
const NOTED: &str = "select digest from blob_unreferenced order by 1";
const CONDEMNED: &str = "select digest from blob_unreferenced where removing_at is not null order by 1";
/// Noted just before the definition that it belongs to was seen.
const NOTE_BEFORE: [&str; 3] =
    ["update definition set archive = 'c'", NOTE, "update definition set archive = 'b'"];

#[tokio::test]
async fn an_older_server_condemns_no_archive_of_a_definition_in_sqlite() {
    async fn run(db: &mut SqliteConnection, statement: &'static str) -> Vec<String> {
        let rows = sqlx::query(statement).fetch_all(db).await.unwrap();
        rows.iter().map(|row| row.get(0)).collect()
    }
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("records.db");
    SqliteRecords::open(&path, SqliteOptions::default()).await.unwrap().close().await;
    let mut db = SqliteConnection::connect(path.to_str().unwrap()).await.unwrap();
    for statement in BEGIN_SQLITE.into_iter().chain([NOTE]) {
        run(&mut db, statement).await;
    }
    assert_eq!(run(&mut db, NOTED).await, ["a"]);
    for statement in NOTE_BEFORE {
        run(&mut db, statement).await;
    }
    assert_eq!(run(&mut db, NOTED).await, ["a", "b"]);
    run(&mut db, CONDEMN).await;
    assert_eq!(run(&mut db, CONDEMNED).await, ["a"]);
}

#[tokio::test]
async fn an_older_server_condemns_no_archive_of_a_definition_in_postgres() {
    let database = Database::create();
    let options = PostgresOptions { url: database.url().to_owned(), ..PostgresOptions::default() };
    PostgresRecords::connect(options).await.unwrap().close().await;
    for statement in BEGIN_POSTGRES.into_iter().chain([NOTE]) {
        database.sql(statement);
    }
    assert_eq!(database.sql(NOTED).trim(), "a");
    for statement in NOTE_BEFORE {
        database.sql(statement);
    }
    assert_eq!(database.sql(NOTED).trim(), "a\nb");
    database.sql(CONDEMN);
    assert_eq!(database.sql(CONDEMNED).trim(), "a");
}

/// Tokens of a release that gave the nodes of environments those of readers, and some that people made.
async fn fill_tokens(records: Arc<dyn Records>) {
    let mut tx = records.begin().await.unwrap();
    for name in ["prod", "test", "gone"] {
        let (settings, address) =
            (EnvironmentSettings::default(), format!("eu/kind/{name}").parse().unwrap());
        let made = tx.environment_insert(&name.parse().unwrap(), &address, &settings, "ann").await.unwrap();
        if name == "gone" {
            assert!(tx.environment_remove(made.id).await.unwrap());
        }
    }
    let source = NewSource {
        name: "all".parse().unwrap(),
        kind: SourceKind::Builtin,
        credential: None,
        poll_interval_s: 60,
    };
    let source = tx.source_insert(source).await.unwrap();
    let mut applications = Vec::new();
    for name in ["shop", "commerce/till", "dead"] {
        let made = tx.application_insert(&name.parse().unwrap(), source.id, "").await.unwrap();
        applications.push(made.id);
    }
    let [shop, till, dead] = applications[..] else { panic!("three applications") };
    tx.application_delete(dead).await.unwrap();
    for (name, application, role) in [
        ("pull prod default shop", shop, Role::Reader),
        ("pull gone commerce till", till, Role::Reader),
        ("pull prod default dead", dead, Role::Reader),
        ("pull me", shop, Role::Reader),
        ("pull test default shop", till, Role::Reader),
        ("pull test commerce till", till, Role::Developer),
    ] {
        let token = NewToken {
            name: name.to_owned(),
            hash: Digest::of(name),
            person: None,
            role: Some(role),
            break_glass: false,
            application_id: Some(application),
            pulls_for: None,
            grants: Vec::new(),
            expires_at: None,
        };
        tx.token_insert(token).await.unwrap();
    }
    tx.commit().await.unwrap();
}

/// As it was before there were tokens that only pull.
const UNDO_TOKENS: &str =
    "drop index token_pulling; alter table token rename column pull_environment_id to of_before";
const TOKENS: &str = "select t.name || ': ' || coalesce(e.name, 'nobody') || ' '
    || case when t.revoked_at is null then 'live' else 'ended' end
    from token t left join environment e on e.id = t.pull_environment_id order by t.name";
const NARROWED: [&str; 6] = [
    "pull gone commerce till: gone ended",
    "pull me: nobody live",
    "pull prod default dead: prod ended",
    "pull prod default shop: prod live",
    "pull test commerce till: nobody live",
    "pull test default shop: nobody live",
];

#[tokio::test]
async fn tokens_that_an_older_server_gave_to_nodes_only_pull_in_sqlite() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("records.db");
    let records = Arc::new(SqliteRecords::open(&path, SqliteOptions::default()).await.unwrap());
    fill_tokens(records.clone()).await;
    records.close().await;
    let mut db = SqliteConnection::connect(path.to_str().unwrap()).await.unwrap();
    sqlx::raw_sql(UNDO_TOKENS).execute(&mut db).await.unwrap();
    let migration = include_str!("../../migrations/sqlite/0033_pull_token.sql");
    sqlx::raw_sql(migration).execute(&mut db).await.unwrap();
    let rows = sqlx::query(TOKENS).fetch_all(&mut db).await.unwrap();
    assert_eq!(rows.iter().map(|row| row.get(0)).collect::<Vec<String>>(), NARROWED);
}

#[tokio::test]
async fn tokens_that_an_older_server_gave_to_nodes_only_pull_in_postgres() {
    let database = Database::create();
    let options = PostgresOptions { url: database.url().to_owned(), ..PostgresOptions::default() };
    let records = Arc::new(PostgresRecords::connect(options).await.unwrap());
    fill_tokens(records.clone()).await;
    records.close().await;
    database.sql(UNDO_TOKENS);
    database.sql(include_str!("../../migrations/postgres/0033_pull_token.sql"));
    assert_eq!(database.sql(TOKENS).lines().collect::<Vec<_>>(), NARROWED);
}

/// The table of the release before, with one report.
const CHECKS_SQLITE: &str = "drop table bundle_check;
    create table bundle_check (version_id text not null references version (id), name text not null,
        state text not null, detail text, url text, reported_by text not null, reported_at integer not null,
        primary key (version_id, name)) strict, without rowid;
    insert into bundle_check select id, 'e2e', 'passed', '12 tests', null, 'ci', 5 from version limit 1";
const CHECKS_POSTGRES: &str = "alter table bundle_check drop constraint bundle_check_pkey;
    alter table bundle_check add primary key (version_id, name);
    insert into bundle_check select id, 'e2e', 'passed', '12 tests', null, 'ci', now() from version limit 1";
/// What somebody else says of the same check.
const REPORT: &str = "insert into bundle_check (version_id, name, state, reported_by, reported_at)
    select version_id, name, 'failed', 'ann', reported_at from bundle_check";
const REPORTED: &str = "select name || ' ' || state || ' ' || coalesce(detail, '') || ' ' || reported_by
    from bundle_check order by 1";
const BOTH: [&str; 2] = ["e2e failed  ann", "e2e passed 12 tests ci"];

#[tokio::test]
async fn a_report_of_a_check_stays_beside_those_of_others_in_sqlite() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("records.db");
    let records = Arc::new(SqliteRecords::open(&path, SqliteOptions::default()).await.unwrap());
    fill(records.clone()).await;
    records.close().await;
    let mut db = SqliteConnection::connect(path.to_str().unwrap()).await.unwrap();
    for statements in [CHECKS_SQLITE, include_str!("../../migrations/sqlite/0035_check_reporter.sql"), REPORT]
    {
        sqlx::raw_sql(statements).execute(&mut db).await.unwrap();
    }
    let rows = sqlx::query(REPORTED).fetch_all(&mut db).await.unwrap();
    let rows: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
    assert_eq!(rows, BOTH);
}

#[tokio::test]
async fn a_report_of_a_check_stays_beside_those_of_others_in_postgres() {
    let database = Database::create();
    let options = PostgresOptions { url: database.url().to_owned(), ..PostgresOptions::default() };
    let records = Arc::new(PostgresRecords::connect(options).await.unwrap());
    fill(records.clone()).await;
    records.close().await;
    for statements in
        [CHECKS_POSTGRES, include_str!("../../migrations/postgres/0035_check_reporter.sql"), REPORT]
    {
        database.sql(statements);
    }
    assert_eq!(database.sql(REPORTED).trim_end().lines().collect::<Vec<_>>(), BOTH);
}
