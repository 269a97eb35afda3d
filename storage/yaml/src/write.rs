//! JSON written as YAML.

use serde::{Serialize, Serializer};
use serde_json::Value;

use crate::{YamlOptions, read};

/// `value` as YAML that [`read`] reads as the same value: in block style, with a line break at its end. What the
/// writer would write otherwise than our reader reads is written as JSON, which is YAML too.
pub fn write(value: &Value) -> String {
    let text = serde_saphyr::to_string(&Plain(value)).ok().filter(|text| is_same(text, value));
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

/// A value whose numbers are written as such. Where any crate of a program turns on serde_json's
/// `arbitrary_precision`, a number says of itself that it is a mapping.
struct Plain<'v>(&'v Value);

impl Serialize for Plain<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::Number(number) => {
                if let Some(whole) = number.as_i64() {
                    serializer.serialize_i64(whole)
                } else if let Some(whole) = number.as_u64() {
                    serializer.serialize_u64(whole)
                } else if let Some(float) = number.as_f64() {
                    serializer.serialize_f64(float)
                } else {
                    serializer.serialize_str(&number.to_string())
                }
            }
            Value::Array(items) => serializer.collect_seq(items.iter().map(Plain)),
            Value::Object(fields) => {
                serializer.collect_map(fields.iter().map(|(name, value)| (name, Plain(value))))
            }
            other => other.serialize(serializer),
        }
    }
}
