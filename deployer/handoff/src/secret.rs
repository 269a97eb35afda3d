//! Secrets in a revision: where a reference stands, never a value.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use slipway_types::{SecretReference, SecretScope};

use crate::node::ObjectRef;

/// The key of the mapping that stands for a secret's value: `{"$secret": "secret://…"}`.
pub const MARKER: &str = "$secret";

/// A secret that the graph uses: its reference and version, never its value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SecretUse {
    /// Where it is kept.
    pub reference: SecretReference,
    /// Which scope had it, for a built-in one. Absent in revisions of before there were scopes: global.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<SecretScope>,
    /// The version that was frozen. It counts in its scope.
    pub version: String,
    /// Where its value goes.
    pub used_in: Vec<SecretPlace>,
}

/// A key of a Secret object. The value is the secret's bytes; `data` of the applied object holds them
/// in base64.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SecretPlace {
    /// The Secret.
    pub object: ObjectRef,
    /// The key in its data.
    pub key: String,
}

/// The reference that `value` stands for, if it is a marker; an error if it is one gone wrong.
pub fn marker(value: &Value) -> Option<Result<SecretReference, String>> {
    let map = value.as_object()?;
    let reference = map.get(MARKER)?;
    let alone = map.len() == 1;
    let parsed = reference.as_str().filter(|_| alone).map(str::parse::<SecretReference>);
    Some(match parsed {
        Some(Ok(reference)) => Ok(reference),
        Some(Err(error)) => Err(error.to_string()),
        None => Err(format!("expected {{\"{MARKER}\": \"secret://…\"}} and nothing beside it")),
    })
}

/// Something about secrets in an object that must not be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Misuse {
    /// Where in the object.
    pub(crate) path: String,
    /// What is wrong.
    pub(crate) why: String,
    /// Whether a value stands in the clear.
    pub(crate) clear: bool,
}

/// The references in an object by data key, and what is wrong with its secrets.
pub(crate) fn references(
    object: &ObjectRef,
    manifest: &Value,
) -> (Vec<(String, SecretReference)>, Vec<Misuse>) {
    let (mut found, mut wrong) = (Vec::new(), Vec::new());
    let empty = Map::new();
    for (key, value) in manifest.as_object().unwrap_or(&empty) {
        let is_data = object.is_secret() && matches!(key.as_str(), "data" | "stringData");
        match value.as_object().filter(|_| is_data) {
            Some(data) => data.iter().for_each(|(name, value)| {
                let path = format!("{key}.{name}");
                match marker(value) {
                    Some(Ok(reference)) => found.push((name.clone(), reference)),
                    Some(Err(why)) => wrong.push(Misuse { path, why, clear: false }),
                    None => {
                        let why = "a value stands here in the clear".to_owned();
                        wrong.push(Misuse { path, why, clear: true });
                    }
                }
            }),
            None => stray_markers(value, key, &mut wrong),
        }
    }
    (found, wrong)
}

fn stray_markers(value: &Value, path: &str, wrong: &mut Vec<Misuse>) {
    if marker(value).is_some() {
        let why = "a secret may stand only in data or stringData of a Secret".to_owned();
        wrong.push(Misuse { path: path.to_owned(), why, clear: false });
        return;
    }
    match value {
        Value::Object(map) => {
            map.iter().for_each(|(key, value)| stray_markers(value, &format!("{path}.{key}"), wrong));
        }
        Value::Array(items) => {
            items
                .iter()
                .enumerate()
                .for_each(|(at, value)| stray_markers(value, &format!("{path}[{at}]"), wrong));
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(object: Value) -> (Vec<(String, SecretReference)>, Vec<Misuse>) {
        references(&ObjectRef::of(&object).unwrap(), &object)
    }

    #[test]
    fn references_are_found_in_both_data_fields() {
        let (found, wrong) = check(json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"},
            "data": {"a": {"$secret": "secret://builtin/a"}},
            "stringData": {"b": {"$secret": "secret://builtin/b#x"}},
        }));
        assert_eq!(found.len(), 2);
        assert_eq!(found[1].1.to_string(), "secret://builtin/b#x");
        assert!(wrong.is_empty(), "{wrong:?}");
    }

    #[test]
    fn values_in_the_clear_and_stray_markers_are_told() {
        let (_, wrong) = check(json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s", "annotations": {"x": {"$secret": "secret://builtin/a"}}},
            "data": {"a": "aGVsbG8=", "b": {"$secret": "nonsense"}, "c": {"$secret": "secret://builtin/a", "more": 1}},
        }));
        let paths: Vec<(&str, bool)> =
            wrong.iter().map(|misuse| (misuse.path.as_str(), misuse.clear)).collect();
        assert_eq!(
            paths,
            [("data.a", true), ("data.b", false), ("data.c", false), ("metadata.annotations.x", false)]
        );
        let (_, wrong) = check(json!({
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "s"},
            "data": {"a": "plain", "b": {"$secret": "secret://builtin/a"}},
            "list": [{"$secret": 1}],
        }));
        let paths: Vec<&str> = wrong.iter().map(|misuse| misuse.path.as_str()).collect();
        assert_eq!(paths, ["data.b", "list[0]"]);
    }
}
