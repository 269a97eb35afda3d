//! Webhooks as each forge sends them. Signatures are made here by the forges' documented rule.

use axum::body::Body;
use axum::http::Request;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::server::{Answer, Server};

/// RFC 2104 with SHA-256.
fn hmac(key: &[u8], message: &[u8]) -> Vec<u8> {
    let mut block = [0; 64];
    if key.len() > 64 {
        block[..32].copy_from_slice(&Sha256::digest(key));
    } else {
        block[..key.len()].copy_from_slice(key);
    }
    let inner = Sha256::new().chain_update(block.map(|b| b ^ 0x36)).chain_update(message).finalize();
    Sha256::new().chain_update(block.map(|b| b ^ 0x5c)).chain_update(inner).finalize().to_vec()
}

fn hex_of(key: &str, body: &str) -> String {
    hex::encode(hmac(key.as_bytes(), body.as_bytes()))
}

const COMMIT: &str = "83b9e5fdb5b0ef76ec1f5d1a3d2d0dbb5b4d0a11";
const ZERO: &str = "0000000000000000000000000000000000000000";

fn github_push(git_ref: &str, after: &str) -> String {
    json!({
        "ref": git_ref, "before": ZERO, "after": after, "deleted": after == ZERO,
        "head_commit": if after == ZERO { Value::Null } else { json!({"id": after}) },
        "pusher": {"name": "ann", "email": "ann@example.org"}, "sender": {"login": "ann"},
        "repository": {"clone_url": "https://evil.example/x.git"},
    })
    .to_string()
}

struct Hooks {
    server: Server,
    secret: String,
}

impl Hooks {
    async fn start() -> Self {
        let server = Server::start().await;
        let made = server.application("shop").await;
        Self { secret: made["webhook_secret"].as_str().unwrap().to_owned(), server }
    }

    async fn send(&self, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let mut request = Request::post(path).header("content-type", "application/json");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.server.send(request.body(Body::from(body.to_owned())).unwrap()).await
    }

    async fn github(&self, event: &str, id: &str, body: &str) -> Answer {
        let signature = format!("sha256={}", hex_of(&self.secret, body));
        let headers =
            [("x-github-event", event), ("x-github-delivery", id), ("x-hub-signature-256", &signature)];
        self.send("/hooks/shop/github", &headers, body).await
    }

    async fn deliveries(&self) -> Vec<Value> {
        let listed = self.server.get("/api/v1/sources/shop/deliveries").await.is(200).json();
        listed["items"].as_array().unwrap().clone()
    }

    async fn refusals(&self) -> Value {
        self.server.get("/api/v1/sources/shop/refusals").await.is(200).json()
    }
}

#[tokio::test]
async fn a_github_push_is_committed_before_it_is_answered_and_a_repeat_answers_the_first() {
    let hooks = Hooks::start().await;
    let body = github_push("refs/heads/main", COMMIT);
    let first = hooks.github("push", "id-1", &body).await.is(202).json();
    assert_eq!(first["state"], "received");
    let again = hooks.github("push", "id-1", &body).await.is(200).json();
    assert_eq!(first["delivery"], again["delivery"]);
    let deliveries = hooks.deliveries().await;
    assert_eq!(deliveries.len(), 1);
    let delivery = &deliveries[0];
    assert_eq!((&delivery["origin"], &delivery["actor"]), (&json!("github"), &json!("ann")));
    assert_eq!((&delivery["ref"], &delivery["commit"]), (&json!("refs/heads/main"), &json!(COMMIT)));
    let depths = hooks.server.get("/api/v1/queue").await.is(200).json();
    assert_eq!((&depths["items"][0]["kind"], &depths["items"][0]["count"]), (&json!("deliver"), &json!(1)));
}

#[tokio::test]
async fn events_that_never_build_are_kept_with_the_reason() {
    let hooks = Hooks::start().await;
    let ping = hooks.github("ping", "1", "{\"zen\": \"x\"}").await.is(200).json();
    assert_eq!(ping["state"], "ignored");
    hooks.github("pull_request", "2", "{}").await.is(200);
    let deleted = hooks.github("push", "3", &github_push("refs/heads/old", ZERO)).await.is(200).json();
    assert!(deleted["reason"].as_str().unwrap().contains("deleted"));
    let note = hooks.github("push", "4", &github_push("refs/notes/x", COMMIT)).await.is(200).json();
    assert!(note["reason"].as_str().unwrap().contains("neither a branch nor a tag"));
    assert_eq!(hooks.deliveries().await.len(), 4);
    assert_eq!(hooks.server.get("/api/v1/queue").await.json()["items"], json!([]));
}

