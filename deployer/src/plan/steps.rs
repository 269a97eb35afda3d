//! The steps of a workflow, laid one after the other.

use std::collections::{BTreeMap, BTreeSet};

use slipway_definitions::{RenderedComponent, StepDirective};
use slipway_handoff::revision::Limits;
use slipway_handoff::{Hold, Node, NodeName, Output, Pointer};
use slipway_oam::binding::SourceObject;
use slipway_oam::{Mode, Source, Step, StepMode};
use slipway_types::Violation;

use super::closed::{Drawing, Ends};
use super::laying::{self, Turn};
use super::objects::Dressing;
use super::{Chosen, ChosenStep, Ground, staging};

/// Where a step stands in the operator's file.
pub(super) fn path(group: Option<&Step>, step: &Step) -> String {
    match group {
        Some(group) => format!("workflow.steps[{}].subSteps[{}]", group.name, step.name),
        None => format!("workflow.steps[{}]", step.name),
    }
}

/// Laying steps one after the other.
pub(super) struct Walk<'a> {
    pub(super) ground: &'a Ground<'a>,
    pub(super) chosen: &'a Chosen,
    pub(super) dressing: &'a Dressing<'a>,
    pub(super) rendered: &'a [RenderedComponent],
    /// Components that a step deploys.
    pub(super) placed: BTreeSet<String>,
    /// The nodes that each step ends with.
    pub(super) ends: BTreeMap<String, Vec<NodeName>>,
    /// Where each group begins.
    pub(super) begun: BTreeMap<String, Begun>,
}

/// Where a group begins.
#[derive(Debug, Default)]
pub(super) struct Begun {
    /// The nodes it comes after.
    after: Vec<NodeName>,
    /// What each of its steps may take.
    most_ms: Option<u64>,
}

