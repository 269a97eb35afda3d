//! Where policies and steps reach: every address is a registered environment with gates of its own.

use std::collections::{BTreeMap, BTreeSet};

use slipway_definitions::directive::{ApplyComponent, Target};
use slipway_definitions::{Directive, StepDirective};
use slipway_oam::overlay::{Override, TraitOverride};
use slipway_records::{Cluster, Environment};
use slipway_types::name::EnvironmentName;
use slipway_types::{Address, Fault, Violation};

use super::order::{Flow, Places, asked, order};
use super::{Chosen, ChosenStep, Ground};
use crate::records_fault;
use crate::waves::After;

/// Where an application goes beside its own environment.
#[derive(Debug, Default)]
pub(super) struct Reached {
    pub(super) environments: BTreeSet<EnvironmentName>,
    pub(super) order: Vec<After>,
}

/// What is registered.
struct Known {
    clusters: Vec<Cluster>,
    environments: Vec<Environment>,
}

impl Ground<'_> {
    /// The other environments that the application reaches, or what is wrong with where it points.
    pub(super) async fn reached(&self, chosen: &Chosen) -> Result<Result<Reached, Vec<Violation>>, Fault> {
        let targets = self.targets(chosen);
        if targets.is_empty() {
            return Ok(Ok(Reached::default()));
        }
        let mut read = self.stage.records.read().await.map_err(|error| records_fault(&error))?;
        let clusters = read.cluster_list().await.map_err(|error| records_fault(&error))?;
        let environments = read.environment_list().await.map_err(|error| records_fault(&error))?;
        let known = Known { clusters, environments };
        let mut violations = Vec::new();
        let mut found = BTreeSet::new();
        for (path, target) in &targets {
            found.extend(self.environments_of(target, path, &known, &mut violations));
        }
        found.remove(&self.request.environment.name);
        let order = self.order_of(chosen, &known);
        Ok(if violations.is_empty() { Ok(Reached { environments: found, order }) } else { Err(violations) })
    }

    fn environments_of(
        &self,
        target: &Target,
        path: &str,
        known: &Known,
        violations: &mut Vec<Violation>,
    ) -> BTreeSet<EnvironmentName> {
        let mut found = BTreeSet::new();
        for cluster in self.clusters_of(target, path, &known.clusters, violations) {
            match self.environment_at(target, &cluster, path, &known.environments) {
                Ok(environment) => _ = found.insert(environment.name.clone()),
                Err(violation) => violations.push(*violation),
            }
        }
        found
    }

    /// Which of the environments come after which, as the workflow's steps stand.
    fn order_of(&self, chosen: &Chosen, known: &Known) -> Vec<After> {
        let Some(workflow) = &chosen.merged.application().workflow else { return Vec::new() };
        let mut places = BTreeMap::new();
        for step in &chosen.steps {
            let (targets, parallelism) = match &step.says {
                Some(StepDirective::Deploy(deploy)) => {
                    let named = chosen.directives.iter().filter(|(name, _)| deploy.policies.contains(name));
                    let targets = named.filter_map(|(_, directive)| match directive {
                        Directive::Targets(targets) => Some(targets.clone()),
                        _ => None,
                    });
                    (targets.flatten().collect::<Vec<_>>(), deploy.parallelism)
                }
                Some(StepDirective::Apply(apply)) => (vec![target_of(apply)], None),
                _ => continue,
            };
            let mut environments = BTreeSet::new();
            for target in &targets {
                environments.extend(self.environments_of(target, "", known, &mut Vec::new()));
            }
            if targets.is_empty() {
                environments.insert(self.request.environment.name.clone());
            }
            let parallelism = parallelism.and_then(|count| usize::try_from(count).ok());
            places.insert(step.step.name.clone(), Places { environments, parallelism });
        }
        order(workflow, &Flow::new(workflow, &asked(&chosen.steps)), &places)
    }

    fn targets(&self, chosen: &Chosen) -> Vec<(String, Target)> {
        let mut targets = Vec::new();
        for (policy, directive) in &chosen.directives {
            if let Directive::Targets(list) = directive {
                let path = format!("policies[{policy}]");
                targets.extend(list.iter().map(|target| (path.clone(), target.clone())));
            }
        }
        for step in &chosen.steps {
            if let Some(StepDirective::Apply(apply)) = &step.says
                && (apply.cluster.is_some() || apply.namespace.is_some())
            {
                targets.push((step.path.clone(), target_of(apply)));
            }
        }
        targets
    }

    /// The clusters that a target means.
    fn clusters_of(
        &self,
        target: &Target,
        path: &str,
        clusters: &[Cluster],
        violations: &mut Vec<Violation>,
    ) -> Vec<String> {
        if target.cluster_labels.is_empty() {
            let own = self.request.environment.address.cluster();
            let name = target.cluster.clone().unwrap_or_else(|| own.to_owned());
            if clusters.iter().any(|cluster| cluster.name.as_str() == name) {
                return vec![name];
            }
            let known: Vec<&str> = clusters.iter().map(|cluster| cluster.name.as_str()).collect();
            violations.push(
                Violation::new("unregistered_cluster", path, format!("there is no cluster `{name}`")).hint(
                    format!("registered are: {}; add one: slipway cluster add {name}", known.join(", ")),
                ),
            );
            return Vec::new();
        }
        let matching: Vec<String> = clusters
            .iter()
            .filter(|cluster| {
                let labels = &cluster.settings.labels;
                target.cluster_labels.iter().all(|(key, value)| labels.get(key) == Some(value))
            })
            .map(|cluster| cluster.name.to_string())
            .collect();
        if matching.is_empty() {
            let wanted: Vec<String> =
                target.cluster_labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
            let message = format!("no cluster has the labels {}", wanted.join(","));
            violations.push(Violation::new("unregistered_cluster", path, message));
        }
        matching
    }

    /// Whether a deploy step with these policies deploys to this environment.
    pub(super) fn concerns(&self, policies: &[String], directives: &[(String, Directive)]) -> bool {
        let mut targets = directives
            .iter()
            .filter(|(name, _)| policies.contains(name))
            .filter_map(|(_, directive)| match directive {
                Directive::Targets(targets) => Some(targets),
                _ => None,
            })
            .flatten()
            .peekable();
        targets.peek().is_none() || targets.any(|target| self.is_own(target))
    }

    /// Whether a step deploys to this environment, as far as it deploys at all.
    pub(super) fn is_here(&self, step: &ChosenStep, directives: &[(String, Directive)]) -> bool {
        match &step.says {
            Some(StepDirective::Deploy(deploy)) => self.concerns(&deploy.policies, directives),
            Some(StepDirective::Apply(apply)) => self.is_own(&target_of(apply)),
            _ => true,
        }
    }

    /// Whether the application is deployed to this environment at all. A step without a topology deploys
    /// here, wherever policies of other steps point.
    pub(super) fn stays(&self, chosen: &Chosen) -> bool {
        if chosen.steps.iter().any(|step| step.here && step.deploys_components()) {
            return true;
        }
        let mut targets = chosen
            .directives
            .iter()
            .filter_map(|(_, directive)| match directive {
                Directive::Targets(targets) => Some(targets),
                _ => None,
            })
            .flatten()
            .peekable();
        targets.peek().is_none() || targets.any(|target| self.is_own(target))
    }

    /// Whether a target is this environment's own address.
    fn is_own(&self, target: &Target) -> bool {
        let own = &self.request.environment.address;
        let same = |wanted: &Option<String>, own: &str| wanted.as_ref().is_none_or(|wanted| wanted == own);
        let labels = self.cluster_labels.iter();
        let labelled = target.cluster_labels.iter().all(|wanted| labels.clone().any(|label| label == wanted));
        same(&target.unit, own.unit())
            && same(&target.cluster, own.cluster())
            && same(&target.namespace, own.namespace())
            && same(&target.stage, own.stage())
            && labelled
    }

    fn environment_at<'e>(
        &self,
        target: &Target,
        cluster: &str,
        path: &str,
        environments: &'e [Environment],
    ) -> Result<&'e Environment, Box<Violation>> {
        let own = &self.request.environment.address;
        let unit = target.unit.as_deref().unwrap_or(own.unit());
        let namespace = target.namespace.as_deref().unwrap_or(own.namespace());
        let stage = target.stage.as_deref().unwrap_or(own.stage());
        let text = format!("{unit}/{cluster}/{namespace}/{stage}");
        let address: Result<Address, _> = text.parse();
        let address =
            address.map_err(|error| Violation::new("unregistered_environment", path, error.to_string()))?;
        environments.iter().find(|environment| environment.address == address).ok_or_else(|| {
            let message = format!("{address} is no environment");
            let violation = Violation::new("unregistered_environment", path, message)
                .hint(format!("describe it first: slipway env create NAME --address {address}"));
            Box::new(violation)
        })
    }

    /// Policies that shape what is deployed here, in the order they apply: as the deploy steps for this
    /// environment list them, else as they stand.
    pub(super) fn applied<'d>(
        &self,
        directives: &'d [(String, Directive)],
        steps: &[ChosenStep],
    ) -> Vec<&'d (String, Directive)> {
        let listed = |step: &ChosenStep| match &step.says {
            Some(StepDirective::Deploy(deploy)) => Some(deploy.policies.clone()),
            _ => None,
        };
        if steps.iter().all(|step| listed(step).is_none()) {
            return directives.iter().collect();
        }
        let mut seen = BTreeSet::new();
        let names = steps.iter().filter(|step| step.here).filter_map(listed).flatten();
        let names: Vec<String> = names.filter(|name| seen.insert(name.clone())).collect();
        names.iter().filter_map(|name| directives.iter().find(|(known, _)| known == name)).collect()
    }

    /// Override policies in the order they apply.
    pub(super) fn overrides(
        &self,
        directives: &[(String, Directive)],
        steps: &[ChosenStep],
    ) -> Vec<(String, Vec<Override>)> {
        self.applied(directives, steps)
            .into_iter()
            .filter_map(|(name, directive)| match directive {
                Directive::Overrides(list) => Some((name.clone(), list.iter().map(as_override).collect())),
                _ => None,
            })
            .collect()
    }
}

fn target_of(apply: &ApplyComponent) -> Target {
    Target { cluster: apply.cluster.clone(), namespace: apply.namespace.clone(), ..Target::default() }
}

fn as_override(said: &slipway_definitions::directive::Override) -> Override {
    Override {
        component: said.component.clone(),
        kind: said.component_type.clone(),
        properties: said.properties.clone().unwrap_or_default(),
        traits: said
            .traits
            .iter()
            .map(|wanted| TraitOverride {
                kind: wanted.trait_type.clone(),
                properties: wanted.properties.clone().unwrap_or_default(),
                disable: wanted.disable,
            })
            .collect(),
    }
}
