use slipway_oam::Step;

use super::*;

fn decided(conditions: &[(&str, &str)], is_asked: bool) -> (BTreeMap<String, Verdict>, Vec<Violation>) {
    let step = |(name, condition): &(&str, &str)| Step {
        name: (*name).to_owned(),
        kind: "suspend".to_owned(),
        condition: (!condition.is_empty()).then(|| slipway_oam::Placed::nowhere((*condition).to_owned())),
        ..Step::default()
    };
    let workflow = Workflow { steps: conditions.iter().map(step).collect(), ..Workflow::default() };
    let context = BTreeMap::from([("stage", "blue".to_owned()), ("namespace", "shop".to_owned())]);
    decide(&workflow, &context, is_asked)
}

fn last(conditions: &[(&str, &str)]) -> Result<Verdict, String> {
    let (verdicts, violations) = decided(conditions, false);
    match violations.first() {
        Some(violation) => Err(violation.message.clone()),
        None => Ok(verdicts[conditions.last().unwrap().0].clone()),
    }
}

#[test]
fn facts_and_earlier_steps_decide() {
    let runs = |after: &[&str]| Ok(Verdict::Runs(after.iter().map(|&name| name.to_owned()).collect()));
    let two = |condition| last(&[("a", ""), ("b", condition)]);
    for (condition, expected) in [
        ("status.a.succeeded", runs(&["a"])),
        ("status.a.phase == \"succeeded\" && context.stage == 'blue'", runs(&["a"])),
        ("!(status.a.failed)", runs(&["a"])),
        ("status.a.phase != 'timeout'", runs(&["a"])),
        ("context.stage == 'green'", Ok(Verdict::Skipped)),
        ("context.stage == 'green' || status.a.succeeded", runs(&["a"])),
        ("!(context.stage == 'green' || context.namespace != 'shop')", runs(&[])),
        ("status.a.skipped", Ok(Verdict::Skipped)),
        ("context.stage == 'green' && status.a.failed", Ok(Verdict::Skipped)),
        ("1 < 2", runs(&[])),
        ("true", runs(&[])),
        ("false", Ok(Verdict::Skipped)),
    ] {
        assert_eq!(two(condition), expected, "{condition}");
    }
    let after_skipped = last(&[("a", "false"), ("b", "status.a.skipped")]);
    assert_eq!(after_skipped, runs(&[]));
    assert_eq!(last(&[("a", "false"), ("b", "status.a.succeeded")]), Ok(Verdict::Skipped));
    assert_eq!(last(&[("a", "always")]), runs(&[]));
}

#[test]
fn what_only_the_run_tells_is_refused() {
    for (condition, why) in [
        ("always", "even if a step before it failed"),
        ("status.a.failed", "if `a` is `failed`"),
        ("!(status.a.succeeded)", "does not succeed"),
        ("status.a.message == 'x'", "message of `a`"),
        ("inputs.x == 1", "value of `x`"),
        ("context.nothing == 'x'", "`context.nothing` is not known"),
        ("context.stage < 1", "cannot be compared"),
    ] {
        let told = last(&[("a", ""), ("b", condition)]).unwrap_err();
        assert!(told.contains(why), "{condition}: {told}");
    }
    let (_, violations) = decided(&[("a", "status.b.succeeded"), ("b", "status.a.succeeded")], false);
    assert!(violations[0].message.contains("waits for it"), "{violations:?}");
}

