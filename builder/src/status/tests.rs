use std::net::SocketAddr;
use std::path::Path;
use std::sync::Mutex;

use axum::Router;
use axum::body::to_bytes;
use axum::extract::Request;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use slipway_records::queue::JobState;
use slipway_records::{Inserted, NewDelivery, NewRun, NewSource, Origin};
use slipway_records_sqlite::{SqliteOptions, SqliteRecords};
use slipway_secrets::SecretOptions;
use slipway_types::id::JobId;
use slipway_types::state::{DeliveryState, RunState, Step};
use slipway_types::{CommitId, GitRef, SecretReference};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use super::*;

const TOKEN: &str = "glpat-5ecret";

/// What a forge was asked.
#[derive(Debug, Clone)]
struct Asked {
    path: String,
    headers: HeaderMap,
    body: Value,
}

/// A forge in this process.
#[derive(Clone, Default)]
struct Fake {
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Fake {
    async fn serve<F, R>(&self, answer: F) -> SocketAddr
    where
        F: Fn() -> R + Clone + Send + Sync + 'static,
        R: Future<Output = Response> + Send + 'static,
    {
        let asked = Arc::clone(&self.asked);
        let router = Router::new().fallback(move |request: Request| {
            let (asked, answer) = (Arc::clone(&asked), answer.clone());
            async move {
                let (parts, body) = request.into_parts();
                let body = to_bytes(body, 1 << 20).await.unwrap();
                let body = serde_json::from_slice(&body).unwrap();
                let path = parts.uri.path().to_owned();
                asked.lock().unwrap().push(Asked { path, headers: parts.headers, body });
                answer().await
            }
        });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        address
    }

    fn only(&self) -> Asked {
        let asked = self.asked.lock().unwrap();
        assert_eq!(asked.len(), 1, "{asked:?}");
        asked[0].clone()
    }
}

/// Records with one run, and the handler that tells about it.
struct World {
    handler: StatusHandler,
    records: Arc<dyn Records>,
    run: Run,
    _dir: TempDir,
}

fn allowing_loopback() -> StatusOptions {
    let git = GitOptions {
        allow_http: true,
        allow_private_addresses: vec!["127.0.0.0/8".parse().unwrap()],
        ..GitOptions::default()
    };
    StatusOptions { git, ..StatusOptions::default() }
}

async fn open(dir: &Path) -> (Arc<dyn Records>, Secrets) {
    let records = SqliteRecords::open(&dir.join("records.db"), SqliteOptions::default()).await.unwrap();
    let records: Arc<dyn Records> = Arc::new(records);
    let options = SecretOptions { key_file: dir.join("secret.key"), ..SecretOptions::default() };
    let secrets = Secrets::new(Arc::clone(&records), options).unwrap();
    (records, secrets)
}

fn new_run(application: &Application, retry_of: Option<&Run>) -> NewRun {
    NewRun {
        application_id: application.id,
        git_ref: GitRef::Branch("main".into()),
        commit: commit(),
        actor: "ann".into(),
        subject: "Fix it".into(),
        author: "Ann <ann@example.com>".into(),
        committed_at: Utc::now(),
        delivery_id: None,
        retry_of: retry_of.map(|run| run.id),
        fresh: false,
    }
}

fn commit() -> CommitId {
    "c0ffee".repeat(7)[..40].parse().unwrap()
}

impl World {
    /// A source at `url` with `credential`, whose webhooks come from `origin`.
    async fn new(url: String, origin: Origin, credential: &str, options: StatusOptions) -> Self {
        // Another test may have installed it.
        drop(rustls::crypto::ring::default_provider().install_default());
        let dir = TempDir::new().unwrap();
        let (records, secrets) = open(dir.path()).await;
        secrets.set("forge", &SecretString::from(credential.to_owned()), "ann").await.unwrap();
        let mut tx = records.begin().await.unwrap();
        let source = NewSource {
            name: "shop".parse().unwrap(),
            kind: SourceKind::Https { url },
            credential: Some(SecretReference::builtin("forge")),
            poll_interval_s: 300,
        };
        let source = tx.source_insert(source).await.unwrap();
        let application = tx.application_insert(&"shop".parse().unwrap(), source.id, "").await.unwrap();
        let delivery = NewDelivery {
            source_id: source.id,
            origin,
            external_id: None,
            event: "push".into(),
            git_ref: None,
            commit: None,
            actor: "ann".into(),
            fresh: false,
            state: DeliveryState::Received,
        };
        tx.delivery_insert(delivery).await.unwrap();
        let Inserted::New(run) = tx.run_insert(new_run(&application, None)).await.unwrap() else {
            panic!("the run is new")
        };
        tx.commit().await.unwrap();
        let handler = StatusHandler::new(Arc::clone(&records), secrets, "http://slipway.test:7300/", options);
        Self { handler, records, run, _dir: dir }
    }

