//! `values.schema.json` is read by Helm, which would fetch what it refers to.

use std::collections::BTreeSet;

use serde_json::Value;
use slipway_types::{Place, Violation};

use crate::request::Request;

const REFERENCES: [&str; 3] = ["$ref", "$dynamicRef", "$recursiveRef"];

/// What a schema refers to outside of itself.
pub(crate) fn check(file: &str, bytes: &[u8], request: &Request<'_>) -> Vec<Violation> {
    let place = |line, column| Some(Place { file: file.to_owned(), line, column });
    let schema: Value = match serde_json::from_slice(bytes) {
        Ok(schema) => schema,
        Err(error) => {
            let message = format!("{file} is not JSON: {error}");
            return vec![
                request.whole("invalid_chart", message).at(place(error.line(), error.column().max(1))),
            ];
        }
    };
    let (mut ids, mut references) = (BTreeSet::new(), BTreeSet::new());
    collect(&schema, &mut ids, &mut references);
    let outside = references.into_iter().filter(|reference| {
        let document = reference.split('#').next().unwrap_or_default();
        !document.is_empty() && !ids.contains(document) && !is_meta_schema(document)
    });
    outside
        .map(|reference| {
            let shown: String = reference.chars().take(200).collect();
            request
                .whole("invalid_chart", format!("{file} refers to `{shown}`, which is not in it"))
                .at(place(1, 1))
                .hint("copy it into the schema under `$defs`: nothing is fetched here")
        })
        .collect()
}

/// Those that every validator knows.
fn is_meta_schema(document: &str) -> bool {
    ["http://json-schema.org/draft-0", "https://json-schema.org/draft/20"]
        .iter()
        .any(|known| document.starts_with(known))
}

fn collect<'a>(schema: &'a Value, ids: &mut BTreeSet<&'a str>, references: &mut BTreeSet<&'a str>) {
    match schema {
        Value::Array(items) => items.iter().for_each(|item| collect(item, ids, references)),
        Value::Object(map) => {
            for (key, value) in map {
                match value.as_str() {
                    Some(text) if REFERENCES.contains(&key.as_str()) || key == "$schema" => {
                        _ = references.insert(text);
                    }
                    Some(text) if key == "$id" => _ = ids.insert(text.trim_end_matches('#')),
                    _ => collect(value, ids, references),
                }
            }
        }
        _ => {}
    }
}
