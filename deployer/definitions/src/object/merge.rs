//! One object's fields written into another, as server-side apply would.

use serde_json::{Map, Value};

use super::leaves::PATCH;
use super::lists;

/// Writes the fields of `partial` into `object`: maps deep, lists with keys item by item, all else as
/// one value. Items marked `$patch: delete` go, those marked `$patch: replace` are exchanged.
pub fn merge(object: &mut Value, partial: &Value) {
    let kind = object.get("kind").or_else(|| partial.get("kind")).and_then(Value::as_str).unwrap_or_default();
    let kind = kind.to_owned();
    merge_value(&kind, "", object, partial);
}

fn merge_value(kind: &str, field: &str, into: &mut Value, from: &Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => merge_fields(kind, into, from),
        (Value::Array(into), Value::Array(from)) if both_keyed(kind, field, into, from) => {
            merge_items(kind, field, into, from);
        }
        (into, from) => *into = settled(kind, field, from),
    }
}

fn merge_fields(kind: &str, into: &mut Map<String, Value>, from: &Map<String, Value>) {
    for (field, value) in from {
        match into.get_mut(field) {
            Some(known) => merge_value(kind, field, known, value),
            None => {
                into.insert(field.clone(), settled(kind, field, value));
            }
        }
    }
}

fn both_keyed(kind: &str, field: &str, into: &[Value], from: &[Value]) -> bool {
    lists::keyed_items(kind, field, into).is_some() && lists::keyed_items(kind, field, from).is_some()
}

fn merge_items(kind: &str, field: &str, into: &mut Vec<Value>, from: &[Value]) {
    let Some(keys) = lists::key_fields(kind, field) else { return };
    for item in from {
        let key = lists::item_key(keys, item);
        let place = into.iter().position(|known| lists::item_key(keys, known) == key);
        match (item.get(PATCH).and_then(Value::as_str), place) {
            (Some("delete"), Some(place)) => {
                into.remove(place);
            }
            (Some("delete"), None) => {}
            (Some(_), Some(place)) => into[place] = settled(kind, "", item),
            (None, Some(place)) => merge_value(kind, "", &mut into[place], item),
            (_, None) => into.push(settled(kind, "", item)),
        }
    }
}

/// `value` as it stands where nothing stood before: without marks that speak of what was there.
fn settled(kind: &str, field: &str, value: &Value) -> Value {
    match value {
        Value::Object(fields) => fields
            .iter()
            .filter(|(field, _)| *field != PATCH)
            .map(|(field, value)| (field.clone(), settled(kind, field, value)))
            .collect(),
        Value::Array(items) if lists::key_fields(kind, field).is_some() => items
            .iter()
            .filter(|item| item.get(PATCH).and_then(Value::as_str) != Some("delete"))
            .map(|item| settled(kind, "", item))
            .collect(),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn merged(mut object: Value, partial: Value) -> Value {
        merge(&mut object, &partial);
        object
    }

    #[test]
    fn lists_with_keys_merge_item_by_item() {
        let object = json!({"kind": "Deployment", "spec": {"containers": [
            {"name": "web", "image": "i", "ports": [{"containerPort": 80}], "args": ["a"]}]}});
        let partial = json!({"kind": "Deployment", "spec": {"containers": [
            {"name": "side", "image": "s"},
            {"name": "web", "ports": [{"containerPort": 80, "protocol": "TCP", "name": "http"},
                {"containerPort": 80, "protocol": "UDP"}], "args": ["b"]}]}});
        assert_eq!(
            merged(object, partial),
            json!({"kind": "Deployment", "spec": {"containers": [
                {"name": "web", "image": "i", "args": ["b"], "ports": [
                    {"containerPort": 80, "protocol": "TCP", "name": "http"},
                    {"containerPort": 80, "protocol": "UDP"}]},
                {"name": "side", "image": "s"}]}})
        );
    }

    #[test]
    fn a_service_knows_its_ports_by_another_key() {
        let service = |ports: Value| json!({"kind": "Service", "spec": {"ports": ports}});
        assert_eq!(
            merged(
                service(json!([{"port": 80}])),
                service(json!([{"port": 80, "targetPort": 8080}, {"port": 81}]))
            ),
            service(json!([{"port": 80, "targetPort": 8080}, {"port": 81}]))
        );
    }

    #[test]
    fn marked_items_go_or_are_exchanged() {
        let env = |items: Value| json!({"kind": "Pod", "env": items});
        let before = env(json!([{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]));
        let marks = env(json!([{"name": "A", "$patch": "replace", "valueFrom": {"x": 1}},
            {"name": "B", "$patch": "delete"}, {"name": "C", "$patch": "delete"}, {"name": "D", "$patch": "replace"}]));
        let after = env(json!([{"name": "A", "valueFrom": {"x": 1}}, {"name": "D"}]));
        assert_eq!(merged(before, marks.clone()), after);
        assert_eq!(merged(json!({"kind": "Pod"}), marks), after);
    }
}
