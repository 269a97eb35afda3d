//! What is kept of a failure: pods, the end of their logs, events.

use std::time::Duration;

use serde_json::json;
use slipway_kubernetes::{Applied, CallError, Freshness};
use slipway_tests::wait::wait_until;

use crate::{Field, WRITER, text};

const WITHIN: Duration = Duration::from_secs(60);
/// The most that is kept of a log, in bytes.
const LOG_BYTES_MAX: usize = 256 * 1024;

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_that_failed_leaves_its_log_and_its_events() {
    let field = Field::prepare().await;
    let (cluster, namespace) = (&field.cluster, field.namespace.name.as_str());
    let key = field.key("v1", "Pod", "fails");
    let manifest = field.manifest(
        &key,
        &json!({"spec": {"restartPolicy": "Never", "containers": [{
            "name": "main", "image": field.namespace.cluster.executor_image,
            "command": ["/bin/bash", "-c", "seq 1 100000; exit 3"],
        }]}}),
    );
    // A new namespace has no service account for a moment.
    let made = wait_until("the pod is taken", WITHIN, || async {
        match cluster.apply_at(&key, &manifest, WRITER, true).await {
            Ok(Applied::Done(pod)) => Some(pod),
            _ => None,
        }
    })
    .await;
    wait_until("the pod fails", WITHIN, || async {
        let pod = field.get(&key).await?;
        (pod["status"]["phase"] == "Failed").then_some(())
    })
    .await;

    let pods = cluster.pods_of(namespace, &field.selector(), Freshness::Now).await.expect("a list");
    assert_eq!(pods.len(), 1, "{pods:#?}");
    assert_eq!((text(&pods[0], "/kind"), text(&pods[0], "/metadata/name")), ("Pod", "fails"));
    assert!(cluster.pods_of(namespace, "app=another", Freshness::Lately).await.expect("a list").is_empty());

    let last = cluster.last_log(namespace, "fails", "main", false, 3).await.expect("a log");
    assert_eq!(last, "99998\n99999\n100000\n");
    let all = cluster.last_log(namespace, "fails", "main", false, 1_000_000).await.expect("a log");
    assert!(all.len() <= LOG_BYTES_MAX && all.len() > LOG_BYTES_MAX - 10, "{}", all.len());
    let numbers: Vec<u32> = all.lines().map(|line| line.parse().expect("a whole line")).collect();
    assert!(numbers.ends_with(&[99_999, 100_000]) && numbers.is_sorted());
    let none = cluster.last_log(namespace, "fails", "main", true, 3).await.expect_err("it ran once");
    assert!(matches!(&none, CallError::Refused(status) if status.code == 400), "{none}");
    let no_pod = cluster.last_log(namespace, "nowhere", "main", false, 3).await.expect_err("no pod");
    assert!(no_pod.is_not_found(), "{no_pod}");

    let uid = text(&made, "/metadata/uid");
    let events = wait_until("the start is told", WITHIN, || async {
        let events = cluster.events_about(namespace, "fails", Some(uid), 50).await.expect("a list");
        events.iter().any(|event| event["reason"] == "Started").then_some(events)
    })
    .await;
    let newest = cluster.events_about(namespace, "fails", None, 1).await.expect("a list");
    assert_eq!(newest, events[..1], "{events:#?}");
    let another = cluster.events_about(namespace, "fails", Some("another"), 50).await;
    assert!(another.expect("a list").is_empty());
}
