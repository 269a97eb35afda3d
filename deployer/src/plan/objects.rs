//! Objects as they are sent: in their namespace, labelled as whose they are, able to pull.

use serde_json::{Value, json};
use slipway_definitions::label;
use slipway_types::{Address, ApplicationName};

/// The Secret by which an application's pods pull.
pub fn pull_secret_name(application: &ApplicationName) -> String {
    format!("slipway-pull-{}-{}", application.team(), application.bare())
}

/// What is written into every object of a revision.
pub(super) struct Dressing<'a> {
    pub(super) application: &'a ApplicationName,
    pub(super) address: &'a Address,
    /// Whether pods get the application's pull secret.
    pub(super) pull_secret: bool,
}

impl Dressing<'_> {
    /// Puts an object of `component` into its namespace, unless it belongs to the whole cluster, and
    /// gives it the labels that say whose it is.
    pub(super) fn dress(&self, component: &str, mut object: Value, cluster_scoped: bool) -> Value {
        if let Some(metadata) = object["metadata"].as_object_mut() {
            if cluster_scoped {
                metadata.remove("namespace");
            } else {
                metadata.insert("namespace".to_owned(), self.address.namespace().into());
            }
            let labels = metadata.entry("labels").or_insert_with(|| json!({}));
            if let Some(labels) = labels.as_object_mut() {
                for (key, value) in self.labels(component) {
                    labels.insert(key.to_owned(), value.into());
                }
            }
        }
        if self.pull_secret {
            give_pull_secret(&mut object, &pull_secret_name(self.application));
        }
        object
    }

    fn labels(&self, component: &str) -> [(&'static str, String); 4] {
        [
            (label::TEAM, self.application.team().to_string()),
            (label::APPLICATION, self.application.bare().to_string()),
            (label::COMPONENT, component.to_owned()),
            (label::STAGE, self.address.stage().to_owned()),
        ]
    }

    /// Whose an object in the cluster is, if not this application's in this stage; `None`: ours.
    pub(super) fn foreign_owner(&self, live: &Value) -> Option<String> {
        let labels = &live["metadata"]["labels"];
        let text = |key: &str| labels[key].as_str();
        let Some(application) = text(label::APPLICATION) else {
            return Some("nobody that Slipway knows".to_owned());
        };
        let team = text(label::TEAM).unwrap_or_default();
        let stage = text(label::STAGE).unwrap_or_default();
        let ours = application == self.application.bare().as_str()
            && team == self.application.team().as_str()
            && stage == self.address.stage();
        (!ours).then(|| format!("{team}/{application} in stage {stage}"))
    }
}

/// Whether an object lies in no namespace.
pub(super) fn is_cluster_scoped(object: &Value, cluster_scoped: &std::collections::BTreeSet<String>) -> bool {
    let text = |field: &str| object[field].as_str().unwrap_or_default();
    cluster_scoped.contains(&format!("{}/{}", text("apiVersion"), text("kind")))
}

/// Adds the pull secret to the pods that an object describes.
fn give_pull_secret(object: &mut Value, name: &str) {
    let kind = object["kind"].as_str().unwrap_or_default();
    let pointer = match kind {
        "Pod" => "/spec",
        "CronJob" => "/spec/jobTemplate/spec/template/spec",
        "Deployment"
        | "StatefulSet"
        | "DaemonSet"
        | "ReplicaSet"
        | "Job"
        | "CloneSet"
        | "AdvancedStatefulSet" => "/spec/template/spec",
        _ => return,
    };
    let Some(pod) = object.pointer_mut(pointer).and_then(Value::as_object_mut) else { return };
    let secrets = pod.entry("imagePullSecrets").or_insert_with(|| json!([]));
    if let Some(list) = secrets.as_array_mut()
        && !list.iter().any(|one| one["name"] == name)
    {
        list.push(json!({"name": name}));
    }
}
