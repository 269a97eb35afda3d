//! What can be said of a component's traits before any is called.

use slipway_types::Violation;

use crate::code;
use crate::definition::Definition;
use crate::manifest::{Applicability, TraitBody, WorkloadKind};
use crate::object::GroupKind;
use crate::request::{ComponentRequest, RenderRequest, TraitRequest};

/// Everything that is wrong by declaration alone.
pub(super) fn declared(request: &RenderRequest, component: &ComponentRequest) -> Vec<Violation> {
    let mut violations = unmet(request, &component.type_definition, &component.path);
    for (index, attached) in component.traits.iter().enumerate() {
        violations.extend(unmet(request, &attached.definition, &attached.path));
        violations.extend(obstacle(component, index));
    }
    violations
}

/// Why the trait at `index` cannot be applied, as far as declarations tell.
pub(super) fn obstacle(component: &ComponentRequest, index: usize) -> Option<Violation> {
    let attached = &component.traits[index];
    let Some(body) = attached.definition.manifest().as_trait() else {
        let message = format!("{} is no trait", attached.definition);
        return Some(Violation::new(code::UNKNOWN_DEFINITION, &attached.path, message));
    };
    let before = &component.traits[..index];
    not_applicable(component, attached, body)
        .or_else(|| twice(component, attached, body, before))
        .or_else(|| before.iter().find_map(|other| conflict(component, attached, other)))
}

fn not_applicable(
    component: &ComponentRequest,
    attached: &TraitRequest,
    body: &TraitBody,
) -> Option<Violation> {
    let definition = &*component.type_definition;
    let workload = definition.manifest().as_component()?.workload.as_ref().map(WorkloadKind::group_kind);
    if applies(body, definition, workload.as_ref()) {
        return None;
    }
    let rendering = workload.map_or_else(String::new, |workload| format!(", which renders {workload}"));
    let message = format!(
        "{} does not apply to component `{}` of {definition}{rendering}",
        attached.definition, component.name
    );
    Some(Violation::new(code::TRAIT_NOT_APPLICABLE, &attached.path, message).hint(applicable(body)))
}

/// Whether a trait applies to a component of this type with this workload. A component whose
/// workload comes with its package is told apart later.
fn applies(body: &TraitBody, definition: &Definition, workload: Option<&GroupKind>) -> bool {
    body.applies_to.iter().any(|applicability| match applicability {
        Applicability::Any => true,
        Applicability::Type(name) => definition.answers_to(name.as_str()),
        Applicability::Workload(kind) => workload.is_none_or(|workload| workload == kind),
    })
}

/// What a trait applies to, for people.
pub(super) fn applicable(body: &TraitBody) -> String {
    let names: Vec<String> = body
        .applies_to
        .iter()
        .map(|applicability| match applicability {
            Applicability::Any => "everything".to_owned(),
            Applicability::Type(name) => format!("`{name}`"),
            Applicability::Workload(kind) => format!("`{kind}`"),
        })
        .collect();
    format!("remove it; it applies to {}", names.join(", "))
}

fn twice(
    component: &ComponentRequest,
    attached: &TraitRequest,
    body: &TraitBody,
    before: &[TraitRequest],
) -> Option<Violation> {
    let same = before.iter().any(|other| other.definition.name() == attached.definition.name());
    (same && !body.repeatable).then(|| {
        let message =
            format!("component `{}` has the trait `{}` twice", component.name, attached.definition.name());
        Violation::new(code::DUPLICATE_NAME, &attached.path, message).hint("put what both say into one")
    })
}

fn conflict(
    component: &ComponentRequest,
    attached: &TraitRequest,
    other: &TraitRequest,
) -> Option<Violation> {
    let declares = |one: &TraitRequest, against: &TraitRequest| {
        let body = one.definition.manifest().as_trait();
        body.is_some_and(|body| {
            body.conflicts_with.iter().any(|name| against.definition.answers_to(name.as_str()))
        })
    };
    let declaring = if declares(attached, other) {
        attached
    } else if declares(other, attached) {
        other
    } else {
        return None;
    };
    let message = format!(
        "{} and {} cannot both stand on component `{}`: {} declares the conflict",
        other.definition, attached.definition, component.name, declaring.definition
    );
    Some(Violation::new(code::TRAIT_CONFLICT, &attached.path, message).hint("remove one of the two"))
}

/// What `definition` requires of the cluster and does not find.
pub(crate) fn unmet(request: &RenderRequest, definition: &Definition, path: &str) -> Vec<Violation> {
    let requirements = definition.manifest().requires.iter();
    requirements
        .filter(|requirement| !request.cluster.serves(&requirement.api_version, &requirement.kind))
        .map(|requirement| {
            let cluster = request.environment.address.cluster();
            let message = format!(
                "{definition} needs {} {}, which the cluster `{cluster}` does not serve",
                requirement.api_version, requirement.kind
            );
            let hint = match &requirement.install {
                Some(install) => format!("install it there: {install}"),
                None => install_hint(&requirement.api_version, cluster),
            };
            Violation::new(code::REQUIREMENT_MISSING, path, message).hint(hint)
        })
        .collect()
}

/// What usually brings the kinds of a group.
pub(super) fn install_hint(api_version: &str, cluster: &str) -> String {
    let group = api_version.rsplit_once('/').map_or("", |(group, _)| group);
    let product = match group {
        "apps.kruise.io" | "policy.kruise.io" => Some("OpenKruise"),
        "rollouts.kruise.io" => Some("Kruise Rollouts"),
        "autoscaling.alibabacloud.com" => Some("kubernetes-cronhpa-controller"),
        "gateway.networking.k8s.io" => Some("the Gateway API"),
        "monitoring.coreos.com" => Some("the Prometheus operator"),
        "cert-manager.io" => Some("cert-manager"),
        "snapshot.storage.k8s.io" => Some("the CSI snapshot controller"),
        _ => None,
    };
    match product {
        Some(product) => {
            format!("install {product} on `{cluster}`, then run `slipway cluster check {cluster}`")
        }
        None if group.is_empty() || !group.contains('.') || group.ends_with(".k8s.io") => {
            format!(
                "`{cluster}` runs another version of Kubernetes than this needs; take an environment on another cluster"
            )
        }
        None => format!(
            "install what serves `{group}` on `{cluster}`, then run `slipway cluster check {cluster}`"
        ),
    }
}
