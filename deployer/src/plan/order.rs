//! Which environment comes before which, where the steps of one workflow deploy to several.

use std::collections::{BTreeMap, BTreeSet};

use slipway_oam::{Mode, Step, StepMode, Workflow};
use slipway_types::name::EnvironmentName;

use super::ChosenStep;
use crate::waves::After;

/// Where a step deploys.
#[derive(Debug, Default)]
pub(super) struct Places {
    pub(super) environments: BTreeSet<EnvironmentName>,
    /// How many of them at once.
    pub(super) parallelism: Option<usize>,
}

/// The environments that wait for others: those of a later step for those of the steps it waits for, and
/// those of one step as its parallelism says. An environment stands where it is first deployed to.
pub(super) fn order(workflow: &Workflow, flow: &Flow, places: &BTreeMap<String, Places>) -> Vec<After> {
    let mut first: BTreeMap<&EnvironmentName, &str> = BTreeMap::new();
    for at in workflow.all_steps() {
        let name = &at.step.name;
        for environment in places.get(name).into_iter().flat_map(|places| &places.environments) {
            first.entry(environment).or_insert(name);
        }
    }
    let mut found = Vec::new();
    for (environment, step) in &first {
        let before = flow.before(step);
        let mut wait = |after: &EnvironmentName, of: &str| {
            found.push(After {
                environment: environment.to_string(),
                after: after.to_string(),
                step: of.to_owned(),
                before: (*step).to_owned(),
            });
        };
        for (other, of) in first.iter().filter(|(_, of)| before.contains(**of)) {
            wait(other, of);
        }
        let beside: Vec<&EnvironmentName> =
            first.iter().filter(|(_, of)| of == &step).map(|(other, _)| *other).collect();
        let at_once = places.get(*step).and_then(|places| places.parallelism).unwrap_or(usize::MAX);
        let index = beside.iter().position(|other| other == environment).unwrap_or(0);
        if let Some(earlier) = index.checked_sub(at_once.max(1)) {
            wait(beside[earlier], step);
        }
    }
    found
}

/// Who waits for whom among the steps of a workflow.
#[derive(Debug, Default)]
pub(super) struct Flow {
    /// The steps that each waits for, by name.
    waits: BTreeMap<String, BTreeSet<String>>,
    /// The steps of each group.
    within: BTreeMap<String, Vec<String>>,
}

/// The steps whose success each step asks for in this environment, by name.
pub(super) fn asked(steps: &[ChosenStep]) -> BTreeMap<String, BTreeSet<String>> {
    steps.iter().map(|step| (step.step.name.clone(), step.after.clone())).collect()
}

impl Flow {
    /// `asked`: the steps whose success conditions ask for, beside those that they always ask for.
    pub(super) fn new(workflow: &Workflow, asked: &BTreeMap<String, BTreeSet<String>>) -> Self {
        let mut flow = Self::default();
        flow.add(&workflow.steps, workflow.mode, workflow.mode.steps, (&BTreeSet::new(), asked));
        flow
    }

    /// Adds steps that follow one another by `own`, in a group that waits for `around`.
    fn add(
        &mut self,
        steps: &[Step],
        mode: Mode,
        own: StepMode,
        (around, asked): (&BTreeSet<String>, &BTreeMap<String, BTreeSet<String>>),
    ) {
        let mut before: Option<&Step> = None;
        for step in steps {
            let follows = before.filter(|_| own == StepMode::StepByStep);
            let mut waits = own_waits(step, follows, asked);
            waits.extend(around.iter().cloned());
            self.add(&step.sub_steps, mode, step.mode.unwrap_or(mode.sub_steps), (&waits, asked));
            let within = step.sub_steps.iter().map(|sub| sub.name.clone()).collect();
            self.within.insert(step.name.clone(), within);
            self.waits.insert(step.name.clone(), waits);
            before = Some(step);
        }
    }

    /// All steps that must be done before `name` begins, near and far.
    fn before(&self, name: &str) -> BTreeSet<&str> {
        self.back(name, &|_| false).1
    }

