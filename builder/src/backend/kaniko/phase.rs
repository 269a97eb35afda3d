//! Where a Job stands, read from what Kubernetes says of it and its pod.

use std::sync::Arc;

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ContainerStateTerminated, ContainerStatus, Pod};
use kube::ResourceExt as _;

use super::objects::{CHECKER, EXECUTOR, FETCHER};

/// Where a Job stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Phase {
    /// It has not begun: why not, if that is known.
    Waiting { pod: Option<String>, why: Option<String>, hopeless: bool },
    /// The executor works.
    Running { pod: String },
    /// The executor has ended: with a digest as its message, or with the end of its log.
    Ended { pod: String, exit_code: i32, message: String, reason: String },
    /// The context could not be fetched.
    NotFetched { pod: String, exit_code: i32, message: String },
    /// The Job ran past its deadline.
    Deadline,
    /// Job or pod is gone, or was ended from outside.
    Lost(String),
}

/// Whether the Job has not ended.
pub(super) fn is_live(job: &Job) -> bool {
    condition(job, "Complete").is_none() && condition(job, "Failed").is_none()
}

/// Reason and message of a condition that holds.
fn condition(job: &Job, wanted: &str) -> Option<(String, String)> {
    let conditions = job.status.as_ref()?.conditions.as_ref()?;
    let found = conditions.iter().find(|c| c.type_ == wanted && c.status == "True")?;
    Some((found.reason.clone().unwrap_or_default(), found.message.clone().unwrap_or_default()))
}

/// Reads a Job that is there, and its pods.
pub(super) fn read(job: &Job, pods: &[Arc<Pod>]) -> Phase {
    // A pod that Kubernetes has replaced tells nothing any more; one that has ended tells the end.
    let ended = pods.iter().rev().map(|pod| of_pod(pod)).find(|phase| matches!(phase, Phase::Ended { .. }));
    if let Some(ended) = ended {
        return ended;
    }
    let phase = pods.last().map(|pod| of_pod(pod));
    match (condition(job, "Failed"), phase) {
        (Some((reason, _)), _) if reason == "DeadlineExceeded" => Phase::Deadline,
        (Some(_), Some(phase @ (Phase::NotFetched { .. } | Phase::Lost(_)))) => phase,
        (Some((reason, message)), _) => Phase::Lost(format!("the Job failed: {reason}: {message}")),
        (None, Some(Phase::Lost(_)) | None) => Phase::Waiting { pod: None, why: None, hopeless: false },
        (None, Some(phase)) => phase,
    }
}

fn of_pod(pod: &Pod) -> Phase {
    let name = pod.name_any();
    let Some(status) = &pod.status else {
        return Phase::Waiting { pod: Some(name), why: None, hopeless: false };
    };
    let containers = status.container_statuses.as_deref();
    let checker = named(containers, CHECKER);
    let executor = named(containers, EXECUTOR).or(checker);
    let fetcher = named(status.init_container_statuses.as_deref(), FETCHER);
    let outside = ended_from_outside(pod);
    if let Some(end) = executor.and_then(terminated) {
        // Whoever deletes a pod kills its containers: that is not how the build went. A build that ended well
        // is asked for its image; of a command nothing tells whether it only heeded the signal.
        if let Some(why) = outside.filter(|_| end.exit_code != 0 || checker.is_some()) {
            return Phase::Lost(why);
        }
        return Phase::Ended {
            pod: name,
            exit_code: end.exit_code,
            message: end.message.clone().unwrap_or_default().trim().to_owned(),
            reason: end.reason.clone().unwrap_or_default(),
        };
    }
    if let Some(end) = fetcher.and_then(terminated)
        && end.exit_code != 0
    {
        let message = end.message.clone().or_else(|| end.reason.clone()).unwrap_or_default();
        return Phase::NotFetched { pod: name, exit_code: end.exit_code, message };
    }
    if let Some(why) = outside {
        return Phase::Lost(why);
    }
    if status.phase.as_deref() == Some("Failed") {
        return Phase::Lost("the pod failed, and Kubernetes does not say why".to_owned());
    }
    if executor.is_some_and(|status| status.state.as_ref().is_some_and(|state| state.running.is_some())) {
        return Phase::Running { pod: name };
    }
    let (why, hopeless) = why_waiting(pod, executor, fetcher);
    Phase::Waiting { pod: Some(name), why, hopeless }
}

/// Why a pod was not left to itself: deleted, evicted, lost with its node. One whose containers ended by
/// themselves has no reason of its own.
fn ended_from_outside(pod: &Pod) -> Option<String> {
    let status = pod.status.as_ref()?;
    let failed = status.phase.as_deref() == Some("Failed");
    let reason = status.reason.clone().filter(|_| failed);
    let deleted = pod.metadata.deletion_timestamp.is_some().then(|| "deleted".to_owned());
    let message = status.message.clone().unwrap_or_default();
    let why = reason.or(deleted)?;
    Some(format!("the pod was ended from outside: {why} {message}").trim().to_owned())
}

