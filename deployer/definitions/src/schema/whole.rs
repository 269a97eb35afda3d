//! Integers where a schema wants them: to JSON Schema `30.0` is one, to Kubernetes it is not.

use serde_json::Value;

use super::entries::{self, Patterns};
use super::walk;

/// From 2^53 on not every whole number is a float, so one may mean its neighbour.
const WHOLE_BELOW: f64 = 9_007_199_254_740_992.0;

/// Makes integers in properties.
#[derive(Clone, Copy)]
pub(super) struct Whole<'a> {
    pub(super) root: &'a Value,
    pub(super) patterns: &'a Patterns,
}

impl<'a> Whole<'a> {
    /// Makes integers of the floats in `value` that `schema` types as such.
    pub(super) fn make(self, schema: &'a Value, value: &mut Value) {
        if let Some(target) = walk::referenced(self.root, schema) {
            self.make(target, value);
        }
        for part in branches(schema) {
            self.make(part, value);
        }
        match value {
            Value::Number(number) if number.is_f64() && is_integer(schema) => {
                if let Some(made) = number.as_f64().and_then(whole) {
                    *value = made.into();
                }
            }
            Value::Array(items) => {
                for (index, item) in items.iter_mut().enumerate() {
                    if let Some(part) = entries::item(schema, index) {
                        self.make(part, item);
                    }
                }
            }
            Value::Object(fields) => {
                for (name, value) in fields {
                    for part in self.patterns.field(schema, name) {
                        self.make(part, value);
                    }
                }
            }
            _ => {}
        }
    }
}

/// The integer that `value` is: to JSON Schema `1.0` is one.
pub(super) fn integer(value: &Value) -> Option<i64> {
    value.as_i64().or_else(|| value.as_f64().and_then(whole))
}

/// The schemas in `schema` of the value itself, whether they hold or not: one that does not hold wants an
/// integer too, or has no such place.
fn branches(schema: &Value) -> Vec<&Value> {
    let lists = ["allOf", "anyOf", "oneOf"];
    let lists = lists.iter().filter_map(|keyword| schema.get(*keyword)?.as_array()).flatten();
    let depending = schema.get("dependentSchemas").and_then(Value::as_object);
    let depending = depending.into_iter().flat_map(|depending| depending.values());
    lists.chain(schema.get("then")).chain(schema.get("else")).chain(depending).collect()
}

/// Whether `schema` wants an integer, and no other number.
fn is_integer(schema: &Value) -> bool {
    match schema.get("type") {
        Some(Value::Array(types)) => {
            types.iter().any(|name| name == "integer") && types.iter().all(|name| name != "number")
        }
        Some(name) => name == "integer",
        None => false,
    }
}

fn whole(float: f64) -> Option<i64> {
    let is_whole = float.fract() == 0.0 && float.abs() < WHOLE_BELOW;
    // Without a fraction it is written as an integer is.
    if is_whole { format!("{float:.0}").parse().ok() } else { None }
}
