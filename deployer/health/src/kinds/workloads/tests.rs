use serde_json::{Value, json};

use crate::kinds::cases::{after_live, hold, seen};
use crate::object::ObjectState::{Current, Degraded, Failed, InProgress, Suspended};
use crate::object::of;

fn deployment(counts: [u64; 4], conditions: Value) -> Value {
    let [replicas, updated, ready, available] = counts;
    let status = json!({"replicas": replicas, "updatedReplicas": updated, "readyReplicas": ready,
        "availableReplicas": available, "conditions": conditions});
    seen("apps/v1", "Deployment", json!({"replicas": 3}), status)
}

/// A condition as the controller of Deployments writes it.
fn progressing(status: &str, reason: &str) -> Value {
    json!([{"type": "Progressing", "status": status, "reason": reason, "message": "told so"}])
}

#[test]
fn a_deployment_has_ended_its_rollout_and_all_replicas_serve() {
    let done = || progressing("True", "NewReplicaSetAvailable");
    let under_way = || progressing("True", "ReplicaSetUpdated");
    hold([
        (deployment([3, 3, 3, 3], done()), Current, "all 3 replicas are available"),
        (deployment([3, 3, 3, 3], json!([])), Current, "all 3 replicas are available"),
        (deployment([0, 0, 0, 0], under_way()), InProgress, "0 of 3 replicas are available"),
        (deployment([3, 3, 1, 1], done()), InProgress, "1 of 3 replicas are available"),
        (deployment([4, 1, 3, 3], under_way()), InProgress, "1 of 3 replicas are updated"),
        (deployment([4, 3, 4, 4], under_way()), InProgress, "1 old replicas are still to stop"),
        (deployment([5, 5, 5, 5], done()), InProgress, "2 replicas too many are still to stop"),
        (deployment([3, 3, 2, 3], done()), InProgress, "2 of 3 replicas are ready"),
        (deployment([3, 3, 3, 3], under_way()), InProgress, "its rollout has not ended"),
        (
            deployment([3, 1, 2, 2], progressing("False", "ProgressDeadlineExceeded")),
            Failed,
            "ProgressDeadlineExceeded: told so",
        ),
        (
            deployment(
                [0, 0, 0, 0],
                json!([{"type": "ReplicaFailure", "status": "True", "message": "quota"}]),
            ),
            InProgress,
            "0 of 3 replicas are available: quota",
        ),
        (
            deployment([3, 3, 3, 3], json!([{"type": "Available", "status": "False", "reason": "Minimum"}])),
            InProgress,
            "it is not available: Minimum",
        ),
    ]);
}

#[test]
fn a_paused_deployment_is_suspended_even_when_all_replicas_serve() {
    let mut paused = deployment([3, 3, 3, 3], json!([]));
    paused["spec"]["paused"] = json!(true);
    hold([(paused, Suspended, "no rollout goes on while spec.paused is true")]);
}

#[test]
fn a_deployment_of_one_by_default_and_of_none_when_told() {
    let mut object = deployment([1, 1, 1, 1], json!([]));
    object["spec"] = json!({});
    hold([(object.clone(), Current, "its replica is available")]);
    object["status"] = json!({"observedGeneration": 2});
    hold([(object.clone(), InProgress, "0 of 1 replicas are available")]);
    object["spec"] = json!({"replicas": 0});
    hold([(object, Current, "no replica is wanted")]);
}

#[test]
fn a_rollout_is_no_loss_and_a_lost_replica_is() {
    after_live(&deployment([3, 3, 1, 1], progressing("True", "NewReplicaSetAvailable")), Degraded);
    after_live(&deployment([2, 2, 2, 2], json!([])), Degraded);
    after_live(&deployment([4, 1, 3, 3], progressing("True", "ReplicaSetUpdated")), InProgress);
}

#[test]
fn a_workload_that_no_controller_looked_at_is_in_progress() {
    for kind in ["Deployment", "StatefulSet", "DaemonSet", "ReplicaSet"] {
        let object = json!({"apiVersion": "apps/v1", "kind": kind, "metadata": {"generation": 1},
            "spec": {"replicas": 0, "paused": true, "updateStrategy": {"type": "OnDelete"}}});
        hold([(object.clone(), InProgress, "has not looked at it yet")]);
        let mut stale = object;
        stale["metadata"]["generation"] = json!(3);
        stale["status"] = json!({"observedGeneration": 2, "desiredNumberScheduled": 0});
        hold([(stale, InProgress, "has seen generation 2, not yet generation 3")]);
    }
}

