//! A plan: what a bundle would become in an environment, checked as a whole and written nowhere.
//!
//! Every violation is told at once. Nothing here writes: neither rows nor objects nor clusters, except
//! the `dryRun=All` requests of [`compare`].

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::Value;
use slipway_definitions::{
    ClusterFacts as RenderFacts, ComponentRequest, Definition, DefinitionKind, Directive, EnvironmentFacts,
    Holds, RenderRequest, StepDirective, TraitRequest, check_together, evaluate_policy, evaluate_step,
};
use slipway_handoff::{ManifestSet, Revision};
use slipway_oam::overlay::{Merged, overlay};
use slipway_oam::{Component, Step, Workflow};
use slipway_plugins::Session;
use slipway_records::{Application, Cluster, Environment, PackageVersion};
use slipway_types::environment::ClusterFacts;
use slipway_types::name::EnvironmentName;
use slipway_types::{Fault, Version, Violation};

use crate::configuration::{self, LevelAuthor, Levels};
use crate::packages::{self, Package};
use crate::stage::Stage;

mod against_cluster;
mod closed;
mod images;
mod inputs;
mod live;
mod objects;
mod package_objects;
mod reach;
mod rules;
mod same;
mod secrets;

pub use against_cluster::{Change, Difference, FIELD_MANAGER, compare};
pub use objects::pull_secret_name;

/// What is to be planned.
#[derive(Debug, Clone)]
pub struct PlanRequest {
    /// The application.
    pub application: Application,
    /// Where.
    pub environment: Environment,
    /// Its bundle.
    pub bundle: PackageVersion,
    /// Configuration on top of what is stored.
    pub document: Option<String>,
    /// Whether rendered secrets are kept: only where a revision is frozen.
    pub keep: bool,
}

/// What came of it.
#[derive(Debug, Default)]
pub struct Plan {
    /// What stands against it. If anything does, there is no revision.
    pub violations: Vec<Violation>,
    /// What people should know of it.
    pub notes: Vec<String>,
    /// What would be frozen.
    pub revision: Option<Frozen>,
    /// Other environments that policies or steps reach.
    pub reaches: BTreeSet<EnvironmentName>,
    /// Images, by component.
    pub images: Vec<PlannedImage>,
}

/// A revision with everything it names.
#[derive(Debug)]
pub struct Frozen {
    /// The document.
    pub revision: Revision,
    /// Its objects' bytes.
    pub manifests: ManifestSet,
}

impl Frozen {
    /// Its objects in the order they are applied.
    pub fn objects(&self) -> Vec<Value> {
        let objects = self.revision.graph.objects();
        objects
            .filter_map(|(_, object)| serde_json::from_slice(self.manifests.get(&object.manifest)?).ok())
            .collect()
    }
}

/// An image that the environment will pull.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedImage {
    /// Whose.
    pub component: String,
    /// As it lies in the server's registry.
    pub image: slipway_types::state::BuiltImage,
}

/// What a plan is made from, once everything is read.
struct Ground<'a> {
    stage: &'a Stage,
    request: &'a PlanRequest,
    facts: ClusterFacts,
    cluster_labels: BTreeMap<String, String>,
    packages: Vec<Package>,
    levels: Levels,
}

/// An application whose definitions are chosen and whose policies have spoken.
struct Chosen {
    merged: Merged,
    render: RenderRequest,
    directives: Vec<(String, Directive)>,
    steps: Vec<ChosenStep>,
    definitions: BTreeMap<(DefinitionKind, String), Arc<Definition>>,
}

/// A workflow step and what its definition says.
struct ChosenStep {
    step: Step,
    group: Option<String>,
    says: Option<StepDirective>,
}

impl Plan {
    fn refused(violations: Vec<Violation>) -> Self {
        Self { violations, ..Self::default() }
    }
}

impl Stage {
    /// Plans a bundle for an environment. Only what lies outside (databases, stores, the plug-in host)
    /// makes it fail.
    pub async fn plan(&self, request: &PlanRequest) -> Result<Plan, Fault> {
        let (ground, _, violations) = match self.ground(request).await? {
            Ok(found) => found,
            Err(violations) => return Ok(Plan::refused(violations)),
        };
        if !violations.is_empty() {
            return Ok(Plan::refused(violations));
        }
        let mut session = self.plugins.session().await.map_err(|error| plugin_fault(&error))?;
        let mut plan = ground.plan(&mut session).await?;
        let held = held(self, request).await?;
        if !held.is_empty() {
            plan.violations.splice(0..0, held);
            plan.revision = None;
        }
        plan.notes.extend(ground.skipped());
        Ok(plan)
    }

