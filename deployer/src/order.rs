//! What people tell the receiver of a deployment that it has: what an order means, and where it fits.

use slipway_handoff::{Answer, Capability, Command, Graph, NodeName, told_by};
use slipway_records::deploying::{DeploymentOrder, DeploymentWord, OrderRefused};
use slipway_records::{Deployment, Observation, OrderState};
use slipway_types::ApplicationName;
use slipway_types::name::EnvironmentName;
use slipway_types::state::{DeploymentEvent, DeploymentState};

mod telling;

/// The command of an order, what follows from it, and the action's name in the audit record.
fn meaning(order: &DeploymentOrder, removal: bool) -> (Command, DeploymentEvent, &'static str) {
    let (by, node) = (&order.person, order.node.clone());
    let again = |what: &str| DeploymentEvent::Progress(Some(format!("{what} by {by}")));
    let told = || told_by(by, order.reason.as_deref());
    match order.word {
        DeploymentWord::Suspend => (Command::Suspend, DeploymentEvent::Suspend(told()), "deployment.suspend"),
        DeploymentWord::Resume => (Command::Resume { node }, again("resumed"), "deployment.resume"),
        DeploymentWord::Retry => {
            let event = if removal { DeploymentEvent::Delete(by.clone()) } else { again("tried again") };
            (Command::Retry { node }, event, "deployment.retry")
        }
        DeploymentWord::Terminate => {
            (Command::Terminate, DeploymentEvent::Terminate(told()), "deployment.terminate")
        }
        DeploymentWord::Promote => (Command::Resume { node }, again("promoted"), "deployment.promote"),
    }
}

/// Whether a deployment in `state` can be told this.
fn fits(word: DeploymentWord, state: &DeploymentState) -> bool {
    use DeploymentState as S;
    match word {
        DeploymentWord::Suspend => matches!(state, S::HandedOff { .. } | S::Progressing { .. }),
        // A node's own hold is no state of the whole.
        DeploymentWord::Resume | DeploymentWord::Promote => {
            matches!(state, S::Suspended { .. } | S::HandedOff { .. } | S::Progressing { .. })
        }
        DeploymentWord::Retry => {
            matches!(state, S::Failed { .. } | S::TimedOut { .. } | S::Terminated { .. })
        }
        DeploymentWord::Terminate => {
            matches!(
                state,
                S::HandedOff { .. }
                    | S::Progressing { .. }
                    | S::Suspended { .. }
                    | S::Failed { .. }
                    | S::TimedOut { .. }
            )
        }
    }
}

/// Whether its receiver has nothing of it any more that could be told anything.
fn is_gone(state: &DeploymentState) -> bool {
    matches!(state, DeploymentState::Superseded { .. } | DeploymentState::Deleted)
}

/// Whether an order says nothing of where the whole stands: past the hold of a node somebody may still hold the whole.
/// Its receiver tells.
fn leaves_whole(order: &DeploymentOrder, state: &DeploymentState) -> bool {
    let is_of_node =
        order.node.is_some() && matches!(order.word, DeploymentWord::Resume | DeploymentWord::Promote);
    is_of_node && matches!(state, DeploymentState::Suspended { .. })
}

/// "… cannot be …".
fn participle(word: DeploymentWord) -> &'static str {
    match word {
        DeploymentWord::Suspend => "suspended",
        DeploymentWord::Resume => "resumed",
        DeploymentWord::Retry => "tried again",
        DeploymentWord::Terminate => "stopped",
        DeploymentWord::Promote => "promoted",
    }
}

/// Stops that are held and that stand behind what runs beside the version of before, in the order of the graph.
fn held_beside(graph: &Graph, observation: &Observation) -> Vec<NodeName> {
    let is_beside = |name: &NodeName| graph.nodes().get(name).is_some_and(|node| node.temporary);
    let is_held = |name: &NodeName| {
        let holds = graph.nodes().get(name).is_some_and(|node| node.hold.is_some());
        holds && observation.nodes.get(name).is_some_and(|seen| seen.state == "suspended")
    };
    let held = graph.order().into_iter().filter(|name| is_held(name));
    held.filter(|name| graph.before(name).into_iter().any(is_beside)).cloned().collect()
}

