//! What policies and workflow steps say.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use slipway_plugins::Session;
use slipway_types::{Violation, json_words};

use crate::call::{self, RenderError};
use crate::context;
use crate::definition::Definition;
use crate::render::{checked_verb, unmet};
use crate::request::RenderRequest;
use crate::verb::Verb;

/// What a policy says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Directive {
    /// Deploy there.
    Targets(Vec<Target>),
    /// Change components.
    Overrides(Vec<Override>),
    /// Deploy some components once per key.
    Replicate(Replicate),
    /// Write some fields once, then leave them alone.
    ApplyOnce(Vec<ApplyOnceRule>),
    /// What becomes of objects that are no longer wanted.
    Collect(Vec<CollectRule>),
    /// When objects count as healthy.
    Health(Vec<HealthRule>),
    /// Objects that several applications hold.
    Shared(Vec<SharedRule>),
}

/// Parts of an address; what is absent is taken from the environment.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Target {
    /// The unit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// The cluster.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster: Option<String>,
    /// The namespace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// The stage.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stage: Option<String>,
    /// Every cluster that has these labels.
    #[serde(skip_serializing_if = "std::collections::BTreeMap::is_empty")]
    pub cluster_labels: std::collections::BTreeMap<String, String>,
}

/// A change of one component, or of all.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Override {
    /// Which; `None` or empty: all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub component: Option<String>,
    /// Only components of this type.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub component_type: Option<String>,
    /// Properties merged into its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub properties: Option<Map<String, Value>>,
    /// Its traits changed, added or taken away.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub traits: Vec<TraitOverride>,
    /// Keep only these components.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub only: Vec<String>,
}

/// A change of one trait.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TraitOverride {
    /// Which.
    #[serde(rename = "type")]
    pub trait_type: String,
    /// Properties merged into its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub properties: Option<Map<String, Value>>,
    /// Whether it goes.
    #[serde(default)]
    pub disable: bool,
}

/// Copies of components.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Replicate {
    /// One copy for each.
    pub keys: Vec<String>,
    /// Which components; empty: all.
    #[serde(default)]
    pub components: Vec<String>,
}

/// Which objects a rule means: each list is "one of", empty ones do not count.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Selector {
    /// Of these components.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub component_names: Vec<String>,
    /// Of components of these types.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub component_types: Vec<String>,
    /// Rendered by component types or traits.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub oam_types: Vec<OamType>,
    /// Rendered by these traits.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub trait_types: Vec<String>,
    /// Of these kinds.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub resource_types: Vec<String>,
    /// Of these names.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub resource_names: Vec<String>,
}

/// What rendered an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum OamType {
    /// A component type.
    Component,
    /// A trait.
    Trait,
}

/// Fields that are written once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApplyOnceRule {
    /// Of which objects.
    #[serde(default)]
    pub selector: Selector,
    /// Which fields; `*`: all.
    pub paths: Vec<String>,
}

/// What becomes of objects.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CollectRule {
    /// Of which.
    #[serde(default)]
    pub selector: Selector,
    /// When they are removed.
    pub strategy: CollectStrategy,
    /// What becomes of what they own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub propagation: Option<Propagation>,
}

/// When objects are removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum CollectStrategy {
    /// As soon as a revision no longer has them.
    OnAppUpdate,
    /// When the application goes.
    OnAppDelete,
    /// Never.
    Never,
}

/// What becomes of what removed objects own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Propagation {
    /// It stays.
    Orphan,
    /// It goes too.
    Cascading,
}

/// When objects count as healthy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HealthRule {
    /// Which.
    #[serde(default)]
    pub selector: Selector,
    /// The condition, in CEL over the object.
    pub cel: String,
}

/// Objects that several applications hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SharedRule {
    /// Which.
    #[serde(default)]
    pub selector: Selector,
}

/// What a workflow step says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum StepDirective {
    /// Deploy by these policies.
    Deploy(Deploy),
    /// Hold until somebody says go on, or for a time.
    Suspend(Suspend),
    /// Apply one component.
    Apply(ApplyComponent),
    /// Run some pods of a component as it will be, beside those that run.
    Canary(Canary),
    /// Run a component as it will be beside what runs, without traffic until it is deployed.
    BlueGreen(BlueGreen),
    /// Do these things.
    Verbs(Vec<Verb>),
}

/// A deployment as a step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Deploy {
    /// The names of the policies, in the order they apply.
    #[serde(default)]
    pub policies: Vec<String>,
    /// How many targets at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parallelism: Option<u32>,
    /// Whether it starts without a person.
    #[serde(default = "yes")]
    pub auto: bool,
}

