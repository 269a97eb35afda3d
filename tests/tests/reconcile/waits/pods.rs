//! Pods that never come to run, or never end.

use serde_json::json;

use super::case::{Case, hold, objects, overtake, web};

/// Pods that never run.
fn never_run() -> [Case; 5] {
    [
        Case::new("pulls", &["image"], |_| {
            let properties = json!({"image": "127.0.0.1:1/nobody/nothing:1"});
            json!({"components": [{"name": "extra", "type": "worker", "properties": properties}]})
        }),
        Case::new("probe", &["ready", "available"], |_| {
            web(&json!({"probes": {"ready": {"exec": ["/bin/busybox", "false"]}}}))
        }),
        Case::new("crash", &["crashloopbackoff", "restart", "exit"], |_| {
            web(&json!({"cmd": ["/bin/busybox", "false"]}))
        }),
        Case::new("mount", &["absent", "available"], |_| {
            let absent = json!({"name": "absent", "mountPath": "/absent", "secretName": "absent"});
            web(&json!({"volumeMounts": {"secret": [absent]}}))
        }),
        Case::new("job", &["endless"], |seed| {
            let container =
                json!({"name": "main", "image": seed.image, "command": ["/bin/busybox", "sleep", "100000"]});
            let pod = json!({"restartPolicy": "Never", "containers": [container]});
            objects(&json!([{
                "apiVersion": "batch/v1",
                "kind": "Job",
                "metadata": {"name": "endless"},
                "spec": {"backoffLimit": 0, "template": {"spec": pod}},
            }]))
        }),
    ]
}

#[test]
fn pods_that_never_run_end_by_their_deadline_and_a_fix_goes_through() {
    hold(&never_run(), &[]);
}

#[test]
fn a_fix_goes_through_while_pods_that_never_run_are_waited_for() {
    overtake(&never_run());
}

/// Pods that nobody may make.
pub(super) fn nobody_may_make() -> [Case; 2] {
    let account = Case::new("account", &["nobody", "service account", "serviceaccount"], |_| {
        let nobody = json!({"type": "service-account", "properties": {"name": "nobody"}});
        json!({"components": [{"name": "web", "traits": [nobody]}]})
    });
    let quota = Case {
        before: |space| drop(space.kubectl(&["create", "quota", "none", "--hard=pods=0"])),
        mend: |space| drop(space.kubectl(&["delete", "resourcequota", "none"])),
        ..Case::new("few", &["quota"], |_| json!({"components": []}))
    };
    [account, quota]
}

#[test]
fn pods_that_nobody_may_make_end_by_their_deadline_and_a_fix_goes_through() {
    hold(&nobody_may_make(), &[]);
}
