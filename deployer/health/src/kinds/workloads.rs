//! The workloads of `apps`: what runs until it is told otherwise.

use crate::fields::{Condition, Object};
use crate::kinds::not_looked_at;
use crate::object::Health;

/// Replicas that are wanted; the API server fills in one.
pub(super) fn wanted(object: &Object<'_>) -> i64 {
    object.number("/spec/replicas").unwrap_or(1)
}

/// A Deployment: its rollout has ended and all replicas serve.
pub(super) fn deployment(object: &Object<'_>) -> Health {
    let wanted = wanted(object);
    not_looked_at(object)
        .or_else(|| paused(object, "/spec/paused"))
        .or_else(|| deadline_exceeded(object))
        .or_else(|| rollout(object, wanted))
        .or_else(|| lacking(object, wanted))
        .or_else(|| rollout_not_ended(object))
        .unwrap_or_else(|| all(wanted))
}

/// A ReplicaSet or a ReplicationController.
pub(super) fn replica_set(object: &Object<'_>) -> Health {
    let wanted = wanted(object);
    let labelled = object.count("/status/fullyLabeledReplicas");
    not_looked_at(object)
        .or_else(|| lacking(object, wanted))
        .or_else(|| {
            (labelled < wanted)
                .then(|| Health::in_progress(format!("{labelled} of {wanted} replicas bear all labels")))
        })
        .or_else(|| leftover(object.count("/status/replicas") - wanted))
        .unwrap_or_else(|| all(wanted))
}

/// A StatefulSet: its Pods are there and of the wanted revision, down to its partition. With `OnDelete`
/// nothing replaces Pods, so none is waited for.
pub(super) fn stateful_set(object: &Object<'_>) -> Health {
    let wanted = wanted(object);
    not_looked_at(object)
        .or_else(|| on_delete(object, wanted))
        .or_else(|| partition(object, wanted))
        .unwrap_or_else(|| revision(object, wanted))
}

/// A DaemonSet: one serving Pod of the wanted revision on each node that is to have one.
pub(super) fn daemon_set(object: &Object<'_>) -> Health {
    let Some(wanted) = object.number("/status/desiredNumberScheduled") else {
        return not_looked_at(object)
            .unwrap_or_else(|| Health::in_progress("it is not yet known how many nodes are to have it"));
    };
    let updates = object.text("/spec/updateStrategy/type") != Some("OnDelete");
    let kept = object.portion("/spec/updateStrategy/rollingUpdate/partition", wanted);
    let updated = object.count("/status/updatedNumberScheduled");
    let to_update = wanted - kept;
    not_looked_at(object)
        .or_else(|| {
            (updates && updated < to_update)
                .then(|| Health::in_progress(format!("{updated} of {to_update} nodes are updated")))
        })
        .or_else(|| on_nodes(object, "/status/currentNumberScheduled", wanted, "have its Pod"))
        .or_else(|| on_nodes(object, "/status/numberAvailable", wanted, "have an available Pod"))
        .or_else(|| on_nodes(object, "/status/numberReady", wanted, "have a ready Pod"))
        .unwrap_or_else(|| Health::current(format!("all {wanted} nodes have a ready Pod")))
}

/// Held by whoever set the field at `pointer`.
pub(super) fn paused(object: &Object<'_>, pointer: &str) -> Option<Health> {
    object.is_true(pointer).then(|| {
        let field = pointer.trim_start_matches('/').replace('/', ".");
        Health::suspended(format!("paused: no rollout goes on while {field} is true"))
    })
}

/// A rollout that its controller has given up on.
pub(super) fn deadline_exceeded(object: &Object<'_>) -> Option<Health> {
    let condition = object.condition("Progressing")?;
    (condition.reason == "ProgressDeadlineExceeded").then(|| Health::failed(condition.words()))
}

fn all(wanted: i64) -> Health {
    Health::current(match wanted {
        0 => "no replica is wanted and none is there".to_owned(),
        1 => "its replica is available".to_owned(),
        _ => format!("all {wanted} replicas are available"),
    })
}

pub(super) fn leftover(count: i64) -> Option<Health> {
    (count > 0).then(|| Health::in_progress(format!("{count} replicas too many are still to stop")))
}

