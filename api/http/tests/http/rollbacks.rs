//! What a rollback chooses, what it goes past and what it leaves behind.

use axum::http::Method;
use serde_json::{Value, json};
use slipway_records::{DeploymentCause, NewDeployment, PackageVersion};
use slipway_types::environment::EnvironmentSettings;
use slipway_types::state::DeploymentState;
use slipway_types::{Digest, Fault, Role};

use crate::rest::{bundle, run};
use crate::server::{Answer, Server};

const DEPLOYMENTS: &str = "/api/v1/deployments";

/// Lets a bundle out in `prod`, as this revision; one that is not live has failed.
async fn out(server: &Server, bundle: &PackageVersion, revision: &str, is_live: bool) {
    let state = if is_live {
        DeploymentState::Delivered { artifact: "x".to_owned() }
    } else {
        DeploymentState::Failed { node: None, fault: Fault::permanent("x", "x") }
    };
    put_out(server, bundle, revision, (DeploymentCause::Deploy, state)).await;
}

/// The same with the cause and the state that it has.
async fn put_out(
    server: &Server,
    bundle: &PackageVersion,
    revision: &str,
    (cause, state): (DeploymentCause, DeploymentState),
) {
    let mut tx = server.records.begin().await.unwrap();
    let (name, address) = ("prod".parse().unwrap(), "eu/kind/shop".parse().unwrap());
    let prod = match tx.environment_by_name(&name).await.unwrap() {
        Some(prod) => prod,
        None => {
            let settings = EnvironmentSettings::default();
            tx.environment_insert(&name, &address, &settings, "root").await.unwrap()
        }
    };
    let new = NewDeployment {
        application_id: bundle.application_id,
        environment_id: prod.id,
        bundle_id: bundle.id,
        bundle_version: bundle.version.clone(),
        bundle_digest: bundle.digest,
        lock: bundle.fingerprint,
        choice: Value::Null,
        cause,
        created_by: "ann".to_owned(),
        document: None,
    };
    let mut made = tx.deployment_insert(new).await.unwrap();
    let now = made.created_at;
    made.revision = Some(Digest::of(revision));
    made.handed_off_at = Some(now);
    made.live_at = state.has_arrived().then_some(now);
    made.state = state;
    assert!(tx.deployment_save(&mut made).await.unwrap());
    tx.commit().await.unwrap();
}

/// Rolls back, with more of the body.
async fn roll_back(server: &Server, token: &str, more: &Value) -> Answer {
    let mut body = json!({"application": "shop", "environment": "prod", "reason": "carts are empty"});
    for (key, value) in more.as_object().into_iter().flatten() {
        body[key] = value.clone();
    }
    server.call(token, Method::POST, DEPLOYMENTS, Some(body)).await
}

/// Why a deployment exists.
async fn why(server: &Server, made: &Value) -> Value {
    let path = format!("{DEPLOYMENTS}/{}", made["id"].as_str().unwrap());
    server.get(&path).await.is(200).json()["why"].clone()
}

async fn pin(server: &Server) -> Value {
    server.get("/api/v1/where?application=shop").await.is(200).json()["items"][0]["pin"].clone()
}

