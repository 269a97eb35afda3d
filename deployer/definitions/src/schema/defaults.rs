//! Defaults of a schema filled into properties.

use serde_json::Value;

use super::walk;

/// Fills into `value` what `schema` has defaults for. Alternatives (`anyOf`, `oneOf`, `if`) are not
/// entered: which of them holds is not known before.
pub(super) fn fill(root: &Value, schema: &Value, value: &mut Value) {
    if let Some(target) = walk::referenced(root, schema) {
        fill(root, target, value);
    }
    for part in schema.get("allOf").and_then(Value::as_array).into_iter().flatten() {
        fill(root, part, value);
    }
    match value {
        Value::Object(fields) => {
            let known = schema.get("properties").and_then(Value::as_object);
            for (name, part) in known.into_iter().flatten() {
                if let Some(default) = default_of(root, part).filter(|_| !fields.contains_key(name)) {
                    fields.insert(name.clone(), default.clone());
                }
                if let Some(value) = fields.get_mut(name) {
                    fill(root, part, value);
                }
            }
            if let Some(part) = schema.get("additionalProperties").filter(|part| part.is_object()) {
                let others = fields
                    .iter_mut()
                    .filter(|(name, _)| known.is_none_or(|known| !known.contains_key(*name)));
                others.for_each(|(_, value)| fill(root, part, value));
            }
        }
        Value::Array(items) => {
            if let Some(part) = schema.get("items") {
                for item in items {
                    fill(root, part, item);
                }
            }
        }
        _ => {}
    }
}

fn default_of<'a>(root: &'a Value, schema: &'a Value) -> Option<&'a Value> {
    schema.get("default").or_else(|| default_of(root, walk::referenced(root, schema)?))
}

/// Every schema inside `schema` that has a default, with its JSON pointer.
pub(super) fn gather<'a>(schema: &'a Value, path: &str, found: &mut Vec<(String, &'a Value)>) {
    for (place, part) in walk::parts(schema) {
        let path = format!("{path}{place}");
        if part.get("default").is_some() {
            found.push((path.clone(), part));
        }
        gather(part, &path, found);
    }
}