    async fn save(&self, state: RunState) {
        let mut tx = self.records.begin().await.unwrap();
        let mut run = tx.run_get(self.run.id).await.unwrap().unwrap();
        run.state = state;
        assert!(tx.run_save(&mut run).await.unwrap());
        tx.commit().await.unwrap();
    }

    async fn tell(&self) -> Result<(), JobError> {
        self.tell_late(Utc::now()).await
    }

    async fn tell_late(&self, created_at: chrono::DateTime<Utc>) -> Result<(), JobError> {
        let job = Job { created_at, ..job_of(self) };
        self.handler.run(&job, &JobContext { cancelled: CancellationToken::new() }).await
    }
}

fn created() -> std::future::Ready<Response> {
    std::future::ready(axum::http::StatusCode::CREATED.into_response())
}

fn failed_run() -> RunState {
    let fault = Fault::permanent("context_missing", "there is no directory services/api");
    RunState::Failed { step: Step::Plan, fault }
}

#[tokio::test]
async fn each_forge_is_told_its_own_way() {
    for (origin, credential, path, header, value, states) in [
        (
            Origin::Github,
            TOKEN,
            "/api/v3/repos/team/shop/statuses/",
            "authorization",
            format!("Bearer {TOKEN}"),
            ["pending", "failure", "error"],
        ),
        (
            Origin::Gitlab,
            "oauth2:glpat-5ecret",
            "/api/v4/projects/group%2Fteam%2Fshop/statuses/",
            "private-token",
            TOKEN.to_owned(),
            ["pending", "failed", "canceled"],
        ),
        (
            Origin::Gitea,
            TOKEN,
            "/api/v1/repos/team/shop/statuses/",
            "authorization",
            format!("token {TOKEN}"),
            ["pending", "failure", "error"],
        ),
        // `ann:glpat-5ecret` in base64.
        (
            Origin::Forgejo,
            "ann:glpat-5ecret",
            "/api/v1/repos/team/shop/statuses/",
            "authorization",
            "Basic YW5uOmdscGF0LTVlY3JldA==".to_owned(),
            ["pending", "failure", "error"],
        ),
    ] {
        let cancelled = RunState::Cancelled { by: "ann".into() };
        for (state, word) in [RunState::Planning, failed_run(), cancelled].into_iter().zip(states) {
            let fake = Fake::default();
            let address = fake.serve(created).await;
            let owner = if origin == Origin::Gitlab { "group/team" } else { "team" };
            // By name, so that the checked address is the one connected to.
            let url = format!("http://localhost:{}/{owner}/shop.git", address.port());
            let world = World::new(url, origin, credential, allowing_loopback()).await;
            world.save(state).await;
            world.tell().await.unwrap();
            let asked = fake.only();
            assert_eq!(asked.path, format!("{path}{}", commit()));
            assert_eq!(asked.headers[header], value, "{origin:?}");
            assert_eq!(asked.body["state"], word);
            assert_eq!(asked.body["context"], "slipway/shop");
            assert_eq!(asked.body["target_url"], format!("http://slipway.test:7300/runs/{}", world.run.id));
            let git_ref = if origin == Origin::Gitlab { json!("main") } else { Value::Null };
            assert_eq!(asked.body["ref"], git_ref);
        }
    }
}

#[tokio::test]
async fn a_late_job_tells_what_the_newest_run_of_the_commit_is() {
    let fake = Fake::default();
    let address = fake.serve(created).await;
    let world =
        World::new(format!("http://{address}/a/b.git"), Origin::Github, TOKEN, allowing_loopback()).await;
    world.save(failed_run()).await;
    let mut tx = world.records.begin().await.unwrap();
    let application = tx.application_get(world.run.application_id).await.unwrap().unwrap();
    let mut again = tx.run_insert(new_run(&application, Some(&world.run))).await.unwrap().into_inner();
    again.state = RunState::Done { bundle: None, version: "0.1.0-main.1".parse().unwrap() };
    assert!(tx.run_save(&mut again).await.unwrap());
    tx.commit().await.unwrap();
    world.tell().await.unwrap();
    let asked = fake.only();
    assert_eq!(
        (&asked.body["state"], &asked.body["description"]),
        (&json!("success"), &json!("published 0.1.0-main.1"))
    );
}

#[tokio::test]
async fn a_forge_that_fails_is_asked_again_for_a_while() {
    let fake = Fake::default();
    let address = fake
        .serve(|| {
            let answer = (axum::http::StatusCode::SERVICE_UNAVAILABLE, [("retry-after", "120")], TOKEN);
            std::future::ready(answer.into_response())
        })
        .await;
    let world =
        World::new(format!("http://{address}/a/b.git"), Origin::Gitea, TOKEN, allowing_loopback()).await;
    let Err(JobError::Wait { why, delay }) = world.tell().await else { panic!("it is asked again") };
    assert!(why.contains("503") && !why.contains(TOKEN), "{why}");
    assert_eq!(delay, Duration::from_mins(2));
    // Not for ever.
    world.tell_late(Utc::now() - TimeDelta::hours(2)).await.unwrap();
}

#[tokio::test]
async fn a_forge_that_hangs_is_given_up_in_time() {
    let fake = Fake::default();
    let address = fake.serve(std::future::pending::<Response>).await;
    let options = StatusOptions { request_timeout_ms: 50, ..allowing_loopback() };
    let world = World::new(format!("http://{address}/a/b.git"), Origin::Github, TOKEN, options).await;
    let Err(JobError::Wait { why, .. }) = world.tell().await else { panic!("it is asked again") };
    assert_eq!(why, "127.0.0.1 does not answer in time");
    assert_eq!(fake.asked.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn a_refusal_ends_quietly_and_shows_no_token() {
    let fake = Fake::default();
    let address = fake
        .serve(|| {
            let body = json!({"message": format!("bad credentials: {TOKEN}")});
            std::future::ready((axum::http::StatusCode::UNAUTHORIZED, axum::Json(body)).into_response())
        })
        .await;
    let world =
        World::new(format!("http://{address}/a/b.git"), Origin::Github, TOKEN, allowing_loopback()).await;
    for _ in 0..2 {
        world.tell().await.unwrap();
    }
    let noted = world.handler.told.lock().unwrap().clone();
    assert_eq!(noted.len(), 1);
    let told = world.handler.load(&job_of(&world)).await.unwrap().unwrap();
    let refusal = world.handler.tell(&told).await.unwrap_err();
    assert_eq!(refusal.fault.code, "forge_refused_401");
    assert!(!refusal.fault.to_string().contains(TOKEN), "{}", refusal.fault);
}

fn job_of(world: &World) -> Job {
    Job {
        id: JobId::new(),
        payload: JobPayload::Status { run: world.run.id },
        application_id: None,
        state: JobState::Leased,
        attempt: 1,
        attempts_max: 5,
        losses: 0,
        token: 1,
        run_at: Utc::now(),
        last_error: None,
        created_at: Utc::now(),
    }
}

#[tokio::test]
async fn gitlab_may_say_that_it_knows_already() {
    let fake = Fake::default();
    let address = fake
        .serve(|| {
            let body = json!({"message": "Cannot transition status via :enqueue from :pending"});
            std::future::ready((axum::http::StatusCode::BAD_REQUEST, axum::Json(body)).into_response())
        })
        .await;
    let world =
        World::new(format!("http://{address}/a/b.git"), Origin::Gitlab, TOKEN, allowing_loopback()).await;
    world.tell().await.unwrap();
    assert!(world.handler.told.lock().unwrap().is_empty(), "nothing was refused");
}

#[tokio::test]
async fn neighbours_and_redirects_get_no_token() {
    let fake = Fake::default();
    let address = fake.serve(created).await;
    let there = format!("http://{address}/elsewhere");
    let first = Fake::default();
    let redirecting = first
        .serve(move || {
            let answer = (axum::http::StatusCode::TEMPORARY_REDIRECT, [("location", there.clone())]);
            std::future::ready(answer.into_response())
        })
        .await;
    let url = format!("http://{redirecting}/a/b.git");
    World::new(url, Origin::Github, TOKEN, allowing_loopback()).await.tell().await.unwrap();
    assert_eq!(first.asked.lock().unwrap().len(), 1);
    let strict = StatusOptions {
        git: GitOptions { allow_http: true, ..GitOptions::default() },
        ..StatusOptions::default()
    };
    for host in [address.to_string(), format!("localhost:{}", address.port())] {
        let world = World::new(format!("http://{host}/a/b.git"), Origin::Github, TOKEN, strict.clone()).await;
        world.tell().await.unwrap();
        let codes: Vec<String> =
            world.handler.told.lock().unwrap().iter().map(|(_, code)| code.clone()).collect();
        assert_eq!(codes, ["address_refused"]);
    }
    assert!(fake.asked.lock().unwrap().is_empty());
}
