//! Every list comes in pages that lead through all of it, or is bounded by something that is named here.

use axum::http::Method;
use serde_json::{Value, json};
use slipway_types::Role;
use slipway_types::environment::{ClusterSettings, EnvironmentSettings};
use url::form_urlencoded::byte_serialize;

use crate::pages::{Browser, is_page};
use crate::server::Server;

/// Lists that are given whole, and what bounds them.
const WHOLE: &[(&str, &str)] = &[
    ("/api/v1/bundles/{application}/{version}/signatures", "256 are looked at, `SIGNATURES_MAX`"),
    ("/api/v1/configurations/{application}/history", "the newest 100, `HISTORY_MAX`"),
    ("/api/v1/deployments/{deployment}/failures", "20 are kept of an application in an environment"),
    ("/api/v1/kits", "those of this release and of one folder of the server's machine"),
    ("/api/v1/queue", "kinds of jobs, each in a few states"),
    ("/api/v1/server/backends", "the back-ends of the server's settings"),
    ("/api/v1/server/machine", "the programs that Slipway calls, disks, object store and proxy"),
];

/// The names of the query parameters of a call, and whether its answer is a list with a next page.
fn described<'d>(document: &'d Value, call: &'d Value) -> (Vec<&'d str>, bool) {
    let parameters = call["parameters"].as_array().map(Vec::as_slice).unwrap_or_default();
    let queried = parameters.iter().filter(|parameter| parameter["in"] == "query");
    let names = queried.filter_map(|parameter| parameter["name"].as_str()).collect();
    let schema = &call["responses"]["200"]["content"]["application/json"]["schema"];
    let named = schema["$ref"].as_str().and_then(|reference| reference.rsplit('/').next());
    let schema = named.map_or(schema, |name| &document["components"]["schemas"][name]);
    let has = |field: &str| schema["properties"][field].is_object();
    (names, has("items") && has("next"))
}

#[test]
fn every_list_is_asked_for_in_pages_or_bounded_by_what_is_named() {
    let document = serde_json::to_value(slipway_http::openapi()).unwrap();
    let mut whole = Vec::new();
    let mut paged = 0;
    for (path, calls) in document["paths"].as_object().unwrap() {
        let (names, is_list) = described(&document, &calls["get"]);
        match (is_list, names.contains(&"limit"), names.contains(&"after")) {
            (false, ..) => {}
            (true, true, true) => paged += 1,
            (true, false, false) => whole.push(path.as_str()),
            (true, ..) => panic!("{path}: `limit` and `after` belong together"),
        }
    }
    assert!(paged > 20, "the lists were not found: {paged}");
    whole.sort_unstable();
    let named: Vec<&str> = WHOLE.iter().map(|(path, _)| *path).collect();
    assert_eq!(whole, named, "a list takes `limit` and `after`, or something bounds it, which WHOLE names");
}

/// A server with three rows or more in each of the lists.
async fn filled() -> Server {
    let server = Server::start().await;
    for name in ["shop", "till", "commerce/cart", "commerce/stock", "shop-2"] {
        server.application(name).await;
    }
    let mut tx = server.records.begin().await.unwrap();
    for name in ["kind", "far", "near"] {
        let (settings, name) = (ClusterSettings::default(), name.parse().unwrap());
        tx.cluster_insert(&name, &format!("uid of {name}"), &settings, None, "ann").await.unwrap();
    }
    for name in ["prod", "data", "staging"] {
        let address = format!("eu/kind/{name}").parse().unwrap();
        let settings = EnvironmentSettings::default();
        tx.environment_insert(&name.parse().unwrap(), &address, &settings, "ann").await.unwrap();
    }
    tx.commit().await.unwrap();
    let put = async |path: &str, body: Value| {
        let answer = server.call(&server.admin, Method::PUT, &format!("/api/v1/{path}"), Some(body)).await;
        assert!(answer.status.is_success(), "{path}: {}", answer.text());
    };
    for name in ["orders", "carts", "cache"] {
        put(&format!("addons/{name}"), json!({"definition": "redis", "environment": "data"})).await;
    }
    for scope in
        ["", "?team=commerce", "?application=commerce/cart", "?application=commerce/cart&environment=prod"]
    {
        for name in ["db", "api"] {
            put(&format!("secrets/{name}{scope}"), json!({"value": "x"})).await;
        }
    }
    for (environment, application) in [("prod", "shop"), ("prod", "till"), ("data", "shop")] {
        put(&format!("environments/{environment}/holds/{application}"), json!({"reason": "fair"})).await;
    }
    for name in ["ci", "ci-2", "b"] {
        server.token(name, Some(Role::Reader), None, vec![]).await;
    }
    server
}

