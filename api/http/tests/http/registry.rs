//! The distribution specification's basics.

use axum::body::Body;
use axum::http::{Method, Request};
use serde_json::{Value, json};
use slipway_http::HttpOptions;
use slipway_types::{Digest, Role};

use crate::server::{Answer, Server};

const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

struct Registry {
    server: Server,
    token: String,
}

impl Registry {
    async fn start() -> Self {
        Self::with(|_| {}).await
    }

    async fn with(change: impl FnOnce(&mut HttpOptions)) -> Self {
        let server = Server::with(change).await;
        server.application("shop").await;
        let token = server.token_for("shop", Role::Developer).await;
        Self { server, token }
    }

    async fn send(&self, method: Method, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        let basic = base64::Engine::encode(
            &base64::engine::general_purpose::STANDARD,
            format!("anyone:{}", self.token),
        );
        let mut request = Request::builder().method(method).uri(path);
        request = request.header("authorization", format!("Basic {basic}"));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.server.send(request.body(Body::from(body.to_vec())).unwrap()).await
    }

    async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, &[], b"").await
    }

    async fn push_blob(&self, repository: &str, bytes: &[u8]) -> Digest {
        let digest = Digest::of(bytes);
        let path = format!("/v2/{repository}/blobs/uploads/?digest={digest}");
        let answer = self.send(Method::POST, &path, &[], bytes).await.is(201);
        assert_eq!(answer.header("location"), format!("/v2/{repository}/blobs/{digest}"));
        digest
    }

    async fn push_manifest(&self, repository: &str, reference: &str, manifest: &Value) -> Answer {
        let path = format!("/v2/{repository}/manifests/{reference}");
        let bytes = manifest.to_string();
        self.send(Method::PUT, &path, &[("content-type", OCI_MANIFEST)], bytes.as_bytes()).await
    }
}

#[track_caller]
fn refused(answer: &Answer, status: u16, code: &str) {
    assert_eq!(answer.status.as_u16(), status, "{}", answer.text());
    assert_eq!(answer.json()["errors"][0]["code"], code);
}

fn artifact(config: Digest, size: u64, subject: Option<(Digest, u64)>) -> Value {
    let mut manifest = json!({
        "schemaVersion": 2, "mediaType": OCI_MANIFEST, "artifactType": "application/vnd.example.thing",
        "config": {"mediaType": "application/vnd.oci.empty.v1+json", "digest": config, "size": size},
        "layers": [{"mediaType": "application/vnd.oci.empty.v1+json", "digest": config, "size": size}],
    });
    if let Some((digest, size)) = subject {
        manifest["subject"] = json!({"mediaType": OCI_MANIFEST, "digest": digest, "size": size});
    }
    manifest
}

const REPOSITORY: &str = "default/shop/i/api";

#[tokio::test]
async fn the_base_asks_for_basic_only() {
    let registry = Registry::start().await;
    let answer = registry.server.send(Request::get("/v2/").body(Body::empty()).unwrap()).await;
    refused(&answer, 401, "UNAUTHORIZED");
    assert_eq!(answer.header("www-authenticate"), "Basic realm=\"slipway\"");
    assert_eq!(answer.headers.get_all("www-authenticate").iter().count(), 1);
    let answer = registry.get("/v2/").await.is(200);
    assert_eq!(answer.header("docker-distribution-api-version"), "registry/2.0");
}

