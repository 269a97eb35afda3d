//! The parts of a schema.

use serde_json::Value;

/// Keywords whose value is one schema.
pub(super) const ONE: [&str; 11] = [
    "additionalProperties",
    "contains",
    "contentSchema",
    "else",
    "if",
    "items",
    "not",
    "propertyNames",
    "then",
    "unevaluatedItems",
    "unevaluatedProperties",
];
/// Keywords whose value is a list of schemas.
pub(super) const LISTS: [&str; 4] = ["allOf", "anyOf", "oneOf", "prefixItems"];
/// Keywords whose value is a mapping of schemas.
pub(super) const MAPS: [&str; 4] = ["$defs", "dependentSchemas", "patternProperties", "properties"];

/// Every schema directly inside `schema`, with its place.
pub(super) fn parts(schema: &Value) -> Vec<(String, &Value)> {
    let Some(keywords) = schema.as_object() else { return Vec::new() };
    let mut parts = Vec::new();
    for (keyword, value) in keywords {
        match value {
            _ if ONE.contains(&keyword.as_str()) => parts.push((format!("/{keyword}"), value)),
            Value::Array(items) if LISTS.contains(&keyword.as_str()) => {
                parts.extend(
                    items.iter().enumerate().map(|(index, item)| (format!("/{keyword}/{index}"), item)),
                );
            }
            Value::Object(named) if MAPS.contains(&keyword.as_str()) => {
                parts.extend(named.iter().map(|(name, item)| (format!("/{keyword}/{name}"), item)));
            }
            _ => {}
        }
    }
    parts
}

/// The schema that the reference of `schema` names, if it has one.
pub(super) fn referenced<'a>(root: &'a Value, schema: &Value) -> Option<&'a Value> {
    let name = schema.get("$ref")?.as_str()?.strip_prefix("#/$defs/")?;
    root.get("$defs")?.get(name)
}

/// `schema` with its reference followed.
pub(super) fn resolved<'a>(root: &'a Value, schema: &'a Value) -> &'a Value {
    let mut schema = schema;
    while let Some(target) = referenced(root, schema) {
        schema = target;
    }
    schema
}

/// The schema at a JSON pointer that may lead through references.
pub(super) fn at<'a>(root: &'a Value, pointer: &str) -> Option<&'a Value> {
    let mut found = root;
    for token in pointer.split('/').skip(1) {
        let token = token.replace("~1", "/").replace("~0", "~");
        found = match found {
            _ if token == "$ref" => referenced(root, found)?,
            Value::Array(items) => items.get(token.parse::<usize>().ok()?)?,
            other => other.get(&token)?,
        };
    }
    Some(found)
}
