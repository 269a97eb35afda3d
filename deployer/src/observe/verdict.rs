//! What the newest words of a receiver mean for a deployment.

use slipway_handoff::NodeState;
use slipway_records::{Observation, Seen};
use slipway_types::Fault;
use slipway_types::state::{DeploymentEvent, DeploymentState};

/// Who is named where a receiver acted by itself.
const RECEIVER: &str = "its receiver";

/// The contract's word of a state.
pub(super) fn word(state: NodeState) -> String {
    match serde_json::to_value(state) {
        Ok(serde_json::Value::String(word)) => word,
        _ => unreachable!("invariant: a state is a word"),
    }
}

pub(super) fn state_of(seen: &Seen) -> Option<NodeState> {
    serde_json::from_value(seen.state.clone().into()).ok()
}

/// What a receiver's newest words are about.
#[derive(Debug, Clone, Copy)]
pub(super) struct News<'a> {
    /// Whether there is a new word on the whole.
    pub(super) of_whole: bool,
    /// Who took the application away, if the deployment is that.
    pub(super) removed_by: Option<&'a str>,
}

/// What happens to a deployment in `state` by news of it. A word on the whole moves it once: what people said
/// since is not undone by news of nodes, which only tell what is waited for. A state that does not take an event
/// stays.
pub(super) fn moves(
    state: &DeploymentState,
    observation: &Observation,
    news: News<'_>,
) -> Vec<DeploymentEvent> {
    let whole = observation.whole.as_ref().filter(|_| news.of_whole);
    match (whole, news.removed_by) {
        (Some(whole), None) => moves_of_whole(state, observation, whole),
        (Some(whole), Some(by)) => moves_of_removal(state, observation, whole, by),
        (None, None) if is_at_work(state) && !observation.nodes.is_empty() => {
            vec![DeploymentEvent::Progress(blocker(observation))]
        }
        (None, _) => Vec::new(),
    }
}

fn is_at_work(state: &DeploymentState) -> bool {
    matches!(state, DeploymentState::HandedOff { .. } | DeploymentState::Progressing { .. })
}

fn has_not_come_about(state: &DeploymentState) -> bool {
    matches!(state, DeploymentState::Failed { .. } | DeploymentState::TimedOut { .. })
}

/// Taking away ends in nothing but being gone, or not coming about; one that failed may be gone later.
fn moves_of_removal(
    state: &DeploymentState,
    observation: &Observation,
    whole: &Seen,
    by: &str,
) -> Vec<DeploymentEvent> {
    use DeploymentEvent as E;
    use NodeState as N;
    let why = || blocker(observation).unwrap_or_else(|| format!("the receiver says {}", whole.state));
    let goes_on = (!matches!(state, DeploymentState::Deleting { .. })).then(|| E::Delete(by.to_owned()));
    match state_of(whole) {
        Some(N::Deleted) => goes_on.into_iter().chain([E::Deleted]).collect(),
        Some(N::Deleting) => goes_on.into_iter().collect(),
        Some(N::Failed) => {
            vec![E::Fail(failed_node(observation), Fault::permanent("receiver_failed", why()))]
        }
        Some(N::TimedOut) => vec![E::TimeOut(failed_node(observation), why())],
        _ => Vec::new(),
    }
}

