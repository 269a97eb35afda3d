//! What each kind of object must show to be as wanted.

mod custom;
mod fixed;
mod jobs;
mod kruise;
mod network;
mod platform;
mod pod;
mod scaling;
mod storage;
mod workloads;

use crate::fields::Object;
use crate::object::Health;

/// Where an object stands by the rules of its kind; its deletion and its generation are already looked at.
pub(crate) fn judge(object: &Object<'_>) -> Health {
    let (group, kind) = object.group_kind();
    match (group, kind) {
        ("apps" | "extensions", "Deployment") => workloads::deployment(object),
        ("apps" | "extensions", "ReplicaSet") | ("", "ReplicationController") => {
            workloads::replica_set(object)
        }
        ("apps", "StatefulSet") => workloads::stateful_set(object),
        ("apps" | "extensions", "DaemonSet") => workloads::daemon_set(object),
        ("apps.kruise.io", "CloneSet") => kruise::clone_set(object),
        ("apps.kruise.io", "StatefulSet") => kruise::stateful_set(object),
        ("apps.kruise.io", "DaemonSet") => kruise::daemon_set(object),
        ("apps.kruise.io", "SidecarSet") => kruise::sidecar_set(object),
        ("batch", "Job") => jobs::job(object),
        ("batch", "CronJob") => jobs::cron_job(object),
        ("", "Pod") => pod::pod(object),
        ("", "Service") => network::service(object),
        ("networking.k8s.io" | "extensions", "Ingress") => network::ingress(),
        ("", "PersistentVolumeClaim") => storage::claim(object),
        ("", "PersistentVolume") => storage::volume(object),
        ("", "Namespace") => platform::namespace(object),
        ("apiextensions.k8s.io", "CustomResourceDefinition") => platform::definition(object),
        ("apiregistration.k8s.io", "APIService") => platform::api_service(object),
        ("policy", "PodDisruptionBudget") => scaling::disruption_budget(object),
        ("autoscaling", "HorizontalPodAutoscaler") => scaling::autoscaler(object),
        _ if fixed::is_fixed(group, kind) => Health::current("it exists"),
        _ => custom::custom(object),
    }
}

/// The controllers of these kinds always say which generation they saw: silence is not consent.
fn not_looked_at(object: &Object<'_>) -> Option<Health> {
    object.number("/status/observedGeneration").is_none().then(|| {
        Health::in_progress("its controller has not looked at it yet: status.observedGeneration is missing")
    })
}

#[cfg(test)]
pub(crate) mod cases {
    //! Tables of objects and what is said of them.

    use serde_json::{Value, json};

    use crate::object::{ObjectState, of, of_object};

    /// An object whose controller has seen what is wanted.
    pub(crate) fn seen(api_version: &str, kind: &str, spec: Value, status: Value) -> Value {
        let mut object = json!({"apiVersion": api_version, "kind": kind,
            "metadata": {"name": "x", "generation": 2}, "spec": spec, "status": status});
        object["status"]["observedGeneration"] = json!(2);
        object
    }

    /// Each object of `table` stands so, and its reason contains these words.
    pub(crate) fn hold(table: impl IntoIterator<Item = (Value, ObjectState, &'static str)>) {
        for (object, state, words) in table {
            let health = of(&object);
            assert_eq!(health.state, state, "{}\n{object}", health.reason);
            assert!(health.reason.contains(words), "`{}` lacks `{words}`\n{object}", health.reason);
        }
    }

    /// `object` is in progress before it was live, and so afterwards.
    pub(crate) fn after_live(object: &Value, state: ObjectState) {
        assert_eq!(of(object).state, ObjectState::InProgress, "{object}");
        assert_eq!(of_object(object, true).state, state, "{object}");
    }
}
