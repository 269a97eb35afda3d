//! What is gone while it is waited for, and what somebody else has more of made.

use super::*;

fn gone() -> Verdict {
    Verdict::Gone { what: "ConfigMap a is gone".to_owned() }
}

fn growing() -> Verdict {
    Verdict::Growing { blocker: "2 of 5 replicas".to_owned() }
}

#[test]
fn what_is_gone_while_it_is_waited_for_is_written_anew() {
    let (name, mut held) = node("a", &[]);
    held.hold = Some(Hold::default());
    let mut rig = Rig::new([(name, held)]);
    rig.applied("a");
    rig.order(resume(None)).unwrap();
    assert_eq!(rig.work(), ["check a"]);
    let changes = rig.looked("a", gone());
    assert_eq!(last(&changes, Some("a")).unwrap().state, NodeState::Applying);
    assert_eq!(rig.reason("a"), "ConfigMap a is gone; it is tried again");
    assert_eq!((rig.work(), rig.wake()), (vec![], Some(1)));
    rig.tick(1);
    assert_eq!(rig.work(), ["start a"]);
    rig.applied("a");
    assert_eq!(rig.work(), ["check a"], "it is past its hold");
    rig.looked("a", ready());
    rig.pruned(Ok(()));
    assert_eq!(rig.whole(), WholeState::Live);
}

#[test]
fn somebody_who_removes_it_again_and_again_is_waited_for() {
    let mut rig = Rig::new([node("a", &[])]);
    let mut seconds = 0;
    for _ in 0..5 {
        rig.applied("a");
        rig.looked("a", gone());
        assert_eq!(rig.state("a"), NodeState::Applying);
        seconds += 60;
        rig.tick(seconds);
    }
    rig.applied("a");
    rig.looked("a", gone());
    assert_eq!((rig.state("a"), rig.reason("a").as_str()), (NodeState::Waiting, "ConfigMap a is gone"));
    rig.tick(600);
    assert_eq!(rig.state("a"), NodeState::TimedOut);
    rig.order(retry(None)).unwrap();
    rig.applied("a");
    rig.looked("a", gone());
    assert_eq!(rig.state("a"), NodeState::Applying, "whoever tries again has all tries");
}

#[test]
fn what_grows_is_live_for_as_long_as_the_node_may_take() {
    let mut rig = Rig::new([node("a", &[])]);
    rig.arrive("a");
    rig.pruned(Ok(()));
    for seconds in [5, 10, 604] {
        rig.tick(seconds);
        assert_eq!(rig.work(), ["look a"]);
        assert_eq!(rig.looked("a", growing()), [], "{seconds}");
    }
    assert_eq!(rig.wake(), Some(609), "it is looked at often");
    rig.tick(609);
    rig.looked("a", growing());
    assert_eq!((rig.whole(), rig.reason("a").as_str()), (WholeState::Degraded, "2 of 5 replicas"));
    rig.tick(620);
    rig.looked("a", ready());
    assert_eq!(rig.whole(), WholeState::Live);
    rig.tick(630);
    rig.looked("a", growing());
    assert_eq!(rig.whole(), WholeState::Live, "it counts anew");
}