#[tokio::test]
async fn forgejo_and_gitea_are_told_apart_by_headers_and_sign_in_bare_hex() {
    let hooks = Hooks::start().await;
    let body = json!({
        "ref": "refs/heads/main", "before": ZERO, "after": COMMIT, "head_commit": {"id": COMMIT},
        "pusher": {"id": 1, "login": "bob", "username": "bob"},
    })
    .to_string();
    let bare = hex_of(&hooks.secret, &body);
    let prefixed = format!("sha256={bare}");
    let all = [
        ("x-github-event", "push"),
        ("x-github-delivery", "f-1"),
        ("x-hub-signature-256", &prefixed),
        ("x-gogs-event", "push"),
        ("x-gogs-delivery", "f-1"),
        ("x-gogs-signature", &bare),
        ("x-gitea-event", "push"),
        ("x-gitea-delivery", "f-1"),
        ("x-gitea-signature", &bare),
        ("x-forgejo-event", "push"),
        ("x-forgejo-delivery", "f-1"),
        ("x-forgejo-signature", &bare),
    ];
    hooks.send("/hooks/shop/gitea", &all, &body).await.is(202);
    assert_eq!(hooks.deliveries().await[0]["origin"], "forgejo");
    hooks.send("/hooks/shop/gitea", &all[..9], &body).await.is(202);
    let delivery = hooks.deliveries().await[0].clone();
    assert_eq!((&delivery["origin"], &delivery["actor"]), (&json!("gitea"), &json!("bob")));
}

#[tokio::test]
async fn of_a_plain_gitlab_token_only_the_ref_is_believed() {
    let hooks = Hooks::start().await;
    let body = json!({
        "object_kind": "push", "event_name": "push", "ref": "refs/heads/main", "before": ZERO,
        "after": COMMIT, "checkout_sha": COMMIT, "user_username": "eve",
    })
    .to_string();
    let headers =
        [("x-gitlab-event", "Push Hook"), ("x-gitlab-token", &*hooks.secret), ("idempotency-key", "k1")];
    hooks.send("/hooks/shop/gitlab", &headers, &body).await.is(202);
    hooks.send("/hooks/shop/gitlab", &headers, &body).await.is(200);
    let delivery = hooks.deliveries().await[0].clone();
    assert_eq!((&delivery["commit"], &delivery["actor"]), (&Value::Null, &json!("gitlab")));
    assert_eq!(delivery["ref"], "refs/heads/main");
    let wrong = [("x-gitlab-event", "Push Hook"), ("x-gitlab-token", "wrong")];
    hooks.send("/hooks/shop/gitlab", &wrong, &body).await.problem(401, "signature_invalid");
}

#[tokio::test]
async fn a_signed_gitlab_body_is_believed_if_it_is_fresh() {
    let hooks = Hooks::start().await;
    let body = json!({
        "object_kind": "tag_push", "ref": "refs/tags/v1.0.0", "after": "f".repeat(40),
        "checkout_sha": COMMIT, "user_username": "ann",
    })
    .to_string();
    let send = async |id: &str, at: i64| {
        let signed = format!("{id}.{at}.{body}");
        let mac = STANDARD.encode(hmac(hooks.secret.as_bytes(), signed.as_bytes()));
        let (at, signature) = (at.to_string(), format!("v1,AAAA v1,{mac}"));
        let headers = [("webhook-id", id), ("webhook-timestamp", &*at), ("webhook-signature", &*signature)];
        hooks.send("/hooks/shop/gitlab", &headers, &body).await
    };
    let now = chrono::Utc::now().timestamp();
    send("m1", now).await.is(202);
    let delivery = hooks.deliveries().await[0].clone();
    assert_eq!((&delivery["commit"], &delivery["actor"]), (&json!(COMMIT), &json!("ann")));
    send("m2", now - 600).await.problem(401, "signature_invalid");
}

#[tokio::test]
async fn the_generic_hook_takes_ref_and_commit_signed() {
    let hooks = Hooks::start().await;
    let body = json!({"ref": "refs/heads/main", "commit": COMMIT, "actor": "script"}).to_string();
    let signature = format!("sha256={}", hex_of(&hooks.secret, &body));
    let headers = [("x-slipway-signature", &*signature)];
    hooks.send("/hooks/shop/generic", &headers, &body).await.is(202);
    let delivery = hooks.deliveries().await[0].clone();
    assert_eq!((&delivery["origin"], &delivery["actor"]), (&json!("generic"), &json!("script")));
    let body = "{\"ref\": ";
    let signature = format!("sha256={}", hex_of(&hooks.secret, body));
    let headers = [("x-slipway-signature", &*signature)];
    hooks.send("/hooks/shop/generic", &headers, body).await.problem(400, "bad_payload");
}