#[tokio::test]
async fn a_manifest_is_pushed_and_pulled_by_tag_and_digest() {
    let registry = Registry::start().await;
    let config = registry.push_blob(REPOSITORY, b"{}").await;
    let manifest = artifact(config, 2, None);
    let digest = Digest::of(manifest.to_string());
    let put = registry.push_manifest(REPOSITORY, "v1", &manifest).await.is(201);
    assert_eq!(put.header("docker-content-digest"), digest.to_string());
    assert_eq!(put.header("location"), format!("/v2/{REPOSITORY}/manifests/{digest}"));
    for reference in ["v1", &digest.to_string()] {
        let path = format!("/v2/{REPOSITORY}/manifests/{reference}");
        let got = registry.get(&path).await.is(200);
        assert_eq!((got.text(), got.header("content-type")), (manifest.to_string(), OCI_MANIFEST));
        let head = registry.send(Method::HEAD, &path, &[], b"").await.is(200);
        assert_eq!(head.header("content-length"), got.body.len().to_string());
        assert_eq!(head.header("docker-content-digest"), digest.to_string());
    }
    let wrong = registry.push_manifest(REPOSITORY, &Digest::of("x").to_string(), &manifest).await;
    refused(&wrong, 400, "DIGEST_INVALID");
    let dangling = registry.push_manifest(REPOSITORY, "v2", &artifact(Digest::of("no"), 2, None)).await;
    refused(&dangling, 404, "MANIFEST_BLOB_UNKNOWN");
    refused(&registry.get(&format!("/v2/{REPOSITORY}/manifests/v3")).await, 404, "MANIFEST_UNKNOWN");
    let large = format!("{{\"x\": \"{}\"}}", "x".repeat(5 << 20));
    let path = format!("/v2/{REPOSITORY}/manifests/v4");
    let large = registry.send(Method::PUT, &path, &[("content-type", OCI_MANIFEST)], large.as_bytes()).await;
    refused(&large, 413, "SIZE_INVALID");
}

#[tokio::test]
async fn a_blob_is_pushed_in_chunks_that_must_follow_each_other() {
    let registry = Registry::start().await;
    let begun =
        registry.send(Method::POST, &format!("/v2/{REPOSITORY}/blobs/uploads/"), &[], b"").await.is(202);
    let place = begun.header("location").to_owned();
    let patch = async |range: &str, bytes: &[u8]| {
        registry.send(Method::PATCH, &place, &[("content-range", range)], bytes).await
    };
    assert_eq!(patch("0-4", b"hello").await.is(202).header("range"), "0-4");
    let early = patch("9-10", b"xx").await;
    refused(&early, 416, "BLOB_UPLOAD_INVALID");
    assert_eq!(early.header("range"), "0-4");
    let status = registry.get(&place).await.is(204);
    assert_eq!((status.header("range"), status.header("location")), ("0-4", &*place));
    patch("5-5", b" ").await.is(202);
    let digest = Digest::of("hello world");
    let done = registry.send(Method::PUT, &format!("{place}?digest={digest}"), &[], b"world").await.is(201);
    assert_eq!(done.header("docker-content-digest"), digest.to_string());
    refused(&registry.get(&place).await, 404, "BLOB_UPLOAD_UNKNOWN");
    assert_eq!(registry.get(&format!("/v2/{REPOSITORY}/blobs/{digest}")).await.is(200).text(), "hello world");
}

#[tokio::test]
async fn an_upload_has_a_bounded_number_of_chunks() {
    let registry = Registry::with(|options| options.max_upload_parts = 2).await;
    let begin = format!("/v2/{REPOSITORY}/blobs/uploads/");
    let place = registry.send(Method::POST, &begin, &[], b"").await.is(202).header("location").to_owned();
    let patch = async |bytes: &[u8]| registry.send(Method::PATCH, &place, &[], bytes).await;
    patch(b"a").await.is(202);
    patch(b"b").await.is(202);
    let third = patch(b"c").await;
    refused(&third, 413, "SIZE_INVALID");
    assert!(third.text().contains("at most 2 chunks"), "{}", third.text());
    let path = format!("{place}?digest={}", Digest::of("abc"));
    registry.send(Method::PUT, &path, &[], b"c").await.is(201);
}

#[tokio::test]
async fn an_upload_whose_digest_does_not_fit_is_refused_and_one_may_be_dropped() {
    let registry = Registry::start().await;
    let begin = async || {
        let path = format!("/v2/{REPOSITORY}/blobs/uploads/");
        registry.send(Method::POST, &path, &[], b"").await.is(202).header("location").to_owned()
    };
    let place = begin().await;
    let digest = Digest::of("a");
    let wrong = registry.send(Method::PUT, &format!("{place}?digest={digest}"), &[], b"b").await;
    refused(&wrong, 400, "DIGEST_INVALID");
    refused(&registry.get(&format!("/v2/{REPOSITORY}/blobs/{digest}")).await, 404, "BLOB_UNKNOWN");
    let place = begin().await;
    registry.send(Method::DELETE, &place, &[], b"").await.is(204);
    refused(&registry.get(&place).await, 404, "BLOB_UPLOAD_UNKNOWN");
    let sha512 = format!("/v2/{REPOSITORY}/blobs/uploads/?digest=sha512:00");
    refused(&registry.send(Method::POST, &sha512, &[], b"").await, 400, "DIGEST_INVALID");
}