#[tokio::test]
async fn a_rollback_goes_past_a_pin_and_holds_until_it_is_released() {
    let server = Server::start().await;
    server.application("shop").await;
    let run = run(&server, "shop").await;
    let (one, two) = (bundle(&server, &run, "1.0.0").await, bundle(&server, &run, "1.1.0").await);
    out(&server, &one, "a", true).await;
    out(&server, &two, "b", true).await;
    let hold = "/api/v1/environments/prod/holds/shop";
    let body = json!({"version": "1.1.0", "reason": "the fair"});
    server.call(&server.admin, Method::PUT, hold, Some(body)).await.is(204);

    let back = json!({"rollback": true});
    let silent = json!({"rollback": true, "reason": " "});
    roll_back(&server, &server.admin, &silent).await.problem(400, "bad_body");
    let both = json!({"rollback": true, "rollback_to": 1});
    roll_back(&server, &server.admin, &both).await.problem(400, "bad_body");
    let never = json!({"rollback_to": u64::MAX, "reason": "x"});
    roll_back(&server, &server.admin, &never).await.problem(422, "never_ran");
    let developer = server.token_for("shop", Role::Developer).await;
    roll_back(&server, &developer, &back).await.is(403);
    let other = json!({"bundle": "1.0.0"});
    let pinned = roll_back(&server, &server.admin, &other).await.problem(409, "pinned");
    assert_eq!(pinned["hint"], "release it first: slipway release shop --env prod");

    let operator = server.token_for("shop", Role::Operator).await;
    let made = roll_back(&server, &operator, &back).await.is(201).json();
    assert_eq!((&made["generation"], &made["bundle"]), (&json!(3), &json!("1.0.0")), "{made:#}");
    let cause = json!({"cause": "rollback", "to": 1, "reason": "carts are empty", "was_live": true});
    assert_eq!(why(&server, &made).await, cause);
    let held = pin(&server).await;
    assert_eq!((&held["rollback_to"], &held["version"]), (&json!(1), &Value::Null), "{held:#}");
    let audit = server.get("/api/v1/audit?subject=environment/prod").await.is(200).json();
    let newest = &audit["items"][0]["detail"];
    assert_eq!(newest["instead_of"]["version"], "1.1.0", "{audit:#}");
    assert_eq!((&newest["rollback_to"], &newest["instead_of"]["reason"]), (&json!(1), &json!("the fair")));

    // Who pins it then lets nothing go by that.
    let body = json!({"version": "1.0.0", "reason": "until Monday"});
    server.call(&server.admin, Method::PUT, hold, Some(body)).await.is(204);
    let pinned = pin(&server).await;
    assert_eq!((&pinned["rollback_to"], &pinned["version"]), (&json!(1), &json!("1.0.0")), "{pinned:#}");
    server.call(&server.admin, Method::DELETE, hold, None).await.is(204);
    assert_eq!(pin(&server).await, Value::Null);
}

#[tokio::test]
async fn what_was_never_live_is_not_chosen_and_passes_the_gates_if_it_is_named() {
    let server = Server::start().await;
    server.application("shop").await;
    let run = run(&server, "shop").await;
    let (one, two) = (bundle(&server, &run, "1.0.0").await, bundle(&server, &run, "1.1.0").await);
    out(&server, &one, "a", false).await;
    out(&server, &two, "b", true).await;
    let back = json!({"rollback": true});
    roll_back(&server, &server.admin, &back).await.problem(422, "never_live");
    out(&server, &two, "c", false).await;
    // Who only looks gives no reason, and sees the generation's own revision.
    let developer = server.token_for("shop", Role::Developer).await;
    for (more, told) in [
        (json!({"rollback": true}), "back to 2, was live: true"),
        (json!({"rollback_to": 1}), "back to 1, was live: false"),
    ] {
        let mut body = json!({"application": "shop", "environment": "prod"});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let plan = server.call(&developer, Method::POST, "/api/v1/deployments/plan", Some(body)).await;
        assert_eq!(plan.is(200).json()["notes"], json!([told]));
    }
    let made = roll_back(&server, &server.admin, &back).await.is(201).json();
    assert_eq!(why(&server, &made).await["to"], 2);
    let named = json!({"rollback_to": 1});
    let made = roll_back(&server, &server.admin, &named).await.is(201).json();
    let cause = why(&server, &made).await;
    assert_eq!((&cause["to"], &cause["was_live"]), (&json!(1), &json!(false)), "{cause:#}");
}

