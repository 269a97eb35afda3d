//! Who runs: conditions, what comes after a failure, and beginning anew.

use serde_json::json;

use super::*;

/// A node that comes after `after`, however that ended.
fn crossing(name: &str, after: &[&str], when: Option<&str>) -> (String, Node) {
    let (name, mut node) = node(name, &[]);
    node.after = after.iter().map(|&before| before.to_owned()).collect();
    node.when = when.map(str::to_owned);
    (name, node)
}

fn states(rig: &Rig, names: &[&str]) -> Vec<&'static str> {
    names.iter().map(|name| rig.schedule.node(name).unwrap().standing.word()).collect()
}

#[test]
fn what_is_to_run_in_any_case_runs_and_the_whole_has_failed_all_the_same() {
    let (name, always) = crossing("always", &["b"], None);
    let mut rig = Rig::new([node("a", &[]), node("b", &["a"]), (name, always), node("c", &["always", "b"])]);
    rig.unapplied("a", Failure::permanent("x"));
    assert_eq!(rig.work(), ["start always"]);
    assert_eq!(rig.whole(), WholeState::Progressing);
    rig.arrive("always");
    assert_eq!(states(&rig, &["a", "b", "always", "c"]), ["failed", "skipped", "ready", "skipped"]);
    let whole = rig.schedule.whole();
    assert_eq!((whole.state, whole.node.as_deref()), (WholeState::Failed, Some("a")));
    rig.order(retry(None)).unwrap();
    for name in ["a", "b", "c"] {
        rig.arrive(name);
    }
    assert_eq!(rig.work(), ["prune"], "what is ready stays so");
}

