use slipway_records::failure::{Found, FoundContainer, FoundLog, FoundObject};
use slipway_records::{Deployment, Failure, NewDeployment};
use slipway_types::Fault;
use slipway_types::state::{DeploymentEvent, DeploymentState};
use uuid::Uuid;

use super::deployments::{deployed, save};
use super::prelude::*;

fn failure(deployment: &Deployment, node: &str, attempt: u32) -> Failure {
    let log = FoundLog { offset: 5, bytes: 3, lines: 1, tail: vec!["„ä\u{1b}".into()], problem: None };
    let container = FoundContainer { pod: "web-1".into(), exit_code: Some(-1), log, ..Default::default() };
    Failure {
        id: Uuid::now_v7(),
        deployment_id: deployment.id,
        node: node.into(),
        attempt,
        at: at(i64::from(attempt)),
        found: Found {
            state: "timed_out".into(),
            blocker: "0 of 1 are ready".into(),
            objects: vec![FoundObject { object: "v1/Pod web".into(), ..Default::default() }],
            containers: vec![container],
            ..Default::default()
        },
    }
}

/// The next deployment of the same in the same place.
async fn next(records: &Shared, before: &Deployment) -> Deployment {
    let mut tx = begin(records).await;
    let new = NewDeployment {
        application_id: before.application_id,
        environment_id: before.environment_id,
        bundle_id: before.bundle_id,
        bundle_version: before.bundle_version.clone(),
        bundle_digest: before.bundle_digest,
        lock: before.lock,
        choice: before.choice.clone(),
        cause: before.cause.clone(),
        created_by: before.created_by.clone(),
        document: None,
    };
    let made = tx.deployment_insert(new).await.unwrap();
    tx.commit().await.unwrap();
    made
}

/// Keeps a failure with a log.
async fn keep(records: &Shared, failure: &Failure) -> bool {
    let mut tx = begin(records).await;
    let kept = tx.failure_insert(failure).await.unwrap();
    if kept {
        let chunk = LogChunk { offset: 0, length: 1, digest: Digest::of("x"), mark: None };
        assert!(tx.log_append(failure.id, &chunk).await.unwrap());
    }
    tx.commit().await.unwrap();
    kept
}

async fn kept(records: &Shared, deployment: &Deployment) -> Vec<Failure> {
    read(records).await.failures_of(deployment.id).await.unwrap()
}

pub async fn a_failure_is_kept_whole_and_once_for_each_attempt(records: Shared) {
    let shop = application(&records, "shop").await;
    let made = deployed(&records, &shop, "prod").await;
    let (first, other) = (failure(&made, "web", 1), failure(&made, "db", 1));
    let again = failure(&made, "web", 2);
    for new in [&first, &other, &again] {
        assert!(keep(&records, new).await);
    }
    assert!(!keep(&records, &failure(&made, "web", 1)).await, "it is known");
    assert_eq!(kept(&records, &made).await, [first, other, again]);
    let mut read = read(&records).await;
    for (node, attempt, expected) in [("web", 1, true), ("web", 2, true), ("web", 3, false), ("we", 1, false)]
    {
        let found = read.failure_is_kept(made.id, node, attempt).await.unwrap();
        assert_eq!(found, expected, "{node} {attempt}");
    }
}

pub async fn what_failed_is_kept_when_something_newer_takes_its_place(records: Shared) {
    let shop = application(&records, "shop").await;
    let mut made = deployed(&records, &shop, "prod").await;
    let found = failure(&made, "web", 1);
    assert!(keep(&records, &found).await);
    let fault = Fault::permanent("refused", "„web“: no such kind").hint("look");
    made.state = DeploymentState::Failed { node: Some("web".into()), fault };
    assert!(save(&records, &mut made).await);
    let newer = next(&records, &made).await;
    let failed = made.state.clone();
    made.state = failed.clone().apply(DeploymentEvent::Supersede(newer.id)).unwrap();
    assert!(save(&records, &mut made).await);
    let stored = read(&records).await.deployment_get(made.id).await.unwrap().unwrap();
    assert_eq!((stored.state.word(), stored.state.failure()), ("superseded", Some(&failed)));
    assert_eq!(kept(&records, &made).await, [found]);
}

pub async fn the_oldest_failures_of_a_place_go_with_their_logs(records: Shared) {
    let shop = application(&records, "shop").await;
    let first = deployed(&records, &shop, "prod").await;
    let second = next(&records, &first).await;
    let elsewhere = deployed(&records, &shop, "staging").await;
    let old = failure(&first, "web", 1);
    let others = [failure(&first, "db", 1), failure(&second, "web", 1), failure(&elsewhere, "web", 1)];
    for new in std::iter::once(&old).chain(&others) {
        assert!(keep(&records, new).await);
    }
    for (limit, gone) in [(3, 0), (2, 1), (2, 0)] {
        let mut tx = begin(&records).await;
        assert_eq!(tx.failures_trim(second.id, limit).await.unwrap(), gone, "to {limit}");
        tx.commit().await.unwrap();
    }
    let [same, newer, else_kept] = others;
    assert_eq!(kept(&records, &first).await, std::slice::from_ref(&same));
    assert_eq!(kept(&records, &second).await, std::slice::from_ref(&newer));
    assert_eq!(kept(&records, &elsewhere).await, std::slice::from_ref(&else_kept));
    let mut read = read(&records).await;
    for (failure, size) in [(&old, 0), (&same, 1), (&newer, 1), (&else_kept, 1)] {
        assert_eq!(read.log_size(failure.id).await.unwrap(), size, "{}", failure.node);
    }
}
