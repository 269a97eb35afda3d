//! The PostgreSQL adapter keeps every promise of the records, with several servers on one database.

#![expect(clippy::unwrap_used, reason = "a failing test is a panic")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use futures::future::join_all;
use slipway_records::{
    Application, Change, Inserted, Job, JobPayload, LogChunk, NewDelivery, NewJob, NewRun, NewSource,
    NewVersion, Origin, Page, Records, RecordsError, Run, RunFilter, SourceKind,
};
use slipway_records_postgres::{PostgresOptions, PostgresRecords};
use slipway_tests::server::Database;
use slipway_tests::wait::wait_until;
use slipway_types::id::{ApplicationId, RunId};
use slipway_types::label::Labels;
use slipway_types::state::DeliveryState;
use slipway_types::{CommitId, Digest, GitRef};
use uuid::Uuid;

const DEADLINE: Duration = Duration::from_secs(60);
/// A lease that no test waits for.
const LONG: Duration = Duration::from_mins(5);

fn options(database: &Database) -> PostgresOptions {
    PostgresOptions { url: database.url().to_owned(), max_connections: 8, ..PostgresOptions::default() }
}

/// One more server on a database.
async fn server(database: &Database) -> Arc<PostgresRecords> {
    Arc::new(PostgresRecords::connect(options(database)).await.unwrap())
}

async fn fresh() -> (Arc<dyn Records>, Database) {
    let database = Database::create();
    (server(&database).await, database)
}

slipway_tests::conformance!(crate::fresh);

async fn make_application(records: &PostgresRecords, name: &str) -> Application {
    let mut tx = records.begin().await.unwrap();
    let source = NewSource {
        name: name.parse().unwrap(),
        kind: SourceKind::Builtin,
        credential: None,
        poll_interval_s: 60,
    };
    let source = tx.source_insert(source).await.unwrap();
    let application = tx.application_insert(&name.parse().unwrap(), source.id, "").await.unwrap();
    tx.commit().await.unwrap();
    application
}

fn commit(n: u32) -> CommitId {
    format!("{n:040x}").parse().unwrap()
}

fn new_run(application: ApplicationId, n: u32) -> NewRun {
    NewRun {
        application_id: application,
        git_ref: GitRef::Branch("main".into()),
        commit: commit(n),
        actor: "ann".into(),
        subject: "Fix it".into(),
        author: "Ann".into(),
        committed_at: chrono::Utc::now(),
        delivery_id: None,
        retry_of: None,
        fresh: false,
    }
}

async fn insert_run(records: &PostgresRecords, run: NewRun) -> Inserted<Run> {
    let mut tx = records.begin().await.unwrap();
    let inserted = tx.run_insert(run).await.unwrap();
    tx.commit().await.unwrap();
    inserted
}

async fn enqueue(records: &PostgresRecords, job: NewJob) {
    let mut tx = records.begin().await.unwrap();
    tx.job_enqueue(job).await.unwrap();
    tx.commit().await.unwrap();
}

fn plan(application: Option<ApplicationId>) -> NewJob {
    NewJob::new(JobPayload::Plan { run: RunId::new() }, application)
}

