//! Problems, applications, labels and channels.

use axum::body::Body;
use axum::http::{Method, Request};
use serde_json::{Value, json};
use slipway_records::{NewRun, NewVersion, PackageVersion, Run};
use slipway_types::environment::ClusterSettings;
use slipway_types::label::Labels;
use slipway_types::state::RunEvent;
use slipway_types::{CommitId, Digest, Role};

use crate::server::Server;

/// A run of `main`, queued.
pub(crate) async fn run(server: &Server, application: &str) -> Run {
    let application_id = server.application_id(application).await;
    let mut tx = server.records.begin().await.unwrap();
    let run = NewRun {
        application_id,
        git_ref: "refs/heads/main".parse().unwrap(),
        commit: "1".repeat(40).parse().unwrap(),
        actor: "ann".into(),
        subject: "first".into(),
        author: "Ann <ann@example.org>".into(),
        committed_at: chrono::Utc::now(),
        delivery_id: None,
        retry_of: None,
        fresh: false,
    };
    let run = tx.run_insert(run).await.unwrap().into_inner();
    tx.commit().await.unwrap();
    run
}

pub(crate) async fn bundle(server: &Server, run: &Run, version: &str) -> PackageVersion {
    let mut tx = server.records.begin().await.unwrap();
    let image = json!({
        "repository": "default/shop/i/api", "digest": Digest::of("image"), "size": 1, "platforms": [],
        "media_type": "application/vnd.oci.image.manifest.v1+json",
    });
    let member = json!({
        "component": "api", "version": version, "built_as": version, "digest": Digest::of("package"),
        "manifest_size": 1, "size": 2, "kit": "dockerfile", "images": [image], "reused": false,
        "fingerprint": Digest::of("fingerprint"),
    });
    let version = NewVersion {
        application_id: run.application_id,
        component: None,
        version: version.parse().unwrap(),
        digest: Digest::of(version),
        size: 10,
        built_as: version.parse().unwrap(),
        run_id: run.id,
        git_ref: run.git_ref.clone(),
        commit: run.commit.clone(),
        fingerprint: Digest::of("lock"),
        detail: json!({"members": [member]}),
        labels: Labels::new(),
    };
    let version = tx.version_insert(version).await.unwrap().into_inner();
    tx.commit().await.unwrap();
    version
}

#[tokio::test]
async fn mistakes_are_answered_by_problems_that_name_the_field() {
    let server = Server::start().await;
    let detail = |problem: Value| problem["detail"].as_str().unwrap().to_owned();
    let problem = server.post("/api/v1/applications", json!({"name": "No"})).await.problem(422, "bad_body");
    assert!(detail(problem).contains("name"));
    let unknown = json!({"name": "shop", "sauce": "x"});
    let problem = server.post("/api/v1/applications", unknown).await.problem(422, "bad_body");
    assert!(detail(problem).contains("sauce"));
    let problem = server.get("/api/v1/runs?limit=many").await.problem(400, "bad_query");
    assert!(detail(problem).contains("limit"));
    let problem = server.get("/api/v1/runs?state=happy").await.problem(400, "bad_query");
    assert!(detail(problem).contains("superseded"));
    // No type of Rust is named, and every field is.
    let problem = server.post("/api/v1/applications", json!({})).await.problem(422, "bad_body");
    assert_eq!(detail(problem), "`name` is missing");
    let number = json!({"name": "shop", "path": 7});
    let problem = server.post("/api/v1/applications", number).await.problem(422, "bad_body");
    assert!(detail(problem).starts_with("path: expected a text, found "));
    let problem = server.get("/api/v1/runs?limit=many").await.problem(400, "bad_query");
    assert_eq!(detail(problem), "limit: expected a whole number");
    let request = Request::post("/api/v1/applications").header("content-type", "application/json");
    let request = request.header("authorization", format!("Bearer {}", server.admin));
    let problem = server.send(request.body(Body::from("name: shop")).unwrap()).await.problem(400, "bad_body");
    assert_eq!(detail(problem), "the body is no JSON: expected ident (line 1, column 2)");
    server.get("/api/v1/runs/x").await.problem(400, "bad_path");
    server.get("/nowhere").await.problem(404, "no_such_address");
    let answer = server.call(&server.admin, Method::PATCH, "/api/v1/runs", None).await;
    answer.problem(405, "method_not_allowed");
    let large = json!({"name": "x".repeat(2 << 20)});
    server.post("/api/v1/applications", large).await.problem(413, "body_too_large");
}

