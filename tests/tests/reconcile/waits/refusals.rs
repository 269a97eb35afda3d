//! Writes that the cluster takes none of.

use std::time::Duration;

use serde_json::json;
use slipway_tests::namespace::Namespace;
use slipway_tests::wait;

use super::case::{Case, hold, overtake};
use super::objects::nobody_serves;
use super::pods::nobody_may_make;
use crate::cluster::make;

/// How long the cluster may take to do as it is told.
const DONE_WITHIN: Duration = Duration::from_secs(90);
const LABEL: &str = "slipway.test/space";
/// Holds an object that is deleted until somebody takes it away.
const FINALIZER: &str = "slipway.test/stuck";

/// Whether a Deployment could be made now, or why not.
fn takes_deployments(space: &Namespace) -> Result<(), String> {
    let create = ["create", "deployment", "try", "--image=try", "--dry-run=server"];
    space.try_kubectl(&create).map(drop)
}

/// Has a webhook asked about every Deployment of the namespace, at an address where nobody is.
fn ask_nobody(space: &Namespace) {
    space.kubectl(&["label", "namespace", &space.name, &format!("{LABEL}={}", space.name)]);
    let rule = json!({
        "apiGroups": ["apps"],
        "apiVersions": ["v1"],
        "operations": ["CREATE", "UPDATE"],
        "resources": ["deployments"],
    });
    let webhook = json!({
        "name": "nobody.slipway.test",
        "rules": [rule],
        "clientConfig": {"url": "https://127.0.0.1:1/"},
        "namespaceSelector": {"matchLabels": {LABEL: space.name}},
        "admissionReviewVersions": ["v1"],
        "sideEffects": "None",
        "failurePolicy": "Fail",
        "timeoutSeconds": 1,
    });
    make(
        space,
        &json!({
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "ValidatingWebhookConfiguration",
            "metadata": {"name": space.name},
            "webhooks": [webhook],
        }),
    );
    wait::until("the webhook is asked", DONE_WITHIN, || match takes_deployments(space) {
        Ok(()) => Err("Deployments are taken"),
        Err(_) => Ok(()),
    });
}

fn forget_webhook(space: &Namespace) {
    drop(space.try_kubectl(&["delete", "validatingwebhookconfiguration", &space.name, "--ignore-not-found"]));
}

fn ask_no_more(space: &Namespace) {
    forget_webhook(space);
    wait::until("Deployments are taken", DONE_WITHIN, || takes_deployments(space));
}

/// Deletes the namespace, which is held by one object.
fn delete_namespace(space: &Namespace) {
    make(
        space,
        &json!({
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "stuck", "finalizers": [FINALIZER]},
        }),
    );
    space.kubectl(&["delete", "namespace", &space.name, "--wait=false"]);
    wait::until("the namespace is terminating", DONE_WITHIN, || {
        let phase = space.kubectl(&["get", "namespace", &space.name, "--output", "jsonpath={.status.phase}"]);
        if phase == "Terminating" { Ok(()) } else { Err(phase) }
    });
}

fn let_go(space: &Namespace) {
    let patch = json!({"metadata": {"finalizers": null}}).to_string();
    drop(space.try_kubectl(&["patch", "configmap", "stuck", "--type=merge", "--patch", &patch]));
}

/// Makes the namespace anew.
fn renew_namespace(space: &Namespace) {
    let_go(space);
    wait::until("the namespace is gone", DONE_WITHIN, || {
        let found = space.kubectl(&["get", "namespace", &space.name, "--ignore-not-found"]);
        if found.trim().is_empty() { Ok(()) } else { Err(found) }
    });
    space.kubectl(&["create", "namespace", &space.name]);
}

/// Every Deployment is refused.
fn hooked() -> Case {
    Case {
        obstruct: ask_nobody,
        mend: ask_no_more,
        clear: forget_webhook,
        ..Case::new("hooked", &["webhook"], |_| json!({"components": []}))
    }
}

#[test]
fn writes_that_the_cluster_refuses_end_by_their_deadline_and_a_fix_goes_through() {
    let terminating = Case {
        obstruct: delete_namespace,
        mend: renew_namespace,
        clear: let_go,
        // Its pull secret comes first, and that cannot be written either.
        ends: &["failed", "timed_out", "broken"],
        ..Case::new("ending", &["terminat"], |_| json!({"components": []}))
    };
    hold(&[hooked(), terminating], &[("SLIPWAY__DEPLOY__DEADLINE_MINUTES", "2")]);
}

#[test]
fn a_fix_goes_through_while_what_is_refused_or_driven_by_nobody_is_waited_for() {
    let cases: Vec<Case> = nobody_may_make().into_iter().chain(nobody_serves()).chain([hooked()]).collect();
    overtake(&cases);
}