    /// Back from a step: the first steps on each way that `stops` means, and those passed until there.
    fn back<'f>(
        &'f self,
        name: &str,
        stops: &dyn Fn(&str) -> bool,
    ) -> (BTreeSet<&'f str>, BTreeSet<&'f str>) {
        let (mut found, mut passed) = (BTreeSet::new(), BTreeSet::new());
        let mut open: Vec<&'f String> = self.waits.get(name).into_iter().flatten().collect();
        while let Some(next) = open.pop() {
            if stops(next) {
                found.insert(next.as_str());
            } else if passed.insert(next.as_str()) {
                open.extend(self.waits.get(next).into_iter().flatten());
                // A group is done when its steps are.
                open.extend(self.within.get(next).into_iter().flatten());
            }
        }
        (found, passed)
    }

    /// For each step whether the deployments next before it and next after it belong here; `None`: there is
    /// none. `deploys`: the steps that deploy, and whether that is here.
    pub(super) fn beside(
        &self,
        names: &[String],
        deploys: &BTreeMap<String, bool>,
    ) -> Vec<(Option<bool>, Option<bool>)> {
        let stops = |step: &str| deploys.contains_key(step);
        let passed: Vec<(BTreeSet<&str>, bool)> =
            deploys.iter().map(|(step, here)| (self.back(step, &stops).1, *here)).collect();
        let of = |name: &String| {
            let before = self.back(name, &stops).0.into_iter().filter_map(|step| deploys.get(step).copied());
            let after = passed.iter().filter(|(passed, _)| passed.contains(name.as_str()));
            let any = |one: bool, other: bool| one || other;
            (before.reduce(any), after.map(|(_, here)| *here).reduce(any))
        };
        names.iter().map(of).collect()
    }
}

/// What a step waits for by its own word; `follows`: the one before it, where the mode says so.
fn own_waits(
    step: &Step,
    follows: Option<&Step>,
    asked: &BTreeMap<String, BTreeSet<String>>,
) -> BTreeSet<String> {
    let named = step.depends_on.iter().map(|needed| needed.value.clone());
    let follows = follows.map(|step| step.name.clone());
    let asked = asked.get(&step.name).into_iter().flatten().cloned();
    named.chain(follows).chain(asked).chain(step.must_succeed()).collect()
}

#[cfg(test)]
mod tests {
    use slipway_oam::Placed;

    use super::*;

    fn places(list: &[(&str, &[&str], usize)]) -> BTreeMap<String, Places> {
        let one = |(step, names, parallelism): &(&str, &[&str], usize)| {
            let environments = names.iter().map(|name| name.parse().unwrap()).collect();
            ((*step).to_owned(), Places { environments, parallelism: Some(*parallelism) })
        };
        list.iter().map(one).collect()
    }

    fn step(name: &str, needs: &[&str]) -> Step {
        let depends_on = needs.iter().map(|name| Placed::nowhere((*name).to_owned())).collect();
        Step { name: name.to_owned(), kind: "deploy".to_owned(), depends_on, ..Step::default() }
    }

    fn shown(workflow: &Workflow, list: &[(&str, &[&str], usize)]) -> Vec<String> {
        let order = order(workflow, &Flow::new(workflow, &BTreeMap::new()), &places(list));
        order.iter().map(|one| format!("{}>{}@{}", one.after, one.environment, one.step)).collect()
    }

    #[test]
    fn later_steps_wait_for_earlier_ones() {
        let mut workflow = Workflow { steps: vec![step("a", &[]), step("b", &[])], ..Workflow::default() };
        let list: [(&str, &[&str], usize); 2] = [("a", &["test"], 5), ("b", &["live", "test"], 5)];
        assert_eq!(shown(&workflow, &list), ["test>live@a"]);
        workflow.mode.steps = StepMode::Dag;
        assert_eq!(shown(&workflow, &list), Vec::<String>::new());
        workflow.steps[1] = step("b", &["a"]);
        assert_eq!(shown(&workflow, &list), ["test>live@a"]);
    }

    fn asking(name: &str, condition: &str) -> Step {
        Step { condition: Some(Placed::nowhere(condition.to_owned())), ..step(name, &[]) }
    }