#[tokio::test]
async fn a_harmless_request_id_is_taken_over_and_another_replaced() {
    let server = Server::start().await;
    let send = async |id: &str| {
        let request = Request::get("/livez").header("x-request-id", id).body(Body::empty()).unwrap();
        server.send(request).await.header("x-request-id").to_owned()
    };
    assert_eq!(send("abc-1").await, "abc-1");
    assert_ne!(send("a b").await, "a b");
}

#[tokio::test]
async fn an_application_is_made_once_and_its_secret_shown_once() {
    let server = Server::start().await;
    let made = server.application("shop").await;
    assert_eq!(made["name"], "shop");
    assert_eq!(made["git_url"], "https://slipway.example/git/shop.git");
    assert_eq!(made["webhook_urls"]["gitea"], "https://slipway.example/hooks/shop/gitea");
    let secret = made["webhook_secret"].as_str().unwrap().to_owned();
    assert_eq!(secret.len(), 64);
    server.post("/api/v1/applications", json!({"name": "shop"})).await.problem(409, "exists_already");
    for path in ["/api/v1/applications/shop", "/api/v1/sources/shop", "/api/v1/secrets"] {
        assert!(!server.get(path).await.is(200).text().contains(&secret), "{path}");
    }
    let rotated = server.post("/api/v1/sources/shop/webhook-secret", json!({})).await.is(200).json();
    assert_ne!(rotated["webhook_secret"], secret);
    let shared = json!({"name": "till", "source": "shop", "path": "/deploy/till/"});
    let shared = server.post("/api/v1/applications", shared).await.is(201).json();
    assert_eq!((&shared["path"], &shared["webhook_secret"]), (&json!("deploy/till"), &Value::Null));
    server.call(&server.admin, Method::DELETE, "/api/v1/applications/shop", None).await.is(200);
    server.get("/api/v1/applications/shop").await.problem(404, "not_found");
}

#[tokio::test]
async fn secrets_that_are_left_of_an_application_are_told_and_can_be_removed() {
    let server = Server::start().await;
    server.application("shop").await;
    let of_shop = "/api/v1/secrets?application=shop";
    let db = "/api/v1/secrets/db?application=shop";
    server.call(&server.admin, Method::PUT, db, Some(json!({"value": "x"}))).await.is(200);
    let delete = async |path: &str| server.call(&server.admin, Method::DELETE, path, None).await;
    let left = delete("/api/v1/applications/shop").await.is(200).json();
    assert_eq!(left["secrets_left"][0]["name"], "db", "{left:#}");
    assert_eq!(left["secrets_left"][0]["scope"], "application/default/shop", "{left:#}");
    let listed = server.get(of_shop).await.is(200).json();
    assert_eq!(listed["items"].as_array().map(Vec::len), Some(1), "{listed:#}");
    delete(db).await.is(204);
    delete(db).await.problem(404, "not_found");
    server.get(of_shop).await.problem(404, "not_found");
}

#[tokio::test]
async fn what_no_name_can_be_is_refused_before_it_is_looked_up() {
    let server = Server::start().await;
    server.application("shop").await;
    let delete = async |path: &str| server.call(&server.admin, Method::DELETE, path, None).await;
    delete("/api/v1/configurations/shop/source?level=%00").await.problem(400, "bad_level");
    delete("/api/v1/configurations/shop/source?level=*").await.problem(404, "not_found");
    delete("/api/v1/secrets/a%00b").await.problem(404, "not_found");
    server.get("/api/v1/secrets/a%00b/users").await.problem(404, "not_found");
    server.post("/api/v1/secrets/a%00b/rotate", json!({"value": "x"})).await.problem(404, "not_found");
}