    /// Where each value of an application's configuration comes from.
    pub async fn explain(
        &self,
        request: &PlanRequest,
    ) -> Result<Result<(Merged, Vec<LevelAuthor>), Vec<Violation>>, Fault> {
        Ok(match self.ground(request).await? {
            Err(violations) => Err(violations),
            Ok((ground, authors, violations)) if violations.is_empty() => {
                ground.merge().map(|merged| (merged, authors))
            }
            Ok((_, _, violations)) => Err(violations),
        })
    }

    async fn ground<'a>(
        &'a self,
        request: &'a PlanRequest,
    ) -> Result<Result<(Ground<'a>, Vec<LevelAuthor>, Vec<Violation>), Vec<Violation>>, Fault> {
        let address = &request.environment.address;
        let mut read = self.records.read().await.map_err(|error| crate::records_fault(&error))?;
        let clusters = read.cluster_list().await.map_err(|error| crate::records_fault(&error))?;
        let Some(cluster) = clusters.into_iter().find(|cluster| cluster.name.as_str() == address.cluster())
        else {
            return Ok(Err(vec![unregistered_cluster(address.cluster())]));
        };
        let Some(facts) = cluster.facts.clone() else {
            return Ok(Err(vec![unlooked_cluster(&cluster)]));
        };
        let cluster_labels = cluster.settings.labels.clone();
        let document = request.document.as_deref();
        let loaded = configuration::load(
            read.as_mut(),
            request.application.id,
            address,
            document,
            &self.options.files,
        );
        let (levels, authors, violations) = loaded.await.map_err(|error| crate::records_fault(&error))?;
        drop(read);
        let mut packages = Vec::new();
        for member in packages::members(&request.bundle)? {
            packages.push(Package::read(&self.blobs, &self.options.packages, member).await?);
        }
        Ok(Ok((
            Ground { stage: self, request, facts, cluster_labels, packages, levels },
            authors,
            violations,
        )))
    }
}

/// The checks of developers that hold the bundle, each a violation.
async fn held(stage: &Stage, request: &PlanRequest) -> Result<Vec<Violation>, Fault> {
    let mut read = stage.records.read().await.map_err(|error| crate::records_fault(&error))?;
    let holding = read.declared_checks_holding(&[request.bundle.id]).await;
    let holding = holding.map_err(|error| crate::records_fault(&error))?;
    let (application, version) = (&request.application.name, &request.bundle.version);
    let violation = |check: &slipway_records::DeclaredCheck| {
        let message = format!("{version} is held by a check of its developers: {}", check.standing());
        Violation::new("bundle_held", "bundle", message).hint(format!(
            "wait until it is green: slipway check list {application} {version}; run it again: slipway check \
             rerun {application} {version} {name}; or let it go: slipway check waive {application} {version} \
             {name} --reason …",
            name = check.name
        ))
    };
    Ok(holding.iter().map(violation).collect())
}

fn unregistered_cluster(name: &str) -> Violation {
    Violation::new("unregistered_cluster", "environment.address", format!("there is no cluster `{name}`"))
        .hint(format!("register it: slipway cluster add {name} --kubeconfig secret://builtin/NAME"))
}

fn unlooked_cluster(cluster: &Cluster) -> Violation {
    let message = format!("the cluster `{}` has never answered", cluster.name);
    Violation::new("unregistered_cluster", "environment.address", message)
        .hint(format!("look at it: slipway cluster check {}", cluster.name))
}

/// The fault of a plug-in host that does not run.
pub(crate) fn plugin_fault(error: &dyn std::error::Error) -> Fault {
    tracing::warn!(%error, "the plug-in host does not run");
    Fault::transient("plugin_host", format!("the plug-in host does not run: {error}"))
}

