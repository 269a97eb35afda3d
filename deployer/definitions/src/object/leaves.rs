//! The leaf paths of an object: what a writer writes.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::lists;
use crate::field_path::{FieldPath, Step};

/// The field by which an item of a keyed list says that it is removed or exchanged.
pub const PATCH: &str = "$patch";
/// The field that makes a map a reference to a secret.
pub const SECRET: &str = "$secret";

/// What stands at a leaf path.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Leaf<'a> {
    /// A value: a scalar, a list without keys, a reference to a secret.
    Value(&'a Value),
    /// Only that the map, list or item is there.
    Empty,
    /// The item is removed or exchanged as a whole.
    Patch,
}

/// A list that has two items with the same key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` stands twice in its list")]
pub struct DuplicateItem(pub FieldPath);

/// Every leaf of `object` but those that are its identity and the key fields of lists.
pub fn leaves(object: &Value) -> Result<BTreeMap<FieldPath, Leaf<'_>>, DuplicateItem> {
    let kind = object.get("kind").and_then(Value::as_str).unwrap_or_default();
    let mut walk = Walk { kind, steps: Vec::new(), found: BTreeMap::new() };
    if let Value::Object(fields) = object {
        walk.fields(fields, &["apiVersion", "kind"])?;
    }
    for identity in [&["metadata", "name"][..], &["metadata", "namespace"], &["metadata"]] {
        let path = FieldPath::of_fields(identity.iter().copied());
        if identity.len() == 2 || walk.found.get(&path) == Some(&Leaf::Empty) {
            walk.found.remove(&path);
        }
    }
    Ok(walk.found)
}

struct Walk<'a> {
    kind: &'a str,
    steps: Vec<Step>,
    found: BTreeMap<FieldPath, Leaf<'a>>,
}

impl<'a> Walk<'a> {
    fn leaf(&mut self, leaf: Leaf<'a>) {
        self.found.insert(FieldPath::new(self.steps.clone()), leaf);
    }

    fn fields(&mut self, fields: &'a Map<String, Value>, without: &[&str]) -> Result<(), DuplicateItem> {
        let mut empty = true;
        for (field, value) in fields {
            if without.contains(&field.as_str()) {
                continue;
            }
            empty = false;
            self.steps.push(Step::Field(field.clone()));
            self.value(field, value)?;
            self.steps.pop();
        }
        if empty {
            self.leaf(Leaf::Empty);
        }
        Ok(())
    }

    fn value(&mut self, field: &str, value: &'a Value) -> Result<(), DuplicateItem> {
        match value {
            Value::Object(fields) if fields.contains_key(SECRET) => self.leaf(Leaf::Value(value)),
            Value::Object(fields) => self.fields(fields, &[])?,
            Value::Array(items) => self.list(field, value, items)?,
            _ => self.leaf(Leaf::Value(value)),
        }
        Ok(())
    }

    fn list(&mut self, field: &str, value: &'a Value, items: &'a [Value]) -> Result<(), DuplicateItem> {
        let Some(items) = lists::keyed_items(self.kind, field, items) else {
            self.leaf(Leaf::Value(value));
            return Ok(());
        };
        if items.is_empty() {
            self.leaf(Leaf::Empty);
        }
        let keys = lists::key_fields(self.kind, field).unwrap_or_default();
        let mut seen = Vec::with_capacity(items.len());
        for (key, item) in items {
            let twice = seen.contains(&key);
            seen.push(key.clone());
            self.steps.push(Step::Item(key));
            if twice {
                return Err(DuplicateItem(FieldPath::new(std::mem::take(&mut self.steps))));
            }
            self.item(item, keys)?;
            self.steps.pop();
        }
        Ok(())
    }

    fn item(&mut self, item: &'a Value, keys: &[&str]) -> Result<(), DuplicateItem> {
        let Value::Object(fields) = item else { return Ok(()) };
        if fields.contains_key(PATCH) {
            self.leaf(Leaf::Patch);
            return Ok(());
        }
        self.fields(fields, keys)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn paths(object: &Value) -> Vec<String> {
        leaves(object).unwrap().keys().map(ToString::to_string).collect()
    }

    #[test]
    fn identity_and_keys_are_no_leaves() {
        let object = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a", "namespace": "n"}, "spec": {
            "containers": [{"name": "web", "ports": [{"containerPort": 80, "protocol": "TCP"}], "args": ["a", "b"]}],
            "x": {}, "env": [],
        }});
        assert_eq!(
            paths(&object),
            [
                "spec.containers[name=web].args",
                "spec.containers[name=web].ports[containerPort=80,protocol=TCP]",
                "spec.env",
                "spec.x",
            ]
        );
    }

    #[test]
    fn a_secret_and_a_patch_are_one_leaf() {
        let object = json!({"kind": "Secret", "stringData": {"a": {"$secret": "secret://builtin/a"}},
            "env": [{"name": "A", "$patch": "replace", "value": "x"}]});
        let found = leaves(&object).unwrap();
        assert_eq!(paths(&object), ["env[name=A]", "stringData.a"]);
        assert_eq!(found.values().next(), Some(&Leaf::Patch));
    }

    #[test]
    fn an_item_that_stands_twice_is_named() {
        let object = json!({"kind": "Pod", "spec": {"env": [{"name": "A"}, {"name": "A"}]}});
        assert_eq!(leaves(&object).unwrap_err().to_string(), "`spec.env[name=A]` stands twice in its list");
    }
}