#[tokio::test]
async fn bundles_are_listed_with_full_image_references() {
    let server = Server::start().await;
    server.application("shop").await;
    let run = run(&server, "shop").await;
    bundle(&server, &run, "0.1.0-main.1").await;
    bundle(&server, &run, "0.1.0-main.2").await;
    let listed = server.get("/api/v1/bundles?application=shop&branch=main&limit=1").await.is(200).json();
    assert_eq!(listed["items"][0]["version"], "0.1.0-main.2");
    let image = format!("slipway.example/default/shop/i/api@{}", Digest::of("image"));
    assert_eq!(listed["items"][0]["packages"][0]["images"][0], image);
    let next = listed["next"].as_str().unwrap();
    let listed = server.get(&format!("/api/v1/bundles?application=shop&after={next}")).await.is(200).json();
    assert_eq!(listed["items"].as_array().unwrap().len(), 1);
    assert_eq!(listed["items"][0]["version"], "0.1.0-main.1");
    assert_eq!(listed["next"], Value::Null);
}

#[tokio::test]
async fn bundles_are_selected_with_the_reasons() {
    let server = Server::start().await;
    server.application("shop").await;
    let run = run(&server, "shop").await;
    for version in ["1.0.0", "1.1.0-main.1", "0.9.0", "1.1.0"] {
        bundle(&server, &run, version).await;
    }
    let get = async |query: &str| {
        server.get(&format!("/api/v1/bundles?application=shop&{query}")).await.is(200).json()
    };
    let versions = |list: &Value| -> Vec<String> {
        let rows = list["items"].as_array().unwrap();
        rows.iter().map(|row| row["version"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(versions(&get("range=%5E1").await), ["1.1.0", "1.0.0"]);
    assert_eq!(versions(&get("range=%5E1&branch=main").await), ["1.1.0", "1.1.0-main.1", "1.0.0"]);
    assert_eq!(versions(&get("order=newest&prerelease=yes&limit=2").await), ["1.1.0", "0.9.0"]);
    assert_eq!(versions(&get("selector=%21tested&author=nobody").await), Vec::<String>::new());
    // Page by page.
    let first = get("prerelease=yes&limit=3").await;
    assert_eq!(versions(&first), ["1.1.0", "1.1.0-main.1", "1.0.0"]);
    let next = first["next"].as_str().unwrap();
    let rest = get(&format!("prerelease=yes&limit=3&after={next}")).await;
    assert_eq!((versions(&rest), &rest["next"]), (vec!["0.9.0".to_owned()], &Value::Null));
    let why = get("range=%5E1&explain=true").await["explanation"].clone();
    assert_eq!(
        (&why["candidates"]["number"], &why["left_out"]["prerelease"]["number"]),
        (&json!(4), &json!(1))
    );
    assert!(why["lines"].to_string().contains("1 pre-release left out"), "{why}");
    let picked = server.get("/api/v1/bundles/pick?application=shop&range=%5E1").await.is(200).json();
    assert_eq!(picked["bundle"]["version"], "1.1.0");
    assert_eq!(picked["explanation"]["chosen"], "1.1.0");
    let none = server.get("/api/v1/bundles/pick?application=shop&range=%3E%3D2").await.is(200).json();
    assert_eq!(
        (&none["bundle"], &none["explanation"]["nearest"]),
        (
            &Value::Null,
            &json!({
        "version": "1.1.0", "condition": "range"})
        )
    );
    for (bad, why) in [
        ("application=shop&range=latest", "is not a version range"),
        ("application=shop&selector=a%3Dx,a%3Dy", "cannot both hold"),
        ("application=shop&selector=a%3Dx&label=a%3Dy", "cannot both hold"),
        ("application=shop&range=1.x&digest=sha256:", "digest"),
        ("application=shop&range=1.x&ref=refs/tags/v1", "ref: a list by ref is no selection"),
        ("application=shop&range=1.x&after=x", "after:"),
        ("range=1.x", "name it"),
    ] {
        let problem = server.get(&format!("/api/v1/bundles?{bad}")).await.problem(400, "bad_query");
        assert!(problem.to_string().contains(why), "{bad}: {problem}");
    }
}

#[tokio::test]
async fn a_selection_by_what_is_not_there_is_refused_by_its_name() {
    let server = Server::start().await;
    server.application("shop").await;
    let run = run(&server, "shop").await;
    bundle(&server, &run, "1.0.0").await;
    let stable = Some(json!({"version": "1.0.0"}));
    server.call(&server.admin, Method::PUT, "/api/v1/channels/shop/stable", stable).await.is(200);
    server.get("/api/v1/bundles/pick?application=shop&channel=stable").await.is(200);
    for (by, step) in [("channel=stabel", "slipway channel list"), ("deployed_in=prod", "slipway env list")] {
        let name = by.split('=').next_back().unwrap();
        for path in ["bundles/pick", "bundles"] {
            let asked = server.get(&format!("/api/v1/{path}?application=shop&{by}")).await;
            let problem = asked.problem(404, "not_found");
            assert!(problem["detail"].as_str().unwrap().contains(&format!("`{name}`")), "{problem}");
            assert!(problem["hint"].as_str().unwrap().contains(step), "{problem}");
        }
    }
    server.get("/api/v1/where?application=shop").await.is(200);
    for path in ["where?application=shp", "where?environment=prd"] {
        server.get(&format!("/api/v1/{path}")).await.problem(404, "not_found");
    }
}

#[tokio::test]
async fn people_set_labels_but_not_the_servers_or_the_sources() {
    let server = Server::start().await;
    server.application("shop").await;
    bundle(&server, &run(&server, "shop").await, "0.1.0-main.1").await;
    let put = async |key: &str, body: Value| {
        let path = format!("/api/v1/bundles/shop/0.1.0-main.1/labels/{key}");
        server.call(&server.admin, Method::PUT, &path, Some(body)).await
    };
    put("tested", json!({"value": "yes", "reason": "by hand"})).await.is(204);
    put("tested", json!({"value": "no", "if_current": null})).await.problem(409, "label_moved");
    put("tested", json!({"value": "no", "if_current": "yes"})).await.is(204);
    for reserved in ["source%2Fteam", "slipway%2Fbranch"] {
        put(reserved, json!({"value": "x"})).await.problem(403, "label_reserved");
    }
    let found = server.get("/api/v1/bundles?label=tested=no").await.is(200).json();
    assert_eq!(found["items"][0]["labels"]["tested"], "no");
    let path = "/api/v1/bundles/shop/0.1.0-main.1/labels/tested";
    server.call(&server.admin, Method::DELETE, path, None).await.is(204);
    let found = server.get("/api/v1/bundles?label=tested=no").await.is(200).json();
    assert_eq!(found["items"], json!([]));
}

#[tokio::test]
async fn each_person_has_one_report_of_a_check_and_closes_it_to_nobody() {
    let server = Server::start().await;
    server.application("shop").await;
    bundle(&server, &run(&server, "shop").await, "0.1.0-main.1").await;
    let dev = server.token("dev", Some(Role::Developer), None, vec![]).await;
    let ci = server.token("ci", Some(Role::Developer), None, vec![]).await;
    let checks = "/api/v1/bundles/shop/0.1.0-main.1/checks";
    let put = async |token: &str, name: &str, body: Value| {
        server.call(token, Method::PUT, &format!("{checks}/{name}"), Some(body)).await
    };
    put(&dev, "e2e", json!({"state": "failed"})).await.is(204);
    put(&ci, "e2e", json!({"state": "pending"})).await.is(204);
    put(&ci, "e2e", json!({"state": "passed", "detail": "12 tests"})).await.is(204);
    let listed = server.get(checks).await.is(200).json();
    let said = listed["items"].as_array().unwrap().iter();
    let said: Vec<_> = said.map(|check| [&check["name"], &check["reported_by"], &check["state"]]).collect();
    assert_eq!(json!(said), json!([["e2e", "ci", "passed"], ["e2e", "dev", "failed"]]));
    let refused = put(&ci, "source%2Fe2e", json!({"state": "passed"})).await.problem(403, "check_reserved");
    assert!(refused["hint"].is_string(), "{refused}");
    let long = json!({"state": "passed", "detail": "x".repeat(2001)});
    let refused = put(&ci, "e2e", long).await.problem(400, "bad_body");
    assert!(refused["hint"].is_string(), "{refused}");
}

#[tokio::test]
async fn a_channel_moves_only_from_where_it_was_seen() {
    let server = Server::start().await;
    server.application("shop").await;
    let run = run(&server, "shop").await;
    bundle(&server, &run, "0.1.0-main.1").await;
    bundle(&server, &run, "0.1.0-main.2").await;
    let put = async |body: Value| {
        server.call(&server.admin, Method::PUT, "/api/v1/channels/shop/stable", Some(body)).await
    };
    put(json!({"version": "0.1.0-main.1", "if_current": null})).await.is(200);
    put(json!({"version": "0.1.0-main.2", "if_current": null})).await.problem(409, "channel_moved");
    put(json!({"version": "0.1.0-main.2", "if_current": "0.1.0-main.1"})).await.is(200);
    put(json!({"version": "9.9.9"})).await.problem(404, "not_found");
    let channels = server.get("/api/v1/channels?application=shop").await.is(200).json();
    assert_eq!(channels["items"][0]["version"], "0.1.0-main.2");
    assert_eq!(channels["items"][0]["moved_by"], "root");
}

#[tokio::test]
async fn runs_are_found_by_number_and_by_id_cancelled_once_and_retried() {
    let server = Server::start().await;
    server.application("shop").await;
    let run = run(&server, "shop").await;
    let shown = server.get("/api/v1/runs/shop%231").await.is(200).json();
    assert_eq!((&shown["id"], &shown["branch"]), (&json!(run.id.to_string()), &json!("main")));
    let post = async |what: &str| server.post(&format!("/api/v1/runs/{}/{what}", run.id), json!({})).await;
    post("retry").await.problem(409, "run_is_live");
    assert_eq!(post("cancel").await.is(202).json()["state"], "cancelling");
    assert_eq!(post("cancel").await.is(202).json()["state"], "cancelling");
    let listed = server.get("/api/v1/runs?application=shop&state=cancelling,queued").await.is(200).json();
    assert_eq!(listed["items"][0]["reason"], "cancelled by root");
    crate::logs::step(&server, &run, RunEvent::Stopped).await;
    post("cancel").await.problem(409, "run_ended");
    let again = post("retry").await.is(201).json();
    assert_eq!((&again["number"], &again["state"]), (&json!(2), &json!("queued")));
    assert_eq!(post("retry").await.is(201).json()["id"], again["id"], "a live retry is adopted");
    let shown = server.get("/api/v1/runs/shop%232").await.is(200).json();
    assert_eq!(shown["retry_of"], run.id.to_string());
}

#[tokio::test]
async fn a_clone_address_holds_no_credential_and_the_field_is_named() {
    let server = Server::start().await;
    for bad in ["git@forge:a/b", "https://me:pw@forge.example/a", "file:///etc", "forge/a"] {
        let body = json!({"name": "shop", "source_url": bad});
        let problem = server.post("/api/v1/applications", body).await.problem(400, "bad_source_url");
        assert!(problem["detail"].as_str().unwrap().starts_with("source_url: "), "{problem}");
    }
}

#[tokio::test]
async fn starting_a_run_commits_a_delivery_for_its_ref() {
    let server = Server::start().await;
    server.application("shop").await;
    let start = json!({"application": "shop", "ref": "main"});
    let started = server.post("/api/v1/runs", start).await.is(202).json();
    assert_eq!(started["delivery"]["ref"], "refs/heads/main");
    let depths = server.get("/api/v1/queue").await.is(200).json();
    assert_eq!(depths["items"][0]["kind"], "deliver");
    let commit: CommitId = "2".repeat(40).parse().unwrap();
    let start = json!({"application": "shop", "ref": "main", "commit": commit});
    server.post("/api/v1/runs", start).await.problem(404, "no_such_ref");
    let plan = json!({"application": "shop", "commit": commit});
    let problem = server.post("/api/v1/plan", plan).await.problem(422, "fault");
    assert_eq!((&problem["fault"], &problem["hint"]), (&json!("no_slipway_yaml"), &json!("write one")));
}

#[tokio::test]
async fn secrets_are_set_and_listed_without_their_values() {
    let server = Server::start().await;
    let put = async |name: &str, value: &str| {
        let path = format!("/api/v1/secrets/{name}");
        server.call(&server.admin, Method::PUT, &path, Some(json!({"value": value}))).await
    };
    assert_eq!(put("npm%2Ftoken", "hunter2").await.is(200).json()["version"], 1);
    assert_eq!(put("npm%2Ftoken", "hunter3").await.is(200).json()["version"], 2);
    put("..%2Fx", "v").await.problem(400, "bad_secret");
    let listed = server.get("/api/v1/secrets").await.is(200).text();
    assert!(listed.contains("secret://builtin/npm/token") && !listed.contains("hunter"));
    let path = "/api/v1/secrets/npm%2Ftoken";
    server.call(&server.admin, Method::DELETE, path, None).await.is(204);
    server.call(&server.admin, Method::DELETE, path, None).await.problem(404, "not_found");
}

#[tokio::test]
async fn health_metrics_and_the_description_answer_without_a_token() {
    let server = Server::start().await;
    let get = async |path: &str| server.send(Request::get(path).body(Body::empty()).unwrap()).await;
    get("/livez").await.is(200);
    get("/readyz").await.is(200);
    assert!(get("/").await.is(200).text().contains("Slipway"));
    let metrics = get("/metrics").await.is(200).text();
    assert!(
        metrics.contains("slipway_http_requests_total{route=\"/livez\",method=\"GET\",status=\"200\"} 1"),
        "{metrics}"
    );
    let described = get("/openapi.json").await.is(200).json();
    for path in [
        "/api/v1/applications/{application}",
        "/api/v1/bundles/{application}/compare",
        "/api/v1/runs/{run}/builds/{component}/log/stream",
    ] {
        assert!(described["paths"][path].is_object(), "{path}");
    }
    server.stopping.cancel();
    get("/readyz").await.problem(503, "not_ready");
    get("/livez").await.is(200);
}

#[tokio::test]
async fn what_does_not_fit_is_noted_beside_a_configuration_that_is_kept() {
    let server = Server::start().await;
    server.application("shop").await;
    let path = "/api/v1/configurations/shop";
    let body = json!({"level": "eu", "document": "kind: Application"});
    let kept = server.call(&server.admin, Method::PUT, path, Some(body)).await.is(200).json();
    assert_eq!((&kept["version"], &kept["notes"]), (&json!(1), &json!(["no environment lies there"])));
    let shown = server.get(&format!("{path}?level=eu")).await.is(200).json();
    assert_eq!((&shown["version"], &shown["notes"]), (&json!(1), &Value::Null));
}

#[tokio::test]
async fn an_environment_whose_nodes_cannot_pull_is_kept_and_noted() {
    let server = Server::start().await;
    let mut tx = server.records.begin().await.unwrap();
    let settings = ClusterSettings::default();
    tx.cluster_insert(&"kind".parse().unwrap(), "a uid", &settings, None, "root").await.unwrap();
    tx.commit().await.unwrap();
    let path = "/api/v1/environments/prod";
    let body = json!({"address": "eu/kind/shop"});
    let made = server.call(&server.admin, Method::PUT, path, Some(body)).await.is(201).json();
    assert_eq!(made["notes"], json!(["nodes of this cluster cannot pull"]), "{made:#}");
    assert_eq!(server.get(path).await.is(200).json()["notes"], Value::Null);
    // One in a cluster that nobody registered is refused with those there are, and the way to register it.
    let path = "/api/v1/environments/test";
    let body = json!({"address": "eu/far/shop"});
    let refused = server.call(&server.admin, Method::PUT, path, Some(body)).await.is(422).json();
    let hint = refused["violations"][0]["hint"].as_str().unwrap_or_default();
    assert!(hint.contains("registered are kind") && hint.contains("slipway cluster add far"), "{refused:#}");
}

#[tokio::test]
async fn a_plan_with_a_document_is_for_operators() {
    let server = Server::start().await;
    server.application("shop").await;
    let operator = server.token_for("shop", Role::Operator).await;
    let developer = server.token_for("shop", Role::Developer).await;
    let path = "/api/v1/deployments/plan";
    let plain = json!({"application": "shop", "environment": "prod"});
    let mut own = plain.clone();
    own["document"] = "kind: Application".into();
    let plan = async |token: &str, body: &Value| {
        server.call(token, Method::POST, path, Some(body.clone())).await.status.as_u16()
    };
    // There is no such environment: whoever may plan is told so.
    assert_eq!(plan(&developer, &plain).await, 404);
    assert_eq!(plan(&developer, &own).await, 403);
    assert_eq!(plan(&operator, &own).await, 404);
}
