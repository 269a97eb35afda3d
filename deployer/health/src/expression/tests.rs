use std::time::{Duration, Instant};

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::object::ObjectState;

fn parse(text: &str) -> Expression {
    Expression::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn object() -> Value {
    json!({"metadata": {"name": "db", "generation": 2, "labels": {"app.example.org/part": "store"}},
        "spec": {"replicas": 3, "ratio": 0.5, "large": 18_446_744_073_709_551_615_u64},
        "status": {"observedGeneration": 2, "phase": "Ready", "readyReplicas": 3, "nothing": null,
            "conditions": [
                {"type": "Ready", "status": "True", "reason": "Up"},
                {"type": "Backup", "status": "False"}],
            "versions": ["v1.2", "v1.10"]}})
}

#[test]
fn conditions_hold_or_do_not() {
    for (text, expected) in [
        ("self.status.phase == 'Ready'", true),
        ("self.status.phase != \"Ready\"", false),
        ("self.status.readyReplicas >= self.spec.replicas", true),
        ("self.status.conditions.exists(c, c.type == 'Ready' && c.status == 'True')", true),
        ("self.status.conditions.all(c, c.status == 'True')", false),
        ("self.status.conditions.filter(c, c.type == 'Ready').all(c, c.status == 'True')", true),
        ("self.status.conditions.filter(c, c.type == 'Backup')[0].status == 'False'", true),
        ("self.status.conditions.exists_one(c, c.type == 'Ready')", true),
        ("self.status.conditions.map(c, c.type) == ['Ready', 'Backup']", true),
        ("self.status.conditions.map(c, c.status == 'True', c.type) == ['Ready']", true),
        ("has(self.status.phase) && !has(self.status.failure)", true),
        ("self.metadata.labels['app.example.org/part'] == 'store'", true),
        ("self.metadata.labels.exists(key, key.startsWith('app.'))", true),
        ("'store' in ['store', 'shop'] && !('x' in self.metadata.labels)", true),
        ("self.status.versions.all(v, v.matches('^v[0-9]+[.][0-9]+$'))", true),
        ("matches(self.status.phase, '^Fail') || self.status.phase.endsWith('dy')", true),
        ("self.status.phase.contains('ea') && size(self.status.phase) == 5", true),
        ("self.spec.ratio * 2.0 == 1.0 && self.spec.replicas == 3.0", true),
        ("self.spec.large > 0 && type(self.spec.large) == uint", true),
        ("(self.spec.replicas > 1 ? 'many' : 'one') == 'many'", true),
        ("self.status.nothing == null", true),
        ("int('3') == self.spec.replicas && string(3) == '3'", true),
        ("{'a': 1}.a == 1 && {'a': [1, 2]}['a'][1] == 2", true),
    ] {
        assert_eq!(parse(text).eval(&object()), Ok(expected), "{text}");
    }
}

#[test]
fn a_missing_field_is_named_and_no_failure() {
    for (text, field) in [
        ("self.status.endpoint == 'x'", "self.status.endpoint"),
        ("self.status.endpoint.host == 'x'", "self.status.endpoint"),
        ("self.status.conditions[7].status == 'True'", "self.status.conditions[7]"),
        ("self.metadata.labels['a.b/c'] == 'x'", "self.metadata.labels[\"a.b/c\"]"),
        ("has(self.status.endpoint.host)", "self.status.endpoint"),
        ("self.status.nothing.host == 'x'", "self.status.nothing.host"),
        ("self.status.conditions.exists(c, c.absent == 'x')", "absent"),
        ("self.status.phase == 'Ready' && self.status.late", "self.status.late"),
    ] {
        assert_eq!(parse(text).eval(&object()), Err(ExpressionError::Missing(field.to_owned())), "{text}");
        let health = parse(text).health(&object());
        assert_eq!(health.state, ObjectState::InProgress, "{text}");
        assert_eq!(health.reason, format!("`{field}` is not there yet"));
    }
    assert_eq!(parse("self.status.absent == 1 || true").eval(&object()), Ok(true));
}

#[test]
fn values_that_do_not_go_together_are_failures_and_are_not_told() {
    for (text, words) in [
        ("self.status.phase > 3", "'_>_' applied to '(string, int)'"),
        ("self.status.phase + 3 == 'x'", "`add` does not take these values"),
        ("self.spec.replicas / 0 == 1", "divided by zero"),
        ("9223372036854775807 + self.spec.replicas > 0", "`add` overflows"),
        ("int(self.status.phase) == 3", "`int` does not take this value"),
        ("self.status.phase.all(c, true)", "type iterable is expected"),
        ("self.spec.replicas.matches('3')", "'matches' applied to 'int"),
        ("!self.status.phase", "'!_' applied to '(string)'"),
    ] {
        let error = parse(text).eval(&object()).unwrap_err();
        assert!(matches!(error, ExpressionError::Failed(_)), "{text}: {error}");
        assert!(error.to_string().contains(words), "{text}: {error}");
        assert!(!error.to_string().contains("Ready"), "{text}: {error}");
        assert_eq!(parse(text).health(&object()).state, ObjectState::Failed, "{text}");
    }
    let error = parse("self.status.phase").eval(&object());
    assert_eq!(error, Err(ExpressionError::NotBoolean("string".to_owned())));
}

#[test]
fn what_an_object_is_decides_before_the_condition() {
    let ready = parse("self.status.phase == 'Ready'");
    let mut object = object();
    assert_eq!(ready.health(&object).state, ObjectState::Current);
    assert_eq!(ready.health(&object).reason, "`self.status.phase == 'Ready'` holds");
    object["status"]["phase"] = json!("Starting");
    assert_eq!(ready.health(&object).state, ObjectState::InProgress);
    object["status"]["phase"] = json!("Ready");
    object["metadata"]["generation"] = json!(3);
    assert_eq!(ready.health(&object).state, ObjectState::InProgress);
    object["metadata"]["deletionTimestamp"] = json!("2026-01-02T03:04:05Z");
    assert_eq!(ready.health(&object).state, ObjectState::Terminating);
    assert_eq!(ready.health(&Value::Null).state, ObjectState::NotFound);
}

#[test]
fn outputs_and_states_are_looked_up_by_name() {
    let condition = parse("nodes.db == 'ready' && outputs['db.host'].startsWith('10.')");
    assert_eq!(condition.names().collect::<Vec<_>>(), ["nodes", "outputs"]);
    let mut values = BTreeMap::from([
        ("nodes".to_owned(), json!({"db": "ready"})),
        ("outputs".to_owned(), json!({"db.host": "10.0.0.7"})),
    ]);
    assert_eq!(condition.eval_with(&values), Ok(true));
    values.insert("outputs".to_owned(), json!({}));
    let missing = ExpressionError::Missing("outputs[\"db.host\"]".to_owned());
    assert_eq!(condition.eval_with(&values), Err(missing));
    values.remove("nodes");
    assert_eq!(condition.eval_with(&values), Err(ExpressionError::Unknown("nodes".to_owned())));
    assert_eq!(condition.eval(&object()), Err(ExpressionError::Unknown("nodes".to_owned())));
}

#[test]
fn the_variable_of_a_loop_is_no_name() {
    let condition = parse("[1, 2].all(self, self > 0) && other.exists(x, x == type(x))");
    assert_eq!(condition.names().collect::<Vec<_>>(), ["other"]);
}

#[test]
fn what_is_not_offered_is_refused_when_it_is_read() {
    for text in [
        "timestamp('2026-01-02T03:04:05Z') < self.x",
        "duration('1h') == self.x",
        "self.x.getHours() == 1",
        "optional.of(1).hasValue()",
        "Message{field: 1}",
        "b'abc' == self.x",
        "self.x.matches(self.y)",
        "self.x.all(y)",
        "size(1, 2) == 1",
        "unknown(self)",
        "google.protobuf.Duration{}",
    ] {
        let error = Expression::parse(text).unwrap_err();
        assert!(matches!(error, ExpressionError::Unsupported(_)), "{text}: {error}");
    }
    for text in ["self.?x == 1", "self[?'x'] == 1", "1 +", "self.", "'open", "@value(self)", "@result", "a b"]
    {
        let error = Expression::parse(text).unwrap_err();
        assert!(matches!(error, ExpressionError::Syntax(_)), "{text}: {error}");
    }
    let error = Expression::parse("self.x ==\n  == 1").unwrap_err();
    assert!(error.to_string().contains("line 2, column 3"), "{error}");
    for text in ["self.x.matches('[')", r"self.x.matches('\\w{1000}')"] {
        let error = Expression::parse(text).unwrap_err();
        assert!(matches!(error, ExpressionError::Pattern { .. }), "{text}: {error}");
    }
    let many = vec!["self.x.matches('a')"; PATTERNS_MAX + 1].join("||");
    assert!(matches!(Expression::parse(&many), Err(ExpressionError::Unsupported(_))));
}

#[test]
fn each_pattern_is_looked_for_in_its_own_text() {
    let text = "'a'.matches('^a$') && ['b', 'bb'].all(x, x.matches('^b+$')) && 'c'.matches('^c$')";
    assert_eq!(parse(text).eval(&Value::Null), Ok(true));
    let text = "'a'.matches('^a$') && 'b'.matches('^c$') && 'c'.matches('^c$')";
    assert_eq!(parse(text).eval(&Value::Null), Ok(false));
}

#[test]
fn texts_are_neither_empty_nor_long() {
    for text in ["", "  \n", &format!("{}true", " ".repeat(BYTES_MAX))] {
        assert_eq!(Expression::parse(text).unwrap_err(), ExpressionError::Length(text.len()));
    }
    let longest = format!("{}true", " ".repeat(BYTES_MAX - 4));
    assert_eq!(parse(&longest).eval(&Value::Null), Ok(true));
}

/// `unit` as often as a text may be long.
fn filled(first: &str, unit: &str) -> String {
    format!("{first}{}", unit.repeat((BYTES_MAX - first.len()) / unit.len()))
}

#[test]
fn what_nests_too_deep_is_refused_and_overflows_no_stack() {
    let nested =
        |open: &str, close: &str, count: usize| format!("{}true{}", open.repeat(count), close.repeat(count));
    assert_eq!(parse(&nested("(", ")", BRACKETS_MAX)).eval(&Value::Null), Ok(true));
    for text in [
        nested("(", ")", BRACKETS_MAX + 1),
        nested("[", "]", 2_000),
        nested("{1:", "}", 500),
        nested("size(", ")", 400),
        filled("", "("),
        filled("''", "("),
        filled("// '\n", "("),
        filled("r'\\'+", "("),
        filled("'''a'b'''+", "["),
        filled("true", "?true:true"),
        filled("a", ".a"),
        filled("a", "[0]"),
        filled("a", ".size()"),
        filled("a", ".map(a,a)"),
        filled("1", "+1"),
        filled("1", "<1"),
        format!("{}1", filled("", "-(").get(..40).unwrap_or_default()),
    ] {
        let error = Expression::parse(&text).unwrap_err();
        assert_eq!(error, ExpressionError::Depth, "{}", &text[..40]);
    }
    for text in [filled("", "!"), filled("", "-"), filled("", "a "), filled("a", ")"), filled("a", "{}")] {
        assert!(Expression::parse(&text).is_err(), "{text}");
    }
    // These are long, not deep.
    for text in [filled("true", "&&true"), filled("true", "||true")] {
        assert_eq!(parse(&text).eval(&Value::Null), Ok(true));
    }
}

#[test]
fn the_deepest_tree_that_is_read_is_also_decided() {
    let deepest = format!("{}true{}", "[".repeat(BRACKETS_MAX), "][0]".repeat(BRACKETS_MAX));
    assert_eq!(parse(&deepest).eval(&Value::Null), Ok(true));
    let longest = format!("0{} == {}", "+1".repeat(DEPTH_MAX - 2), DEPTH_MAX - 2);
    assert_eq!(parse(&longest).eval(&Value::Null), Ok(true));
    let loops = "[1].all(a,[1].all(b,[1].all(c,[1].all(d,[1].all(e,a+b+c+d+e==5)))))";
    assert_eq!(parse(loops).eval(&Value::Null), Ok(true));
}

/// Lists, mappings and texts that are large, and not too large to be looked at once.
fn large() -> Value {
    let items: Vec<Value> =
        (0..2_000).map(|at| json!({"name": format!("item-{at}"), "ready": true, "at": at})).collect();
    let list: Vec<u32> = (0..10_000).collect();
    json!({"list": list, "items": items, "text": "ab é".repeat(40_000)})
}

#[test]
fn large_values_can_be_looked_at() {
    for text in [
        "self.items.all(i, i.ready && i.name.startsWith('item-'))",
        "self.list.all(n, n >= 0)",
        "self.list.map(n, n + 1).size() == 10000",
        "self.items.filter(i, i.at > 1998).size() == 1",
        "self.items.all(i, i.name.matches('^item-[0-9]+$'))",
        "self.items == self.items",
        "size(self.text) == 160000",
    ] {
        assert_eq!(parse(text).eval(&large()), Ok(true), "{text}");
    }
}

#[test]
fn bombs_end_in_an_error_and_soon() {
    let doubling = ".map(x,x+x)".repeat(16);
    let copies = format!("size([{}self])>0", "self,".repeat(500));
    let object = large();
    let start = Instant::now();
    for text in [
        "self.list.all(a, self.list.exists(b, b == a))",
        "self.list.map(a, self.list.map(b, b)).size() > 0",
        "self.list.all(a, self.list.all(b, self.list.all(c, true)))",
        "self.list.all(a, self == self)",
        "self.list.all(a, a in self.list)",
        "self.list.all(a, self.text + 'x' != '')",
        "self.list.exists(a, self.list.exists(b, b < 0)) || true",
        "self.list.map(a, [self, self]).size() > 0",
        "self.list.map(a, {'x': self}).size() > 0",
        "self.list.exists(a, self.text.contains('zz'))",
        "self.text.matches('\\\\b(?:a?b?c?d?e?f?){90}\\\\b.*z')",
        "[self].map(a,[a,a,a,a]).map(a,[a,a,a,a]).map(a,[a,a,a,a]).map(a,[a,a,a,a]).size() == 1",
        copies.as_str(),
        format!("[self.text]{doubling}.size() > 0").as_str(),
    ] {
        assert_eq!(parse(text).eval(&object), Err(ExpressionError::Steps), "{text}");
        assert_eq!(parse(text).health(&object).state, ObjectState::Failed, "{text}");
    }
    // About 30 ms each when optimised; uncounted, any of them takes minutes or all memory.
    assert!(start.elapsed() < Duration::from_secs(30), "{:?}", start.elapsed());
}

#[test]
fn a_value_that_is_too_large_or_too_deep_is_no_value() {
    let wide = json!({"list": vec![0; usize::try_from(STEPS_MAX).unwrap()]});
    assert_eq!(parse("size(self) == 1").eval(&wide), Err(ExpressionError::Steps));
    let deep = (0..200).fold(json!(1), |inner, _| json!([inner]));
    let error = parse("size(self) == 1").eval(&deep).unwrap_err();
    assert!(error.to_string().contains("nests deeper than 128 levels"), "{error}");
}

/// Expressions that may fail, over numbers, texts, lists and what is missing.
fn any_term() -> impl Strategy<Value = String> {
    let leaf = prop::sample::select(vec![
        "1",
        "2",
        "'a'",
        "'ab'",
        "true",
        "[]",
        "[1, 2, 3]",
        "{'a': 1}",
        "self.n",
        "self.text",
        "self.list",
        "self.map",
        "self.absent",
        "null",
        "x",
    ])
    .prop_map(str::to_owned);
    leaf.prop_recursive(4, 24, 3, |inner| {
        let two = (inner.clone(), inner.clone());
        let operators = vec!["==", "!=", "<", "+", "-", "in", "&&", "||"];
        prop_oneof![
            (two.clone(), prop::sample::select(operators)).prop_map(|((a, b), op)| format!("({a} {op} {b})")),
            (inner.clone(), inner.clone(), inner.clone()).prop_map(|(a, b, c)| format!("({a} ? {b} : {c})")),
            (two.clone(), prop::sample::select(vec!["all", "exists", "exists_one", "filter", "map"]))
                .prop_map(|((a, b), each)| format!("{a}.{each}(x, {b})")),
            two.prop_map(|(a, b)| format!("[{a}, {b}]")),
            inner.clone().prop_map(|a| format!("size({a})")),
            inner.clone().prop_map(|a| format!("{a}.startsWith('a')")),
            inner.prop_map(|a| format!("{{'k': {a}}}.k")),
        ]
    })
}

proptest! {
    /// What is counted gives what the evaluator gives without counting.
    #[test]
    fn counting_changes_no_answer(text in any_term()) {
        let object = json!({"n": 2, "text": "ab", "list": [1, "a", [2]], "map": {"a": 1}});
        if let Ok(expression) = Expression::parse(&text) {
            let counted = expression.eval_with(&BTreeMap::from([
                ("self".to_owned(), object.clone()),
                ("x".to_owned(), json!(2)),
            ]));
            let mut context = Context::with_env(Arc::clone(&ENVIRONMENT));
            let meter = Meter::default();
            context.add_variable_as_val("self", values::convert(&object, &meter).unwrap());
            context.add_variable_from_value("x", 2_i64);
            let plain = ENVIRONMENT.compile(&text).unwrap().execute(&context);
            match counted {
                Ok(held) => prop_assert_eq!(plain, Ok(cel::Value::Bool(held))),
                Err(ExpressionError::NotBoolean(_)) => {
                    prop_assert!(plain.is_ok_and(|value| !matches!(value, cel::Value::Bool(_))));
                }
                Err(_) => prop_assert!(plain.is_err()),
            }
        }
    }

    #[test]
    fn no_text_is_too_strange_to_be_read(text in "\\PC{0,80}") {
        drop(Expression::parse(&text));
    }

    #[test]
    fn no_heap_of_signs_is_too_strange_to_be_read(
        signs in prop::collection::vec(prop::sample::select(vec![
            "self", ".", "a", "1", "'", "\"", "'x'", "\\", "(", ")", "[", "]", "{", "}", "?", ":", ",", "!",
            "-", "+", "==", "&&", "||", "has(", ".all(", ".map(", "r'", "b'", "//", "\n", "in", "1e9",
            "0x", "18446744073709551616", "\u{e9}", "`", "@", ".matches('",
        ]), 0..60),
    ) {
        if let Ok(expression) = Expression::parse(&signs.concat()) {
            drop(expression.eval(&object()));
        }
    }
}

#[test]
fn names_that_nobody_gives_are_told_before_anything_is_decided() {
    let known = ["object", "self"];
    for (text, unknown) in [
        ("object.status.phase == 'Ready' && self.spec.size > 1", None),
        ("type(self.port) == int", None),
        ("object.items.all(item, item.ready)", None),
        ("objekt.status.phase == 'Ready'", Some("objekt")),
        ("status.phase == 'Ready'", Some("status")),
    ] {
        assert_eq!(Expression::parse(text).unwrap().unknown(&known), unknown, "{text}");
    }
}
