//! Defaults of a schema filled into properties.

use serde_json::Value;

use super::entries::{self, Patterns};
use super::walk;

/// Fills defaults into properties.
#[derive(Clone, Copy)]
pub(super) struct Defaults<'a> {
    pub(super) root: &'a Value,
    pub(super) patterns: &'a Patterns,
}

impl<'a> Defaults<'a> {
    /// Fills into `value` what `schema` has defaults for. Alternatives (`anyOf`, `oneOf`, `if`) are not
    /// entered: which of them holds is not known before.
    pub(super) fn fill(self, schema: &'a Value, value: &mut Value) {
        if let Some(target) = walk::referenced(self.root, schema) {
            self.fill(target, value);
        }
        for part in schema.get("allOf").and_then(Value::as_array).into_iter().flatten() {
            self.fill(part, value);
        }
        match value {
            Value::Object(fields) => {
                let known = schema.get("properties").and_then(Value::as_object);
                for (name, part) in known.into_iter().flatten() {
                    if let Some(default) = self.default_of(part).filter(|_| !fields.contains_key(name)) {
                        fields.insert(name.clone(), default.clone());
                    }
                }
                for (name, value) in fields {
                    self.patterns.field(schema, name).into_iter().for_each(|part| self.fill(part, value));
                }
            }
            Value::Array(items) => {
                for (index, item) in items.iter_mut().enumerate() {
                    if let Some(part) = entries::item(schema, index) {
                        self.fill(part, item);
                    }
                }
            }
            _ => {}
        }
    }

    fn default_of(self, schema: &'a Value) -> Option<&'a Value> {
        schema.get("default").or_else(|| self.default_of(walk::referenced(self.root, schema)?))
    }
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
