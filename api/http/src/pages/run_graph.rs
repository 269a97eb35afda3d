//! The graph of a run: planning, the builds as they need each other, packaging, and the checks of what it published.

use chrono::{DateTime, TimeDelta, Utc};
use slipway_records::plan::ComponentPlan;
use slipway_records::{Build, DeclaredCheck, Run};
use slipway_types::ComponentName;
use slipway_types::state::{BuildState, RunState, Step};

use super::graph::{Drawing, Node};
use super::parts::Status;
use super::texts::Texts;

/// What the graph is made of.
pub(super) struct Known<'a> {
    pub(super) run: &'a Run,
    pub(super) builds: &'a [Build],
    pub(super) checks: &'a [DeclaredCheck],
}

/// The build that took longest, and how long, if several have ended.
pub(super) fn slowest(builds: &[Build]) -> Option<(&Build, TimeDelta)> {
    let timed = builds.iter().filter_map(|build| Some((build, build.finished_at? - build.started_at?)));
    let timed: Vec<_> = timed.collect();
    if timed.len() < 2 {
        return None;
    }
    timed.into_iter().max_by_key(|(_, took)| *took)
}

/// The stage of a build that took longest, and how long.
pub(super) fn slowest_stage(build: &Build) -> Option<(&str, TimeDelta)> {
    let stages = build.stages_ms.as_object()?.iter();
    let timed = stages.filter_map(|(name, ms)| Some((name.as_str(), TimeDelta::milliseconds(ms.as_i64()?))));
    timed.max_by_key(|(_, took)| *took)
}

/// How planning stands, by the word of a state.
fn planning(run: &Run) -> &'static str {
    match &run.state {
        RunState::Planning
        | RunState::Failed { step: Step::Plan, .. }
        | RunState::TimedOut { step: Step::Plan, .. } => run.state.word(),
        // There are builds.
        _ => "done",
    }
}

/// How packaging stands, by the word of a state.
fn packaging(run: &Run) -> &'static str {
    match &run.state {
        RunState::Packaging
        | RunState::Done { .. }
        | RunState::Failed { step: Step::Package, .. }
        | RunState::TimedOut { step: Step::Package, .. } => run.state.word(),
        // It will not begin any more.
        state if state.is_terminal() => "skipped",
        _ => "pending",
    }
}

impl Known<'_> {
    /// The drawing, once the run has builds.
    pub(super) fn drawing(&self, t: &'static Texts, now: DateTime<Utc>) -> Option<Drawing> {
        if self.builds.is_empty() {
            return None;
        }
        Drawing::new(t.run_graph.to_owned(), &self.nodes(t, now))
    }

    fn nodes(&self, t: &'static Texts, now: DateTime<Utc>) -> Vec<Node> {
        let Self { run, builds, checks } = self;
        let first = builds.iter().filter_map(|build| build.started_at).min();
        let planned = run.started_at.zip(first).map(|(began, ended)| t.took(ended - began));
        let mut nodes = vec![Node {
            name: t.planning.to_owned(),
            status: Some(Status::of(t, planning(run))),
            note: planned,
            is_step: true,
            ..Node::default()
        }];
        nodes.extend(builds.iter().map(|build| self.build(t, build, now)));
        let last = builds.iter().filter_map(|build| build.finished_at).max();
        let packaged = last.zip(run.finished_at).filter(|_| matches!(run.state, RunState::Done { .. }));
        nodes.push(Node {
            name: t.packaging.to_owned(),
            status: Some(Status::of(t, packaging(run))),
            note: packaged.map(|(began, ended)| t.took(ended - began)),
            needs: (1..=builds.len()).collect(),
            is_step: true,
            ..Node::default()
        });
        nodes.extend(checks.iter().map(|check| Node {
            name: check.name.to_string(),
            status: Some(Status::of(t, check.state.word())),
            needs: vec![builds.len() + 1],
            is_step: true,
            ..Node::default()
        }));
        nodes
    }

    fn build(&self, t: &'static Texts, build: &Build, now: DateTime<Utc>) -> Node {
        // What another release wrote may not be read.
        let plan = serde_json::from_value::<ComponentPlan>(build.plan.clone()).ok();
        let needed = plan.map(|plan| plan.needs).unwrap_or_default();
        let number = |name: &ComponentName| self.builds.iter().position(|other| other.component == *name);
        // After planning, which is the first.
        let mut needs: Vec<usize> = needed.iter().filter_map(number).map(|place| place + 1).collect();
        if needs.is_empty() {
            needs.push(0);
        }
        let took = build.started_at.map(|began| t.took(build.finished_at.unwrap_or(now) - began));
        let is_slowest = slowest(self.builds).is_some_and(|(slowest, _)| slowest.id == build.id);
        let words = [took, is_slowest.then(|| t.slowest_one.to_owned())];
        let note: Vec<String> = words.into_iter().flatten().collect();
        Node {
            name: build.component.to_string(),
            status: Some(Status::of(t, build.state.word())),
            note: (!note.is_empty()).then(|| note.join(" · ")),
            needs,
            is_reused: matches!(build.state, BuildState::Reused { .. }),
            ..Node::default()
        }
    }
}
