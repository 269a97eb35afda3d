//! What of the application is deployed here: every definition resolved, every policy and step heard,
//! overrides applied, components chosen and copied.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::Value;
use slipway_definitions::directive::Propagation;
use slipway_definitions::{
    ClusterFacts as RenderFacts, ComponentRequest, Definition, DefinitionKind, Directive, EnvironmentFacts,
    Holds, RenderRequest, StepDirective, TraitRequest, evaluate_policy, evaluate_step,
};
use slipway_oam::overlay::Merged;
use slipway_oam::{Component, Step, StepAt, StepMode, Workflow};
use slipway_plugins::Session;
use slipway_types::environment::ReceiverSettings;
use slipway_types::{Fault, Version, Violation};

use super::conditions::{self, Verdict};
use super::order::{Flow, asked};
use super::{Chosen, ChosenStep, Ground, inputs, plugin_fault, rules};
use crate::packages::Package;

impl ChosenStep {
    /// A step as it is laid, which may be `step` with holes for its inputs, and what its definition says.
    fn new(at: &StepAt<'_>, step: Step, says: Option<StepDirective>) -> Self {
        Self {
            step,
            path: at.path(),
            group: at.group().map(|group| group.name.clone()),
            says,
            here: true,
            after: BTreeSet::new(),
            asks: None,
            deploys: BTreeSet::new(),
        }
    }

    /// Whether it deploys components, wherever that is.
    pub(super) fn deploys_components(&self) -> bool {
        matches!(self.says, Some(StepDirective::Deploy(_) | StepDirective::Apply(_)))
    }
}

