//! Who gets in, and what they see.

use axum::body::Body;
use axum::http::{Method, Request};
use serde_json::json;
use slipway_types::Role;

use crate::server::Server;

#[tokio::test]
async fn without_a_token_nobody_gets_in_and_both_schemes_are_offered() {
    let server = Server::start().await;
    let request = Request::get("/api/v1/applications").body(Body::empty()).unwrap();
    let answer = server.send(request).await;
    answer.problem(401, "unauthorized");
    let offered: Vec<_> = answer.headers.get_all("www-authenticate").iter().collect();
    assert_eq!(offered.len(), 2);
    assert!(offered[0].to_str().unwrap().starts_with("Basic realm=\"slipway\""));
    let answer = server
        .call("slw_0000000000000000000000000000000000000000000", Method::GET, "/api/v1/server", None)
        .await;
    answer.problem(401, "unauthorized");
}

#[tokio::test]
async fn a_token_works_as_bearer_and_as_basic_password_until_revoked() {
    let server = Server::start().await;
    let made = server.post("/api/v1/tokens", json!({"name": "ci", "role": "reader"})).await.is(201).json();
    let token = made["token"].as_str().unwrap();
    server.call(token, Method::GET, "/api/v1/server", None).await.is(200);
    let basic = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, format!("git:{token}"));
    let request = Request::get("/api/v1/server").header("authorization", format!("Basic {basic}"));
    server.send(request.body(Body::empty()).unwrap()).await.is(200);
    server
        .post("/api/v1/tokens", json!({"name": "ci", "role": "reader"}))
        .await
        .problem(409, "exists_already");
    let listed = server.get("/api/v1/tokens").await.text();
    assert!(listed.contains("\"ci\"") && !listed.contains(token));
    server.call(&server.admin, Method::DELETE, "/api/v1/tokens/ci", None).await.is(204);
    server.call(token, Method::GET, "/api/v1/server", None).await.problem(401, "unauthorized");
}

#[tokio::test]
async fn a_limited_token_sees_its_application_and_no_other() {
    let server = Server::start().await;
    server.application("shop").await;
    server.application("commerce/till").await;
    let token = server.token_for("shop", Role::Developer).await;
    let get = |path: &'static str| server.call(&token, Method::GET, path, None);
    let listed = get("/api/v1/applications").await.is(200).json();
    assert_eq!(listed["items"].as_array().unwrap().len(), 1);
    assert_eq!(listed["items"][0]["name"], "shop");
    get("/api/v1/applications/shop").await.is(200);
    get("/api/v1/applications/commerce%2Ftill").await.problem(404, "not_found");
    get("/api/v1/applications/nothing").await.problem(404, "not_found");
    get("/api/v1/runs?application=commerce/till").await.problem(404, "not_found");
    get("/api/v1/bundles").await.is(200);
    let closed = [
        "/api/v1/sources",
        "/api/v1/secrets",
        "/api/v1/tokens",
        "/api/v1/queue",
        "/api/v1/server/machine",
        "/api/v1/server/storage",
    ];
    for closed in closed {
        get(closed).await.problem(403, "forbidden");
    }
    get("/api/v1/sources/shop").await.is(200);
    get("/api/v1/sources/commerce-till").await.problem(404, "not_found");
    let make = server.call(&token, Method::POST, "/api/v1/applications", Some(json!({"name": "x"}))).await;
    make.problem(403, "forbidden");
}

#[tokio::test]
async fn a_reader_of_the_server_is_told_of_its_machine() {
    let server = Server::start().await;
    let reader = server.token("looks", Some(Role::Reader), None, vec![]).await;
    let found = server.call(&reader, Method::GET, "/api/v1/server/machine", None).await.is(200).json();
    let disk = json!({"check": "disk", "ok": false, "needed": true, "detail": "nothing is free"});
    assert_eq!(found["items"], json!([disk]), "{found:#}");
}

#[tokio::test]
async fn a_reader_looks_but_starts_nothing() {
    let server = Server::start().await;
    server.application("shop").await;
    let token = server.token_for("shop", Role::Reader).await;
    server.call(&token, Method::GET, "/api/v1/runs?application=shop", None).await.is(200);
    let start = json!({"application": "shop", "ref": "main"});
    let problem = server.call(&token, Method::POST, "/api/v1/runs", Some(start)).await;
    let problem = problem.problem(403, "forbidden");
    assert!(problem["detail"].as_str().unwrap().contains("developer"), "{problem}");
}

#[tokio::test]
async fn a_build_token_reaches_its_repositories_and_nothing_else() {
    use slipway_types::access::RepositoryGrant;
    let server = Server::start().await;
    server.application("shop").await;
    let grant = |repository: &str, push| RepositoryGrant { repository: repository.into(), push };
    let grants = vec![grant("default/shop/i/api", true), grant("default/shop/i/base", false)];
    let token = server.token("build 1", None, None, grants).await;
    server.call(&token, Method::GET, "/api/v1/applications", None).await.problem(403, "forbidden");
    let begin = |repository: &str| format!("/v2/{repository}/blobs/uploads/");
    server.call(&token, Method::POST, &begin("default/shop/i/api"), None).await.is(202);
    for closed in ["default/shop/i/base", "default/shop", "other/app"] {
        server.call(&token, Method::POST, &begin(closed), None).await.is(403);
    }
}