/// A Deployment that is replacing its replicas. Fewer than wanted, none of them old, is no rollout.
fn rollout(object: &Object<'_>, wanted: i64) -> Option<Health> {
    let updated = object.count("/status/updatedReplicas");
    let old = object.count("/status/replicas") - updated;
    if old > 0 && updated < wanted {
        return Some(Health::in_progress(format!("{updated} of {wanted} replicas are updated")));
    }
    if old > 0 {
        return Some(Health::in_progress(format!("{old} old replicas are still to stop")));
    }
    leftover(updated - wanted)
}

/// Fewer replicas serve than are wanted.
fn lacking(object: &Object<'_>, wanted: i64) -> Option<Health> {
    let available = object.count("/status/availableReplicas");
    let ready = object.count("/status/readyReplicas");
    let refused = object.condition("ReplicaFailure").filter(Condition::is_true);
    let words = |count: i64, what: &str| {
        let counted = format!("{count} of {wanted} replicas are {what}");
        match &refused {
            Some(condition) => format!("{counted}: {}", condition.words()),
            None => counted,
        }
    };
    if available < wanted {
        return Some(Health::behind(words(available, "available")));
    }
    (ready < wanted).then(|| Health::behind(words(ready, "ready")))
}

/// The numbers are right, and the controller does not yet say that it is done.
fn rollout_not_ended(object: &Object<'_>) -> Option<Health> {
    if let Some(condition) = object.condition("Available")
        && !condition.is_true()
    {
        return Some(Health::behind(format!("it is not available: {}", condition.words())));
    }
    let progress = object.condition("Progressing")?;
    (progress.reason != "NewReplicaSetAvailable")
        .then(|| Health::in_progress(format!("its rollout has not ended: {}", progress.words())))
}

/// Fewer Pods of a set are there or ready than are wanted, or more are there.
pub(super) fn set_lacking(object: &Object<'_>, wanted: i64) -> Option<Health> {
    let there = object.count("/status/replicas");
    let ready = object.count("/status/readyReplicas");
    // Servers before 1.22 do not count available ones.
    let available = object.number("/status/availableReplicas").unwrap_or(ready);
    if ready < wanted {
        return Some(Health::behind(format!("{ready} of {wanted} replicas are ready")));
    }
    if available < wanted {
        return Some(Health::behind(format!("{available} of {wanted} replicas are available")));
    }
    leftover(there - wanted)
}

fn on_delete(object: &Object<'_>, wanted: i64) -> Option<Health> {
    (object.text("/spec/updateStrategy/type") == Some("OnDelete")).then(|| {
        set_lacking(object, wanted).unwrap_or_else(|| {
            Health::current("all replicas are ready; each is updated when somebody deletes it (OnDelete)")
        })
    })
}

fn partition(object: &Object<'_>, wanted: i64) -> Option<Health> {
    let kept = object.portion("/spec/updateStrategy/rollingUpdate/partition", wanted);
    let (updated, to_update) = (object.count("/status/updatedReplicas"), wanted - kept);
    (kept > 0).then(|| {
        if updated < to_update {
            return Health::in_progress(format!("{updated} of {to_update} replicas are updated"));
        }
        set_lacking(object, wanted).unwrap_or_else(|| {
            Health::current(format!("all replicas are ready, the partition keeps {kept} as they were"))
        })
    })
}

fn revision(object: &Object<'_>, wanted: i64) -> Health {
    let (current, update) = (object.text("/status/currentRevision"), object.text("/status/updateRevision"));
    let updated = object.count("/status/updatedReplicas");
    if current != update && updated < wanted {
        return Health::in_progress(format!("{updated} of {wanted} replicas are updated"));
    }
    if let Some(health) = set_lacking(object, wanted) {
        return health;
    }
    let as_current = object.count("/status/currentReplicas");
    if current != update || as_current < wanted {
        return Health::in_progress("its controller has not yet made the new revision the current one");
    }
    all(wanted)
}

fn on_nodes(object: &Object<'_>, pointer: &str, wanted: i64, what: &str) -> Option<Health> {
    let count = object.count(pointer);
    (count < wanted).then(|| Health::behind(format!("{count} of {wanted} nodes {what}")))
}

#[cfg(test)]
mod tests;
