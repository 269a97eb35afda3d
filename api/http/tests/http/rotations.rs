//! Restarts after a secret got its next value.

use std::time::Duration;

use axum::http::Method;
use serde_json::{Value, json};
use slipway_records::{JobPayload, RestartFate, RestartPlace};
use slipway_types::Role;
use slipway_types::environment::EnvironmentSettings;

use crate::server::Server;

const OF_SHOP: &str = "application=shop";

fn address(what: &str) -> String {
    format!("/api/v1/secrets/db{what}?{OF_SHOP}")
}

/// Says of the second version that `prod` is left alone and `dev` waits.
async fn settle(server: &Server) {
    let application = server.application_id("shop").await;
    let mut tx = server.records.begin().await.unwrap();
    for name in ["prod", "dev"] {
        let (environment, at) = (name.parse().unwrap(), format!("eu/kind/{name}").parse().unwrap());
        let settings = EnvironmentSettings::default();
        let environment = tx.environment_insert(&environment, &at, &settings, "root").await.unwrap().id;
        let place =
            RestartPlace { secret: "application/default/shop:db", version: 3, environment, application };
        assert!(tx.rotation_place(place).await.unwrap());
        if name == "prod" {
            let fate =
                RestartFate::Left { problem: "it is <b>suspended</b>".into(), hint: Some("go on".into()) };
            assert!(tx.rotation_settle(place, &fate).await.unwrap());
        }
    }
    tx.commit().await.unwrap();
}

#[tokio::test]
async fn restarts_are_asked_for_with_the_value_and_can_be_looked_at() {
    let server = Server::start().await;
    server.application("shop").await;
    let value = Some(json!({"value": "swordfish"}));
    server.call(&server.admin, Method::PUT, &address(""), value).await.is(200);
    let plain = server.post(&address("/rotate"), json!({"value": "swordfish2"})).await.is(200).json();
    assert_eq!((&plain["secret"]["version"], &plain["restarting"]), (&json!(2), &json!(false)));
    for none in ["/restarts", "/restarts/2"] {
        server.get(&address(none)).await.problem(404, "not_found");
    }
    let kinds = ["rotate"];
    let queue = server.records.queue();
    let lease = Duration::from_secs(30);
    assert_eq!(queue.claim(&kinds, "test", lease).await.unwrap(), None);

    let body = json!({"value": "swordfish3", "restart": true, "reason": "yearly"});
    let done = server.post(&address("/rotate"), body).await.is(200).json();
    assert_eq!((&done["secret"]["version"], &done["restarting"]), (&json!(3), &json!(true)), "{done:#}");
    let job = queue.claim(&kinds, "test", lease).await.unwrap().expect("a job");
    let secret = "application/default/shop:db".to_owned();
    assert_eq!(job.payload, JobPayload::Rotate { secret, version: 3 });
    let found = server.get(&address("/restarts")).await.is(200).json();
    assert_eq!(
        (&found["name"], &found["scope"], &found["version"], &found["reason"], &found["by"]),
        (&json!("db"), &json!("application/default/shop"), &json!(3), &json!("yearly"), &json!("root")),
        "{found:#}"
    );
    assert_eq!((&found["ended_at"], &found["restarts"]), (&Value::Null, &json!([])), "{found:#}");

    settle(&server).await;
    let found = server.get(&address("/restarts/3")).await.is(200).json();
    let row = |environment: &str, state: &str, problem: Value, hint: Value| {
        json!({
            "application": "shop", "environment": environment, "state": state, "deployment": null,
            "generation": null, "problem": problem, "hint": hint,
        })
    };
    let left = row("prod", "left", json!("it is <b>suspended</b>"), json!("go on"));
    assert_eq!(found["restarts"], json!([row("dev", "waiting", Value::Null, Value::Null), left]));

    // Who may not rotate it does not see what came of it.
    let reader = server.token_for("shop", Role::Reader).await;
    for what in ["/restarts", "/restarts/3"] {
        server.call(&reader, Method::GET, &address(what), None).await.problem(403, "forbidden");
    }
    server.get("/api/v1/secrets/a%00b/restarts").await.problem(404, "not_found");
    let none = server.get("/api/v1/secrets/db/restarts").await.problem(404, "not_found");
    assert!(none["hint"].to_string().contains("slipway secret rotate db --restart"), "{none:#}");
}
