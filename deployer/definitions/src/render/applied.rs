//! Traits, each alone on what the component type rendered.

use serde_json::{Map, Value};
use slipway_plugins::Session;

use super::trait_objects::{Partial, Written};
use super::{Caused, OwnedPath, RenderError, RenderedComponent, base, outputs, target, trait_checks};
use crate::call;
use crate::context;
use crate::manifest::TraitBody;
use crate::object::{ObjectKey, shape};
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
        let target = match target::of(component, attached, body, &rendered.objects) {
            Ok(target) => target,
            Err(violation) => {
                rendered.violations.push(*violation);
                continue;
            }
        };
        let context = shared.with(&rendered.objects[target].object, properties);
        let returned = call::call(session, &attached.definition, context, &attached.path).await?;
        match returned.and_then(|returned| call::verbs(&attached.definition, returned, &attached.path)) {
            Ok(verbs) => {
                take(request, attached, index, verbs, rendered, &mut written);
                own(attached, body, target, rendered);
            }
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

fn take(
    request: &RenderRequest,
    attached: &TraitRequest,
    index: usize,
    verbs: Vec<Verb>,
    rendered: &mut RenderedComponent,
    written: &mut Written,
) {
    let definition = &*attached.definition;
    let phase = definition.manifest().as_trait().map(|body| body.phase).unwrap_or_default();
    for verb in verbs {
        match verb {
            Verb::ObjectApply { mut object } => {
                shape::drop_nulls(&mut object);
                written.push(Partial { index, object });
            }
            Verb::OutputSet(output) => outputs::set(rendered, definition, &output, &attached.path),
            verb => {
                let verb =
                    base::checked_verb(request, definition, verb, &attached.path, &mut rendered.violations);
                rendered.verbs.push(Caused { by: definition.name().to_owned(), phase, verb });
            }
        }
    }
}

/// Notes the fields that the trait's controller writes.
fn own(attached: &TraitRequest, body: &TraitBody, target: usize, rendered: &mut RenderedComponent) {
    let Some(key) = ObjectKey::of(&rendered.objects[target].object) else { return };
    for owned in &body.owns {
        if owned.workload.as_ref().is_none_or(|kind| *kind == key.group_kind()) {
            let by = attached.definition.name().to_owned();
            rendered.owns.push(OwnedPath { by, object: key.clone(), path: owned.path.clone() });
        }
    }
}
