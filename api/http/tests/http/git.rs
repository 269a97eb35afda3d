//! The git remote, by the real `git` client.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::Request;
use serde_json::json;
use slipway_records::pipeline::{Moved, run_move};
use slipway_records::{JobPayload, NewRun, Records};
use slipway_types::Fault;
use slipway_types::state::{DeliveryState, RunEvent, Step};
use tokio::process::Command;
use tokio_util::sync::CancellationToken;

use crate::server::Server;

/// Runs git without anyone's configuration; gives its success and what it said.
async fn git(directory: &Path, arguments: &[&str]) -> (bool, String) {
    let output = Command::new("git")
        .current_dir(directory)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap())
        .env("HOME", directory)
        .env("GIT_TERMINAL_PROMPT", "0")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .args(["-c", "user.name=Ann", "-c", "user.email=ann@example.org", "-c", "init.defaultBranch=main"])
        .args(arguments)
        .output()
        .await
        .unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&said).into_owned())
}

/// Serves on a port of the loopback until the token fires.
async fn serve(server: &Server) -> (SocketAddr, CancellationToken) {
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let end = CancellationToken::new();
    let (router, ended) = (server.router.clone(), end.clone());
    tokio::spawn(async move {
        let service = router.into_make_service_with_connect_info::<SocketAddr>();
        axum::serve(listener, service).with_graceful_shutdown(ended.cancelled_owned()).await.unwrap();
    });
    (address, end)
}

/// A repository with one commit on `main`.
async fn work_tree(server: &Server) -> std::path::PathBuf {
    let directory = server.directory.path().join("work");
    std::fs::create_dir(&directory).unwrap();
    git(&directory, &["init", "-q"]).await;
    std::fs::write(directory.join("a.txt"), "a\n".repeat(10_000)).unwrap();
    git(&directory, &["add", "."]).await;
    git(&directory, &["commit", "-q", "-m", "first"]).await;
    directory
}

#[tokio::test]
async fn a_push_is_committed_reported_and_cloned_again() {
    let server = Server::with(|options| options.push_progress_timeout_ms = 100).await;
    server.application("commerce/shop").await;
    let (address, end) = serve(&server).await;
    let directory = work_tree(&server).await;
    let url = |token: &str| format!("http://git:{token}@{address}/git/commerce/shop.git");
    let (pushed, said) = git(&directory, &["push", &url("wrong"), "main"]).await;
    assert!(!pushed && said.contains("Authentication failed"), "{said}");
    let url = url(&server.admin);
    let (pushed, said) = git(&directory, &["push", &url, "main"]).await;
    assert!(pushed, "{said}");
    assert!(said.contains("remote: slipway: still at work"), "{said}");
    let listed = server.get("/api/v1/sources/commerce-shop/deliveries").await.is(200).json();
    let (_, commit) = git(&directory, &["rev-parse", "HEAD"]).await;
    let delivery = &listed["items"][0];
    assert_eq!((&delivery["commit"], &delivery["actor"]), (&json!(commit.trim()), &json!("root")));
    assert_eq!(delivery["origin"], "push");

    let (cloned, said) = git(&directory, &["clone", "-q", &url, "again"]).await;
    assert!(cloned, "{said}");
    let again = std::fs::read(directory.join("again/a.txt")).unwrap();
    assert_eq!(again, std::fs::read(directory.join("a.txt")).unwrap());
    end.cancel();
}

