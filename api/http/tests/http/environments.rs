//! What keeps an environment, and whom its settings wake.

use std::collections::BTreeSet;
use std::time::Duration;

use axum::http::Method;
use serde_json::{Value, json};
use slipway_records::job::JobPayload;
use slipway_records::{Deployment, DeploymentCause, NewDeployment, RecordsError};
use slipway_types::environment::ClusterSettings;
use slipway_types::id::ApplicationId;
use slipway_types::state::{DeploymentEvent, DeploymentState};
use slipway_types::{Digest, Fault};

use crate::rest::{bundle, run};
use crate::server::{Answer, Server};

const DEV: &str = "/api/v1/environments/dev";

/// A server with a cluster.
async fn prepared() -> Server {
    let server = Server::start().await;
    let mut tx = server.records.begin().await.unwrap();
    let name = "kind".parse().unwrap();
    tx.cluster_insert(&name, "a uid", &ClusterSettings::default(), None, "root").await.unwrap();
    tx.commit().await.unwrap();
    server
}

async fn put(server: &Server, settings: Value) {
    let body = json!({"address": "eu/kind/dev", "settings": settings});
    let answer = server.call(&server.admin, Method::PUT, DEV, Some(body)).await;
    assert!(answer.status.is_success(), "{}", answer.text());
}

async fn remove(server: &Server) -> Answer {
    server.call(&server.admin, Method::DELETE, DEV, None).await
}

async fn store(server: &Server, deployment: &mut Deployment, state: DeploymentState) {
    deployment.handed_off_at = (!state.is_pending()).then_some(deployment.created_at);
    deployment.state = state;
    let mut tx = server.records.begin().await.unwrap();
    assert!(tx.deployment_save(deployment).await.unwrap());
    tx.commit().await.unwrap();
}

/// The environment `dev`, and a deployment to be made there.
async fn with_dev(server: &Server) -> NewDeployment {
    server.application("shop").await;
    let bundle = bundle(server, &run(server, "shop").await, "1.0.0").await;
    put(server, json!({"receiver": {"type": "oci"}})).await;
    let mut read = server.records.read().await.unwrap();
    let dev = read.environment_by_name(&"dev".parse().unwrap()).await.unwrap().unwrap();
    NewDeployment {
        application_id: bundle.application_id,
        environment_id: dev.id,
        bundle_id: bundle.id,
        bundle_version: bundle.version,
        bundle_digest: bundle.digest,
        lock: bundle.fingerprint,
        choice: Value::Null,
        cause: DeploymentCause::Deploy,
        created_by: "ann".to_owned(),
        document: None,
    }
}

async fn deploy(server: &Server, new: NewDeployment) -> Result<Deployment, RecordsError> {
    let mut tx = server.records.begin().await?;
    let made = tx.deployment_insert(new).await?;
    tx.commit().await?;
    Ok(made)
}

