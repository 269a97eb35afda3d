//! In which order the steps of a workflow are laid: each after all that it waits for, whatever group that
//! is in.

use std::collections::{BTreeMap, BTreeSet};

use slipway_oam::{Mode, StepMode};

use super::ChosenStep;

/// One turn of laying, by the number of its step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    /// A step, or where a group begins.
    Begin(usize),
    /// Where a group ends.
    End(usize),
}

/// The turns of all steps; as they stand in the file where nothing else decides. Where steps wait for each
/// other in a circle, one of them has its turn before what it waits for.
pub(super) fn turns(steps: &[ChosenStep], mode: Mode) -> Vec<Turn> {
    let turns = as_they_stand(steps);
    let waits = waits(steps, mode, &turns);
    let mut open: Vec<usize> = waits.iter().map(BTreeSet::len).collect();
    let mut followers: Vec<Vec<usize>> = vec![Vec::new(); turns.len()];
    for (turn, waits) in waits.iter().enumerate() {
        for before in waits {
            followers[*before].push(turn);
        }
    }
    let mut left: BTreeSet<usize> = (0..turns.len()).collect();
    let mut ready: BTreeSet<usize> = left.iter().copied().filter(|turn| open[*turn] == 0).collect();
    let mut ordered = Vec::with_capacity(turns.len());
    while !left.is_empty() {
        let next = ready.pop_first().unwrap_or_else(|| of_a_circle(&left, &waits));
        // One of a circle becomes ready once more, when what it waits for had its turn.
        if !left.remove(&next) {
            continue;
        }
        ordered.push(turns[next]);
        for follower in &followers[next] {
            open[*follower] -= 1;
            if open[*follower] == 0 {
                ready.insert(*follower);
            }
        }
    }
    ordered
}

/// For each step the one beside it that it follows by the mode.
pub(super) fn previous(steps: &[ChosenStep], mode: Mode) -> Vec<Option<usize>> {
    let mut last: BTreeMap<Option<&str>, usize> = BTreeMap::new();
    let mut found = Vec::with_capacity(steps.len());
    for (index, step) in steps.iter().enumerate() {
        let group = step.group.as_deref();
        let before = last.insert(group, index);
        found.push(before.filter(|_| mode_of(steps, group, mode) == StepMode::StepByStep));
    }
    found
}

/// How the steps of a group follow one another, or those of no group.
pub(super) fn mode_of(steps: &[ChosenStep], group: Option<&str>, mode: Mode) -> StepMode {
    let Some(group) = group else { return mode.steps };
    let own = steps.iter().find(|step| step.step.name == group).and_then(|step| step.step.mode);
    own.unwrap_or(mode.sub_steps)
}

/// The steps of a group.
pub(super) fn within<'s>(
    steps: &'s [ChosenStep],
    group: &'s ChosenStep,
) -> impl Iterator<Item = &'s ChosenStep> {
    let name = group.step.name.as_str();
    steps.iter().filter(move |step| step.group.as_deref() == Some(name))
}

/// Whether a step, or any of a group's, is part of this environment's revision.
pub(super) fn is_here(steps: &[ChosenStep], step: &ChosenStep) -> bool {
    if step.step.sub_steps.is_empty() {
        return step.here;
    }
    within(steps, step).any(|inner| is_here(steps, inner))
}

fn as_they_stand(steps: &[ChosenStep]) -> Vec<Turn> {
    let mut turns = Vec::new();
    let mut open: Vec<usize> = Vec::new();
    for (index, step) in steps.iter().enumerate() {
        let is_around = |group: &usize| step.group.as_deref() == Some(steps[*group].step.name.as_str());
        while let Some(group) = open.pop_if(|group| !is_around(group)) {
            turns.push(Turn::End(group));
        }
        turns.push(Turn::Begin(index));
        if !step.step.sub_steps.is_empty() {
            open.push(index);
        }
    }
    turns.extend(open.into_iter().rev().map(Turn::End));
    turns
}

