//! A plan closed into a revision: a graph of nodes, every object by digest, nothing left to render.

use std::collections::BTreeSet;

use secrecy::ExposeSecret as _;
use serde_json::{Value, json};
use slipway_charts::Hook;
use slipway_definitions::{DefinitionKind, OutputSource, Phase, RenderedComponent, RenderedObject};
use slipway_handoff::revision::{FORMAT, Limits};
use slipway_handoff::tasks::{HookSide, hook_name};
use slipway_handoff::{
    Bundle, Collect, Configuration, Definition, DefinitionKind as FrozenKind, Environment, Graph, Node,
    NodeName, Object, ObjectRef, Output, Pointer, Revision,
};
use slipway_oam::Source;
use slipway_oam::binding::SourceObject;
use slipway_types::environment::ReceiverSettings;
use slipway_types::name::EnvironmentName;
use slipway_types::{ComponentName, Digest, Fault, Violation};

use super::drawing::{Drawing, Ends};
use super::objects::{Dressing, is_cluster_scoped};
use super::package_objects::{Gathered, Hooked};
use super::secrets::{KEEPER, SecretsOf};
use super::{Chosen, Frozen, Ground, Plan, PlannedImage, inputs, rules, staging, steps};

/// What a node of a hook or Job is given at most, in milliseconds.
const NODE_TIMEOUT_MS: u64 = slipway_handoff::node::TIMEOUT_MS_DEFAULT;

