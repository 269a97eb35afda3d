//! What an instance of an add-on becomes: rendered with all who are bound to it, and closed into a revision.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::{Value, json};
use slipway_definitions::{
    AddonBody, AddonFacts, BindingFacts, ClusterFacts as RenderFacts, ComponentRequest, Definition,
    DefinitionKind, EndedFacts, EnvironmentFacts, Function, Holds, RenderRequest, RenderedComponent, Verb,
    check_together, render_addon,
};
use slipway_handoff::revision::{FORMAT, Limits};
use slipway_handoff::{
    Bundle, Collect, Configuration, Definition as FrozenDefinition, Environment, Graph, Key, Node, Object,
    Output, Phase, Revision, SecretUse, tasks,
};
use slipway_secrets::{Asker, SecretError};
use slipway_types::environment::ClusterFacts;
use slipway_types::name::EnvironmentName;
use slipway_types::{
    ApplicationName, Class, Digest, Fault, SecretReference, SecretScope, Version, Violation,
};

use super::closed::{frozen_kind, output_of};
use super::drawing::Drawing;
use super::objects::{Dressing, is_cluster_scoped};
use super::secrets::{KEEPER, first_place};
use super::{Frozen, plugin_fault, unlooked_cluster, unregistered_cluster};
use crate::addon::subject::AddonSubject;
use crate::definitions::Offer;
use crate::stage::Stage;

mod runs;

pub(crate) use super::container::component_of_runs;
pub(crate) use runs::runs_ms;

/// The node that has everything but Jobs: those run once it is ready.
const RESOURCE: &str = "resource";
/// What the nodes of Jobs begin with.
const JOB: &str = "job.";
/// What references to secrets begin with.
const SECRET_SCHEME: &str = "secret://";
/// The node of the namespace.
const NAMESPACE: &str = "namespace";

/// The secrets that were made for an instance, and those that its properties name: scope and version by reference.
type Made = BTreeMap<SecretReference, (SecretScope, String)>;

/// The definition of an add-on: of exactly this version, or the one that is meant without.
pub(crate) fn definition_of(
    offer: &Offer,
    name: &str,
    version: Option<&Version>,
) -> Result<Arc<Definition>, Box<Violation>> {
    let kind = DefinitionKind::Addon;
    let newest = offer.catalogue.resolve(kind, name, None, "definition")?;
    let Some(version) = version else { return Ok(newest) };
    let versions = offer.catalogue.versions(kind, name);
    let exact = versions.iter().find(|known| known.version() == version);
    exact.map(Arc::clone).ok_or_else(|| {
        let there: Vec<String> = versions.iter().map(|known| known.version().to_string()).collect();
        let message = format!("there is no version {version} of the add-on `{name}`");
        let violation = Violation::new("unknown_definition", "definition", message);
        Box::new(violation.hint(format!("there is {}", there.join(", "))))
    })
}

/// The scope of what is made for an application, or an instance, in an environment.
fn scope(application: &ApplicationName, environment: &EnvironmentName) -> SecretScope {
    SecretScope::Environment(application.clone(), environment.clone())
}

impl Stage {
    /// Plans an instance, or what is run before it is taken away. With `keep` the secrets are made that it lacks;
    /// without, nothing is written.
    pub(crate) async fn plan_addon(
        &self,
        subject: &AddonSubject,
        function: Function,
        keep: bool,
    ) -> Result<Result<Frozen, Vec<Violation>>, Fault> {
        let AddonSubject { addon, environment, .. } = subject;
        let Some(cluster) = self.cluster_row(environment).await? else {
            return Ok(Err(vec![unregistered_cluster(environment.address.cluster())]));
        };
        let Some(facts) = cluster.facts.clone() else {
            return Ok(Err(vec![unlooked_cluster(&cluster)]));
        };
        let offer = self.definitions.current().await?;
        let definition = match definition_of(&offer, addon.definition.as_str(), Some(&addon.version)) {
            Ok(definition) => definition,
            Err(violation) => return Ok(Err(vec![*violation])),
        };
        let body = definition.manifest().as_addon().cloned().unwrap_or_default();
        let (told, made) = self.addon_facts(subject, &body, keep).await?;
        let request = request(self, subject, &facts, &definition);
        let mut session = self.plugins.session().await.map_err(|error| plugin_fault(&error))?;
        let rendered = render_addon(&mut session, &request, &request.components[0], function, &told).await;
        let mut rendered = vec![rendered.map_err(|error| plugin_fault(&error))?];
        check_together(&request, &mut rendered);
        let mut rendered = rendered.remove(0);
        let violations = std::mem::take(&mut rendered.violations);
        if !violations.is_empty() {
            return Ok(Err(violations));
        }
        let runs = rendered.verbs.iter().any(|caused| matches!(caused.verb, Verb::ContainerRun(_)));
        let before = if runs && keep { self.jobs_before(subject).await? } else { BTreeSet::new() };
        let closing = Closing {
            subject,
            function,
            facts: &facts,
            definition: &definition,
            made: &made,
            before: &before,
        };
        Ok(closing.close(&rendered))
    }

