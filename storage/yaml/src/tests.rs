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