#[test]
fn what_only_the_run_tells_is_asked_where_the_receiver_can() {
    for (condition, crosses, shown) in [
        ("always", true, "true"),
        ("status.a.failed", true, r#"status["a"].phase == "failed""#),
        ("!(status.a.succeeded)", true, r#"!(status["a"].phase == "succeeded")"#),
        ("inputs.x == 1", false, r#"inputs["x"] == 1"#),
        (
            "inputs.x == context.stage && status.a.succeeded",
            false,
            r#"inputs["x"] == "blue" && status["a"].phase == "succeeded""#,
        ),
        ("inputs.x == 1 || status.a.failed", true, r#"inputs["x"] == 1 || status["a"].phase == "failed""#),
        ("status.a.message == 'x'", true, r#"status["a"].message == "x""#),
        ("status.a.reason != inputs.x", true, r#"status["a"].reason != inputs["x"]"#),
        // What is known beforehand is not asked.
        (
            "status.a.reason == 'Timeout' && context.stage == 'blue'",
            true,
            r#"status["a"].reason == "Timeout" && true"#,
        ),
    ] {
        let (verdicts, violations) = decided(&[("a", ""), ("b", condition)], true);
        assert!(violations.is_empty(), "{condition}: {violations:?}");
        let Verdict::Asks(asks) = &verdicts["b"] else { panic!("{condition}: {:?}", verdicts["b"]) };
        assert_eq!((asks.crosses, asks.condition.to_string().as_str()), (crosses, shown));
    }
    let decides = |condition| decided(&[("a", ""), ("b", condition)], true).0["b"].clone();
    assert_eq!(decides("context.stage == 'blue' || status.a.failed"), Verdict::Runs(BTreeSet::new()));
    assert_eq!(decides("context.stage == 'x' && status.a.failed"), Verdict::Skipped);
    assert_eq!(decides("status.a.succeeded"), Verdict::Runs(BTreeSet::from(["a".to_owned()])));
}

#[test]
fn a_step_that_never_runs_here_tells_so_beforehand() {
    let two = |condition| last(&[("a", "false"), ("b", condition)]);
    for condition in ["status.a.reason == 'Skip'", "status.a.message == ''"] {
        assert_eq!(two(condition), Ok(Verdict::Runs(BTreeSet::new())), "{condition}");
    }
    assert_eq!(two("status.a.reason == 'Timeout'"), Ok(Verdict::Skipped));
    let both = "status.a.skipped && status.c.failed";
    let (verdicts, _) = decided(&[("a", "false"), ("c", ""), ("b", both)], true);
    let Verdict::Asks(asks) = &verdicts["b"] else { panic!("{:?}", verdicts["b"]) };
    assert_eq!(asks.condition.to_string(), r#"true && status["c"].phase == "failed""#);
    assert_eq!(asks.steps(), BTreeSet::from(["c".to_owned()]));
}

#[test]
fn that_a_step_succeeded_which_may_be_left_out_is_asked_too() {
    let (verdicts, _) = decided(
        &[("a", ""), ("b", "status.a.failed"), ("c", "status.b.succeeded"), ("d", "status.b.skipped")],
        true,
    );
    let crosses = |name: &str| match &verdicts[name] {
        Verdict::Asks(asks) => Some(asks.crosses),
        _ => None,
    };
    assert_eq!(["a", "b", "c", "d"].map(crosses), [None, Some(true), Some(false), Some(true)]);
}

#[test]
fn what_holds_a_group_holds_all_that_stands_in_it() {
    let step = |name: &str, condition: &str, sub_steps: Vec<Step>| Step {
        name: name.to_owned(),
        condition: (!condition.is_empty()).then(|| slipway_oam::Placed::nowhere(condition.to_owned())),
        sub_steps,
        ..Step::default()
    };
    let deep = |name: &str, condition: &str| {
        let inner = step(&format!("{name}-inner"), "", vec![step(name, "", Vec::new())]);
        step(&format!("{name}-outer"), condition, vec![inner])
    };
    let steps = vec![
        step("a", "", Vec::new()),
        deep("never", "false"),
        deep("perhaps", "status.a.failed"),
        step("asks", "status.perhaps.succeeded", Vec::new()),
        step("after", "status.perhaps.skipped && status.never.skipped", Vec::new()),
    ];
    let workflow = Workflow { steps, ..Workflow::default() };
    let (verdicts, violations) = decide(&workflow, &BTreeMap::new(), true);
    assert!(violations.is_empty(), "{violations:?}");
    assert_eq!(verdicts["never"], Verdict::Skipped);
    assert_eq!(verdicts["perhaps"], Verdict::Runs(BTreeSet::new()), "its group asks for it");
    for name in ["perhaps-outer", "asks", "after"] {
        assert!(matches!(verdicts[name], Verdict::Asks(_)), "{name}: {:?}", verdicts[name]);
    }
    let (_, violations) = decide(&workflow, &BTreeMap::new(), false);
    assert_eq!(violations[0].path, "workflow.steps[perhaps-outer].if");
}

#[test]
fn what_nobody_can_tell_is_refused_in_any_case() {
    for condition in [
        "status.a.message == 1",
        "status.a.phase == inputs.x",
        "status.b.message == 'x'",
        "context.nothing == 'x'",
        "context.stage < 1",
    ] {
        let (_, violations) = decided(&[("a", ""), ("b", condition)], true);
        assert_eq!(violations.len(), 1, "{condition}");
        assert_eq!(violations[0].code, UNSUPPORTED);
    }
}