    /// The Jobs of the revision that an instance's receiver may have.
    pub(crate) async fn jobs_before(&self, subject: &AddonSubject) -> Result<BTreeSet<String>, Fault> {
        let AddonSubject { addon, environment, .. } = subject;
        let Some(before) = &addon.predecessor else { return Ok(BTreeSet::new()) };
        let key = Key { environment: environment.address.clone(), application: addon.handed_off_as() };
        match self.kept_revision(&key, before).await {
            Ok(frozen) => {
                let objects = frozen.revision.graph.objects().map(|(_, object)| &object.object);
                Ok(objects
                    .filter(|object| tasks::is_task(object))
                    .map(|object| object.name.clone())
                    .collect())
            }
            Err(fault) if fault.class == Class::Transient => Err(fault),
            // Then what ran before runs again.
            Err(_) => Ok(BTreeSet::new()),
        }
    }

    /// What a definition is told of an instance, and the secrets that it may name.
    async fn addon_facts(
        &self,
        subject: &AddonSubject,
        body: &AddonBody,
        keep: bool,
    ) -> Result<(AddonFacts, Made), Fault> {
        let AddonSubject { addon, environment, bindings, namespaces } = subject;
        let mut made = Made::new();
        let mut told = AddonFacts::default();
        let own = scope(&addon.handed_off_as(), &environment.name);
        for output in &body.generates {
            let name = format!("addon/{}/{output}", addon.name);
            let reference = self.made_secret(&own, &name, keep, &mut made).await?;
            told.secrets.insert(output.to_string(), reference);
        }
        for binding in bindings.iter().filter(|binding| binding.ended_at.is_none()) {
            let scope = scope(&binding.application, &binding.environment);
            let mut secrets = BTreeMap::new();
            for output in &body.binding_generates {
                let name = binding.secret(output.as_str());
                secrets.insert(output.to_string(), self.made_secret(&scope, &name, keep, &mut made).await?);
            }
            told.bindings.push(BindingFacts {
                name: binding.short(),
                application: binding.application.path(),
                environment: binding.environment.to_string(),
                namespace: namespaces.get(&binding.environment_id).cloned().unwrap_or_default(),
                account: binding.account.clone(),
                secrets,
            });
        }
        let bound: BTreeSet<&str> = told.bindings.iter().map(|binding| binding.account.as_str()).collect();
        let ended = bindings.iter().filter(|binding| !bound.contains(binding.account.as_str()));
        // Of each account the last: they come oldest first.
        let ended: BTreeMap<&str, String> =
            ended.map(|binding| (binding.account.as_str(), binding.short())).collect();
        let ended = ended.into_iter().map(|(account, name)| EndedFacts { name, account: account.to_owned() });
        told.ended = ended.collect();
        self.named_secrets(subject, &mut made).await?;
        Ok((told, made))
    }

    /// Notes the secrets that somebody named in the instance's properties and that it may have. What it may not have
    /// is told where an object names it.
    async fn named_secrets(&self, subject: &AddonSubject, made: &mut Made) -> Result<(), Fault> {
        let AddonSubject { addon, environment, .. } = subject;
        let application = addon.handed_off_as();
        let mut named = BTreeSet::new();
        references_in(&addon.properties, &mut named);
        named.retain(|reference| !made.contains_key(reference));
        for reference in named {
            let asker = Asker { application: &application, environment: Some(&environment.name) };
            match self.secrets.resolve_for(&reference, asker).await {
                Ok(found) => {
                    made.insert(reference, (found.scope, found.resolved.version));
                }
                Err(error) => {
                    let fault = Fault::from(error);
                    if fault.class == Class::Transient {
                        return Err(fault);
                    }
                }
            }
        }
        Ok(())
    }

