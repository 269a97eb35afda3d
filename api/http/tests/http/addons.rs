//! Add-ons as the API keeps them: who may do what, and what stands against a release.

use axum::http::{Method, StatusCode};
use serde_json::{Value, json};
use slipway_records::addon::AddonFailure;
use slipway_records::failure::Found;
use slipway_types::Role;
use slipway_types::environment::{ClusterSettings, EnvironmentSettings};
use slipway_types::state::AddonState;

use crate::server::{Answer, Server};

/// A server with two environments in one cluster and one in another, and two applications.
async fn prepared() -> Server {
    let server = Server::start().await;
    for name in ["shop", "commerce/cart"] {
        server.application(name).await;
    }
    let mut tx = server.records.begin().await.unwrap();
    for (index, cluster) in ["kind", "far"].into_iter().enumerate() {
        let (name, uid) = (cluster.parse().unwrap(), format!("uid-{index}"));
        tx.cluster_insert(&name, &uid, &ClusterSettings::default(), None, "ann").await.unwrap();
    }
    for (name, address) in [("data", "eu/kind/data"), ("prod", "eu/kind/shop"), ("away", "eu/far/shop")] {
        let (name, address) = (name.parse().unwrap(), address.parse().unwrap());
        tx.environment_insert(&name, &address, &EnvironmentSettings::default(), "ann").await.unwrap();
    }
    tx.commit().await.unwrap();
    server
}

async fn asked(server: &Server, method: Method, path: &str, body: Value) -> Answer {
    let body = Some(body).filter(|body| !body.is_null());
    server.call(&server.admin, method, &format!("/api/v1/addons{path}"), body).await
}

async fn applied(server: &Server) -> Value {
    let body = json!({"definition": "redis", "environment": "data", "properties": {"memory": "1gb"}});
    let answer = asked(server, Method::PUT, "/orders", body).await;
    assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text());
    answer.json()
}

#[tokio::test]
async fn an_add_on_is_applied_changed_and_listed() {
    let server = prepared().await;
    let made = applied(&server).await;
    assert_eq!(
        (&made["state"], &made["protected"], &made["generation"]),
        (&json!("applying"), &json!(true), &json!(1))
    );
    assert_eq!((&made["owner"], &made["environment"]), (&json!("root"), &json!("data")));
    let changed =
        asked(&server, Method::PUT, "/orders", json!({"properties": {"memory": "2gb"}, "owner": "data"}));
    let changed = changed.await.json();
    assert_eq!((&changed["generation"], &changed["properties"]["memory"]), (&json!(2), &json!("2gb")));
    assert_eq!((&changed["owner"], &changed["version"]), (&json!("data"), &json!("1.0.0")));
    for (body, code) in [
        (json!({"environment": "prod"}), "addon_fixed"),
        (json!({"definition": "postgres"}), "addon_fixed"),
        (json!({"properties": []}), "bad_body"),
        (json!({"owner": ""}), "bad_body"),
    ] {
        let refused = asked(&server, Method::PUT, "/orders", body).await;
        assert_eq!(refused.json()["code"], code, "{}", refused.text());
    }
    for (body, status) in [
        (json!({"definition": "redis"}), StatusCode::BAD_REQUEST),
        (json!({"environment": "data"}), StatusCode::BAD_REQUEST),
        (json!({"definition": "unknown", "environment": "data"}), StatusCode::UNPROCESSABLE_ENTITY),
    ] {
        assert_eq!(asked(&server, Method::PUT, "/new", body).await.status, status);
    }
    let listed = asked(&server, Method::GET, "", Value::Null).await.json();
    assert_eq!(listed["items"].as_array().map(Vec::len), Some(1));
}

