//! `ctx`: what a definition is told.

use serde_json::{Map, Value, json};

use crate::request::{ComponentRequest, EnvironmentFacts, RenderRequest};

/// The label keys that Slipway puts on objects.
pub mod label {
    /// The team that owns the application.
    pub const TEAM: &str = "slipway.dev/team";
    /// The application, without its team.
    pub const APPLICATION: &str = "slipway.dev/application";
    /// The component.
    pub const COMPONENT: &str = "slipway.dev/component";
    /// The stage.
    pub const STAGE: &str = "slipway.dev/stage";
}

/// What every definition is told of an application and its environment.
pub(crate) fn of_application(request: &RenderRequest) -> Map<String, Value> {
    let EnvironmentFacts { name, address } = &request.environment;
    let fields = json!({
        "app": {"name": request.app.bare(), "team": request.app.team()},
        "environment": {
            "name": name,
            "unit": address.unit(),
            "cluster": address.cluster(),
            "namespace": address.namespace(),
            "stage": address.stage(),
            "suffix": request.environment.suffix(),
        },
        "cluster": request.cluster,
    });
    map(fields)
}

/// What a component type is told.
pub(crate) fn of_component(
    request: &RenderRequest,
    component: &ComponentRequest,
    properties: &Value,
) -> Map<String, Value> {
    let mut fields = of_application(request);
    let object_name = component.object_name(&request.environment);
    let selector = selector(request, component, &object_name);
    let own = json!({
        "name": component.name,
        "version": component.version,
        "object_name": object_name,
        "properties": properties,
        "images": component.images,
        "labels": labels(request, component, &object_name, &selector),
        "selector": selector,
    });
    fields.extend(map(own));
    fields
}

/// What pods are selected by. It must never change while a workload lives, so it holds neither
/// version nor team, and no two components or stages of a namespace share it.
fn selector(request: &RenderRequest, component: &ComponentRequest, object_name: &str) -> Value {
    let usual = format!("{}{}", component.name, request.environment.suffix());
    let mut selector = json!({
        label::APPLICATION: request.app.bare(),
        label::COMPONENT: component.name,
        label::STAGE: request.environment.address.stage(),
    });
    if object_name != usual {
        selector["app.kubernetes.io/instance"] = label_value(object_name).into();
    }
    selector
}

fn labels(
    request: &RenderRequest,
    component: &ComponentRequest,
    object_name: &str,
    selector: &Value,
) -> Value {
    let mut labels = json!({
        "app.kubernetes.io/name": component.name,
        "app.kubernetes.io/instance": label_value(object_name),
        "app.kubernetes.io/part-of": request.app.bare(),
        "app.kubernetes.io/version": label_value(&component.version.to_string()),
        "app.kubernetes.io/managed-by": "slipway",
        label::TEAM: request.app.team(),
    });
    for (key, value) in map(selector.clone()) {
        labels[key] = value;
    }
    labels
}

/// `text` as far as a label's value may hold it.
fn label_value(text: &str) -> String {
    let cut: String = text.chars().take(63).collect();
    cut.trim_matches(|c: char| !c.is_ascii_alphanumeric()).to_owned()
}

fn map(fields: Value) -> Map<String, Value> {
    match fields {
        Value::Object(fields) => fields,
        _ => Map::new(),
    }
}
