//! Any other kind, by the conditions that controllers agree on.

use crate::fields::{Condition, Object};
use crate::object::Health;

/// A custom resource. One whose controller never wrote a status is in progress until whoever waits gives
/// up: a controller that is not installed must not look like one that is content.
pub(super) fn custom(object: &Object<'_>) -> Health {
    if !object.has_status() {
        return Health::in_progress("its controller has not written a status");
    }
    let told = |name| object.condition(name);
    if let Some(condition) = told("Reconciling").filter(Condition::is_true) {
        return Health::in_progress(format!("its controller works on it: {}", condition.words()));
    }
    if let Some(condition) = told("Stalled").filter(Condition::is_true) {
        return Health::failed(format!("its controller is stuck: {}", condition.words()));
    }
    if let Some(condition) = told("Ready") {
        return ready(object, condition);
    }
    if object.number("/status/observedGeneration").is_some() {
        return Health::current("its controller has seen what is wanted and reports no trouble");
    }
    Health::in_progress(
        "its status has neither a condition Ready nor observedGeneration; give a condition in CEL that says when it is ready",
    )
}

fn ready(object: &Object<'_>, condition: Condition<'_>) -> Health {
    let wanted = object.generation();
    if let Some(seen) = condition.seen.filter(|seen| *seen < wanted) {
        return Health::in_progress(format!(
            "its condition Ready is of generation {seen}, not yet of generation {wanted}"
        ));
    }
    if condition.is_true() {
        return Health::current("it is ready");
    }
    Health::behind(format!("Ready is {}: {}", condition.status, condition.words()))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::kinds::cases::{after_live, hold};
    use crate::object::ObjectState::{Current, Degraded, Failed, InProgress};

    fn custom(status: Value) -> Value {
        json!({"apiVersion": "example.org/v1", "kind": "Database", "metadata": {"generation": 4},
            "spec": {"size": 3}, "status": status})
    }

    fn conditions(list: Value) -> Value {
        custom(json!({"conditions": list}))
    }

    #[test]
    fn a_resource_without_a_status_is_never_vacuously_healthy() {
        let mut never = custom(json!({}));
        hold([(never.clone(), InProgress, "its controller has not written a status")]);
        never.as_object_mut().unwrap().remove("status");
        hold([(never, InProgress, "its controller has not written a status")]);
        hold([(custom(Value::Null), InProgress, "its controller has not written a status")]);
    }

    #[test]
    fn the_agreed_conditions_decide() {
        hold([
            (conditions(json!([{"type": "Ready", "status": "True"}])), Current, "it is ready"),
            (
                conditions(json!([{"type": "Ready", "status": "False", "reason": "NoNode", "message": "m"}])),
                InProgress,
                "Ready is False: NoNode: m",
            ),
            (conditions(json!([{"type": "Ready", "status": "Unknown"}])), InProgress, "Ready is Unknown"),
            (
                conditions(json!([{"type": "Ready", "status": "True"},
                    {"type": "Reconciling", "status": "True", "reason": "Upgrading"}])),
                InProgress,
                "works on it: Upgrading",
            ),
            (
                conditions(json!([{"type": "Ready", "status": "False"},
                    {"type": "Stalled", "status": "True", "message": "bad size"}])),
                Failed,
                "stuck: bad size",
            ),
            (
                conditions(json!([{"type": "Stalled", "status": "False"},
                    {"type": "Ready", "status": "True"}])),
                Current,
                "it is ready",
            ),
        ]);
        after_live(&conditions(json!([{"type": "Ready", "status": "False"}])), Degraded);
        after_live(&conditions(json!([{"type": "Reconciling", "status": "True"}])), InProgress);
    }

    #[test]
    fn a_ready_of_an_older_generation_is_not_ready() {
        let ready =
            |seen: u64| conditions(json!([{"type": "Ready", "status": "True", "observedGeneration": seen}]));
        hold([
            (ready(3), InProgress, "of generation 3, not yet of generation 4"),
            (ready(4), Current, "it is ready"),
        ]);
    }

    #[test]
    fn without_known_conditions_the_generation_decides() {
        hold([
            (custom(json!({"observedGeneration": 4, "phase": "Up"})), Current, "has seen what is wanted"),
            (custom(json!({"observedGeneration": 3})), InProgress, "has seen generation 3"),
            (custom(json!({"phase": "Up"})), InProgress, "give a condition in CEL"),
            (conditions(json!([{"type": "Synced", "status": "True"}])), InProgress, "condition in CEL"),
        ]);
    }
}
