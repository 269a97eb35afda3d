//! Checks that need nothing but the application itself, all at once.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use slipway_types::{Place, Violation};

use crate::condition::Operand;
use crate::decode::{nearest, shown};
use crate::{Application, Component, Condition, Input, Output, Step, Target, code};

mod graph;

/// Names that are known from elsewhere, where an application is only one level of several.
#[derive(Debug, Clone, Default)]
pub struct Known {
    /// Components of the bundle or of other levels.
    pub components: BTreeSet<String>,
    /// Outputs of other levels.
    pub outputs: BTreeSet<String>,
    /// Policies of other levels.
    pub policies: BTreeSet<String>,
}

/// The most violations that one check, or one laying over, collects. A file is read only so far.
pub const VIOLATIONS_MAX: usize = 100;

/// The violations of names, references, holes and order, components first, as far as
/// [`VIOLATIONS_MAX`].
pub fn check(application: &Application, known: &Known) -> Vec<Violation> {
    let mut checker = Checker { application, known, violations: Vec::new(), outputs: BTreeMap::new() };
    checker.outputs();
    for component in &application.components {
        // Looking for near names takes a while, and nobody reads that many.
        if checker.violations.len() < VIOLATIONS_MAX {
            checker.component(component);
        }
    }
    checker.workflow();
    graph::cycles(application, &mut checker.violations);
    checker.violations.truncate(VIOLATIONS_MAX);
    checker.violations
}

struct Checker<'a> {
    application: &'a Application,
    known: &'a Known,
    violations: Vec<Violation>,
    /// Where each output is declared first.
    outputs: BTreeMap<&'a str, Option<&'a Place>>,
}

fn component_path(component: &Component) -> String {
    format!("components[{}]", component.name)
}

impl<'a> Checker<'a> {
    fn wrong(&mut self, code: &str, at: Option<&Place>, path: String, message: String) -> &mut Violation {
        self.violations.push(Violation::new(code, path, message).at(at.cloned()));
        self.violations.last_mut().expect("invariant: just pushed")
    }