/// For each turn those that come before it.
fn waits(steps: &[ChosenStep], mode: Mode, turns: &[Turn]) -> Vec<BTreeSet<usize>> {
    let mut begins: BTreeMap<&str, usize> = BTreeMap::new();
    let mut done: BTreeMap<&str, usize> = BTreeMap::new();
    for (turn, which) in turns.iter().enumerate() {
        let (Turn::Begin(index) | Turn::End(index)) = which;
        let name = steps[*index].step.name.as_str();
        begins.entry(name).or_insert(turn);
        // A group is done where it ends, which stands behind where it begins.
        done.insert(name, turn);
    }
    let previous = previous(steps, mode);
    let of = |turn: &Turn| -> BTreeSet<usize> {
        match turn {
            Turn::Begin(index) => {
                let step = &steps[*index];
                let before = previous[*index].map(|before| steps[before].step.name.as_str());
                let named = step.needs().chain(before).filter_map(|name| done.get(name));
                let group = step.group.as_deref().and_then(|group| begins.get(group));
                named.chain(group).copied().collect()
            }
            Turn::End(index) => {
                let within = within(steps, &steps[*index]);
                within.filter_map(|step| done.get(step.step.name.as_str())).copied().collect()
            }
        }
    };
    turns.iter().map(of).collect()
}

