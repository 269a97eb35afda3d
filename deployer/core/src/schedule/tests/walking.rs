//! From one node to the next.

use serde_json::json;

use super::*;

#[test]
fn a_node_begins_when_all_that_it_needs_are_ready() {
    let mut rig = Rig::new([node("db", &[]), node("cache", &[]), node("web", &["cache", "db"])]);
    assert_eq!(rig.work(), ["start cache", "start db"]);
    assert_eq!((rig.state("web"), rig.reason("web")), (NodeState::Blocked, "waits for `cache`".into()));
    rig.applied("cache");
    assert_eq!(rig.state("cache"), NodeState::Waiting);
    assert_eq!(rig.work(), ["check cache", "start db"]);
    rig.looked("cache", not_yet("0 of 1 replicas"));
    assert_eq!((rig.work(), rig.wake()), (vec!["start db".to_owned()], Some(1)));
    rig.tick(1);
    let changes = rig.looked("cache", ready());
    assert_eq!(last(&changes, Some("cache")).unwrap().state, NodeState::Ready);
    assert_eq!(last(&changes, Some("web")).unwrap().reason, "waits for `db`");
    rig.arrive("db");
    assert_eq!((rig.work(), rig.state("web")), (vec!["start web".to_owned()], NodeState::Applying));
    assert_eq!(rig.schedule.node("web").unwrap().started_at, Some(at(1)));
    rig.arrive("web");
    assert_eq!((rig.work(), rig.whole()), (vec!["prune".to_owned()], WholeState::Progressing));
    rig.pruned(Ok(()));
    assert_eq!(rig.whole(), WholeState::Live);
    assert!(!rig.schedule.is_ended());
}

#[test]
fn a_node_calls_writes_holds_and_waits_in_that_order() {
    let (name, mut all) = node("all", &[]);
    all.call = Some(call());
    all.hold = Some(Hold { for_ms: Some(5_000), ..Hold::default() });
    let mut rig = Rig::new([(name, all)]);
    assert_eq!(rig.work(), ["call all"]);
    rig.applied("all");
    assert_eq!(rig.work(), ["call all"], "that was not asked for");
    rig.called("all", Ok(()));
    assert_eq!(rig.work(), ["start all"]);
    assert_eq!(rig.schedule.node("all").unwrap().trace, Trace::Mixed);
    rig.called("all", Ok(()));
    let filled = rig.applied("all");
    assert_eq!(last(&filled, Some("all")).unwrap().state, NodeState::Suspended);
    assert_eq!(rig.schedule.node("all").unwrap().trace, Trace::New);
    assert_eq!((rig.whole(), rig.wake()), (WholeState::Suspended, Some(5)));
    rig.tick(5);
    assert_eq!((rig.work(), rig.state("all")), (vec!["check all".to_owned()], NodeState::Waiting));
    assert_eq!(rig.whole(), WholeState::Progressing);
}

#[test]
fn what_has_nothing_to_do_is_passed_in_one_step() {
    let mut given = bare(&["b0"]);
    given.outputs = BTreeMap::from([("host".into(), Output::Value(json!("db.shop")))]);
    let mut rig = Rig::new([("b0".into(), bare(&[])), ("b1".into(), given), node("web", &["b1"])]);
    assert_eq!(rig.work(), ["start web"]);
    let told = last(&rig.told, Some("b1")).unwrap();
    assert_eq!((told.state, &told.outputs["host"]), (NodeState::Ready, &json!("db.shop")));
    // Objects that are ready as soon as they are written are not looked at.
    let (name, mut quick) = node("quick", &[]);
    quick.objects[0].ready = slipway_handoff::Ready::Applied;
    let mut rig2 = Rig::new([(name, quick)]);
    rig2.applied("quick");
    assert_eq!(rig2.state("quick"), NodeState::Ready);
    rig.arrive("web");
    // And a call alone is done when it is answered.
    let mut rig = Rig::new([("ask".into(), Node { call: Some(call()), ..bare(&[]) })]);
    rig.called("ask", Ok(()));
    assert_eq!((rig.state("ask"), rig.work()), (NodeState::Ready, vec!["prune".to_owned()]));
}

