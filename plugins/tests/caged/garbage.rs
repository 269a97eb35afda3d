//! Whatever is thrown at a session, it answers in time and serves the next call.

use std::cell::{Cell, RefCell};
use std::time::{Duration, Instant};

use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value, json};
use slipway_plugins::{PluginOptions, Program};

use crate::host_with;

/// Pieces of which many a text that parses can be made.
const WORDS: &[&str] = &[
    "def render(ctx):\n",
    "  ",
    "    ",
    "\n",
    "return ",
    "for i in range(9):\n",
    "if ",
    "else:\n",
    "x",
    "i",
    "ctx",
    "ctx.p",
    " = ",
    " + ",
    " * ",
    " % ",
    " in ",
    "(",
    ")",
    "[",
    "]",
    "{",
    "}",
    ",",
    ":",
    ".",
    "'a'",
    "\"",
    "'",
    "'''",
    "\\",
    "0",
    "1e308",
    "-",
    "999999999",
    "lambda a: ",
    "[a for a in ",
    "load('x.star', 'x')\n",
    "load(",
    "object.apply(",
    "wait(",
    "refuse('p', 'm')",
    "fail(",
    "print(",
    "sorted(",
    "len(",
    "str(",
    "repr(",
    "x.append(x)",
    "struct(a = ",
    ".format(",
    ".join(",
    "f'{x}'",
    "*",
    "**",
    "#",
    "\t",
    "\u{0}",
    "é",
    "\u{1F980}",
    "<<",
    "//",
    "0x",
    "pass\n",
    "break\n",
    "and ",
    "not ",
    "None",
    "True",
    "secret.ref('secret://a/b')",
    "output.set('a', value = ",
];

fn text() -> impl Strategy<Value = String> {
    let words = prop::collection::vec(select(WORDS), 0..60).prop_map(|words| words.concat());
    let body = prop::collection::vec(select(WORDS), 0..25)
        .prop_map(|words| format!("def render(ctx):\n  x = ctx.p\n  return {}", words.concat()));
    prop_oneof![
        words,
        body,
        ".{0,200}",
        prop::collection::vec(any::<char>(), 0..100).prop_map(String::from_iter)
    ]
}

fn input() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,20}".prop_map(Value::from),
    ];
    let value = leaf.prop_recursive(6, 64, 8, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..8).prop_map(Value::from),
            prop::collection::hash_map(".{0,8}", inner, 0..8)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    });
    prop_oneof![value.clone(), value.prop_map(|value| json!({ "p": value }))]
}

#[test]
fn random_texts_and_inputs_are_always_answered_in_time() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let options = PluginOptions { max_programs: 10_000, ..PluginOptions::default() };
    let session = RefCell::new(runtime.block_on(host_with(options).session()).unwrap());
    let ended_well = Cell::new(0);
    let mut runner = TestRunner::new(Config { cases: 5_000, failure_persistence: None, ..Config::default() });
    runner
        .run(&(text(), input()), |(text, input)| {
            let begun = Instant::now();
            let program = Program::single("main.star", text);
            let ended = runtime.block_on(session.borrow_mut().call(&program, "render", &input));
            // Twice what it may take, for the machine may be busy with other things.
            prop_assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", ended);
            ended_well.set(ended_well.get() + usize::from(ended.is_ok()));
            Ok(())
        })
        .unwrap();
    // Else the texts would be garbage for the parser alone.
    assert!(ended_well.get() > 20, "only {ended_well:?} texts were programs");
    let harmless = Program::single("main.star", "def render(ctx): return ctx.x");
    assert_eq!(
        runtime.block_on(session.borrow_mut().call(&harmless, "render", &json!({"x": 1}))).unwrap(),
        json!(1)
    );
}

#[test]
fn every_input_comes_back_as_it_was() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let session = RefCell::new(runtime.block_on(crate::host().session()).unwrap());
    let program = Program::single("main.star", "def render(ctx): return ctx.value");
    let mut runner = TestRunner::new(Config { cases: 300, failure_persistence: None, ..Config::default() });
    runner
        .run(&input(), |value| {
            let sent = json!({ "value": value });
            let brought = runtime.block_on(session.borrow_mut().call(&program, "render", &sent));
            prop_assert_eq!(&brought.unwrap(), &sent["value"]);
            Ok(())
        })
        .unwrap();
}
