//! The tokens that pods were given.

use slipway_tests::server::Server;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _};

/// Asserts that no token of a build is good for anything any more.
pub(crate) fn assert_all_ended(server: &Server) {
    assert_ended(
        server,
        "select count(*), count(*) filter (where revoked_at is null) from token where name like 'b-%'",
    );
}

/// The same for a server that was killed between making a token and handing it out: nobody has that one.
pub(crate) fn assert_used_ended(server: &Server) {
    assert_ended(
        server,
        "select count(*), count(*) filter (where revoked_at is null) from token
         where name like 'b-%' and last_used_at is not null",
    );
}

fn assert_ended(server: &Server, all_and_live: &'static str) {
    let path = server.data().join("slipway.db");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let (all, live): (i64, i64) = runtime.block_on(async {
        let options = SqliteConnectOptions::new().filename(path).read_only(true);
        let mut database = options.connect().await.expect("the database can be opened");
        let counted = sqlx::query_as(all_and_live).fetch_one(&mut database).await;
        database.close().await.expect("the database can be closed");
        counted.expect("two numbers")
    });
    assert!(all > 0, "there is no token of a build");
    assert_eq!(live, 0, "tokens of builds that are over still work");
}