impl Ground<'_> {
    /// Draws the graph and writes the revision.
    pub(super) async fn close(
        &self,
        chosen: &mut Chosen,
        rendered: Vec<RenderedComponent>,
        mut gathered: Gathered,
        reaches: BTreeSet<EnvironmentName>,
    ) -> Result<Plan, Fault> {
        let environment = &self.request.environment;
        let dressing = Dressing {
            application: &self.request.application.name,
            address: &environment.address,
            pull_secret: self.needs_pull_secret(),
        };
        let mut drawing = Drawing::default();
        for component in &rendered {
            let hooked = gathered.hooks.remove(&component.name).unwrap_or_default();
            self.draw_component(&mut drawing, &dressing, chosen, component, hooked);
        }
        self.bind(&mut drawing, chosen, &rendered);
        self.order(&mut drawing, chosen, &dressing, &rendered);
        inputs::fill(&mut drawing, chosen);
        if drawing.violations.is_empty() && !rendered.is_empty() && drawing.nodes.values().all(is_bare) {
            drawing.wrong(self.nothing_comes());
        }
        self.draw_namespace(&mut drawing);
        self.keep_secrets(&gathered).await?;
        let is_pending = |reference: &_| gathered.secrets.iter().any(|value| value.reference == *reference);
        let uses = std::mem::take(&mut drawing.uses);
        let place =
            SecretsOf { application: &self.request.application.name, environment: &self.request.environment };
        let (secrets, missing) = uses.versions(self.stage, place, &is_pending).await?;
        let mut violations = std::mem::take(&mut drawing.violations);
        violations.extend(missing);
        let graph = match Graph::try_from(std::mem::take(&mut drawing.nodes)) {
            Ok(graph) => graph,
            Err(error) => {
                violations.push(Violation::new("dependency_cycle", "workflow", error.to_string()));
                Graph::default()
            }
        };
        let manifests = std::mem::take(&mut drawing.manifests);
        let revision = self.revision(chosen, graph, secrets);
        violations.extend(revision.violations(&Limits::default()));
        for violation in &mut violations {
            if violation.at.is_none() {
                violation.at = chosen.merged.place_of(&violation.path);
            }
        }
        let images = self.planned_images(chosen, &rendered);
        let mut notes = std::mem::take(&mut gathered.notes);
        notes.append(&mut drawing.notes);
        if !violations.is_empty() {
            return Ok(Plan { violations, notes, reaches, images, ..Plan::default() });
        }
        let frozen = Frozen { revision, manifests };
        Ok(Plan { violations, notes, revision: Some(frozen), reaches, images, order: Vec::new() })
    }

    /// Stores what rendering found in Secrets, where the revision is to be frozen. What is kept already
    /// stays as it is, version and all.
    async fn keep_secrets(&self, gathered: &Gathered) -> Result<(), Fault> {
        if !self.request.keep {
            return Ok(());
        }
        for value in &gathered.secrets {
            let known = self.stage.secrets.resolve(&value.reference).await;
            let is_kept =
                known.is_ok_and(|known| known.value.expose_secret() == value.base64.expose_secret());
            if !is_kept {
                self.stage.secrets.set(&value.reference.path, &value.base64, KEEPER).await?;
            }
        }
        Ok(())
    }

    /// Whether the environment's pods need a secret to pull.
    pub(crate) fn needs_pull_secret(&self) -> bool {
        let pull = self.request.environment.settings.pull_registry.as_ref();
        pull.is_none_or(|pull| pull.credential.is_some())
    }

    fn planned_images(&self, chosen: &Chosen, rendered: &[RenderedComponent]) -> Vec<PlannedImage> {
        let mut images = Vec::new();
        for package in &self.packages {
            let component = package.member.component.as_str();
            if rendered.iter().any(|deployed| chosen.merged.original_of(&deployed.name) == component) {
                let of =
                    |image: &_| PlannedImage { component: component.to_owned(), image: Clone::clone(image) };
                images.extend(package.member.images.iter().map(of));
            }
        }
        images
    }

    fn revision(&self, chosen: &Chosen, graph: Graph, secrets: Vec<slipway_handoff::SecretUse>) -> Revision {
        let (environment, bundle) = (&self.request.environment, &self.request.bundle);
        let settings = serde_json::to_value(&environment.settings).expect("invariant: settings are JSON");
        let definitions = chosen
            .definitions
            .iter()
            .map(|((kind, _), definition)| Definition {
                kind: frozen_kind(*kind),
                name: definition.name().parse().expect("invariant: a definition has a definition's name"),
                version: definition.version().to_string(),
                digest: definition.digest(),
            })
            .collect();
        let configuration = chosen.merged.application().canonical_json();
        Revision {
            format: FORMAT,
            application: self.request.application.name.clone(),
            bundle: Bundle {
                digest: bundle.digest,
                version: bundle.version.clone(),
                source: None,
                commit: bundle.source_commit().map(ToString::to_string),
            },
            lock: bundle.fingerprint,
            environment: Environment {
                address: environment.address.clone(),
                settings: Digest::of(slipway_oam::canonical_json(&settings)),
            },
            configuration: Configuration {
                digest: Digest::of(configuration),
                levels: self.levels.versions.clone(),
            },
            definitions,
            graph,
            secrets,
            allow_empty: false,
        }
    }

    /// What stands against a bundle of which nothing comes: whoever prunes would take away all that runs.
    fn nothing_comes(&self) -> Violation {
        let (application, environment) = (&self.request.application.name, &self.request.environment.name);
        let message = "no component of the bundle brings an object here, so all that runs would go";
        Violation::new("nothing_rendered", "components", message).hint(format!(
            "if that is meant: slipway deploy remove {application} --env {environment} --reason WHY --yes"
        ))
    }

    /// The namespace itself, if the environment makes it: everything waits for it.
    fn draw_namespace(&self, drawing: &mut Drawing) {
        let environment = &self.request.environment;
        if !environment.settings.create_namespace {
            return;
        }
        let namespace = json!({
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": {"name": environment.address.namespace()},
        });
        let Some(mut object) = drawing.keep("namespace", &namespace) else { return };
        // An artifact tells its receiver nothing of what to keep; there the namespace is an object like others.
        if !matches!(environment.settings.receiver, ReceiverSettings::Oci { .. }) {
            object.collect = Collect::Never;
        }
        let node = Node { objects: vec![object], phase: slipway_handoff::Phase::Pre, ..Node::default() };
        // A component may be called that, but nothing of a component ends so.
        let is_taken = drawing.nodes.contains_key("namespace");
        let name = if is_taken { "namespace.environment" } else { "namespace" };
        for other in drawing.nodes.values_mut() {
            other.needs.insert(name.to_owned());
        }
        drawing.nodes.insert(name.to_owned(), node);
    }

    fn draw_component(
        &self,
        drawing: &mut Drawing,
        dressing: &Dressing<'_>,
        chosen: &Chosen,
        component: &RenderedComponent,
        hooked: Hooked,
    ) {
        let name = component.name.clone();
        let kind = chosen.merged.application().component(&name).and_then(|found| found.kind.clone());
        let kind = kind.unwrap_or_default();
        let mut chain: Vec<NodeName> = Vec::new();
        let mut link = |drawing: &mut Drawing, node_name: String, mut node: Node| {
            node.component = name.parse::<ComponentName>().ok();
            node.needs.extend(chain.last().cloned());
            drawing.nodes.insert(node_name.clone(), node);
            chain.push(node_name);
        };
        for (index, hook) in sorted(hooked.before).into_iter().enumerate() {
            let node = self.hook_node(drawing, dressing, &name, hook);
            link(drawing, hook_name(&name, HookSide::Before, index + 1), node);
        }
        for (phase, suffix) in [(Phase::Pre, ".pre"), (Phase::Main, ""), (Phase::Post, ".post")] {
            let node = self.phase_node(drawing, dressing, chosen, component, &kind, phase);
            if !is_bare(&node) || (phase == Phase::Main) {
                link(drawing, format!("{name}{suffix}"), node);
            }
        }
        for (index, hook) in sorted(hooked.after).into_iter().enumerate() {
            let node = self.hook_node(drawing, dressing, &name, hook);
            link(drawing, hook_name(&name, HookSide::After, index + 1), node);
        }
        let ends = Ends {
            first: chain.first().cloned().into_iter().collect(),
            last: chain.last().cloned().into_iter().collect(),
        };
        drawing.ends.insert(name, ends);
    }

    fn hook_node(&self, drawing: &mut Drawing, dressing: &Dressing<'_>, component: &str, hook: Hook) -> Node {
        let scoped = is_cluster_scoped(&hook.object.object, &self.facts.cluster_scoped);
        let object = dressing.dress(component, hook.object.object, scoped);
        let objects = drawing.keep(component, &object).into_iter().collect();
        Node { objects, timeout_ms: NODE_TIMEOUT_MS, ..Node::default() }
    }

    fn phase_node(
        &self,
        drawing: &mut Drawing,
        dressing: &Dressing<'_>,
        chosen: &Chosen,
        component: &RenderedComponent,
        kind: &str,
        phase: Phase,
    ) -> Node {
        let mut node = Node {
            phase: match phase {
                Phase::Pre => slipway_handoff::Phase::Pre,
                Phase::Main => slipway_handoff::Phase::Main,
                Phase::Post => slipway_handoff::Phase::Post,
            },
            ..Node::default()
        };
        for rendered in component.objects.iter().filter(|object| object.phase == phase) {
            node.objects.extend(self.object(drawing, dressing, chosen, component, kind, rendered));
        }
        for caused in component.verbs.iter().filter(|caused| caused.phase == phase) {
            let path = format!("components[{}]", component.name);
            drawing.add_verb(&mut node, dressing, (&component.name, &path), &caused.verb);
        }
        node
    }

    fn object(
        &self,
        drawing: &mut Drawing,
        dressing: &Dressing<'_>,
        chosen: &Chosen,
        component: &RenderedComponent,
        kind: &str,
        rendered: &RenderedObject,
    ) -> Option<Object> {
        let scoped =
            rendered.cluster_scoped || is_cluster_scoped(&rendered.object, &self.facts.cluster_scoped);
        let dressed = dressing.dress(&component.name, rendered.object.clone(), scoped);
        let mut object = drawing.keep(&component.name, &dressed)?;
        let declared = chosen.merged.original_of(&component.name);
        let suffix = staging::suffix(&self.request.environment.address);
        let candidate =
            rules::Candidate { component: declared, component_type: kind, rendered, suffix: &suffix };
        rules::apply(&chosen.directives, &candidate, &mut object);
        Some(object)
    }

    /// Outputs, and the holes that inputs fill.
    fn bind(&self, drawing: &mut Drawing, chosen: &Chosen, rendered: &[RenderedComponent]) {
        let namespace = self.request.environment.address.namespace();
        for component in rendered {
            if !drawing.nodes.contains_key(&component.name) {
                continue;
            }
            for (name, source) in &component.outputs {
                if let Some(output) = output_of(source, namespace) {
                    drawing.give_of(&component.name, name, output);
                }
            }
            let declared = chosen.merged.application().component(&component.name);
            for output in declared.into_iter().flat_map(|component| &component.outputs) {
                let path = format!("components[{}].outputs[{}]", component.name, output.name);
                match self.source(component, &output.value_from) {
                    Ok(source) => drawing.give_of(&component.name, &output.name, source),
                    Err(message) => drawing.wrong(Violation::new("unknown_output", path, message)),
                }
            }
        }
    }

    /// Where an output of a component is read.
    pub(super) fn source(&self, component: &RenderedComponent, value_from: &str) -> Result<Output, String> {
        let source: Source = value_from.parse().map_err(|error| format!("{error}"))?;
        let namespace = self.request.environment.address.namespace();
        let suffix = staging::suffix(&self.request.environment.address);
        let found = match &source.object {
            SourceObject::Main => component.objects.iter().find(|object| object.phase == Phase::Main),
            SourceObject::Other(name) => component.objects.iter().find(|object| {
                let text = |pointer: &str| object.object.pointer(pointer).and_then(Value::as_str);
                text("/metadata/name").is_some_and(|found| staging::is_called(found, name, &suffix))
                    || text("/kind").is_some_and(|kind| kind.eq_ignore_ascii_case(name))
            }),
        };
        let object = found.ok_or_else(|| format!("`{value_from}` names no object of this component"))?;
        let mut reference =
            ObjectRef::of(&object.object).ok_or_else(|| format!("`{value_from}` names no object"))?;
        reference.namespace = Some(namespace.to_owned());
        let path = Pointer::from_dotted(&source.path.to_string()).map_err(|error| error.to_string())?;
        Ok(Output::From { object: reference, path })
    }

    /// Dependencies between components, and the steps of a workflow.
    fn order(
        &self,
        drawing: &mut Drawing,
        chosen: &Chosen,
        dressing: &Dressing<'_>,
        rendered: &[RenderedComponent],
    ) {
        for component in &chosen.merged.application().components {
            let after: Vec<NodeName> = component
                .depends_on
                .iter()
                .flat_map(|name| {
                    drawing.ends.get(&name.value).map(|ends| ends.last.clone()).unwrap_or_default()
                })
                .collect();
            let first = drawing.ends.get(&component.name).map(|ends| ends.first.clone()).unwrap_or_default();
            drawing.after(&first, &after);
        }
        if let Some(workflow) = &chosen.merged.application().workflow {
            let mut walk = steps::Walk::new(self, chosen, dressing, rendered);
            walk.lay(drawing, workflow.mode);
            let placed = walk.placed;
            let left_out: Vec<String> =
                drawing.ends.keys().filter(|name| !placed.contains(*name)).cloned().collect();
            for name in left_out {
                let message = format!("no step of the workflow deploys `{name}`");
                drawing.violations.push(
                    Violation::new("unknown_dependency", format!("components[{name}]"), message)
                        .hint("add a step of type `deploy`, or `apply-component` for it alone"),
                );
            }
        }
    }
}

