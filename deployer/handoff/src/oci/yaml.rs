//! JSON values as YAML that every reader takes the same way, in fixed bytes.
//!
//! Readers of manifests follow YAML 1.1 or 1.2 and disagree on what plain text means (`yes`, `0o17`,
//! `1:30`), so text is quoted unless it begins with a letter and holds nothing but letters, digits and
//! `-`, `_`, `.`, `/`, and is none of the words.

use std::fmt::Write as _;

use serde_json::{Map, Value};

/// The words that some reader takes for something else than text.
const WORDS: [&str; 10] = ["y", "n", "yes", "no", "on", "off", "true", "false", "null", "nan"];
/// YAML readers stop looking for a key's `:` after 1,024 characters.
const KEY_BYTES_MAX: usize = 1_000;

/// One document, ending with a line break.
pub(super) fn document(value: &Value) -> String {
    let mut out = String::new();
    match value {
        Value::Object(map) if !map.is_empty() => mapping(&mut out, map, 0, false),
        Value::Array(items) if !items.is_empty() => sequence(&mut out, items, 0),
        other => {
            scalar(&mut out, other);
            out.push('\n');
        }
    }
    out
}

fn indent(out: &mut String, depth: usize) {
    out.extend(std::iter::repeat_n("  ", depth));
}

/// `opened`: the first key stands behind the `- ` of a list.
fn mapping(out: &mut String, map: &Map<String, Value>, depth: usize, opened: bool) {
    let mut entries: Vec<(&String, &Value)> = map.iter().collect();
    entries.sort_unstable_by_key(|(key, _)| *key);
    for (at, (key, value)) in entries.into_iter().enumerate() {
        if at > 0 || !opened {
            indent(out, depth);
        }
        let start = out.len();
        text(out, key);
        if out.len() - start > KEY_BYTES_MAX {
            out.insert_str(start, "? ");
            out.push('\n');
            indent(out, depth);
        }
        out.push(':');
        match value {
            Value::Object(map) if !map.is_empty() => {
                out.push('\n');
                mapping(out, map, depth + 1, false);
            }
            Value::Array(items) if !items.is_empty() => {
                out.push('\n');
                sequence(out, items, depth + 1);
            }
            other => {
                out.push(' ');
                scalar(out, other);
                out.push('\n');
            }
        }
    }
}

fn sequence(out: &mut String, items: &[Value], depth: usize) {
    for item in items {
        indent(out, depth);
        match item {
            Value::Object(map) if !map.is_empty() => {
                out.push_str("- ");
                mapping(out, map, depth + 1, true);
            }
            Value::Array(inner) if !inner.is_empty() => {
                out.push_str("-\n");
                sequence(out, inner, depth + 1);
            }
            other => {
                out.push_str("- ");
                scalar(out, other);
                out.push('\n');
            }
        }
    }
}

fn scalar(out: &mut String, value: &Value) {
    match value {
        Value::String(value) => text(out, value),
        Value::Object(_) => out.push_str("{}"),
        Value::Array(_) => out.push_str("[]"),
        Value::Null => out.push_str("null"),
        Value::Bool(value) => write(out, value),
        Value::Number(value) => write(out, value),
    }
}

fn write(out: &mut String, value: impl std::fmt::Display) {
    write!(out, "{value}").expect("invariant: a String takes every text");
}

fn text(out: &mut String, text: &str) {
    let is_plain = text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '/'))
        && !WORDS.contains(&text.to_ascii_lowercase().as_str());
    if is_plain {
        return out.push_str(text);
    }
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            // Controls, and what some readers take for line breaks or marks.
            c if c.is_control()
                || matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}') =>
            {
                write(out, format_args!("\\u{:04x}", u32::from(c)));
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;
    use slipway_yaml::{YamlOptions, read};

    use super::*;

    fn reread(text: &str) -> Value {
        let documents =
            read(text.as_bytes(), &YamlOptions::default()).unwrap_or_else(|e| panic!("{e:?}\n{text}"));
        assert_eq!(documents.len(), 1, "{text}");
        documents[0].to_json()
    }

    #[test]
    fn it_reads_like_a_manifest() {
        let value = json!({"kind": "Deployment", "apiVersion": "apps/v1", "spec": {"replicas": 2, "empty": {}, "none": [],
            "containers": [{"name": "main", "args": ["--port=80", "on", "a\nb"], "env": [{"name": "A", "value": "1"}]}],
            "matrix": [[1, 2], []], "null": null, "on": true}});
        let expected = r#"apiVersion: apps/v1
kind: Deployment
spec:
  containers:
    - args:
        - "--port=80"
        - "on"
        - "a\nb"
      env:
        - name: A
          value: "1"
      name: main
  empty: {}
  matrix:
    -
      - 1
      - 2
    - []
  none: []
  "null": null
  "on": true
  replicas: 2
"#;
        assert_eq!(document(&value), expected);
        assert_eq!(reread(expected), value);
    }

    #[test]
    fn very_long_keys_are_told_to_be_keys() {
        let value = json!({"k".repeat(2_000): {"a": 1}, "b": "k".repeat(2_000)});
        assert!(document(&value).contains("\n? k"));
        assert_eq!(reread(&document(&value)), value);
    }

    fn any_value() -> impl Strategy<Value = Value> {
        let text = prop_oneof![
            any::<String>(),
            "(yes|No|~|null|0x1f|0o17|1:30|1e3|\\.5|-|- a|a: b|a #b|#|&a|\\*a|!a|%|@|`|'|\"|\\[|\\{|  | a|a |<<|=|2001-01-01)",
        ];
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            text.clone().prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 40, 5, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
                prop::collection::btree_map(text.clone(), inner, 0..5)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn every_value_is_read_back(value in any_value()) {
            prop_assert_eq!(reread(&document(&value)), value);
        }
    }
}