impl Walk<'_> {
    /// Lays the steps, each after all that it waits for.
    pub(super) fn lay(&mut self, drawing: &mut Drawing, mode: Mode) {
        let steps = &self.chosen.steps;
        let previous = laying::previous(steps, mode);
        for turn in laying::turns(steps, mode) {
            match turn {
                Turn::Begin(index) => {
                    let previous = previous[index].map(|index| &steps[index]);
                    self.begin(drawing, &steps[index], previous);
                }
                Turn::End(index) => self.end(&steps[index], mode),
            }
        }
    }

    /// A step, or where a group begins; after the one before it, where the mode says so.
    fn begin(&mut self, drawing: &mut Drawing, step: &ChosenStep, previous: Option<&ChosenStep>) {
        let around = step.group.as_ref().and_then(|group| self.begun.get(group));
        let before = match previous {
            Some(previous) => self.ends.get(&previous.step.name),
            None => around.map(|around| &around.after),
        };
        let mut after: Vec<NodeName> = before.into_iter().flatten().cloned().collect();
        let most_ms = step.timeout_ms().into_iter().chain(around.and_then(|around| around.most_ms)).min();
        for needed in step.needs() {
            match self.ends.get(needed) {
                Some(ends) => after.extend(ends.iter().cloned()),
                None => drawing.wrong(self.unkept(step, needed)),
            }
        }
        let name = step.step.name.clone();
        if !step.step.sub_steps.is_empty() {
            self.begun.insert(name, Begun { after, most_ms });
            return;
        }
        let last = self.step(drawing, step, &after, most_ms);
        self.ends.insert(name, if last.is_empty() { after } else { last });
    }

    /// Where a group ends: with its last step, or with all of them.
    fn end(&mut self, group: &ChosenStep, mode: Mode) {
        let name = &group.step.name;
        let steps = &self.chosen.steps;
        let within = laying::within(steps, group).filter_map(|step| self.ends.get(&step.step.name));
        let last: BTreeSet<NodeName> = match laying::mode_of(steps, Some(name), mode) {
            StepMode::StepByStep => within.last().into_iter().flatten().cloned().collect(),
            StepMode::Dag => within.flatten().cloned().collect(),
        };
        let begun = self.begun.get(name).map(|begun| begun.after.clone()).unwrap_or_default();
        let last = if last.is_empty() { begun } else { last.into_iter().collect() };
        self.ends.insert(name.clone(), last);
    }

    /// A need that cannot be kept, since what is needed comes later. Nothing runs without what it asked for.
    fn unkept(&self, step: &ChosenStep, needed: &str) -> Violation {
        let group = step.group.as_ref().and_then(|group| {
            self.chosen.steps.iter().find(|other| other.step.name == *group).map(|group| &group.step)
        });
        let (field, at) = match step.step.depends_on.iter().find(|named| named.value == needed) {
            Some(named) => ("dependsOn", named.at.clone()),
            None => ("if", step.step.condition.as_ref().and_then(|text| text.at.clone())),
        };
        let path = format!("{}.{field}", path(group, &step.step));
        let message = format!("`{}` waits for `{needed}`, which here waits for it in turn", step.step.name);
        Violation::new("dependency_cycle", path, message).at(at).hint(
            "remove one of these dependencies: a step waits for what `dependsOn` names, and for each step whose success its `if` asks for",
        )
    }

    fn step(
        &mut self,
        drawing: &mut Drawing,
        step: &ChosenStep,
        after: &[NodeName],
        most_ms: Option<u64>,
    ) -> Vec<NodeName> {
        if !step.here {
            return Vec::new();
        }
        match &step.says {
            Some(StepDirective::Deploy(deploy)) => {
                let mut after = after.to_vec();
                if !deploy.auto {
                    after = vec![Self::own_node(drawing, step, hold(None), &after, None)];
                }
                let all: Vec<String> = drawing.ends.keys().cloned().collect();
                let meant = |name: &String| step.deploys.contains(self.chosen.merged.original_of(name));
                let meant: Vec<String> = all.into_iter().filter(meant).collect();
                self.place_all(drawing, step, &meant, &after, most_ms)
            }
            Some(StepDirective::Apply(apply)) => {
                let copies = self.chosen.merged.copies_of(&apply.component);
                if copies.iter().all(|name| !drawing.ends.contains_key(name)) {
                    let path = format!("workflow.steps[{}].properties.component", step.step.name);
                    let message = format!("there is no component `{}`", apply.component);
                    drawing.wrong(Violation::new("unknown_dependency", path, message));
                }
                let last = self.place_all(drawing, step, &copies, after, most_ms);
                self.outputs_of_component(drawing, step, &apply.component);
                last
            }
            Some(StepDirective::Suspend(suspend)) => {
                let for_ms = suspend.duration.as_deref().and_then(milliseconds);
                self.no_outputs(drawing, step, "it only waits");
                vec![Self::own_node(drawing, step, hold(for_ms), after, most_ms)]
            }
            Some(StepDirective::Verbs(verbs)) => {
                let mut node = Node::default();
                let path = format!("workflow.steps[{}]", step.step.name);
                for verb in verbs {
                    drawing.add_verb(&mut node, self.dressing, (&step.step.name, &path), verb);
                }
                let name = Self::own_node(drawing, step, node, after, most_ms);
                self.outputs_of_step(drawing, step, &name);
                vec![name]
            }
            None => Vec::new(),
        }
    }

    fn place_all(
        &mut self,
        drawing: &mut Drawing,
        step: &ChosenStep,
        components: &[String],
        after: &[NodeName],
        most_ms: Option<u64>,
    ) -> Vec<NodeName> {
        let mut last = Vec::new();
        for name in components {
            if let (Some(most_ms), false) = (most_ms, self.placed.contains(name)) {
                drawing.limit(name, &step.step.name, most_ms);
            }
            last.extend(self.place(drawing, name, after));
        }
        if matches!(step.says, Some(StepDirective::Deploy(_))) {
            self.no_outputs(drawing, step, "it deploys components, which declare outputs of their own");
        }
        last
    }

    /// Puts a component after `after`; its last nodes. One that an earlier step placed stays there.
    fn place(&mut self, drawing: &mut Drawing, component: &str, after: &[NodeName]) -> Vec<NodeName> {
        let Some(Ends { first, last }) = drawing.ends.get(component).cloned() else { return Vec::new() };
        if self.placed.insert(component.to_owned()) {
            drawing.after(&first, after);
        }
        last
    }

    fn own_node(
        drawing: &mut Drawing,
        step: &ChosenStep,
        mut node: Node,
        after: &[NodeName],
        most_ms: Option<u64>,
    ) -> NodeName {
        let name = node_of(step);
        node.needs.extend(after.iter().cloned());
        node.timeout_ms = most_ms.unwrap_or(node.timeout_ms);
        drawing.nodes.insert(name.clone(), node);
        name
    }

    fn outputs_of_component(&self, drawing: &mut Drawing, step: &ChosenStep, component: &str) {
        let Some(rendered) = self.rendered.iter().find(|rendered| rendered.name == component) else {
            return self.no_outputs(drawing, step, "it deploys several copies");
        };
        for output in &step.step.outputs {
            match self.ground.source(rendered, &output.value_from) {
                Ok(source) => drawing.give(component, &output.name, source),
                Err(message) => drawing.wrong(unreadable(step, &output.name, message)),
            }
        }
    }

    /// Outputs of what a step applies, runs or waits for itself.
    fn outputs_of_step(&self, drawing: &mut Drawing, step: &ChosenStep, node: &str) {
        let suffix = staging::suffix(self.dressing.address);
        for output in &step.step.outputs {
            let Ok(source) = output.value_from.parse::<Source>() else { continue };
            let Some(drawn) = drawing.nodes.get(node) else { continue };
            let objects = drawn.objects.iter().map(|object| &object.object);
            let known: Vec<_> = objects.chain(drawn.waits.iter().map(|wait| &wait.object)).cloned().collect();
            // A step that runs something keeps its Secret first: what it is about comes last.
            let found = match &source.object {
                SourceObject::Main => known.last(),
                SourceObject::Other(name) => known.iter().find(|object| {
                    staging::is_called(&object.name, name, &suffix) || object.kind.eq_ignore_ascii_case(name)
                }),
            };
            let path = Pointer::from_dotted(&source.path.to_string());
            match (found, path) {
                (Some(object), Ok(path)) => {
                    drawing.give(node, &output.name, Output::From { object: object.clone(), path });
                }
                (None, _) => {
                    let message = format!("`{}` names no object of this step", output.value_from);
                    drawing.wrong(unreadable(step, &output.name, message));
                }
                (_, Err(error)) => drawing.wrong(unreadable(step, &output.name, error.to_string())),
            }
        }
    }

    fn no_outputs(&self, drawing: &mut Drawing, step: &ChosenStep, why: &str) {
        for output in &step.step.outputs {
            drawing.wrong(unreadable(step, &output.name, format!("this step has no outputs: {why}")));
        }
    }
}

