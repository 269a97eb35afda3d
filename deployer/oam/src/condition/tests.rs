use super::*;

#[test]
fn conditions_are_read_and_shown_as_cel() {
    for (text, cel) in [
        ("always", "true"),
        (r#"status.deploy.phase == "succeeded""#, r#"status["deploy"].phase == "succeeded""#),
        ("status['a'].failed", ""),
        (r#"status["my-step"].failed"#, r#"status["my-step"].phase == "failed""#),
        (
            "!status.a.failed && inputs.x.y[0] == 'ok'",
            r#"!(status["a"].phase == "failed") && inputs["x"]["y"][0] == "ok""#,
        ),
        (
            "status.a.failed || (status.b.skipped&&inputs.z >= 3)",
            r#"status["a"].phase == "failed" || (status["b"].phase == "skipped" && inputs["z"] >= 3)"#,
        ),
        (r#"context.name != "x" "#, r#"context.name != "x""#),
        ("inputs.ready", r#"inputs["ready"]"#),
    ] {
        match text.parse::<Condition>() {
            Ok(condition) => assert_eq!(condition.to_string(), cel, "{text}"),
            Err(error) => assert!(cel.is_empty(), "{text}: {error}"),
        }
    }
}

#[test]
fn what_cannot_be_read_is_told_with_its_character() {
    for (text, column) in [
        ("", 1),
        ("status.a.phase", 1),
        ("status.a.phase = \"x\"", 1),
        ("status.a.phase == succeeded", 19),
        ("inputs.a == \"x", 13),
        ("(inputs.a", 10),
        ("inputs.a inputs.b", 10),
        ("status.a.nothing", 1),
        ("strings.Contains(inputs.a, \"x\")", 1),
        ("ä", 1),
        (&"!".repeat(40), 33),
        (&"(".repeat(40), 33),
        (&"x".repeat(2001), 1),
    ] {
        let error = text.parse::<Condition>().unwrap_err();
        assert_eq!(error.column, column, "{text}: {error}");
    }
}

#[test]
fn operands_come_in_the_order_of_the_text() {
    let condition: Condition = "inputs.a && (inputs.b || !inputs.c) && inputs.d == 1".parse().unwrap();
    let shown: Vec<String> = condition.operands().iter().map(ToString::to_string).collect();
    assert_eq!(shown, [r#"inputs["a"]"#, r#"inputs["b"]"#, r#"inputs["c"]"#, r#"inputs["d"]"#, "1"]);
}

#[test]
fn what_must_have_succeeded_is_what_every_way_asks() {
    for (text, steps) in [
        ("status.a.succeeded", "a"),
        ("\"succeeded\" == status.a.phase && status.b.succeeded && context.name == 'x'", "a b"),
        ("status.a.succeeded || context.name == 'x'", ""),
        ("status.a.succeeded && status.b.succeeded || status.a.succeeded", "a"),
        ("!(status.a.failed || status.b.skipped)", "a b"),
        ("!(status.a.failed && status.b.skipped)", ""),
        ("status.a.phase != 'timeout'", "a"),
        ("status.a.failed", ""),
        ("status.a.skipped", ""),
        ("!status.a.succeeded", ""),
        ("status.a.message == 'succeeded'", ""),
        ("inputs.x == 'succeeded'", ""),
        ("always", ""),
    ] {
        let condition: Condition = text.parse().unwrap();
        let found: Vec<String> = condition.must_succeed().into_iter().collect();
        assert_eq!(found.join(" "), steps, "{text}");
    }
}
