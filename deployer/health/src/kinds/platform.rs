//! What the API server itself is extended and divided by.

use crate::fields::{Condition, Object};
use crate::object::Health;

/// A CustomResourceDefinition: its resources can be written.
pub(super) fn definition(object: &Object<'_>) -> Health {
    if let Some(condition) = object.condition("NamesAccepted").filter(Condition::is_false) {
        return Health::failed(format!("its names are not accepted: {}", condition.words()));
    }
    established(object, "Established", "it is established")
}

/// An APIService: what serves it answers.
pub(super) fn api_service(object: &Object<'_>) -> Health {
    established(object, "Available", "it is available")
}

/// A Namespace: objects can be made in it.
pub(super) fn namespace(object: &Object<'_>) -> Health {
    match object.text("/status/phase") {
        Some("Active") => Health::current("it is active"),
        Some("Terminating") => {
            Health::new(crate::object::ObjectState::Terminating, "what is in it is being deleted")
        }
        _ => Health::in_progress("it is not active yet: status.phase is missing"),
    }
}

fn established(object: &Object<'_>, name: &str, done: &str) -> Health {
    match object.condition(name) {
        Some(condition) if condition.is_true() => Health::current(done),
        Some(condition) => Health::behind(format!("{name} is {}: {}", condition.status, condition.words())),
        None => Health::in_progress(format!("it has no condition {name} yet")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::kinds::cases::{after_live, hold};
    use crate::object::ObjectState::{Current, Degraded, Failed, InProgress, Terminating};

    fn with(version: &str, kind: &str, conditions: Value) -> Value {
        json!({"apiVersion": version, "kind": kind, "metadata": {"generation": 1},
            "status": {"conditions": conditions}})
    }

    #[test]
    fn a_definition_is_established_and_its_names_are_its_own() {
        let crd = |conditions| with("apiextensions.k8s.io/v1", "CustomResourceDefinition", conditions);
        hold([
            (crd(json!([{"type": "Established", "status": "True"}])), Current, "established"),
            (crd(json!([])), InProgress, "no condition Established yet"),
            (
                crd(json!([{"type": "Established", "status": "False", "reason": "Installing"}])),
                InProgress,
                "Established is False: Installing",
            ),
            (
                crd(json!([{"type": "Established", "status": "False"},
                    {"type": "NamesAccepted", "status": "False", "reason": "PluralConflict"}])),
                Failed,
                "PluralConflict",
            ),
        ]);
    }

    #[test]
    fn an_api_service_answers() {
        let api = |conditions| with("apiregistration.k8s.io/v1", "APIService", conditions);
        let missing = api(json!([{"type": "Available", "status": "False", "reason": "ServiceNotFound"}]));
        hold([
            (api(json!([{"type": "Available", "status": "True"}])), Current, "available"),
            (missing.clone(), InProgress, "ServiceNotFound"),
        ]);
        after_live(&missing, Degraded);
    }

    #[test]
    fn a_namespace_is_active_or_on_its_way_out() {
        let namespace = |status: Value| json!({"apiVersion": "v1", "kind": "Namespace", "status": status});
        hold([
            (namespace(json!({"phase": "Active"})), Current, "active"),
            (namespace(json!({"phase": "Terminating"})), Terminating, "being deleted"),
            (namespace(json!({})), InProgress, "status.phase"),
        ]);
    }
}