/// What a list gives by pages of two rows.
async fn walked(server: &Server, list: &str) -> Vec<Value> {
    let sign = if list.contains('?') { '&' } else { '?' };
    let (mut rows, mut after) = (Vec::new(), String::new());
    loop {
        let page = server.get(&format!("{list}{sign}limit=2{after}")).await.is(200).json();
        let items = page["items"].as_array().unwrap();
        assert!(items.len() <= 2, "{list}: {page:#}");
        rows.extend(items.iter().cloned());
        let Some(next) = page["next"].as_str() else { return rows };
        let next: String = byte_serialize(next.as_bytes()).collect();
        after = format!("&after={next}");
        assert!(rows.len() < 100, "{list} leads in a circle");
    }
}

#[tokio::test]
async fn pages_lead_through_every_list_once() {
    let server = filled().await;
    for (list, least) in [
        ("/api/v1/addons", 3),
        ("/api/v1/applications", 5),
        ("/api/v1/audit", 3),
        ("/api/v1/clusters", 3),
        ("/api/v1/definitions", 1),
        ("/api/v1/environments", 3),
        ("/api/v1/secrets", 8),
        ("/api/v1/secrets?team=commerce", 6),
        ("/api/v1/secrets?application=commerce/cart", 4),
        ("/api/v1/secrets?application=commerce/cart&environment=prod", 2),
        ("/api/v1/sources", 5),
        ("/api/v1/tokens", 4),
        ("/api/v1/where", 3),
        ("/api/v1/where?environment=prod", 2),
    ] {
        let whole = server.get(list).await.is(200).json();
        let items = whole["items"].as_array().unwrap();
        assert!(items.len() >= least && whole["next"].is_null(), "{list}: {whole:#}");
        assert_eq!(&walked(&server, list).await, items, "{list}");
    }
}

#[tokio::test]
async fn a_page_that_there_cannot_be_is_refused() {
    let server = filled().await;
    for (query, says) in [
        ("applications?limit=0", "limit: 0 is not between 1 and 500"),
        ("secrets?limit=501", "limit: 501 is not between 1 and 500"),
        ("clusters?after=No%20Name", "after: give the `next` of the page before"),
        ("secrets?after=a%00b", "after: give the `next` of the page before"),
        ("tokens?after=ci", "after: give the `next` of the page before"),
        ("definitions?after=trait", "after: give the `next` of the page before"),
        ("where?after=shop", "after: give the `next` of the page before"),
    ] {
        let refused = server.get(&format!("/api/v1/{query}")).await.problem(400, "bad_query");
        assert_eq!(refused["detail"], says, "{query}");
    }
    // A name that is not there any more is a place to go on from.
    let behind = server.get("/api/v1/clusters?after=kin").await.is(200).json();
    let names: Vec<_> = behind["items"].as_array().unwrap().iter().map(|row| &row["name"]).collect();
    assert_eq!(names, ["kind", "near"]);
}