/// The first turn of a circle. Everything left waits for something left: walking on must come back.
fn of_a_circle(left: &BTreeSet<usize>, waits: &[BTreeSet<usize>]) -> usize {
    let mut walked: Vec<usize> = Vec::new();
    let mut turn = *left.first().expect("invariant: something is left");
    while !walked.contains(&turn) {
        walked.push(turn);
        let mut on = waits[turn].intersection(left);
        turn = *on.next().expect("invariant: what is left waits for what is left");
    }
    walked.into_iter().skip_while(|walked| *walked != turn).min().unwrap_or(turn)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use slipway_oam::Step;

    use super::*;

    /// `GROUP/NAME` is a step of a group, `NAME/` and `GROUP/NAME/` are groups.
    fn step(name: &str, after: &[&str]) -> ChosenStep {
        let (name, sub_steps) = match name.strip_suffix('/') {
            Some(group) => (group, vec![Step::default()]),
            None => (name, Vec::new()),
        };
        let (group, name) = match name.split_once('/') {
            Some((group, name)) => (Some(group.to_owned()), name),
            None => (None, name),
        };
        ChosenStep {
            step: Step { name: name.to_owned(), sub_steps, ..Step::default() },
            path: String::new(),
            group,
            says: None,
            here: true,
            after: after.iter().map(|&name| name.to_owned()).collect(),
            asks: None,
            deploys: BTreeSet::new(),
        }
    }

    fn laid(mode: StepMode, steps: &[(&str, &[&str])]) -> String {
        let steps: Vec<ChosenStep> = steps.iter().map(|(name, after)| step(name, after)).collect();
        let mode = Mode { steps: mode, sub_steps: StepMode::Dag };
        let shown = |turn: Turn| match turn {
            Turn::Begin(index) => steps[index].step.name.clone(),
            Turn::End(index) => format!("/{}", steps[index].step.name),
        };
        turns(&steps, mode).into_iter().map(shown).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn a_step_is_laid_after_what_it_asks_for_in_whatever_group() {
        let dag = |steps: &[(&str, &[&str])]| laid(StepMode::Dag, steps);
        assert_eq!(dag(&[("b", &["a"]), ("a", &[]), ("c", &[])]), "a b c");
        assert_eq!(dag(&[("roll", &["smoke"]), ("g/", &[]), ("g/smoke", &[])]), "g smoke roll /g");
        assert_eq!(dag(&[("roll", &["g"]), ("g/", &[]), ("g/smoke", &[])]), "g smoke /g roll");
        let crossed: [(&str, &[&str]); 5] =
            [("g/", &[]), ("g/a", &[]), ("g/b", &["c"]), ("h/", &[]), ("h/c", &["a"])];
        assert_eq!(dag(&crossed), "g a h c b /g /h");
        let steps: [(&str, &[&str]); 4] = [("g/", &[]), ("g/a", &[]), ("g/b", &[]), ("c", &[])];
        assert_eq!(laid(StepMode::StepByStep, &steps), "g a b /g c");
    }

    #[test]
    fn groups_end_when_all_that_they_hold_has() {
        let steps: [(&str, &[&str]); 8] = [
            ("g/", &[]),
            ("g/h/", &[]),
            ("h/a", &[]),
            ("h/i/", &[]),
            ("i/b", &[]),
            ("g/c", &["h"]),
            ("k/", &[]),
            ("k/d", &[]),
        ];
        assert_eq!(laid(StepMode::StepByStep, &steps), "g h a i b /i /h c /g k d /k");
        // A step deep inside may wait for one deep inside another group.
        let crossed: [(&str, &[&str]); 6] =
            [("g/", &[]), ("g/h/", &[]), ("h/a", &["b"]), ("k/", &[]), ("k/l/", &[]), ("l/b", &[])];
        assert_eq!(laid(StepMode::Dag, &crossed), "g h k l b a /h /g /l /k");
    }

    #[test]
    fn a_group_is_here_if_anything_of_it_is() {
        let mut steps: Vec<ChosenStep> =
            ["g/", "g/h/", "h/a", "k/", "k/b"].into_iter().map(|name| step(name, &[])).collect();
        steps[4].here = false;
        let found: Vec<bool> = steps.iter().map(|step| is_here(&steps, step)).collect();
        assert_eq!(found, [true, true, true, false, false]);
    }

    #[test]
    fn a_circle_is_broken_at_a_step_of_it() {
        let dag = |steps: &[(&str, &[&str])]| laid(StepMode::Dag, steps);
        assert_eq!(dag(&[("x", &["a"]), ("a", &["b"]), ("b", &["a"])]), "a x b");
        assert_eq!(dag(&[("self", &["self"])]), "self");
        assert_eq!(laid(StepMode::StepByStep, &[("b", &["a"]), ("a", &[])]), "b a");
    }

    /// How many of the open groups a step stands in, whether it is a group itself, and numbers of steps before it
    /// that it comes after.
    type Placed = (usize, bool, Vec<usize>);

    fn any_places() -> impl Strategy<Value = Vec<Placed>> {
        let one = (0_usize..9, any::<bool>(), prop::collection::vec(0_usize..20, 0..3));
        prop::collection::vec(one, 1..20)
    }

    fn grouped(places: Vec<Placed>) -> Vec<ChosenStep> {
        let mut open: Vec<String> = Vec::new();
        let mut steps: Vec<ChosenStep> = Vec::new();
        for (index, (depth, is_group, after)) in places.into_iter().enumerate() {
            open.truncate(depth);
            let before = after.into_iter().filter_map(|at| steps.get(at)).map(|step| step.step.name.clone());
            // Nothing that holds it is done before it begins.
            let after: Vec<String> = before.filter(|name| !open.contains(name)).collect();
            let after: Vec<&str> = after.iter().map(String::as_str).collect();
            let name = format!("s{index}");
            let within = open.last().map(|group| format!("{group}/")).unwrap_or_default();
            let end = if is_group { "/" } else { "" };
            let made = step(&format!("{within}{name}{end}"), &after);
            steps.push(made);
            if is_group {
                open.push(name);
            }
        }
        steps
    }

    proptest! {
        #[test]
        fn every_step_is_laid_once_inside_its_group_and_after_what_it_needs(
            places in any_places(),
            is_dag in any::<bool>()
        ) {
            let steps = grouped(places);
            let own = if is_dag { StepMode::Dag } else { StepMode::StepByStep };
            let mode = Mode { steps: own, sub_steps: own };
            let turns = turns(&steps, mode);
            let groups = steps.iter().filter(|step| !step.step.sub_steps.is_empty()).count();
            prop_assert_eq!(turns.len(), steps.len() + groups);
            let begins = |at: usize| turns.iter().position(|turn| *turn == Turn::Begin(at)).unwrap();
            let ends = |at: usize| turns.iter().position(|turn| *turn == Turn::End(at));
            let done = |at: usize| ends(at).unwrap_or_else(|| begins(at));
            let number = |name: &str| steps.iter().position(|step| step.step.name == name).unwrap();
            for (index, step) in steps.iter().enumerate() {
                for needed in step.needs() {
                    prop_assert!(done(number(needed)) < begins(index), "{} after {}", step.step.name, needed);
                }
                if let Some(group) = step.group.as_deref().map(number) {
                    prop_assert!(begins(group) < begins(index));
                    prop_assert!(ends(group).unwrap() > done(index));
                }
            }
        }
    }
}