/// Which of the stops that are held is meant.
fn promoted(held: &[NodeName], wanted: Option<&str>) -> Result<NodeName, OrderRefused> {
    let look = "`slipway deploy show` tells how its nodes stand";
    match (held, wanted) {
        (_, Some(wanted)) if held.iter().any(|name| name == wanted) => Ok(wanted.to_owned()),
        (_, Some(wanted)) => Err(OrderRefused::WrongState(format!(
            "`{wanted}` is no stop behind a canary or a blue-green that is held: {look}"
        ))),
        ([only], None) => Ok(only.clone()),
        ([], None) => {
            Err(OrderRefused::WrongState(format!("no canary and no blue-green of it is held: {look}")))
        }
        (several, None) => Err(OrderRefused::WrongState(format!(
            "several are held, name one by --node: {}",
            several.join(", ")
        ))),
    }
}

/// The number of the receiver's last word on the whole.
fn last_word(observation: &Observation) -> Option<u64> {
    observation.whole.as_ref().map(|whole| whole.sequence)
}

/// Whether what the receiver last said of the node that an order names means that the order begins nothing.
fn is_contrary(order: &DeploymentOrder, state: &DeploymentState, observation: &Observation) -> bool {
    let Some(seen) = order.node.as_ref().and_then(|node| observation.nodes.get(node)) else { return false };
    match order.word {
        // What was stopped goes on as a whole, whichever node is named.
        DeploymentWord::Retry => {
            let is_well = matches!(seen.state.as_str(), "ready" | "degraded" | "unreachable");
            is_well && !matches!(state, DeploymentState::Terminated { .. })
        }
        DeploymentWord::Resume | DeploymentWord::Promote => seen.state != "suspended",
        DeploymentWord::Suspend | DeploymentWord::Terminate => false,
    }
}

/// What came of telling a receiver, once that is known.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Verdict {
    /// It took the order.
    Taken,
    /// It did not.
    Refused(OrderRefused),
    /// Something newer took the place of what the order was about.
    Overtaken(String),
    /// It gave no answer for too long.
    Expired(String),
}

impl Verdict {
    fn of(answer: Answer) -> Self {
        match answer {
            Answer::Accepted { .. } => Self::Taken,
            Answer::Unsupported { capability, reason } => {
                Self::Refused(OrderRefused::Unsupported { capability, reason })
            }
            Answer::Stale { current } => {
                Self::Overtaken(format!("the receiver has generation {current} already"))
            }
            Answer::Rejected { violations } => {
                let said: Vec<String> = violations.iter().map(ToString::to_string).collect();
                Self::Refused(OrderRefused::Refused(said.join("; ")))
            }
            Answer::Conflict { revision } => {
                let why = format!("the receiver has another revision, {revision}");
                Self::Refused(OrderRefused::Refused(why))
            }
        }
    }

    /// As what the order is settled, and the action's name in the audit record.
    fn settled(&self) -> (OrderState, &'static str) {
        match self {
            Self::Taken => (OrderState::Told, "order.told"),
            Self::Refused(_) => (OrderState::Refused, "order.refused"),
            Self::Overtaken(_) => (OrderState::Overtaken, "order.overtaken"),
            Self::Expired(_) => (OrderState::Expired, "order.expired"),
        }
    }

    /// Why it was not taken.
    fn why(&self) -> Option<String> {
        match self {
            Self::Taken => None,
            Self::Refused(refused) => Some(refused.to_string()),
            Self::Overtaken(why) | Self::Expired(why) => Some(why.clone()),
        }
    }

    /// What whoever ordered is told.
    fn told(self) -> Result<(), OrderRefused> {
        match self {
            Self::Taken => Ok(()),
            Self::Refused(refused) => Err(refused),
            Self::Overtaken(why) | Self::Expired(why) => Err(OrderRefused::Refused(why)),
        }
    }
}

fn wrong_state(word: DeploymentWord, deployment: &Deployment) -> OrderRefused {
    let what = participle(word);
    OrderRefused::WrongState(format!("a deployment that is {} cannot be {what}", deployment.state.word()))
}

