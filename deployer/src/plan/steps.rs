//! The steps of a workflow, laid one after the other.

use std::collections::{BTreeMap, BTreeSet};

use slipway_definitions::directive::Suspend;
use slipway_definitions::{RenderedComponent, StepDirective};
use slipway_handoff::revision::Limits;
use slipway_handoff::{Approvals, Hold, Node, NodeName, Output, Pointer, Retry};
use slipway_oam::binding::SourceObject;
use slipway_oam::{Mode, Source, StepMode, StepRetry};
use slipway_types::Violation;

use super::asking::{self, Known as _};
use super::drawing::{Drawing, Ends};
use super::laid::{Asked, Begun, Behind, End, Laid};
use super::laying::{self, Turn};
use super::objects::Dressing;
use super::{Chosen, ChosenStep, Ground, staging};

/// Laying steps one after the other.
pub(super) struct Walk<'a> {
    pub(super) ground: &'a Ground<'a>,
    pub(super) chosen: &'a Chosen,
    pub(super) dressing: &'a Dressing<'a>,
    pub(super) rendered: &'a [RenderedComponent],
    /// Components that a step deploys.
    pub(super) placed: BTreeSet<String>,
    /// Where each step ends.
    pub(super) ends: BTreeMap<String, End>,
    /// Where each group begins.
    pub(super) begun: BTreeMap<String, Begun>,
    /// Nodes of components that came before the step that deploys those.
    pub(super) ahead: BTreeSet<NodeName>,
}

