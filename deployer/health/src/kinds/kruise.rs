//! The workloads of OpenKruise, which kstatus does not know.

use crate::fields::{Condition, Object};
use crate::kinds::not_looked_at;
use crate::kinds::workloads::{self, deadline_exceeded, leftover, paused, wanted};
use crate::object::Health;

/// A CloneSet: as many replicas are of the new revision as its partition lets be, and all serve. One that
/// stands at a partition with old replicas left is suspended: somebody has to move the partition.
pub(super) fn clone_set(object: &Object<'_>) -> Health {
    let wanted = wanted(object);
    not_looked_at(object)
        .or_else(|| deadline_exceeded(object))
        .or_else(|| refused(object))
        .or_else(|| paused(object, "/spec/updateStrategy/paused"))
        .or_else(|| update(object, wanted))
        .or_else(|| lacking(object, wanted))
        .or_else(|| leftover(object.count("/status/replicas") - wanted))
        .or_else(|| held(object, wanted))
        .unwrap_or_else(|| Health::current(format!("{wanted} of {wanted} replicas are updated and ready")))
}

/// An Advanced StatefulSet.
pub(super) fn stateful_set(object: &Object<'_>) -> Health {
    not_looked_at(object)
        .or_else(|| paused(object, "/spec/updateStrategy/rollingUpdate/paused"))
        .unwrap_or_else(|| workloads::stateful_set(object))
}

/// An Advanced DaemonSet.
pub(super) fn daemon_set(object: &Object<'_>) -> Health {
    not_looked_at(object)
        .or_else(|| paused(object, "/spec/updateStrategy/rollingUpdate/paused"))
        .unwrap_or_else(|| workloads::daemon_set(object))
}

/// A SidecarSet: the Pods it matches, down to its partition, run its containers and are ready.
pub(super) fn sidecar_set(object: &Object<'_>) -> Health {
    let Some(matched) = object.number("/status/matchedPods") else {
        return not_looked_at(object)
            .unwrap_or_else(|| Health::in_progress("it is not yet known how many Pods it matches"));
    };
    let kept = object.portion("/spec/updateStrategy/partition", matched);
    let (updated, to_update) = (object.count("/status/updatedReadyPods"), matched - kept);
    let injects_only = object.text("/spec/updateStrategy/type") == Some("NotUpdate");
    not_looked_at(object)
        .or_else(|| paused(object, "/spec/updateStrategy/paused"))
        .or_else(|| {
            (!injects_only && updated < to_update)
                .then(|| Health::behind(format!("{updated} of {to_update} Pods are updated and ready")))
        })
        .unwrap_or_else(|| {
            Health::current(if injects_only {
                "new Pods get its containers (NotUpdate)".to_owned()
            } else {
                format!("{updated} of {matched} matched Pods are updated and ready")
            })
        })
}

/// Its controller could not do what it was to.
fn refused(object: &Object<'_>) -> Option<Health> {
    let condition = |name| object.condition(name).filter(Condition::is_true);
    if let Some(update) = condition("FailedUpdate") {
        return Some(Health::failed(format!("an update failed: {}", update.words())));
    }
    condition("FailedScale").map(|scale| Health::behind(format!("cannot scale: {}", scale.words())))
}

fn update(object: &Object<'_>, wanted: i64) -> Option<Health> {
    let expected = object
        .number("/status/expectedUpdatedReplicas")
        .unwrap_or_else(|| wanted - object.portion("/spec/updateStrategy/partition", wanted));
    let updated = object.count("/status/updatedReplicas");
    if updated < expected {
        return Some(Health::in_progress(format!("{updated} of {expected} replicas are updated")));
    }
    let ready = object.count("/status/updatedReadyReplicas");
    (ready < expected)
        .then(|| Health::behind(format!("{ready} of {expected} replicas are updated and ready")))
}

fn lacking(object: &Object<'_>, wanted: i64) -> Option<Health> {
    let ready = object.count("/status/readyReplicas");
    let available = object.number("/status/availableReplicas").unwrap_or(ready);
    let (count, what) = if available < ready { (available, "available") } else { (ready, "ready") };
    (count < wanted).then(|| Health::behind(format!("{count} of {wanted} replicas are {what}")))
}

