//! The conditions of an object's status.

use serde_json::Value;
use slipway_records::failure::FoundCondition;

use super::{bounded, text_at, time_at};

/// So many conditions of one object are kept.
const CONDITIONS_MAX: usize = 20;

/// The conditions of an object, as its controllers wrote them.
pub(super) fn of(object: &Value) -> Vec<FoundCondition> {
    let conditions = object.pointer("/status/conditions").and_then(Value::as_array);
    let conditions = conditions.into_iter().flatten().take(CONDITIONS_MAX);
    conditions
        .map(|condition| FoundCondition {
            kind: bounded(text_at(condition, "/type")),
            status: bounded(text_at(condition, "/status")),
            reason: bounded(text_at(condition, "/reason")),
            message: text_at(condition, "/message").to_owned(),
            since: time_at(condition, "/lastTransitionTime"),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn conditions_are_kept_as_they_are() {
        let object = json!({"status": {"conditions": [
            {"type": "Available", "status": "False", "reason": "MinimumReplicasUnavailable",
             "message": "too few", "lastTransitionTime": "2026-01-01T00:00:00Z"},
            {"type": "Odd"},
        ]}});
        let found = of(&object);
        assert_eq!((found[0].kind.as_str(), found[0].message.as_str()), ("Available", "too few"));
        assert_eq!(found[0].since.map(|at| at.timestamp()), Some(1_767_225_600));
        assert_eq!((found[1].status.as_str(), found[1].since), ("", None));
        assert!(of(&json!({"status": {"conditions": "none"}})).is_empty());
    }
}
