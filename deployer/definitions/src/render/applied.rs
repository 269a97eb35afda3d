//! Traits, each alone on what the component type rendered.

use serde_json::{Map, Value};
use slipway_plugins::Session;
use slipway_types::Violation;

use super::trait_objects::{Partial, Written};
use super::{Caused, OwnedPath, RenderError, RenderedComponent, RenderedObject, outputs, trait_checks};
use crate::call;
use crate::code;
use crate::context;
use crate::manifest::{Applicability, TraitBody};
use crate::object::{GroupKind, ObjectKey, shape};
use crate::request::{ComponentRequest, RenderRequest, TraitRequest};
use crate::verb::Verb;

/// Applies the component's traits to `rendered`, which holds what its type rendered.
pub(super) async fn apply(
    session: &mut Session,
    request: &RenderRequest,
    component: &ComponentRequest,
    rendered: &mut RenderedComponent,
) -> Result<(), RenderError> {
    let mut written = Written::new(rendered.objects.len());
    let shared = SharedContext::of(request, component, rendered);
    for (index, attached) in component.traits.iter().enumerate() {
        let path = format!("{}.properties", attached.path);
        let (properties, wrong) = attached.definition.check_properties(&attached.properties, &path);
        let sound = wrong.is_empty();
        rendered.violations.extend(wrong);
        let body = attached.definition.manifest().as_trait();
        let Some(body) = body.filter(|_| sound && trait_checks::obstacle(component, index).is_none()) else {
            continue;
        };
        let target = match target(component, attached, body, &rendered.objects) {
            Ok(target) => target,
            Err(violation) => {
                rendered.violations.push(violation);
                continue;
            }
        };
        let context = shared.with(&rendered.objects[target].object, properties);
        let returned = call::call(session, &attached.definition, context, &attached.path).await?;
        match returned.and_then(|returned| call::verbs(&attached.definition, returned, &attached.path)) {
            Ok(verbs) => take(attached, body, index, target, verbs, rendered, &mut written),
            Err(violations) => rendered.violations.extend(violations),
        }
    }
    written.settle(request, component, rendered);
    outputs::check(rendered, &component.type_definition);
    Ok(())
}

/// What every trait of a component is told.
struct SharedContext(Map<String, Value>);

impl SharedContext {
    fn of(request: &RenderRequest, component: &ComponentRequest, rendered: &RenderedComponent) -> Self {
        let mut fields = context::of_component(request, component, &Value::Null);
        let names = component.traits.iter().map(|attached| attached.definition.name()).collect();
        fields.insert("traits".to_owned(), names);
        let own = serde_json::json!({"name": component.name, "type": component.type_definition.name()});
        fields.insert("component".to_owned(), own);
        let objects = rendered.objects.iter().map(|rendered| rendered.object.clone()).collect();
        fields.insert("objects".to_owned(), objects);
        Self(fields)
    }

    fn with(&self, workload: &Value, properties: Value) -> Map<String, Value> {
        let mut fields = self.0.clone();
        fields.insert("properties".to_owned(), properties);
        fields.insert("workload".to_owned(), workload.clone());
        fields
    }
}

/// The object that a trait applies to, by its place.
fn target(
    component: &ComponentRequest,
    attached: &TraitRequest,
    body: &TraitBody,
    objects: &[RenderedObject],
) -> Result<usize, Violation> {
    let of_kind = |wanted: &dyn Fn(&GroupKind, &Value) -> bool| -> Vec<usize> {
        let fits = |rendered: &RenderedObject| {
            ObjectKey::of(&rendered.object).is_some_and(|key| wanted(&key.group_kind(), &rendered.object))
        };
        (0..objects.len()).filter(|place| fits(&objects[*place])).collect()
    };
    let definition = &component.type_definition;
    let declared = definition.manifest().as_component().and_then(|body| body.workload.as_ref());
    if let Some(workload) = declared {
        let kind = workload.group_kind();
        let places = of_kind(&|found, _| *found == kind);
        return places.first().copied().ok_or_else(|| {
            call::bad_result(
                definition,
                &component.path,
                &format!("its workload, a {kind}, is not among the objects"),
            )
            .remove(0)
        });
    }
    let kinds: Vec<&GroupKind> = body
        .applies_to
        .iter()
        .filter_map(|applicability| match applicability {
            Applicability::Workload(kind) => Some(kind),
            _ => None,
        })
        .collect();
    let mut places = of_kind(&|found, _| kinds.contains(&found));
    let any = body.applies_to.iter().any(|applicability| match applicability {
        Applicability::Any => true,
        Applicability::Type(name) => definition.answers_to(name.as_str()),
        Applicability::Workload(_) => false,
    });
    if places.is_empty() && any {
        places = of_kind(&|_, object| has_pods(object));
        if places.is_empty() && objects.len() == 1 {
            places.push(0);
        }
    }
    match places[..] {
        [place] => Ok(place),
        [] => {
            let message = format!(
                "{} finds nothing to apply to among the objects of component `{}`",
                attached.definition, component.name
            );
            Err(Violation::new(code::TRAIT_NOT_APPLICABLE, &attached.path, message)
                .hint(trait_checks::applicable(body)))
        }
        _ => {
            let found = places.iter().filter_map(|place| ObjectKey::of(&objects[*place].object));
            let found: Vec<String> = found.map(|key| key.to_string()).collect();
            let message = format!(
                "{} could apply to several objects of component `{}`: {}",
                attached.definition,
                component.name,
                found.join(", ")
            );
            Err(Violation::new(code::AMBIGUOUS_WORKLOAD, &attached.path, message)
                .hint("set in the package's own values what the trait would change, or split the package"))
        }
    }
}

fn has_pods(object: &Value) -> bool {
    ["/spec/template/spec/containers", "/spec/jobTemplate/spec/template/spec/containers"]
        .iter()
        .any(|pointer| object.pointer(pointer).is_some())
}

fn take(
    attached: &TraitRequest,
    body: &TraitBody,
    index: usize,
    target: usize,
    verbs: Vec<Verb>,
    rendered: &mut RenderedComponent,
    written: &mut Written,
) {
    let name = attached.definition.name();
    for verb in verbs {
        match verb {
            Verb::ObjectApply { mut object } => {
                shape::drop_nulls(&mut object);
                written.push(Partial { index, object });
            }
            Verb::OutputSet(output) => outputs::set(rendered, &attached.definition, &output, &attached.path),
            verb => rendered.verbs.push(Caused { by: name.to_owned(), phase: body.phase, verb }),
        }
    }
    let Some(key) = ObjectKey::of(&rendered.objects[target].object) else { return };
    for owned in &body.owns {
        if owned.workload.as_ref().is_none_or(|kind| *kind == key.group_kind()) {
            rendered.owns.push(OwnedPath {
                by: name.to_owned(),
                object: key.clone(),
                path: owned.path.clone(),
            });
        }
    }
}
