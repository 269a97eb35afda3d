//! What people say.

use super::*;

fn held(name: &str, needs: &[&str], for_ms: Option<u64>) -> (String, Node) {
    let timeout_ms = 7 * 24 * 3_600_000;
    (name.to_owned(), Node { hold: Some(Hold { for_ms, ..Hold::default() }), timeout_ms, ..bare(needs) })
}

/// The state of the whole, which an order that changes nothing has told again.
fn retold(rig: &mut Rig, command: Command) -> NodeState {
    let changes = rig.order(command).unwrap();
    assert_eq!(changes.iter().map(|change| change.node.as_deref()).collect::<Vec<_>>(), [None]);
    changes[0].state
}

#[test]
fn a_held_schedule_starts_nothing_and_takes_in_what_comes() {
    let mut rig = Rig::new([node("a", &[]), node("b", &["a"]), node("c", &[])]);
    rig.applied("c");
    let changes = rig.order(Command::Suspend).unwrap();
    assert_eq!(last(&changes, None).unwrap().state, NodeState::Suspended);
    assert_eq!(retold(&mut rig, Command::Suspend), NodeState::Suspended);
    assert_eq!(rig.work(), ["check c"], "looking changes nothing");
    rig.applied("a");
    rig.looked("a", ready());
    assert_eq!((rig.state("b"), rig.reason("b")), (NodeState::Blocked, "held by ann".into()));
    rig.looked("c", ready());
    assert_eq!(rig.work(), Vec::<String>::new());
    assert_eq!(rig.schedule.waits()[0].what, "held by ann");
    rig.order(resume(None)).unwrap();
    assert_eq!((rig.work(), rig.whole()), (vec!["start b".to_owned()], WholeState::Progressing));
    assert_eq!(retold(&mut rig, resume(None)), NodeState::Applying);
}

#[test]
fn nothing_is_removed_while_it_is_held() {
    let mut rig = Rig::new([node("a", &[])]);
    rig.order(Command::Suspend).unwrap();
    rig.arrive("a");
    assert_eq!((rig.work(), rig.whole()), (vec![], WholeState::Suspended));
    rig.order(resume(None)).unwrap();
    assert_eq!(rig.work(), ["prune"]);
    rig.pruned(Ok(()));
    assert_eq!(
        rig.order(Command::Suspend),
        Err(Refused::Over { state: "live", wanted: "suspended" }),
        "nothing runs that could be held"
    );
}

#[test]
fn a_failure_is_not_tried_again_while_it_is_held() {
    let mut rig = Rig::new([node("a", &[])]);
    rig.unapplied("a", Failure::transient("x"));
    rig.order(Command::Suspend).unwrap();
    rig.tick(5);
    assert_eq!(rig.work(), Vec::<String>::new());
    rig.order(resume(None)).unwrap();
    assert_eq!(rig.work(), ["start a"]);
}

#[test]
fn a_hold_is_gone_past_by_its_name_or_with_all_that_holds() {
    let nodes = || [held("ok", &[], None), held("sure", &[], None), node("web", &["ok"]), node("db", &[])];
    let mut rig = Rig::new(nodes());
    assert_eq!(rig.whole(), WholeState::Progressing, "db is on its way");
    rig.arrive("db");
    let whole = rig.schedule.whole();
    assert_eq!((whole.state, whole.node.as_deref()), (WholeState::Suspended, Some("ok")));
    assert_eq!(rig.order(resume(Some("web"))), Err(Refused::NoHold("web".into())));
    assert_eq!(rig.order(resume(Some("x"))), Err(Refused::UnknownNode("x".into())));
    rig.order(resume(Some("ok"))).unwrap();
    assert_eq!((rig.state("ok"), rig.state("sure")), (NodeState::Ready, NodeState::Suspended));
    let passed = Refused::Passed { node: "ok".into(), state: "ready" };
    assert_eq!(rig.order(resume(Some("ok"))), Err(passed));
    assert_eq!(rig.work(), ["start web"]);

    let mut rig = Rig::new(nodes());
    rig.order(Command::Suspend).unwrap();
    rig.order(resume(None)).unwrap();
    assert_eq!((rig.state("ok"), rig.state("sure")), (NodeState::Ready, NodeState::Ready));
}

#[test]
fn a_hold_that_was_not_come_to_cannot_be_gone_past() {
    let mut rig = Rig::new([node("db", &[]), held("ok", &["db"], None)]);
    let refused = rig.order(resume(Some("ok"))).unwrap_err();
    assert_eq!(refused, Refused::NotHeld { node: "ok".into(), state: "blocked" });
    rig.order(resume(None)).unwrap();
    rig.arrive("db");
    assert_eq!(rig.state("ok"), NodeState::Suspended, "nobody had seen it");
}

