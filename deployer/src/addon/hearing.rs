//! What a receiver's words mean for an instance of an add-on.

use slipway_handoff::{Event, NodeState};
use slipway_records::AddonInstance;
use slipway_types::state::{AddonEvent, AddonState};

/// Takes in what a receiver said of an instance: outputs, and what happens to it by its newest word on the whole.
/// What is about another generation is passed over.
pub(super) fn hear(addon: &mut AddonInstance, mut events: Vec<Event>) -> Option<AddonEvent> {
    events.sort_by_key(|event| event.sequence);
    addon.sequence = events.last().map_or(addon.sequence, |event| event.sequence.max(addon.sequence));
    events.retain(|event| event.generation == addon.generation);
    for event in &events {
        addon.outputs.extend(event.outputs.iter().map(|(name, value)| (name.clone(), value.clone())));
    }
    let of_nodes = || {
        let mut nodes = events.iter().rev().filter(|event| event.node.is_some());
        let told = nodes.find(|event| event.state != NodeState::Ready && !event.reason.is_empty())?;
        Some(format!("{}: {}", told.node.as_deref().unwrap_or_default(), told.reason))
    };
    let Some(whole) = events.iter().rev().find(|event| event.node.is_none()) else {
        // Nodes alone only tell what is waited for.
        let is_busy = matches!(addon.state, AddonState::Applying { .. }) || addon.state.is_leaving();
        return of_nodes().filter(|_| is_busy).map(AddonEvent::Wait);
    };
    let said = Some(whole.reason.clone()).filter(|reason| !reason.is_empty());
    let why = said.or_else(of_nodes).unwrap_or_else(|| "its receiver works on it".to_owned());
    if matches!(addon.state, AddonState::Ending { .. }) {
        return Some(match whole.state {
            // What became of it afterwards is nobody's business: it is about to go.
            NodeState::Ready | NodeState::Degraded | NodeState::Unreachable => AddonEvent::Ended,
            NodeState::Failed | NodeState::TimedOut | NodeState::Terminated | NodeState::Deleted => {
                AddonEvent::Fail(why)
            }
            _ => AddonEvent::Wait(why),
        });
    }
    if matches!(addon.state, AddonState::Releasing { .. }) {
        return Some(match whole.state {
            NodeState::Deleted => AddonEvent::Gone,
            NodeState::Failed | NodeState::TimedOut => AddonEvent::Fail(why),
            _ => AddonEvent::Wait(why),
        });
    }
    Some(match whole.state {
        NodeState::Ready => AddonEvent::Arrive,
        NodeState::Degraded => AddonEvent::Degrade(why),
        NodeState::Unreachable => AddonEvent::Degrade(format!("it cannot be looked at: {why}")),
        NodeState::Failed | NodeState::TimedOut | NodeState::Terminated | NodeState::Deleted => {
            AddonEvent::Fail(why)
        }
        NodeState::Pending
        | NodeState::Blocked
        | NodeState::Applying
        | NodeState::Waiting
        | NodeState::Skipped
        | NodeState::Suspended
        | NodeState::Deleting => AddonEvent::Wait(why),
    })
}