#[test]
fn an_empty_graph_only_removes() {
    let mut rig = Rig::new([]);
    assert_eq!(rig.told.len(), 1, "that it is under way is told");
    assert_eq!((rig.told[0].node.as_deref(), rig.told[0].state), (None, NodeState::Applying));
    assert_eq!(rig.work(), ["prune"]);
    let changes = rig.pruned(Ok(()));
    assert_eq!(changes.iter().map(|change| change.state).collect::<Vec<_>>(), [NodeState::Ready]);
    assert_eq!(rig.schedule.next(rig.now), [], "there is nothing to look at");
}

#[test]
fn only_so_many_nodes_are_written_at_the_same_time() {
    let mut rig = Rig::parallel(["a", "b", "c", "d"].map(|name| node(name, &[])), 2);
    assert_eq!(rig.work(), ["start a", "start b"]);
    assert_eq!(rig.state("c"), NodeState::Blocked);
    assert!(rig.reason("c").contains("max_parallel"));
    rig.applied("b");
    assert_eq!(rig.work(), ["start a", "check b", "start c"], "what waits does not count");
    // One that rests does not either, and comes again only when there is room.
    rig.unapplied("a", Failure::transient("no route"));
    assert_eq!(rig.work(), ["check b", "start c", "start d"]);
    rig.looked("b", not_yet("x"));
    rig.tick(1);
    assert_eq!(rig.work(), ["check b", "start c", "start d"]);
    assert_eq!((rig.state("a"), rig.wake()), (NodeState::Applying, Some(600)), "nothing to wake for");
    rig.applied("c");
    assert_eq!(rig.work(), ["start a", "check b", "check c", "start d"]);
}

#[test]
fn transient_failures_are_tried_again_ever_later_and_permanent_ones_are_not() {
    let mut rig = Rig::new([node("a", &[])]);
    for (seconds, pause) in [(0, 1), (1, 2), (3, 4), (7, 8), (15, 16), (31, 30), (61, 30)] {
        assert_eq!((rig.tick(seconds), rig.work()), (vec![], vec!["start a".to_owned()]), "at {seconds} s");
        let changes = rig.unapplied("a", Failure::transient("connection refused"));
        assert_eq!(changes.len(), usize::from(seconds == 0), "the same is told once");
        assert_eq!((rig.work(), rig.wake()), (vec![], Some(seconds + pause)));
    }
    assert_eq!(rig.reason("a"), "connection refused; it is tried again");
    rig.tick(91);
    rig.unapplied("a", Failure::permanent("the field spec.replica is not known"));
    assert_eq!(rig.state("a"), NodeState::Failed);
    assert_eq!((rig.whole(), rig.schedule.next(rig.now)), (WholeState::Failed, vec![]));
    assert_eq!(rig.schedule.whole().reason, "a: the field spec.replica is not known");
}

#[test]
fn what_is_behind_a_failed_node_is_skipped_and_the_rest_goes_on() {
    let mut rig = Rig::new([
        node("db", &[]),
        node("web", &["db"]),
        node("edge", &["web"]),
        node("cache", &[]),
        node("jobs", &["cache"]),
    ]);
    rig.applied("db");
    rig.looked("db", Verdict::Failed { reason: "the Job failed".into() });
    for name in ["web", "edge"] {
        assert_eq!((rig.state(name), rig.reason(name)), (NodeState::Skipped, "`db` failed".into()));
    }
    assert_eq!(rig.whole(), WholeState::Progressing);
    rig.arrive("cache");
    rig.arrive("jobs");
    let whole = rig.schedule.whole();
    assert_eq!((whole.state, whole.node.as_deref()), (WholeState::Failed, Some("db")));
    assert!(rig.schedule.is_ended() && rig.schedule.waits().is_empty());
    let told: Vec<NodeState> =
        rig.told.iter().filter(|change| change.node.is_none()).map(|change| change.state).collect();
    assert_eq!(told, [NodeState::Applying, NodeState::Failed]);
}

