//! What changes or guards the number of replicas.

use serde_json::{Value, json};

use crate::fields::Object;
use crate::kinds::not_looked_at;
use crate::object::Health;

/// A PodDisruptionBudget: as many Pods are healthy as it guards.
pub(super) fn disruption_budget(object: &Object<'_>) -> Health {
    let (healthy, wanted) = (object.count("/status/currentHealthy"), object.count("/status/desiredHealthy"));
    not_looked_at(object)
        .or_else(|| {
            (healthy < wanted).then(|| Health::behind(format!("{healthy} of {wanted} Pods are healthy")))
        })
        .unwrap_or_else(|| Health::current(format!("{healthy} Pods are healthy, {wanted} are guarded")))
}

/// Where version 1 keeps the conditions that later versions have in their status.
const CONDITIONS: &str = "/metadata/annotations/autoscaling.alpha.kubernetes.io~1conditions";

/// A HorizontalPodAutoscaler: it can scale what it is for.
///
/// One that cannot is in progress, not failed: right after a deployment its target is often not there yet,
/// and that comes without a change to the autoscaler. Metrics that are missing hold nothing up: a cluster may
/// have none at all, and what is scaled runs as it was deployed.
pub(super) fn autoscaler(object: &Object<'_>) -> Health {
    match object.text(CONDITIONS).map(serde_json::from_str::<Value>) {
        Some(Ok(conditions)) => by_conditions(&Object::new(&json!({"status": {"conditions": conditions}}))),
        _ => by_conditions(object),
    }
}

fn by_conditions(object: &Object<'_>) -> Health {
    let Some(able) = object.condition("AbleToScale") else {
        return Health::in_progress("its controller has not looked at it yet: no condition AbleToScale");
    };
    if !able.is_true() {
        return Health::behind(format!("it cannot scale: {}", able.words()));
    }
    match object.condition("ScalingActive") {
        Some(active) if active.is_true() => Health::current("it scales"),
        Some(active) if active.reason == "ScalingDisabled" => {
            Health::current("it does not scale while its target has no replicas")
        }
        Some(active) => Health::current(format!("it does not scale for now: {}", active.words())),
        None => Health::in_progress("it does not know yet what to scale by: no condition ScalingActive"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::kinds::cases::{after_live, hold, seen};
    use crate::object::ObjectState::{Current, Degraded, InProgress};

    #[test]
    fn a_budget_is_met() {
        let budget = |healthy: u64| {
            let status = json!({"currentHealthy": healthy, "desiredHealthy": 2});
            seen("policy/v1", "PodDisruptionBudget", json!({}), status)
        };
        hold([
            (budget(3), Current, "3 Pods are healthy"),
            (budget(1), InProgress, "1 of 2 Pods are healthy"),
            (
                json!({"apiVersion": "policy/v1", "kind": "PodDisruptionBudget"}),
                InProgress,
                "not looked at it",
            ),
        ]);
        after_live(&budget(1), Degraded);
    }

    #[test]
    fn an_autoscaler_can_scale_and_metrics_hold_nothing_up() {
        let scaler = |able: &str, active: Value| {
            json!({"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler",
                "status": {"desiredReplicas": 0, "conditions": [
                {"type": "AbleToScale", "status": able, "reason": "FailedGetScale"}, active]}})
        };
        let active = |status: &str, reason: &str| {
            json!({"type": "ScalingActive", "status": status,
            "reason": reason})
        };
        let first = |conditions: &str| {
            json!({"apiVersion": "autoscaling/v1",
            "kind": "HorizontalPodAutoscaler", "status": {"currentReplicas": 0, "desiredReplicas": 0},
            "metadata": {"annotations": {"autoscaling.alpha.kubernetes.io/conditions": conditions}}})
        };
        hold([
            (scaler("True", active("True", "ValidMetricFound")), Current, "it scales"),
            (scaler("True", active("False", "ScalingDisabled")), Current, "no replicas"),
            (scaler("True", active("False", "FailedGetResourceMetric")), Current, "FailedGetResourceMetric"),
            (scaler("False", active("True", "ValidMetricFound")), InProgress, "FailedGetScale"),
            (scaler("True", json!({})), InProgress, "ScalingActive"),
            (
                first(r#"[{"type":"AbleToScale","status":"False","reason":"NoTarget"}]"#),
                InProgress,
                "NoTarget",
            ),
            (
                first(r#"[{"type":"AbleToScale","status":"True"},{"type":"ScalingActive","status":"True"}]"#),
                Current,
                "it scales",
            ),
            (first("{"), InProgress, "AbleToScale"),
            (first(""), InProgress, "AbleToScale"),
        ]);
        after_live(&scaler("False", json!({})), Degraded);
    }
}