#[tokio::test]
async fn an_upload_in_one_chunk_is_ended_by_its_digest() {
    let registry = Registry::start().await;
    let begin = format!("/v2/{REPOSITORY}/blobs/uploads/");
    for (said, status) in [(Digest::of("hello"), 201), (Digest::of("other"), 400)] {
        let begun = registry.send(Method::POST, &begin, &[], b"").await.is(202);
        let place = begun.header("location").to_owned();
        registry.send(Method::PATCH, &place, &[], b"hello").await.is(202);
        registry.send(Method::PATCH, &place, &[], b"").await.is(202);
        registry.send(Method::PUT, &format!("{place}?digest={said}"), &[], b"").await.is(status);
        refused(&registry.get(&place).await, 404, "BLOB_UPLOAD_UNKNOWN");
        let got = registry.get(&format!("/v2/{REPOSITORY}/blobs/{said}")).await;
        got.is(if status == 201 { 200 } else { 404 });
    }
    let elsewhere = registry.send(Method::POST, &begin, &[], b"").await.is(202).header("location").to_owned();
    let elsewhere = elsewhere.replace("/i/api/", "/i/web/");
    refused(&registry.get(&elsewhere).await, 404, "BLOB_UPLOAD_UNKNOWN");
}

#[tokio::test]
async fn parts_of_blobs_are_served_by_range() {
    let registry = Registry::start().await;
    let digest = registry.push_blob(REPOSITORY, b"0123456789").await;
    let path = format!("/v2/{REPOSITORY}/blobs/{digest}");
    let part = registry.send(Method::GET, &path, &[("range", "bytes=2-4")], b"").await.is(206);
    assert_eq!((part.text().as_str(), part.header("content-range")), ("234", "bytes 2-4/10"));
    let beyond = registry.send(Method::GET, &path, &[("range", "bytes=10-")], b"").await.is(416);
    assert_eq!(beyond.header("content-range"), "bytes */10");
    let head = registry.send(Method::HEAD, &path, &[], b"").await.is(200);
    assert_eq!((head.header("content-length"), head.header("accept-ranges")), ("10", "bytes"));
}

#[tokio::test]
async fn a_damaged_blob_is_cut_short_and_never_completed() {
    let registry = Registry::start().await;
    let digest = registry.push_blob(REPOSITORY, &vec![7; 1 << 20]).await;
    let mut stack = vec![registry.server.directory.path().join("objects")];
    let mut damaged = false;
    while let Some(place) = stack.pop() {
        for entry in std::fs::read_dir(place).unwrap().map(Result::unwrap) {
            if entry.file_type().unwrap().is_dir() {
                stack.push(entry.path());
            } else if entry.file_name().to_str() == Some(&digest.hex()) {
                let mut bytes = std::fs::read(entry.path()).unwrap();
                bytes[0] = 8;
                std::fs::remove_file(entry.path()).unwrap();
                std::fs::write(entry.path(), bytes).unwrap();
                damaged = true;
            }
        }
    }
    assert!(damaged);
    let request = Request::get(format!("/v2/{REPOSITORY}/blobs/{digest}"));
    let request = request.header("authorization", format!("Bearer {}", registry.token));
    let response =
        tower::ServiceExt::oneshot(registry.server.router.clone(), request.body(Body::empty()).unwrap());
    let body = response.await.unwrap().into_body();
    assert!(axum::body::to_bytes(body, usize::MAX).await.is_err());
}

