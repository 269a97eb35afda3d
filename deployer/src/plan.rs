//! A plan: what a bundle would become in an environment, checked as a whole and written nowhere.
//!
//! Every violation is told at once. Nothing here writes: neither rows nor objects nor clusters, except
//! the `dryRun=All` requests of [`compare`].

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::Value;
use slipway_definitions::{
    Definition, DefinitionKind, Directive, RenderRequest, RenderedComponent, StepDirective, check_together,
};
use slipway_handoff::{ManifestSet, Revision};
use slipway_oam::overlay::{DeveloperComponent, Merged, overlay};
use slipway_oam::{Step, Workflow};
use slipway_plugins::Session;
use slipway_records::{Application, Cluster, Environment, FrozenDefinition, PackageVersion};
use slipway_types::environment::ClusterFacts;
use slipway_types::name::EnvironmentName;
use slipway_types::{Fault, Violation};

use crate::configuration::{self, LevelAuthor, Levels};
use crate::definitions::held::{self, HeldDefinitions};
use crate::packages::{self, Package};
use crate::stage::Stage;
use crate::waves::After;

pub(crate) mod addon;
mod adopt;
mod against_cluster;
mod asking;
mod bound;
mod canary;
mod choices;
mod choosing;
mod closed;
mod colours;
mod conditions;
mod container;
mod drawing;
mod expressions;
mod images;
mod in_force;
mod inputs;
mod laid;
mod laying;
mod live;
mod objects;
mod order;
mod package_objects;
mod reach;
mod removed;
mod rules;
mod secrets;
mod staging;
mod steps;

pub use against_cluster::{Change, Difference, compare};
use conditions::Asks;
pub use objects::pull_secret_name;
use reach::Reached;
pub use removed::Running;
pub(crate) use secrets::SecretsOf;

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
    /// Which of them, this one included, come after which.
    pub order: Vec<After>,
    /// Images, by component.
    pub images: Vec<PlannedImage>,
}

/// A revision with everything it names.
#[derive(Debug, Clone)]
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

    /// The definitions that it was made by.
    pub fn made_by(&self) -> Vec<FrozenDefinition> {
        self.revision.definitions.iter().filter_map(held::of_revision).collect()
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
    definitions: HeldDefinitions,
    bound: Vec<bound::Bound>,
}

/// An application whose definitions are chosen and whose policies have spoken.
struct Chosen {
    merged: Merged,
    render: RenderRequest,
    directives: Vec<(String, Directive)>,
    steps: Vec<ChosenStep>,
    definitions: BTreeMap<(DefinitionKind, String), Arc<Definition>>,
    notes: Vec<String>,
}

/// A workflow step and what its definition says.
struct ChosenStep {
    step: Step,
    /// Where it stands in the operator's file: `workflow.steps[GROUP].subSteps[NAME]`.
    path: String,
    /// The group whose step it is.
    group: Option<String>,
    says: Option<StepDirective>,
    /// Whether it is part of this environment's revision.
    here: bool,
    /// Steps that must have succeeded, or whose end its condition asks for, beside those it depends on.
    after: BTreeSet<String>,
    /// What only the run decides of it.
    asks: Option<Asks>,
    /// The declared components that it deploys, wherever that is.
    deploys: BTreeSet<String>,
}

impl Plan {
    fn refused(violations: Vec<Violation>) -> Self {
        Self { violations, ..Self::default() }
    }