impl Ground<'_> {
    /// Resolves every definition and hears every policy and step.
    pub(super) async fn choose(
        &self,
        mut merged: Merged,
        session: &mut Session,
    ) -> Result<Result<Chosen, Vec<Violation>>, Fault> {
        let mut violations = Vec::new();
        let mut definitions = BTreeMap::new();
        let first = self.render_request(&merged, &mut definitions, &mut violations);
        if !violations.is_empty() {
            return Ok(Err(self.placed(&merged, violations)));
        }
        let mut directives = Vec::new();
        for policy in &merged.application().policies.clone() {
            let path = format!("policies[{}]", policy.name);
            let found = self.definitions.resolve(DefinitionKind::Policy, &policy.kind, &path);
            let definition = match found {
                Ok(definition) => definition,
                Err(violation) => {
                    violations.push(*violation);
                    continue;
                }
            };
            let properties = Value::Object(policy.properties.clone());
            let said = evaluate_policy(session, &first, &definition, &properties, &path).await;
            match said.map_err(|error| plugin_fault(&error))? {
                Ok(directive) => directives.push((policy.name.clone(), directive)),
                Err(found) => violations.extend(found),
            }
            definitions.insert((DefinitionKind::Policy, policy.kind.clone()), definition);
        }
        let mut steps = self.steps(&merged, &first, session, &mut definitions, &mut violations).await?;
        violations.extend(unsupported(&directives));
        violations.extend(rules::unreadable(&directives));
        violations.extend(self.decide(&merged, &directives, &mut steps));
        for (name, overrides) in self.overrides(&directives, &steps) {
            if let Err(found) = merged.apply_override(&name, &overrides) {
                violations.extend(found);
            }
        }
        let notes = deployed_here(&mut merged, &self.applied(&directives, &steps), &steps);
        for (name, directive) in self.applied(&directives, &steps) {
            if let Directive::Replicate(wanted) = directive
                && let Err(found) = merged.replicate(name, &wanted.keys, &wanted.components)
            {
                violations.extend(found);
            }
        }
        let render = self.render_request(&merged, &mut definitions, &mut violations);
        if !violations.is_empty() {
            return Ok(Err(self.placed(&merged, violations)));
        }
        Ok(Ok(Chosen { merged, render, directives, steps, definitions, notes }))
    }

    /// Which steps run in this environment, after which others, and what each deploys.
    fn decide(
        &self,
        merged: &Merged,
        directives: &[(String, Directive)],
        steps: &mut [ChosenStep],
    ) -> Vec<Violation> {
        let Some(workflow) = &merged.application().workflow else { return Vec::new() };
        let address = &self.request.environment.address;
        let name = self.request.application.name.bare().to_string();
        let context = BTreeMap::from([
            ("name", name.clone()),
            ("appName", name),
            ("environment", self.request.environment.name.to_string()),
            ("unit", address.unit().to_owned()),
            ("cluster", address.cluster().to_owned()),
            ("namespace", address.namespace().to_owned()),
            ("stage", address.stage().to_owned()),
            ("version", self.request.bundle.version.to_string()),
        ]);
        // Of a service it is asked later what it can; the others never can.
        let is_asked = matches!(
            self.request.environment.settings.receiver,
            ReceiverSettings::Core {} | ReceiverSettings::Http { .. }
        );
        let (verdicts, violations) = conditions::decide(workflow, &context, is_asked);
        let all: Vec<String> =
            merged.application().components.iter().map(|component| component.name.clone()).collect();
        for step in steps.iter_mut() {
            match verdicts.get(&step.step.name) {
                Some(Verdict::Runs(after)) => step.after.clone_from(after),
                Some(Verdict::Asks(asks)) => {
                    step.after = asks.steps();
                    step.asks = Some(asks.clone());
                }
                Some(Verdict::Skipped) | None => step.here = false,
            }
            step.deploys = deploys(step, directives, &all);
        }
        self.keep_here(workflow, directives, steps);
        violations
    }

    /// Takes out what belongs to other environments: their deployments, and what stands around those.
    fn keep_here(&self, workflow: &Workflow, directives: &[(String, Directive)], steps: &mut [ChosenStep]) {
        let deploying = steps.iter().filter(|step| step.deploys_components());
        let deploys: BTreeMap<String, bool> =
            deploying.map(|step| (step.step.name.clone(), self.is_here(step, directives))).collect();
        let names: Vec<String> = steps.iter().map(|step| step.step.name.clone()).collect();
        let beside = match workflow.mode.steps {
            StepMode::StepByStep => beside(&names, &deploys),
            StepMode::Dag => Flow::new(workflow, &asked(steps)).beside(&names, &deploys),
        };
        for (step, (before, after)) in steps.iter_mut().zip(beside) {
            let own = deploys.get(&step.step.name).copied();
            let here = own.unwrap_or(match &step.says {
                Some(StepDirective::Suspend(_) | StepDirective::Canary(_) | StepDirective::BlueGreen(_)) => {
                    after.or(before).unwrap_or(true)
                }
                Some(StepDirective::Verbs(_)) => before.or(after).unwrap_or(true),
                _ => true,
            });
            step.here &= here;
        }
    }

    fn placed(&self, merged: &Merged, mut violations: Vec<Violation>) -> Vec<Violation> {
        for violation in &mut violations {
            if violation.at.is_none() {
                violation.at = merged.place_of(&violation.path);
            }
        }
        violations
    }

    async fn steps(
        &self,
        merged: &Merged,
        render: &RenderRequest,
        session: &mut Session,
        definitions: &mut BTreeMap<(DefinitionKind, String), Arc<Definition>>,
        violations: &mut Vec<Violation>,
    ) -> Result<Vec<ChosenStep>, Fault> {
        let Some(workflow) = &merged.application().workflow else { return Ok(Vec::new()) };
        let policies: Vec<String> =
            merged.application().policies.iter().map(|policy| policy.name.clone()).collect();
        let mut steps = Vec::new();
        for at in workflow.all_steps() {
            let path = at.path();
            let mut step = at.step.clone();
            if !step.sub_steps.is_empty() {
                steps.push(ChosenStep::new(&at, step, None));
                continue;
            }
            violations.extend(inputs::place_in_step(&mut step, &path));
            let definition = match self.definitions.resolve(DefinitionKind::Step, &step.kind, &path) {
                Ok(definition) => definition,
                Err(violation) => {
                    violations.push(*violation);
                    continue;
                }
            };
            let properties = Value::Object(step.properties.clone());
            let said =
                evaluate_step(session, render, &definition, &step.name, &policies, &properties, &path).await;
            definitions.insert((DefinitionKind::Step, step.kind.clone()), definition);
            match said.map_err(|error| plugin_fault(&error))? {
                Ok(says) => steps.push(ChosenStep::new(&at, step, Some(says))),
                Err(found) => violations.extend(found),
            }
        }
        Ok(steps)
    }

    fn render_request(
        &self,
        merged: &Merged,
        definitions: &mut BTreeMap<(DefinitionKind, String), Arc<Definition>>,
        violations: &mut Vec<Violation>,
    ) -> RenderRequest {
        let environment = &self.request.environment;
        let mut application = merged.application().clone();
        violations.extend(inputs::place(&mut application));
        let mut components = Vec::new();
        for component in &application.components {
            let declared = merged.original_of(&component.name);
            components.extend(self.component(component, declared, definitions, violations));
        }
        RenderRequest {
            app: self.request.application.name.clone(),
            environment: EnvironmentFacts {
                name: environment.name.to_string(),
                address: environment.address.clone(),
            },
            cluster: RenderFacts { version: self.facts.version.clone(), apis: self.facts.apis.clone() },
            components,
            options: self.stage.options.rendering.clone(),
        }
    }

    fn component(
        &self,
        component: &Component,
        declared: &str,
        definitions: &mut BTreeMap<(DefinitionKind, String), Arc<Definition>>,
        violations: &mut Vec<Violation>,
    ) -> Option<ComponentRequest> {
        let path = format!("components[{declared}]");
        let kind = component.kind.clone().unwrap_or_default();
        let mut resolve = |of, name: &str, path: &str| {
            self.definitions
                .resolve(of, name, path)
                .inspect(|found| {
                    definitions.insert((of, name.to_owned()), Arc::clone(found));
                })
                .map_err(|violation| violations.push(*violation))
                .ok()
        };
        let type_definition = resolve(DefinitionKind::Component, &kind, &path);
        let traits: Vec<TraitRequest> = component
            .traits
            .iter()
            .enumerate()
            .filter_map(|(index, wanted)| {
                let path = format!("{path}.traits[{}]", component.trait_key(index));
                let definition = resolve(DefinitionKind::Trait, &wanted.kind, &path)?;
                Some(TraitRequest { definition, properties: Value::Object(wanted.properties.clone()), path })
            })
            .collect();
        let package = self.packages.iter().find(|package| package.member.component.as_str() == declared);
        Some(ComponentRequest {
            name: component.name.clone(),
            object_name: None,
            type_definition: type_definition?,
            version: package.map_or(Version::release(0, 0, 0), |package| package.member.version.clone()),
            properties: Value::Object(component.properties.clone()),
            images: package.map(|package| self.images(package)).unwrap_or_default(),
            package: Holds {
                image: package.is_some_and(|package| !package.member.images.is_empty()),
                chart: package.is_some_and(Package::holds_chart),
                files: package.is_some_and(Package::holds_files),
            },
            traits,
            path,
        })
    }
}

