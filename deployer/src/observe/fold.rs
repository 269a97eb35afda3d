//! Where an application stands, folded from what its receiver last said of each node and of the whole.
//!
//! The state of a deployment tells what is still to come: it has failed once nothing of it goes on. This one tells what
//! there is: a node that failed makes it failed at once, while others run on.

use std::collections::BTreeMap;

use slipway_handoff::{Graph, Node, NodeState};
use slipway_health::{ApplicationState, Report, Reports, Stamp};
use slipway_records::{Observation, Seen};

use super::verdict::state_of;

/// The whole among the parts; no node has this name.
const WHOLE: &str = "";

/// The nodes of a revision, and what each is once it is ready.
pub(super) type Nodes = BTreeMap<String, ApplicationState>;

/// The nodes of a graph: what only has tasks, or nothing that stays, is completed once it is ready.
pub(super) fn nodes_of(graph: &Graph) -> Nodes {
    let ready = |node: &Node| {
        let is_done = node.objects.iter().all(|object| graph.has_task(&object.object));
        if is_done { ApplicationState::Completed } else { ApplicationState::Live }
    };
    graph.nodes().iter().map(|(name, node)| (name.clone(), ready(node))).collect()
}

/// Where the application stands in its generation; `None`: it is deleted. Nodes of which nothing was said are pending,
/// unless the whole is said to be ready; those that are skipped do not count.
pub(super) fn application(
    observation: &Observation,
    generation: u64,
    nodes: &Nodes,
) -> Option<ApplicationState> {
    let whole = observation.whole.as_ref();
    let said = whole.and_then(state_of);
    if said == Some(NodeState::Deleted) {
        return None;
    }
    let mut reports = Reports::default();
    let is_skipped = |name: &str| {
        let state = observation.nodes.get(name).and_then(state_of);
        state == Some(NodeState::Skipped)
    };
    let counted: Vec<&String> = nodes.keys().filter(|name| !is_skipped(name)).collect();
    reports.begin(generation, counted.iter().map(|name| name.as_str()));
    for name in counted {
        let ready = nodes.get(name).copied().unwrap_or(ApplicationState::Live);
        match (observation.nodes.get(name), whole) {
            (Some(seen), _) => {
                reports.take(name.as_str(), report(of_node(state_of(seen), ready), seen, generation));
            }
            (None, Some(seen)) if said == Some(NodeState::Ready) => {
                reports.take(name.as_str(), report(ready, seen, generation));
            }
            (None, _) => {}
        }
    }
    let is_settled = reports.parts().values().all(|report| report.state.is_settled());
    if let Some((state, seen)) = of_whole(said, is_settled).zip(whole) {
        reports.take(WHOLE, report(state, seen, generation));
    }
    Some(reports.state())
}

fn report(state: ApplicationState, seen: &Seen, generation: u64) -> Report {
    let stamp = Stamp { generation, observed_generation: seen.sequence, observed_at: seen.at };
    Report::new(state, seen.reason.clone(), stamp)
}

fn of_node(said: Option<NodeState>, ready: ApplicationState) -> ApplicationState {
    use NodeState as N;
    match said {
        Some(N::Ready) => ready,
        Some(N::Applying | N::Waiting) => ApplicationState::Progressing,
        // Only a person leads on from either.
        Some(N::Suspended | N::Terminated) => ApplicationState::Suspended,
        Some(N::Failed) => ApplicationState::Failed,
        Some(N::TimedOut) => ApplicationState::TimedOut,
        Some(N::Degraded) => ApplicationState::Degraded,
        Some(N::Unreachable) => ApplicationState::Unreachable,
        Some(N::Deleting) => ApplicationState::Deleting,
        Some(N::Pending | N::Blocked | N::Skipped | N::Deleted) | None => ApplicationState::Pending,
    }
}

/// What the word on the whole adds to those on its nodes. `is_settled`: whether they wait for nothing.
fn of_whole(said: Option<NodeState>, is_settled: bool) -> Option<ApplicationState> {
    use NodeState as N;
    match said {
        // It is as its nodes are, and while they are under way they tell how far.
        Some(N::Ready | N::Deleted) | None => None,
        Some(N::Pending | N::Blocked | N::Applying | N::Waiting | N::Skipped) => {
            is_settled.then_some(ApplicationState::Progressing)
        }
        said => Some(of_node(said, ApplicationState::Live)),
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use slipway_health::ApplicationState as A;

    use super::super::verdict::word;
    use super::*;

    fn seen(state: NodeState) -> Seen {
        Seen { state: word(state), reason: String::new(), sequence: 1, at: DateTime::UNIX_EPOCH }
    }

    fn folded(whole: Option<NodeState>, nodes: &[(&str, A, Option<NodeState>)]) -> Option<A> {
        let known: Nodes = nodes.iter().map(|(name, ready, _)| ((*name).to_owned(), *ready)).collect();
        let said = nodes.iter().filter_map(|(name, _, state)| Some(((*name).to_owned(), seen((*state)?))));
        let observation =
            Observation { whole: whole.map(seen), nodes: said.collect(), ..Observation::default() };
        application(&observation, 7, &known)
    }

    #[test]
    fn the_heaviest_word_decides() {
        use NodeState as N;
        for (whole, a, b, expected) in [
            (N::Applying, None, None, A::Pending),
            (N::Applying, Some(N::Waiting), Some(N::Blocked), A::Progressing),
            (N::Applying, Some(N::Failed), Some(N::Waiting), A::Failed),
            (N::Suspended, Some(N::Failed), Some(N::Blocked), A::Failed),
            (N::Suspended, Some(N::Ready), Some(N::Blocked), A::Suspended),
            (N::Applying, Some(N::TimedOut), Some(N::Degraded), A::TimedOut),
            (N::Applying, Some(N::Ready), Some(N::Ready), A::Progressing),
            (N::Ready, Some(N::Ready), Some(N::Skipped), A::Live),
            (N::Ready, None, None, A::Live),
            (N::Failed, Some(N::Ready), Some(N::Ready), A::Failed),
            (N::Unreachable, Some(N::Ready), Some(N::Unreachable), A::Unreachable),
            (N::Deleting, Some(N::Failed), None, A::Deleting),
            (N::Terminated, Some(N::Ready), Some(N::Terminated), A::Suspended),
        ] {
            let found = folded(Some(whole), &[("a", A::Live, a), ("b", A::Live, b)]);
            assert_eq!(found, Some(expected), "{whole:?} {a:?} {b:?}");
        }
        assert_eq!(folded(Some(N::Deleted), &[("a", A::Live, Some(N::Ready))]), None);
    }

    #[test]
    fn what_only_has_tasks_completes_and_what_has_nothing_is_pending() {
        use NodeState as N;
        let job = ("job", A::Completed, Some(N::Ready));
        assert_eq!(folded(Some(N::Ready), &[job]), Some(A::Completed));
        assert_eq!(folded(Some(N::Ready), &[job, ("web", A::Live, Some(N::Ready))]), Some(A::Live));
        assert_eq!(folded(Some(N::Ready), &[]), Some(A::Pending));
        assert_eq!(folded(None, &[("web", A::Live, None)]), Some(A::Pending));
    }
}