    /// The definitions that the revision was made by.
    pub fn made_by(&self) -> Vec<FrozenDefinition> {
        self.revision.as_ref().map(Frozen::made_by).unwrap_or_default()
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
        plan.notes.extend(ground.definitions.newer(&plan.made_by()));
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
        let holds = read.definition_holds(Some(request.application.id)).await;
        let holds = holds.map_err(|error| crate::records_fault(&error))?;
        let bound = bound::load(read.as_mut(), request.application.id, request.environment.id).await;
        let bound = bound.map_err(|error| crate::records_fault(&error))?;
        drop(read);
        let definitions = HeldDefinitions::new(self.definitions.current().await?, holds);
        let mut packages = Vec::new();
        for member in packages::members(&request.bundle)? {
            packages.push(Package::read(&self.blobs, &self.options.packages, member).await?);
        }
        Ok(Ok((
            Ground { stage: self, request, facts, cluster_labels, packages, levels, definitions, bound },
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

    /// What developers declared of the components that are deployed.
    fn developers(&self) -> Vec<DeveloperComponent> {
        self.packages
            .iter()
            .filter_map(|package| {
                let configured = self.is_configured(package);
                let declared = package.declared.clone().or_else(|| {
                    configured.then(|| DeveloperComponent {
                        name: package.member.component.to_string(),
                        ..DeveloperComponent::default()
                    })
                })?;
                Some(with_defaults(declared, &self.definitions))
            })
            .collect()
    }

    fn merge(&self) -> Result<Merged, Vec<Violation>> {
        let definitions = &self.definitions;
        let needs_no_package = |kind: &str| {
            let found = definitions.resolve(DefinitionKind::Component, kind, "");
            found.is_ok_and(|definition| {
                definition.manifest().as_component().is_some_and(|body| {
                    matches!(
                        body.takes,
                        slipway_definitions::Takes::Nothing | slipway_definitions::Takes::Files
                    )
                })
            })
        };
        overlay(&self.developers(), &self.levels.levels, &needs_no_package)
    }

    /// Adds the types that nobody defines, where merging failed already: all is told at once. A component
    /// of an unknown type needs no word on its package.
    fn with_unknown_types(&self, mut violations: Vec<Violation>) -> Vec<Violation> {
        for level in &self.levels.levels {
            let place = |path: &str| level.places.as_ref().and_then(|places| places.place_of(path));
            let mut check = |kind, name: &str, path: String| {
                if let Err(violation) = self.definitions.resolve(kind, name, &path) {
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
            for at in level.application.workflow.iter().flat_map(Workflow::all_steps) {
                if at.step.sub_steps.is_empty() {
                    check(DefinitionKind::Step, &at.step.kind, at.path());
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
        let unmet = self.choices(merged.application()).await?;
        let mut chosen = match self.choose(merged, session).await? {
            Ok(chosen) => chosen,
            Err(violations) => return Ok(Plan::refused(unmet.into_iter().chain(violations).collect())),
        };
        let mut violations = unmet;
        let Reached { environments: reaches, order } = match self.reached(&chosen).await? {
            Ok(reached) => reached,
            Err(found) => {
                violations.extend(found);
                Reached::default()
            }
        };
        if violations.is_empty() && !self.stays(&chosen) {
            let notes = vec!["its policies deploy it to other environments alone".to_owned()];
            return Ok(Plan { notes, reaches, order, ..Plan::default() });
        }
        let nothing = chosen.merged.application().components.is_empty() && !chosen.notes.is_empty();
        if violations.is_empty() && nothing {
            let notes = std::mem::take(&mut chosen.notes);
            return Ok(Plan { notes, reaches, order, ..Plan::default() });
        }
        violations.extend(self.fill_bound(&mut chosen));
        let mut rendered = slipway_definitions::render(session, &chosen.render)
            .await
            .map_err(|error| plugin_fault(&error))?;
        let notes = std::mem::take(&mut chosen.notes);
        let mut gathered = package_objects::Gathered { notes, ..package_objects::Gathered::default() };
        for (component, whole) in chosen.render.components.iter().zip(&mut rendered) {
            if whole.awaits_package {
                self.complete(session, &chosen, component, whole, &mut gathered).await?;
            } else {
                gathered.settle_rendered(&self.request.environment.address, whole);
            }
        }
        self.settle_all(&mut chosen, &mut rendered, &mut gathered);
        check_together(&chosen.render, &mut rendered);
        violations
            .extend(rendered.iter_mut().flat_map(|component| std::mem::take(&mut component.violations)));
        violations.extend(self.platforms(&chosen.merged, &rendered));
        violations.extend(std::mem::take(&mut gathered.violations));
        for violation in &mut violations {
            if violation.at.is_none() {
                violation.at = chosen.merged.place_of(&violation.path);
            }
        }
        if !violations.is_empty() {
            return Ok(Plan { violations, notes: gathered.notes, ..Plan::default() });
        }
        let plan = self.close(&mut chosen, rendered, gathered, reaches).await?;
        let notes = order.iter().map(After::in_words).chain(plan.notes).collect();
        Ok(Plan { notes, order, ..plan })
    }

    /// Makes what steps apply the stage's own, and lets all name each other as they are called there.
    fn settle_all(
        &self,
        chosen: &mut Chosen,
        rendered: &mut [RenderedComponent],
        gathered: &mut package_objects::Gathered,
    ) {
        let address = &self.request.environment.address;
        for step in &mut chosen.steps {
            let node = steps::node_of(step);
            if let Some(StepDirective::Verbs(verbs)) = &mut step.says {
                gathered.settle_step(address, node, verbs);
            }
        }
        gathered.follow_renames(address, rendered);
        for step in &mut chosen.steps {
            let node = steps::node_of(step);
            if let Some(StepDirective::Verbs(verbs)) = &mut step.says {
                gathered.follow_in_step(address, &node, verbs);
            }
        }
    }
}

/// What the component type lets operators set, where its developers say nothing of that.
fn with_defaults(mut declared: DeveloperComponent, definitions: &HeldDefinitions) -> DeveloperComponent {
    if declared.overridable.is_empty()
        && let Some(kind) = &declared.kind
        && let Ok(definition) = definitions.resolve(DefinitionKind::Component, kind, "")
        && let Some(body) = definition.manifest().as_component()
    {
        declared.overridable.clone_from(&body.overridable);
    }
    declared
}