#[test]
fn a_retry_begins_again_what_failed_and_what_was_skipped_because_of_it() {
    let nodes = ["a", "b"].map(|name| node(name, &[])).into_iter();
    let mut rig = Rig::new(nodes.chain([
        node("ab", &["a", "b"]),
        node("b2", &["b"]),
        node("done", &[]),
        node("end", &["ab"]),
    ]));
    rig.arrive("done");
    rig.unapplied("a", Failure::permanent("x"));
    assert_eq!(
        rig.order(retry(Some("ab"))).unwrap_err(),
        Refused::Behind { node: "ab".into(), because: "a".into() }
    );
    rig.unapplied("b", Failure::permanent("y"));
    assert_eq!(rig.whole(), WholeState::Failed);
    rig.tick(10);
    rig.order(retry(Some("a"))).unwrap();
    assert_eq!(rig.work(), ["start a"]);
    assert_eq!((rig.state("ab"), rig.reason("ab")), (NodeState::Skipped, "`b` failed".into()));
    assert_eq!(rig.state("b2"), NodeState::Skipped);
    for (name, state) in [("a", "applying"), ("done", "ready")] {
        let refused = Refused::NotLost { node: name.into(), state, instead: "retry `b`".into() };
        assert_eq!(rig.order(retry(Some(name))), Err(refused));
    }
    assert_eq!(rig.schedule.node("a").unwrap().deadline, Some(at(610)));
    rig.order(retry(None)).unwrap();
    assert_eq!(rig.work(), ["start a", "start b"]);
    for name in ["ab", "b2", "end"] {
        assert_eq!(rig.state(name), NodeState::Blocked, "{name}");
    }
    for name in ["a", "b", "ab", "b2", "end"] {
        rig.arrive(name);
    }
    assert_eq!((rig.work(), rig.turn("done").attempt), (vec!["prune".to_owned()], 1));
    rig.pruned(Ok(()));
    assert_eq!(retold(&mut rig, retry(None)), NodeState::Ready, "all is well");
}

#[test]
fn what_is_tried_again_is_no_longer_held() {
    let mut rig = Rig::new([node("a", &[])]);
    rig.order(Command::Suspend).unwrap();
    rig.unapplied("a", Failure::permanent("x"));
    assert_eq!(rig.whole(), WholeState::Failed, "there is nothing left to hold");
    assert!(matches!(rig.order(resume(None)), Err(Refused::Over { state: "failed", .. })));
    rig.order(retry(None)).unwrap();
    assert_eq!(rig.work(), ["start a"]);
}

#[test]
fn whoever_stops_it_is_told_of_each_node_whether_it_is_old_or_new() {
    let mut rig = Rig::new([node("a", &[]), node("b", &[]), node("c", &["a"]), node("d", &[])]);
    rig.applied("b");
    rig.arrive("d");
    let changes = rig.order(Command::Terminate).unwrap();
    assert_eq!(rig.reason("a"), "stopped by ann: some of its objects may be new");
    assert_eq!(rig.reason("b"), "stopped by ann: its objects are new");
    assert_eq!(rig.reason("c"), "stopped by ann: it is as it was before");
    assert_eq!((rig.state("d"), rig.state("c")), (NodeState::Ready, NodeState::Terminated));
    let whole = last(&changes, None).unwrap();
    assert_eq!(whole.state, NodeState::Terminated);
    assert_eq!(whole.reason, "stopped by ann: 2 nodes are new, 1 may be in part, 1 as before");
    assert_eq!(retold(&mut rig, Command::Terminate), NodeState::Terminated);
    assert_eq!((rig.work(), rig.applied("a")), (vec![], vec![]));
    for command in [Command::Suspend, resume(None)] {
        let wanted = rig.order(command).unwrap_err();
        assert!(matches!(wanted, Refused::Over { state: "terminated", .. }), "{wanted}");
    }
    assert_eq!(rig.happen(Happened::Superseded { by: 8 }), []);
}

#[test]
fn what_was_stopped_goes_on_as_a_whole() {
    for order in [retry(None), retry(Some("a")), retry(Some("c"))] {
        let mut rig = Rig::new([node("a", &[]), node("b", &["a"]), node("c", &[]), held("ok", &["b"], None)]);
        rig.arrive("c");
        rig.order(Command::Terminate).unwrap();
        rig.tick(10);
        rig.order(order).unwrap();
        assert_eq!((rig.work(), rig.state("c")), (vec!["start a".to_owned()], NodeState::Ready));
        rig.arrive("a");
        rig.arrive("b");
        rig.order(resume(Some("ok"))).unwrap();
        rig.pruned(Ok(()));
        assert_eq!(rig.whole(), WholeState::Live);
    }
}

