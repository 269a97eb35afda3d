//! One form for one value, so that equal values have equal digests.

use serde_json::Value;

/// JSON without spaces, keys sorted by their bytes at every depth, whatever order `value` holds.
pub fn canonical_json(value: &Value) -> String {
    let mut out = String::new();
    write(value, &mut out);
    out
}

fn write(value: &Value, out: &mut String) {
    match value {
        Value::Object(map) => {
            let mut entries: Vec<(&String, &Value)> = map.iter().collect();
            entries.sort_by_key(|(key, _)| *key);
            list(out, ['{', '}'], entries, |(key, value), out| {
                out.push_str(&Value::String(key.clone()).to_string());
                out.push(':');
                write(value, out);
            });
        }
        Value::Array(items) => list(out, ['[', ']'], items, write),
        leaf => out.push_str(&leaf.to_string()),
    }
}

fn list<T>(
    out: &mut String,
    [open, close]: [char; 2],
    items: impl IntoIterator<Item = T>,
    mut write: impl FnMut(T, &mut String),
) {
    out.push(open);
    for (index, item) in items.into_iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        write(item, out);
    }
    out.push(close);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_sorted_and_lists_are_not() {
        let value: Value =
            serde_json::from_str(r#"{"b": [3, 1, {"y": null, "x": "\n"}], "a": 1.5}"#).unwrap();
        assert_eq!(canonical_json(&value), r#"{"a":1.5,"b":[3,1,{"x":"\n","y":null}]}"#);
    }
}
