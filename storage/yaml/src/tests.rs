use proptest::prelude::*;
use serde_json::json;

use super::*;

fn json_of(text: &str) -> serde_json::Value {
    read(text.as_bytes(), &YamlOptions::default()).unwrap()[0].to_json()
}

fn first_error(text: &str) -> String {
    let error = read(text.as_bytes(), &YamlOptions::default()).unwrap_err().remove(0);
    format!("{}:{}: {}", error.at.line, error.at.column, error.message)
}

#[test]
fn scalars_follow_the_core_schema() {
    let text = "[8080, '8080', on, yes, true, ~, , 0x1f, 0o17, 017, 1.5, -.5e2, 1.2.3, +7, 1_000, '']";
    assert_eq!(
        json_of(&text.replace(", ,", ",")),
        json!([8080, "8080", "on", "yes", true, null, 31, 15, 17, 1.5, -50.0, "1.2.3", 7, "1_000", ""])
    );
    assert_eq!(
        first_error("a: 99999999999999999999"),
        "1:4: the number 99999999999999999999 is out of range"
    );
    assert_eq!(first_error("a: .inf"), "1:4: `.inf` is a number that JSON does not have");
}

fn kubernetes() -> YamlOptions {
    YamlOptions { dialect: Dialect::Kubernetes, references: References::Followed, ..YamlOptions::default() }
}

#[test]
fn kubernetes_scalars_follow_yaml_1_1() {
    let text = "[0644, 0o17, 089, yes, Off, y, '0644', -0x1F, 1_000, 1.0, 1.5, 1e3, 18446744073709551615, \
                2026-01-01, 1.2.3, +7, 0b11, _1, ~]";
    let read = read(text.as_bytes(), &kubernetes()).unwrap()[0].to_json();
    assert_eq!(
        read,
        json!([
            420,
            15,
            89,
            true,
            false,
            true,
            "0644",
            -31,
            1000,
            1,
            1.5,
            1000,
            18_446_744_073_709_551_615_u64,
            "2026-01-01",
            "1.2.3",
            7,
            3,
            "_1",
            null
        ])
    );
    let twice = super::read(b"{a: 1, b: 2, a: 3}", &kubernetes()).unwrap()[0].to_json();
    assert_eq!(twice, json!({"a": 3, "b": 2}));
}

#[test]
fn aliases_are_followed_where_they_may_and_never_blow_up() {
    let text = "a: &a {x: 1, y: 2}\nb: *a\nc: {<<: *a, y: 3}\nd: {<<: [*a, {z: 4}]}\ne: !!str 12\n";
    let read = super::read(text.as_bytes(), &kubernetes()).unwrap()[0].to_json();
    let a = json!({"x": 1, "y": 2});
    let expected = json!({"a": a, "b": a, "c": {"x": 1, "y": 3}, "d": {"x": 1, "y": 2, "z": 4}, "e": "12"});
    assert_eq!(read, expected);
    let mut bomb = "a0: &a0 [lol, lol]\n".to_owned();
    for n in 1..40 {
        bomb.push_str(&format!("a{n}: &a{n} [*a{0}, *a{0}, *a{0}]\n", n - 1));
    }
    let error = super::read(bomb.as_bytes(), &kubernetes()).unwrap_err().remove(0);
    assert_eq!(error.message, "aliases make this file too large");
    let error = super::read(b"a: &a [*a]", &kubernetes()).unwrap_err().remove(0);
    assert_eq!(error.message, "an alias may not stand inside what it names");
    assert!(super::read(b"a: !!binary YQ==", &kubernetes()).is_err());
}

#[test]
fn keys_and_values_keep_their_places() {
    let documents = read("a:\n  - b: ä\n    c: 1\n".as_bytes(), &YamlOptions::default()).unwrap();
    let c = documents[0].pointer("/a/0").unwrap().entry("c").unwrap();
    assert_eq!((c.key_at, c.value.at), (Position { line: 3, column: 5 }, Position { line: 3, column: 8 }));
}

#[test]
fn what_could_grow_or_hide_is_refused() {
    assert_eq!(first_error("a: &x 1\nb: *x\n"), "1:4: anchors (`&name`) are not allowed");
    assert_eq!(first_error("a: {<<: {b: 1}}"), "1:5: merge keys (`<<`) are not allowed");
    assert_eq!(first_error("a: 1\na: 2\n"), "2:1: the key `a` stands twice");
    assert_eq!(first_error("[a]: 1"), "1:1: a key must be text, not a list or a mapping");
    assert_eq!(first_error("a: b\0c"), "1:5: the character U+0000 may not stand in YAML");
    assert_eq!(first_error(&"[".repeat(100)), "1:65: nested deeper than 64 levels");
    let many = format!("[{}]", "1,".repeat(100_001));
    assert!(first_error(&many).ends_with("more than 100000 values"));
}

#[test]
fn opaque_references_pass_without_growing() {
    let options = YamlOptions { references: References::Opaque, ..YamlOptions::default() };
    let documents = read(b"a: &x {b: 1}\nc: {<<: *x}\nd: !custom 1\n", &options).unwrap();
    assert_eq!(documents[0].pointer("/c/<<").unwrap().value, Value::Alias);
}

proptest! {
    #[test]
    fn reading_never_panics(text in r#"[-a-z0-9:{}\[\],&*!|>'"%@ \n\t#?~<]{0,200}"#, bytes: Vec<u8>) {
        for input in [text.as_bytes(), &bytes] {
            for references in [References::Refused, References::Opaque] {
                let options = YamlOptions { references, ..YamlOptions::default() };
                if let Err(errors) = read(input, &options) {
                    prop_assert!(errors.iter().all(|e| e.at.line >= 1 && e.at.column >= 1));
                }
            }
        }
    }
}

#[test]
fn what_is_written_is_read_as_the_same() {
    for value in [
        json!({"a": {"b": [1, -2.5, true, null, "x"], "c": {}, "d": []}}),
        json!({"text": ["8080", "on", "yes", "~", "", " a ", "- b", "a: b", "#", "0x1f", "1e3", "\u{202e}", "'\""]}),
        json!({"lines": "one\ntwo\n\n", "tab": "\ta", "long": "w ".repeat(200), "<b>": "\r\n"}),
        json!([]),
        json!("plain"),
        json!(null),
    ] {
        let text = write(&value);
        assert!(text.ends_with('\n'), "{text:?}");
        assert_eq!(json_of(&text), value, "{text}");
    }
    assert_eq!(write(&json!({"a": {"b": 1}})), "a:\n  b: 1\n");
}