#[test]
fn outputs_that_are_not_there_yet_are_waited_for() {
    let path: Pointer = "/status/host".parse().unwrap();
    let object = reference("ConfigMap", "db");
    let (name, mut db) = node("db", &[]);
    db.outputs = BTreeMap::from([
        ("host".into(), Output::From { object, path }),
        ("port".into(), Output::Value(json!(5432))),
    ]);
    let mut rig = Rig::new([(name, db)]);
    rig.applied("db");
    rig.looked("db", ready());
    assert_eq!(
        (rig.state("db"), rig.reason("db")),
        (NodeState::Waiting, "its output `host` is not there yet".into())
    );
    let outputs = BTreeMap::from([("host".into(), json!("10.0.0.1")), ("port".into(), json!(1))]);
    let changes = rig.looked("db", Verdict::Ready { outputs });
    let given = &last(&changes, Some("db")).unwrap().outputs;
    assert_eq!(*given, BTreeMap::from([("host".into(), json!("10.0.0.1")), ("port".into(), json!(5432))]));
}

#[test]
fn results_of_another_attempt_or_node_or_that_come_twice_change_nothing() {
    let mut rig = Rig::new([node("a", &[]), node("b", &["a"])]);
    let early = Turn { node: "b".into(), attempt: 0 };
    rig.happen(Happened::Applied { turn: early.clone(), result: Ok(Vec::new()) });
    rig.happen(Happened::Looked { turn: early, verdict: ready() });
    let unknown = Turn { node: "x".into(), attempt: 1 };
    rig.happen(Happened::Applied { turn: unknown, result: Ok(Vec::new()) });
    rig.happen(Happened::Pruned { result: Ok(()) });
    assert_eq!((rig.work(), rig.state("b")), (vec!["start a".to_owned()], NodeState::Blocked));
    let old = rig.turn("a");
    rig.unapplied("a", Failure::transient("x"));
    let before = rig.schedule.checkpoint();
    rig.unapplied("a", Failure::transient("x"));
    assert_eq!(rig.schedule.checkpoint(), before, "it was told already");
    rig.tick(1);
    rig.unapplied("a", Failure::permanent("x"));
    rig.order(retry(None)).unwrap();
    assert_eq!(rig.turn("a").attempt, 2);
    let late = Happened::Applied { turn: old, result: Err(Failure::permanent("x")) };
    assert_eq!((rig.happen(late), rig.state("a")), (vec![], NodeState::Applying));
}

#[test]
fn what_changes_is_looked_at_at_once_also_while_a_look_is_under_way() {
    let mut rig = Rig::new([node("a", &[])]);
    rig.applied("a");
    rig.looked("a", not_yet("x"));
    assert_eq!(rig.work(), Vec::<String>::new());
    let changed = || Happened::Changed { nodes: BTreeSet::from(["a".to_owned(), "unknown".to_owned()]) };
    rig.happen(changed());
    assert_eq!(rig.work(), ["check a"]);
    // It changes once more before the answer comes: that answer may be of before.
    rig.happen(changed());
    rig.looked("a", not_yet("x"));
    assert_eq!(rig.work(), ["check a"]);
    rig.looked("a", not_yet("x"));
    assert_eq!(rig.work(), Vec::<String>::new());
}