impl Ground<'_> {
    /// Packages that are not deployed, for people.
    fn skipped(&self) -> Option<String> {
        let skipped: Vec<&str> = self
            .packages
            .iter()
            .filter(|package| package.declared.is_none() && !self.is_configured(package))
            .map(|package| package.member.component.as_str())
            .collect();
        (!skipped.is_empty()).then(|| {
            format!("not deployed, since neither developers nor operators say how: {}", skipped.join(", "))
        })
    }

    /// Whether an operator gives a component a type.
    fn is_configured(&self, package: &Package) -> bool {
        let name = package.member.component.as_str();
        let mut levels = self.levels.levels.iter();
        levels.any(|level| level.application.component(name).is_some_and(|found| found.kind.is_some()))
    }

    fn merge(&self) -> Result<Merged, Vec<Violation>> {
        let catalogue = &self.stage.catalogue;
        let developer: Vec<_> = self
            .packages
            .iter()
            .filter_map(|package| {
                let configured = self.is_configured(package);
                let declared = package.declared.clone().or_else(|| {
                    configured.then(|| slipway_oam::overlay::DeveloperComponent {
                        name: package.member.component.to_string(),
                        ..Default::default()
                    })
                })?;
                Some(with_defaults(declared, catalogue))
            })
            .collect();
        let needs_no_package = |kind: &str| {
            let found = catalogue.resolve(DefinitionKind::Component, kind, None, "");
            found.is_ok_and(|definition| {
                definition.manifest().as_component().is_some_and(|body| {
                    matches!(
                        body.takes,
                        slipway_definitions::Takes::Nothing | slipway_definitions::Takes::Files
                    )
                })
            })
        };
        overlay(&developer, &self.levels.levels, &needs_no_package)
    }

    /// Adds the types that nobody defines, where merging failed already: all is told at once. A component
    /// of an unknown type needs no word on its package.
    fn with_unknown_types(&self, mut violations: Vec<Violation>) -> Vec<Violation> {
        for level in &self.levels.levels {
            let place = |path: &str| level.places.as_ref().and_then(|places| places.place_of(path));
            let mut check = |kind, name: &str, path: String| {
                if let Err(violation) = self.stage.catalogue.resolve(kind, name, None, &path) {
                    violations.retain(|known| known.code != "package_not_found" || known.path != path);
                    violations.push(violation.at(place(&path)));
                }
            };
            for component in &level.application.components {
                let path = format!("components[{}]", component.name);
                for (index, wanted) in component.traits.iter().enumerate() {
                    let path = format!("{path}.traits[{}]", component.trait_key(index));
                    check(DefinitionKind::Trait, &wanted.kind, path);
                }
                if let Some(kind) = &component.kind {
                    check(DefinitionKind::Component, kind, path);
                }
            }
            for policy in &level.application.policies {
                check(DefinitionKind::Policy, &policy.kind, format!("policies[{}]", policy.name));
            }
            for (_, step) in level.application.workflow.iter().flat_map(Workflow::all_steps) {
                if step.sub_steps.is_empty() {
                    check(DefinitionKind::Step, &step.kind, format!("workflow.steps[{}]", step.name));
                }
            }
        }
        violations
    }

    async fn plan(&self, session: &mut Session) -> Result<Plan, Fault> {
        let merged = match self.merge() {
            Ok(merged) => merged,
            Err(violations) => return Ok(Plan::refused(self.with_unknown_types(violations))),
        };
        let mut chosen = match self.choose(merged, session).await? {
            Ok(chosen) => chosen,
            Err(violations) => return Ok(Plan::refused(violations)),
        };
        let mut violations = Vec::new();
        let reaches = match self.reached(&chosen).await? {
            Ok(reaches) => reaches,
            Err(found) => {
                violations.extend(found);
                BTreeSet::new()
            }
        };
        if violations.is_empty() && !self.stays(&chosen) {
            let notes = vec!["its policies deploy it to other environments alone".to_owned()];
            return Ok(Plan { notes, reaches, ..Plan::default() });
        }
        let mut rendered = slipway_definitions::render(session, &chosen.render)
            .await
            .map_err(|error| plugin_fault(&error))?;
        let mut gathered = package_objects::Gathered::default();
        for (component, whole) in chosen.render.components.iter().zip(&mut rendered) {
            if whole.awaits_package {
                self.complete(session, &chosen, component, whole, &mut gathered).await?;
            }
        }
        check_together(&chosen.render, &mut rendered);
        violations
            .extend(rendered.iter_mut().flat_map(|component| std::mem::take(&mut component.violations)));
        violations.extend(self.platforms(&rendered));
        violations.extend(std::mem::take(&mut gathered.violations));
        for violation in &mut violations {
            if violation.at.is_none() {
                violation.at = chosen.merged.place_of(&violation.path);
            }
        }
        if !violations.is_empty() {
            return Ok(Plan { violations, notes: gathered.notes, ..Plan::default() });
        }
        self.close(&mut chosen, rendered, gathered, reaches).await
    }

    /// Resolves every definition and hears every policy and step.
    async fn choose(
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
            let found = self.stage.catalogue.resolve(DefinitionKind::Policy, &policy.kind, None, &path);
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
        let steps = self.steps(&merged, &first, session, &mut definitions, &mut violations).await?;
        for (name, overrides) in self.overrides(&directives, &steps) {
            if let Err(found) = merged.apply_override(&name, &overrides) {
                violations.extend(found);
            }
        }
        let mut render = self.render_request(&merged, &mut definitions, &mut violations);
        if !violations.is_empty() {
            return Ok(Err(self.placed(&merged, violations)));
        }
        replicate(&mut render, &directives);
        Ok(Ok(Chosen { merged, render, directives, steps, definitions }))
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
        for (group, step) in workflow.all_steps() {
            let group = group.map(|group| group.name.clone());
            if !step.sub_steps.is_empty() {
                steps.push(ChosenStep { step: step.clone(), group, says: None });
                continue;
            }
            let path = format!("workflow.steps[{}]", step.name);
            let definition = match self.stage.catalogue.resolve(DefinitionKind::Step, &step.kind, None, &path)
            {
                Ok(definition) => definition,
                Err(violation) => {
                    violations.push(*violation);
                    continue;
                }
            };
            let properties = Value::Object(step.properties.clone());
            let said =
                evaluate_step(session, render, &definition, &step.name, &policies, &properties, &path).await;
            match said.map_err(|error| plugin_fault(&error))? {
                Ok(says) => steps.push(ChosenStep { step: step.clone(), group, says: Some(says) }),
                Err(found) => violations.extend(found),
            }
            definitions.insert((DefinitionKind::Step, step.kind.clone()), definition);
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
            components.extend(self.component(component, definitions, violations));
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
        definitions: &mut BTreeMap<(DefinitionKind, String), Arc<Definition>>,
        violations: &mut Vec<Violation>,
    ) -> Option<ComponentRequest> {
        let catalogue = &self.stage.catalogue;
        let path = format!("components[{}]", component.name);
        let kind = component.kind.clone().unwrap_or_default();
        let mut resolve = |of, name: &str, path: &str| {
            catalogue
                .resolve(of, name, None, path)
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
        let package =
            self.packages.iter().find(|package| package.member.component.as_str() == component.name);
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

/// Puts copies of components in their place, one for each key, named after it.
fn replicate(render: &mut RenderRequest, directives: &[(String, Directive)]) {
    for (_, directive) in directives {
        let Directive::Replicate(wanted) = directive else { continue };
        let meant = |name: &String| wanted.components.is_empty() || wanted.components.contains(name);
        render.components = std::mem::take(&mut render.components)
            .into_iter()
            .flat_map(|component| {
                if !meant(&component.name) {
                    return vec![component];
                }
                let copy = |key: &String| ComponentRequest {
                    name: format!("{}-{key}", component.name),
                    ..component.clone()
                };
                wanted.keys.iter().map(copy).collect()
            })
            .collect();
    }
}

/// What the component type lets operators set, where its developers say nothing of that.
fn with_defaults(
    mut declared: slipway_oam::overlay::DeveloperComponent,
    catalogue: &slipway_definitions::Catalogue,
) -> slipway_oam::overlay::DeveloperComponent {
    if declared.overridable.is_empty()
        && let Some(kind) = &declared.kind
        && let Ok(definition) = catalogue.resolve(DefinitionKind::Component, kind, None, "")
        && let Some(body) = definition.manifest().as_component()
    {
        declared.overridable.clone_from(&body.overridable);
    }
    declared
}
