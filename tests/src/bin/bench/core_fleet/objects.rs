//! What an application of the fleet consists of: ten objects that need no pod.

use std::fmt::Write as _;

use serde_json::{Value, json};

/// Objects of each application.
pub(super) const COUNT: usize = 10;
/// Deployments among them.
pub(super) const DEPLOYMENTS: usize = 2;

/// Four ConfigMaps, two Services, two Deployments without replicas, a Secret and a Role.
pub(super) fn of(application: &str) -> Vec<Value> {
    let metadata = |name: &str| json!({"name": format!("{name}-{application}")});
    let mut objects: Vec<Value> = (1..=4)
        .map(|number| {
            json!({
                "apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata(&format!("settings-{number}")),
                "data": {"currency": "EUR", "size": number.to_string()},
            })
        })
        .collect();
    for number in 1..=2 {
        let (metadata, app) = (metadata(&format!("web-{number}")), format!("web-{number}-{application}"));
        objects.push(json!({
            "apiVersion": "v1", "kind": "Service", "metadata": metadata,
            "spec": {"selector": {"app": app}, "ports": [{"port": 80, "protocol": "TCP"}]},
        }));
        objects.push(json!({
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata,
            "spec": {
                "replicas": 0,
                "selector": {"matchLabels": {"app": app}},
                "template": {
                    "metadata": {"labels": {"app": app}},
                    // A replica that somebody asks for is there, and never starts.
                    "spec": {
                        "nodeSelector": {"slipway.test/bench": "nowhere"},
                        "containers": [{"name": "web", "image": "registry.invalid/none"}],
                    },
                },
            },
        }));
    }
    objects.push(json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": metadata("access"), "stringData": {"token": "bench"},
    }));
    objects.push(json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": metadata("reader"),
        "rules": [{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get"]}],
    }));
    objects
}

/// The same as developers write them.
pub(super) fn file(application: &str) -> String {
    of(application).iter().fold(String::new(), |mut text, object| {
        write!(text, "---\n{object}\n").expect("text");
        text
    })
}