/// The node of a step that does something itself.
pub(super) fn node_of(step: &ChosenStep) -> NodeName {
    format!("step.{}", step.step.name)
}

impl ChosenStep {
    /// Steps that come before it by name: those it depends on, and those it asks to have succeeded.
    pub(super) fn needs(&self) -> impl Iterator<Item = &str> {
        let named = self.step.depends_on.iter().map(|needed| needed.value.as_str());
        named.chain(self.after.iter().map(String::as_str))
    }

    fn timeout_ms(&self) -> Option<u64> {
        self.step.timeout.as_ref().and_then(|text| milliseconds(&text.value))
    }
}

impl Drawing {
    /// Gives each node of a component so long. The contract has no time for several nodes together.
    fn limit(&mut self, component: &str, step: &str, most_ms: u64) {
        let own = |node: &Node| node.component.as_ref().is_some_and(|name| name.as_str() == component);
        let mut count = 0;
        for node in self.nodes.values_mut().filter(|node| own(node)) {
            node.timeout_ms = most_ms;
            count += 1;
        }
        if count > 1 {
            self.notes.push(format!(
                "the time-out of the step `{step}` holds for each of the {count} parts of `{component}` that follow one another"
            ));
        }
    }
}

/// A stop. It lasts as long as it is to, or as long as the contract lets anything last.
fn hold(for_ms: Option<u64>) -> Node {
    let most_ms = Limits::default().max_timeout_ms;
    let timeout_ms = for_ms.map_or(most_ms, |ms| ms.saturating_add(Node::default().timeout_ms).min(most_ms));
    Node { hold: Some(Hold { for_ms }), timeout_ms, ..Node::default() }
}

fn milliseconds(text: &str) -> Option<u64> {
    u64::try_from(slipway_oam::duration::parse(text).ok()?.as_millis()).ok()
}

fn unreadable(step: &ChosenStep, output: &str, message: String) -> Violation {
    Violation::new("unknown_output", format!("workflow.steps[{}].outputs[{output}]", step.step.name), message)
        .at(step.step.outputs.iter().find(|found| found.name == output).and_then(|found| found.at.clone()))
        .hint("read a field of what the step applies, e.g. output.status.succeeded, or of a component")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_out_may_be_shorter_and_longer_than_the_usual_one() {
        let mut drawing = Drawing::default();
        for (name, component) in [("web", "web"), ("web.post", "web"), ("db", "db"), ("other", "other")] {
            let node = Node { component: component.parse().ok(), ..Node::default() };
            drawing.nodes.insert(name.to_owned(), node);
        }
        drawing.limit("web", "roll", 1_800_000);
        drawing.limit("db", "roll", 60_000);
        let given = ["web", "web.post", "db", "other"].map(|name| drawing.nodes[name].timeout_ms);
        assert_eq!(given, [1_800_000, 1_800_000, 60_000, Node::default().timeout_ms]);
        assert_eq!(drawing.notes.len(), 1, "{:?}", drawing.notes);
    }
}
