//! Merging what an operator wants into a pod template.

use serde_json::Value;

/// Merges `over` into `base`: objects by key (`null` removes), lists whose elements all have a `name` by
/// that name, everything else replaced. Close to Kubernetes' strategic merge, without its schema.
pub(super) fn merge(base: &mut Value, over: &Value) {
    match (base, over) {
        (Value::Object(base), Value::Object(over)) => {
            for (key, value) in over {
                if value.is_null() {
                    base.remove(key);
                } else {
                    merge(base.entry(key.as_str()).or_insert(Value::Null), value);
                }
            }
        }
        (Value::Array(base), Value::Array(over)) if all_named(base) && all_named(over) => {
            for value in over {
                match base.iter_mut().find(|have| have["name"] == value["name"]) {
                    Some(have) => merge(have, value),
                    None => base.push(value.clone()),
                }
            }
        }
        (base, over) => *base = over.clone(),
    }
}

fn all_named(list: &[Value]) -> bool {
    list.iter().all(|value| value["name"].is_string())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn objects_merge_by_key_named_lists_by_name_and_the_rest_is_replaced() {
        let mut base = json!({
            "spec": {
                "restartPolicy": "Never",
                "priorityClassName": "low",
                "containers": [{"name": "kaniko", "image": "k", "args": ["a", "b"]}],
            },
        });
        let over = json!({
            "metadata": {"annotations": {"a": "b"}},
            "spec": {
                "priorityClassName": null,
                "containers": [{"name": "kaniko", "args": ["c"]}, {"name": "side", "image": "s"}],
            },
        });
        merge(&mut base, &over);
        let merged = json!({
            "metadata": {"annotations": {"a": "b"}},
            "spec": {
                "restartPolicy": "Never",
                "containers": [
                    {"name": "kaniko", "image": "k", "args": ["c"]},
                    {"name": "side", "image": "s"},
                ],
            },
        });
        assert_eq!(base, merged);
    }
}
