//! Integers where a schema wants them: to JSON Schema `30.0` is one, to Kubernetes it is not.

use serde_json::Value;

use super::walk;

/// From 2^53 on not every whole number is a float, so one may mean its neighbour.
const WHOLE_BELOW: f64 = 9_007_199_254_740_992.0;

/// Makes integers of the floats in `value` that `schema` types as such.
pub(super) fn make(root: &Value, schema: &Value, value: &mut Value) {
    if let Some(target) = walk::referenced(root, schema) {
        make(root, target, value);
    }
    // A branch that does not hold wants an integer too, or has no such place.
    for keyword in ["allOf", "anyOf", "oneOf"] {
        for part in schema.get(keyword).and_then(Value::as_array).into_iter().flatten() {
            make(root, part, value);
        }
    }
    match value {
        Value::Number(number) if number.is_f64() && is_integer(schema) => {
            let made = number.as_f64().and_then(whole);
            if let Some(made) = made {
                *value = made.into();
            }
        }
        Value::Array(items) => {
            if let Some(part) = schema.get("items") {
                for item in items.iter_mut() {
                    make(root, part, item);
                }
            }
        }
        Value::Object(fields) => {
            let known = schema.get("properties").and_then(Value::as_object);
            let others = schema.get("additionalProperties");
            for (name, value) in fields {
                if let Some(part) = known.and_then(|known| known.get(name)).or(others) {
                    make(root, part, value);
                }
            }
        }
        _ => {}
    }
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
