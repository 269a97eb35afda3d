//! Deadlines, and what does not count.

use super::*;

fn hold(for_ms: Option<u64>, timeout_ms: u64) -> Node {
    Node { hold: Some(Hold { for_ms, ..Hold::default() }), timeout_ms, ..bare(&[]) }
}

const DAY: i64 = 24 * HOUR;

#[test]
fn a_node_that_is_not_ready_in_time_has_timed_out_and_says_what_it_waited_for() {
    let mut rig = Rig::new([node("a", &[]), node("b", &["a"])]);
    assert_eq!(rig.wake(), Some(600));
    rig.applied("a");
    rig.looked("a", not_yet("0 of 1 replicas are available"));
    rig.tick(599);
    assert_eq!(rig.state("a"), NodeState::Waiting);
    rig.tick(600);
    assert_eq!(rig.state("a"), NodeState::TimedOut);
    assert_eq!(rig.reason("a"), "timeout_ms = 600000 passed; last: 0 of 1 replicas are available");
    assert_eq!((rig.state("b"), rig.reason("b")), (NodeState::Skipped, "`a` timed out".into()));
    let whole = rig.schedule.whole();
    assert_eq!((whole.state, whole.node.as_deref()), (WholeState::TimedOut, Some("a")));
    assert_eq!(rig.looked("a", ready()), [], "that comes too late");
    rig.order(retry(Some("a"))).unwrap();
    assert_eq!((rig.work(), rig.wake()), (vec!["start a".to_owned()], Some(1_200)));
}

#[test]
fn a_result_after_the_deadline_comes_too_late_even_if_nobody_looked_at_the_clock() {
    let mut rig = Rig::new([node("a", &[])]);
    rig.applied("a");
    rig.now = at(600);
    rig.looked("a", ready());
    assert_eq!(rig.state("a"), NodeState::TimedOut);
}

#[test]
fn a_failure_that_is_tried_again_has_an_end() {
    let mut rig = Rig::new([node("a", &[])]);
    for _ in 0..30 {
        rig.unapplied("a", Failure::transient("connection refused"));
        if let Some(seconds) = rig.wake() {
            rig.tick(seconds);
        }
    }
    assert_eq!((rig.now, rig.state("a")), (at(600), NodeState::TimedOut));
    assert!(rig.reason("a").contains("connection refused"));
}

#[test]
fn the_deadline_of_the_whole_ends_every_node() {
    let (name, mut long) = node("long", &[]);
    long.timeout_ms = 10 * 3_600_000;
    let mut rig = Rig::parallel([(name, long.clone()), ("next".into(), long)], 1);
    rig.tick(HOUR - 1);
    assert_eq!(rig.wake(), Some(HOUR));
    rig.tick(HOUR);
    assert_eq!((rig.state("long"), rig.state("next")), (NodeState::TimedOut, NodeState::Skipped));
    let whole = rig.schedule.whole();
    assert_eq!((whole.state, whole.node.as_deref()), (WholeState::TimedOut, Some("long")));
    assert_eq!(rig.schedule.next(rig.now), []);
    // What was allowed at first is allowed once more, and only the deadline was in the way of `next`.
    rig.tick(HOUR + 100);
    rig.order(retry(None)).unwrap();
    assert_eq!((rig.work(), rig.wake()), (vec!["start long".to_owned()], Some(2 * HOUR + 100)));
    assert_eq!(rig.state("next"), NodeState::Blocked);
}

#[test]
fn what_comes_after_its_deadline_times_out_at_once() {
    let mut late = submission(Mode::Apply, [node("a", &[])]);
    late.deadline = at(-5);
    let mut rig = Rig::of(Plan::new(&late).unwrap());
    assert_eq!((rig.whole(), rig.state("a")), (WholeState::TimedOut, NodeState::Skipped));
    rig.order(retry(None)).unwrap();
    assert_eq!(rig.wake(), Some(600), "a retry of that has some time too");
}

#[test]
fn removing_what_is_no_longer_wanted_has_an_end_too() {
    let mut rig = Rig::new([node("a", &[])]);
    rig.arrive("a");
    rig.pruned(Err(Failure::transient("Namespace old still stands")));
    rig.tick(HOUR);
    let whole = rig.schedule.whole();
    assert_eq!((whole.state, whole.node), (WholeState::TimedOut, None));
    assert!(whole.reason.contains("Namespace old still stands"), "{}", whole.reason);
    rig.order(retry(None)).unwrap();
    assert_eq!(rig.work(), ["prune"]);
}

#[test]
fn a_hold_outlasts_the_deadline_of_the_whole_but_not_its_own() {
    let hold = hold(None, 7 * 24 * 3_600_000);
    let mut rig = Rig::new([("ok".into(), hold), node("web", &["ok"])]);
    assert_eq!(rig.wake(), Some(7 * DAY));
    assert_eq!(rig.schedule.waits()[0].deadline, at(7 * DAY));
    rig.tick(3 * DAY);
    assert_eq!(rig.whole(), WholeState::Suspended);
    rig.order(resume(None)).unwrap();
    assert_eq!((rig.work(), rig.whole()), (vec!["start web".to_owned()], WholeState::Progressing));
    assert_eq!(rig.schedule.waits()[0].deadline, at(3 * DAY + 600));
    rig.applied("web");
    rig.tick(3 * DAY + 600);
    assert_eq!(rig.state("web"), NodeState::TimedOut);
}

