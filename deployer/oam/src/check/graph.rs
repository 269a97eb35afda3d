//! Who waits for whom, and where that never ends.

use std::collections::BTreeMap;

use slipway_types::{Place, Violation};

use super::{VIOLATIONS_MAX, component_path};
use crate::{Application, Input, Output, Step, StepMode, code};

/// One component or step.
struct Node<'a> {
    label: String,
    path: String,
    at: Option<&'a Place>,
    waits: Vec<Wait<'a>>,
}

#[derive(Clone)]
struct Wait<'a> {
    target: usize,
    /// The place that says so; none where the workflow's mode does.
    said: Option<&'a Place>,
    by_mode: bool,
}

/// Reports every cycle, in order and each by one violation.
pub(super) fn cycles(application: &Application, violations: &mut Vec<Violation>) {
    let nodes = graph(application);
    let mut left: Vec<bool> = vec![true; nodes.len()];
    while violations.len() < VIOLATIONS_MAX {
        peel(&nodes, &mut left);
        let Some(start) = left.iter().position(|left| *left) else { return };
        let cycle = cycle_from(&nodes, &left, start);
        violations.push(violation(&nodes, &cycle));
        for (index, _) in &cycle {
            left[*index] = false;
        }
    }
}

/// Takes away all that waits for nothing left.
fn peel(nodes: &[Node<'_>], left: &mut [bool]) {
    let mut waiting: Vec<usize> =
        nodes.iter().map(|node| node.waits.iter().filter(|wait| left[wait.target]).count()).collect();
    let mut followers: Vec<Vec<usize>> = vec![Vec::new(); nodes.len()];
    for (index, node) in nodes.iter().enumerate().filter(|(index, _)| left[*index]) {
        for wait in &node.waits {
            followers[wait.target].push(index);
        }
    }
    let mut ready: Vec<usize> =
        (0..nodes.len()).filter(|index| left[*index] && waiting[*index] == 0).collect();
    while let Some(index) = ready.pop() {
        left[index] = false;
        for follower in &followers[index] {
            waiting[*follower] -= 1;
            if waiting[*follower] == 0 {
                ready.push(*follower);
            }
        }
    }
}

/// A cycle reached from `start`: each node with the number of the wait that leads on. Every node
/// left waits for another one left, so walking on must come back.
fn cycle_from(nodes: &[Node<'_>], left: &[bool], start: usize) -> Vec<(usize, usize)> {
    let mut walked: Vec<(usize, usize)> = Vec::new();
    let mut seen: BTreeMap<usize, usize> = BTreeMap::new();
    let mut node = start;
    loop {
        if let Some(first) = seen.insert(node, walked.len()) {
            let mut cycle = walked.split_off(first);
            // One cycle is told one way, wherever the walk came in.
            let lowest =
                cycle.iter().enumerate().min_by_key(|(_, (index, _))| *index).map_or(0, |(at, _)| at);
            cycle.rotate_left(lowest);
            return cycle;
        }
        let waits = &nodes[node].waits;
        let wait = waits
            .iter()
            .position(|wait| left[wait.target])
            .expect("invariant: what is left waits for what is left");
        walked.push((node, wait));
        node = waits[wait].target;
    }
}

fn violation(nodes: &[Node<'_>], cycle: &[(usize, usize)]) -> Violation {
    let first = cycle[0].0;
    let labels: Vec<&str> = cycle.iter().map(|(index, _)| nodes[*index].label.as_str()).collect();
    let waits = || cycle.iter().map(|(index, wait)| &nodes[*index].waits[*wait]);
    let said = waits().find_map(|wait| wait.said).or(nodes[first].at);
    let hint = if waits().any(|wait| wait.by_mode) {
        "in the mode StepByStep each step waits for the one before: change the order, or use the mode DAG"
    } else {
        "remove one of these dependencies"
    };
    let message = format!("these wait for each other: {} → {}", labels.join(" → "), labels[0]);
    Violation::new(code::DEPENDENCY_CYCLE, &nodes[first].path, message).at(said.cloned()).hint(hint)
}

fn graph(application: &Application) -> Vec<Node<'_>> {
    let mut nodes: Vec<Node<'_>> = Vec::new();
    let mut providers = Providers::default();
    for component in &application.components {
        providers.components.entry(&component.name).or_insert(nodes.len());
        providers.take(&component.outputs, nodes.len());
        let (label, path) = (component.name.clone(), component_path(component));
        nodes.push(Node { label, path, at: component.at.as_ref(), waits: Vec::new() });
    }
    for found in application.workflow.iter().flat_map(crate::Workflow::all_steps) {
        let (path, step) = (found.path(), found.step);
        providers.steps.entry(&step.name).or_insert(nodes.len());
        providers.take(&step.outputs, nodes.len());
        let label = format!("step {}", step.name);
        nodes.push(Node { label, path, at: step.at.as_ref(), waits: Vec::new() });
    }
    for (node, component) in nodes.iter_mut().zip(&application.components) {
        for name in &component.depends_on {
            wait(node, providers.components.get(name.value.as_str()).copied(), name.at.as_ref(), false);
        }
        inputs(node, &component.inputs, &providers);
    }
    waits_of_steps(application, &mut nodes, &providers);
    nodes
}

/// Which node has a name, and which gives an output.
#[derive(Default)]
struct Providers<'a> {
    components: BTreeMap<&'a str, usize>,
    steps: BTreeMap<&'a str, usize>,
    outputs: BTreeMap<&'a str, usize>,
}

impl<'a> Providers<'a> {
    fn take(&mut self, outputs: &'a [Output], index: usize) {
        for output in outputs {
            self.outputs.entry(&output.name).or_insert(index);
        }
    }
}

fn wait<'a>(node: &mut Node<'a>, target: Option<usize>, said: Option<&'a Place>, by_mode: bool) {
    node.waits.extend(target.map(|target| Wait { target, said, by_mode }));
}

