//! Whether an object in the cluster is as wanted already, so that the API server need not be asked what apply
//! would make of it.
//!
//! Server-side apply changes an object where the manifest has another value, or where the writer once applied
//! a field that its manifest no longer has
//! (<https://kubernetes.io/docs/reference/using-api/server-side-apply/>, "field management"). Where neither
//! is so it changes nothing. What cannot be told from here, such as a quantity written otherwise, counts as
//! different: then the API server is asked.

use serde_json::{Map, Value};

/// Whether applying `wanted` as `writer` leaves the values of `live` as they are.
pub fn is_as_wanted(live: &Value, wanted: &Value, writer: &str) -> bool {
    has_all(live, wanted) && owned_by(live, writer).all(|fields| is_kept(fields, wanted))
}

/// Whether every value of `wanted` is in `live` at the same place.
fn has_all(live: &Value, wanted: &Value) -> bool {
    match (live, wanted) {
        (Value::Object(live), Value::Object(wanted)) => {
            wanted.iter().all(|(key, wanted)| live.get(key).is_some_and(|live| has_all(live, wanted)))
        }
        (Value::Array(live), Value::Array(wanted)) => {
            live.len() == wanted.len() && live.iter().zip(wanted).all(|(live, wanted)| has_all(live, wanted))
        }
        _ => live == wanted,
    }
}

/// The sets of fields that `writer` has applied.
fn owned_by<'a>(live: &'a Value, writer: &str) -> impl Iterator<Item = &'a Map<String, Value>> {
    let entries = live.pointer("/metadata/managedFields").and_then(Value::as_array).into_iter().flatten();
    let own = entries.filter(move |entry| entry["manager"] == writer && entry["operation"] == "Apply");
    own.filter_map(|entry| entry["fieldsV1"].as_object())
}

/// Whether the manifest still has every field of a set, as
/// <https://github.com/kubernetes-sigs/structured-merge-diff> writes them: `f:NAME` a field, `k:{…}` an item by
/// its keys, `v:…` an item by its value, `i:N` by its index, `.` the thing itself.
fn is_kept(fields: &Map<String, Value>, wanted: &Value) -> bool {
    fields.iter().all(|(step, below)| {
        let Some(below) = below.as_object() else { return false };
        match step.split_once(':') {
            None => step == ".",
            Some(("f", name)) => wanted.get(name).is_some_and(|wanted| is_kept(below, wanted)),
            Some(("k", keys)) => item_of(wanted, keys).is_some_and(|wanted| is_kept(below, wanted)),
            Some(("v", value)) => {
                let value = serde_json::from_str::<Value>(value).ok();
                wanted.as_array().is_some_and(|items| items.iter().any(|item| Some(item) == value.as_ref()))
            }
            Some(("i", index)) => {
                let item = index.parse().ok().and_then(|index: usize| wanted.get(index));
                item.is_some_and(|wanted| is_kept(below, wanted))
            }
            Some(_) => false,
        }
    })
}

/// The item of a list that has these keys; one that it does not say, the API server fills in.
fn item_of<'a>(list: &'a Value, keys: &str) -> Option<&'a Value> {
    let keys: Map<String, Value> = serde_json::from_str(keys).ok()?;
    let is_it =
        |item: &&Value| keys.iter().all(|(key, value)| item.get(key).is_none_or(|said| said == value));
    list.as_array()?.iter().find(is_it)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn live() -> Value {
        json!({
            "kind": "Deployment",
            "metadata": {"name": "web", "uid": "1", "managedFields": [
                {"manager": "slipway", "operation": "Apply", "fieldsV1": {
                    "f:metadata": {"f:labels": {"f:app": {}}},
                    "f:spec": {
                        "f:replicas": {},
                        "f:template": {"f:spec": {"f:containers": {
                            "k:{\"name\":\"web\"}": {".": {}, "f:image": {}, "f:name": {}, "f:ports": {
                                "k:{\"containerPort\":80,\"protocol\":\"TCP\"}": {".": {}, "f:containerPort": {}}
                            }}
                        }}},
                        "f:finalizers": {"v:\"a\"": {}}
                    }
                }},
                {"manager": "other", "operation": "Apply", "fieldsV1": {"f:spec": {"f:paused": {}}}}
            ]},
            "spec": {
                "replicas": 2, "paused": false, "finalizers": ["a"],
                "template": {"spec": {"containers": [
                    {"name": "web", "image": "i:1", "ports": [{"containerPort": 80, "protocol": "TCP"}], "tty": false}
                ]}}
            }
        })
    }

    fn wanted() -> Value {
        json!({
            "kind": "Deployment",
            "metadata": {"name": "web", "labels": {"app": "web"}},
            "spec": {
                "replicas": 2, "finalizers": ["a"],
                "template": {"spec": {"containers": [
                    {"name": "web", "image": "i:1", "ports": [{"containerPort": 80}]}
                ]}}
            }
        })
    }

    fn with(pointer: &str, value: Value) -> Value {
        let mut object = wanted();
        *object.pointer_mut(pointer).unwrap() = value;
        object
    }

    #[test]
    fn a_value_that_is_missing_or_other_is_a_difference() {
        let mut labelled = live();
        assert!(!is_as_wanted(&labelled, &wanted(), "slipway"), "the label is missing");
        labelled["metadata"]["labels"] = json!({"app": "web", "team": "a"});
        assert!(is_as_wanted(&labelled, &wanted(), "slipway"));
        for (pointer, value) in [
            ("/spec/replicas", json!(3)),
            ("/spec/finalizers", json!(["a", "b"])),
            ("/spec/template/spec/containers/0/image", json!("i:2")),
            ("/spec/template/spec/containers/0/ports/0", json!({"containerPort": 80, "name": "http"})),
        ] {
            assert!(!is_as_wanted(&labelled, &with(pointer, value), "slipway"), "{pointer}");
        }
    }

    #[test]
    fn a_field_that_was_applied_and_is_no_longer_wanted_is_a_difference() {
        let mut live = live();
        live["metadata"]["labels"] = json!({"app": "web"});
        for (parent, field) in [
            ("/spec", "replicas"),
            ("/metadata", "labels"),
            ("/spec/template/spec/containers/0", "image"),
            ("/spec/template/spec/containers/0", "ports"),
            ("/spec", "finalizers"),
        ] {
            let mut less = wanted();
            less.pointer_mut(parent).and_then(Value::as_object_mut).unwrap().remove(field);
            assert!(!is_as_wanted(&live, &less, "slipway"), "{parent}/{field}");
            assert!(is_as_wanted(&live, &less, "nobody"), "{parent}/{field} is another's");
        }
    }
}
