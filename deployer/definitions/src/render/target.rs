//! The object of a component that a trait applies to.

use serde_json::Value;
use slipway_types::Violation;

use super::{RenderedObject, trait_checks};
use crate::call;
use crate::code;
use crate::manifest::{Applicability, TraitBody, WorkloadKind};
use crate::object::{GroupKind, ObjectKey};
use crate::request::{ComponentRequest, TraitRequest};

/// The place of the object that the trait applies to: the workload that the component's type declares,
/// else the one object of the package that the trait's `appliesTo` names.
pub(super) fn of(
    component: &ComponentRequest,
    attached: &TraitRequest,
    body: &TraitBody,
    objects: &[RenderedObject],
) -> Result<usize, Box<Violation>> {
    let declared = component.type_definition.manifest().as_component();
    if let Some(workload) = declared.and_then(|body| body.workload.as_ref()) {
        return of_declared(component, workload, objects);
    }
    match in_package(component, body, objects)[..] {
        [place] => Ok(place),
        [] => {
            let message = format!(
                "{} finds nothing to apply to among the objects of component `{}`",
                attached.definition, component.name
            );
            let violation = Violation::new(code::TRAIT_NOT_APPLICABLE, &attached.path, message);
            Err(Box::new(violation.hint(trait_checks::applicable(body))))
        }
        ref several => Err(Box::new(ambiguous(component, attached, several, objects))),
    }
}

fn of_declared(
    component: &ComponentRequest,
    workload: &WorkloadKind,
    objects: &[RenderedObject],
) -> Result<usize, Box<Violation>> {
    let kind = workload.group_kind();
    places(objects, |found, _| *found == kind).first().copied().ok_or_else(|| {
        let why = format!("its workload, {kind}, is not among the objects");
        Box::new(call::bad_result(&component.type_definition, &component.path, &why).remove(0))
    })
}

fn in_package(component: &ComponentRequest, body: &TraitBody, objects: &[RenderedObject]) -> Vec<usize> {
    let named = |found: &GroupKind| {
        body.applies_to.iter().any(|applicability| match applicability {
            Applicability::Workload(kind) => kind == found,
            _ => false,
        })
    };
    let whole = body.applies_to.iter().any(|applicability| match applicability {
        Applicability::Any => true,
        Applicability::Type(name) => component.type_definition.answers_to(name.as_str()),
        Applicability::Workload(_) => false,
    });
    let mut found = places(objects, |kind, _| named(kind));
    if found.is_empty() && whole {
        found = places(objects, |_, object| has_pods(object));
    }
    if found.is_empty() && whole && objects.len() == 1 {
        found.push(0);
    }
    found
}

fn places(objects: &[RenderedObject], fits: impl Fn(&GroupKind, &Value) -> bool) -> Vec<usize> {
    let fitting = |rendered: &RenderedObject| {
        ObjectKey::of(&rendered.object).is_some_and(|key| fits(&key.group_kind(), &rendered.object))
    };
    (0..objects.len()).filter(|place| fitting(&objects[*place])).collect()
}

fn has_pods(object: &Value) -> bool {
    ["/spec/template/spec/containers", "/spec/jobTemplate/spec/template/spec/containers"]
        .iter()
        .any(|pointer| object.pointer(pointer).is_some())
}

fn ambiguous(
    component: &ComponentRequest,
    attached: &TraitRequest,
    places: &[usize],
    objects: &[RenderedObject],
) -> Violation {
    let found = places.iter().filter_map(|place| ObjectKey::of(&objects[*place].object));
    let found: Vec<String> = found.map(|key| key.to_string()).collect();
    let message = format!(
        "{} could apply to several objects of component `{}`: {}",
        attached.definition,
        component.name,
        found.join(", ")
    );
    Violation::new(code::AMBIGUOUS_WORKLOAD, &attached.path, message)
        .hint("set in the package's own values what the trait would change, or split the package")
}
