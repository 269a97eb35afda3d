//! What comes about after it was given up.

use super::*;

/// A node that was written and not ready in time.
fn timed_out() -> Rig {
    let mut rig = Rig::new([node("a", &[]), node("b", &[])]);
    rig.arrive("b");
    rig.applied("a");
    rig.looked("a", not_yet("0 of 1 replicas"));
    rig.tick(600);
    assert_eq!((rig.whole(), rig.state("a")), (WholeState::TimedOut, NodeState::TimedOut));
    rig
}

#[test]
fn what_is_ready_late_is_live_late() {
    let mut rig = timed_out();
    assert_eq!((rig.work(), rig.wake()), (vec![], Some(605)));
    assert_eq!(rig.looked("a", ready()), [], "a look that was begun before the end does not count");
    rig.tick(605);
    assert_eq!(rig.work(), ["check a"]);
    assert_eq!(rig.looked("a", not_yet("0 of 1 replicas")), [], "it is told once");
    assert_eq!(rig.wake(), Some(610));
    rig.tick(610);
    let changes = rig.looked("a", ready());
    assert_eq!(last(&changes, Some("a")).unwrap().state, NodeState::Ready);
    assert_eq!((rig.whole(), rig.work()), (WholeState::Progressing, vec!["prune".to_owned()]));
    rig.pruned(Ok(()));
    assert_eq!(rig.whole(), WholeState::Live);
}

#[test]
fn it_is_so_after_the_deadline_of_the_whole_too() {
    let (name, mut long) = node("a", &[]);
    long.timeout_ms = 10 * 3_600_000;
    let mut rig = Rig::new([(name, long)]);
    rig.applied("a");
    rig.looked("a", not_yet("x"));
    rig.tick(HOUR);
    assert_eq!(rig.whole(), WholeState::TimedOut);
    rig.tick(HOUR + 5);
    rig.looked("a", ready());
    assert_eq!(rig.whole(), WholeState::Progressing, "there is time to remove what is no longer wanted");
    rig.pruned(Ok(()));
    assert_eq!(rig.whole(), WholeState::Live);
}

#[test]
fn after_an_hour_only_a_change_has_it_looked_at() {
    let mut rig = timed_out();
    while let Some(seconds) = rig.wake() {
        assert!(seconds <= 600 + HOUR, "{seconds}");
        rig.tick(seconds);
        rig.looked("a", not_yet("0 of 1 replicas"));
    }
    rig.tick(10 * HOUR);
    assert_eq!((rig.work(), rig.whole()), (vec![], WholeState::TimedOut));
    rig.happen(Happened::Changed { nodes: BTreeSet::from(["a".to_owned(), "b".to_owned()]) });
    assert_eq!(rig.work(), ["check a"]);
    rig.looked("a", ready());
    assert_eq!(rig.whole(), WholeState::Progressing);
}

#[test]
fn what_was_left_out_because_of_it_is_a_persons_to_begin() {
    let mut rig = Rig::new([node("a", &[]), node("b", &["a"])]);
    rig.applied("a");
    rig.looked("a", Verdict::Failed { reason: "the Job failed".into() });
    assert_eq!(rig.schedule.next(at(10)), []);
    rig.tick(10);
    assert_eq!(rig.looked("a", ready()), []);
    assert_eq!(rig.state("a"), NodeState::Failed);
    rig.order(retry(None)).unwrap();
    assert_eq!(rig.work(), ["start a"]);
}

#[test]
fn what_could_not_be_written_is_not_looked_at() {
    let mut rig = Rig::new([node("a", &[])]);
    rig.unapplied("a", Failure::permanent("the field spec.replica is not known"));
    assert_eq!((rig.whole(), rig.schedule.next(at(10))), (WholeState::Failed, vec![]));
}

#[test]
fn what_went_by_its_end_is_a_persons_to_begin_too() {
    let (name, mut tell) = node("tell", &[]);
    tell.after = BTreeSet::from(["a".to_owned()]);
    let mut rig = Rig::new([node("a", &[]), (name, tell)]);
    rig.applied("a");
    rig.looked("a", not_yet("0 of 1 replicas"));
    rig.tick(600);
    rig.arrive("tell");
    assert_eq!((rig.whole(), rig.schedule.next(at(605))), (WholeState::TimedOut, vec![]));
    rig.tick(605);
    rig.looked("a", ready());
    assert_eq!(rig.state("a"), NodeState::TimedOut);
}

#[test]
fn what_was_left_out_for_another_reason_stands_in_nobodys_way() {
    let (name, mut other) = node("other", &[]);
    other.when = Some("false".into());
    let mut rig = Rig::new([node("a", &[]), (name, other)]);
    rig.applied("a");
    rig.looked("a", not_yet("0 of 1 replicas"));
    rig.tick(600);
    rig.tick(605);
    rig.looked("a", ready());
    assert_eq!((rig.whole(), rig.work()), (WholeState::Progressing, vec!["prune".to_owned()]));
}