#[test]
fn a_condition_asks_how_others_ended() {
    for (when, runs_if_ready, runs_if_failed) in [
        (r#"nodes["a"].state == "ready""#, true, false),
        (r#"nodes["a"].state == "failed""#, false, true),
        (r#"nodes["a"].state in ["failed", "timed_out"]"#, false, true),
        (r#"["a"].exists(n, nodes[n].state == "failed")"#, false, true),
        (r#"nodes["z"].state == "failed""#, false, false),
        ("true", true, true),
    ] {
        for (result, runs) in [(Ok(()), runs_if_ready), (Err(Failure::permanent("x")), runs_if_failed)] {
            let (name, mut giver) = node("a", &[]);
            giver = Node { call: Some(call()), objects: Vec::new(), ..giver };
            let mut rig = Rig::new([(name, giver), crossing("b", &["a"], Some(when)), node("c", &["b"])]);
            rig.called("a", result.clone());
            let expected = if runs { vec!["start b"] } else { vec!["start c"] };
            assert_eq!(rig.work(), expected, "{when} after {result:?}");
        }
    }
}

#[test]
fn a_condition_asks_what_is_told_of_how_others_ended() {
    let ended = |retry: Option<Retry>, result: Result<(), Failure>, when: &str| {
        let (name, giver) = node("a", &[]);
        let giver = Node { call: Some(call()), objects: Vec::new(), retry, ..giver };
        let mut rig = Rig::new([(name, giver), crossing("b", &["a"], Some(when))]);
        rig.called("a", result.clone());
        if retry.is_some() {
            rig.tick(5);
            rig.called("a", result);
        }
        states(&rig, &["b"])[0] == "applying"
    };
    let refused = || Err(Failure::permanent("HTTP 500"));
    let once = Some(Retry { limit: 1, backoff_ms: 5_000 });
    for (retry, result, when) in [
        (None, refused(), r#"nodes["a"].reason == "Execute" && nodes["a"].message == "HTTP 500""#),
        (once, refused(), r#"nodes["a"].reason == "FailedAfterRetries""#),
        (None, Ok(()), r#"nodes["a"].reason == "" && nodes["a"].message == """#),
        (
            None,
            refused(),
            r#"(["a"].exists(n, nodes[n].message != "") ? ["a"].map(n, nodes[n].message != "", nodes[n].message)[0] : "") == "HTTP 500""#,
        ),
        (
            None,
            Ok(()),
            r#"(["a"].exists(n, nodes[n].message != "") ? ["a"].map(n, nodes[n].message != "", nodes[n].message)[0] : "") == """#,
        ),
    ] {
        assert!(ended(retry, result, when), "{when}");
    }
    assert!(!ended(None, refused(), r#"nodes["a"].reason == "Timeout""#));
}

#[test]
fn a_condition_asks_what_others_gave() {
    let given = |value: Value| {
        let mut giver = bare(&[]);
        giver.outputs = BTreeMap::from([("host".into(), Output::Value(value))]);
        giver
    };
    for (when, value, runs) in [
        (r#"outputs["db"]["host"] == "a""#, json!("a"), true),
        (r#"outputs["db"]["host"] == "a""#, json!("b"), false),
        (r#"outputs["db"]["port"] == 1"#, json!("b"), false),
        (r#""port" in outputs["db"] && outputs["db"]["port"] == 1 || true"#, json!("b"), true),
        (r#"outputs["db"]["host"] > 3"#, json!(4), true),
    ] {
        let (name, mut web) = node("web", &["db"]);
        web.when = Some(when.to_owned());
        let rig = Rig::new([("db".into(), given(value)), (name, web)]);
        assert_eq!(states(&rig, &["web"]), [if runs { "applying" } else { "left out" }], "{when}");
    }
}

#[test]
fn what_cannot_be_judged_has_failed_and_those_after_it_hear_of_it_at_once() {
    let (name, mut odd) = node("odd", &[]);
    odd.when = Some("1 + ".into());
    let rig = Rig::new([(name, odd), node("next", &["odd"]), crossing("last", &["next"], None)]);
    assert_eq!(states(&rig, &["odd", "next", "last"]), ["failed", "skipped", "applying"]);
    assert!(rig.reason("odd").starts_with("its condition: "), "{}", rig.reason("odd"));
}

#[test]
fn what_is_left_out_gives_nothing_and_is_not_wanted() {
    let (name, mut db) = node("db", &[]);
    db.when = Some("false".into());
    let (taker, mut web) = node("web", &["db"]);
    web.inputs = vec![slipway_handoff::Input { node: "db".into(), output: "host".into(), holes: Vec::new() }];
    let mut rig = Rig::new([(name, db), (taker, web), node("other", &["db"])]);
    assert_eq!(states(&rig, &["db", "web"]), ["left out", "left out"]);
    rig.arrive("other");
    assert_eq!(rig.work(), ["prune"]);
    assert_eq!(rig.schedule.unwanted(), ["db", "web"].map(|name| reference("ConfigMap", name)));
    rig.pruned(Ok(()));
    assert_eq!(rig.whole(), WholeState::Live);
    rig.tick(10);
    assert_eq!(rig.work(), ["look other"]);
}

#[test]
fn a_retry_asks_the_conditions_behind_it_once_more() {
    let ready = Some(r#"nodes["a"].state == "ready""#);
    let failed = Some(r#"nodes["a"].state == "failed""#);
    let mut rig =
        Rig::new([node("a", &[]), crossing("roll", &["a"], ready), crossing("tell", &["a"], failed)]);
    rig.unapplied("a", Failure::permanent("x"));
    rig.arrive("tell");
    assert_eq!(states(&rig, &["a", "roll", "tell"]), ["failed", "left out", "ready"]);
    rig.order(retry(None)).unwrap();
    rig.arrive("a");
    assert_eq!(states(&rig, &["a", "roll", "tell"]), ["ready", "applying", "ready"]);
}

#[test]
fn a_node_begins_anew_as_often_as_it_says() {
    let (name, mut migrate) = node("migrate", &[]);
    migrate.retry = Some(Retry { limit: 2, backoff_ms: 5_000 });
    let mut rig = Rig::new([(name, migrate)]);
    rig.applied("migrate");
    let stale = rig.turn("migrate");
    rig.looked("migrate", Verdict::Failed { reason: "the Job failed".into() });
    assert_eq!((rig.work(), rig.wake()), (vec![], Some(5)));
    assert_eq!(rig.reason("migrate"), "retry 1 of 2: the Job failed; it is tried again");
    rig.tick(5);
    assert_eq!(rig.work(), ["start migrate"]);
    assert_eq!(rig.happen(Happened::Applied { turn: stale, result: Ok(Vec::new()) }), []);
    rig.unapplied("migrate", Failure::permanent("it is refused"));
    rig.tick(10);
    rig.applied("migrate");
    rig.looked("migrate", Verdict::Failed { reason: "the Job failed".into() });
    assert_eq!((rig.state("migrate"), rig.reason("migrate")), (NodeState::Failed, "the Job failed".into()));
    rig.order(retry(None)).unwrap();
    assert_eq!(rig.schedule.node("migrate").unwrap().anew, 0);
}

#[test]
fn the_attempt_before_is_told_until_the_next_one_is_written() {
    let (name, mut migrate) = node("migrate", &[]);
    migrate.retry = Some(Retry { limit: 1, backoff_ms: 5_000 });
    let mut rig = Rig::new([(name, migrate)]);
    let lost = |rig: &Rig| {
        let lost = rig.schedule.node("migrate").unwrap().lost_attempt();
        lost.map(|lost| (lost.attempt, lost.reason, lost.at, lost.timed_out))
    };
    assert_eq!(lost(&rig), None);
    rig.applied("migrate");
    rig.looked("migrate", Verdict::Failed { reason: "the Job failed".into() });
    let first = Some((1, "the Job failed".to_owned(), at(0), false));
    assert_eq!(lost(&rig), first);
    rig.tick(5);
    assert_eq!((rig.work(), lost(&rig)), (vec!["start migrate".to_owned()], first));
    rig.applied("migrate");
    assert_eq!(lost(&rig), None, "what was there is not there any more");
    rig.tick(600);
    let (attempt, _, since, timed_out) = lost(&rig).unwrap();
    assert_eq!((attempt, since, timed_out), (2, at(600), true));
    // Also when a person has it begin again.
    rig.order(retry(None)).unwrap();
    assert_eq!(rig.work(), ["start migrate"]);
    assert_eq!(lost(&rig).map(|lost| (lost.0, lost.3)), Some((2, true)));
}

#[test]
fn beginning_anew_ends_with_the_nodes_time() {
    let (name, mut never) = node("never", &[]);
    never.retry = Some(Retry { limit: 20, backoff_ms: 400_000 });
    let mut rig = Rig::new([(name, never)]);
    rig.unapplied("never", Failure::permanent("x"));
    rig.tick(400);
    rig.unapplied("never", Failure::permanent("x"));
    rig.tick(600);
    assert_eq!(rig.state("never"), NodeState::TimedOut);
}

#[test]
fn what_begins_anew_comes_to_its_hold_again_and_what_is_written_anew_does_not() {
    let (name, mut migrate) = node("migrate", &[]);
    migrate.retry = Some(Retry { limit: 1, backoff_ms: 5_000 });
    let approvals = Some(Approvals { count: 1, author_may: true });
    migrate.hold = Some(Hold { approvals, ..Hold::default() });
    let mut rig = Rig::new([(name, migrate)]);
    rig.applied("migrate");
    rig.order(resume(Some("migrate"))).unwrap();
    rig.looked("migrate", Verdict::Gone { what: "ConfigMap migrate is gone".into() });
    rig.tick(1);
    rig.applied("migrate");
    assert_eq!(rig.work(), ["check migrate"]);
    rig.looked("migrate", Verdict::Failed { reason: "the Job failed".into() });
    rig.tick(6);
    rig.applied("migrate");
    assert_eq!(rig.state("migrate"), NodeState::Suspended);
    rig.order(resume(Some("migrate"))).unwrap();
    assert_eq!(rig.state("migrate"), NodeState::Waiting);
}