#[test]
fn a_hold_that_nobody_ends_times_out() {
    let mut rig = Rig::new([("ok".into(), hold(None, 2 * 3_600_000)), node("web", &["ok"])]);
    rig.tick(2 * HOUR);
    assert_eq!(rig.reason("ok"), "timeout_ms = 7200000 passed; last: held until it is resumed");
    assert_eq!((rig.whole(), rig.state("web")), (WholeState::TimedOut, NodeState::Skipped));
}

#[test]
fn a_hold_that_ends_by_itself_puts_the_deadline_off_by_its_length() {
    let minutes = 50 * 60;
    let for_ms = Some(u64::try_from(minutes * 1_000).unwrap());
    let (name, mut web) = node("web", &["soon"]);
    web.timeout_ms = 10 * 3_600_000;
    let mut rig = Rig::new([("soon".into(), hold(for_ms, 4 * 3_600_000)), (name, web)]);
    assert_eq!(rig.wake(), Some(minutes));
    // Nobody was there when it ended: that does not lengthen it.
    rig.tick(minutes + 60);
    assert_eq!(rig.work(), ["start web"]);
    assert_eq!(rig.wake(), Some(HOUR + minutes));
}

#[test]
fn while_somebody_holds_the_whole_no_time_of_a_node_runs() {
    let soon = hold(Some(100_000), 3_600_000);
    let mut rig = Rig::new([node("a", &[]), ("soon".into(), soon)]);
    rig.applied("a");
    rig.looked("a", not_yet("x"));
    rig.tick(50);
    rig.looked("a", not_yet("x"));
    rig.order(Command::Suspend).unwrap();
    assert_eq!(rig.schedule.waits()[1].deadline, at(50 + 7 * DAY));
    rig.tick(2 * DAY);
    assert_eq!((rig.state("a"), rig.state("soon")), (NodeState::Waiting, NodeState::Suspended));
    assert_eq!(rig.work(), ["check a"]);
    rig.order(Command::Resume { node: Some("soon".into()) }).unwrap();
    assert_eq!(rig.whole(), WholeState::Suspended, "the whole is held all the same");
    rig.order(resume(None)).unwrap();
    let a = rig.schedule.waits().into_iter().find(|wait| wait.node.as_deref() == Some("a")).unwrap();
    assert_eq!(a.deadline, at(2 * DAY + 550), "50 of 600 seconds were over");
    rig.looked("a", not_yet("x"));
    rig.tick(2 * DAY + 550);
    assert_eq!(rig.state("a"), NodeState::TimedOut);
}

#[test]
fn nobody_holds_the_whole_for_ever() {
    let mut rig = Rig::new([node("a", &[]), node("b", &["a"])]);
    rig.order(Command::Suspend).unwrap();
    assert_eq!(rig.wake(), Some(7 * DAY));
    rig.tick(7 * DAY);
    let whole = rig.schedule.whole();
    assert_eq!(whole.state, WholeState::TimedOut);
    assert!(whole.reason.ends_with("held by ann"), "{}", whole.reason);
    assert_eq!((rig.state("a"), rig.state("b")), (NodeState::TimedOut, NodeState::Skipped));
    assert!(rig.schedule.is_ended());
    rig.order(retry(None)).unwrap();
    assert_eq!((rig.work(), rig.whole()), (vec!["start a".to_owned()], WholeState::Progressing));
}

#[test]
fn every_wait_is_named_and_has_a_deadline() {
    let mut rig = Rig::new([node("a", &[]), node("b", &["a"]), ("ok".into(), hold(None, 60_000))]);
    rig.applied("a");
    rig.looked("a", not_yet("0 of 1 replicas"));
    let waits: Vec<(String, String, i64)> = rig
        .schedule
        .waits()
        .into_iter()
        .map(|wait| (wait.node.unwrap(), wait.what, (wait.deadline - at(0)).num_seconds()))
        .collect();
    let expected =
        [("a", "0 of 1 replicas", 600), ("b", "waits for `a`", HOUR), ("ok", "held until it is resumed", 60)];
    let expected = expected.map(|(node, what, until)| (node.to_owned(), what.to_owned(), until));
    assert_eq!(waits, expected);
}

#[test]
fn looks_at_what_is_not_ready_come_ever_later() {
    let mut rig = Rig::new([("w".into(), Node { waits: vec![wait()], ..bare(&[]) })]);
    for (seconds, pause) in [(0, 1), (1, 2), (3, 4), (7, 8), (15, 16), (31, 30), (61, 30)] {
        rig.tick(seconds);
        assert_eq!(rig.work(), ["check w"], "at {seconds} s");
        rig.looked("w", Verdict::Unreachable { why: "no route".into() });
        assert_eq!((rig.work(), rig.wake()), (vec![], Some(seconds + pause)));
    }
    assert_eq!(rig.reason("w"), "its place does not answer: no route");
}

#[test]
fn times_beyond_all_time_do_no_harm() {
    let (name, mut node) = node("a", &[]);
    node.timeout_ms = u64::MAX;
    let mut endless = submission(Mode::Apply, [(name, node), ("h".into(), hold(Some(u64::MAX), u64::MAX))]);
    endless.deadline = DateTime::<Utc>::MAX_UTC;
    let mut rig = Rig::of(Plan::new(&endless).unwrap());
    rig.order(Command::Suspend).unwrap();
    rig.tick(HOUR);
    rig.order(resume(None)).unwrap();
    rig.arrive("a");
    assert_eq!(rig.now + TimeDelta::zero(), at(HOUR));
    assert_eq!(rig.state("h"), NodeState::Ready);
}