    fn in_any_order(steps: Vec<Step>) -> Workflow {
        let mut workflow = Workflow { steps, ..Workflow::default() };
        workflow.mode.steps = StepMode::Dag;
        workflow
    }

    #[test]
    fn what_a_condition_asks_for_comes_before() {
        let workflow = in_any_order(vec![asking("b", "status.a.succeeded"), step("a", &[])]);
        let list: [(&str, &[&str], usize); 2] = [("a", &["test"], 5), ("b", &["live"], 5)];
        assert_eq!(shown(&workflow, &list), ["test>live@a"]);
        // Into a group and out of one.
        let mut group = asking("g", "status.smoke.succeeded");
        group.sub_steps = vec![step("b", &[])];
        let mut other = step("h", &[]);
        other.sub_steps = vec![step("smoke", &["a"]), step("a", &[])];
        let workflow = in_any_order(vec![group, other]);
        assert_eq!(shown(&workflow, &list), ["test>live@a"]);
        // What only the facts of an environment tell.
        let either = asking("b", "status.a.succeeded || context.stage == 'x'");
        let workflow = in_any_order(vec![step("a", &[]), either]);
        assert_eq!(shown(&workflow, &list), Vec::<String>::new());
        let asked = BTreeMap::from([("b".to_owned(), BTreeSet::from(["a".to_owned()]))]);
        assert_eq!(order(&workflow, &Flow::new(&workflow, &asked), &places(&list)).len(), 1);
    }

    #[test]
    fn the_next_deployments_are_found_through_steps_that_deploy_nothing() {
        let workflow = in_any_order(vec![
            step("test", &[]),
            step("ask", &["test"]),
            step("live", &["ask"]),
            step("wait", &["live"]),
            asking("tell", "status.wait.succeeded"),
            step("alone", &[]),
        ]);
        let flow = Flow::new(&workflow, &BTreeMap::new());
        let names: Vec<String> = workflow.steps.iter().map(|step| step.name.clone()).collect();
        let deploys = BTreeMap::from([("test".to_owned(), true), ("live".to_owned(), false)]);
        let beside = flow.beside(&names, &deploys);
        assert_eq!(beside[1], (Some(true), Some(false)), "ask");
        assert_eq!(beside[4], (Some(false), None), "tell");
        assert_eq!(beside[5], (None, None), "alone");
    }

    #[test]
    fn a_group_is_done_with_its_steps() {
        let mut group = step("g", &[]);
        group.sub_steps = vec![step("a", &[]), step("b", &[])];
        let workflow = Workflow { steps: vec![group, step("c", &[])], ..Workflow::default() };
        let list: [(&str, &[&str], usize); 3] = [("a", &["one"], 5), ("b", &["two"], 5), ("c", &["zero"], 5)];
        assert_eq!(shown(&workflow, &list), ["one>zero@a", "two>zero@b"]);
    }

    #[test]
    fn a_group_in_a_group_waits_and_is_done_as_one() {
        let mut inner = step("inner", &[]);
        inner.sub_steps = vec![step("a", &[])];
        let mut outer = step("outer", &[]);
        outer.sub_steps = vec![inner];
        let workflow = Workflow { steps: vec![step("z", &[]), outer, step("c", &[])], ..Workflow::default() };
        let list: [(&str, &[&str], usize); 3] = [("z", &["zero"], 5), ("a", &["one"], 5), ("c", &["two"], 5)];
        assert_eq!(shown(&workflow, &list), ["zero>one@z", "one>two@a", "zero>two@z"]);
    }

    #[test]
    fn one_step_deploys_to_so_many_at_once() {
        let workflow = Workflow { steps: vec![step("a", &[])], ..Workflow::default() };
        let four: &[&str] = &["a1", "a2", "a3", "a4"];
        assert_eq!(shown(&workflow, &[("a", four, 2)]), ["a1>a3@a", "a2>a4@a"]);
        assert_eq!(shown(&workflow, &[("a", four, 4)]), Vec::<String>::new());
    }
}
