//! What a schema may not contain, because it is checked in the server itself.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{InvalidSchema, walk};

const DIALECT: &str = "https://json-schema.org/draft/2020-12/schema";
const DEPTH_MAX: usize = 32;
const SCHEMAS_MAX: u64 = 20_000;
/// A compiled pattern takes as much as so many schemas.
const PATTERN_WEIGHT: u64 = 100;
/// They name schemas in ways that are not followed here.
const REFUSED: [&str; 7] =
    ["$id", "$anchor", "$dynamicRef", "$dynamicAnchor", "$recursiveRef", "$recursiveAnchor", "$vocabulary"];

pub(super) fn check(root: &Value) -> Result<(), InvalidSchema> {
    let wrong = |message: &str| Err(InvalidSchema { path: "/".to_owned(), message: message.to_owned() });
    let Some(keywords) = root.as_object() else { return wrong("a schema is an object") };
    if keywords.get("$schema").is_some_and(|dialect| dialect != DIALECT) {
        return wrong(&format!("`$schema` must be `{DIALECT}`"));
    }
    if keywords.get("type").is_none_or(|kind| kind != "object") {
        return wrong("properties are an object: write `\"type\": \"object\"`");
    }
    if !keywords.contains_key("additionalProperties") {
        return wrong("say what unknown properties mean: write `\"additionalProperties\": false`");
    }
    measure(root)
}

/// Checks how many schemas `root` comes to with all references written out, and how deep they nest.
pub(super) fn measure(root: &Value) -> Result<(), InvalidSchema> {
    let mut reading = Reading { root, definitions: BTreeMap::new() };
    reading.size(root, "", 0).map(drop)
}

/// How many patterns stand in a schema itself.
fn patterns(schema: &Value) -> u64 {
    let named = schema.get("patternProperties").and_then(Value::as_object);
    u64::from(schema.get("pattern").is_some()) + named.map_or(0, |named| named.len() as u64)
}

struct Reading<'a> {
    root: &'a Value,
    /// How many schemas each definition comes to; `None` while it is being counted.
    definitions: BTreeMap<&'a str, Option<(u64, usize)>>,
}

impl<'a> Reading<'a> {
    /// How many schemas `schema` comes to with all references written out, and how deep they lie.
    fn size(&mut self, schema: &'a Value, path: &str, depth: usize) -> Result<(u64, usize), InvalidSchema> {
        let wrong = |message: String| {
            let path = if path.is_empty() { "/" } else { path };
            Err(InvalidSchema { path: path.to_owned(), message })
        };
        if let Some(keyword) = REFUSED.iter().find(|keyword| schema.get(**keyword).is_some()) {
            return wrong(format!("`{keyword}` is not allowed"));
        }
        let (mut size, mut deepest) = (1 + PATTERN_WEIGHT * patterns(schema), 0);
        if let Some(reference) = schema.get("$ref") {
            let (more, below) = self.definition(reference.as_str().unwrap_or_default(), path, depth)?;
            (size, deepest) = (size + more, below + 1);
        }
        for (place, part) in walk::parts(schema) {
            if place.starts_with("/$defs/") && !path.is_empty() {
                return wrong("`$defs` stands only at the top".to_owned());
            }
            let (more, below) = self.size(part, &format!("{path}{place}"), depth + 1)?;
            size = u64::saturating_add(size, more);
            deepest = deepest.max(below + 1);
        }
        if depth + deepest > DEPTH_MAX {
            return wrong(format!("schemas nest more than {DEPTH_MAX} deep"));
        }
        if size > SCHEMAS_MAX {
            return wrong(format!(
                "with its references written out it holds more than {SCHEMAS_MAX} schemas, a pattern counting \
                 for {PATTERN_WEIGHT}"
            ));
        }
        Ok((size, deepest))
    }

    fn definition(
        &mut self,
        reference: &str,
        path: &str,
        depth: usize,
    ) -> Result<(u64, usize), InvalidSchema> {
        let wrong = |message: String| Err(InvalidSchema { path: format!("{path}/$ref"), message });
        let found = reference.strip_prefix("#/$defs/").and_then(|name| {
            let definitions = self.root.get("$defs")?.as_object()?;
            definitions.get_key_value(name)
        });
        let Some((name, schema)) = found else {
            let shown = crate::suggestion::shortened(reference);
            return wrong(format!("`{shown}` is none of the schemas at `#/$defs/`"));
        };
        match self.definitions.get(name.as_str()) {
            Some(Some(size)) => return Ok(*size),
            Some(None) => return wrong(format!("`{reference}` refers to itself")),
            None => {}
        }
        self.definitions.insert(name, None);
        let size = self.size(schema, &format!("/$defs/{name}"), depth + 1)?;
        self.definitions.insert(name, Some(size));
        Ok(size)
    }
}