impl<'a> Walk<'a> {
    /// Nothing is laid yet.
    pub(super) fn new(
        ground: &'a Ground<'a>,
        chosen: &'a Chosen,
        dressing: &'a Dressing<'a>,
        rendered: &'a [RenderedComponent],
    ) -> Self {
        Self {
            ground,
            chosen,
            dressing,
            rendered,
            placed: BTreeSet::new(),
            ends: BTreeMap::new(),
            begun: BTreeMap::new(),
            ahead: BTreeSet::new(),
        }
    }
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
        let most_ms = step.timeout_ms().into_iter().chain(around.and_then(|around| around.most_ms)).min();
        let own = step.step.retry.map(|StepRetry { limit, backoff_ms }| Retry { limit, backoff_ms });
        let retry = own.or_else(|| around.and_then(|around| around.behind.retry));
        let around = around.map(|around| around.behind.clone()).unwrap_or_default();
        let mut behind = match previous {
            // What the group comes after has ended, even if nothing before this one runs here.
            Some(previous) => {
                Behind { when: around.when, after: around.after, ..self.behind_step(&previous.step.name) }
            }
            None => around,
        };
        for needed in step.needs() {
            match self.ends.get(needed) {
                Some(_) => behind.needs.extend(self.behind_step(needed).needs),
                None => drawing.wrong(self.unkept(step, needed)),
            }
        }
        let owed = self.ask(drawing, step, &mut behind);
        behind.retry = retry;
        let name = step.step.name.clone();
        if !step.step.sub_steps.is_empty() {
            self.begun.insert(name, Begun { behind, owed, most_ms });
            return;
        }
        let nodes = self.step(drawing, step, &behind, most_ms);
        let last = if nodes.last.is_empty() { behind.needs } else { nodes.last };
        self.ends.insert(name, End { last, owed, nodes: nodes.all });
    }

    /// What comes after a step needs: its last nodes, and what it did not mind.
    fn behind_step(&self, name: &str) -> Behind {
        let end = self.ends.get(name).cloned().unwrap_or_default();
        Behind { needs: end.last.into_iter().chain(end.owed).collect(), ..Behind::default() }
    }

    /// Lets a step run as its condition says; gives what it does not mind and others do.
    fn ask(&self, drawing: &mut Drawing, step: &ChosenStep, behind: &mut Behind) -> Vec<NodeName> {
        let is_here = laying::is_here(&self.chosen.steps, step);
        let Some(asks) = step.asks.as_ref().filter(|_| is_here) else { return Vec::new() };
        let asked = Asked { ends: &self.ends, nodes: &drawing.nodes, inputs: &step.step.inputs };
        match asking::cel(&asks.condition, &asked) {
            Ok(when) => {
                behind.needs.extend(asks.outputs().iter().filter_map(|output| asked.giver(output)));
                behind.when.extend(when);
                if let Some(why) = asking::objection(&behind.when) {
                    drawing.wrong(self.unsaid(step, &why));
                }
            }
            Err(why) => drawing.wrong(self.unsaid(step, &why)),
        }
        if !asks.crosses {
            return Vec::new();
        }
        let owed = std::mem::take(&mut behind.needs);
        behind.after.extend(owed.iter().cloned());
        owed
    }

    /// A condition that cannot be said of this environment's nodes.
    pub(super) fn unsaid(&self, step: &ChosenStep, why: &str) -> Violation {
        let text = step.step.condition.as_ref();
        let shown = text.map(|text| text.value.as_str()).unwrap_or_default();
        let path = format!("{}.if", step.path);
        Violation::new("condition_unsupported", path, format!("`{shown}` cannot be handed off: {why}"))
            .at(text.and_then(|text| text.at.clone()))
            .hint("ask for steps and outputs that come before it in the same environment")
    }

    /// Where a group ends: with its last step, or with all of them.
    fn end(&mut self, group: &ChosenStep, mode: Mode) {
        let name = &group.step.name;
        let steps = &self.chosen.steps;
        let within: Vec<End> =
            laying::within(steps, group).filter_map(|step| self.ends.get(&step.step.name).cloned()).collect();
        let last: BTreeSet<NodeName> = match laying::mode_of(steps, Some(name), mode) {
            StepMode::StepByStep => within.last().into_iter().flat_map(|end| end.last.clone()).collect(),
            StepMode::Dag => within.iter().flat_map(|end| end.last.clone()).collect(),
        };
        let (begun, owed) = match self.begun.get(name) {
            Some(begun) => (begun.behind.needs.clone(), begun.owed.clone()),
            None => (Vec::new(), Vec::new()),
        };
        let last = if last.is_empty() { begun } else { last.into_iter().collect() };
        let owed = owed.into_iter().chain(within.iter().flat_map(|end| end.owed.clone()));
        let nodes = within.iter().flat_map(|end| end.nodes.clone()).collect();
        self.ends.insert(name.clone(), End { last, owed: owed.collect(), nodes });
    }

    /// A need that cannot be kept, since what is needed comes later. Nothing runs without what it asked for.
    fn unkept(&self, step: &ChosenStep, needed: &str) -> Violation {
        let (field, at) = match step.step.depends_on.iter().find(|named| named.value == needed) {
            Some(named) => ("dependsOn", named.at.clone()),
            None => ("if", step.step.condition.as_ref().and_then(|text| text.at.clone())),
        };
        let path = format!("{}.{field}", step.path);
        let message = format!("`{}` waits for `{needed}`, which here waits for it in turn", step.step.name);
        Violation::new("dependency_cycle", path, message).at(at).hint(
            "remove one of these dependencies: a step waits for what `dependsOn` names, and for each step whose success its `if` asks for",
        )
    }

    fn step(
        &mut self,
        drawing: &mut Drawing,
        step: &ChosenStep,
        behind: &Behind,
        most_ms: Option<u64>,
    ) -> Laid {
        if !step.here {
            return Laid::default();
        }
        match &step.says {
            Some(StepDirective::Deploy(deploy)) => {
                let all: Vec<String> = drawing.ends.keys().cloned().collect();
                let meant = |name: &String| step.deploys.contains(self.chosen.merged.original_of(name));
                let meant: Vec<String> = all.into_iter().filter(meant).collect();
                if deploy.auto {
                    return self.place_all(drawing, step, &meant, behind, most_ms);
                }
                let asked = Self::own_node(drawing, step, hold(None), behind, None);
                let behind = Behind { needs: asked.last.clone(), after: Vec::new(), ..behind.clone() };
                asked.then(self.place_all(drawing, step, &meant, &behind, most_ms))
            }
            Some(StepDirective::Apply(apply)) => {
                let copies = self.chosen.merged.copies_of(&apply.component);
                if copies.iter().all(|name| !drawing.ends.contains_key(name)) {
                    let path = format!("{}.properties.component", step.path);
                    let message = format!("there is no component `{}`", apply.component);
                    drawing.wrong(Violation::new("unknown_dependency", path, message));
                }
                let laid = self.place_all(drawing, step, &copies, behind, most_ms);
                self.outputs_of_component(drawing, step, &apply.component);
                laid
            }
            Some(StepDirective::Suspend(suspend)) => {
                self.no_outputs(drawing, step, "it only waits");
                Self::own_node(drawing, step, held(suspend), behind, most_ms)
            }
            Some(StepDirective::Canary(canary)) => {
                self.no_outputs(drawing, step, "it runs pods beside those that run");
                match self.canary(drawing, step, canary) {
                    Some(node) => Self::own_node(drawing, step, node, behind, most_ms),
                    None => Laid::default(),
                }
            }
            Some(StepDirective::BlueGreen(wanted)) => {
                self.no_outputs(drawing, step, "it runs pods beside those that run");
                self.blue_green(drawing, step, wanted, behind, most_ms)
            }
            Some(StepDirective::Verbs(verbs)) => {
                let mut node = Node::default();
                for verb in verbs {
                    drawing.add_verb(&mut node, self.dressing, (&step.step.name, &step.path), verb);
                }
                let laid = Self::own_node(drawing, step, node, behind, most_ms);
                self.outputs_of_step(drawing, step, &node_of(step));
                laid
            }
            None => Laid::default(),
        }
    }

    fn place_all(
        &mut self,
        drawing: &mut Drawing,
        step: &ChosenStep,
        components: &[String],
        behind: &Behind,
        most_ms: Option<u64>,
    ) -> Laid {
        let mut laid = Laid::default();
        for name in components {
            if let (Some(most_ms), false) = (most_ms, self.placed.contains(name)) {
                drawing.limit(name, &step.step.name, most_ms);
            }
            laid.last.extend(self.place(drawing, name, behind));
            laid.all.extend(drawing.nodes_of(name));
        }
        if matches!(step.says, Some(StepDirective::Deploy(_))) {
            self.no_outputs(drawing, step, "it deploys components, which declare outputs of their own");
        }
        laid
    }

    /// Puts a component behind others; its last nodes. One that an earlier step placed stays there.
    fn place(&mut self, drawing: &mut Drawing, component: &str, behind: &Behind) -> Vec<NodeName> {
        let Some(Ends { first, last }) = drawing.ends.get(component).cloned() else { return Vec::new() };
        if self.placed.insert(component.to_owned()) {
            drawing.behind(&first, behind);
            // What is left out does not keep others from running, so each node of it asks.
            let own = drawing.nodes_of(component).into_iter();
            for name in own.filter(|name| !self.ahead.contains(name)) {
                if let Some(node) = drawing.nodes.get_mut(&name) {
                    let all: Vec<String> = node.when.iter().chain(&behind.when).cloned().collect();
                    node.when = asking::all_of(&all);
                    node.retry = behind.retry.or(node.retry);
                }
            }
        }
        last
    }

    pub(super) fn own_node(
        drawing: &mut Drawing,
        step: &ChosenStep,
        mut node: Node,
        behind: &Behind,
        most_ms: Option<u64>,
    ) -> Laid {
        let name = node_of(step);
        node.timeout_ms = most_ms.unwrap_or(node.timeout_ms);
        node.when = asking::all_of(&behind.when);
        node.retry = behind.retry.filter(|_| node.call.is_some() || !node.objects.is_empty());
        drawing.nodes.insert(name.clone(), node);
        drawing.behind(std::slice::from_ref(&name), behind);
        Laid { last: vec![name.clone()], all: vec![name] }
    }

    fn outputs_of_component(&self, drawing: &mut Drawing, step: &ChosenStep, component: &str) {
        let Some(rendered) = self.rendered.iter().find(|rendered| rendered.name == component) else {
            return self.no_outputs(drawing, step, "it deploys several copies");
        };
        for output in &step.step.outputs {
            match self.ground.source(rendered, &output.value_from) {
                Ok(source) => drawing.give_of(component, &output.name, source),
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

/// The stop that a step says.
fn held(suspend: &Suspend) -> Node {
    let mut node = hold(suspend.duration.as_deref().and_then(milliseconds));
    if let Some(hold) = &mut node.hold {
        hold.message.clone_from(&suspend.message);
        hold.approvals = suspend
            .approvals
            .as_ref()
            .map(|asked| Approvals { count: asked.count, author_may: asked.author_may });
    }
    node
}

/// A stop. It lasts as long as it is to, or as long as the contract lets anything last.
fn hold(for_ms: Option<u64>) -> Node {
    let most_ms = Limits::default().max_timeout_ms;
    let timeout_ms = for_ms.map_or(most_ms, |ms| ms.saturating_add(Node::default().timeout_ms).min(most_ms));
    Node { hold: Some(Hold { for_ms, ..Hold::default() }), timeout_ms, ..Node::default() }
}

fn milliseconds(text: &str) -> Option<u64> {
    u64::try_from(slipway_oam::duration::parse(text).ok()?.as_millis()).ok()
}

fn unreadable(step: &ChosenStep, output: &str, message: String) -> Violation {
    Violation::new("unknown_output", format!("{}.outputs[{output}]", step.path), message)
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
