//! What the nodes of an environment may do by the token that they pull with, and when it ends.

use axum::body::Body;
use axum::http::{Method, Request};
use chrono::{TimeDelta, Utc};
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};
use slipway_records::{
    Deployment, DeploymentCause, Environment, NewDeployment, NewToken, SignIn, pull_token,
};
use slipway_types::environment::EnvironmentSettings;
use slipway_types::state::DeploymentState;
use slipway_types::{Digest, Role};

use crate::pages::{is_page, sign_in};
use crate::rest::{bundle, run};
use crate::server::{Answer, Server};

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

async fn environment(server: &Server, name: &str) -> Environment {
    let (settings, address) = (EnvironmentSettings::default(), format!("eu/kind/{name}").parse().unwrap());
    let mut tx = server.records.begin().await.unwrap();
    let made = tx.environment_insert(&name.parse().unwrap(), &address, &settings, "root").await.unwrap();
    tx.commit().await.unwrap();
    made
}

/// The token by which the environment pulls the application.
async fn token(server: &Server, environment: &Environment, application: &str) -> String {
    let (plain, hash) = slipway_secrets::new_token();
    let application_id = server.application_id(application).await;
    let mut tx = server.records.begin().await.unwrap();
    tx.token_insert(NewToken {
        name: pull_token::name(&environment.name, &application.parse().unwrap()),
        hash,
        person: None,
        role: None,
        break_glass: false,
        application_id: Some(application_id),
        pulls_for: Some(environment.id),
        grants: Vec::new(),
        expires_at: None,
    })
    .await
    .unwrap();
    tx.commit().await.unwrap();
    plain.expose_secret().to_owned()
}

/// A bundle of the shop in an environment, in that state.
async fn deployed(server: &Server, environment: &Environment, state: DeploymentState) -> Deployment {
    let run = run(server, "shop").await;
    let bundle = bundle(server, &run, "1.0.0").await;
    let mut tx = server.records.begin().await.unwrap();
    let new = NewDeployment {
        application_id: bundle.application_id,
        environment_id: environment.id,
        bundle_id: bundle.id,
        bundle_version: bundle.version,
        bundle_digest: bundle.digest,
        lock: bundle.fingerprint,
        choice: json!({}),
        cause: DeploymentCause::Deploy,
        created_by: "ann".to_owned(),
        document: None,
    };
    let mut made = tx.deployment_insert(new).await.unwrap();
    made.handed_off_at = state.is_out().then_some(made.created_at);
    made.state = state;
    assert!(tx.deployment_save(&mut made).await.unwrap());
    tx.commit().await.unwrap();
    made
}

/// What the registry says to whoever brings the token.
async fn lets_in(server: &Server, token: &str) -> u16 {
    server.call(token, Method::GET, "/v2/", None).await.status.as_u16()
}

/// Why Slipway or somebody ended tokens, newest first, with who did.
async fn ends(server: &Server) -> Vec<(String, String)> {
    let kept = server.get("/api/v1/audit").await.is(200).json();
    let entries = kept["items"].as_array().unwrap().iter();
    let ended = entries.filter(|entry| entry["action"] == "token.revoke");
    let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    ended.map(|entry| (word(&entry["actor"]), word(&entry["detail"]["because"]))).collect()
}

/// Sends bytes of a registry's client.
async fn send(server: &Server, token: &str, method: Method, path: &str, body: Vec<u8>) -> Answer {
    let mut request = Request::builder().uri(path).header("authorization", format!("Bearer {token}"));
    if method == Method::PUT {
        request = request.header("content-type", MANIFEST);
    }
    let request = request.method(method);
    server.send(request.body(Body::from(body)).unwrap()).await
}

/// Pushes a manifest with a blob, tagged `v1`, and gives the blob's digest.
async fn push(server: &Server, repository: &str) -> Digest {
    let config = Digest::of("{}");
    let begin = format!("/v2/{repository}/blobs/uploads/?digest={config}");
    send(server, &server.admin, Method::POST, &begin, b"{}".to_vec()).await.is(201);
    let empty = json!({"mediaType": "application/vnd.oci.empty.v1+json", "digest": config, "size": 2});
    let manifest = json!({
        "schemaVersion": 2, "mediaType": MANIFEST, "artifactType": "application/vnd.example.thing",
        "config": empty, "layers": [empty],
    });
    let path = format!("/v2/{repository}/manifests/v1");
    send(server, &server.admin, Method::PUT, &path, manifest.to_string().into_bytes()).await.is(201);
    config
}