#[tokio::test]
async fn a_release_is_refused_while_anybody_is_bound_or_it_is_protected() {
    let server = prepared().await;
    applied(&server).await;
    let bound = asked(&server, Method::PUT, "/orders/bindings/prod/shop", json!({"prefix": "CACHE"})).await;
    assert_eq!(bound.status, StatusCode::CREATED, "{}", bound.text());
    let bindings = bound.json()["bindings"].clone();
    assert_eq!((&bindings[0]["account"], &bindings[0]["prefix"]), (&json!("shop_prod"), &json!("CACHE")));
    let other = asked(&server, Method::PUT, "/orders/bindings/data/commerce%2Fcart", json!({})).await;
    assert_eq!(other.json()["generation"], 3, "{}", other.text());
    for (path, body, code) in [
        ("/orders/bindings/prod/shop", json!({}), "exists_already"),
        ("/orders/bindings/away/shop", json!({}), "addon_elsewhere"),
        ("/orders/bindings/data/shop", json!({"prefix": "1-x"}), "bad_body"),
    ] {
        let refused = asked(&server, Method::PUT, path, body).await;
        assert_eq!(refused.json()["code"], code, "{}", refused.text());
    }
    let held = asked(&server, Method::DELETE, "/orders", Value::Null).await;
    let (code, detail) = (held.json()["code"].clone(), held.json()["detail"].to_string());
    assert_eq!((held.status, code), (StatusCode::CONFLICT, json!("addon_bound")));
    assert!(detail.contains("`shop` in `prod`, `commerce/cart` in `data`"), "{detail}");
    let hint = held.json()["hint"].to_string();
    assert!(hint.contains("slipway addon unbind orders commerce/cart --env data"), "{hint}");
    for path in ["/orders/bindings/prod/shop", "/orders/bindings/data/commerce%2Fcart"] {
        let ended = asked(&server, Method::DELETE, path, Value::Null).await;
        assert_eq!(ended.status, StatusCode::OK, "{}", ended.text());
    }
    let again = asked(&server, Method::DELETE, "/orders/bindings/prod/shop", Value::Null).await;
    assert_eq!((again.status, &again.json()["code"]), (StatusCode::NOT_FOUND, &json!("not_bound")));
    let held = asked(&server, Method::DELETE, "/orders", Value::Null).await;
    assert_eq!(held.json()["code"], "addon_protected");
    asked(&server, Method::PUT, "/orders/protection", json!({"protected": false})).await;
    let released = asked(&server, Method::DELETE, "/orders", Value::Null).await;
    assert_eq!((released.status, &released.json()["state"]), (StatusCode::ACCEPTED, &json!("releasing")));
    // It runs nothing before, so there is nothing to leave out either.
    for path in ["/orders", "/orders?without_run=true"] {
        let again = asked(&server, Method::DELETE, path, Value::Null).await;
        assert_eq!(again.status, StatusCode::ACCEPTED, "{}", again.text());
        assert_eq!(again.json()["generation"], released.json()["generation"], "{path}");
    }
    let late = asked(&server, Method::PUT, "/orders/bindings/prod/shop", json!({})).await;
    assert_eq!(late.json()["code"], "addon_releasing");
    let audit = server.get("/api/v1/audit?subject=addon%2Forders").await.json();
    let actions: Vec<&str> =
        audit["items"].as_array().unwrap().iter().filter_map(|entry| entry["action"].as_str()).collect();
    for action in ["addon.apply", "addon.bind", "addon.unbind", "addon.protect", "addon.release"] {
        assert!(actions.contains(&action), "{action}: {actions:?}");
    }
}

