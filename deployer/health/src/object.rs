//! Where one Kubernetes object stands.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::fields::Object;
use crate::{bounded, kinds};

/// Where an object stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ObjectState {
    /// As its specification wants it.
    Current,
    /// It ran to its end and did what it was for: a Job, a Pod.
    Completed,
    /// On its way; a wait for it has a deadline of its own.
    InProgress,
    /// It was as wanted and fell behind.
    Degraded,
    /// It will not get there by itself.
    Failed,
    /// Somebody holds it.
    Suspended,
    /// Being deleted.
    Terminating,
    /// There is no such object.
    NotFound,
}

impl ObjectState {
    /// Whether what waits for the object can go on.
    pub fn is_ready(self) -> bool {
        matches!(self, Self::Current | Self::Completed)
    }
}

/// Where an object stands, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    /// Where.
    pub state: ObjectState,
    /// Why, for people; at most [`REASON_CHARS_MAX`](crate::REASON_CHARS_MAX) characters.
    pub reason: String,
}

impl Health {
    /// `state` because of `reason`, which is cut to what is kept.
    pub fn new(state: ObjectState, reason: impl Into<String>) -> Self {
        Self { state, reason: bounded(reason.into()) }
    }

    pub(crate) fn current(reason: impl Into<String>) -> Self {
        Self::new(ObjectState::Current, reason)
    }

    pub(crate) fn completed(reason: impl Into<String>) -> Self {
        Self::new(ObjectState::Completed, reason)
    }

    pub(crate) fn in_progress(reason: impl Into<String>) -> Self {
        Self::new(ObjectState::InProgress, reason)
    }

    /// Less is there than is wanted, and no change under way explains it. What never was live is only
    /// in progress: [`of_object`] decides.
    pub(crate) fn behind(reason: impl Into<String>) -> Self {
        Self::new(ObjectState::Degraded, reason)
    }

    pub(crate) fn failed(reason: impl Into<String>) -> Self {
        Self::new(ObjectState::Failed, reason)
    }

    pub(crate) fn suspended(reason: impl Into<String>) -> Self {
        Self::new(ObjectState::Suspended, reason)
    }
}

/// Where `object`, as the API server gives it, stands. `null` is an object that is not there.
pub fn of(object: &Value) -> Health {
    of_object(object, false)
}

/// The same of an object of which it is known whether it `was_live` in the generation that is wanted now:
/// one that was and lags without a change under way is [`ObjectState::Degraded`], one that was not is
/// [`ObjectState::InProgress`].
pub fn of_object(object: &Value, was_live: bool) -> Health {
    let found = match object {
        Value::Null if was_live => Health::behind("it was there and is not any more"),
        Value::Null => return Health::new(ObjectState::NotFound, "it does not exist"),
        _ => judge(&Object::new(object)),
    };
    if found.state == ObjectState::Degraded && !was_live {
        return Health { state: ObjectState::InProgress, ..found };
    }
    found
}

fn judge(object: &Object<'_>) -> Health {
    before_its_rules(object).unwrap_or_else(|| kinds::judge(object))
}

/// What holds for every kind: it is being deleted, or its status tells of an older specification.
pub(crate) fn before_its_rules(object: &Object<'_>) -> Option<Health> {
    terminating(object).or_else(|| stale(object))
}

fn terminating(object: &Object<'_>) -> Option<Health> {
    let since = object.text("/metadata/deletionTimestamp")?;
    let finalizers: Vec<&str> =
        object.list("/metadata/finalizers").iter().filter_map(serde_json::Value::as_str).collect();
    let waits = match finalizers.as_slice() {
        [] => String::new(),
        names => format!(", waits for {}", names.join(", ")),
    };
    Some(Health::new(ObjectState::Terminating, format!("being deleted since {since}{waits}")))
}

fn stale(object: &Object<'_>) -> Option<Health> {
    let seen = object.number("/status/observedGeneration")?;
    let wanted = object.generation();
    (seen < wanted).then(|| {
        Health::in_progress(format!("its controller has seen generation {seen}, not yet generation {wanted}"))
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::REASON_CHARS_MAX;

    #[test]
    fn what_is_not_there_is_not_found_and_what_was_there_is_missed() {
        assert_eq!(of(&Value::Null).state, ObjectState::NotFound);
        assert_eq!(of_object(&Value::Null, true).state, ObjectState::Degraded);
    }

    #[test]
    fn what_is_deleted_is_terminating_whatever_its_status_says() {
        let health = of(&json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {
            "deletionTimestamp": "2026-01-02T03:04:05Z", "finalizers": ["a.example/f", "b"]}}));
        assert_eq!(health.state, ObjectState::Terminating);
        assert_eq!(health.reason, "being deleted since 2026-01-02T03:04:05Z, waits for a.example/f, b");
    }

    #[test]
    fn a_status_of_an_older_generation_says_nothing() {
        let mut object = json!({"apiVersion": "example.org/v1", "kind": "Cache",
            "metadata": {"generation": 5},
            "status": {"observedGeneration": 4, "conditions": [{"type": "Ready", "status": "True"}]}});
        let health = of(&object);
        assert_eq!(health.state, ObjectState::InProgress);
        assert_eq!(health.reason, "its controller has seen generation 4, not yet generation 5");
        assert_eq!(of_object(&object, true).state, ObjectState::InProgress);
        object["status"]["observedGeneration"] = json!(5);
        assert_eq!(of(&object).state, ObjectState::Current);
    }

    #[test]
    fn no_shape_of_object_is_too_strange() {
        for kind in ["Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "Job", "Pod", "Service", "Odd"] {
            for group in ["apps/v1", "batch/v1", "v1", "apps.kruise.io/v1alpha1"] {
                for rest in [json!([]), json!("x"), json!(7), json!({"conditions": [1, {}, null]})] {
                    let object = json!({"apiVersion": group, "kind": kind, "spec": rest, "status": rest,
                        "metadata": rest});
                    assert!(!of(&object).state.is_ready() || kind == "Service", "{object}");
                }
            }
        }
        for odd in [json!([]), json!("text"), json!(1), json!({"kind": 1, "apiVersion": {}})] {
            assert_eq!(of(&odd).state, ObjectState::InProgress, "{odd}");
        }
    }

    #[test]
    fn a_reason_is_cut_between_characters() {
        let reason = Health::failed("é".repeat(REASON_CHARS_MAX + 5)).reason;
        assert_eq!(reason.chars().count(), REASON_CHARS_MAX);
    }

    #[test]
    fn states_are_written_in_words() {
        let health = Health::in_progress("waits");
        let text = r#"{"state":"in_progress","reason":"waits"}"#;
        assert_eq!(serde_json::to_string(&health).unwrap(), text);
        assert_eq!(serde_json::from_str::<Health>(text).unwrap(), health);
    }
}