fn unsupported(
    capability: Capability,
    receiver: &str,
    (application, environment): (&ApplicationName, &EnvironmentName),
) -> OrderRefused {
    let command =
        |word: &str| format!("slipway deploy {word} {application} --env {environment} --reason WHY");
    let instead = match capability {
        Capability::Retry => format!("deploy it once more: {}", command("restart")),
        Capability::Terminate => {
            format!("go back ({}), or take it away ({})", command("rollback"), command("remove"))
        }
        _ => "do it where the receiver runs".to_owned(),
    };
    let reason = format!("the receiver `{receiver}` of this environment cannot {capability}: {instead}");
    OrderRefused::Unsupported { capability: capability.to_string(), reason }
}

#[cfg(test)]
mod tests {
    use slipway_records::Seen;
    use slipway_types::id::DeploymentId;
    use slipway_types::{Digest, Fault, Violation};

    use super::*;

    #[test]
    fn what_a_receiver_cannot_is_told_with_what_can_be_done() {
        let (application, environment) = ("commerce/cart".parse().unwrap(), "prod".parse().unwrap());
        for (capability, instead) in [
            (Capability::Retry, "slipway deploy restart commerce/cart --env prod --reason WHY"),
            (Capability::Terminate, "slipway deploy remove commerce/cart --env prod --reason WHY"),
            (Capability::Suspend, "do it where the receiver runs"),
        ] {
            let refused = unsupported(capability, "kubevela", (&application, &environment));
            let OrderRefused::Unsupported { reason, .. } = refused else { panic!("{refused:?}") };
            assert!(reason.contains(instead), "{reason}");
        }
    }

    #[test]
    fn an_answer_settles_an_order_for_good() {
        let unsupported = Answer::unsupported(Capability::Suspend, "it cannot");
        let violations = vec![Violation::new("bad", "web", "no such node")];
        for (answer, state, told) in [
            (Answer::Accepted { run: "r".into() }, OrderState::Told, None),
            (unsupported, OrderState::Refused, Some("it cannot")),
            (Answer::Rejected { violations }, OrderState::Refused, Some("no such node")),
            (Answer::Conflict { revision: Digest::of("r") }, OrderState::Refused, Some("another revision")),
            (Answer::Stale { current: 9 }, OrderState::Overtaken, Some("generation 9")),
        ] {
            let verdict = Verdict::of(answer);
            assert_eq!(verdict.settled().0, state, "{verdict:?}");
            let why = verdict.why();
            let says = |told: &str| why.as_ref().is_some_and(|why| why.contains(told));
            assert!(told.map_or(why.is_none(), says), "{verdict:?}");
            assert_eq!(verdict.told().is_ok(), state == OrderState::Told);
        }
    }

    #[test]
    fn words_fit_states() {
        use DeploymentState as S;
        use DeploymentWord as W;
        let fault = Fault::permanent("x", "x");
        let failed = S::Failed { node: None, fault };
        let suspended = S::Suspended { by: "ann".into() };
        for (state, words) in [
            (S::Live, vec![]),
            (S::Deleted, vec![]),
            (S::Deleting { by: "ann".into() }, vec![]),
            (S::Progressing { blocker: None }, vec![W::Suspend, W::Resume, W::Terminate, W::Promote]),
            (suspended, vec![W::Resume, W::Terminate, W::Promote]),
            (failed, vec![W::Retry, W::Terminate]),
            (S::Terminated { by: "ann".into() }, vec![W::Retry]),
        ] {
            for word in [W::Suspend, W::Resume, W::Retry, W::Terminate, W::Promote] {
                let order = DeploymentOrder {
                    deployment: DeploymentId::new(),
                    word,
                    node: None,
                    person: "ann".into(),
                    actor: "ann".into(),
                    reason: None,
                };
                assert_eq!(fits(word, &state), words.contains(&word), "{word:?} of {}", state.word());
                if fits(word, &state) {
                    assert!(!is_gone(&state), "{}", state.word());
                    assert!(
                        state.clone().apply(meaning(&order, false).1).is_ok(),
                        "{word:?} of {}",
                        state.word()
                    );
                }
            }
        }
    }