#[tokio::test]
async fn blobs_are_mounted_only_from_where_the_caller_may_pull() {
    let registry = Registry::start().await;
    registry.server.application("commerce/till").await;
    let own = registry.push_blob(REPOSITORY, b"own").await;
    let mount = async |digest: Digest, from: &str| {
        let path = format!("/v2/default/shop/blobs/uploads/?mount={digest}&from={from}");
        registry.send(Method::POST, &path, &[], b"").await
    };
    let mounted = mount(own, REPOSITORY).await.is(201);
    assert_eq!(mounted.header("location"), format!("/v2/default/shop/blobs/{own}"));
    mount(Digest::of("none"), REPOSITORY).await.is(202);
    let admin = Registry { token: registry.server.admin.clone(), server: registry.server };
    let foreign = admin.push_blob("commerce/till/i/x", b"foreign").await;
    let registry = Registry {
        token: admin
            .server
            .token("d", Some(Role::Developer), Some(admin.server.application_id("shop").await), vec![])
            .await,
        server: admin.server,
    };
    let path = format!("/v2/default/shop/blobs/uploads/?mount={foreign}&from=commerce/till/i/x");
    registry.send(Method::POST, &path, &[], b"").await.is(202);
}

#[tokio::test]
async fn tags_repositories_and_referrers_are_listed() {
    let registry = Registry::start().await;
    let config = registry.push_blob(REPOSITORY, b"{}").await;
    let manifest = artifact(config, 2, None);
    for tag in ["a", "b", "c"] {
        registry.push_manifest(REPOSITORY, tag, &manifest).await.is(201);
    }
    let list = format!("/v2/{REPOSITORY}/tags/list");
    assert_eq!(
        registry.get(&list).await.is(200).json(),
        json!({"name": REPOSITORY, "tags": ["a", "b", "c"]})
    );
    let first = registry.get(&format!("{list}?n=2")).await.is(200);
    assert_eq!(first.json()["tags"], json!(["a", "b"]));
    assert_eq!(first.header("link"), format!("<{list}?n=2&last=b>; rel=\"next\""));
    let last = registry.get(&format!("{list}?n=2&last=b")).await.is(200);
    assert_eq!(last.json()["tags"], json!(["c"]));
    assert!(!last.headers.contains_key("link"));
    refused(&registry.get("/v2/default/shop/i/none/tags/list").await, 404, "NAME_UNKNOWN");
    assert_eq!(registry.get("/v2/_catalog").await.is(200).json(), json!({"repositories": [REPOSITORY]}));

    let subject = Digest::of(manifest.to_string());
    let about = artifact(config, 2, Some((subject, manifest.to_string().len() as u64)));
    let put =
        registry.push_manifest(REPOSITORY, &Digest::of(about.to_string()).to_string(), &about).await.is(201);
    assert_eq!(put.header("oci-subject"), subject.to_string());
    let referrers = format!("/v2/{REPOSITORY}/referrers/{subject}");
    let all = registry.get(&referrers).await.is(200);
    assert_eq!(all.header("content-type"), "application/vnd.oci.image.index.v1+json");
    assert_eq!(all.json()["manifests"][0]["digest"], Digest::of(about.to_string()).to_string());
    let filtered = registry.get(&format!("{referrers}?artifactType=application/other")).await.is(200);
    assert_eq!(filtered.json()["manifests"], json!([]));
    assert_eq!(filtered.header("oci-filters-applied"), "artifactType");
}

#[tokio::test]
async fn a_limited_token_pulls_and_pushes_in_its_application_only() {
    let registry = Registry::start().await;
    registry.server.application("commerce/till").await;
    let unseen = registry.get("/v2/commerce/till/manifests/latest").await;
    refused(&unseen, 404, "NAME_UNKNOWN");
    let unseen = registry.get("/v2/no/such/manifests/latest").await;
    refused(&unseen, 404, "NAME_UNKNOWN");
    refused(&registry.send(Method::POST, "/v2/commerce/till/blobs/uploads/", &[], b"").await, 403, "DENIED");
    refused(
        &registry.send(Method::DELETE, &format!("/v2/{REPOSITORY}/manifests/v1"), &[], b"").await,
        403,
        "DENIED",
    );
    refused(&registry.send(Method::POST, "/v2/Shop/blobs/uploads/", &[], b"").await, 400, "NAME_INVALID");
    refused(
        &registry.send(Method::PATCH, &format!("/v2/{REPOSITORY}/tags/list"), &[], b"").await,
        405,
        "UNSUPPORTED",
    );
}