#[tokio::test]
async fn nodes_pull_what_one_application_runs() {
    let server = Server::start().await;
    server.application("shop").await;
    server.application("commerce/till").await;
    let nodes = token(&server, &environment(&server, "prod").await, "shop").await;
    let asked =
        async |method: Method, path: String| send(&server, &nodes, method, &path, Vec::new()).await.status;
    assert_eq!(lets_in(&server, &nodes).await, 200);
    for (repository, status) in [
        ("default/shop", 200),
        ("default/shop/c/api", 200),
        ("default/shop/i/api", 200),
        ("default/shop/i/api/cache", 200),
        ("default/shop/d/prod", 404),
        ("commerce/till/i/api", 404),
    ] {
        let blob = push(&server, repository).await;
        for path in ["manifests/v1".to_owned(), format!("blobs/{blob}"), "tags/list".to_owned()] {
            let path = format!("/v2/{repository}/{path}");
            assert_eq!(asked(Method::GET, path.clone()).await, status, "{path}");
        }
        let head = asked(Method::HEAD, format!("/v2/{repository}/manifests/v1")).await;
        assert_eq!(head, status, "{repository}");
        for (method, path) in [
            (Method::POST, "blobs/uploads/"),
            (Method::PUT, "manifests/v2"),
            (Method::DELETE, "manifests/v1"),
        ] {
            let refused = asked(method.clone(), format!("/v2/{repository}/{path}")).await;
            assert_eq!(refused, 403, "{method} {repository} {path}");
        }
    }
    assert_eq!(asked(Method::GET, "/v2/_catalog".to_owned()).await, 403);
}

#[tokio::test]
async fn nodes_see_nothing_that_readers_see() {
    let server = Server::start().await;
    server.application("shop").await;
    let prod = environment(&server, "prod").await;
    let waiting = deployed(&server, &prod, DeploymentState::Draft { why: None }).await;
    let run = server.get("/api/v1/runs?application=shop").await.is(200).json()["items"][0]["id"].clone();
    let run = format!("/api/v1/runs/{}", run.as_str().unwrap());
    let deployment = format!("/api/v1/deployments/{}", waiting.id);
    let nodes = token(&server, &prod, "shop").await;
    let reader = server.token_for("shop", Role::Reader).await;
    for path in [
        "/api/v1/applications",
        "/api/v1/applications/shop",
        "/api/v1/applications/shop/definitions",
        "/api/v1/sources/shop",
        "/api/v1/runs",
        &run,
        &format!("{run}/log"),
        "/api/v1/bundles",
        "/api/v1/bundles/shop/1.0.0",
        "/api/v1/bundles/shop/1.0.0/checks",
        "/api/v1/packages",
        "/api/v1/channels?application=shop",
        "/api/v1/configurations/shop/history?level=eu",
        "/api/v1/environments",
        "/api/v1/environments/prod",
        "/api/v1/deployments",
        &deployment,
        &format!("{deployment}/failures"),
        "/api/v1/where",
        "/api/v1/incidents",
        "/api/v1/addons",
        "/api/v1/definitions",
        "/api/v1/kits",
        "/api/v1/kits/dockerfile",
        "/git/shop.git/info/refs?service=git-upload-pack",
    ] {
        let seen = server.call(&reader, Method::GET, path, None).await;
        assert_eq!(seen.status, 200, "{path}: {}", seen.text());
        let refused = server.call(&nodes, Method::GET, path, None).await;
        assert!(matches!(refused.status.as_u16(), 403 | 404), "{path}: {}", refused.text());
    }
    let push = "/git/shop.git/info/refs?service=git-receive-pack";
    server.call(&nodes, Method::GET, push, None).await.is(404);
    for (path, body) in [
        ("/api/v1/deployments/plan", json!({"application": "shop", "environment": "prod"})),
        ("/api/v1/plan", json!({"application": "shop", "commit": "1".repeat(40)})),
        ("/api/v1/runs", json!({"application": "shop", "ref": "main"})),
    ] {
        server.call(&nodes, Method::POST, path, Some(body)).await.problem(404, "not_found");
    }
}

#[tokio::test]
async fn no_call_of_the_api_is_for_nodes() {
    let server = Server::start().await;
    server.application("shop").await;
    let nodes = token(&server, &environment(&server, "prod").await, "shop").await;
    let described = server.get("/openapi.json").await.is(200).json();
    let mut asked = 0;
    for (path, methods) in described["paths"].as_object().unwrap() {
        let filled = path.replace("{application}", "shop").replace("{environment}", "prod");
        let pieces = filled.split('/').map(|piece| if piece.starts_with('{') { "x" } else { piece });
        let filled = pieces.collect::<Vec<_>>().join("/");
        for method in methods.as_object().unwrap().keys() {
            let method: Method = method.to_uppercase().parse().unwrap();
            let body = (method != Method::GET).then(|| json!({}));
            let answer = server.call(&nodes, method.clone(), &filled, body).await;
            assert!(answer.status.is_client_error(), "{method} {filled}: {}", answer.text());
            asked += 1;
        }
    }
    assert!(asked > 100, "{asked}");
}

