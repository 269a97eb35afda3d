//! What becomes of a canary by way of two stages: it goes on, breaks half-way, or is stopped.

use serde_json::{Value, json};
use slipway_tests::namespace::Namespace;

use crate::flow::place;
use crate::ground::document;

/// Where a person looks at the canary, and must be another than who made the deployment.
const LOOK: &str = "step.look";
/// Where a person looks once more: one of two components is new, the other as before.
const AGAIN: &str = "step.again";

/// What becomes of a deployment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Course {
    /// Another person lets it go on twice, and it is live.
    Resumed,
    /// It is let on once; then a node fails, and what needs it is skipped.
    Failed,
    /// It is let on once; then a node runs out of time, and what needs it is skipped.
    TimedOut,
    /// A person stops it where the canary is looked at.
    StoppedAtLook,
    /// It is let on once; then a person stops it half-way.
    StoppedHalfWay,
}

impl Course {
    /// That of a round, such that nodes come to the state that is wanted.
    pub(super) fn of(round: usize, wanted: Option<&str>) -> Self {
        let all: &[Self] = match wanted {
            Some("failed") => &[Self::Failed],
            Some("timed_out") => &[Self::TimedOut],
            Some("skipped") => &[Self::Failed, Self::TimedOut],
            Some("terminated") => &[Self::StoppedAtLook, Self::StoppedHalfWay],
            _ => &[
                Self::Resumed,
                Self::Failed,
                Self::StoppedAtLook,
                Self::Resumed,
                Self::TimedOut,
                Self::StoppedHalfWay,
            ],
        };
        all[round % all.len()]
    }

    /// The states in which its deployment ends. What is live may be looked at while its cluster is away.
    pub(super) fn ends(self) -> &'static [&'static str] {
        match self {
            Self::Resumed => &["live", "degraded", "unreachable"],
            Self::Failed => &["failed"],
            Self::TimedOut => &["timed_out"],
            Self::StoppedAtLook | Self::StoppedHalfWay => &["terminated"],
        }
    }

    /// Whether it goes past where the canary is looked at.
    pub(super) fn is_let_on(self) -> bool {
        self != Self::StoppedAtLook
    }

    /// The operator's file: staging, then in `prod` a canary and one of two components, then the other. `passing`
    /// is a ConfigMap of this round alone.
    pub(super) fn document(self, staging: &Namespace, prod: &Namespace, passing: Option<&str>) -> Value {
        let components: Vec<Value> = passing.map(config_map).into_iter().collect();
        let half = json!({"component": "settings", "cluster": "test", "namespace": prod.name});
        let again =
            json!({"name": "again", "type": "suspend", "properties": {"message": "Is it well still?"}});
        let then = match self {
            Self::Resumed | Self::StoppedAtLook | Self::StoppedHalfWay => again,
            // A text and a number have no sum.
            Self::Failed => await_settings("object.data.page + 1 == 2", "10m"),
            Self::TimedOut => await_settings("object.data.page == 'nobody'", "3s"),
        };
        document(&json!({
            "components": components,
            "policies": [place("to-staging", staging), place("to-prod", prod)],
            "workflow": {"steps": [
                {"name": "test", "type": "deploy", "properties": {"policies": ["to-staging"]}},
                {"name": "try", "type": "canary", "properties": {"component": "web", "replicas": 1}},
                {"name": "look", "type": "approval", "properties": {"message": "Is the canary well?"}},
                {"name": "half", "type": "apply-component", "properties": half},
                then,
                {"name": "roll", "type": "deploy", "properties": {"policies": ["to-prod"]}},
            ]},
        }))
    }

    /// What a person says of deployment `id` while `node` is held.
    pub(super) fn said<'a>(self, node: &'a str, id: &'a str) -> Vec<&'a str> {
        match (self, node) {
            (Self::StoppedAtLook, LOOK) | (Self::StoppedHalfWay, AGAIN) => {
                vec!["deploy", "terminate", id, "--yes"]
            }
            _ => vec!["deploy", "resume", id, "--node", node, "--reason", "it is well"],
        }
    }
}

/// A component that is one ConfigMap.
fn config_map(name: &str) -> Value {
    let object = json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name},
        "data": {"name": name},
    });
    json!({"name": name, "type": "manifests", "properties": {"objects": [object]}})
}

/// A step that waits for the ConfigMap of the component `settings`.
fn await_settings(until: &str, timeout: &str) -> Value {
    json!({
        "name": "check",
        "type": "wait-for",
        "timeout": timeout,
        "properties": {"apiVersion": "v1", "kind": "ConfigMap", "name": "shop-settings", "until": until},
    })
}