fn moves_of_whole(state: &DeploymentState, observation: &Observation, whole: &Seen) -> Vec<DeploymentEvent> {
    use DeploymentEvent as E;
    use NodeState as N;
    let Some(said) = state_of(whole) else { return Vec::new() };
    let was_live = matches!(
        state,
        DeploymentState::Live | DeploymentState::Degraded { .. } | DeploymentState::Unreachable { .. }
    );
    let why = || blocker(observation).unwrap_or_else(|| format!("the receiver says {}", whole.state));
    match said {
        N::Ready => vec![E::Live],
        N::Pending | N::Blocked | N::Applying | N::Waiting | N::Skipped => {
            vec![E::Progress(blocker(observation))]
        }
        N::Degraded if was_live => vec![E::Degrade(why())],
        N::Degraded => vec![E::Live, E::Degrade(why())],
        N::Unreachable if was_live => vec![E::LoseSight(whole.at)],
        N::Unreachable => vec![E::Live, E::LoseSight(whole.at)],
        // What was live does not become what never came about.
        N::Failed | N::TimedOut | N::Terminated | N::Deleted if was_live => vec![E::Degrade(why())],
        N::Failed => vec![E::Fail(failed_node(observation), Fault::permanent("receiver_failed", why()))],
        N::TimedOut => vec![E::TimeOut(failed_node(observation), why())],
        // Somebody had it tried again and held it before that was heard.
        N::Suspended if has_not_come_about(state) => {
            vec![E::Progress(None), E::Suspend(RECEIVER.to_owned())]
        }
        N::Suspended => vec![E::Suspend(RECEIVER.to_owned())],
        N::Terminated => vec![E::Terminate(RECEIVER.to_owned()), E::Terminated],
        N::Deleted => vec![E::Fail(None, Fault::permanent("receiver_removed", why()))],
        N::Deleting => Vec::new(),
    }
}

/// What it waits for, in one line: the receiver's own word, else the first node that is not ready.
pub(super) fn blocker(observation: &Observation) -> Option<String> {
    let said = observation.whole.as_ref().map(|whole| whole.reason.as_str());
    if let Some(said) = said.filter(|said| !said.is_empty()) {
        return Some(said.to_owned());
    }
    blocker_of_nodes(observation)
}

/// The same by the first node that is not ready alone.
pub(super) fn blocker_of_nodes(observation: &Observation) -> Option<String> {
    let (name, seen) = unready(observation)?;
    let ready = observation.nodes.values().filter(|seen| state_of(seen) == Some(NodeState::Ready)).count();
    let detail = if seen.reason.is_empty() { seen.state.as_str() } else { seen.reason.as_str() };
    Some(format!("{name}: {detail} ({ready} of {} nodes are ready)", observation.nodes.len()))
}

/// The node at which it ended.
pub(super) fn failed_node(observation: &Observation) -> Option<String> {
    let has = |wanted: NodeState| {
        let mut nodes = observation.nodes.iter();
        nodes.find(|(_, seen)| state_of(seen) == Some(wanted)).map(|(name, _)| name.clone())
    };
    has(NodeState::Failed).or_else(|| has(NodeState::TimedOut))
}