#[tokio::test]
async fn forged_truncated_and_oversized_requests_start_nothing_and_are_listed() {
    let hooks = Hooks::start().await;
    let body = github_push("refs/heads/main", COMMIT);
    let signature = format!("sha256={}", hex_of(&hooks.secret, &body));
    let push = [("x-github-event", "push"), ("x-github-delivery", "1")];
    let signed = [push[0], push[1], ("x-hub-signature-256", &*signature)];
    let forged = format!("sha256={}", hex_of("wrong", &body));
    let forged = [push[0], push[1], ("x-hub-signature-256", &*forged)];
    hooks.send("/hooks/shop/github", &push, &body).await.problem(401, "signature_invalid");
    let bad = hooks.send("/hooks/shop/github", &forged, &body).await.problem(401, "signature_invalid");
    hooks
        .send("/hooks/shop/github", &signed, &body[..body.len() - 1])
        .await
        .problem(401, "signature_invalid");
    let large = "x".repeat(6 << 20);
    hooks.send("/hooks/shop/github", &signed, &large).await.problem(413, "body_too_large");
    let mut unknown =
        hooks.send("/hooks/nothing/github", &forged, &body).await.problem(401, "signature_invalid");
    unknown["request_id"] = bad["request_id"].clone();
    assert_eq!(unknown, bad, "a source that does not exist answers as one that does");
    assert_eq!(hooks.deliveries().await, Vec::<Value>::new());
    let refusals = hooks.refusals().await;
    assert_eq!(refusals["total"], 4);
    assert!(!refusals.to_string().contains("evil"), "bodies are not kept");
    hooks.send("/hooks/shop/bitbucket", &[], "").await.problem(501, "forge_not_supported");
}

#[tokio::test]
async fn unverified_requests_are_limited_and_verified_ones_are_not() {
    let server = Server::with(|options| options.max_hook_refusals_per_minute = 3).await;
    let made = server.application("shop").await;
    let secret = made["webhook_secret"].as_str().unwrap().to_owned();
    let hooks = Hooks { server, secret };
    for _ in 0..3 {
        hooks.send("/hooks/shop/github", &[], "{}").await.problem(401, "signature_invalid");
    }
    let answer = hooks.send("/hooks/shop/github", &[], "{}").await;
    answer.problem(429, "too_many_requests");
    assert_eq!(answer.header("retry-after"), "60");
    hooks.github("push", "1", &github_push("refs/heads/main", COMMIT)).await.is(202);
    assert_eq!(hooks.refusals().await["total"], 3);
}

#[tokio::test]
async fn a_new_webhook_secret_ends_the_one_before_at_once() {
    let hooks = Hooks::start().await;
    let body = github_push("refs/heads/main", COMMIT);
    hooks.github("push", "1", &body).await.is(202);
    hooks.server.post("/api/v1/sources/shop/webhook-secret", json!({})).await.is(200);
    hooks.github("push", "2", &body).await.problem(401, "signature_invalid");
}

#[tokio::test]
async fn a_report_that_claims_nothing_is_refused_before_its_body_is_read() {
    let server = Server::start().await;
    let address = "/receivers/local/test/shop/default/report";
    let send = async |headers: &[(&str, &str)]| {
        let mut request = Request::post(address);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        // Larger than any report may be.
        server.send(request.body(Body::from(vec![b' '; (4 << 20) + 1])).unwrap()).await
    };
    let claim = [("slipway-key", "k1"), ("slipway-time", "1"), ("slipway-signature", "v1=00")];
    for missing in 0..claim.len() {
        let mut rest = claim.to_vec();
        let (name, _) = rest.remove(missing);
        let problem = send(&rest).await.problem(401, "signature_invalid");
        assert!(problem["detail"].as_str().unwrap().ends_with(name), "{problem}");
    }
    send(&claim).await.problem(413, "body_too_large");
    let described = server.get("/openapi.json").await.is(200).json();
    let path = "/receivers/{unit}/{cluster}/{namespace}/{stage}/report";
    assert!(described["paths"][path]["post"].is_object(), "{}", described["paths"]);
}

#[tokio::test]
async fn a_report_that_cannot_be_judged_now_counts_as_no_refusal() {
    let server = Server::with(|options| options.max_hook_refusals_per_minute = 1).await;
    let send = async |unit: &str| {
        let request = Request::post(format!("/receivers/{unit}/test/shop/default/report"))
            .header("slipway-key", "k1")
            .header("slipway-time", "1")
            .header("slipway-signature", "v1=00");
        server.send(request.body(Body::from("{}")).unwrap()).await
    };
    for _ in 0..3 {
        let answer = send("away").await;
        assert_eq!(answer.problem(503, "fault")["fault"], "records_unavailable");
        assert_eq!(answer.header("retry-after"), "5");
    }
    send("local").await.problem(401, "signature_invalid");
    send("local").await.problem(429, "too_many_requests");
    send("away").await.problem(503, "fault");
}
