//! Matching by subset, as `tests/oam/README.md` defines it.

use serde_json::Value;

/// Whether `found` has all that `wanted` asks for.
pub(crate) fn matches(wanted: &Value, found: Option<&Value>) -> bool {
    match (wanted, found) {
        (Value::Null, found) => found.is_none_or(Value::is_null),
        (Value::Object(wanted), Some(Value::Object(found))) => {
            wanted.iter().all(|(key, value)| match (key.as_str(), value) {
                ("apiVersion", Value::Array(any)) => any.iter().any(|one| found.get(key) == Some(one)),
                _ => matches(value, found.get(key)),
            })
        }
        // Nothing is asked of a map that is not there but that it has nothing.
        (Value::Object(wanted), None | Some(Value::Null)) => {
            wanted.values().all(|value| matches(value, None))
        }
        (Value::Array(wanted), Some(Value::Array(found))) => list(wanted, found),
        (wanted, Some(found)) => scalar(wanted) == scalar(found),
        (_, None) => false,
    }
}

fn list(wanted: &[Value], found: &[Value]) -> bool {
    if wanted.iter().all(Value::is_object) && !wanted.is_empty() {
        return each_its_own(wanted, &found.iter().collect::<Vec<_>>());
    }
    wanted.len() == found.len()
        && wanted.iter().zip(found).all(|(wanted, found)| matches(wanted, Some(found)))
}

/// Whether every wanted item has an item of its own.
fn each_its_own(wanted: &[Value], found: &[&Value]) -> bool {
    let Some((first, rest)) = wanted.split_first() else { return true };
    found.iter().enumerate().filter(|(_, item)| matches(first, Some(item))).any(|(index, _)| {
        let others: Vec<&Value> =
            found.iter().enumerate().filter(|(at, _)| *at != index).map(|(_, item)| *item).collect();
        each_its_own(rest, &others)
    })
}

fn scalar(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// The value at `spec.containers[0].env`.
pub(crate) fn at<'v>(value: &'v Value, path: &str) -> Option<&'v Value> {
    path.split('.').try_fold(value, |value, step| {
        let (key, index) = match step.split_once('[') {
            Some((key, rest)) => (key, rest.trim_end_matches(']').parse::<usize>().ok()),
            None => (step, None),
        };
        let value = value.get(key)?;
        index.map_or(Some(value), |index| value.get(index))
    })
}