/// The node that is waited for: one that works, before one that waits for others.
pub(super) fn unready(observation: &Observation) -> Option<(&String, &Seen)> {
    use NodeState as N;
    let among = |states: &[N]| {
        let mut nodes = observation.nodes.iter();
        nodes.find(|(_, seen)| state_of(seen).is_some_and(|state| states.contains(&state)))
    };
    among(&[N::Failed, N::TimedOut])
        .or_else(|| among(&[N::Waiting, N::Applying, N::Suspended, N::Degraded, N::Unreachable]))
        .or_else(|| among(&[N::Pending, N::Blocked]))
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, Utc};
    use slipway_types::state::DeploymentState as S;

    use super::*;

    fn seen(state: NodeState, reason: &str) -> Seen {
        Seen { state: word(state), reason: reason.to_owned(), sequence: 1, at: DateTime::UNIX_EPOCH }
    }

    const NEW: News<'_> = News { of_whole: true, removed_by: None };
    const REMOVAL: News<'_> = News { of_whole: true, removed_by: Some("ann") };

    fn after(state: S, said: NodeState, news: News<'_>) -> S {
        let observation = Observation { whole: Some(seen(said, "why")), ..Observation::default() };
        let events = moves(&state, &observation, news);
        events.into_iter().fold(state, |state, event| state.clone().apply(event).unwrap_or(state))
    }

    #[test]
    fn every_word_of_a_receiver_moves_a_deployment_to_its_state() {
        use NodeState as N;
        let handed = || S::HandedOff { run: "r".into() };
        for (state, said, expected) in [
            (handed(), N::Applying, "progressing"),
            (handed(), N::Ready, "live"),
            (handed(), N::Failed, "failed"),
            (handed(), N::TimedOut, "timed_out"),
            (handed(), N::Suspended, "suspended"),
            (handed(), N::Terminated, "terminated"),
            (handed(), N::Degraded, "degraded"),
            (handed(), N::Unreachable, "unreachable"),
            (handed(), N::Deleted, "failed"),
            (S::Live, N::Degraded, "degraded"),
            (S::Live, N::Failed, "degraded"),
            (S::Live, N::Deleted, "degraded"),
            (S::Live, N::Waiting, "progressing"),
            (S::Degraded { why: "x".into() }, N::Ready, "live"),
            (S::Unreachable { since: Utc::now() }, N::Ready, "live"),
            (S::TimedOut { node: None, which: "x".into() }, N::Ready, "live"),
            (S::TimedOut { node: None, which: "x".into() }, N::Suspended, "suspended"),
            (S::Failed { node: None, fault: Fault::permanent("x", "x") }, N::Suspended, "suspended"),
            (S::Terminating { by: "ann".into() }, N::Ready, "terminating"),
            (S::Terminating { by: "ann".into() }, N::Terminated, "terminated"),
            (
                S::Superseded { by: slipway_types::id::DeploymentId::new(), failed: None },
                N::Ready,
                "superseded",
            ),
        ] {
            let from = state.word();
            assert_eq!(after(state, said, NEW).word(), expected, "{from} and {said:?}");
        }
    }

    #[test]
    fn what_is_taken_away_ends_in_being_gone_and_is_never_live() {
        use NodeState as N;
        let deleting = || S::Deleting { by: "ann".into() };
        let late = || S::TimedOut { node: None, which: "x".into() };
        for (state, said, expected) in [
            (deleting(), N::Ready, "deleting"),
            (deleting(), N::Deleting, "deleting"),
            (deleting(), N::Failed, "failed"),
            (deleting(), N::Deleted, "deleted"),
            (late(), N::Deleting, "deleting"),
            (late(), N::Deleted, "deleted"),
            (late(), N::Ready, "timed_out"),
            (late(), N::Waiting, "timed_out"),
        ] {
            let from = state.word();
            assert_eq!(after(state, said, REMOVAL).word(), expected, "{from} and {said:?}");
        }
    }

    #[test]
    fn news_of_a_node_undo_nothing_that_was_said_of_the_whole() {
        let mut observation =
            Observation { whole: Some(seen(NodeState::Failed, "")), ..Observation::default() };
        observation.nodes.insert("web".into(), seen(NodeState::Applying, ""));
        let node_alone = News { of_whole: false, removed_by: None };
        let tried_again = S::Progressing { blocker: None };
        assert!(matches!(moves(&tried_again, &observation, node_alone)[..], [DeploymentEvent::Progress(_)]));
        for state in
            [S::Suspended { by: "ann".into() }, S::TimedOut { node: None, which: "x".into() }, S::Live]
        {
            assert_eq!(moves(&state, &observation, node_alone), [], "{}", state.word());
        }
    }

    #[test]
    fn the_node_that_is_waited_for_is_named() {
        let mut observation = Observation::default();
        assert_eq!(blocker(&observation), None);
        let nodes = [
            ("api", NodeState::Ready, ""),
            ("db", NodeState::Blocked, ""),
            ("web", NodeState::Waiting, "1 of 3 replicas"),
        ];
        observation.nodes = nodes.map(|(name, state, why)| (name.to_owned(), seen(state, why))).into();
        assert_eq!(blocker(&observation).unwrap(), "web: 1 of 3 replicas (1 of 3 nodes are ready)");
        assert_eq!(failed_node(&observation), None);
        observation.nodes.insert("web".into(), seen(NodeState::Failed, "no image"));
        assert_eq!(failed_node(&observation).as_deref(), Some("web"));
        observation.whole = Some(seen(NodeState::Failed, "it is over"));
        assert_eq!(blocker(&observation).as_deref(), Some("it is over"));
    }
}