#[test]
fn a_replica_set_has_all_its_replicas_and_no_more() {
    let set = |replicas: u64, labelled: u64, available: u64| {
        let status = json!({"replicas": replicas, "fullyLabeledReplicas": labelled,
            "readyReplicas": available, "availableReplicas": available});
        seen("apps/v1", "ReplicaSet", json!({"replicas": 2}), status)
    };
    hold([
        (set(2, 2, 2), Current, "all 2 replicas"),
        (set(2, 2, 1), InProgress, "1 of 2 replicas are available"),
        (set(2, 1, 2), InProgress, "1 of 2 replicas bear all labels"),
        (set(3, 3, 3), InProgress, "1 replicas too many"),
    ]);
    after_live(&set(2, 2, 1), Degraded);
}

/// A StatefulSet of three; `revisions` are the current and the new one.
fn stateful(strategy: Value, counts: [u64; 3], revisions: [&str; 2]) -> Value {
    let [ready, updated, current] = counts;
    let status = json!({"replicas": 3, "readyReplicas": ready, "updatedReplicas": updated,
        "currentReplicas": current, "currentRevision": revisions[0], "updateRevision": revisions[1]});
    seen("apps/v1", "StatefulSet", json!({"replicas": 3, "updateStrategy": strategy}), status)
}

#[test]
fn a_stateful_set_is_of_one_revision() {
    let plain = || json!({"type": "RollingUpdate"});
    let mut unavailable = stateful(plain(), [3, 3, 3], ["a", "a"]);
    unavailable["status"]["availableReplicas"] = json!(2);
    hold([
        (stateful(plain(), [3, 3, 3], ["a", "a"]), Current, "all 3 replicas"),
        (stateful(plain(), [1, 3, 3], ["a", "a"]), InProgress, "1 of 3 replicas are ready"),
        (stateful(plain(), [3, 1, 2], ["a", "b"]), InProgress, "1 of 3 replicas are updated"),
        (stateful(plain(), [3, 3, 0], ["a", "b"]), InProgress, "the new revision the current one"),
        (unavailable, InProgress, "2 of 3 replicas are available"),
    ]);
    after_live(&stateful(plain(), [2, 3, 3], ["a", "a"]), Degraded);
    after_live(&stateful(plain(), [2, 1, 2], ["a", "b"]), InProgress);
}

#[test]
fn a_partition_keeps_replicas_of_a_stateful_set_as_they_were() {
    let kept = |count: u64| json!({"rollingUpdate": {"partition": count}});
    hold([
        (stateful(kept(2), [3, 0, 3], ["a", "b"]), InProgress, "0 of 1 replicas are updated"),
        (stateful(kept(2), [3, 1, 2], ["a", "b"]), Current, "the partition keeps 2"),
        (stateful(kept(2), [2, 1, 2], ["a", "b"]), InProgress, "2 of 3 replicas are ready"),
        (stateful(kept(9), [3, 0, 3], ["a", "b"]), Current, "the partition keeps 3"),
    ]);
}

#[test]
fn a_stateful_set_that_is_updated_on_delete_waits_for_readiness_only() {
    let on_delete = || json!({"type": "OnDelete"});
    hold([
        (stateful(on_delete(), [3, 0, 3], ["a", "b"]), Current, "(OnDelete)"),
        (stateful(on_delete(), [2, 0, 3], ["a", "b"]), InProgress, "2 of 3 replicas are ready"),
    ]);
}

fn daemons(strategy: &str, counts: [u64; 4]) -> Value {
    let [current, updated, available, ready] = counts;
    let status = json!({"desiredNumberScheduled": 4, "currentNumberScheduled": current,
        "updatedNumberScheduled": updated, "numberAvailable": available, "numberReady": ready});
    seen("apps/v1", "DaemonSet", json!({"updateStrategy": {"type": strategy}}), status)
}

#[test]
fn a_daemon_set_serves_on_every_node_it_is_for() {
    hold([
        (daemons("RollingUpdate", [4, 4, 4, 4]), Current, "all 4 nodes have a ready Pod"),
        (daemons("RollingUpdate", [4, 2, 4, 4]), InProgress, "2 of 4 nodes are updated"),
        (daemons("RollingUpdate", [3, 4, 3, 3]), InProgress, "3 of 4 nodes have its Pod"),
        (daemons("RollingUpdate", [4, 4, 1, 4]), InProgress, "1 of 4 nodes have an available Pod"),
        (daemons("RollingUpdate", [4, 4, 4, 3]), InProgress, "3 of 4 nodes have a ready Pod"),
        (daemons("OnDelete", [4, 0, 4, 4]), Current, "all 4 nodes"),
        (seen("apps/v1", "DaemonSet", json!({}), json!({})), InProgress, "how many nodes"),
    ]);
    after_live(&daemons("RollingUpdate", [4, 4, 1, 4]), Degraded);
    after_live(&daemons("RollingUpdate", [4, 2, 3, 3]), InProgress);
}

#[test]
fn a_kind_of_another_group_is_not_taken_for_a_workload() {
    let mut object = deployment([3, 3, 3, 3], json!([{"type": "Stalled", "status": "True"}]));
    object["apiVersion"] = json!("example.org/v1");
    assert_eq!(of(&object).state, Failed);
}