fn held(object: &Object<'_>, wanted: i64) -> Option<Health> {
    let (updated, kept) =
        (object.count("/status/updatedReplicas"), object.portion("/spec/updateStrategy/partition", wanted));
    (kept > 0 && updated < wanted).then(|| {
        Health::suspended(format!(
            "{updated} of {wanted} replicas are updated, the partition keeps {kept} as they were; lower \
             spec.updateStrategy.partition to go on"
        ))
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::kinds::cases::{after_live, hold, seen};
    use crate::object::ObjectState::{Current, Failed, InProgress, Suspended};

    const API: &str = "apps.kruise.io/v1alpha1";

    fn clones(strategy: Value, status: Value) -> Value {
        seen(API, "CloneSet", json!({"replicas": 4, "updateStrategy": strategy}), status)
    }

    /// A CloneSet of four, so many of them updated, all ready.
    fn updated(count: u64) -> Value {
        json!({"replicas": 4, "readyReplicas": 4, "availableReplicas": 4, "updatedReplicas": count,
            "updatedReadyReplicas": count})
    }

    #[test]
    fn a_clone_set_is_updated_down_to_its_partition_and_then_held() {
        let mut failing = updated(2);
        failing["conditions"] =
            json!([{"type": "FailedUpdate", "status": "True", "reason": "Hook", "message": "no"}]);
        let mut late = updated(2);
        late["conditions"] =
            json!([{"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded"}]);
        let mut expected = updated(3);
        expected["expectedUpdatedReplicas"] = json!(4);
        hold([
            (clones(json!({}), updated(4)), Current, "4 of 4 replicas are updated and ready"),
            (clones(json!({}), updated(1)), InProgress, "1 of 4 replicas are updated"),
            (clones(json!({"partition": 3}), updated(0)), InProgress, "0 of 1 replicas are updated"),
            (clones(json!({"partition": 3}), updated(1)), Suspended, "the partition keeps 3"),
            (clones(json!({"partition": "50%"}), updated(2)), Suspended, "the partition keeps 2"),
            (clones(json!({"partition": 3}), updated(4)), Current, "4 of 4"),
            (clones(json!({"paused": true}), updated(1)), Suspended, "spec.updateStrategy.paused"),
            (clones(json!({}), expected), InProgress, "3 of 4 replicas are updated"),
            (clones(json!({}), failing), Failed, "an update failed: Hook: no"),
            (clones(json!({}), late), Failed, "ProgressDeadlineExceeded"),
        ]);
    }

    #[test]
    fn a_clone_set_without_all_replicas_is_behind() {
        let mut status = updated(4);
        status["availableReplicas"] = json!(2);
        after_live(&clones(json!({}), status.clone()), crate::ObjectState::Degraded);
        hold([(clones(json!({}), status), InProgress, "2 of 4 replicas are available")]);
        let mut status = updated(4);
        status["conditions"] = json!([{"type": "FailedScale", "status": "True", "message": "quota"}]);
        hold([(clones(json!({}), status), InProgress, "cannot scale: quota")]);
    }

    #[test]
    fn advanced_sets_follow_the_rules_of_the_plain_ones_and_can_be_paused() {
        let set = |update: Value, updated: u64| {
            let status = json!({"replicas": 3, "readyReplicas": 3, "updatedReplicas": updated,
                "currentReplicas": 3, "currentRevision": "a", "updateRevision": "a"});
            seen(
                "apps.kruise.io/v1beta1",
                "StatefulSet",
                json!({"replicas": 3, "updateStrategy": {"rollingUpdate": update}}),
                status,
            )
        };
        let daemons = |update: Value, updated: u64| {
            let status = json!({"desiredNumberScheduled": 4, "currentNumberScheduled": 4, "numberReady": 4,
                "numberAvailable": 4, "updatedNumberScheduled": updated});
            seen(API, "DaemonSet", json!({"updateStrategy": {"rollingUpdate": update}}), status)
        };
        hold([
            (set(json!({}), 3), Current, "all 3 replicas"),
            (set(json!({"paused": true}), 1), Suspended, "spec.updateStrategy.rollingUpdate.paused"),
            (set(json!({"partition": "50%"}), 0), InProgress, "0 of 1 replicas are updated"),
            (daemons(json!({}), 4), Current, "all 4 nodes"),
            (daemons(json!({}), 3), InProgress, "3 of 4 nodes are updated"),
            (daemons(json!({"partition": 1}), 3), Current, "all 4 nodes"),
            (daemons(json!({"paused": true}), 3), Suspended, "rollingUpdate.paused"),
        ]);
    }

    #[test]
    fn a_sidecar_set_is_current_when_all_it_matches_is_updated_and_ready() {
        let sidecars = |strategy: Value, matched: u64, updated: u64| {
            let status = json!({"matchedPods": matched, "updatedReadyPods": updated, "readyPods": matched});
            seen(API, "SidecarSet", json!({"updateStrategy": strategy}), status)
        };
        hold([
            (sidecars(json!({}), 5, 5), Current, "5 of 5 matched Pods"),
            (sidecars(json!({}), 0, 0), Current, "0 of 0 matched Pods"),
            (sidecars(json!({}), 5, 4), InProgress, "4 of 5 Pods are updated and ready"),
            (sidecars(json!({"partition": 2}), 5, 3), Current, "3 of 5 matched Pods"),
            (sidecars(json!({"paused": true}), 5, 3), Suspended, "spec.updateStrategy.paused"),
            (sidecars(json!({"type": "NotUpdate"}), 5, 0), Current, "new Pods get its containers"),
            (seen(API, "SidecarSet", json!({}), json!({})), InProgress, "how many Pods"),
        ]);
    }

    #[test]
    fn a_set_that_no_controller_looked_at_is_in_progress() {
        for kind in ["CloneSet", "StatefulSet", "DaemonSet", "SidecarSet"] {
            let object = json!({"apiVersion": API, "kind": kind, "spec": {"replicas": 0,
                "updateStrategy": {"paused": true, "rollingUpdate": {"paused": true}}}});
            hold([(object, InProgress, "has not looked at it yet")]);
        }
    }
}