#[tokio::test]
async fn what_an_add_on_holds_stays_and_its_team_is_nobodys() {
    let server = prepared().await;
    applied(&server).await;
    asked(&server, Method::PUT, "/orders/bindings/prod/shop", json!({})).await;
    for path in ["/api/v1/environments/data", "/api/v1/environments/prod", "/api/v1/applications/shop"] {
        let refused = server.call(&server.admin, Method::DELETE, path, None).await;
        assert_eq!(refused.status, StatusCode::CONFLICT, "{path}: {}", refused.text());
        assert!(refused.text().contains("orders"), "{path}: {}", refused.text());
    }
    let refused = server.post("/api/v1/applications", json!({"name": "addons/orders"})).await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn operators_of_an_application_bind_it_to_what_their_team_has() {
    let server = prepared().await;
    applied(&server).await;
    let of_shop = server.token_for("shop", Role::Operator).await;
    let of_cart = server.token_for("commerce/cart", Role::Operator).await;
    let call = async |method: Method, path: &str, token: &str, body: Option<Value>| {
        server.call(token, method, &format!("/api/v1/addons{path}"), body).await.status
    };
    let (shop_path, cart_path) = ("/orders/bindings/prod/shop", "/orders/bindings/prod/commerce%2Fcart");
    assert_eq!(call(Method::PUT, cart_path, &of_shop, Some(json!({}))).await, StatusCode::NOT_FOUND);
    assert_eq!(call(Method::PUT, cart_path, &of_cart, Some(json!({}))).await, StatusCode::FORBIDDEN);
    assert_eq!(call(Method::PUT, shop_path, &of_shop, Some(json!({}))).await, StatusCode::CREATED);
    assert_eq!(call(Method::DELETE, "/orders", &of_shop, None).await, StatusCode::FORBIDDEN);
    let body = json!({"definition": "redis", "environment": "data"});
    assert_eq!(call(Method::PUT, "/mine", &of_shop, Some(body)).await, StatusCode::FORBIDDEN);
    let seen = server.call(&of_cart, Method::GET, "/api/v1/addons/orders", None).await.json();
    assert_eq!(seen["bindings"], json!([]), "others' bindings are not theirs to see");
}

#[tokio::test]
async fn what_did_not_go_is_not_applied_anew_by_a_binding() {
    let server = prepared().await;
    applied(&server).await;
    let mut tx = server.records.begin().await.unwrap();
    let mut orders = tx.addon_by_name(&"orders".parse().unwrap()).await.unwrap().unwrap();
    orders.state = AddonState::ReleaseFailed { why: "a lock".to_owned(), ended: false };
    assert!(tx.addon_save(&mut orders).await.unwrap());
    tx.commit().await.unwrap();
    let operator = server.token_for("shop", Role::Operator).await;
    let path = "/api/v1/addons/orders/bindings/prod/shop";
    let refused = server.call(&operator, Method::PUT, path, Some(json!({}))).await;
    assert_eq!((refused.status, &refused.json()["code"]), (StatusCode::CONFLICT, &json!("addon_releasing")));
    let shown = asked(&server, Method::GET, "/orders", Value::Null).await.json();
    assert_eq!((&shown["state"], &shown["generation"]), (&json!("release_failed"), &json!(1)));
}

#[tokio::test]
async fn logs_of_what_failed_are_for_those_who_see_the_whole_server() {
    let server = prepared().await;
    applied(&server).await;
    let mut tx = server.records.begin().await.unwrap();
    let mut orders = tx.addon_by_name(&"orders".parse().unwrap()).await.unwrap().unwrap();
    orders.failure = Some(AddonFailure {
        generation: 1,
        node: "run.apply".to_owned(),
        attempt: 1,
        at: orders.created_at,
        found: Found::default(),
        log: "no route to the cloud".to_owned(),
    });
    assert!(tx.addon_save(&mut orders).await.unwrap());
    tx.commit().await.unwrap();
    let of_cart = server.token_for("commerce/cart", Role::Operator).await;
    for path in ["/api/v1/addons", "/api/v1/addons/orders"] {
        let seen = |answer: Answer| answer.is(200).text().contains("no route to the cloud");
        assert!(seen(server.call(&server.admin, Method::GET, path, None).await), "{path}");
        assert!(!seen(server.call(&of_cart, Method::GET, path, None).await), "{path}");
    }
}