fn why_waiting(
    pod: &Pod,
    executor: Option<&ContainerStatus>,
    fetcher: Option<&ContainerStatus>,
) -> (Option<String>, bool) {
    let status = pod.status.as_ref();
    let scheduled = status
        .and_then(|status| status.conditions.as_ref())
        .and_then(|conditions| conditions.iter().find(|c| c.type_ == "PodScheduled" && c.status == "False"));
    if let Some(condition) = scheduled {
        let reason = condition.reason.clone().unwrap_or_default();
        return (Some(format!("{reason}: {}", condition.message.clone().unwrap_or_default())), false);
    }
    let running = |status: &&ContainerStatus| status.state.as_ref().is_some_and(|s| s.running.is_some());
    if fetcher.as_ref().is_some_and(running) {
        return (Some("the context is being fetched".to_owned()), false);
    }
    for container in [fetcher, executor].into_iter().flatten() {
        let Some(waiting) = container.state.as_ref().and_then(|state| state.waiting.as_ref()) else {
            continue;
        };
        let reason = waiting.reason.clone().unwrap_or_default();
        let quiet = ["ContainerCreating", "PodInitializing", ""];
        if quiet.contains(&reason.as_str()) {
            continue;
        }
        // Only somebody who changes the cluster or the configuration can help.
        let hopeless =
            ["ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull"].contains(&&*reason);
        let message = waiting.message.clone().unwrap_or_default();
        let image = &container.image;
        return (Some(format!("{reason}: {image}: {message}").trim_end_matches(": ").to_owned()), hopeless);
    }
    (None, false)
}

fn named<'a>(all: Option<&'a [ContainerStatus]>, name: &str) -> Option<&'a ContainerStatus> {
    all?.iter().find(|status| status.name == name)
}

fn terminated(status: &ContainerStatus) -> Option<&ContainerStateTerminated> {
    status.state.as_ref()?.terminated.as_ref()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn job(conditions: Value) -> Job {
        serde_json::from_value(json!({"status": {"conditions": conditions}})).unwrap()
    }

    fn pod(status: Value) -> Arc<Pod> {
        Arc::new(serde_json::from_value(json!({"metadata": {"name": "p"}, "status": status})).unwrap())
    }

    fn executor(state: Value) -> Value {
        json!([{"name": "kaniko", "image": "k", "imageID": "", "ready": false, "restartCount": 0, "state": state}])
    }

    #[test]
    fn a_job_is_read_from_its_last_pod() {
        let none = job(json!([]));
        assert_eq!(read(&none, &[]), Phase::Waiting { pod: None, why: None, hopeless: false });
        let running = pod(json!({"containerStatuses": executor(json!({"running": {}}))}));
        assert_eq!(read(&none, &[running]), Phase::Running { pod: "p".into() });
        let end = json!({"terminated": {"exitCode": 0, "message": "sha256:1\n", "reason": "Completed"}});
        let ended = pod(json!({"containerStatuses": executor(end)}));
        let Phase::Ended { exit_code: 0, message, .. } = read(&none, &[ended]) else { panic!() };
        assert_eq!(message, "sha256:1");
    }

    #[test]
    fn what_a_pod_waits_for_is_named() {
        let why = |status: Value| match read(&job(json!([])), &[pod(status)]) {
            Phase::Waiting { why, hopeless, .. } => (why.unwrap_or_default(), hopeless),
            other => panic!("{other:?}"),
        };
        let conditions = json!([{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/1 nodes"}]);
        assert_eq!(why(json!({"conditions": conditions})), ("Unschedulable: 0/1 nodes".into(), false));
        let waiting = json!({"waiting": {"reason": "ImagePullBackOff", "message": "no such"}});
        let (text, hopeless) = why(json!({"containerStatuses": executor(waiting)}));
        assert!(hopeless && text == "ImagePullBackOff: k: no such", "{text}");
        assert_eq!(why(json!({"phase": "Pending"})), (String::new(), false));
    }

    #[test]
    fn a_pod_or_job_ended_from_outside_is_lost_and_its_deadline_is_told() {
        let failed = |reason: &str| job(json!([{"type": "Failed", "status": "True", "reason": reason}]));
        assert_eq!(read(&failed("DeadlineExceeded"), &[]), Phase::Deadline);
        let evicted = pod(json!({"phase": "Failed", "reason": "Evicted", "message": "disk"}));
        let Phase::Lost(why) = read(&failed("BackoffLimitExceeded"), &[evicted]) else { panic!() };
        assert!(why.contains("Evicted disk"), "{why}");
        let killed = executor(json!({"terminated": {"exitCode": 137, "reason": "Error"}}));
        let ended = |status: Value| {
            let metadata = json!({"name": "p", "deletionTimestamp": "2026-01-01T00:00:00Z"});
            Arc::new(serde_json::from_value(json!({"metadata": metadata, "status": status})).unwrap())
        };
        let deleted: Arc<Pod> = ended(json!({"phase": "Failed", "containerStatuses": killed}));
        let waits = Phase::Waiting { pod: None, why: None, hopeless: false };
        assert_eq!(read(&job(json!([])), &[Arc::clone(&deleted)]), waits, "another pod may come");
        assert_eq!(read(&failed("DeadlineExceeded"), &[Arc::clone(&deleted)]), Phase::Deadline);
        let Phase::Lost(why) = read(&failed("BackoffLimitExceeded"), &[deleted]) else { panic!() };
        assert!(why.contains("outside: deleted"), "{why}");
        let own = pod(json!({"phase": "Failed", "containerStatuses": killed}));
        assert!(matches!(read(&failed("BackoffLimitExceeded"), &[own]), Phase::Ended { exit_code: 137, .. }));
        let well = executor(json!({"terminated": {"exitCode": 0, "message": "sha256:1"}}));
        let done: Arc<Pod> = ended(json!({"phase": "Succeeded", "containerStatuses": well}));
        assert!(matches!(read(&job(json!([])), &[done]), Phase::Ended { exit_code: 0, .. }));
        let Phase::Lost(why) = read(&failed("BackoffLimitExceeded"), &[]) else { panic!() };
        assert!(why.contains("BackoffLimitExceeded"), "{why}");
        assert!(is_live(&job(json!([]))) && !is_live(&failed("x")));
    }
}
