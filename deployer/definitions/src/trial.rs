//! One definition called alone, as `definition try` and its examples do.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::Serialize;
use serde_json::{Map, Value, json};
use slipway_plugins::Session;
use slipway_types::{Version, Violation};

use crate::call::{self, Function, RenderError};
use crate::code;
use crate::context;
use crate::definition::Definition;
use crate::directive::{self, Directive};
use crate::field_path::push_field;
use crate::kind::DefinitionKind;
use crate::manifest::Takes;
use crate::object::shape;
use crate::render::checked_verb;
use crate::request::{
    ClusterFacts, ComponentRequest, EnvironmentFacts, Holds, ImageFacts, RenderOptions, RenderRequest,
};
use crate::suggestion::{did_you_mean, shortened};
use crate::verb::Verb;

/// What a definition returned and what is wrong with that.
#[derive(Debug, Clone, Serialize)]
pub struct Trial {
    /// What it returned: for a component type or trait its objects as they are and other verbs as they
    /// were returned, in order; for a policy or step the directive. `None`: it returned nothing.
    pub returned: Option<Value>,
    /// What it printed.
    pub talk: Vec<String>,
    /// Everything wrong with the properties or with what was returned; paths begin with `properties`.
    #[serde(skip)]
    pub violations: Vec<Violation>,
}

/// Calls `definition` with `properties` and the default test context, changed by `overrides`: maps
/// deep, lists replaced, `null` removes.
///
/// # Errors
///
/// The plug-in host does not run.
pub async fn try_definition(
    session: &mut Session,
    definition: &Arc<Definition>,
    properties: &Value,
    overrides: &Value,
) -> Result<Trial, RenderError> {
    try_function(session, definition, Function::Render, properties, overrides).await
}

/// The same with a function of the definition's choice.
///
/// # Errors
///
/// The plug-in host does not run.
pub async fn try_function(
    session: &mut Session,
    definition: &Arc<Definition>,
    function: Function,
    properties: &Value,
    overrides: &Value,
) -> Result<Trial, RenderError> {
    let request = test_request(definition);
    let mut context = test_context(&request, definition);
    let mut trial =
        Trial { returned: None, talk: Vec::new(), violations: context_faults(definition, overrides) };
    if !trial.violations.is_empty() {
        return Ok(trial);
    }
    apply_overrides(&mut context, overrides);
    let (filled, violations) = definition.check_properties(properties, "properties");
    trial.violations.extend(violations);
    trial.violations.extend(image_missing(definition, &filled, &context));
    if !trial.violations.is_empty() {
        return Ok(trial);
    }
    if let Value::Object(fields) = &mut context {
        fields.insert("properties".to_owned(), filled);
    }
    let fields = match context {
        Value::Object(fields) => fields,
        _ => Map::new(),
    };
    let returned = call::call_function(session, definition, function, fields, "").await?;
    trial.talk = session.talk().to_vec();
    match returned {
        Ok(returned) => take(&request, definition, returned, &mut trial),
        Err(violations) => trial.violations.extend(violations),
    }
    Ok(trial)
}

fn image_missing(definition: &Definition, properties: &Value, context: &Value) -> Option<Violation> {
    let takes = definition.manifest().as_component()?.takes;
    let named = properties.get("image").and_then(Value::as_str).is_some_and(|image| !image.is_empty());
    let packaged = context.get("images").and_then(Value::as_array).is_some_and(|images| !images.is_empty());
    (takes == Takes::Image && !named && !packaged).then(|| {
        Violation::new(code::IMAGE_MISSING, "properties.image", format!("{definition} needs an image"))
    })
}

fn take(request: &RenderRequest, definition: &Arc<Definition>, returned: Value, trial: &mut Trial) {
    match definition.kind() {
        DefinitionKind::Policy => match directive::read::<Directive>(definition, returned.clone(), "") {
            Ok(_) => trial.returned = Some(without_nulls(returned)),
            Err(violations) => trial.violations.extend(violations),
        },
        DefinitionKind::Step => match directive::read_step(request, definition, returned.clone(), "") {
            Ok(_) => trial.returned = Some(without_nulls(returned)),
            Err(violations) => trial.violations.extend(violations),
        },
        DefinitionKind::Component | DefinitionKind::Trait | DefinitionKind::Addon => {
            match call::verbs(definition, returned, "") {
                Ok(verbs) => {
                    let shown =
                        verbs.into_iter().map(|verb| shown(request, definition, verb, &mut trial.violations));
                    trial.returned = Some(shown.collect());
                }
                Err(violations) => trial.violations.extend(violations),
            }
        }
    }
}

