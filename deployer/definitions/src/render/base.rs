//! What the component type renders.

use std::collections::BTreeMap;

use serde_json::Value;
use slipway_plugins::Session;
use slipway_types::Violation;

use super::trait_objects::misplaced_marks;
use super::{Caused, PackageObject, RenderError, RenderedComponent, RenderedObject, SecretUse, outputs};
use crate::call;
use crate::code;
use crate::context;
use crate::definition::Definition;
use crate::manifest::{ComponentBody, Phase, Takes};
use crate::object::shape::{self, is_cluster_scoped};
use crate::object::{ObjectKey, leaves};
use crate::request::{ComponentRequest, RenderRequest};
use crate::verb::Verb;

/// Renders the component's type; whether what it rendered can be built on.
pub(super) async fn render(
    session: &mut Session,
    request: &RenderRequest,
    component: &ComponentRequest,
    rendered: &mut RenderedComponent,
) -> Result<bool, RenderError> {
    let definition = &*component.type_definition;
    let Some(body) = definition.manifest().as_component() else {
        let message = format!("{definition} is no component type");
        rendered.violations.push(Violation::new(code::UNKNOWN_DEFINITION, &component.path, message));
        return Ok(false);
    };
    let (properties, wrong) =
        definition.check_properties(&component.properties, &format!("{}.properties", component.path));
    let sound = wrong.is_empty();
    rendered.violations.extend(wrong);
    let lacking = lacking(component, body, &properties);
    if !sound || lacking.is_some() {
        rendered.violations.extend(lacking);
        return Ok(false);
    }
    let context = context::of_component(request, component, &properties);
    let returned = call::call(session, definition, context, &component.path).await?;
    let verbs = returned.and_then(|returned| call::verbs(definition, returned, &component.path));
    match verbs {
        Ok(verbs) => Ok(take(request, component, rendered, verbs)),
        Err(violations) => {
            rendered.violations.extend(violations);
            Ok(false)
        }
    }
}

/// What the component's package lacks.
fn lacking(component: &ComponentRequest, body: &ComponentBody, properties: &Value) -> Option<Violation> {
    let definition = &component.type_definition;
    let named = properties.get("image").and_then(Value::as_str).is_some_and(|image| !image.is_empty());
    let held = component.package;
    let missing = |code: &str, what: &str, hint: &str| {
        let message = format!("{definition} needs {what}, and the component's package has none");
        Some(Violation::new(code, &component.path, message).hint(hint))
    };
    let nothing = !held.image && !held.chart && !held.files;
    let code = if nothing { code::PACKAGE_NOT_FOUND } else { code::PACKAGE_MISMATCH };
    match body.takes {
        Takes::Image if component.images.is_empty() && !named => missing(
            code::IMAGE_MISSING,
            "an image",
            "name one in `properties.image`, or deploy a component that is built to one",
        ),
        Takes::Chart if !held.chart => missing(code, "a chart", "build the component with the kit `helm`"),
        Takes::Files if !held.files => {
            missing(code, "manifests", "build the component with the kit `kustomize` or `manifests`")
        }
        _ => None,
    }
}

/// Takes in what the definition returned; whether it can be built on.
pub(super) fn take(
    request: &RenderRequest,
    component: &ComponentRequest,
    rendered: &mut RenderedComponent,
    verbs: Vec<Verb>,
) -> bool {
    let definition = &*component.type_definition;
    let before = rendered.violations.len();
    for verb in verbs {
        rendered.awaits_package |= verb.renders_package();
        match verb {
            Verb::ObjectApply { mut object } => {
                shape::drop_nulls(&mut object);
                rendered.objects.push(rendered_object(definition, object, Phase::Main));
            }
            Verb::OutputSet(output) => outputs::set(rendered, definition, &output, &component.path),
            verb => {
                let verb = checked_verb(request, definition, verb, &component.path, &mut rendered.violations);
                rendered.verbs.push(Caused { by: definition.name().to_owned(), phase: Phase::Main, verb });
            }
        }
    }
    let violations = faults(request, component, &rendered.objects, code::BAD_RESULT);
    rendered.violations.extend(violations);
    take_secrets(rendered, 0);
    rendered.violations.len() == before
}

/// Takes in the objects that the caller rendered from the component's package.
pub(super) fn take_package(
    request: &RenderRequest,
    component: &ComponentRequest,
    rendered: &mut RenderedComponent,
    objects: Vec<PackageObject>,
) -> bool {
    let before = rendered.violations.len();
    let first = rendered.objects.len();
    for PackageObject { mut object, phase } in objects {
        shape::drop_nulls(&mut object);
        shape::drop_cluster_fields(&mut object);
        rendered.objects.push(rendered_object(&component.type_definition, object, phase));
    }
    let violations = faults(request, component, &rendered.objects, code::INVALID_OBJECT);
    rendered.violations.extend(violations);
    take_secrets(rendered, first);
    rendered.violations.len() == before
}

