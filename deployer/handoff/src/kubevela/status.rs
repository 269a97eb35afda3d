//! What an Application's status says, as events.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::annotated;
use super::application::{ANNOTATION_NODES, generation_name};
use crate::event::{Event, NodeState};
use crate::graph::NodeName;
use crate::submission::Key;

/// Events of one look at an Application; none if it did not change since the look numbered `since`.
pub(super) fn events(application: &Value, key: &Key, since: u64, now: DateTime<Utc>) -> Vec<Event> {
    let Some((generation, _)) = annotated(application) else { return Vec::new() };
    let Some(sequence) = sequence(application, since) else { return Vec::new() };
    let event = |node: Option<NodeName>, state, reason: &str| {
        let (key, reason) = (key.clone(), reason.to_owned());
        let (outputs, filled) = Default::default();
        let event =
            Event { sequence, key, generation, node, state, reason, observed_at: now, outputs, filled };
        event.bounded()
    };
    let status = &application["status"];
    if !application["metadata"]["deletionTimestamp"].is_null() {
        return vec![event(None, NodeState::Deleting, "KubeVela removes the application")];
    }
    // Until then the status is about the generation before.
    if status["workflow"]["appRevision"] != generation_name(generation) {
        return vec![event(None, NodeState::Pending, "KubeVela has not taken up this generation yet")];
    }
    let (state, reason) = whole(status);
    let services = status["services"].as_array().map(Vec::as_slice).unwrap_or_default();
    let nodes = nodes(application);
    let mut found: Vec<Event> = services
        .iter()
        .filter_map(|service| {
            let node = nodes.get(service["name"].as_str()?)?.clone();
            let state = match service["healthy"].as_bool() {
                Some(true) => NodeState::Ready,
                _ if state == NodeState::Failed => NodeState::Failed,
                _ => NodeState::Waiting,
            };
            Some(event(Some(node), state, service["message"].as_str().unwrap_or_default()))
        })
        .collect();
    found.push(event(None, state, &reason));
    found
}

/// The event of a removed Application, from the mark it left.
pub(super) fn deleted(mark: &Value, key: &Key, since: u64, now: DateTime<Utc>) -> Vec<Event> {
    let (Some((generation, _)), Some(sequence)) = (annotated(mark), sequence(mark, since)) else {
        return Vec::new();
    };
    vec![Event {
        sequence,
        key: key.clone(),
        generation,
        node: None,
        state: NodeState::Deleted,
        reason: "the Application is gone".to_owned(),
        observed_at: now,
        outputs: BTreeMap::new(),
        filled: Vec::new(),
    }]
}

/// The number of this look. Versions of objects rise, except when a cluster is restored or another
/// object takes the place: then the next number after the last look's.
fn sequence(object: &Value, since: u64) -> Option<u64> {
    let version = object["metadata"]["resourceVersion"].as_str()?.parse::<u64>().ok();
    match version {
        Some(version) if version == since => None,
        Some(version) => Some(version.max(since.saturating_add(1))),
        None => Some(since.saturating_add(1)),
    }
}

/// Names of nodes by component.
fn nodes(application: &Value) -> BTreeMap<String, NodeName> {
    let text = application["metadata"]["annotations"][ANNOTATION_NODES].as_str().unwrap_or_default();
    serde_json::from_str(text).unwrap_or_default()
}

fn whole(status: &Value) -> (NodeState, String) {
    let phase = status["status"].as_str().unwrap_or_default();
    let workflow = &status["workflow"];
    let state = match phase {
        "running" => NodeState::Ready,
        "unhealthy" if workflow["finished"] == true => NodeState::Degraded,
        "workflowSuspending" => NodeState::Suspended,
        "workflowTerminated" => NodeState::Terminated,
        "workflowFailed" => NodeState::Failed,
        "deleting" => NodeState::Deleting,
        "runningWorkflow" | "unhealthy" => NodeState::Waiting,
        _ => NodeState::Applying,
    };
    (state, reason(status, state))
}

/// The first thing that went wrong, in KubeVela's words.
fn reason(status: &Value, state: NodeState) -> String {
    if state == NodeState::Ready {
        return String::new();
    }
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let text = |value: &Value| value.as_str().filter(|text| !text.is_empty()).map(str::to_owned);
    let step = list(&status["workflow"]["steps"]).into_iter().find(|step| step["phase"] == "failed");
    let step = step.and_then(|step| {
        Some(format!(
            "{}: {}",
            text(&step["name"])?,
            text(&step["message"]).or_else(|| text(&step["reason"]))?
        ))
    });
    let service = list(&status["services"]).into_iter().find(|service| service["healthy"] == false);
    let service = service
        .and_then(|service| Some(format!("{}: {}", text(&service["name"])?, text(&service["message"])?)));
    let condition = list(&status["conditions"]).into_iter().find(|condition| condition["status"] == "False");
    let condition = condition.and_then(|condition| text(&condition["message"]));
    let phase =
        || format!("KubeVela says {}", text(&status["status"]).unwrap_or_else(|| "nothing yet".into()));
    step.or(service).or(condition).or_else(|| text(&status["workflow"]["message"])).unwrap_or_else(phase)
}
