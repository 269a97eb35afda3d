//! The application model, whatever format it was written in.
//!
//! Plain data: places are kept beside the values and never enter the serialized form.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use slipway_types::Place;

use crate::Condition;

/// Properties of a component, trait, policy or step, as their definition describes them.
pub type Properties = serde_json::Map<String, Value>;

/// A value and where somebody wrote it. Serialized as the value alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Placed<T> {
    /// The value.
    pub value: T,
    /// Where it stands.
    #[serde(skip)]
    pub at: Option<Place>,
}

impl<T> Placed<T> {
    /// A value that nobody wrote in a file.
    pub fn nowhere(value: T) -> Self {
        Self { value, at: None }
    }
}

/// What an operator asks for: one level of it, or all levels merged.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Application {
    /// The application's name without its team.
    pub name: String,
    /// The namespace in the file's `metadata`; the environment decides where objects go.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Labels of the file's `metadata`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Annotations of the file's `metadata`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// Which bundle to deploy, where the file says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bundle: Option<Placed<Choice>>,
    /// The components in the file's order.
    #[serde(default)]
    pub components: Vec<Component>,
    /// The policies in the file's order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub policies: Vec<Policy>,
    /// In which steps to deploy; without it all components at once, by their dependencies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workflow: Option<Workflow>,
    /// Where the application begins.
    #[serde(skip)]
    pub at: Option<Place>,
}

/// Which version of a bundle or a component package is meant: exactly one way of saying it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Choice {
    /// This version.
    Version(String),
    /// What the channel names.
    Channel(String),
    /// The newest one whose labels match.
    Selector(String),
    /// The newest one in a range of versions. Bundles only.
    Range(String),
}

/// One component.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Component {
    /// Its name, unique in the application.
    pub name: String,
    /// The component type. Operators may leave it to the developers.
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Whether the type only tells a family, as AppManager's do: developers may be more exact.
    #[serde(skip)]
    pub kind_is_rough: bool,
    /// Which package it comes from, if not the bundle's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub package: Option<Placed<Choice>>,
    /// A revision kept elsewhere, as OAM has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_revision: Option<String>,
    /// What the component type describes.
    #[serde(default, skip_serializing_if = "Properties::is_empty")]
    pub properties: Properties,
    /// Components that must be ready before.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub depends_on: Vec<Placed<String>>,
    /// Values taken from outputs of others.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub inputs: Vec<Input>,
    /// Values given to others.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub outputs: Vec<Output>,
    /// Operational behaviour added to it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub traits: Vec<Trait>,
    /// Scopes by type, as OAM has them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub scopes: BTreeMap<String, String>,
    /// Where the component begins.
    #[serde(skip)]
    pub at: Option<Place>,
}

/// A value that comes from an output.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Input {
    /// The output's name.
    pub from: String,
    /// The property it fills, readable by [`Target`](crate::Target). Only steps may do without, to use it in `if`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parameter_key: Option<String>,
    /// Where the input begins.
    #[serde(skip)]
    pub at: Option<Place>,
}

/// A value that others may take.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Output {
    /// Its name, unique in the application.
    pub name: String,
    /// The field it is read from, readable by [`Source`](crate::Source).
    pub value_from: String,
    /// Where the output begins.
    #[serde(skip)]
    pub at: Option<Place>,
}

/// One trait of a component.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Trait {
    /// The trait's type.
    #[serde(rename = "type")]
    pub kind: String,
    /// What the trait describes.
    #[serde(default, skip_serializing_if = "Properties::is_empty")]
    pub properties: Properties,
    /// Whether a trait of a wider level is taken away.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub disable: bool,
    /// When it acts, if the operator says so; else its definition does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<Phase>,
    /// Where the trait begins.
    #[serde(skip)]
    pub at: Option<Place>,
}

/// When a trait acts, seen from its component's workload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// Before it.
    Pre,
    /// After it.
    Post,
}

/// One policy.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Policy {
    /// Its name, unique among policies; its type where the file gives none.
    pub name: String,
    /// The policy's type.
    #[serde(rename = "type")]
    pub kind: String,
    /// What the policy describes.
    #[serde(default, skip_serializing_if = "Properties::is_empty")]
    pub properties: Properties,
    /// Where the policy begins.
    #[serde(skip)]
    pub at: Option<Place>,
}

/// In which steps an application is deployed.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Workflow {
    /// How steps follow one another.
    #[serde(default)]
    pub mode: Mode,
    /// The steps in the file's order.
    #[serde(default)]
    pub steps: Vec<Step>,
    /// Where the workflow begins.
    #[serde(skip)]
    pub at: Option<Place>,
}

/// How steps follow one another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Mode {
    /// Steps.
    #[serde(default = "step_by_step")]
    pub steps: StepMode,
    /// Steps inside a group.
    #[serde(default = "dag")]
    pub sub_steps: StepMode,
}

/// One way of following.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum StepMode {
    /// Each waits for the one before.
    StepByStep,
    /// Each waits only for what it depends on.
    #[serde(rename = "DAG")]
    Dag,
}

fn step_by_step() -> StepMode {
    StepMode::StepByStep
}

