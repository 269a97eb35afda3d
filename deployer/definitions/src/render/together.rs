//! The components of an application held against each other and against the cluster.

use std::collections::BTreeSet;

use serde_json::Value;
use slipway_types::Violation;

use super::trait_checks::install_hint;
use super::{RenderedComponent, RenderedObject};
use crate::code;
use crate::object::{GroupKind, ObjectKey};
use crate::request::RenderRequest;
use crate::verb::Verb;

/// Adds to each component what is wrong once all are whole: objects that two components render, kinds
/// that the cluster does not serve and that no component brings.
pub fn check_together(request: &RenderRequest, rendered: &mut [RenderedComponent]) {
    let brought: BTreeSet<GroupKind> = rendered
        .iter()
        .flat_map(|component| &component.objects)
        .filter_map(|object| brings(&object.object))
        .collect();
    let mut known: Vec<(ObjectKey, String)> = Vec::new();
    for component in rendered {
        let mut violations = unserved(request, component, &brought);
        let own = component.objects.iter().filter_map(|object| ObjectKey::of(&object.object));
        for key in own {
            if let Some((_, holder)) = known.iter().find(|(other, _)| other.is_same_object(&key)) {
                let message = format!("components `{holder}` and `{}` both render {key}", component.name);
                let hint = "give it another name in one of them";
                violations.push(Violation::new(code::DUPLICATE_OBJECT, &component.path, message).hint(hint));
            } else {
                known.push((key, component.name.clone()));
            }
        }
        component.violations.extend(violations);
    }
}

/// The kind that a CustomResourceDefinition brings.
fn brings(object: &Value) -> Option<GroupKind> {
    let text = |pointer: &str| object.pointer(pointer)?.as_str();
    (text("/kind")? == "CustomResourceDefinition").then_some(())?;
    Some(GroupKind { group: text("/spec/group")?.to_owned(), kind: text("/spec/names/kind")?.to_owned() })
}

fn unserved(
    request: &RenderRequest,
    component: &RenderedComponent,
    brought: &BTreeSet<GroupKind>,
) -> Vec<Violation> {
    let objects = component
        .objects
        .iter()
        .filter_map(|rendered| Some((rendered_by(rendered), ObjectKey::of(&rendered.object)?)));
    let jobs = component.verbs.iter().filter_map(|caused| match &caused.verb {
        Verb::JobRun { object } => Some((caused.by.as_str(), ObjectKey::of(object)?)),
        _ => None,
    });
    let mut told = BTreeSet::new();
    let mut violations = Vec::new();
    for (by, key) in objects.chain(jobs) {
        let served =
            request.cluster.serves(&key.api_version, &key.kind) || brought.contains(&key.group_kind());
        if served || !told.insert((key.api_version.clone(), key.kind.clone())) {
            continue;
        }
        let cluster = request.environment.address.cluster();
        let message = format!(
            "`{by}` renders {key} of {}, which the cluster `{cluster}` does not serve",
            key.api_version
        );
        let hint = install_hint(&key.api_version, cluster);
        violations.push(Violation::new(code::REQUIREMENT_MISSING, &component.path, message).hint(hint));
    }
    violations
}

fn rendered_by(rendered: &RenderedObject) -> &str {
    &rendered.by
}
