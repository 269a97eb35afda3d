//! After all is live.

use super::*;

fn live(names: &[&str]) -> Rig {
    let mut rig = Rig::new(names.iter().map(|name| node(name, &[])));
    for name in names {
        rig.arrive(name);
    }
    rig.pruned(Ok(()));
    assert_eq!((rig.whole(), rig.work()), (WholeState::Live, vec![]));
    rig
}

#[test]
fn what_is_live_is_looked_at_ever_more_seldom() {
    let mut rig = live(&["a", "b"]);
    for seconds in [5, 10, 15, 25, 35, 45, 65] {
        assert_eq!(rig.wake(), Some(seconds));
        rig.tick(seconds);
        assert_eq!(rig.work(), ["look a b"]);
        rig.looked("a", ready());
        assert_eq!(rig.work(), ["look b"]);
        assert_eq!(rig.looked("b", ready()), [], "nothing is new");
    }
    assert!(rig.schedule.waits().is_empty());
    // Neither its deadline nor those of its nodes run any more.
    rig.tick(10 * HOUR);
    assert_eq!(rig.whole(), WholeState::Live);
}

#[test]
fn what_was_live_degrades_and_comes_back() {
    let mut rig = live(&["a", "b"]);
    rig.happen(Happened::Changed { nodes: BTreeSet::from(["b".to_owned()]) });
    assert_eq!(rig.work(), ["look b"]);
    let changes = rig.looked("b", not_yet("1 of 2 replicas"));
    let [of_node, of_whole] = &changes[..] else { panic!("{changes:?}") };
    assert_eq!((of_node.state, of_node.reason.as_str()), (NodeState::Degraded, "1 of 2 replicas"));
    assert_eq!((of_whole.state, of_whole.reason.as_str()), (NodeState::Degraded, "b: 1 of 2 replicas"));
    rig.looked("a", Verdict::Unreachable { why: "no route".into() });
    assert_eq!(rig.whole(), WholeState::Degraded, "that is known, the other is not");
    let changes = rig.looked("b", ready());
    assert_eq!(last(&changes, None).unwrap().state, NodeState::Unreachable);
    assert_eq!(last(&changes, None).unwrap().reason, "a: no route");
    let changes = rig.looked("a", ready());
    assert_eq!((last(&changes, None).unwrap().state, rig.whole()), (NodeState::Ready, WholeState::Live));
    rig.looked("a", Verdict::Failed { reason: "gone".into() });
    assert_eq!((rig.whole(), rig.state("a")), (WholeState::Degraded, NodeState::Degraded));
    assert!(!rig.schedule.is_ended());
}

#[test]
fn news_is_looked_at_more_often_again() {
    let mut rig = live(&["a"]);
    for seconds in [5, 10, 15] {
        rig.tick(seconds);
        rig.looked("a", ready());
    }
    assert_eq!(rig.wake(), Some(25));
    rig.tick(25);
    rig.looked("a", not_yet("x"));
    assert_eq!(rig.wake(), Some(30));
}

#[test]
fn what_became_ready_and_changes_before_the_rest_is_told_too() {
    let mut rig = Rig::new([node("a", &[]), node("b", &["a"])]);
    rig.arrive("a");
    rig.happen(Happened::Changed { nodes: BTreeSet::from(["a".to_owned()]) });
    assert_eq!(rig.work(), ["start b", "look a"]);
    let changes = rig.looked("a", not_yet("it crashed"));
    assert_eq!(changes.len(), 1, "the whole is under way all the same");
    assert_eq!(rig.work(), ["start b"]);
    rig.arrive("b");
    let changes = rig.pruned(Ok(()));
    assert_eq!(last(&changes, None).unwrap().state, NodeState::Degraded);
}

#[test]
fn a_newer_generation_ends_the_looks() {
    let mut rig = live(&["a"]);
    rig.happen(Happened::Superseded { by: 8 });
    assert_eq!((rig.whole(), rig.state("a")), (WholeState::Superseded, NodeState::Ready));
    assert_eq!(rig.schedule.next(at(HOUR)), []);
    assert_eq!(rig.looked("a", not_yet("x")), []);
}
