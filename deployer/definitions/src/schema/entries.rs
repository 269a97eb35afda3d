//! Which schemas hold for one entry of a mapping or of a list.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use jsonschema::Validator;
use serde_json::{Value, json};

use super::{InvalidSchema, validator, walk};

/// The patterns by which a schema names properties, compiled once.
pub(super) struct Patterns(BTreeMap<String, Validator>);

impl Patterns {
    pub(super) fn compile(source: &Value) -> Result<Self, InvalidSchema> {
        let mut patterns = BTreeMap::new();
        gather(source, &mut patterns)?;
        Ok(Self(patterns))
    }

    /// The schemas in `schema` that hold for the property `name`.
    pub(super) fn field<'a>(&self, schema: &'a Value, name: &str) -> Vec<&'a Value> {
        let known = schema.get("properties").and_then(|known| known.get(name));
        let named = schema.get("patternProperties").and_then(Value::as_object);
        let mut found: Vec<&Value> = known.into_iter().collect();
        if let Some(named) = named {
            let name = Value::String(name.to_owned());
            found.extend(
                named.iter().filter(|(pattern, _)| self.matches(pattern, &name)).map(|(_, part)| part),
            );
        }
        if found.is_empty() {
            found.extend(schema.get("additionalProperties"));
        }
        found
    }

    fn matches(&self, pattern: &str, name: &Value) -> bool {
        self.0.get(pattern).is_some_and(|pattern| pattern.is_valid(name))
    }
}

/// The schema in `schema` that holds for the item at `index` of a list.
pub(super) fn item(schema: &Value, index: usize) -> Option<&Value> {
    let first = schema.get("prefixItems").and_then(Value::as_array);
    first.and_then(|first| first.get(index)).or_else(|| schema.get("items"))
}

fn gather(schema: &Value, patterns: &mut BTreeMap<String, Validator>) -> Result<(), InvalidSchema> {
    let named = schema.get("patternProperties").and_then(Value::as_object);
    for pattern in named.into_iter().flat_map(|named| named.keys()) {
        if let Entry::Vacant(place) = patterns.entry(pattern.clone()) {
            place.insert(validator(&json!({ "pattern": pattern }))?);
        }
    }
    walk::parts(schema).into_iter().try_for_each(|(_, part)| gather(part, patterns))
}