/// An object as `definition` rendered it.
pub(crate) fn rendered_object(definition: &Definition, object: Value, phase: Phase) -> RenderedObject {
    let key = ObjectKey::of(&object);
    let declared = |kind: &str| definition.manifest().cluster_scoped.contains(kind);
    let cluster_scoped = key.is_some_and(|key| is_cluster_scoped(&key.group_kind()) || declared(&key.kind));
    RenderedObject {
        object,
        phase,
        cluster_scoped,
        by: definition.name().to_owned(),
        writers: BTreeMap::new(),
    }
}

/// What is wrong with the objects of one component type, together and each for itself.
fn faults(
    request: &RenderRequest,
    component: &ComponentRequest,
    objects: &[RenderedObject],
    code: &str,
) -> Vec<Violation> {
    let definition = &*component.type_definition;
    let mut violations = Vec::new();
    if objects.len() > request.options.max_objects {
        let (is, may) = (objects.len(), request.options.max_objects);
        let message = format!("{definition} renders {is} objects, the limit max_objects is {may}");
        violations.push(Violation::new(code, &component.path, message).hint("split the component"));
        return violations;
    }
    let mut known: Vec<ObjectKey> = Vec::new();
    for rendered in objects {
        violations.extend(object_faults(request, definition, rendered, &component.path, code));
        let Some(key) = ObjectKey::of(&rendered.object) else { continue };
        if known.iter().any(|other| other.is_same_object(&key)) {
            let message = format!("{definition} renders {key} twice");
            violations
                .push(Violation::new(code, &component.path, message).hint("give one of them another name"));
        }
        known.push(key);
    }
    violations
}

/// What is wrong with one object that `definition` rendered.
pub(crate) fn object_faults(
    request: &RenderRequest,
    definition: &Definition,
    rendered: &RenderedObject,
    path: &str,
    code: &str,
) -> Vec<Violation> {
    let object = &rendered.object;
    let key = ObjectKey::of(object);
    let what = key.as_ref().map_or_else(|| "an object".to_owned(), ToString::to_string);
    let mut faults = shape::faults(object, &request.options.object);
    faults.extend(shape::secret_marks(object).1);
    if let Err(duplicate) = leaves::leaves(object) {
        faults.push((duplicate.0.to_string(), "stands twice in its list".to_owned()));
    }
    let mut violations: Vec<Violation> = faults
        .into_iter()
        .map(|(field, why)| {
            let field = if field.is_empty() { String::new() } else { format!("`{field}` ") };
            let message = format!("{definition} renders {what}, of which {field}{why}");
            Violation::new(code, path, message)
                .hint("look at the properties first; else it is a mistake of the definition")
        })
        .collect();
    if code == code::BAD_RESULT {
        violations.extend(misplaced_marks(definition, path, object));
    }
    violations.extend(key.and_then(|key| misplaced(request, definition, rendered, &key, path)));
    violations
}

/// `verb` as it is carried out: without absent fields in the object it holds, which is held to the
/// rules of objects.
pub(crate) fn checked_verb(
    request: &RenderRequest,
    definition: &Definition,
    verb: Verb,
    path: &str,
    violations: &mut Vec<Violation>,
) -> Verb {
    let mut checked = |mut object: Value| {
        shape::drop_nulls(&mut object);
        let rendered = rendered_object(definition, object, Phase::Main);
        violations.extend(object_faults(request, definition, &rendered, path, code::BAD_RESULT));
        rendered.object
    };
    match verb {
        Verb::ObjectApply { object } => Verb::ObjectApply { object: checked(object) },
        Verb::JobRun { object } => Verb::JobRun { object: checked(object) },
        other => other,
    }
}

/// An object outside the environment's namespace.
fn misplaced(
    request: &RenderRequest,
    definition: &Definition,
    rendered: &RenderedObject,
    key: &ObjectKey,
    path: &str,
) -> Option<Violation> {
    let declared = &definition.manifest().cluster_scoped;
    if rendered.cluster_scoped {
        let allowed = declared.contains(&key.kind) || declared.contains("*");
        return (!allowed).then(|| {
            let message = format!(
                "{definition} renders {key}, which belongs to the whole cluster and not to a namespace"
            );
            Violation::new(code::CLUSTER_SCOPED_OBJECT, path, message)
                .hint(format!("its definition.yaml must say so: `clusterScoped: [{}]`", key.kind))
        });
    }
    let namespace = rendered.object.pointer("/metadata/namespace")?.as_str().unwrap_or_default();
    let own = request.environment.address.namespace();
    (namespace != own).then(|| {
        let message = format!(
            "{definition} renders {key} in the namespace `{}`, and {} deploys to `{own}`",
            crate::suggestion::shortened(namespace),
            request.environment.name
        );
        Violation::new(code::UNREGISTERED_ENVIRONMENT, path, message)
            .hint("leave the namespace out, or deploy to an environment of that namespace")
    })
}

/// Notes the secrets that objects name, from the `first` object on.
pub(super) fn take_secrets(rendered: &mut RenderedComponent, first: usize) {
    for object in &rendered.objects[first..] {
        let Some(key) = ObjectKey::of(&object.object) else { continue };
        let (marks, _) = shape::secret_marks(&object.object);
        rendered.secrets.extend(marks.into_iter().map(|mark| SecretUse {
            object: key.clone(),
            path: mark.path,
            reference: mark.reference,
        }));
    }
}
