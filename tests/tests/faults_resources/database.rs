//! Another process holds the database.

use std::time::{Duration, Instant};

use slipway_tests::server::Server;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _};

use crate::world::shop;

/// Runs one statement on the server's database.
pub(crate) fn execute(server: &Server, statement: &'static str) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let path = server.data().join("slipway.db");
    runtime.block_on(async {
        let mut connection =
            SqliteConnectOptions::new().filename(path).connect().await.expect("a connection");
        sqlx::query(statement).execute(&mut connection).await.expect("the statement is carried out");
        connection.close().await.expect("a closed connection");
    });
}

#[test]
fn faults_in_keeping_a_webhook_secret_leave_no_application_without_one() {
    let server = Server::fresh();
    execute(&server, "create trigger full before insert on secret begin select raise(abort, 'full'); end");
    assert_ne!(server.cli(&["app", "create", "shop"]).code, 0);
    assert_eq!(server.cli(&["app", "show", "shop"]).code, 1, "made without its secret");
    execute(&server, "drop trigger full");
    let made = server.json(&["app", "create", "shop"]);
    assert!(made["webhook_secret"].as_str().is_some_and(|secret| secret.len() == 64), "{made}");
}

#[test]
fn faults_of_a_held_database_are_told_and_pass_with_it() {
    let server = Server::fresh();
    let app = server.create_app("shop");
    let repository = shop("FROM scratch\nCOPY . /srv/\n");
    server.publish(&app, &repository, "main", "Begin");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let path = server.data().join("slipway.db");
    let mut holder =
        runtime.block_on(SqliteConnectOptions::new().filename(path).connect()).expect("a connection");
    runtime.block_on(sqlx::query("begin immediate").execute(&mut holder)).expect("the lock");

    let began = Instant::now();
    let refused = server.cli(&["app", "create", "other"]);
    assert_ne!(refused.code, 0, "written under another's lock");
    assert!(refused.stderr.contains("database"), "the cause is not named: {}", refused.stderr);
    assert!(began.elapsed() < Duration::from_mins(1), "waited for {:?}", began.elapsed());
    repository.write("web/index.html", "1\n");
    let commit = repository.commit("Under the lock");
    let pushed = repository.push(&app.git_url, server.token(), &["HEAD:refs/heads/main"]);
    assert_ne!(pushed.code, 0, "accepted under another's lock: {}", pushed.stderr);
    // Reading goes on.
    assert_eq!(server.bundles("shop").len(), 1);
    assert_eq!(server.get("/livez").status, 200);

    runtime.block_on(sqlx::query("rollback").execute(&mut holder)).expect("the lock is given back");
    runtime.block_on(holder.close()).expect("a closed connection");
    server.push(&app, &repository, &["HEAD:refs/heads/main"]);
    assert_eq!(server.wait_run("shop", &commit)["state"], "done");
    drop(server.cli(&["app", "create", "other"]).ok());
}