#[tokio::test]
async fn a_mistyped_parameter_is_refused_by_its_name_with_those_that_are_known() {
    let server = filled().await;
    for (path, known) in [
        ("queue/dead?afetr=x", "after"),
        ("sources/shop/deliveries?limti=1", "limit"),
        ("runs?brnach=main", "branch"),
        ("bundles/shop/1.0.0/labels/qa?raeson=x", "reason"),
    ] {
        let method = if path.contains("/labels/") { Method::DELETE } else { Method::GET };
        let answer = server.call(&server.admin, method, &format!("/api/v1/{path}"), None).await;
        let detail = answer.problem(400, "bad_query")["detail"].as_str().unwrap().to_owned();
        let wrong = path.split(['?', '=']).nth(1).unwrap();
        assert!(detail.contains(&format!("unknown field `{wrong}`")), "{path}: {detail}");
        assert!(detail.contains(&format!("`{known}`")), "{path}: {detail}");
    }
    let browser = Browser::of(&server, &server.admin.clone()).await;
    for (page, known) in [
        ("/", "q"),
        ("/where", "q"),
        ("/deployments", "environment"),
        ("/deployments/history", "state"),
        ("/applications/shop", "branch"),
        ("/applications/shop/runs", "branch"),
        ("/applications/shop/packages", "branch"),
        ("/applications/shop/bundles/compare", "from"),
        ("/applications/shop/packages/compare", "from"),
        ("/infrastructure/secrets", "team"),
        ("/infrastructure/definitions", "kind"),
        ("/infrastructure/sources", "after"),
        ("/infrastructure/tokens", "all"),
        ("/infrastructure/audit", "subject"),
        ("/infrastructure/notices", "after"),
        ("/infrastructure/server", "after"),
    ] {
        let text = is_page(&browser.get(&format!("{page}?brnach=main")).await.is(400));
        assert!(text.contains("brnach") && text.contains(&format!("`{known}`")), "{page}: {text}");
        let back = format!("<a href=\"{page}\">Back to the page</a>");
        assert_eq!(text.contains(&back), page != "/", "{page}: {text}");
    }
}

#[tokio::test]
async fn a_limited_token_has_a_list_of_one_application() {
    let server = filled().await;
    let token = server.token_for("shop", Role::Reader).await;
    let get = async |path: &str| server.call(&token, Method::GET, path, None).await.is(200).json();
    let page = get("/api/v1/applications?limit=1").await;
    assert_eq!(page["items"][0]["name"], "shop");
    let after = page["next"].as_str().unwrap();
    let rest = get(&format!("/api/v1/applications?limit=1&after={after}")).await;
    assert_eq!((&rest["items"], &rest["next"]), (&json!([]), &Value::Null));
}

#[tokio::test]
async fn a_token_is_revoked_by_its_identity_or_its_name() {
    let server = filled().await;
    let tokens = "/api/v1/tokens";
    let delete = async |of: &str| {
        server.call(&server.admin, Method::DELETE, &format!("{tokens}/{of}"), None).await.status.as_u16()
    };
    let named = async |name: &str| {
        let listed = server.get(tokens).await.is(200).json();
        let rows: Vec<Value> = listed["items"].as_array().unwrap().clone();
        rows.into_iter().filter(|row| row["name"] == name).collect::<Vec<_>>()
    };
    let first = named("ci").await[0]["id"].as_str().unwrap().to_owned();
    assert_eq!(delete(&first).await, 204);
    // The name is free again, and means the one that lives.
    server.token("ci", Some(Role::Reader), None, vec![]).await;
    assert_eq!(delete("ci").await, 204);
    let rows = named("ci").await;
    assert_eq!(rows.len(), 2);
    assert!(rows.iter().all(|row| row["revoked_at"].is_string()), "{rows:#?}");
    for unknown in ["ci", "c", "ci-20", "00000000-0000-0000-0000-000000000000", "a%00b"] {
        assert_eq!(delete(unknown).await, 404, "{unknown}");
    }
}