    /// The reference of a secret that Slipway makes, noted in `made`.
    async fn made_secret(
        &self,
        scope: &SecretScope,
        name: &str,
        keep: bool,
        made: &mut Made,
    ) -> Result<String, Fault> {
        let reference = SecretReference::builtin(name);
        let version = match self.secrets.resolve_in(&reference, scope).await {
            Ok(found) => found.version,
            Err(SecretError::Missing { .. }) if keep => {
                let fault = |error| crate::records_fault(&error);
                let mut tx = self.records.begin().await.map_err(fault)?;
                let value = slipway_secrets::generated();
                let row = self.secrets.set_within(tx.as_mut(), scope, name, &value, KEEPER).await?;
                tx.commit().await.map_err(fault)?;
                row.version.to_string()
            }
            Err(SecretError::Missing { .. }) => "1".to_owned(),
            Err(error) => return Err(error.into()),
        };
        let text = reference.to_string();
        made.insert(reference, (scope.clone(), version));
        Ok(text)
    }
}

/// References to secrets that stand anywhere in properties.
fn references_in(value: &Value, found: &mut BTreeSet<SecretReference>) {
    match value {
        Value::String(text) if text.starts_with(SECRET_SCHEME) => {
            found.extend(text.parse::<SecretReference>().ok());
        }
        Value::Array(items) => items.iter().for_each(|item| references_in(item, found)),
        Value::Object(fields) => fields.values().for_each(|field| references_in(field, found)),
        _ => {}
    }
}

/// The instance as a component of its definition's type.
fn request(
    stage: &Stage,
    subject: &AddonSubject,
    facts: &ClusterFacts,
    definition: &Arc<Definition>,
) -> RenderRequest {
    let AddonSubject { addon, environment, .. } = subject;
    let instance = ComponentRequest {
        name: addon.name.to_string(),
        object_name: None,
        type_definition: Arc::clone(definition),
        version: definition.version().clone(),
        properties: addon.properties.clone(),
        images: Vec::new(),
        package: Holds::default(),
        traits: Vec::new(),
        path: format!("addons[{}]", addon.name),
    };
    RenderRequest {
        app: addon.handed_off_as(),
        environment: EnvironmentFacts {
            name: environment.name.to_string(),
            address: environment.address.clone(),
        },
        cluster: RenderFacts { version: facts.version.clone(), apis: facts.apis.clone() },
        components: vec![instance],
        options: stage.options.rendering.clone(),
    }
}

/// An instance that is being closed into a revision.
struct Closing<'a> {
    subject: &'a AddonSubject,
    function: Function,
    facts: &'a ClusterFacts,
    definition: &'a Definition,
    made: &'a Made,
    /// The Jobs that its receiver may have.
    before: &'a BTreeSet<String>,
}