fn shown(
    request: &RenderRequest,
    definition: &Definition,
    verb: Verb,
    violations: &mut Vec<Violation>,
) -> Value {
    match checked_verb(request, definition, verb, "", violations) {
        Verb::ObjectApply { object } => object,
        other => without_nulls(serde_json::to_value(other).unwrap_or_default()),
    }
}

fn without_nulls(mut value: Value) -> Value {
    shape::drop_nulls(&mut value);
    value
}

/// What is wrong with changes of the default test context of `definition`: fields that it does not have.
pub fn context_faults(definition: &Arc<Definition>, overrides: &Value) -> Vec<Violation> {
    let mut faults = Vec::new();
    match overrides {
        Value::Null => {}
        Value::Object(_) => unknown_fields(&default_context(definition), overrides, "ctx", &mut faults),
        _ => {
            faults.push(Violation::new(
                code::INVALID_DEFINITION,
                "ctx",
                "must be a mapping of fields of ctx",
            ));
        }
    }
    faults
}

/// Parts of the context whose fields are anybody's.
const OPEN: [&str; 4] = ["ctx.labels", "ctx.secrets", "ctx.selector", "ctx.workload"];

fn unknown_fields(known: &Value, found: &Value, path: &str, faults: &mut Vec<Violation>) {
    if OPEN.contains(&path) {
        return;
    }
    let (Value::Object(known), Value::Object(found)) = (known, found) else { return };
    for (field, value) in found {
        let mut path = path.to_owned();
        push_field(&mut path, field);
        if let Some(known) = known.get(field) {
            unknown_fields(known, value, &path, faults);
        } else {
            let words: Vec<&str> = known.keys().map(String::as_str).collect();
            let message = format!("unknown field `{}`", shortened(field));
            let fault = Violation::new(code::INVALID_DEFINITION, path, message);
            faults.push(fault.hint(did_you_mean(field, &words)));
        }
    }
}

/// Merges `overrides` into `context`.
fn apply_overrides(context: &mut Value, overrides: &Value) {
    match (context, overrides) {
        (Value::Object(context), Value::Object(overrides)) => {
            for (field, value) in overrides {
                if value.is_null() {
                    context.remove(field);
                } else {
                    apply_overrides(context.entry(field.clone()).or_insert(Value::Null), value);
                }
            }
        }
        (context, Value::Null) if !context.is_null() => {}
        (context, value) => *context = value.clone(),
    }
}

/// The context that `definition` is tried in, without properties.
pub fn default_context(definition: &Arc<Definition>) -> Value {
    let mut context = test_context(&test_request(definition), definition);
    if let Value::Object(fields) = &mut context {
        fields.remove("properties");
    }
    context
}

/// The kinds that the cluster of the default test context serves.
const TEST_APIS: &[(&str, &[&str])] = &[
    (
        "v1",
        &["ConfigMap", "Namespace", "PersistentVolumeClaim", "Pod", "Secret", "Service", "ServiceAccount"],
    ),
    ("apps/v1", &["ControllerRevision", "DaemonSet", "Deployment", "ReplicaSet", "StatefulSet"]),
    ("batch/v1", &["CronJob", "Job"]),
    ("autoscaling/v1", &["HorizontalPodAutoscaler"]),
    ("autoscaling/v2", &["HorizontalPodAutoscaler"]),
    ("networking.k8s.io/v1", &["Ingress", "IngressClass", "NetworkPolicy"]),
    ("policy/v1", &["PodDisruptionBudget"]),
    ("rbac.authorization.k8s.io/v1", &["ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding"]),
    ("apiextensions.k8s.io/v1", &["CustomResourceDefinition"]),
    ("storage.k8s.io/v1", &["StorageClass"]),
    ("autoscaling.alibabacloud.com/v1beta1", &["CronHorizontalPodAutoscaler"]),
    ("apps.kruise.io/v1alpha1", &["CloneSet", "SidecarSet"]),
    ("rollouts.kruise.io/v1alpha1", &["Rollout"]),
    ("rollouts.kruise.io/v1beta1", &["Rollout"]),
];

