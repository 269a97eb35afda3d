//! A plan closed into a revision: a graph of nodes, every object by digest, nothing left to render.

use std::collections::{BTreeMap, BTreeSet};

use secrecy::ExposeSecret as _;
use serde_json::{Value, json};
use slipway_charts::Hook;
use slipway_definitions::{
    DefinitionKind, OutputSource, Phase, RenderedComponent, RenderedObject, StepDirective, Verb,
};
use slipway_handoff::revision::{FORMAT, Limits};
use slipway_handoff::{
    Bundle, Call, Collect, Configuration, Definition, DefinitionKind as FrozenKind, Environment, Graph, Hold,
    ManifestSet, Node, NodeName, Object, ObjectRef, Output, Pointer, Revision, Wait,
};
use slipway_oam::binding::SourceObject;
use slipway_oam::{Source, StepMode};
use slipway_types::environment::ReceiverSettings;
use slipway_types::name::EnvironmentName;
use slipway_types::{ComponentName, Digest, Fault, Violation};

use super::objects::{Dressing, is_cluster_scoped};
use super::package_objects::{Gathered, Hooked};
use super::secrets::{KEEPER, Uses};
use super::{Chosen, ChosenStep, Frozen, Ground, Plan, PlannedImage, inputs, rules};

/// What a node of a hook or Job is given at most, in milliseconds.
const NODE_TIMEOUT_MS: u64 = slipway_handoff::node::TIMEOUT_MS_DEFAULT;

/// The graph while it is drawn.
#[derive(Default)]
pub(super) struct Drawing {
    pub(super) nodes: BTreeMap<NodeName, Node>,
    manifests: ManifestSet,
    uses: Uses,
    violations: Vec<Violation>,
    /// First and last nodes by component.
    ends: BTreeMap<String, Ends>,
}

