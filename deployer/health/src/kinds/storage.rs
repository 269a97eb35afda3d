//! Volumes and claims.

use crate::fields::Object;
use crate::object::Health;

/// A claim: bound. One whose storage class waits for the first consumer looks like one that nobody serves,
/// so both are in progress: let nothing that uses the claim wait for it.
pub(super) fn claim(object: &Object<'_>) -> Health {
    match object.text("/status/phase") {
        Some("Bound") => Health::current("it is bound"),
        Some("Lost") => Health::failed("the volume it was bound to is lost"),
        _ => Health::behind(
            "it is not bound; if its storage class waits for the first consumer, it binds when a Pod uses it",
        ),
    }
}

/// A volume: there for a claim, bound or given back.
pub(super) fn volume(object: &Object<'_>) -> Health {
    match object.text("/status/phase") {
        Some(phase @ ("Available" | "Bound" | "Released")) => {
            Health::current(format!("it is {}", phase.to_lowercase()))
        }
        Some("Failed") => Health::failed(
            object.text("/status/message").unwrap_or("it could not be given back or deleted").to_owned(),
        ),
        _ => Health::behind("it is not available yet"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::kinds::cases::{after_live, hold};
    use crate::object::ObjectState::{Current, Degraded, Failed, InProgress};

    fn object(kind: &str, phase: &str) -> Value {
        json!({"apiVersion": "v1", "kind": kind, "status": {"phase": phase}})
    }

    #[test]
    fn a_claim_is_bound_or_waits_and_a_lost_one_has_failed() {
        let kind = "PersistentVolumeClaim";
        hold([
            (object(kind, "Bound"), Current, "bound"),
            (object(kind, "Pending"), InProgress, "waits for the first consumer"),
            (json!({"apiVersion": "v1", "kind": kind}), InProgress, "not bound"),
            (object(kind, "Lost"), Failed, "lost"),
        ]);
        after_live(&object(kind, "Pending"), Degraded);
    }

    #[test]
    fn a_volume_is_there_for_a_claim() {
        let kind = "PersistentVolume";
        hold([
            (object(kind, "Available"), Current, "it is available"),
            (object(kind, "Released"), Current, "it is released"),
            (object(kind, "Pending"), InProgress, "not available yet"),
            (object(kind, "Failed"), Failed, "could not be given back"),
        ]);
    }
}
