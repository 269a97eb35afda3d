//! Pods that cannot run, and their containers.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use serde_json::Value;
use slipway_health::ObjectState;
use slipway_kubernetes::{Cluster, Freshness};
use slipway_records::failure::{Found, FoundContainer, FoundLog};

use super::super::pods::pods_of_workload;
use super::{Asking, bounded, note, text_at};

/// So many pods are told of.
const PODS_MAX: usize = 5;
/// So many containers are told of, those that run before others among them.
const CONTAINERS_MAX: usize = 10;

/// A container, and which logs it can have.
pub(super) struct Candidate {
    pub(super) namespace: String,
    pub(super) container: FoundContainer,
    pub(super) has_run: bool,
    pub(super) has_run_before: bool,
}

/// The pods of objects that cannot run, the worst first.
pub(super) async fn troubled(
    objects: &[Value],
    cluster: &Cluster,
    asking: &Asking<'_>,
    found: &mut Found,
) -> Vec<Value> {
    let mut pods = Vec::new();
    for object in objects {
        if text_at(object, "/kind") == "Pod" {
            pods.push(object.clone());
            continue;
        }
        match asking.ask(pods_of_workload(cluster, object, Freshness::Now)).await {
            Ok(more) => pods.extend(more.into_iter().flatten()),
            Err(why) => {
                let name = text_at(object, "/metadata/name");
                note(found, format!("the pods of {name} could not be read: {why}"));
            }
        }
    }
    let pods = worst_first(pods);
    let over = pods.len().saturating_sub(PODS_MAX);
    if over > 0 {
        note(found, format!("{over} more pods cannot run: they are left out"));
    }
    pods.into_iter().take(PODS_MAX).collect()
}

/// Those that cannot run, each once: what failed before what only waits, the newest first, and last what is
/// being removed.
fn worst_first(mut pods: Vec<Value>) -> Vec<Value> {
    let mut seen = BTreeSet::new();
    pods.retain(|pod| is_troubled(pod) && seen.insert(text_at(pod, "/metadata/uid").to_owned()));
    pods.sort_by_cached_key(|pod| {
        let goes = !text_at(pod, "/metadata/deletionTimestamp").is_empty();
        let failed = slipway_health::of(pod).state == ObjectState::Failed;
        (goes, !failed, Reverse(text_at(pod, "/metadata/creationTimestamp").to_owned()))
    });
    pods
}

fn is_troubled(pod: &Value) -> bool {
    let restarted = |status: &Value| status["restartCount"].as_u64().unwrap_or_default() > 0;
    !slipway_health::of(pod).state.is_ready() || statuses(pod).any(restarted)
}

fn statuses(pod: &Value) -> impl Iterator<Item = &Value> {
    let lists = ["/status/initContainerStatuses", "/status/containerStatuses"];
    lists.into_iter().filter_map(move |list| pod.pointer(list)?.as_array()).flatten()
}

/// The containers of pods, without those that did their work before the others.
pub(super) fn of(pods: &[Value], found: &mut Found) -> Vec<Candidate> {
    let all: Vec<Candidate> = pods.iter().flat_map(of_pod).collect();
    let over = all.len().saturating_sub(CONTAINERS_MAX);
    if over > 0 {
        note(found, format!("{over} more containers are left out"));
    }
    all.into_iter().take(CONTAINERS_MAX).collect()
}

fn of_pod(pod: &Value) -> Vec<Candidate> {
    let mut candidates = Vec::new();
    for (list, init) in [("/spec/initContainers", true), ("/spec/containers", false)] {
        for container in pod.pointer(list).and_then(Value::as_array).into_iter().flatten() {
            let name = text_at(container, "/name");
            let status = statuses(pod).find(|status| text_at(status, "/name") == name);
            let candidate = candidate(pod, name, init, status.unwrap_or(&Value::Null));
            let is_done =
                candidate.container.state == "terminated" && candidate.container.exit_code == Some(0);
            if !(init && is_done) {
                candidates.push(candidate);
            }
        }
    }
    candidates
}