#[tokio::test]
async fn nodes_sign_in_nowhere() {
    let server = Server::start().await;
    server.application("shop").await;
    let prod = environment(&server, "prod").await;
    let nodes = token(&server, &prod, "shop").await;
    let page = is_page(&sign_in(&server, &nodes).await.is(422));
    assert!(page.contains("an environment pulls images"), "{page}");
    // Somebody may have signed in while it was a reader's.
    let mut tx = server.records.begin().await.unwrap();
    let row = tx.token_by_hash(&slipway_secrets::hash(&nodes)).await.unwrap().unwrap();
    let (hash, now) = (Digest::of("kept-by-the-browser"), Utc::now());
    let expires_at = now + TimeDelta::days(1);
    tx.sign_in_insert(&SignIn { hash, token_id: row.id, created_at: now, last_seen_at: now, expires_at })
        .await
        .unwrap();
    tx.commit().await.unwrap();
    let request = Request::get("/").header("accept", "text/html");
    let request = request.header("cookie", "__Host-slipway=kept-by-the-browser");
    let led = server.send(request.body(Body::empty()).unwrap()).await.is(303);
    assert_eq!(led.header("location"), "/sign-in");
}

#[tokio::test]
async fn a_token_of_nodes_is_listed_as_what_it_is() {
    let server = Server::start().await;
    server.application("shop").await;
    token(&server, &environment(&server, "prod").await, "shop").await;
    let listed = server.get("/api/v1/tokens").await.is(200).json();
    let row = listed["items"].as_array().unwrap().iter().find(|row| row["name"] == "pull prod default shop");
    let row = row.unwrap_or_else(|| panic!("{listed:#}"));
    assert_eq!((&row["role"], &row["application"]), (&Value::Null, &json!("shop")), "{row:#}");
    assert_eq!(row["pulls_for"], "prod", "{row:#}");
}

#[tokio::test]
async fn a_token_of_nodes_ends_with_its_environment_or_application() {
    let server = Server::start().await;
    server.application("shop").await;
    server.application("commerce/till").await;
    let (prod, test) = (environment(&server, "prod").await, environment(&server, "test").await);
    let shop_in_prod = token(&server, &prod, "shop").await;
    let shop_in_test = token(&server, &test, "shop").await;
    let till_in_prod = token(&server, &prod, "commerce/till").await;
    let till_in_test = token(&server, &test, "commerce/till").await;
    let states = async || {
        let mut states = Vec::new();
        for token in [&shop_in_prod, &shop_in_test, &till_in_prod, &till_in_test] {
            states.push(lets_in(&server, token).await);
        }
        states
    };
    assert_eq!(states().await, [200; 4]);
    let remove = async |path: &str| server.call(&server.admin, Method::DELETE, path, None).await.is(200);
    remove("/api/v1/environments/prod").await;
    assert_eq!(states().await, [401, 200, 401, 200]);
    remove("/api/v1/applications/commerce%2Ftill").await;
    assert_eq!(states().await, [401, 200, 401, 401]);
    let ended = |why: &str| ("root".to_owned(), format!("the {why} was removed"));
    assert_eq!(ends(&server).await, [ended("application"), ended("environment"), ended("environment")]);
}

#[tokio::test]
async fn a_token_of_nodes_ends_when_what_waits_is_taken_back_and_nothing_else_is_there() {
    let waiting = || DeploymentState::Draft { why: None };
    for (other, status) in [(None, 401), (Some(DeploymentState::Live), 200), (Some(waiting()), 200)] {
        let server = Server::start().await;
        server.application("shop").await;
        let prod = environment(&server, "prod").await;
        let nodes = token(&server, &prod, "shop").await;
        let case = format!("{other:?}");
        if let Some(state) = other {
            deployed(&server, &prod, state).await;
        }
        let taken_back = deployed(&server, &prod, waiting()).await;
        let path = format!("/api/v1/deployments/{}/withdraw", taken_back.id);
        server.call(&server.admin, Method::POST, &path, None).await.is(200);
        assert_eq!(lets_in(&server, &nodes).await, status, "{case}");
        let why = ("slipway".to_owned(), "nothing of the application is there any more".to_owned());
        assert_eq!(ends(&server).await, if status == 401 { vec![why] } else { vec![] }, "{case}");
    }
}
