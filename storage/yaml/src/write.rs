//! JSON written as YAML.

use serde_json::Value;

use crate::{YamlOptions, read};

/// `value` as YAML that [`read`] reads as the same value: in block style, with a line break at its end. What the
/// writer would write otherwise than our reader reads is written as JSON, which is YAML too.
pub fn write(value: &Value) -> String {
    let text = serde_saphyr::to_string(value).ok().filter(|text| is_same(text, value));
    let mut text = text.unwrap_or_else(|| format!("{value:#}"));
    if !text.ends_with('\n') {
        text.push('\n');
    }
    text
}

fn is_same(text: &str, value: &Value) -> bool {
    let options = YamlOptions { max_bytes: usize::MAX, max_nodes: usize::MAX, ..YamlOptions::default() };
    read(text.as_bytes(), &options).is_ok_and(|read| matches!(&read[..], [one] if one.to_json() == *value))
}