fn candidate(pod: &Value, name: &str, init: bool, status: &Value) -> Candidate {
    let state =
        ["waiting", "running", "terminated"].into_iter().find(|word| status["state"][*word].is_object());
    let detail = state.map_or(&Value::Null, |word| &status["state"][word]);
    let before = &status["lastState"]["terminated"];
    let restarts = status["restartCount"].as_u64().unwrap_or_default();
    let has_run_before = before.is_object() || restarts > 0;
    let has_run = has_run_before || matches!(state, Some("running" | "terminated"));
    let ended = if detail["exitCode"].is_null() { before } else { detail };
    let (reason, message) = (bounded(text_at(detail, "/reason")), text_at(detail, "/message").to_owned());
    let problem = (!has_run).then(|| {
        let why = [reason.as_str(), message.as_str()].into_iter().filter(|why| !why.is_empty());
        let why = why.collect::<Vec<_>>().join(": ");
        if why.is_empty() { "it has not started".to_owned() } else { format!("it has not started: {why}") }
    });
    Candidate {
        namespace: text_at(pod, "/metadata/namespace").to_owned(),
        container: FoundContainer {
            pod: text_at(pod, "/metadata/name").to_owned(),
            container: name.to_owned(),
            init,
            state: state.unwrap_or("unknown").to_owned(),
            reason,
            message,
            exit_code: ended["exitCode"].as_i64(),
            restarts,
            log: FoundLog { problem, ..FoundLog::default() },
            previous: None,
        },
        has_run,
        has_run_before,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod(name: &str, made: &str, status: Value) -> Value {
        json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": name, "namespace": "shop", "uid": name, "creationTimestamp": made},
            "spec": {
                "initContainers": [{"name": "first"}],
                "containers": [{"name": "main"}, {"name": "side"}],
            },
            "status": status,
        })
    }

    #[test]
    fn what_failed_comes_before_what_waits_and_what_runs_is_left_out() {
        let ready = json!({"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]});
        let restarted = json!({
            "phase": "Running", "conditions": [{"type": "Ready", "status": "True"}],
            "containerStatuses": [{"name": "main", "restartCount": 1, "state": {"running": {}}}],
        });
        let waits = json!({"phase": "Pending"});
        let pods = worst_first(vec![
            pod("ready", "2026-01-01T00:00:09Z", ready),
            pod("waits", "2026-01-01T00:00:02Z", waits.clone()),
            pod("waits", "2026-01-01T00:00:02Z", waits),
            pod("restarted", "2026-01-01T00:00:03Z", restarted),
            pod("failed", "2026-01-01T00:00:01Z", json!({"phase": "Failed"})),
        ]);
        let names: Vec<&str> = pods.iter().map(|pod| text_at(pod, "/metadata/name")).collect();
        assert_eq!(names, ["failed", "restarted", "waits"]);
    }

    #[test]
    fn a_container_says_how_it_is_and_which_logs_it_has() {
        let status = json!({
            "initContainerStatuses": [{"name": "first", "state": {"terminated": {"exitCode": 0}}}],
            "containerStatuses": [
                {
                    "name": "main", "restartCount": 2,
                    "state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off"}},
                    "lastState": {"terminated": {"exitCode": 3, "reason": "Error"}},
                },
                {"name": "side", "restartCount": 0, "state": {"waiting": {"reason": "ImagePullBackOff"}}},
            ],
        });
        let found = of_pod(&pod("web", "", status));
        let [main, side] = &found[..] else { panic!("two are left: {}", found.len()) };
        let container = &main.container;
        assert_eq!((container.state.as_str(), container.reason.as_str()), ("waiting", "CrashLoopBackOff"));
        assert_eq!((container.exit_code, container.restarts), (Some(3), 2));
        assert!(main.has_run && main.has_run_before && container.log.problem.is_none());
        assert!(!side.has_run && !side.has_run_before);
        assert_eq!(side.container.log.problem.as_deref(), Some("it has not started: ImagePullBackOff"));
    }

    #[test]
    fn a_container_that_ended_at_once_ran_once() {
        let status = json!({
            "initContainerStatuses": [{"name": "first", "state": {"terminated": {"exitCode": 1}}}],
        });
        let found = of_pod(&pod("job", "", status));
        assert_eq!(found.len(), 3);
        assert!(found[0].container.init && found[0].has_run && !found[0].has_run_before);
        assert_eq!(found[1].container.state, "unknown");
        assert_eq!(found[1].container.log.problem.as_deref(), Some("it has not started"));
    }
}