#[test]
fn nothing_is_written_before_the_older_generation_has_ended() {
    let plan = Plan::new(&submission(Mode::Apply, [node("a", &[]), ("b".into(), bare(&[]))])).unwrap();
    let mut rig = Rig { schedule: Schedule::new(plan, at(0)).behind(6), now: at(0), told: Vec::new() };
    rig.tick(0);
    assert_eq!((rig.work(), rig.wake()), (vec![], Some(HOUR)));
    assert_eq!(rig.reason("a"), "waits for generation 6 to end");
    assert_eq!(rig.schedule.waits()[0].what, "waits for generation 6 to end");
    rig.happen(Happened::OlderEnded);
    assert_eq!(rig.work(), ["start a"]);
}

#[test]
fn a_newer_generation_ends_all_waits_at_once() {
    let mut rig = Rig::new([
        node("a", &[]),
        node("b", &[]),
        node("c", &["a"]),
        ("d".into(), bare(&[])),
        node("e", &[]),
    ]);
    rig.applied("b");
    rig.unapplied("e", Failure::permanent("x"));
    rig.happen(Happened::Superseded { by: 7 });
    assert_eq!(rig.whole(), WholeState::Progressing, "that is this one");
    let changes = rig.happen(Happened::Superseded { by: 9 });
    assert_eq!(last(&changes, None).unwrap().reason, "generation 9 took its place");
    let states = ["a", "b", "c", "d", "e"].map(|name| rig.state(name));
    use NodeState as N;
    assert_eq!(states, [N::Terminated, N::Terminated, N::Skipped, N::Ready, N::Failed]);
    assert_eq!(rig.reason("a"), "generation 9 took its place: some of its objects may be new");
    assert_eq!(rig.reason("b"), "generation 9 took its place: its objects are new");
    assert!(rig.schedule.is_ended() && rig.schedule.waits().is_empty() && rig.work().is_empty());
    assert_eq!(rig.applied("a"), []);
    assert!(matches!(rig.order(retry(None)), Err(Refused::Over { state: "superseded", .. })));
    assert!(matches!(rig.order(Command::Terminate), Err(Refused::Over { .. })));
    assert_eq!(rig.happen(Happened::Superseded { by: 10 }), []);
}

#[test]
fn removing_what_is_no_longer_wanted_comes_last_and_may_fail() {
    let mut rig = Rig::new([node("a", &[])]);
    rig.arrive("a");
    rig.pruned(Err(Failure::transient("2 objects still stand")));
    assert_eq!((rig.work(), rig.wake()), (vec![], Some(1)));
    assert!(rig.schedule.waits()[0].what.contains("2 objects still stand"));
    assert_eq!(rig.schedule.waits()[0].deadline, at(HOUR));
    rig.tick(1);
    assert_eq!(rig.work(), ["prune"]);
    rig.pruned(Err(Failure::permanent("forbidden")));
    assert_eq!((rig.whole(), rig.state("a")), (WholeState::Failed, NodeState::Ready));
    assert!(rig.schedule.whole().reason.ends_with("forbidden"));
    rig.order(retry(None)).unwrap();
    assert_eq!(rig.work(), ["prune"]);
    rig.pruned(Ok(()));
    assert_eq!(rig.whole(), WholeState::Live);
}

#[test]
fn changes_become_events_that_are_not_too_long() {
    let mut rig = Rig::new([node("a", &[])]);
    rig.applied("a");
    let changes = rig.looked("a", not_yet(&"ä".repeat(5_000)));
    let key = rig.schedule.plan().key().clone();
    let change = last(&changes, Some("a")).unwrap().clone();
    let event = change.into_event(&key, 7, 12);
    assert_eq!((event.sequence, event.generation, event.node.as_deref()), (12, 7, Some("a")));
    assert_eq!((event.state, event.observed_at), (NodeState::Waiting, at(0)));
    assert_eq!(event.reason.chars().count(), slipway_handoff::event::REASON_CHARS_MAX);
    let kept = serde_json::to_string(&rig.schedule.checkpoint()).unwrap();
    assert!(kept.chars().count() < 3_500, "a checkpoint is small");
}
