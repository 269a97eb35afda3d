//! A server as small as possible, and the real `git` client.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Path as UrlPath, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use futures::{StreamExt, TryStreamExt};
use slipway_git::{GitOptions, GitStore};
use slipway_objects::{Blobs, BlobsOptions};
use slipway_records::{Delivery, Records};
use slipway_records::{NewSource, Page, RefRow, SourceKind};
use slipway_records_sqlite::{SqliteOptions, SqliteRecords};
use slipway_types::CommitId;
use slipway_types::id::SourceId;
use tempfile::TempDir;
use tokio_util::io::StreamReader;

pub(crate) struct World {
    pub(crate) dir: TempDir,
    pub(crate) records: Arc<dyn Records>,
    pub(crate) blobs: Blobs,
    pub(crate) store: GitStore,
    pub(crate) source: SourceId,
    pub(crate) url: String,
    server: tokio::task::JoinHandle<()>,
}

impl Drop for World {
    fn drop(&mut self) {
        self.server.abort();
    }
}

#[derive(Clone)]
struct Shared {
    store: GitStore,
    source: SourceId,
}

pub(crate) fn options() -> GitOptions {
    GitOptions {
        allow_http: true,
        allow_private_addresses: vec!["127.0.0.0/8".parse().unwrap(), "::1/128".parse().unwrap()],
        ..GitOptions::default()
    }
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::with(options()).await
    }

    pub(crate) async fn with(options: GitOptions) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let records = SqliteRecords::open(&dir.path().join("s.db"), SqliteOptions::default()).await.unwrap();
        let records: Arc<dyn Records> = Arc::new(records);
        let spool = dir.path().join("spool");
        let blobs_url = format!("file://{}", dir.path().join("blobs").display());
        let blobs = Blobs::open(BlobsOptions::new(blobs_url, spool)).await.unwrap();
        let source = new_source(records.as_ref(), "shop").await;
        let cache = dir.path().join("cache");
        let store = GitStore::open(cache, blobs.clone(), Arc::clone(&records), options).await.unwrap();
        let (url, server) = serve(store.clone(), source).await;
        Self { dir, records, blobs, store, source, url, server }
    }

    /// A second server on the same records and blobs, with a cache of its own.
    pub(crate) async fn second(&self) -> GitStore {
        let cache = self.dir.path().join("cache2");
        GitStore::open(cache, self.blobs.clone(), Arc::clone(&self.records), options()).await.unwrap()
    }

    pub(crate) async fn refs(&self) -> Vec<RefRow> {
        self.records.read().await.unwrap().git_refs(self.source).await.unwrap()
    }

    pub(crate) async fn head(&self, name: &str) -> Option<CommitId> {
        self.refs().await.into_iter().find(|row| row.name.to_string() == name).map(|row| row.object)
    }

    pub(crate) async fn packs(&self) -> usize {
        self.records.read().await.unwrap().git_packs(self.source, 0).await.unwrap().len()
    }

    pub(crate) async fn deliveries(&self) -> Vec<Delivery> {
        self.records.read().await.unwrap().delivery_list(self.source, Page::default()).await.unwrap()
    }

    /// A new clone's directory with one commit on `main`.
    pub(crate) async fn work(&self, name: &str) -> Work {
        let work = Work { dir: self.dir.path().join(name) };
        std::fs::create_dir(&work.dir).unwrap();
        work.ok(&["init", "-q", "-b", "main"]).await;
        work.ok(&["remote", "add", "origin", &self.url]).await;
        work.commit("a.txt", "one\n").await;
        work
    }

    /// What lies in quarantine directories.
    pub(crate) fn quarantined(&self) -> usize {
        let root = self.dir.path().join("cache/quarantine");
        let boots = std::fs::read_dir(root).unwrap().map(|boot| boot.unwrap().path());
        boots.filter(|boot| boot.is_dir()).map(|boot| std::fs::read_dir(boot).unwrap().count()).sum()
    }
}

pub(crate) async fn new_source(records: &dyn Records, name: &str) -> SourceId {
    let mut write = records.begin().await.unwrap();
    let source = NewSource {
        name: name.parse().unwrap(),
        kind: SourceKind::Builtin,
        credential: None,
        poll_interval_s: 300,
    };
    let id = write.source_insert(source).await.unwrap().id;
    write.commit().await.unwrap();
    id
}