/// Does a worker's part: the first delivery becomes a run, and that fails in its plan.
async fn plan_and_fail(records: Arc<dyn Records>) {
    let job = loop {
        let claimed = records.queue().claim(&["deliver"], "test", Duration::from_secs(30)).await.unwrap();
        if let Some(job) = claimed {
            break job;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    };
    let JobPayload::Deliver { delivery } = job.payload else { panic!("claimed {:?}", job.payload) };
    let mut tx = records.begin().await.unwrap();
    let delivery = tx.delivery_get(delivery).await.unwrap().unwrap();
    let application = tx.applications_of_source(delivery.source_id).await.unwrap().remove(0);
    let new = NewRun {
        application_id: application.id,
        git_ref: delivery.git_ref.unwrap(),
        commit: delivery.commit.unwrap(),
        actor: delivery.actor,
        subject: "first".into(),
        author: "Ann".into(),
        committed_at: chrono::Utc::now(),
        delivery_id: Some(delivery.id),
        retry_of: None,
        fresh: false,
    };
    let mut run = tx.run_insert(new).await.unwrap().into_inner();
    let planned = DeliveryState::Planned { runs: vec![run.id] };
    assert!(tx.delivery_settle(delivery.id, &planned).await.unwrap());
    let fault = Fault::permanent("no_slipway_yaml", "there is no slipway.yaml\u{1b}[2J");
    let fault = fault.hint("Write one:\n  kind: Application");
    for event in [RunEvent::Plan, RunEvent::Fail(Step::Plan, fault)] {
        assert_eq!(run_move(tx.as_mut(), &mut run, event).await.unwrap(), Moved::Stored);
    }
    tx.commit().await.unwrap();
}

#[tokio::test]
async fn the_pusher_sees_the_run_its_first_error_and_the_next_step() {
    let server = Server::start().await;
    server.application("shop").await;
    let (address, end) = serve(&server).await;
    let directory = work_tree(&server).await;
    let url = format!("http://git:{}@{address}/git/shop.git", server.admin);
    let push = ["push", &url, "main"];
    let ((pushed, said), ()) = tokio::join!(git(&directory, &push), plan_and_fail(server.records.clone()));
    assert!(pushed, "what follows the report fails no push: {said}");
    for line in [
        "remote: slipway: shop run #1: failed: there is no slipway.yaml [2J",
        "remote: slipway: Write one:",
        "remote: slipway:   kind: Application",
        "remote: slipway: More: slipway run show shop#1",
    ] {
        assert!(said.contains(line), "{line}\nis not in\n{said}");
    }
    end.cancel();
}

#[tokio::test]
async fn git_is_asked_for_basic_and_told_in_plain_text() {
    let server = Server::start().await;
    server.application("shop").await;
    let path = "/git/shop.git/info/refs?service=git-receive-pack";
    let answer = server.send(Request::get(path).body(Body::empty()).unwrap()).await.is(401);
    assert_eq!(answer.headers.get_all("www-authenticate").iter().count(), 1);
    assert!(answer.header("www-authenticate").starts_with("Basic "));
    assert!(answer.text().starts_with("slipway: "));
    let answer = server.get(path).await.is(200);
    assert_eq!(answer.header("content-type"), "application/x-git-receive-pack-advertisement");
    server.get("/git/other.git/info/refs?service=git-upload-pack").await.is(404);
    server.get("/git/shop.git/info/refs").await.is(403);
}

#[tokio::test]
async fn a_mirrored_source_is_not_pushed_to() {
    let server = Server::start().await;
    let made = json!({"name": "shop", "source_url": "https://forge.example/shop.git"});
    server.post("/api/v1/applications", made).await.is(201);
    let answer = server.get("/git/shop.git/info/refs?service=git-receive-pack").await.is(403);
    assert!(answer.text().contains("https://forge.example/shop.git"));
}

#[tokio::test]
async fn compressed_bodies_are_unpacked_and_other_encodings_refused() {
    use tokio::io::AsyncReadExt as _;
    let server = Server::start().await;
    server.application("shop").await;
    let mut packed = Vec::new();
    async_compression::tokio::bufread::GzipEncoder::new(&b"0000"[..]).read_to_end(&mut packed).await.unwrap();
    let post = async |encoding: &str, body: &[u8]| {
        let request = Request::post("/git/shop.git/git-receive-pack");
        let request = request.header("authorization", format!("Bearer {}", server.admin));
        let request = request.header("content-encoding", encoding);
        server.send(request.body(Body::from(body.to_vec())).unwrap()).await
    };
    post("gzip", &packed).await.is(200);
    post("gzip", b"0000").await.is(400);
    post("br", b"0000").await.is(415);
}
