//! A Pod of its own.

use serde_json::Value;

use crate::fields::{Object, text};
use crate::object::Health;

/// A Pod: ready, or ended well. A container that the kubelet gives up on, if only for a while, fails it:
/// such a Pod rarely recovers without a change, and its message says what is wrong.
pub(super) fn pod(object: &Object<'_>) -> Health {
    match object.text("/status/phase") {
        None => Health::in_progress("no node has taken it up: status.phase is missing"),
        Some("Succeeded") => Health::completed("its containers ended well"),
        Some("Failed") => Health::failed(ended(object)),
        Some("Unknown") => Health::behind("its node does not answer"),
        Some(phase) => gives_up(object)
            .unwrap_or_else(|| if phase == "Running" { ready(object) } else { pending(object) }),
    }
}

/// The statuses of its containers, those that run before the others first.
fn containers<'a>(object: &Object<'a>) -> impl Iterator<Item = &'a Value> {
    let of = |pointer| object.list(pointer).iter();
    of("/status/initContainerStatuses").chain(of("/status/containerStatuses"))
}

fn gives_up(object: &Object<'_>) -> Option<Health> {
    containers(object).find_map(|container| {
        let waiting = container.pointer("/state/waiting")?;
        let reason = text(waiting, "reason");
        is_giving_up(reason).then(|| Health::failed(told(container, reason, text(waiting, "message"))))
    })
}

/// Whether the kubelet waits with a container because it went wrong, not because it is not there yet.
fn is_giving_up(reason: &str) -> bool {
    reason.starts_with("Err")
        || reason.ends_with("BackOff")
        || reason.ends_with("Error")
        || matches!(reason, "InvalidImageName" | "RegistryUnavailable")
}

fn told(container: &Value, reason: &str, message: &str) -> String {
    let colon = if message.is_empty() { "" } else { ": " };
    format!("container `{}`: {reason}{colon}{message}", text(container, "name"))
}

/// How a Pod that failed ended: what its node says, else its first container that went wrong.
fn ended(object: &Object<'_>) -> String {
    let (reason, message) = (object.text("/status/reason"), object.text("/status/message"));
    if reason.is_some() || message.is_some() {
        return [reason, message].into_iter().flatten().collect::<Vec<_>>().join(": ");
    }
    let wrong = containers(object).find_map(|container| went_wrong(container, "/state/terminated"));
    wrong.unwrap_or_else(|| "its containers ended, not all of them well".to_owned())
}

/// The end of a container that is kept under a pointer, if it did not end well.
fn went_wrong(container: &Value, pointer: &str) -> Option<String> {
    let state = container.pointer(pointer)?;
    let code = state.get("exitCode").and_then(Value::as_i64).filter(|code| *code != 0)?;
    let reason = format!("exit code {code} {}", text(state, "reason"));
    Some(told(container, reason.trim_end(), text(state, "message")))
}

/// The last bad end of a container that the kubelet has not given up on: between two tries, or on its next.
fn keeps_ending(object: &Object<'_>) -> Option<String> {
    containers(object).find_map(|container| {
        let end = went_wrong(container, "/state/terminated")
            .or_else(|| went_wrong(container, "/lastState/terminated"))?;
        Some(match container.get("restartCount").and_then(Value::as_u64).unwrap_or_default() {
            0 => end,
            1 => format!("{end}, restarted once"),
            restarts => format!("{end}, restarted {restarts} times"),
        })
    })
}

fn ready(object: &Object<'_>) -> Health {
    match object.condition("Ready") {
        Some(condition) if condition.is_true() => Health::current("it is ready"),
        Some(condition) => {
            let why = keeps_ending(object).unwrap_or_else(|| condition.words());
            Health::behind(format!("it is not ready: {why}"))
        }
        None => Health::in_progress("it runs and has not said whether it is ready"),
    }
}