/// The application of the default test context.
fn test_request(definition: &Arc<Definition>) -> RenderRequest {
    let apis: BTreeSet<String> = TEST_APIS
        .iter()
        .flat_map(|(version, kinds)| kinds.iter().map(move |kind| format!("{version}/{kind}")))
        .collect();
    let reference = format!("registry.example/default/shop/i/web@sha256:{}", "1".repeat(64));
    let image = ImageFacts { name: "web".to_owned(), reference, platforms: vec!["linux/amd64".to_owned()] };
    let component = ComponentRequest {
        name: "web".to_owned(),
        object_name: None,
        type_definition: Arc::clone(definition),
        version: Version::release(1, 0, 0),
        properties: Value::Null,
        images: vec![image],
        package: Holds { image: true, chart: true, files: true },
        traits: Vec::new(),
        path: "components[web]".to_owned(),
    };
    let expected = "invariant: the names of the test context are valid";
    RenderRequest {
        app: "shop".parse().expect(expected),
        environment: EnvironmentFacts {
            name: "test".to_owned(),
            address: "local/test/shop".parse().expect(expected),
        },
        cluster: ClusterFacts { version: "1.30".to_owned(), apis },
        components: vec![component],
        options: RenderOptions::default(),
    }
}

fn test_context(request: &RenderRequest, definition: &Definition) -> Value {
    let component = &request.components[0];
    let mut fields = match definition.kind() {
        DefinitionKind::Component | DefinitionKind::Trait | DefinitionKind::Addon => {
            context::of_component(request, component, &Value::Null)
        }
        DefinitionKind::Policy | DefinitionKind::Step => context::of_application(request),
    };
    let more = match definition.kind() {
        DefinitionKind::Component => json!({}),
        DefinitionKind::Trait => {
            let workload = test_workload(&fields);
            json!({
                "component": {"name": "web", "type": "webservice"},
                "objects": [&workload],
                "workload": workload,
                "traits": [definition.name()],
            })
        }
        DefinitionKind::Policy => json!({"components": ["web", "api"]}),
        DefinitionKind::Addon => test_addon(definition),
        DefinitionKind::Step => {
            json!({"components": ["web", "api"], "step": {"name": "example"}, "policies": []})
        }
    };
    if let Value::Object(more) = more {
        fields.extend(more);
    }
    Value::Object(fields)
}

/// The instance that add-ons are tried as: nobody is bound to it.
fn test_addon(definition: &Definition) -> Value {
    let generates = definition.manifest().as_addon().map(|body| &body.generates);
    let secrets: Map<String, Value> = generates
        .into_iter()
        .flatten()
        .map(|name| (name.to_string(), format!("secret://builtin/addon/web/{name}").into()))
        .collect();
    json!({"secrets": secrets, "bindings": [], "ended": []})
}

/// The workload that traits are tried on.
fn test_workload(fields: &Map<String, Value>) -> Value {
    let field = |name: &str| fields.get(name).cloned().unwrap_or_default();
    let image = field("images").pointer("/0/reference").cloned().unwrap_or_default();
    json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": field("object_name"), "labels": field("labels")},
        "spec": {
            "selector": {"matchLabels": field("selector")},
            "template": {
                "metadata": {"labels": field("labels")},
                "spec": {"containers": [{"name": "web", "image": image}]},
            },
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::builtin;

    #[test]
    fn a_context_has_only_the_fields_that_there_are() {
        let of = |kind: DefinitionKind| {
            let found = builtin::definitions().iter().find(|definition| definition.kind() == kind);
            Arc::clone(found.unwrap())
        };
        let hpa = of(DefinitionKind::Trait);
        let paths = |overrides: Value| {
            let faults = context_faults(&hpa, &overrides);
            faults.iter().map(|fault| fault.path.clone()).collect::<Vec<_>>()
        };
        let fine = json!({"workload": {"any": 1}, "environment": {"stage": null}, "labels": {"a": "b"}});
        assert_eq!(paths(fine), [""; 0]);
        assert_eq!(paths(Value::Null), [""; 0]);
        assert_eq!(paths(json!({"workloda": {}})), ["ctx.workloda"]);
        assert_eq!(paths(json!({"environment": {"stgae": "x"}})), ["ctx.environment.stgae"]);
        assert_eq!(paths(json!({"ctx": {}, "properties": {}})), ["ctx.ctx", "ctx.properties"]);
        assert_eq!(paths(json!([1])), ["ctx"]);
        let policy = of(DefinitionKind::Policy);
        assert_eq!(context_faults(&policy, &json!({"workload": {}}))[0].path, "ctx.workload");
    }

    #[test]
    fn overrides_merge_replace_and_remove() {
        let mut context =
            json!({"app": {"name": "shop", "team": "t"}, "images": [1, 2], "x": 1, "y": {"z": 1}});
        apply_overrides(
            &mut context,
            &json!({"app": {"name": "a"}, "images": [], "x": null, "y": {"z": {"w": 1}}}),
        );
        assert_eq!(context, json!({"app": {"name": "a", "team": "t"}, "images": [], "y": {"z": {"w": 1}}}));
        let before = context.clone();
        apply_overrides(&mut context, &Value::Null);
        assert_eq!(context, before);
    }
}
