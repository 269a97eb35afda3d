//! Events about what is not ready, about its ReplicaSets and about its pods.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use serde_json::Value;
use slipway_kubernetes::{Cluster, Freshness};
use slipway_records::failure::FoundEvent;

use super::super::pods::selector;
use super::{Asking, bounded, push_note, text_at, time_at};

/// So many events are kept, and of one object so many are read.
const EVENTS_MAX: usize = 50;
/// So many objects are asked for.
const SUBJECTS_MAX: usize = 20;
/// So many ReplicaSets of one Deployment are asked for, the newest.
const REPLICA_SETS_MAX: usize = 2;
/// Where events about what is in no namespace lie.
const NO_NAMESPACE: &str = "default";

/// What events are about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Subject {
    namespace: String,
    name: String,
    uid: String,
}

impl Subject {
    fn of(object: &Value) -> Self {
        let text = |pointer: &str| text_at(object, pointer).to_owned();
        let namespace = text("/metadata/namespace");
        let namespace = if namespace.is_empty() { NO_NAMESPACE.to_owned() } else { namespace };
        Self { namespace, name: text("/metadata/name"), uid: text("/metadata/uid") }
    }
}

/// The newest events about these objects and pods, the newest last.
pub(in crate::work) async fn about(
    objects: &[Value],
    pods: &[Value],
    cluster: &Cluster,
    asking: &Asking<'_>,
    notes: &mut Vec<String>,
) -> Vec<FoundEvent> {
    let mut subjects: Vec<Subject> = Vec::new();
    for object in objects {
        subjects.push(Subject::of(object));
        subjects.extend(replica_sets(object, cluster, asking).await);
    }
    subjects.extend(pods.iter().flat_map(owners));
    subjects.extend(pods.iter().map(Subject::of));
    let mut seen = BTreeSet::new();
    subjects.retain(|subject| seen.insert(subject.clone()));
    let mut events = Vec::new();
    for subject in subjects.iter().take(SUBJECTS_MAX) {
        let Subject { namespace, name, uid } = subject;
        match asking.ask(cluster.events_about(namespace, name, Some(uid), EVENTS_MAX)).await {
            Ok(more) => events.extend(more.iter().map(event)),
            Err(why) => {
                push_note(notes, format!("events about {name} could not be read: {why}"));
                // The next one would be answered like it.
                break;
            }
        }
    }
    newest(events)
}

fn newest(mut events: Vec<FoundEvent>) -> Vec<FoundEvent> {
    events.sort_by_key(|event| event.at);
    events.split_off(events.len().saturating_sub(EVENTS_MAX))
}

/// The newest ReplicaSets of a Deployment: they tell why no pod can be made. Who may not list them hears of those
/// that have pods.
async fn replica_sets(object: &Value, cluster: &Cluster, asking: &Asking<'_>) -> Vec<Subject> {
    if text_at(object, "/kind") != "Deployment" {
        return Vec::new();
    }
    let Some((namespace, selector)) = selector(object) else { return Vec::new() };
    let kinds = BTreeSet::from([("apps/v1".to_owned(), "ReplicaSet".to_owned())]);
    let listed = asking.ask(cluster.labelled(&selector, &kinds, Some(&namespace), Freshness::Lately)).await;
    let mut sets = listed.unwrap_or_default();
    let uid = text_at(object, "/metadata/uid");
    sets.retain(|set| owner_references(set).any(|owner| text_at(owner, "/uid") == uid));
    sets.sort_by_cached_key(|set| Reverse(text_at(set, "/metadata/creationTimestamp").to_owned()));
    sets.iter().take(REPLICA_SETS_MAX).map(Subject::of).collect()
}

fn owner_references(object: &Value) -> impl Iterator<Item = &Value> {
    object.pointer("/metadata/ownerReferences").and_then(Value::as_array).into_iter().flatten()
}

/// The ReplicaSets that own a pod.
fn owners(pod: &Value) -> Vec<Subject> {
    let sets = owner_references(pod).filter(|owner| text_at(owner, "/kind") == "ReplicaSet");
    let subject = |owner: &Value| Subject {
        namespace: text_at(pod, "/metadata/namespace").to_owned(),
        name: text_at(owner, "/name").to_owned(),
        uid: text_at(owner, "/uid").to_owned(),
    };
    sets.map(subject).collect()
}

/// An event as it is told.
pub(in crate::work) fn event(event: &Value) -> FoundEvent {
    let times = ["/series/lastObservedTime", "/lastTimestamp", "/eventTime", "/metadata/creationTimestamp"];
    let counts =
        ["/series/count", "/count"].into_iter().filter_map(|pointer| event.pointer(pointer)?.as_u64());
    let (kind, name) = (text_at(event, "/involvedObject/kind"), text_at(event, "/involvedObject/name"));
    FoundEvent {
        at: times.into_iter().find_map(|pointer| time_at(event, pointer)),
        kind: bounded(text_at(event, "/type")),
        reason: bounded(text_at(event, "/reason")),
        message: text_at(event, "/message").to_owned(),
        object: bounded(&format!("{kind} {name}")),
        count: counts.max().unwrap_or(1),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn told(at: &str, reason: &str) -> Value {
        json!({
            "type": "Warning", "reason": reason, "message": "it says why", "lastTimestamp": at, "count": 3,
            "involvedObject": {"kind": "Pod", "name": "web-1"},
        })
    }

    #[test]
    fn an_event_is_told_in_a_line() {
        let found = event(&told("2026-01-01T00:00:05Z", "BackOff"));
        assert_eq!((found.object.as_str(), found.reason.as_str(), found.count), ("Pod web-1", "BackOff", 3));
        assert_eq!(found.at.map(|at| at.timestamp()), Some(1_767_225_605));
        let series = json!({"eventTime": "2026-01-01T00:00:00.5Z", "lastTimestamp": null});
        assert_eq!(event(&series).count, 1);
        assert!(event(&series).at.is_some());
    }

    #[test]
    fn the_newest_events_are_kept_and_come_last() {
        let many =
            (0..60).rev().map(|second| event(&told(&format!("2026-01-01T00:00:{second:02}Z"), "BackOff")));
        let kept = newest(many.collect());
        assert_eq!(kept.len(), EVENTS_MAX);
        assert!(kept.is_sorted_by_key(|event| event.at));
        assert_eq!(kept.last().and_then(|event| event.at).map(|at| at.timestamp() % 60), Some(59));
    }

    #[test]
    fn a_pod_leads_to_its_replica_set() {
        let pod = json!({"metadata": {"namespace": "shop", "ownerReferences": [
            {"kind": "ReplicaSet", "name": "web-7", "uid": "u"}, {"kind": "Other", "name": "x", "uid": "y"},
        ]}});
        let expected = Subject { namespace: "shop".into(), name: "web-7".into(), uid: "u".into() };
        assert_eq!(owners(&pod), [expected]);
        assert_eq!(Subject::of(&json!({"metadata": {"name": "crd"}})).namespace, NO_NAMESPACE);
    }
}