/// A working directory of the real client.
#[derive(Clone)]
pub(crate) struct Work {
    pub(crate) dir: PathBuf,
}

impl Work {
    pub(crate) async fn git(&self, arguments: &[&str]) -> Output {
        let dir = self.dir.clone();
        let arguments: Vec<String> = arguments.iter().map(|&a| a.to_owned()).collect();
        tokio::task::spawn_blocking(move || client(&dir).args(arguments).output().unwrap()).await.unwrap()
    }

    pub(crate) async fn ok(&self, arguments: &[&str]) -> String {
        let output = self.git(arguments).await;
        assert!(output.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// Runs what must fail, and returns what it said.
    pub(crate) async fn fails(&self, arguments: &[&str]) -> String {
        let output = self.git(arguments).await;
        assert!(!output.status.success(), "git {arguments:?} succeeded");
        String::from_utf8_lossy(&output.stderr).into_owned()
    }

    pub(crate) async fn commit(&self, path: &str, content: &str) -> CommitId {
        let file = self.dir.join(path);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, content).unwrap();
        self.commit_all().await
    }

    pub(crate) async fn commit_all(&self) -> CommitId {
        self.ok(&["add", "-A"]).await;
        self.ok(&["commit", "-q", "-m", "a change"]).await;
        self.tip().await
    }

    pub(crate) async fn tip(&self) -> CommitId {
        self.ok(&["rev-parse", "HEAD"]).await.parse().unwrap()
    }
}

fn client(dir: &Path) -> Command {
    let mut command = Command::new("git");
    command
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap())
        .env("HOME", dir)
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_TERMINAL_PROMPT", "0")
        .env("LC_ALL", "C");
    for who in ["AUTHOR", "COMMITTER"] {
        command
            .env(format!("GIT_{who}_NAME"), "Ann")
            .env(format!("GIT_{who}_EMAIL"), "ann@example.com")
            .env(format!("GIT_{who}_DATE"), "2024-01-02T03:04:05Z");
    }
    command.arg("-C").arg(dir);
    command
}

pub(crate) async fn serve(store: GitStore, source: SourceId) -> (String, tokio::task::JoinHandle<()>) {
    let routes = Router::new()
        .route("/{repository}/info/refs", get(advertise))
        .route("/{repository}/git-receive-pack", post(receive))
        .route("/{repository}/git-upload-pack", post(upload))
        .with_state(Shared { store, source });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/shop.git", listener.local_addr().unwrap());
    (url, tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() }))
}

#[derive(serde::Deserialize)]
struct Service {
    service: String,
}

fn protocol(headers: &HeaderMap) -> Option<&str> {
    headers.get("git-protocol").and_then(|value| value.to_str().ok())
}

async fn advertise(
    State(shared): State<Shared>,
    UrlPath(_): UrlPath<String>,
    Query(Service { service }): Query<Service>,
    headers: HeaderMap,
) -> Response {
    let body = match service.as_str() {
        "git-receive-pack" => shared.store.receive_advertise(shared.source).await,
        _ => shared.store.upload_advertise(shared.source, protocol(&headers)).await,
    };
    let kind = format!("application/x-{service}-advertisement");
    ([("content-type", kind)], body.unwrap()).into_response()
}

fn reader(body: Body) -> impl tokio::io::AsyncRead + Unpin + Send {
    StreamReader::new(body.into_data_stream().map_err(std::io::Error::other).boxed())
}

async fn receive(State(shared): State<Shared>, UrlPath(_): UrlPath<String>, body: Body) -> Response {
    match shared.store.receive(shared.source, reader(body), "ann").await {
        Ok(received) => {
            let text = received.progress_packet("building\n").unwrap_or_default();
            let parts = [received.report.clone(), text, received.end()];
            let body = Body::from_stream(futures::stream::iter(parts.map(Ok::<Bytes, std::io::Error>)));
            ([("content-type", "application/x-git-receive-pack-result")], body).into_response()
        }
        Err(error) => (StatusCode::BAD_REQUEST, error.to_string()).into_response(),
    }
}

async fn upload(
    State(shared): State<Shared>,
    UrlPath(_): UrlPath<String>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let stream = shared.store.upload_pack(shared.source, protocol(&headers), reader(body)).await.unwrap();
    ([("content-type", "application/x-git-upload-pack-result")], Body::from_stream(stream)).into_response()
}