/// What a receiver still does for the newest generation that it has from before `generation`, by its last word on the
/// whole; `None`: nothing, or it has none.
pub(super) fn of_earlier(generation: u64, events: &[Event]) -> Option<String> {
    let earlier = || events.iter().filter(|event| event.generation < generation);
    let newest = earlier().map(|event| event.generation).max()?;
    let words = earlier().filter(|event| event.generation == newest && event.node.is_none());
    let Some(whole) = words.max_by_key(|event| event.sequence) else {
        return Some(format!("generation {newest} has begun"));
    };
    match whole.state {
        NodeState::Ready
        | NodeState::Degraded
        | NodeState::Unreachable
        | NodeState::Failed
        | NodeState::TimedOut
        | NodeState::Terminated
        | NodeState::Deleted => None,
        NodeState::Pending
        | NodeState::Blocked
        | NodeState::Applying
        | NodeState::Waiting
        | NodeState::Skipped
        | NodeState::Suspended
        | NodeState::Deleting => Some(format!("generation {newest}: {}", whole.reason)),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use chrono::Utc;
    use slipway_handoff::Key;
    use slipway_types::id::{AddonId, EnvironmentId};

    use super::*;

    fn instance(state: AddonState) -> AddonInstance {
        AddonInstance {
            id: AddonId::new(),
            name: "orders".parse().unwrap(),
            team: "default".parse().unwrap(),
            owner: "ann".into(),
            environment_id: EnvironmentId::new(),
            definition: "redis".parse().unwrap(),
            version: "1.0.0".parse().unwrap(),
            properties: serde_json::json!({}),
            protected: true,
            state,
            outputs: BTreeMap::new(),
            binding_secrets: Vec::new(),
            in_cluster: true,
            has_release: false,
            failure: None,
            generation: 2,
            ready_generation: 1,
            handed_off: 2,
            revision: None,
            predecessor: None,
            sequence: 4,
            created_at: Utc::now(),
            created_by: "ann".into(),
            changed_at: Utc::now(),
            changed_by: "ann".into(),
            cordoned_at: None,
            row_version: 1,
        }
    }

    fn event(sequence: u64, generation: u64, node: Option<&str>, state: NodeState, reason: &str) -> Event {
        let key = Key {
            environment: "eu/kind/data".parse().unwrap(),
            application: "addons/orders".parse().unwrap(),
        };
        Event {
            sequence,
            key,
            generation,
            node: node.map(str::to_owned),
            state,
            reason: reason.to_owned(),
            observed_at: Utc::now(),
            outputs: BTreeMap::new(),
            filled: Vec::new(),
        }
    }

    #[test]
    fn the_newest_word_on_the_whole_decides_and_outputs_are_kept() {
        let mut orders = instance(AddonState::Applying { why: None });
        let mut given = event(6, 2, Some("resource"), NodeState::Ready, "");
        given.outputs.insert("host".into(), "orders.data.svc".into());
        let events = vec![
            event(7, 2, None, NodeState::Ready, ""),
            given,
            event(5, 2, None, NodeState::Waiting, "1 of 2 nodes"),
            event(8, 1, None, NodeState::Failed, "an older one"),
        ];
        assert_eq!(hear(&mut orders, events), Some(AddonEvent::Arrive));
        assert_eq!((orders.sequence, orders.outputs["host"].as_str()), (8, Some("orders.data.svc")));
        assert_eq!(hear(&mut orders, Vec::new()), None);
        assert_eq!(orders.sequence, 8);
    }

    #[test]
    fn an_earlier_generation_has_ended_by_its_last_word_on_the_whole() {
        let applies = || event(4, 2, None, NodeState::Applying, "run.apply: 0 of 1 pods");
        let begins = || event(3, 2, Some("resource"), NodeState::Applying, "");
        for (events, expected) in [
            (vec![], None),
            (vec![event(9, 3, None, NodeState::Waiting, "its own")], None),
            (vec![begins()], Some("generation 2 has begun")),
            (vec![applies(), begins()], Some("generation 2: run.apply: 0 of 1 pods")),
            (
                vec![event(2, 1, None, NodeState::Ready, ""), applies()],
                Some("generation 2: run.apply: 0 of 1 pods"),
            ),
            (vec![event(5, 2, None, NodeState::Ready, ""), applies()], None),
            (vec![applies(), event(5, 2, None, NodeState::TimedOut, "late")], None),
        ] {
            assert_eq!(of_earlier(3, &events).as_deref(), expected, "{events:?}");
        }
    }

    #[test]
    fn what_is_taken_away_is_gone_or_not() {
        let mut orders = instance(AddonState::Releasing { why: None });
        let heard = |orders: &mut AddonInstance, state| hear(orders, vec![event(9, 2, None, state, "pods")]);
        assert_eq!(heard(&mut orders, NodeState::Deleting), Some(AddonEvent::Wait("pods".into())));
        assert_eq!(heard(&mut orders, NodeState::TimedOut), Some(AddonEvent::Fail("pods".into())));
        assert_eq!(heard(&mut orders, NodeState::Deleted), Some(AddonEvent::Gone));
        let mut ending = instance(AddonState::Ending { why: None });
        assert_eq!(heard(&mut ending, NodeState::Waiting), Some(AddonEvent::Wait("pods".into())));
        assert_eq!(heard(&mut ending, NodeState::Failed), Some(AddonEvent::Fail("pods".into())));
        assert_eq!(heard(&mut ending, NodeState::Ready), Some(AddonEvent::Ended));
        let mut ready = instance(AddonState::Ready);
        let node = vec![event(9, 2, Some("resource"), NodeState::Waiting, "1 of 2 pods")];
        assert_eq!(hear(&mut ready, node.clone()), None, "news of a node alone move nothing");
        let mut applying = instance(AddonState::Applying { why: None });
        assert_eq!(hear(&mut applying, node), Some(AddonEvent::Wait("resource: 1 of 2 pods".into())));
    }
}