#[tokio::test]
async fn an_abort_is_one_order_that_brings_back_what_was_live_before() {
    let server = Server::start().await;
    server.application("shop").await;
    let run = run(&server, "shop").await;
    let (one, two) = (bundle(&server, &run, "1.0.0").await, bundle(&server, &run, "1.1.0").await);
    out(&server, &one, "a", false).await;
    let newest = async || {
        let list = server.get("/api/v1/deployments?application=shop&environment=prod").await.is(200).json();
        format!("{DEPLOYMENTS}/{}", list["items"][0]["id"].as_str().unwrap())
    };
    let abort = async |path: &str, token: &str, body: Value| {
        server.call(token, Method::POST, &format!("{path}/abort"), Some(body)).await
    };
    let why = || json!({"reason": "too many errors"});
    abort(&newest().await, &server.admin, why()).await.problem(422, "never_live");

    // What was live runs the same as what is taken back: it is what comes back all the same.
    out(&server, &one, "b", true).await;
    let live = newest().await;
    let refused = abort(&live, &server.admin, why()).await.problem(409, "wrong_state");
    let back = "go back by a rollback: slipway deploy rollback shop --env prod --reason WHY";
    assert_eq!(refused["hint"], back);
    out(&server, &two, "b", false).await;
    let failed = newest().await;
    abort(&failed, &server.admin, json!({"reason": " "})).await.problem(400, "bad_body");
    let developer = server.token_for("shop", Role::Developer).await;
    abort(&failed, &developer, why()).await.is(403);
    let made = abort(&failed, &server.admin, why()).await.is(201).json();
    assert_eq!((&made["generation"], &made["bundle"]), (&json!(4), &json!("1.0.0")), "{made:#}");
    let shown = server.get(&newest().await).await.is(200).json();
    let cause =
        json!({"cause": "rollback", "to": 2, "reason": "too many errors", "was_live": true, "aborts": 3});
    assert_eq!(shown["why"], cause);
    assert_eq!(
        abort(&failed, &server.admin, why()).await.is(200).json()["id"],
        made["id"],
        "it is one order"
    );
    assert_eq!(pin(&server).await["rollback_to"], 2);
    goes_by(&server, failed.rsplit('/').next().unwrap(), made["id"].as_str().unwrap()).await;
    let later = abort(&failed, &server.admin, why()).await.is(200).json();
    assert_eq!(later["id"], made["id"], "whatever came after it");
    abort(&live, &server.admin, why()).await.problem(409, "wrong_state");
}

/// Has a rollback go out, in the place of what it takes back, and something else in its own.
async fn goes_by(server: &Server, aborted: &str, rollback: &str) {
    let mut tx = server.records.begin().await.unwrap();
    let mut aborted = tx.deployment_get(aborted.parse().unwrap()).await.unwrap().unwrap();
    let mut rollback = tx.deployment_get(rollback.parse().unwrap()).await.unwrap().unwrap();
    rollback.handed_off_at = Some(rollback.created_at);
    rollback.state = DeploymentState::Superseded { by: aborted.id, failed: None };
    aborted.state = DeploymentState::Superseded { by: rollback.id, failed: None };
    for row in [&mut aborted, &mut rollback] {
        assert!(tx.deployment_save(row).await.unwrap());
    }
    tx.commit().await.unwrap();
}

#[tokio::test]
async fn an_abort_does_not_bring_back_what_was_taken_away() {
    let server = Server::start().await;
    server.application("shop").await;
    let run = run(&server, "shop").await;
    let one = bundle(&server, &run, "1.0.0").await;
    out(&server, &one, "a", true).await;
    let removal = DeploymentCause::Remove { reason: "nobody buys".to_owned() };
    put_out(&server, &one, "b", (removal, DeploymentState::Deleted)).await;
    out(&server, &one, "c", false).await;
    let list = server.get("/api/v1/deployments?application=shop&environment=prod").await.is(200).json();
    let abort = format!("{DEPLOYMENTS}/{}/abort", list["items"][0]["id"].as_str().unwrap());
    let body = json!({"reason": "too many errors"});
    server.call(&server.admin, Method::POST, &abort, Some(body)).await.problem(422, "never_live");
}