/// For each step whether the deployments next before it and next after it in the file belong here; `None`:
/// there is none.
fn beside(names: &[String], deploys: &BTreeMap<String, bool>) -> Vec<(Option<bool>, Option<bool>)> {
    let found: Vec<Option<bool>> = names.iter().map(|name| deploys.get(name).copied()).collect();
    let before = |index: usize| found[..index].iter().rev().find_map(|here| *here);
    let after = |index: usize| found[index + 1..].iter().find_map(|here| *here);
    (0..names.len()).map(|index| (before(index), after(index))).collect()
}

/// The declared components that a step deploys, wherever that is.
fn deploys(step: &ChosenStep, directives: &[(String, Directive)], all: &[String]) -> BTreeSet<String> {
    match &step.says {
        Some(StepDirective::Deploy(deploy)) => {
            let named = directives.iter().filter(|(name, _)| deploy.policies.contains(name));
            let only: Vec<&[String]> = named.flat_map(|(_, directive)| only_of(directive)).collect();
            let meant = |name: &&String| only.iter().all(|only| only.contains(name));
            all.iter().filter(meant).cloned().collect()
        }
        Some(StepDirective::Apply(apply)) => BTreeSet::from([apply.component.clone()]),
        _ => BTreeSet::new(),
    }
}

/// The components that overrides keep, list by list.
fn only_of(directive: &Directive) -> Vec<&[String]> {
    let Directive::Overrides(list) = directive else { return Vec::new() };
    list.iter().map(|one| one.only.as_slice()).filter(|only| !only.is_empty()).collect()
}

/// Keeps the components that are deployed here. One that no step speaks of stays: that is told later.
fn deployed_here(merged: &mut Merged, applied: &[&(String, Directive)], steps: &[ChosenStep]) -> Vec<String> {
    let all: Vec<String> =
        merged.application().components.iter().map(|component| component.name.clone()).collect();
    let mut kept = all.clone();
    if steps.iter().any(ChosenStep::deploys_components) {
        let spoken: BTreeSet<&String> = steps.iter().flat_map(|step| &step.deploys).collect();
        let here: BTreeSet<&String> =
            steps.iter().filter(|step| step.here).flat_map(|step| &step.deploys).collect();
        let limited = !applied.iter().all(|(_, directive)| only_of(directive).is_empty());
        kept.retain(|name| here.contains(name) || (!spoken.contains(name) && !limited));
    } else {
        let only: Vec<&[String]> = applied.iter().flat_map(|(_, directive)| only_of(directive)).collect();
        kept.retain(|name| only.iter().all(|only| only.contains(name)));
    }
    if kept.len() == all.len() {
        return Vec::new();
    }
    merged.select(&kept);
    let left_out: Vec<&str> = all.iter().filter(|name| !kept.contains(name)).map(String::as_str).collect();
    let mut notes = vec![format!("not deployed here, as policies and steps say: {}", left_out.join(", "))];
    for component in &merged.application().components {
        let missing = component.depends_on.iter().find(|needed| left_out.contains(&needed.value.as_str()));
        notes.extend(missing.map(|needed| {
            format!("`{}` depends on `{}`, which is not deployed here", component.name, needed.value)
        }));
    }
    notes
}

/// What policies ask for and the contract cannot carry.
fn unsupported(directives: &[(String, Directive)]) -> Vec<Violation> {
    let mut found = Vec::new();
    for (policy, directive) in directives {
        let Directive::Collect(rules) = directive else { continue };
        for (index, rule) in rules.iter().enumerate() {
            // That what an object owns goes with it is what every receiver does.
            if rule.propagation == Some(Propagation::Orphan) {
                let path = format!("policies[{policy}].properties.rules[{index}].propagation");
                let message = "what a removed object owns goes with it: the hand-off has no other way";
                found.push(
                    Violation::new("propagation_unsupported", path, message)
                        .hint("remove `propagation`, or keep the object itself by `strategy: never`"),
                );
            }
        }
    }
    found
}