impl Closing<'_> {
    fn close(&self, rendered: &RenderedComponent) -> Result<Frozen, Vec<Violation>> {
        let mut drawing = Drawing::default();
        self.draw(&mut drawing, rendered);
        self.draw_namespace(&mut drawing);
        let secrets = self.secrets(&mut drawing);
        let Drawing { nodes, manifests, mut violations, .. } = drawing;
        let graph = Graph::try_from(nodes).expect("invariant: Jobs need the resource, which needs nothing");
        let revision = self.revision(graph, secrets);
        violations.extend(revision.violations(&Limits::default()));
        if violations.is_empty() { Ok(Frozen { revision, manifests }) } else { Err(violations) }
    }

    /// Keeps an object's bytes and notes its secrets.
    fn keep(&self, drawing: &mut Drawing, object: &Value) -> Option<Object> {
        drawing.keep_of(|| format!("addons[{}]", self.subject.addon.name), object)
    }

    /// One node for the objects, and one for each Job, which runs once those are ready.
    fn draw(&self, drawing: &mut Drawing, rendered: &RenderedComponent) {
        let AddonSubject { addon, environment, .. } = self.subject;
        let application = addon.handed_off_as();
        let address = &environment.address;
        let dressing = Dressing { application: &application, address, pull_secret: false };
        let component = addon.name.as_str();
        let node = || Node { component: component.parse().ok(), ..Node::default() };
        let mut resource = node();
        for object in &rendered.objects {
            let scoped =
                object.cluster_scoped || is_cluster_scoped(&object.object, &self.facts.cluster_scoped);
            let dressed = dressing.dress(component, object.object.clone(), scoped);
            resource.objects.extend(self.keep(drawing, &dressed));
        }
        for caused in &rendered.verbs {
            let Verb::JobRun { object } = &caused.verb else { continue };
            let dressed = dressing.dress(component, object.clone(), false);
            let Some(run) = self.keep(drawing, &dressed) else { continue };
            let name = format!("{JOB}{}", run.object.name);
            let needs = BTreeSet::from([RESOURCE.to_owned()]);
            drawing.nodes.insert(name, Node { objects: vec![run], needs, ..node() });
        }
        drawing.nodes.insert(RESOURCE.to_owned(), resource);
        self.draw_runs(drawing, &dressing, rendered);
        for (name, source) in &rendered.outputs {
            if let Some(output) = output_of(source, address.namespace()) {
                drawing.give_holder(name, output);
            }
        }
    }

    /// The namespace itself, if the environment makes it.
    fn draw_namespace(&self, drawing: &mut Drawing) {
        let environment = &self.subject.environment;
        if !environment.settings.create_namespace {
            return;
        }
        let name = environment.address.namespace();
        let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
        let Some(mut object) = self.keep(drawing, &namespace) else { return };
        // Others may have something in it.
        object.collect = Collect::Never;
        for other in drawing.nodes.values_mut() {
            other.needs.insert(NAMESPACE.to_owned());
        }
        let node = Node { objects: vec![object], phase: Phase::Pre, ..Node::default() };
        drawing.nodes.insert(NAMESPACE.to_owned(), node);
    }

    /// Secrets with scope and version; what was not made for this instance is refused.
    fn secrets(&self, drawing: &mut Drawing) -> Vec<SecretUse> {
        let mut secrets = Vec::new();
        for (reference, used_in) in std::mem::take(&mut drawing.uses).places() {
            let Some((scope, version)) = self.made.get(&reference) else {
                let message = format!("{reference} is neither made for this add-on nor one that it may have");
                let hint = "the definition lists what it needs in `generates` or `binding.generates`; what a property \
                            names must be everybody's: slipway secret set NAME < FILE";
                drawing
                    .violations
                    .push(Violation::new("secret_not_allowed", first_place(&used_in), message).hint(hint));
                continue;
            };
            let (scope, version) = (Some(scope.clone()), version.clone());
            secrets.push(SecretUse { reference, scope, version, used_in });
        }
        secrets
    }

    fn revision(&self, graph: Graph, secrets: Vec<SecretUse>) -> Revision {
        let AddonSubject { addon, environment, .. } = self.subject;
        let definition = self.definition;
        let settings = serde_json::to_value(&environment.settings).expect("invariant: settings are JSON");
        let configuration = slipway_oam::canonical_json(&addon.properties);
        let lock = json!({"definition": definition.digest(), "properties": addon.properties});
        Revision {
            format: FORMAT,
            application: addon.handed_off_as(),
            bundle: Bundle {
                digest: definition.digest(),
                version: definition.version().clone(),
                source: None,
                commit: None,
            },
            lock: Digest::of(slipway_oam::canonical_json(&lock)),
            environment: Environment {
                address: environment.address.clone(),
                settings: Digest::of(slipway_oam::canonical_json(&settings)),
            },
            configuration: Configuration { digest: Digest::of(configuration), levels: BTreeMap::new() },
            definitions: BTreeSet::from([FrozenDefinition {
                kind: frozen_kind(DefinitionKind::Addon),
                name: definition.name().parse().expect("invariant: a definition has a definition's name"),
                version: definition.version().to_string(),
                digest: definition.digest(),
            }]),
            graph,
            secrets,
            // Before it is taken away there may be nothing to run.
            allow_empty: self.function == Function::Release,
        }
    }
}

impl Drawing {
    /// Gives an output to the node that has its object, else to the resource.
    fn give_holder(&mut self, name: &str, output: Output) {
        let has = |node: &Node| match &output {
            Output::From { object, .. } | Output::Message { object, .. } => {
                node.objects.iter().any(|one| one.object.identity() == object.identity())
            }
            Output::Value(_) => false,
        };
        let holder = self.nodes.iter().find(|(_, node)| has(node)).map(|(name, _)| name.clone());
        self.give(holder.as_deref().unwrap_or(RESOURCE), name, output);
    }
}