/// A definition's kind as revisions name it.
pub(crate) fn frozen_kind(kind: DefinitionKind) -> FrozenKind {
    match kind {
        DefinitionKind::Component => FrozenKind::Component,
        DefinitionKind::Trait => FrozenKind::Trait,
        DefinitionKind::Policy => FrozenKind::Policy,
        DefinitionKind::Step => FrozenKind::Step,
        DefinitionKind::Addon => FrozenKind::Addon,
    }
}

/// Whether a node does nothing.
fn is_bare(node: &Node) -> bool {
    node.objects.is_empty() && node.waits.is_empty() && node.call.is_none() && node.hold.is_none()
}

/// Hooks in the order they run.
fn sorted(mut hooks: Vec<Hook>) -> Vec<Hook> {
    let name =
        |hook: &Hook| hook.object.object.pointer("/metadata/name").and_then(Value::as_str).map(str::to_owned);
    hooks.sort_by_key(|hook| (hook.weight, name(hook)));
    hooks
}

/// Where an output that a definition set is read.
pub(crate) fn output_of(source: &OutputSource, namespace: &str) -> Option<Output> {
    match source {
        OutputSource::Value { value } => Some(Output::Value(value.clone())),
        OutputSource::Field { object, path } => Some(Output::From {
            object: ObjectRef {
                api_version: object.api_version.clone(),
                kind: object.kind.clone(),
                namespace: Some(namespace.to_owned()),
                name: object.name.clone(),
            },
            path: Pointer::from_dotted(path).ok()?,
        }),
    }
}
