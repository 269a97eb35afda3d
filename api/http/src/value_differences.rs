//! Where two JSON values differ, place by place.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

/// The longest text of a value that is shown, in characters.
const TEXT_CHARS_MAX: usize = 2000;

/// Of values with more places than these, only the first level is told apart.
const PLACES_MAX: usize = 20_000;
/// What lies below a longer path is compared as a whole, in bytes: each place below would repeat it.
const PATH_BYTES_MAX: usize = 400;

/// A place where two values differ.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct Difference {
    /// `a.b[name].c`; long ones are cut.
    pub(crate) path: String,
    /// What stood there; absent: nothing.
    pub(crate) from: Option<String>,
    /// What stands there.
    pub(crate) to: Option<String>,
}

/// Every place where two values differ, by path.
pub(crate) fn differences(from: &Value, to: &Value) -> Vec<Difference> {
    let (mut before, mut after) = (BTreeMap::new(), BTreeMap::new());
    let is_deep = places(from) <= PLACES_MAX && places(to) <= PLACES_MAX;
    leaves(String::new(), from, is_deep, &mut before);
    leaves(String::new(), to, is_deep, &mut after);
    of_texts(&before, &after)
}

/// Every key whose text differs.
pub(crate) fn of_texts(
    before: &BTreeMap<String, String>,
    after: &BTreeMap<String, String>,
) -> Vec<Difference> {
    let paths: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let changed = paths.into_iter().filter(|path| before.get(*path) != after.get(*path));
    let difference = |path: &String| Difference {
        path: cut(path),
        from: before.get(path).map(|text| cut(text)),
        to: after.get(path).map(|text| cut(text)),
    };
    changed.map(difference).collect()
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(TEXT_CHARS_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// What is no list and no object, by its path. Items of a list that all have a name of their own are found by it, so
/// that one more of them does not make all that follow differ.
fn leaves(path: String, value: &Value, is_deep: bool, found: &mut BTreeMap<String, String>) {
    let goes_on = path.is_empty() || (is_deep && path.len() <= PATH_BYTES_MAX);
    match value {
        Value::Object(fields) if goes_on && !fields.is_empty() => {
            for (key, value) in fields {
                let below = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                leaves(below, value, is_deep, found);
            }
        }
        Value::Array(items) if goes_on && !items.is_empty() => {
            let names = names_of(items);
            for (place, value) in items.iter().enumerate() {
                let name = names.get(place).map_or_else(|| place.to_string(), |name| (*name).to_owned());
                leaves(format!("{path}[{name}]"), value, is_deep, found);
            }
        }
        // Nothing was declared at all.
        Value::Null | Value::Object(_) | Value::Array(_) if path.is_empty() => {}
        Value::String(text) => {
            found.insert(path, text.clone());
        }
        other => {
            found.insert(path, other.to_string());
        }
    }
}

/// How many places of a value have a path of their own.
fn places(value: &Value) -> usize {
    match value {
        Value::Object(fields) => fields.values().map(places).sum::<usize>().max(1),
        Value::Array(items) => items.iter().map(places).sum::<usize>().max(1),
        _ => 1,
    }
}

/// The names of a list's items, if each has one and no two have the same.
fn names_of(items: &[Value]) -> Vec<&str> {
    let names: Vec<&str> = items.iter().filter_map(|item| item.get("name")?.as_str()).collect();
    let distinct: BTreeSet<&str> = names.iter().copied().collect();
    if distinct.len() == items.len() { names } else { Vec::new() }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn told(from: &Value, to: &Value) -> Vec<String> {
        let text = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
        let line = |one: Difference| format!("{} {} {}", one.path, text(one.from), text(one.to));
        differences(from, to).into_iter().map(line).collect()
    }

    #[test]
    fn paths_take_no_more_than_what_they_are_of() {
        let key = "k".repeat(200_000);
        let list = |last: i64| (0..5000).chain([last]).collect::<Vec<_>>();
        let found = differences(&json!({key.as_str(): list(1)}), &json!({key.as_str(): list(2)}));
        assert_eq!(found.len(), 1, "below a long path it is one place");
        assert!(found[0].path.chars().count() <= TEXT_CHARS_MAX + 1 && found[0].from.is_some());
        let many = |last: i64| json!({"a": vec![0; PLACES_MAX + 1], "b": {"c": last}});
        assert_eq!(told(&many(1), &many(2)), ["b {\"c\":1} {\"c\":2}"]);
    }

    #[test]
    fn what_differs_is_told_by_its_place() {
        for (from, to, wanted) in [
            (json!({"a": 1}), json!({"a": 1}), vec![]),
            (json!({"a": 1}), json!({"a": 2, "b": "x"}), vec!["a 1 2", "b - x"]),
            (json!({"a": {"b": true}}), json!({"a": {}}), vec!["a - {}", "a.b true -"]),
            (json!([1, 2]), json!([1]), vec!["[1] 2 -"]),
            (json!(null), json!({"type": "web"}), vec!["type - web"]),
            (json!({"a": null}), json!({}), vec!["a null -"]),
            (json!({"a": "1"}), json!({"a": "<b>"}), vec!["a 1 <b>"]),
        ] {
            assert_eq!(told(&from, &to), wanted, "{from} {to}");
        }
    }

    #[test]
    fn named_items_are_compared_with_their_namesakes() {
        let from = json!({"env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]});
        let to = json!({"env": [{"name": "N", "value": "0"}, {"name": "A", "value": "1"}, {"name": "B", "value": "3"}]});
        assert_eq!(told(&from, &to), ["env[B].value 2 3", "env[N].name - N", "env[N].value - 0"]);
        let twice = json!([{"name": "A", "x": 1}, {"name": "A", "x": 2}]);
        assert_eq!(told(&twice, &json!([{"name": "A", "x": 1}, {"name": "A", "x": 3}])), ["[1].x 2 3"]);
    }

    #[test]
    fn long_values_are_cut_between_characters() {
        let found = differences(&json!({}), &json!({"a": "ü".repeat(5000)}));
        assert_eq!(found[0].to.as_ref().unwrap().chars().count(), TEXT_CHARS_MAX + 1);
    }
}