async fn claim(records: &PostgresRecords) -> Option<Job> {
    records.queue().claim(&["plan"], "owner/1", LONG).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn servers_that_start_at_once_make_the_tables_once() {
    let database = Database::create();
    let servers = join_all((0..4).map(|_| server(&database))).await;
    make_application(&servers[0], "shop").await;
    assert_eq!(servers[3].read().await.unwrap().source_list().await.unwrap().len(), 1);
    let versions = database.sql("select string_agg(version::text, ',') from _sqlx_migrations");
    assert!(versions.starts_with('1'), "{versions}");
    // A newer release was here: its tables are taken as they are.
    database.sql(
        "insert into _sqlx_migrations (version, description, success, checksum, execution_time)
        values (9999, 'of a newer release', true, '', 0)",
    );
    server(&database).await.ping().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sixteen_claimers_of_two_servers_share_the_jobs() {
    const JOBS: usize = 60;
    let database = Database::create();
    let servers = [server(&database).await, server(&database).await];
    let applications: Vec<_> = (0..3).map(|_| ApplicationId::new()).collect();
    for n in 0..JOBS {
        enqueue(&servers[0], plan(Some(applications[n % 3]))).await;
    }
    let claims = join_all((0..16).map(|n| {
        let server = &servers[n % 2];
        async move {
            let mut claimed = Vec::new();
            // To claim nothing while there is something would end this claimer early.
            while let Some(job) = claim(server).await {
                claimed.push((job.id, job.token));
                assert!(server.queue().complete(job.id, job.token).await.unwrap());
            }
            claimed
        }
    }))
    .await;
    let mut times = BTreeMap::<_, u32>::new();
    for (id, token) in claims.into_iter().flatten() {
        assert_eq!(token, 1);
        *times.entry(id).or_default() += 1;
    }
    assert_eq!(times.len(), JOBS);
    assert!(times.values().all(|times| *times == 1), "{times:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_has_one_key_never_runs_twice_at_once() {
    let database = Database::create();
    let servers = [server(&database).await, server(&database).await];
    let job = plan(None);
    let running = AtomicU32::new(0);
    let done = AtomicU32::new(0);
    let work = |n: usize| {
        let (server, job, running, done) = (&servers[n % 2], &job, &running, &done);
        async move {
            for _ in 0..15 {
                enqueue(server, job.clone()).await;
                let Some(job) = claim(server).await else { continue };
                assert_eq!(running.fetch_add(1, Ordering::SeqCst), 0, "two at once");
                tokio::task::yield_now().await;
                running.fetch_sub(1, Ordering::SeqCst);
                done.fetch_add(1, Ordering::SeqCst);
                let queue = server.queue();
                // The twin comes and goes just while the job is given back.
                let given = if n.is_multiple_of(3) {
                    queue.give_back(job.id, job.token, Duration::ZERO, "again", true).await
                } else {
                    queue.complete(job.id, job.token).await
                };
                assert!(given.unwrap());
            }
        }
    };
    join_all((0..6).map(work)).await;
    assert!(done.load(Ordering::SeqCst) > 0);
    let states = database.sql("select count(*) from job where state in ('ready', 'leased')");
    assert!(states == "0" || states == "1", "{states} are left of one key");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ready_twin_waits_for_the_lease() {
    let database = Database::create();
    let records = server(&database).await;
    let job = plan(None);
    enqueue(&records, job.clone()).await;
    let first = claim(&records).await.unwrap();
    enqueue(&records, job).await;
    assert_eq!(claim(&records).await, None);
    assert!(records.queue().complete(first.id, first.token).await.unwrap());
    assert_ne!(claim(&records).await.unwrap().id, first.id);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn servers_agree_on_runs_numbers_versions_and_logs() {
    let database = Database::create();
    let servers = [server(&database).await, server(&database).await];
    let shop = make_application(&servers[0], "shop").await;
    let runs = join_all((0..24).map(|n| insert_run(&servers[n as usize % 2], new_run(shop.id, n / 2)))).await;
    assert_eq!(runs.iter().filter(|run| run.is_new()).count(), 12);
    let mut read = servers[1].read().await.unwrap();
    let listed = read.run_list(&RunFilter::default(), Page::first(100)).await.unwrap();
    let mut numbers: Vec<_> = listed.iter().map(|run| run.number).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=12).collect::<Vec<_>>());

    let run = runs[0].clone().into_inner();
    let publish = async |n: usize| {
        let mut tx = servers[n % 2].begin().await.unwrap();
        let number = tx.number_next(shop.id, "main").await.unwrap();
        let labels = ["c", "a", "b"].map(|key| (key.parse().unwrap(), "x".parse().unwrap()));
        let version = NewVersion {
            application_id: shop.id,
            component: None,
            version: "1.0.0".parse().unwrap(),
            digest: Digest::of("bundle"),
            size: 1,
            built_as: "1.0.0".parse().unwrap(),
            run_id: run.id,
            git_ref: run.git_ref.clone(),
            commit: run.commit.clone(),
            fingerprint: Digest::of("lock"),
            detail: serde_json::json!({}),
            labels: Labels::from(labels),
        };
        let published = tx.version_insert(version).await.unwrap();
        tx.commit().await.unwrap();
        (number, published)
    };
    let published = join_all((0..8).map(publish)).await;
    let mut given: Vec<_> = published.iter().map(|(number, _)| *number).collect();
    given.sort_unstable();
    assert_eq!(given, (1..=8).collect::<Vec<_>>());
    assert_eq!(published.iter().filter(|(_, version)| version.is_new()).count(), 1);

    let log = Uuid::now_v7();
    let append = async |n: usize| {
        let mut tx = servers[n % 2].begin().await.unwrap();
        let chunk = LogChunk { offset: 0, length: 5, digest: Digest::of(n.to_string()), mark: None };
        let appended = tx.log_append(log, &chunk).await.unwrap();
        tx.commit().await.unwrap();
        appended
    };
    let appended = join_all((0..8).map(append)).await;
    assert_eq!(appended.iter().filter(|appended| **appended).count(), 1);
}

/// As the sweep does: a head that no delivery names gets one, checked and made in one transaction.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sweeps_of_two_servers_make_one_delivery() {
    let database = Database::create();
    let servers = [server(&database).await, server(&database).await];
    let source = make_application(&servers[0], "shop").await.source_id;
    let main = GitRef::Branch("main".into());
    let sweep = async |n: usize| {
        let mut tx = servers[n % 2].begin().await.unwrap();
        if tx.delivery_names(source, &main, &commit(1)).await.unwrap() {
            return;
        }
        let delivery = NewDelivery {
            source_id: source,
            origin: Origin::Sweep,
            external_id: None,
            event: "sweep".into(),
            git_ref: Some(main.clone()),
            commit: Some(commit(1)),
            // What SQLite takes, PostgreSQL's text does not.
            actor: "the \0 sweep".into(),
            fresh: false,
            state: DeliveryState::Received,
        };
        tx.delivery_insert(delivery).await.unwrap();
        tx.commit().await.unwrap();
    };
    join_all((0..8).map(sweep)).await;
    let mut read = servers[0].read().await.unwrap();
    assert_eq!(read.delivery_list(source, Page::default()).await.unwrap().len(), 1);
}

/// What a transaction has read of a run stays so until it ends, as with SQLite's one writer.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transaction_that_read_a_run_keeps_others_from_its_application() {
    let database = Database::create();
    let servers = [server(&database).await, server(&database).await];
    let shop = make_application(&servers[0], "shop").await;
    let run = insert_run(&servers[0], new_run(shop.id, 1)).await.into_inner();
    let mut tx = servers[0].begin().await.unwrap();
    assert!(tx.run_get(run.id).await.unwrap().is_some());
    let other = tokio::spawn({
        let server = Arc::clone(&servers[1]);
        async move { insert_run(&server, new_run(shop.id, 2)).await.into_inner() }
    });
    let waiting = "select count(*) from pg_stat_activity where datname = current_database()
        and wait_event_type = 'Lock'";
    wait_until("the other waits", DEADLINE, || async { (database.sql(waiting) == "1").then_some(()) }).await;
    assert_eq!(tx.runs_live(shop.id).await.unwrap().len(), 1);
    tx.commit().await.unwrap();
    assert_eq!(other.await.unwrap().number, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn news_come_to_every_server_once() {
    let database = Database::create();
    let (here, there) = (server(&database).await, server(&database).await);
    let (mut heard_here, mut heard_there) = (here.changes().subscribe(), there.changes().subscribe());
    let shop = make_application(&here, "shop").await;
    let run = insert_run(&here, new_run(shop.id, 1)).await.into_inner();
    let log = Uuid::now_v7();
    let mut tx = there.begin().await.unwrap();
    let chunk = LogChunk { offset: 0, length: 5, digest: Digest::of("x"), mark: None };
    tx.log_append(log, &chunk).await.unwrap();
    tx.commit().await.unwrap();
    let next = async |news: &mut tokio::sync::broadcast::Receiver<Change>| {
        tokio::time::timeout(DEADLINE, news.recv()).await.unwrap().unwrap()
    };
    for news in [&mut heard_here, &mut heard_there] {
        let changes = [next(news).await, next(news).await];
        assert!(changes.contains(&Change::Run(run.id)) && changes.contains(&Change::Log(log)), "{changes:?}");
    }
    // Whatever came twice would stand before this.
    enqueue(&here, plan(None)).await;
    for news in [&mut heard_here, &mut heard_there] {
        assert_eq!(next(news).await, Change::Job);
    }
}

fn terminate_all(database: &Database) {
    let others = "select count(pg_terminate_backend(pid)) from pg_stat_activity
        where datname = current_database() and pid <> pg_backend_pid()";
    assert_ne!(database.sql(others), "0");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_connections_are_made_anew() {
    let database = Database::create();
    let (here, there) = (server(&database).await, server(&database).await);
    let shop = make_application(&here, "shop").await;
    let mut tx = here.begin().await.unwrap();
    tx.run_insert(new_run(shop.id, 1)).await.unwrap();
    terminate_all(&database);
    let lost: RecordsError = tx.commit().await.unwrap_err();
    assert!(lost.is_transient(), "{lost:?}");
    // Connections that were idle are found out before they are used.
    for server in [&here, &there] {
        server.ping().await.unwrap();
    }
    assert!(insert_run(&here, new_run(shop.id, 1)).await.is_new());
    let mut news = there.changes().subscribe();
    let begun = tokio::time::Instant::now();
    // Those who listen are told to look once it listens again, and then of every change.
    loop {
        assert!(begun.elapsed() < DEADLINE, "no news of the other server");
        let run =
            insert_run(&here, new_run(shop.id, u32::try_from(begun.elapsed().as_millis()).unwrap() + 2));
        let run = run.await.into_inner();
        let heard = tokio::time::timeout(Duration::from_millis(200), async {
            while news.recv().await.unwrap() != Change::Run(run.id) {}
        });
        if heard.await.is_ok() {
            break;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transaction_left_alone_frees_what_it_holds() {
    let database = Database::create();
    let hasty = PostgresOptions { idle_transaction_timeout_ms: 1_000, ..options(&database) };
    let (hasty, other) = (PostgresRecords::connect(hasty).await.unwrap(), server(&database).await);
    let shop = make_application(&other, "shop").await;
    let mut tx = hasty.begin().await.unwrap();
    tx.run_insert(new_run(shop.id, 1)).await.unwrap();
    assert!(insert_run(&other, new_run(shop.id, 1)).await.is_new());
    let lost = tx.commit().await.unwrap_err();
    assert!(lost.is_transient(), "{lost:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_not_there_is_named_unavailable() {
    let options = PostgresOptions {
        // Nobody listens on a port of which the listener is gone.
        url: format!("postgres://slipway:hunter2@127.0.0.1:{}/slipway", {
            std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
        }),
        acquire_timeout_ms: 200,
        ..PostgresOptions::default()
    };
    let error = PostgresRecords::connect(options).await.unwrap_err();
    assert!(error.is_transient(), "{error:?}");
    assert!(!format!("{error:?}").contains("hunter2"));
}