    #[test]
    fn an_order_that_begins_nothing_moves_nothing() {
        use DeploymentWord as W;
        let failed = || DeploymentState::Failed { node: None, fault: Fault::permanent("x", "x") };
        let stopped = || DeploymentState::Terminated { by: "ann".into() };
        for (word, seen, state, expected) in [
            (W::Retry, Some("ready"), failed(), true),
            (W::Retry, Some("failed"), failed(), false),
            (W::Retry, Some("ready"), stopped(), false),
            (W::Retry, None, failed(), false),
            (W::Resume, Some("suspended"), failed(), false),
            (W::Resume, Some("waiting"), failed(), true),
            (W::Suspend, Some("ready"), failed(), false),
        ] {
            let order = DeploymentOrder {
                deployment: DeploymentId::new(),
                word,
                node: Some("web".into()),
                person: "ann".into(),
                actor: "ann".into(),
                reason: None,
            };
            let seen_of = |state: &str| Seen {
                state: state.to_owned(),
                reason: String::new(),
                sequence: 1,
                at: chrono::DateTime::UNIX_EPOCH,
            };
            let nodes = seen.map(|state| ("web".to_owned(), seen_of(state))).into_iter().collect();
            let observation = Observation { nodes, ..Observation::default() };
            assert_eq!(is_contrary(&order, &state, &observation), expected, "{word:?} {seen:?}");
        }
    }

    #[test]
    fn what_is_held_as_a_whole_stays_so_past_the_hold_of_a_node() {
        use DeploymentWord as W;
        let suspended = DeploymentState::Suspended { by: "ann".into() };
        let progressing = DeploymentState::Progressing { blocker: None };
        for (word, node, state, expected) in [
            (W::Promote, Some("step.look"), &suspended, true),
            (W::Resume, Some("step.look"), &suspended, true),
            (W::Resume, None, &suspended, false),
            (W::Resume, Some("step.look"), &progressing, false),
            (W::Terminate, None, &suspended, false),
        ] {
            let order = DeploymentOrder {
                deployment: DeploymentId::new(),
                word,
                node: node.map(str::to_owned),
                person: "ann".into(),
                actor: "ann".into(),
                reason: None,
            };
            assert_eq!(leaves_whole(&order, state), expected, "{word:?} of {node:?}");
        }
    }

    #[test]
    fn promoting_means_the_stop_behind_what_stands_beside() {
        use std::collections::BTreeMap;

        use slipway_handoff::{Hold, Node};

        let node = |needs: &[&str], temporary: bool, holds: bool| Node {
            needs: needs.iter().map(|&need| need.to_owned()).collect(),
            temporary,
            hold: holds.then(Hold::default),
            ..Node::default()
        };
        let nodes = BTreeMap::from([
            ("step.ask".to_owned(), node(&[], false, true)),
            ("step.try".to_owned(), node(&["step.ask"], true, false)),
            ("step.look".to_owned(), node(&["step.try"], false, true)),
            ("step.later".to_owned(), node(&["step.look"], false, true)),
            ("web".to_owned(), node(&["step.later"], false, false)),
        ]);
        let graph = Graph::try_from(nodes).unwrap();
        let held = |names: &[&str]| {
            let seen = |name: &&str| {
                let seen = Seen {
                    state: "suspended".to_owned(),
                    reason: String::new(),
                    sequence: 1,
                    at: chrono::DateTime::UNIX_EPOCH,
                };
                ((*name).to_owned(), seen)
            };
            let nodes = names.iter().map(seen).collect();
            held_beside(&graph, &Observation { nodes, ..Observation::default() })
        };
        assert_eq!(held(&["step.ask"]), [""; 0], "nothing stands beside yet");
        assert_eq!(held(&["step.look", "web"]), ["step.look"]);
        let both = held(&["step.later", "step.look"]);
        assert_eq!(promoted(&held(&["step.look"]), None), Ok("step.look".to_owned()));
        assert_eq!(promoted(&both, Some("step.later")), Ok("step.later".to_owned()));
        for (held, wanted, told) in
            [(&both[..0], None, "is held"), (&both[..], None, "--node"), (&both[..], Some("web"), "`web`")]
        {
            let refused = promoted(held, wanted).unwrap_err().to_string();
            assert!(refused.contains(told), "{refused}");
        }
    }
}
