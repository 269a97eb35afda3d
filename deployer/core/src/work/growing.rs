//! Workloads that somebody else scales: an autoscaler, or whoever is left to say how many replicas there are.

use serde_json::Value;
use slipway_handoff::{Object, Ready};
use slipway_health::ObjectState;
use slipway_kubernetes::{Cluster, Freshness};

use super::pods::pods_of_workload;

const REPLICAS: &str = "/spec/replicas";
/// What holds it.
const SPEC: &str = "/spec";

/// Whether all that a workload, which was ready before, lacks is pods that somebody's change of its replicas has
/// just made or stopped. That the pods cannot be asked for says nothing.
pub(super) async fn is_growing(cluster: &Cluster, object: &Object, manifest: &Value, live: &Value) -> bool {
    let lacks = matches!(
        slipway_health::of_object(live, true).state,
        ObjectState::InProgress | ObjectState::Degraded
    );
    if object.ready != Ready::Kstatus || !lacks || !is_scaled(object, manifest, live) {
        return false;
    }
    match pods_of_workload(cluster, live, Freshness::Lately).await {
        Ok(Some(pods)) => pods.iter().all(is_ready_or_new),
        Ok(None) | Err(_) => false,
    }
}

/// Whether it is not the revision that says how many replicas there are now, and some of them serve.
fn is_scaled(object: &Object, manifest: &Value, live: &Value) -> bool {
    let sent = manifest.pointer(REPLICAS).and_then(Value::as_i64);
    let is_left = sent.is_none() || object.once.iter().any(|once| [REPLICAS, SPEC].contains(&once.as_str()));
    // One is what the API server fills in.
    let wanted = live.pointer(REPLICAS).and_then(Value::as_i64);
    let serves = live.pointer("/status/readyReplicas").and_then(Value::as_i64).unwrap_or(0) > 0;
    is_left && serves && wanted.is_some_and(|wanted| wanted != sent.unwrap_or(1))
}

/// Whether a pod serves, or is on its way there for the first time, or on its way out.
fn is_ready_or_new(pod: &Value) -> bool {
    if pod.pointer("/metadata/deletionTimestamp").is_some() {
        return true;
    }
    let containers = pod.pointer("/status/containerStatuses").and_then(Value::as_array);
    let ran_before = |container: &Value| container["restartCount"].as_i64().unwrap_or(0) > 0;
    let health = slipway_health::of(pod);
    health.state.is_ready()
        || (health.state == ObjectState::InProgress && !containers.into_iter().flatten().any(ran_before))
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use slipway_handoff::{ObjectRef, Pointer};
    use slipway_types::Digest;

    use super::*;

    fn object(once: &str) -> Object {
        let reference = ObjectRef {
            api_version: "apps/v1".to_owned(),
            kind: "Deployment".to_owned(),
            namespace: Some("shop".to_owned()),
            name: "web".to_owned(),
        };
        let once = once.parse::<Pointer>().into_iter().collect();
        Object { once, ..Object::new(reference, Digest::of("web")) }
    }

    #[test]
    fn replicas_that_the_revision_does_not_say_are_somebody_elses() {
        let live = |replicas: i64, ready: i64| json!({"spec": {"replicas": replicas}, "status": {"readyReplicas": ready}});
        let (silent, three) = (json!({"spec": {}}), json!({"spec": {"replicas": 3}}));
        for (once, manifest, live, expected) in [
            ("", &silent, live(5, 2), true),
            ("", &silent, live(5, 0), false),
            ("", &silent, live(1, 1), false),
            ("", &three, live(5, 3), false),
            ("/spec/replicas", &three, live(5, 3), true),
            ("/spec", &three, live(5, 3), true),
            ("/spec/replicas", &three, live(3, 2), false),
            ("/spec/paused", &three, live(5, 3), false),
        ] {
            let object = object(once);
            assert_eq!(is_scaled(&object, manifest, &live), expected, "{once} {manifest} {live}");
        }
    }

    #[test]
    fn a_pod_that_ended_once_is_not_new() {
        let pod = |restarts: i64, waits: &str| {
            json!({
                "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web"},
                "spec": {"containers": [{"name": "web"}]},
                "status": {"phase": "Running", "containerStatuses": [
                    {"name": "web", "ready": false, "restartCount": restarts, "state": {"waiting": {"reason": waits}}},
                ]},
            })
        };
        assert!(is_ready_or_new(&pod(0, "ContainerCreating")));
        assert!(!is_ready_or_new(&pod(1, "ContainerCreating")));
        assert!(!is_ready_or_new(&pod(0, "ErrImagePull")));
        let mut leaving = pod(4, "CrashLoopBackOff");
        assert!(!is_ready_or_new(&leaving));
        leaving["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
        assert!(is_ready_or_new(&leaving));
    }
}
