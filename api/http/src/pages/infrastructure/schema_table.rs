//! The schema of a definition's properties as a table: one row for each property, nested ones by their path.

use std::collections::BTreeMap;

use serde_json::Value;

/// Most rows of one table.
const ROWS_MAX: usize = 300;
/// How deep properties are followed.
const DEPTH_MAX: usize = 8;
/// Keywords that limit a value, in the order in which they are told.
const LIMITS: [&str; 13] = [
    "const",
    "enum",
    "minimum",
    "exclusiveMinimum",
    "maximum",
    "exclusiveMaximum",
    "multipleOf",
    "minLength",
    "maxLength",
    "pattern",
    "format",
    "minItems",
    "maxItems",
];

/// A property.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SchemaRow {
    /// `a.b` in an object, `a[]` in a list, `a.*` under any key.
    pub(super) path: String,
    /// Of which type, in words of JSON; `object = a.b`: what it holds is told at `a.b`.
    pub(super) kind: String,
    pub(super) required: bool,
    pub(super) default: Option<String>,
    /// What its value must keep to, by keyword.
    pub(super) limits: Vec<String>,
    pub(super) description: String,
}

struct Walk<'s> {
    root: &'s Value,
    rows: Vec<SchemaRow>,
    /// Where the members of a named schema are told, by its name: pod specs name the same again and again.
    told: BTreeMap<&'s str, String>,
}

/// The properties that a schema describes, at most 300.
pub(super) fn rows_of(schema: &Value) -> Vec<SchemaRow> {
    let mut walk = Walk { root: schema, rows: Vec::new(), told: BTreeMap::new() };
    walk.members("", schema, 0);
    walk.rows
}

impl<'s> Walk<'s> {
    /// What a reference names: definitions have no others than into their own `$defs`.
    fn named(&self, schema: &'s Value) -> Option<(&'s str, &'s Value)> {
        let name = schema.get("$ref")?.as_str()?.strip_prefix("#/$defs/")?;
        Some((name, self.root.get("$defs")?.get(name)?))
    }

    fn resolved(&self, schema: &'s Value) -> &'s Value {
        self.named(schema).map_or(schema, |(_, named)| named)
    }

    /// Where the members of what `schema` names are told already; if nowhere, they are told at `path`.
    fn told_at(&mut self, schema: &'s Value, path: &str) -> Option<String> {
        let (name, named) = self.named(schema)?;
        let has = |keyword: &str| named.get(keyword).is_some_and(Value::is_object);
        if !["properties", "additionalProperties", "items"].into_iter().any(has) {
            return None;
        }
        let before = self.told.get(name).cloned();
        if before.is_none() {
            self.told.insert(name, path.to_owned());
        }
        before
    }

    fn members(&mut self, path: &str, schema: &'s Value, depth: usize) {
        let under = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
        let required = schema.get("required").and_then(Value::as_array);
        let is_required = |name: &str| required.is_some_and(|all| all.iter().any(|one| one == name));
        for (name, member) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
            self.row(under(name), member, is_required(name), depth);
        }
        if let Some(any) = schema.get("additionalProperties").filter(|any| any.is_object()) {
            self.row(under("*"), any, false, depth);
        }
    }

    fn row(&mut self, path: String, schema: &'s Value, required: bool, depth: usize) {
        if self.rows.len() >= ROWS_MAX {
            return;
        }
        let meant = self.resolved(schema);
        // What stands beside a reference goes before what it names.
        let said = |keyword: &str| schema.get(keyword).or_else(|| meant.get(keyword));
        let limit = |keyword: &&str| Some(format!("{keyword}: {}", shown(said(keyword)?)));
        let limits = LIMITS.iter().filter_map(limit).collect();
        let (below, items) = (format!("{path}[]"), meant.get("items"));
        let goes_on = depth < DEPTH_MAX;
        let mut before = None;
        if goes_on {
            before = self.told_at(schema, &path);
            before = before.or_else(|| self.told_at(items?, &below));
        }
        let kind = self.kind(meant);
        self.rows.push(SchemaRow {
            kind: before.as_ref().map_or_else(|| kind.clone(), |before| format!("{kind} = {before}")),
            required,
            default: said("default").map(Value::to_string),
            limits,
            description: said("description").and_then(Value::as_str).unwrap_or_default().to_owned(),
            path: path.clone(),
        });
        if goes_on && before.is_none() {
            self.members(&path, meant, depth + 1);
            if let Some(items) = items {
                self.members(&below, self.resolved(items), depth + 1);
            }
        }
    }