fn inputs<'a>(node: &mut Node<'a>, inputs: &'a [Input], providers: &Providers<'_>) {
    for input in inputs {
        wait(node, providers.outputs.get(input.from.as_str()).copied(), input.at.as_ref(), false);
    }
}

/// Steps wait for what they name and what their conditions ask to have succeeded, in StepByStep for the
/// step before, in a group for what the group waits for; a group waits for its steps.
fn waits_of_steps<'a>(application: &'a Application, nodes: &mut [Node<'a>], providers: &Providers<'a>) {
    let Some(workflow) = &application.workflow else { return };
    let next = application.components.len();
    let mut walk = Walk { nodes, providers, usual: workflow.mode.sub_steps, next };
    walk.steps(&workflow.steps, workflow.mode.steps, &[]);
}

/// Going through steps as [`crate::Workflow::all_steps`] does.
struct Walk<'w, 'a> {
    nodes: &'w mut [Node<'a>],
    providers: &'w Providers<'a>,
    /// The mode of groups that say none.
    usual: StepMode,
    /// The node of the next step.
    next: usize,
}

impl<'a> Walk<'_, 'a> {
    /// Steps beside one another, in a group that waits for `around`; gives their nodes.
    fn steps(&mut self, steps: &'a [Step], mode: StepMode, around: &[Wait<'a>]) -> Vec<usize> {
        let mut beside: Vec<usize> = Vec::new();
        for step in steps {
            let own = self.next;
            self.next += 1;
            own_waits(&mut self.nodes[own], step, self.providers);
            self.nodes[own].waits.extend(around.iter().cloned());
            let before = beside.last().copied().filter(|_| mode == StepMode::StepByStep);
            wait(&mut self.nodes[own], before, None, true);
            let waits = self.nodes[own].waits.clone();
            for inner in self.steps(&step.sub_steps, step.mode.unwrap_or(self.usual), &waits) {
                wait(&mut self.nodes[own], Some(inner), None, false);
            }
            beside.push(own);
        }
        beside
    }
}

fn own_waits<'a>(node: &mut Node<'a>, step: &'a Step, providers: &Providers<'_>) {
    for name in &step.depends_on {
        wait(node, providers.steps.get(name.value.as_str()).copied(), name.at.as_ref(), false);
    }
    for name in step.must_succeed() {
        let said = step.condition.as_ref().and_then(|text| text.at.as_ref());
        wait(node, providers.steps.get(name.as_str()).copied(), said, false);
    }
    inputs(node, &step.inputs, providers);
}