#[test]
fn several_people_approve_and_not_the_one_who_made_it() {
    let hold = |author_may| {
        let approvals = Some(Approvals { count: 2, author_may });
        let message = Some("look at the shop".to_owned());
        let (name, node) = held("ok", &[], None);
        (name, Node { hold: Some(Hold { for_ms: None, message, approvals }), ..node })
    };
    let mut rig = Rig::new([hold(false)]);
    assert_eq!(rig.reason("ok"), "held until it is resumed: look at the shop; 0 of 2 approvals");
    let by = |rig: &mut Rig, name: &str| rig.schedule.order(&resume(Some("ok")), name, at(1));
    assert_eq!(by(&mut rig, "ann"), Err(Refused::Author { node: "ok".into(), by: "ann".into() }));
    assert_eq!(rig.order(resume(None)), Err(Refused::Approvals("ok".into())));
    assert_eq!(by(&mut rig, "bob").unwrap().len(), 2, "the node and the whole have another reason");
    let twice = by(&mut rig, "bob").unwrap_err();
    assert_eq!(twice.to_string(), "bob approved `ok` already: look at the shop; 1 of 2 approvals (bob)");
    assert!(rig.reason("ok").ends_with("1 of 2 approvals (bob)"), "{}", rig.reason("ok"));
    by(&mut rig, "eve").unwrap();
    assert_eq!(rig.state("ok"), NodeState::Ready);
    let mut rig = Rig::new([hold(true)]);
    for name in ["ann", "bob"] {
        by(&mut rig, name).unwrap();
    }
    assert_eq!(rig.state("ok"), NodeState::Ready);
}

#[test]
fn a_rollback_passes_what_only_waits_for_a_look() {
    let mut asked = held("sure", &[], None).1;
    asked.hold = Some(Hold { approvals: Some(Approvals { count: 1, author_may: false }), ..Hold::default() });
    let (name, mut canary) = node("canary", &[]);
    canary.temporary = true;
    let nodes = || {
        [
            (name.clone(), canary.clone()),
            held("ok", &["canary"], None),
            ("sure".into(), asked.clone()),
            node("web", &["ok"]),
        ]
    };
    assert_eq!(Rig::new(nodes()).work(), ["start canary"]);
    let first = Schedule::new(Plan::new(&submission(Mode::Apply, nodes())).unwrap(), at(0)).first();
    let mut rig = Rig { schedule: first, now: at(0), told: Vec::new() };
    rig.tick(0);
    assert_eq!((rig.state("canary"), rig.state("ok")), (NodeState::Skipped, NodeState::Suspended));
    let mut back = submission(Mode::Apply, nodes());
    back.cause = Cause::Rollback { by: "ann".into(), reason: "it is slow".into() };
    let rig = Rig::of(Plan::new(&back).unwrap());
    assert_eq!((rig.work(), rig.state("canary")), (vec!["start web".to_owned()], NodeState::Skipped));
    assert_eq!((rig.state("ok"), rig.state("sure")), (NodeState::Ready, NodeState::Suspended));
    assert_eq!(rig.schedule.unwanted(), [reference("ConfigMap", "canary")]);
}

#[test]
fn what_failed_or_is_live_can_be_stopped_too() {
    let mut rig = Rig::new([node("a", &[])]);
    rig.unapplied("a", Failure::permanent("x"));
    rig.order(Command::Terminate).unwrap();
    assert_eq!((rig.whole(), rig.state("a")), (WholeState::Terminated, NodeState::Failed));
    let mut rig = Rig::new([]);
    rig.pruned(Ok(()));
    rig.order(Command::Terminate).unwrap();
    assert_eq!(rig.whole(), WholeState::Terminated);
}

#[test]
fn an_order_tells_how_the_whole_stands_also_where_another_node_is_held() {
    let approved = |name: &str| {
        let approvals = Some(Approvals { count: 2, author_may: true });
        (name.to_owned(), Node { hold: Some(Hold { approvals, ..Hold::default() }), ..bare(&[]) })
    };
    let mut rig = Rig::new([approved("a"), approved("b")]);
    let changes = rig.order(resume(Some("b"))).unwrap();
    assert_eq!(last(&changes, None).unwrap().state, NodeState::Suspended, "`a` is held as before");
    assert_eq!(changes.len(), 2);
}

#[test]
fn whoever_names_what_is_well_is_told_what_can_be_tried_again() {
    let mut rig = Rig::new([node("a", &[])]);
    rig.arrive("a");
    let instead = |rig: &mut Rig| rig.order(retry(Some("a"))).unwrap_err().to_string();
    assert!(instead(&mut rig).ends_with("no node failed or timed out"));
    rig.pruned(Err(Failure::permanent("forbidden")));
    assert!(instead(&mut rig).ends_with("name no node, to try the whole again"));
    assert_eq!(rig.whole(), WholeState::Failed);
}