fn dag() -> StepMode {
    StepMode::Dag
}

impl Default for Mode {
    fn default() -> Self {
        Self { steps: StepMode::StepByStep, sub_steps: StepMode::Dag }
    }
}

/// How often a step begins again by itself when it failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StepRetry {
    /// How often, from 1 to [`StepRetry::LIMIT_MAX`].
    pub limit: u32,
    /// The pause before it, in milliseconds.
    pub backoff_ms: u64,
}

impl StepRetry {
    /// The highest limit.
    pub const LIMIT_MAX: u32 = 20;
    /// The pause if the file says none, in milliseconds.
    pub const BACKOFF_MS_DEFAULT: u64 = 10_000;
}

/// One step of a workflow.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Step {
    /// Its name, unique in the workflow, those of all groups included; its type where the file gives none.
    pub name: String,
    /// The step's type.
    #[serde(rename = "type")]
    pub kind: String,
    /// A name to show instead (`meta.alias`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alias: Option<String>,
    /// When the step runs, readable by [`Condition`]; else after success only.
    #[serde(rename = "if", default, skip_serializing_if = "Option::is_none")]
    pub condition: Option<Placed<String>>,
    /// How long it may take, readable by [`duration::parse`](crate::duration::parse).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Placed<String>>,
    /// How often it begins again by itself when it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<StepRetry>,
    /// Steps that must be done before.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub depends_on: Vec<Placed<String>>,
    /// Values taken from outputs of others.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub inputs: Vec<Input>,
    /// Values given to others.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub outputs: Vec<Output>,
    /// What the step's type describes.
    #[serde(default, skip_serializing_if = "Properties::is_empty")]
    pub properties: Properties,
    /// How its sub-steps follow one another, if not as the workflow says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<StepMode>,
    /// Its sub-steps; only a `step-group` has some. They may be groups in turn, as deep as
    /// [`OamOptions::max_group_depth`](crate::OamOptions::max_group_depth).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sub_steps: Vec<Step>,
    /// Where the step begins.
    #[serde(skip)]
    pub at: Option<Place>,
}

impl Application {
    /// The component of that name.
    pub fn component(&self, name: &str) -> Option<&Component> {
        self.components.iter().find(|component| component.name == name)
    }

    /// The policy of that name.
    pub fn policy(&self, name: &str) -> Option<&Policy> {
        self.policies.iter().find(|policy| policy.name == name)
    }

    /// The same application in one form only, for digests: sorted keys, no places.
    pub fn canonical_json(&self) -> String {
        let value = serde_json::to_value(self).expect("invariant: the model holds text keys only");
        crate::canonical_json(&value)
    }
}

impl Component {
    /// What tells its trait number `index` from the others: the type, and `type:name` with the name
    /// in its properties where several have one type. Used in paths: `traits[hpa]`.
    pub fn trait_key(&self, index: usize) -> String {
        let Some(this) = self.traits.get(index) else { return index.to_string() };
        let alone = self.traits.iter().filter(|other| other.kind == this.kind).count() == 1;
        match this.instance() {
            Some(name) if !alone => format!("{}:{name}", this.kind),
            _ => this.kind.clone(),
        }
    }
}

impl Trait {
    /// The name in its properties, which tells several traits of one type apart.
    pub fn instance(&self) -> Option<&str> {
        self.properties.get("name").and_then(Value::as_str)
    }
}

impl Step {
    /// The steps that must have succeeded before its condition can hold, whatever else is so.
    pub fn must_succeed(&self) -> BTreeSet<String> {
        let condition = self.condition.as_ref().and_then(|text| text.value.parse::<Condition>().ok());
        condition.map(|condition| condition.must_succeed()).unwrap_or_default()
    }
}

/// A step, and where it stands in its workflow.
#[derive(Debug, Clone)]
pub struct StepAt<'a> {
    /// The groups around it, the outermost first.
    pub groups: Vec<&'a Step>,
    /// The step itself.
    pub step: &'a Step,
}

impl<'a> StepAt<'a> {
    /// The group whose step it is.
    pub fn group(&self) -> Option<&'a Step> {
        self.groups.last().copied()
    }

    /// Its path in the application: `workflow.steps[GROUP].subSteps[NAME]`.
    pub fn path(&self) -> String {
        let mut path = "workflow".to_owned();
        for (depth, step) in self.groups.iter().copied().chain([self.step]).enumerate() {
            let list = if depth == 0 { "steps" } else { "subSteps" };
            path.push_str(&format!(".{list}[{}]", step.name));
        }
        path
    }
}

impl Workflow {
    /// Every step in the file's order, groups before their sub-steps.
    pub fn all_steps(&self) -> impl Iterator<Item = StepAt<'_>> {
        let outermost = self.steps.iter().rev().map(|step| StepAt { groups: Vec::new(), step });
        let mut open: Vec<StepAt<'_>> = outermost.collect();
        std::iter::from_fn(move || {
            let next = open.pop()?;
            let mut groups = next.groups.clone();
            groups.push(next.step);
            let within = next.step.sub_steps.iter().rev();
            open.extend(within.map(|step| StepAt { groups: groups.clone(), step }));
            Some(next)
        })
    }
}
