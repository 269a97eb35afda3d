//! Documents that are no operator's file, and what to write instead.

use slipway_yaml::Node;

use crate::code;
use crate::decode::{nearest, present};

/// Whether an ApplicationConfiguration of v1alpha2 is OAM's own: it names Component objects, where
/// AppManager's names packages.
pub(super) fn is_oam_pair(root: &Node) -> bool {
    let components = root.pointer("/spec/components").map(Node::items).unwrap_or_default();
    components.iter().any(|component| {
        present(component, "componentName").is_some() && present(component, "revisionName").is_none()
    })
}

/// The code and the way out for a document of `version` and `kind`.
pub(super) fn refusal(version: &str, kind: &str) -> (&'static str, String) {
    const APPLICATION: &str = "an Application of core.oam.dev/v1beta1";
    let unsupported = |hint: String| (code::UNSUPPORTED_API_VERSION, hint);
    let other = |hint: String| (code::NOT_AN_APPLICATION, hint);
    match (version, kind) {
        ("core.oam.dev/v1alpha1", "Policy") => {
            unsupported("write the policy into `spec.policies` of the Application".to_owned())
        }
        ("core.oam.dev/v1alpha1", "Workflow" | "WorkflowRun") => {
            unsupported("write the steps into `spec.workflow.steps` of the Application".to_owned())
        }
        ("core.oam.dev/v1alpha1", "ComponentSchematic") => unsupported(format!(
            "write {APPLICATION}: Server is the type `webservice`, Worker `worker`, Task `task`; the container's \
             image, env and ports become `properties`"
        )),
        ("core.oam.dev/v1alpha1", _) => unsupported(format!(
            "write {APPLICATION}: `componentName` becomes `name`, parameter values become `properties`, a trait's \
             `name` becomes `type`"
        )),
        ("core.oam.dev/v1alpha2", "Application") => unsupported(format!(
            "write {APPLICATION}: `settings` becomes `properties`, a trait's `name` becomes `type`"
        )),
        ("core.oam.dev/v1alpha2", "Component" | "ApplicationConfiguration") => unsupported(format!(
            "only AppManager's form of this version is read, with `revisionName: TYPE|name|version`; write \
             {APPLICATION}, where each component has its `type`, `properties` and `traits`"
        )),
        (_, kind) if kind.ends_with("Definition") => {
            other("definitions are installed, not deployed: see `slipway definition install`".to_owned())
        }
        (version, "Application" | "ApplicationConfiguration") if version.contains("oam.dev/") => {
            unsupported(format!("write {APPLICATION}"))
        }
        (version, "Application") if nearest(version, ["core.oam.dev/v1beta1"]).is_some() => {
            unsupported("did you mean `core.oam.dev/v1beta1`?".to_owned())
        }
        ("core.oam.dev/v1beta1", kind) if nearest(kind, ["Application"]).is_some() => {
            other("did you mean `Application`?".to_owned())
        }
        _ => other(format!(
            "an operator's file holds {APPLICATION}; a component of type `manifests` takes other objects"
        )),
    }
}
