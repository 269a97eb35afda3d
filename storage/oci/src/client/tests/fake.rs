//! A registry in this process, for tests: a real one in memory, or a script that misbehaves.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::response::Response;
use slipway_types::Digest;

/// A served registry.
pub(super) struct Fake {
    /// `127.0.0.1:port`.
    pub(super) host: String,
    requests: Arc<AtomicUsize>,
    server: tokio::task::JoinHandle<()>,
}

impl Fake {
    /// Serves whatever `answer` says.
    pub(super) async fn serve<A, F>(answer: A) -> Self
    where
        A: Fn(Request) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = Response> + Send + 'static,
    {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let host = listener.local_addr().unwrap().to_string();
        let requests = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&requests);
        let router = Router::new().fallback(move |request: Request| {
            counter.fetch_add(1, Ordering::Relaxed);
            answer(request)
        });
        let server = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { host, requests, server }
    }

    /// Requests so far.
    pub(super) fn requests(&self) -> usize {
        self.requests.load(Ordering::Relaxed)
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// A response of `status` with `body`.
pub(super) fn answer(status: u16, body: impl Into<Body>) -> Response {
    Response::builder().status(status).body(body.into()).unwrap()
}

/// A response of `status` with one header.
pub(super) fn with_header(status: u16, name: &str, value: &str) -> Response {
    Response::builder().status(status).header(name, value).body(Body::empty()).unwrap()
}

/// What a registry in memory holds, by path.
#[derive(Clone, Default)]
pub(super) struct Memory(Arc<Mutex<HashMap<String, Vec<u8>>>>);

impl Memory {
    /// Holds `bytes` at `path`.
    pub(super) fn put(&self, path: &str, bytes: &[u8]) {
        self.0.lock().unwrap().insert(path.to_owned(), bytes.to_vec());
    }

    /// Answers as the distribution specification says.
    pub(super) async fn answer(&self, request: Request) -> Response {
        let (parts, body) = request.into_parts();
        let path = parts.uri.path().to_owned();
        match parts.method.as_str() {
            "GET" | "HEAD" => match self.0.lock().unwrap().get(&path) {
                Some(bytes) => {
                    let digest = Digest::of(bytes).to_string();
                    Response::builder()
                        .header("docker-content-digest", digest)
                        .body(bytes.clone().into())
                        .unwrap()
                }
                None => answer(404, r#"{"errors":[{"code":"MANIFEST_UNKNOWN"}]}"#),
            },
            "POST" => with_header(202, "location", &format!("{path}1?state=x")),
            "PUT" => {
                let bytes = to_bytes(body, 1 << 20).await.unwrap();
                let digest = Digest::of(&bytes).to_string();
                let query = parts.uri.query().unwrap_or_default();
                if let Some(prefix) = path.strip_suffix("uploads/1") {
                    assert!(
                        query.contains(&digest.replace(':', "%3A")) && query.contains("state=x"),
                        "{query}"
                    );
                    self.put(&format!("{prefix}{digest}"), &bytes);
                } else {
                    self.put(&path, &bytes);
                    self.put(&format!("{}/{digest}", path.rsplit_once('/').unwrap().0), &bytes);
                }
                answer(201, "")
            }
            other => panic!("unexpected {other}"),
        }
    }
}