    /// The hint for an unknown name: the nearest one, else the words given.
    fn near<'w>(name: &str, names: impl Iterator<Item = &'w str>, otherwise: &str) -> Option<String> {
        Some(
            nearest(name, names)
                .map_or_else(|| otherwise.to_owned(), |near| format!("did you mean `{near}`?")),
        )
    }

    /// One name, one output, in components and steps together.
    fn outputs(&mut self) {
        let components = self.application.components.iter();
        let of_components = components.map(|component| (component_path(component), &component.outputs));
        let steps = self.application.workflow.iter().flat_map(crate::Workflow::all_steps);
        let of_steps = steps.map(|at| (at.path(), &at.step.outputs));
        let owners: Vec<(String, &'a Vec<Output>)> = of_components.chain(of_steps).collect();
        for (path, outputs) in owners {
            for (index, output) in outputs.iter().enumerate() {
                let Some(first) = self.outputs.get(output.name.as_str()).copied() else {
                    self.outputs.insert(&output.name, output.at.as_ref());
                    continue;
                };
                let line = first.map_or(String::new(), |place| format!(", first on line {}", place.line));
                let message = format!("the output `{}` is declared twice{line}", shown(&output.name));
                let path = format!("{path}.outputs[{index}]");
                self.wrong(code::DUPLICATE_OUTPUT, output.at.as_ref(), path, message).hint =
                    Some("give each output a name of its own".to_owned());
            }
        }
    }

    fn component(&mut self, component: &'a Component) {
        let path = component_path(component);
        let known = self.known;
        let names = || {
            let own = self.application.components.iter().map(|component| component.name.as_str());
            own.chain(known.components.iter().map(String::as_str))
        };
        let mut unknown = Vec::new();
        for (index, name) in component.depends_on.iter().enumerate() {
            if !names().any(|known| known == name.value) {
                let others = names().filter(|known| *known != component.name);
                unknown.push((
                    index,
                    name,
                    Self::near(&name.value, others, "declare it, or remove the dependency"),
                ));
            }
        }
        for (index, name, hint) in unknown {
            let message = format!("there is no component `{}`", shown(&name.value));
            let path = format!("{path}.dependsOn[{index}]");
            self.wrong(code::UNKNOWN_DEPENDENCY, name.at.as_ref(), path, message).hint = hint;
        }
        self.inputs(&path, &component.inputs);
        // What other levels and the developers declare is not seen here.
        if !known.components.contains(&component.name) {
            self.holes(&path, component);
        }
    }

    fn inputs(&mut self, path: &str, inputs: &'a [Input]) {
        for (index, input) in inputs.iter().enumerate() {
            let known =
                self.outputs.contains_key(input.from.as_str()) || self.known.outputs.contains(&input.from);
            if known {
                continue;
            }
            let names = self.outputs.keys().copied().chain(self.known.outputs.iter().map(String::as_str));
            let hint = Self::near(
                &input.from,
                names,
                "declare it in `outputs` of the component or step that knows it",
            );
            let message = format!("nothing gives the output `{}`", shown(&input.from));
            let path = format!("{path}.inputs[{index}].from");
            self.wrong(code::UNKNOWN_OUTPUT, input.at.as_ref(), path, message).hint = hint;
        }
    }

    /// Inputs fill what is declared: items of lists are never made.
    fn holes(&mut self, path: &str, component: &Component) {
        for (index, input) in component.inputs.iter().enumerate() {
            let Some(Ok(target)) = input.parameter_key.as_ref().map(|key| key.parse::<Target>()) else {
                continue;
            };
            let wrong = match &target {
                Target::Properties(target) => hole(&component.properties, target),
                Target::Trait { key, path } => {
                    let found = (0..component.traits.len()).find(|index| is_trait(component, *index, key));
                    match found {
                        Some(index) => hole(&component.traits[index].properties, path),
                        None => Some((
                            format!("the component has no trait `{}`", shown(key)),
                            "add the trait, or remove the input".to_owned(),
                        )),
                    }
                }
            };
            if let Some((message, hint)) = wrong {
                let path = format!("{path}.inputs[{index}].parameterKey");
                self.wrong(code::INVALID_PROPERTY, input.at.as_ref(), path, message).hint = Some(hint);
            }
        }
    }

    fn workflow(&mut self) {
        let Some(workflow) = &self.application.workflow else { return };
        for at in workflow.all_steps() {
            if self.violations.len() >= VIOLATIONS_MAX {
                return;
            }
            let (path, group, step) = (at.path(), at.group(), at.step);
            let beside: Vec<&str> = match group {
                Some(group) => group.sub_steps.iter().map(|step| step.name.as_str()).collect(),
                None => workflow.steps.iter().map(|step| step.name.as_str()).collect(),
            };
            for (index, name) in step.depends_on.iter().enumerate() {
                if !beside.contains(&name.value.as_str()) {
                    let message = match group {
                        Some(group) => {
                            format!("`{}` is no step of the group `{}`", shown(&name.value), group.name)
                        }
                        None => format!("there is no step `{}`", shown(&name.value)),
                    };
                    let hint = Self::near(
                        &name.value,
                        beside.iter().copied(),
                        "declare it, or remove the dependency",
                    );
                    let path = format!("{path}.dependsOn[{index}]");
                    self.wrong(code::UNKNOWN_DEPENDENCY, name.at.as_ref(), path, message).hint = hint;
                }
            }
            self.inputs(&path, &step.inputs);
            self.condition(&path, step, workflow);
            if step.kind.split('@').next() == Some("deploy") {
                self.policies(&path, step);
            }
        }
    }

    /// A condition looks at steps that exist and at inputs of its own step.
    fn condition(&mut self, path: &str, step: &Step, workflow: &crate::Workflow) {
        let Some(text) = &step.condition else { return };
        let Ok(condition) = text.value.parse::<Condition>() else { return };
        for operand in condition.operands() {
            let (message, hint) = match operand {
                Operand::Status { step: name, .. } => {
                    let names = || workflow.all_steps().map(|at| at.step.name.as_str());
                    if names().any(|known| known == name) {
                        continue;
                    }
                    (
                        format!("there is no step `{}`", shown(name)),
                        Self::near(name, names(), "name a step of this workflow"),
                    )
                }
                Operand::Input { name, .. } => {
                    let names = || step.inputs.iter().map(|input| input.from.as_str());
                    if names().any(|known| known == name) {
                        continue;
                    }
                    let message = format!("the step has no input `{}`", shown(name));
                    (message, Self::near(name, names(), "add it to `inputs` of this step"))
                }
                Operand::Context(_) | Operand::Literal(_) => continue,
            };
            self.wrong(code::INVALID_CONDITION, text.at.as_ref(), format!("{path}.if"), message).hint = hint;
        }
    }

    fn policies(&mut self, path: &str, step: &Step) {
        let names = step.properties.get("policies").and_then(Value::as_array).map(Vec::as_slice);
        for (index, name) in names.unwrap_or_default().iter().enumerate() {
            let Some(name) = name.as_str() else { continue };
            if self.application.policy(name).is_some() || self.known.policies.contains(name) {
                continue;
            }
            let own = self.application.policies.iter().map(|policy| policy.name.as_str());
            let names = own.chain(self.known.policies.iter().map(String::as_str));
            let hint = Self::near(name, names, "declare it in `spec.policies`");
            let message = format!("there is no policy `{}`", shown(name));
            let path = format!("{path}.properties.policies[{index}]");
            self.wrong(code::UNKNOWN_POLICY, step.at.as_ref(), path, message).hint = hint;
        }
    }
}

/// Whether `key` means the component's trait number `index`: its type, or `type:name`.
pub(crate) fn is_trait(component: &Component, index: usize, key: &str) -> bool {
    let this = &component.traits[index];
    this.kind == key
        || key.split_once(':').is_some_and(|(kind, name)| this.kind == kind && this.instance() == Some(name))
}

/// Why nothing can be filled in at `path`, and the way out.
fn hole(properties: &crate::Properties, path: &crate::Path) -> Option<(String, String)> {
    let value = Value::Object(properties.clone());
    if path.is_hole(&value) {
        return None;
    }
    let reached = (0..=path.segments().len())
        .map(|count| crate::Path::new(path.segments()[..count].to_vec()))
        .take_while(|path| path.is_hole(&value))
        .count();
    let missing = crate::Path::new(path.segments()[..reached].to_vec());
    Some((
        format!("nothing can be filled in at `{path}`: `{missing}` is not declared"),
        "declare the item without its value, e.g. `env: [{name: HOST}]`, or name another property".to_owned(),
    ))
}