#[tokio::test]
async fn an_environment_is_kept_while_anything_waits_or_runs_there() {
    let server = prepared().await;
    let new = with_dev(&server).await;
    let mut made = deploy(&server, new.clone()).await.unwrap();
    let revision = Digest::of("a");
    let missing = vec!["0 of 1 approvals".to_owned()];
    let approve = DeploymentEvent::Approve(None, chrono::Utc::now());
    let approved = DeploymentState::Frozen { revision }.apply(approve).unwrap();
    let by = || "ann".to_owned();
    let (withdraw, take_away) = ("slipway deploy withdraw shop@dev", "slipway deploy remove shop --env dev");
    for (state, way_out, other) in [
        (DeploymentState::Draft { why: None }, withdraw, take_away),
        (DeploymentState::Frozen { revision }, withdraw, take_away),
        (DeploymentState::Awaiting { revision, missing }, withdraw, take_away),
        (approved, withdraw, take_away),
        (DeploymentState::HandedOff { run: "r".to_owned() }, take_away, withdraw),
        (DeploymentState::Live, take_away, withdraw),
        (DeploymentState::Failed { node: None, fault: Fault::permanent("x", "x") }, take_away, withdraw),
        (DeploymentState::Terminated { by: by() }, take_away, withdraw),
        (DeploymentState::Deleting { by: by() }, take_away, withdraw),
    ] {
        let word = state.word();
        store(&server, &mut made, state).await;
        let refused = remove(&server).await.problem(409, "environment_in_use");
        let (detail, hint) = (refused["detail"].as_str().unwrap(), refused["hint"].as_str().unwrap());
        assert!(detail.contains(&format!("`shop` (generation 1, {word})")), "{refused:#}");
        assert!(hint.contains(way_out) && !hint.contains(other), "{refused:#}");
        server.get(DEV).await.is(200);
    }
    // Both kinds at once, each with its way out.
    store(&server, &mut made, DeploymentState::Live).await;
    let mut second = deploy(&server, new.clone()).await.unwrap();
    let refused = remove(&server).await.problem(409, "environment_in_use");
    let told = refused.to_string();
    for seen in ["(generation 1, live)", "(generation 2, draft)", withdraw, take_away] {
        assert!(told.contains(seen), "{seen}: {refused:#}");
    }

    store(&server, &mut made, DeploymentState::Deleted).await;
    store(&server, &mut second, DeploymentState::Withdrawn { by: by() }).await;
    remove(&server).await.is(200);
    remove(&server).await.problem(404, "not_found");
    let late = deploy(&server, new).await;
    assert!(matches!(late, Err(RecordsError::Removed { .. })), "{late:?}");
}

#[tokio::test]
async fn a_refusal_names_some_of_many() {
    let server = prepared().await;
    let new = with_dev(&server).await;
    for _ in 0..12 {
        deploy(&server, new.clone()).await.unwrap();
    }
    let refused = remove(&server).await.problem(409, "environment_in_use");
    let detail = refused["detail"].as_str().unwrap();
    assert_eq!(detail.matches("`shop`").count(), 10, "{detail}");
    assert!(detail.ends_with("and more"), "{detail}");
}

/// Applications whose following was woken since it was asked last.
async fn woken(server: &Server) -> BTreeSet<ApplicationId> {
    let mut woken = BTreeSet::new();
    let queue = server.records.queue();
    while let Some(job) = queue.claim(&["follow"], "test", Duration::from_secs(30)).await.unwrap() {
        let JobPayload::Follow { application } = job.payload else { panic!("claimed {:?}", job.payload) };
        assert!(woken.insert(application), "each once");
        assert!(queue.complete(job.id, job.token).await.unwrap());
    }
    woken
}

#[tokio::test]
async fn settings_wake_what_they_follow_and_followed() {
    let server = prepared().await;
    let mut ids = Vec::new();
    for name in ["shop", "commerce/cart", "blog"] {
        server.application(name).await;
        ids.push(server.application_id(name).await);
    }
    woken(&server).await;
    let [shop, cart, blog] = ids[..] else { panic!("three applications") };
    for (follow, expected) in [
        (Value::Null, vec![]),
        (json!({"branch": "main", "applications": ["default/shop"]}), vec![shop]),
        (json!({"branch": "main", "applications": ["commerce/cart"]}), vec![shop, cart]),
        (json!({"branch": "main"}), vec![shop, cart, blog]),
        (json!({"branch": "main", "applications": ["blog", "nobody"]}), vec![shop, cart, blog]),
        (Value::Null, vec![blog]),
        (Value::Null, vec![]),
    ] {
        let mut settings = json!({"receiver": {"type": "oci"}});
        if !follow.is_null() {
            settings["follow"] = follow.clone();
        }
        put(&server, settings).await;
        assert_eq!(woken(&server).await, expected.into_iter().collect::<BTreeSet<_>>(), "{follow}");
    }
}