fn yes() -> bool {
    true
}

/// A hold as a step.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Suspend {
    /// For how long, e.g. `2m15s`; `None`: until a person says go on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration: Option<String>,
    /// What people are told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Who must say go on; `None`: one person, anybody.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub approvals: Option<Approvals>,
}

/// People who must say go on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Approvals {
    /// How many.
    pub count: u32,
    /// Whether who made the deployment may be one of them.
    #[serde(default)]
    pub author_may: bool,
}

/// Some pods of a component as it will be, as a step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Canary {
    /// Of which component.
    pub component: String,
    /// How many: a number, or a share of the component's own such as `20%`.
    pub replicas: String,
}

/// One component as a step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApplyComponent {
    /// Which.
    pub component: String,
    /// In another cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster: Option<String>,
    /// In another namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
}

/// A whole second set of pods, as a step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BlueGreen {
    /// Of which component.
    pub component: String,
}

/// Asks a policy what it says. `path` is where it stands, e.g. `policies[where]`.
pub async fn evaluate_policy(
    session: &mut Session,
    request: &RenderRequest,
    definition: &Definition,
    properties: &Value,
    path: &str,
) -> Result<Result<Directive, Vec<Violation>>, RenderError> {
    let fields = json!({"components": names(request)});
    match ask(session, request, definition, properties, path, fields).await? {
        Ok(said) => Ok(read(definition, said, path)),
        Err(violations) => Ok(Err(violations)),
    }
}

/// Asks a workflow step what it says. `policies` are the names of the application's policies.
pub async fn evaluate_step(
    session: &mut Session,
    request: &RenderRequest,
    definition: &Definition,
    step: &str,
    policies: &[String],
    properties: &Value,
    path: &str,
) -> Result<Result<StepDirective, Vec<Violation>>, RenderError> {
    let fields = json!({"components": names(request), "step": {"name": step}, "policies": policies});
    let said = match ask(session, request, definition, properties, path, fields).await? {
        Ok(said) => said,
        Err(violations) => return Ok(Err(violations)),
    };
    Ok(read_step(request, definition, said, path))
}

/// What a step said.
pub(crate) fn read_step(
    request: &RenderRequest,
    definition: &Definition,
    said: Value,
    path: &str,
) -> Result<StepDirective, Vec<Violation>> {
    // Verbs are read one by one, so that a mistake names its index.
    let verbs = match said.get("verbs") {
        Some(verbs) if said.as_object().is_some_and(|said| said.len() == 1) => {
            call::verbs(definition, verbs.clone(), path)?
        }
        _ => return read(definition, said, path),
    };
    let mut violations = Vec::new();
    let verbs = verbs.into_iter().map(|verb| checked_verb(request, definition, verb, path, &mut violations));
    let verbs = verbs.collect();
    if violations.is_empty() { Ok(StepDirective::Verbs(verbs)) } else { Err(violations) }
}

fn names(request: &RenderRequest) -> Vec<&str> {
    request.components.iter().map(|component| component.name.as_str()).collect()
}

async fn ask(
    session: &mut Session,
    request: &RenderRequest,
    definition: &Definition,
    properties: &Value,
    path: &str,
    more: Value,
) -> Result<Result<Value, Vec<Violation>>, RenderError> {
    let (filled, mut violations) = definition.check_properties(properties, &format!("{path}.properties"));
    violations.extend(unmet(request, definition, path));
    if !violations.is_empty() {
        return Ok(Err(violations));
    }
    let mut fields = context::of_application(request);
    fields.insert("properties".to_owned(), filled);
    if let Value::Object(more) = more {
        fields.extend(more);
    }
    call::call(session, definition, fields, path).await
}

/// What a policy or step said, as a `T`.
pub(crate) fn read<T: serde::de::DeserializeOwned>(
    definition: &Definition,
    mut said: Value,
    path: &str,
) -> Result<T, Vec<Violation>> {
    drop_absent(&mut said);
    if said.as_object().is_none_or(|said| said.len() != 1) {
        return Err(call::bad_result(definition, path, "`render` must return a dict with one key"));
    }
    serde_json::from_value(said)
        .map_err(|error| call::bad_result(definition, path, &json_words::data(&error.to_string())))
}

/// Removes fields without a value, but not from properties: there `null` may be meant.
fn drop_absent(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|_, value| !value.is_null());
            fields
                .iter_mut()
                .filter(|(field, _)| *field != "properties")
                .for_each(|(_, value)| drop_absent(value));
        }
        Value::Array(items) => items.iter_mut().for_each(drop_absent),
        _ => {}
    }
}