fn pending(object: &Object<'_>) -> Health {
    if let Some(condition) = object.condition("PodScheduled")
        && !condition.is_true()
    {
        return Health::behind(format!("it is not scheduled: {}", condition.words()));
    }
    let waits = containers(object).find_map(|container| {
        let waiting = container.pointer("/state/waiting")?;
        Some(told(container, text(waiting, "reason"), text(waiting, "message")))
    });
    let waits = keeps_ending(object).or(waits);
    Health::behind(waits.unwrap_or_else(|| "its containers have not started".to_owned()))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::kinds::cases::{after_live, hold};
    use crate::object::ObjectState::{Completed, Current, Degraded, Failed, InProgress};

    fn pod(status: Value) -> Value {
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": {}, "spec": {}, "status": status})
    }

    fn waiting(phase: &str, list: &str, reason: &str) -> Value {
        let state = json!({"waiting": {"reason": reason, "message": "told so"}});
        pod(json!({"phase": phase, list: [{"name": "web", "state": state}],
            "conditions": [{"type": "Ready", "status": "False", "reason": "ContainersNotReady"}]}))
    }

    #[test]
    fn a_pod_whose_container_the_kubelet_gives_up_on_has_failed() {
        for reason in [
            "CrashLoopBackOff",
            "ImagePullBackOff",
            "ErrImagePull",
            "ErrImageNeverPull",
            "InvalidImageName",
            "CreateContainerConfigError",
            "RunContainerError",
        ] {
            for (phase, list) in [("Running", "containerStatuses"), ("Pending", "initContainerStatuses")] {
                hold([(waiting(phase, list, reason), Failed, "told so")]);
                hold([(waiting(phase, list, reason), Failed, reason)]);
                hold([(waiting(phase, list, reason), Failed, "container `web`")]);
            }
        }
    }

    #[test]
    fn a_pod_that_waits_is_in_progress_and_says_for_what() {
        let unschedulable = pod(json!({"phase": "Pending", "conditions": [{"type": "PodScheduled",
            "status": "False", "reason": "Unschedulable", "message": "0/3 nodes are available"}]}));
        hold([
            (
                waiting("Pending", "containerStatuses", "ContainerCreating"),
                InProgress,
                "`web`: ContainerCreating",
            ),
            (unschedulable, InProgress, "it is not scheduled: Unschedulable: 0/3 nodes are available"),
            (pod(json!({"phase": "Pending"})), InProgress, "have not started"),
            (pod(json!({})), InProgress, "no node has taken it up"),
            (pod(json!({"phase": "Unknown"})), InProgress, "its node does not answer"),
            (pod(json!({"phase": "Running"})), InProgress, "has not said"),
        ]);
    }

    #[test]
    fn a_pod_is_ready_or_ended_well() {
        let ready = |status: &str| {
            pod(json!({"phase": "Running", "conditions": [{"type": "Ready", "status": status,
                "reason": "ContainersNotReady", "message": "unready: [web]"}]}))
        };
        hold([
            (ready("True"), Current, "it is ready"),
            (ready("False"), InProgress, "it is not ready: ContainersNotReady: unready: [web]"),
            (pod(json!({"phase": "Succeeded"})), Completed, "ended well"),
        ]);
        after_live(&ready("False"), Degraded);
    }

    #[test]
    fn a_pod_that_is_tried_again_says_how_its_last_try_ended() {
        let not_ready = |phase: &str, list: &str, container: Value| {
            pod(json!({"phase": phase, list: [container], "conditions": [
                {"type": "Ready", "status": "False", "reason": "ContainersNotReady"}]}))
        };
        let end = json!({"terminated": {"exitCode": 1, "reason": "Error"}});
        let well = json!({"terminated": {"exitCode": 0, "reason": "Completed"}});
        let running = json!({"running": {}});
        let web = |state: &Value, last: &Value, restarts: u64| json!({"name": "web", "state": state, "lastState": last, "restartCount": restarts});
        for (phase, list) in [("Running", "containerStatuses"), ("Pending", "initContainerStatuses")] {
            hold([
                (
                    not_ready(phase, list, web(&end, &json!({}), 0)),
                    InProgress,
                    "container `web`: exit code 1 Error",
                ),
                (
                    not_ready(phase, list, web(&running, &end, 1)),
                    InProgress,
                    "exit code 1 Error, restarted once",
                ),
                (
                    not_ready(phase, list, web(&end, &end, 3)),
                    InProgress,
                    "exit code 1 Error, restarted 3 times",
                ),
            ]);
        }
        let (running, well) = (web(&running, &well, 1), web(&well, &json!({}), 0));
        hold([
            (
                not_ready("Running", "containerStatuses", running),
                InProgress,
                "it is not ready: ContainersNotReady",
            ),
            (not_ready("Pending", "initContainerStatuses", well), InProgress, "have not started"),
        ]);
    }

    #[test]
    fn a_pod_that_failed_says_how_it_ended() {
        let terminated = json!([
            {"name": "log", "state": {"terminated": {"exitCode": 0}}},
            {"name": "web", "state": {"terminated": {"exitCode": 137, "reason": "OOMKilled"}}}]);
        hold([
            (
                pod(json!({"phase": "Failed", "containerStatuses": terminated})),
                Failed,
                "container `web`: exit code 137 OOMKilled",
            ),
            (
                pod(json!({"phase": "Failed", "reason": "Evicted", "message": "low on memory",
                    "containerStatuses": terminated})),
                Failed,
                "Evicted: low on memory",
            ),
            (pod(json!({"phase": "Failed"})), Failed, "not all of them well"),
        ]);
    }
}