/// Where a component or step begins and ends.
#[derive(Debug, Clone, Default)]
struct Ends {
    first: Vec<NodeName>,
    last: Vec<NodeName>,
}

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
        self.draw_namespace(&mut drawing);
        self.order(&mut drawing, chosen, &dressing);
        self.keep_secrets(&gathered).await?;
        let is_pending = |reference: &_| gathered.secrets.iter().any(|value| value.reference == *reference);
        let uses = std::mem::take(&mut drawing.uses);
        let (secrets, missing) = uses.versions(self.stage, &is_pending).await?;
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
        let images = self.planned_images(&rendered);
        let notes = std::mem::take(&mut gathered.notes);
        if !violations.is_empty() {
            return Ok(Plan { violations, notes, reaches, images, ..Plan::default() });
        }
        let frozen = Frozen { revision, manifests };
        Ok(Plan { violations, notes, revision: Some(frozen), reaches, images })
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

    fn planned_images(&self, rendered: &[RenderedComponent]) -> Vec<PlannedImage> {
        let mut images = Vec::new();
        for package in &self.packages {
            let component = package.member.component.as_str();
            if rendered.iter().any(|deployed| deployed.name == component) {
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
                kind: match kind {
                    DefinitionKind::Component => FrozenKind::Component,
                    DefinitionKind::Trait => FrozenKind::Trait,
                    DefinitionKind::Policy => FrozenKind::Policy,
                    DefinitionKind::Step => FrozenKind::Step,
                },
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
        for other in drawing.nodes.values_mut() {
            other.needs.insert("namespace".to_owned());
        }
        drawing.nodes.insert("namespace".to_owned(), node);
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
            link(drawing, format!("{name}.before-{}", index + 1), node);
        }
        for (phase, suffix) in [(Phase::Pre, ".pre"), (Phase::Main, ""), (Phase::Post, ".post")] {
            let node = self.phase_node(drawing, dressing, chosen, component, &kind, phase);
            if !is_bare(&node) || (phase == Phase::Main) {
                link(drawing, format!("{name}{suffix}"), node);
            }
        }
        for (index, hook) in sorted(hooked.after).into_iter().enumerate() {
            let node = self.hook_node(drawing, dressing, &name, hook);
            link(drawing, format!("{name}.after-{}", index + 1), node);
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
            drawing.add_verb(&mut node, dressing, &component.name, &caused.verb);
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
        let candidate = rules::Candidate { component: &component.name, component_type: kind, rendered };
        rules::apply(&chosen.directives, &candidate, &mut object);
        Some(object)
    }

    /// Outputs, and the holes that inputs fill.
    fn bind(&self, drawing: &mut Drawing, chosen: &Chosen, rendered: &[RenderedComponent]) {
        let namespace = self.request.environment.address.namespace();
        for component in rendered {
            let Some(node) = drawing.nodes.get_mut(&component.name) else { continue };
            for (name, source) in &component.outputs {
                if let Some(output) = output_of(source, namespace) {
                    node.outputs.insert(name.clone(), output);
                }
            }
            let declared = chosen.merged.application().component(&component.name);
            for output in declared.into_iter().flat_map(|component| &component.outputs) {
                let path = format!("components[{}].outputs[{}]", component.name, output.name);
                match self.source(component, &output.value_from) {
                    Ok(output_source) => {
                        node.outputs.insert(output.name.clone(), output_source);
                    }
                    Err(message) => drawing.violations.push(Violation::new("unknown_output", path, message)),
                }
            }
        }
        inputs::fill(drawing, chosen);
    }

    fn source(&self, component: &RenderedComponent, value_from: &str) -> Result<Output, String> {
        let source: Source = value_from.parse().map_err(|error| format!("{error}"))?;
        let namespace = self.request.environment.address.namespace();
        let found = match &source.object {
            SourceObject::Main => component.objects.iter().find(|object| object.phase == Phase::Main),
            SourceObject::Other(name) => component.objects.iter().find(|object| {
                let text = |pointer: &str| object.object.pointer(pointer).and_then(Value::as_str);
                text("/metadata/name") == Some(name)
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
    fn order(&self, drawing: &mut Drawing, chosen: &Chosen, dressing: &Dressing<'_>) {
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
            let mut placed = BTreeSet::new();
            let top: Vec<&ChosenStep> = chosen.steps.iter().filter(|step| step.group.is_none()).collect();
            let mut walk = Walk { ground: self, chosen, dressing, placed: &mut placed };
            walk.lay(drawing, &top, workflow.mode.steps, workflow.mode.sub_steps, &[]);
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

/// Laying steps one after the other.
struct Walk<'a, 'p> {
    ground: &'a Ground<'a>,
    chosen: &'a Chosen,
    dressing: &'a Dressing<'a>,
    placed: &'p mut BTreeSet<String>,
}

impl Walk<'_, '_> {
    /// Lays steps after the nodes `before`; gives the nodes that the last of them ends with.
    fn lay(
        &mut self,
        drawing: &mut Drawing,
        steps: &[&ChosenStep],
        mode: StepMode,
        sub_mode: StepMode,
        before: &[NodeName],
    ) -> Vec<NodeName> {
        let mut ends: BTreeMap<&str, Vec<NodeName>> = BTreeMap::new();
        let mut previous = before.to_vec();
        for step in steps {
            let mut after = if mode == StepMode::StepByStep { previous.clone() } else { before.to_vec() };
            for needed in &step.step.depends_on {
                after.extend(ends.get(needed.value.as_str()).into_iter().flatten().cloned());
            }
            let last = if step.step.sub_steps.is_empty() {
                self.step(drawing, step, &after)
            } else {
                let name = step.step.name.as_str();
                let within: Vec<&ChosenStep> =
                    self.chosen.steps.iter().filter(|inner| inner.group.as_deref() == Some(name)).collect();
                self.lay(drawing, &within, step.step.mode.unwrap_or(sub_mode), sub_mode, &after)
            };
            let last = if last.is_empty() { after } else { last };
            ends.insert(step.step.name.as_str(), last.clone());
            previous = last;
        }
        if mode == StepMode::StepByStep { previous } else { ends.into_values().flatten().collect() }
    }

    fn step(&mut self, drawing: &mut Drawing, step: &ChosenStep, after: &[NodeName]) -> Vec<NodeName> {
        match &step.says {
            Some(StepDirective::Deploy(deploy))
                if !self.ground.concerns(&deploy.policies, &self.chosen.directives) =>
            {
                Vec::new()
            }
            Some(StepDirective::Deploy(deploy)) => {
                let mut after = after.to_vec();
                if !deploy.auto {
                    let node = Node { hold: Some(Hold { for_ms: None }), ..Node::default() };
                    after = vec![self.own_node(drawing, step, node, &after)];
                }
                let after = after.as_slice();
                let all: Vec<String> = drawing.ends.keys().cloned().collect();
                all.iter().flat_map(|name| self.place(drawing, name, after)).collect()
            }
            Some(StepDirective::Apply(apply)) => {
                let known = drawing.ends.contains_key(&apply.component);
                if !known {
                    let path = format!("workflow.steps[{}].properties.component", step.step.name);
                    let message = format!("there is no component `{}`", apply.component);
                    drawing.violations.push(Violation::new("unknown_dependency", path, message));
                }
                self.place(drawing, &apply.component, after)
            }
            Some(StepDirective::Suspend(suspend)) => {
                let for_ms = suspend.duration.as_deref().and_then(|text| {
                    let lasts = slipway_oam::duration::parse(text).ok()?;
                    u64::try_from(lasts.as_millis()).ok()
                });
                let node = Node { hold: Some(Hold { for_ms }), ..Node::default() };
                vec![self.own_node(drawing, step, node, after)]
            }
            Some(StepDirective::Verbs(verbs)) => {
                let mut node = Node::default();
                for verb in verbs {
                    drawing.add_verb(&mut node, self.dressing, &step.step.name, verb);
                }
                vec![self.own_node(drawing, step, node, after)]
            }
            None => Vec::new(),
        }
    }

    /// Puts a component after `after`; its last nodes. One that an earlier step placed stays there.
    fn place(&mut self, drawing: &mut Drawing, component: &str, after: &[NodeName]) -> Vec<NodeName> {
        let Some(ends) = drawing.ends.get(component).cloned() else { return Vec::new() };
        if self.placed.insert(component.to_owned()) {
            drawing.after(&ends.first, after);
        }
        ends.last
    }

    fn own_node(
        &self,
        drawing: &mut Drawing,
        step: &ChosenStep,
        mut node: Node,
        after: &[NodeName],
    ) -> NodeName {
        let name = format!("step.{}", step.step.name);
        node.needs.extend(after.iter().cloned());
        drawing.nodes.insert(name.clone(), node);
        name
    }
}

impl Drawing {
    /// Keeps an object's bytes and notes its secrets.
    fn keep(&mut self, component: &str, object: &Value) -> Option<Object> {
        let Some(reference) = ObjectRef::of(object) else {
            let message = "an object has no apiVersion, kind or name";
            let path = format!("components[{component}]");
            self.violations.push(Violation::new("invalid_object", path, message));
            return None;
        };
        self.uses.note(&reference, object);
        Some(Object::new(reference, self.manifests.insert(object)))
    }

    /// The object behind a reference.
    pub(super) fn manifest(&self, digest: &Digest) -> Option<Value> {
        serde_json::from_slice(self.manifests.get(digest)?).ok()
    }

    /// Notes a violation.
    pub(super) fn wrong(&mut self, violation: Violation) {
        self.violations.push(violation);
    }

    fn after(&mut self, first: &[NodeName], after: &[NodeName]) {
        for name in first {
            if let Some(node) = self.nodes.get_mut(name) {
                node.needs.extend(after.iter().filter(|needed| *needed != name).cloned());
            }
        }
    }

    fn add_verb(&mut self, node: &mut Node, dressing: &Dressing<'_>, component: &str, verb: &Verb) {
        match verb {
            Verb::ObjectApply { object } | Verb::JobRun { object } => {
                let dressed = dressing.dress(component, object.clone(), false);
                node.objects.extend(self.keep(component, &dressed));
            }
            Verb::HttpCall { method, url, body } => {
                node.call = Some(Call { method: method.clone(), url: url.clone(), body: body.clone() });
            }
            Verb::Wait { object, until } => {
                let object = ObjectRef {
                    api_version: object.api_version.clone(),
                    kind: object.kind.clone(),
                    namespace: Some(dressing.address.namespace().to_owned()),
                    name: object.name.clone(),
                };
                node.waits.push(Wait { object, until: until.clone() });
            }
            Verb::OutputSet(_)
            | Verb::ChartRender { .. }
            | Verb::KustomizeBuild { .. }
            | Verb::FilesObjects { .. } => {}
        }
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

fn output_of(source: &OutputSource, namespace: &str) -> Option<Output> {
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