    fn kind(&self, schema: &'s Value) -> String {
        let either = ["oneOf", "anyOf"].iter().find_map(|keyword| schema.get(*keyword)?.as_array());
        match schema.get("type") {
            Some(Value::String(kind)) if kind == "array" => match schema.get("items") {
                Some(items) => format!("array of {}", kind_once(self.resolved(items))),
                None => kind.clone(),
            },
            Some(Value::String(kind)) => kind.clone(),
            Some(Value::Array(kinds)) => {
                kinds.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" | ")
            }
            _ => match either {
                Some(schemas) => {
                    let mut kinds: Vec<_> = schemas.iter().map(|one| kind_once(self.resolved(one))).collect();
                    kinds.dedup();
                    kinds.join(" | ")
                }
                None => "any".to_owned(),
            },
        }
    }
}

/// The kind of one of several, which is not unfolded further.
fn kind_once(schema: &Value) -> String {
    let kind = schema.get("type").and_then(Value::as_str);
    kind.unwrap_or(if schema.get("const").is_some() { "const" } else { "any" }).to_owned()
}

/// A limit's value: several with commas between them.
fn shown(value: &Value) -> String {
    match value {
        Value::Array(all) => all.iter().map(Value::to_string).collect::<Vec<_>>().join(", "),
        Value::String(text) => text.clone(),
        one => one.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn nested_properties_have_their_paths() {
        let schema = json!({
            "type": "object",
            "required": ["port"],
            "properties": {
                "port": {"type": "integer", "minimum": 1, "maximum": 65535, "description": "Where it listens."},
                "env": {"type": "object", "additionalProperties": {"type": ["string", "null"]}},
                "probes": {"type": "array", "items": {"$ref": "#/$defs/probe"}},
                "mode": {"enum": ["a", "b"], "default": "a"},
                "size": {"anyOf": [{"type": "string"}, {"type": "integer"}]},
            },
            "$defs": {"probe": {"type": "object", "required": ["path"],
                "properties": {"path": {"type": "string", "pattern": "^/"}}}},
        });
        let rows = rows_of(&schema);
        let mut told: Vec<_> =
            rows.iter().map(|row| (row.path.as_str(), row.kind.as_str(), row.required)).collect();
        told.sort_unstable();
        assert_eq!(
            told,
            [
                ("env", "object", false),
                ("env.*", "string | null", false),
                ("mode", "any", false),
                ("port", "integer", true),
                ("probes", "array of object", false),
                ("probes[].path", "string", true),
                ("size", "string | integer", false),
            ]
        );
        let row = |path: &str| rows.iter().find(|row| row.path == path).unwrap();
        assert_eq!(row("port").limits, ["minimum: 1", "maximum: 65535"]);
        assert_eq!(row("port").description, "Where it listens.");
        assert_eq!(row("mode").limits, ["enum: \"a\", \"b\""]);
        assert_eq!(row("mode").default.as_deref(), Some("\"a\""));
        assert_eq!(row("probes[].path").limits, ["pattern: ^/"]);
    }

    #[test]
    fn what_names_itself_ends() {
        let schema = json!({
            "properties": {"tree": {"$ref": "#/$defs/tree"}},
            "$defs": {"tree": {"type": "object", "properties": {
                "left": {"$ref": "#/$defs/tree"}, "right": {"$ref": "#/$defs/tree"}}}},
        });
        let told = |rows: &[SchemaRow]| -> Vec<(String, String)> {
            rows.iter().map(|row| (row.path.clone(), row.kind.clone())).collect()
        };
        let row = |path: &str, kind: &str| (path.to_owned(), kind.to_owned());
        let once =
            [row("tree", "object"), row("tree.left", "object = tree"), row("tree.right", "object = tree")];
        assert_eq!(told(&rows_of(&schema)), once);
        assert!(rows_of(&json!({"properties": 3, "required": "x"})).is_empty());
        let list = json!({"properties": {"a": {"$ref": "#/$defs/a"}},
            "$defs": {"a": {"type": "array", "items": {"$ref": "#/$defs/a"}}}});
        assert_eq!(told(&rows_of(&list)), [row("a", "array of array = a")]);
        let same = json!({
            "properties": {"live": {"$ref": "#/$defs/probes"}, "ready": {"$ref": "#/$defs/probes"}},
            "$defs": {"probes": {"type": "array", "items": {"properties": {"path": {"type": "string"}}}}},
        });
        let once =
            [row("live", "array of any"), row("live[].path", "string"), row("ready", "array of any = live")];
        assert_eq!(told(&rows_of(&same)), once);
    }
}
