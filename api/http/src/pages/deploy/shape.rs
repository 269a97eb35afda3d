//! What a form can show of a JSON Schema: scalars, choices, lists, pairs and groups of these. What it cannot is
//! edited as YAML.

use serde_json::{Map, Number, Value};

/// Groups inside groups, at most.
const DEPTH_MAX: usize = 4;
/// Inputs of one group inside a list, at most: each item repeats them.
const ITEM_INPUTS_MAX: usize = 8;
/// Steps from one reference to the next, at most.
const REFERENCES_MAX: usize = 8;
/// Keywords whose schemas no plain input stands for.
const BEYOND_FORMS: [&str; 10] = [
    "allOf",
    "anyOf",
    "const",
    "contains",
    "dependentSchemas",
    "if",
    "not",
    "oneOf",
    "patternProperties",
    "prefixItems",
];

/// How a value is put in.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Shape {
    /// Yes or no.
    Flag,
    /// One of these.
    Choice(Vec<Value>),
    /// A text or a number.
    Scalar(Scalar),
    /// One scalar a line.
    Lines(Scalar),
    /// One `name=value` a line.
    Pairs(Scalar),
    /// Inputs of their own.
    Group(Vec<Property>),
    /// Groups, one after the other.
    Items(Vec<Property>),
    /// As text.
    Yaml,
}

/// A text or a number, and its bounds.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Scalar {
    pub(super) text: bool,
    pub(super) integer: bool,
    pub(super) number: bool,
    pub(super) flag: bool,
    pub(super) minimum: Option<Number>,
    pub(super) maximum: Option<Number>,
    /// In characters.
    pub(super) longest: Option<u64>,
}

/// One property of a group.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Property {
    pub(super) key: String,
    pub(super) title: String,
    pub(super) description: Option<String>,
    pub(super) required: bool,
    pub(super) deprecated: bool,
    pub(super) default: Option<Value>,
    pub(super) example: Option<Value>,
    pub(super) shape: Shape,
}

/// Why a text is not the value that is wanted.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Unfit {
    NoNumber,
    NoWholeNumber,
    Below(Number),
    Above(Number),
    /// Longer than so many characters.
    TooLong(u64),
}

/// The shape of a schema as a whole.
pub(super) fn of(schema: &Value) -> Shape {
    shape(schema, &resolved(schema, schema), 0)
}

/// A schema with what it refers to; what stands beside the reference wins.
fn resolved(root: &Value, schema: &Value) -> Map<String, Value> {
    let mut found = schema.as_object().cloned().unwrap_or_default();
    for _ in 0..REFERENCES_MAX {
        let Some(Value::String(reference)) = found.remove("$ref") else { break };
        let target = reference.strip_prefix('#').and_then(|pointer| root.pointer(pointer));
        for (keyword, value) in target.and_then(Value::as_object).into_iter().flatten() {
            found.entry(keyword.clone()).or_insert_with(|| value.clone());
        }
    }
    found
}

fn shape(root: &Value, schema: &Map<String, Value>, depth: usize) -> Shape {
    if let Some(Value::Array(options)) = schema.get("enum") {
        return Shape::Choice(options.clone());
    }
    if BEYOND_FORMS.iter().any(|keyword| schema.contains_key(*keyword)) {
        return Shape::Yaml;
    }
    match &types(schema)[..] {
        ["boolean"] => Shape::Flag,
        ["object"] => object(root, schema, depth),
        ["array"] => list(root, schema, depth),
        types => scalar(schema, types).map_or(Shape::Yaml, Shape::Scalar),
    }
}

fn types(schema: &Map<String, Value>) -> Vec<&str> {
    match schema.get("type") {
        Some(Value::String(one)) => vec![one],
        Some(Value::Array(several)) => several.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

fn scalar(schema: &Map<String, Value>, types: &[&str]) -> Option<Scalar> {
    let known = ["string", "integer", "number", "boolean"];
    if types.is_empty() || types.iter().any(|one| !known.contains(one)) {
        return None;
    }
    let bound = |keyword: &str| match schema.get(keyword) {
        Some(Value::Number(bound)) => Some(bound.clone()),
        _ => None,
    };
    Some(Scalar {
        text: types.contains(&"string"),
        integer: types.contains(&"integer"),
        number: types.contains(&"number"),
        flag: types.contains(&"boolean"),
        minimum: bound("minimum"),
        maximum: bound("maximum"),
        longest: schema.get("maxLength").and_then(Value::as_u64),
    })
}

fn object(root: &Value, schema: &Map<String, Value>, depth: usize) -> Shape {
    if depth >= DEPTH_MAX {
        return Shape::Yaml;
    }
    let required = schema.get("required").and_then(Value::as_array);
    let is_required = |key: &str| required.is_some_and(|names| names.iter().any(|name| name == key));
    if let Some(Value::Object(properties)) = schema.get("properties").filter(|found| !is_empty(found)) {
        let mut found: Vec<Property> = properties
            .iter()
            .map(|(key, schema)| property(root, key, schema, is_required(key), depth + 1))
            .collect();
        found.sort_by_key(|property| (!property.required, property.deprecated));
        return Shape::Group(found);
    }
    let values = schema.get("additionalProperties").map(|values| resolved(root, values));
    match values.map(|values| shape(root, &values, depth + 1)) {
        Some(Shape::Scalar(scalar)) => Shape::Pairs(scalar),
        _ => Shape::Yaml,
    }
}

fn is_empty(properties: &Value) -> bool {
    properties.as_object().is_none_or(Map::is_empty)
}

fn list(root: &Value, schema: &Map<String, Value>, depth: usize) -> Shape {
    // Lists of lists are for YAML, and one that refers to itself has no end.
    if depth > DEPTH_MAX {
        return Shape::Yaml;
    }
    let Some(items) = schema.get("items").map(|items| resolved(root, items)) else { return Shape::Yaml };
    match shape(root, &items, depth + 1) {
        Shape::Scalar(scalar) => Shape::Lines(scalar),
        Shape::Choice(options) if options.iter().all(Value::is_string) => {
            Shape::Lines(Scalar { text: true, ..Scalar::default() })
        }
        Shape::Group(properties) => {
            let inputs: usize = properties.iter().map(|property| property.shape.inputs()).sum();
            if inputs <= ITEM_INPUTS_MAX { Shape::Items(properties) } else { Shape::Yaml }
        }
        _ => Shape::Yaml,
    }
}

fn property(root: &Value, key: &str, schema: &Value, required: bool, depth: usize) -> Property {
    let schema = resolved(root, schema);
    let text = |keyword: &str| schema.get(keyword).and_then(Value::as_str).map(str::to_owned);
    Property {
        key: key.to_owned(),
        title: text("title").unwrap_or_else(|| key.to_owned()),
        description: text("description"),
        required,
        deprecated: schema.get("deprecated") == Some(&Value::Bool(true)),
        default: schema.get("default").cloned(),
        example: schema.get("examples").and_then(|examples| examples.get(0)).cloned(),
        shape: shape(root, &schema, depth),
    }
}

impl Shape {
    /// How many inputs it makes, one item of each list counted.
    pub(super) fn inputs(&self) -> usize {
        match self {
            Self::Group(properties) | Self::Items(properties) => {
                properties.iter().map(|property| property.shape.inputs()).sum()
            }
            _ => 1,
        }
    }
}

impl Scalar {
    /// Whether nothing but numbers fits.
    pub(super) fn is_number(&self) -> bool {
        (self.integer || self.number) && !self.text && !self.flag
    }

    /// The value that a text stands for: a number where one may stand and it is one, else text.
    pub(super) fn read(&self, text: &str) -> Result<Value, Unfit> {
        let number = serde_json::from_str::<Number>(text.trim()).ok();
        if let Some(number) = number.filter(|number| self.takes(number)) {
            return self.within(number).map(Value::Number);
        }
        if self.flag && matches!(text.trim(), "true" | "false") {
            return Ok(Value::Bool(text.trim() == "true"));
        }
        if !self.text {
            return Err(if self.number { Unfit::NoNumber } else { Unfit::NoWholeNumber });
        }
        match self.longest.filter(|longest| text.chars().count() as u64 > *longest) {
            Some(longest) => Err(Unfit::TooLong(longest)),
            None => Ok(Value::String(text.to_owned())),
        }
    }

    fn takes(&self, number: &Number) -> bool {
        self.number || (self.integer && (number.is_i64() || number.is_u64()))
    }

    fn within(&self, number: Number) -> Result<Number, Unfit> {
        let value = number.as_f64();
        if let Some(bound) = self.minimum.as_ref().filter(|bound| value < bound.as_f64()) {
            return Err(Unfit::Below(bound.clone()));
        }
        if let Some(bound) = self.maximum.as_ref().filter(|bound| value > bound.as_f64()) {
            return Err(Unfit::Above(bound.clone()));
        }
        Ok(number)
    }

    /// The text that stands for a value, if one does.
    pub(super) fn write(&self, value: &Value) -> Option<String> {
        let text = match value {
            Value::String(text) => text.clone(),
            Value::Number(number) => number.to_string(),
            Value::Bool(flag) => flag.to_string(),
            _ => return None,
        };
        let is_plain = !text.is_empty() && text.trim() == text && !text.contains('\r');
        (is_plain && self.read(&text).as_ref() == Ok(value)).then_some(text)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of_type(kind: Value) -> Scalar {
        match of(&json!({"type": kind, "minimum": 1, "maximum": 10, "maxLength": 3})) {
            Shape::Scalar(scalar) => scalar,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_schema_is_shown_as_far_as_inputs_can() {
        for (schema, wanted) in [
            (json!({"type": "boolean"}), Shape::Flag),
            (json!({"enum": ["a", 1]}), Shape::Choice(vec![json!("a"), json!(1)])),
            (json!({"type": "object"}), Shape::Yaml),
            (json!({"type": "array", "items": {"type": "object"}}), Shape::Yaml),
            (json!({"oneOf": [{"type": "string"}]}), Shape::Yaml),
            (json!({"type": ["string", "null"]}), Shape::Yaml),
            (json!({}), Shape::Yaml),
            (json!({"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/a"}}}), Shape::Yaml),
            (json!({"type": "array", "items": {"$ref": "#"}}), Shape::Yaml),
        ] {
            assert_eq!(of(&schema), wanted, "{schema}");
        }
        let text = Scalar { text: true, ..Scalar::default() };
        let lines =
            json!({"type": "array", "items": {"$ref": "#/$defs/t"}, "$defs": {"t": {"type": "string"}}});
        assert_eq!(of(&lines), Shape::Lines(text.clone()));
        let pairs = json!({"type": "object", "additionalProperties": {"type": "string"}});
        assert_eq!(of(&pairs), Shape::Pairs(text));
    }

    #[test]
    fn groups_begin_with_what_is_required_and_end_with_what_is_old() {
        let item = json!({"type": "integer"});
        let schema = json!({
            "type": "object",
            "required": ["z"],
            "properties": {"a": {"type": "integer", "deprecated": true}, "m": item, "z": item},
        });
        let Shape::Group(found) = of(&schema) else { panic!("no group") };
        let keys: Vec<_> = found.iter().map(|property| property.key.as_str()).collect();
        assert_eq!(keys, ["z", "m", "a"]);
        let many: Map<String, Value> = (0..9).map(|key| (format!("k{key}"), item.clone())).collect();
        let long = json!({"type": "array", "items": {"type": "object", "properties": many}});
        assert_eq!(of(&long), Shape::Yaml);
    }

    #[test]
    fn a_text_is_the_value_that_the_schema_takes() {
        let (integer, either, number) =
            (of_type(json!("integer")), of_type(json!(["integer", "string"])), of_type(json!("number")));
        for (scalar, text, wanted) in [
            (&integer, "5", Ok(json!(5))),
            (&integer, "5.5", Err(Unfit::NoWholeNumber)),
            (&integer, "05", Err(Unfit::NoWholeNumber)),
            (&integer, "0", Err(Unfit::Below(1.into()))),
            (&number, "10.5", Err(Unfit::Above(10.into()))),
            (&number, "x", Err(Unfit::NoNumber)),
            (&either, "50%", Ok(json!("50%"))),
            (&either, "5", Ok(json!(5))),
            (&either, "long", Err(Unfit::TooLong(3))),
            (&of_type(json!(["boolean", "string"])), "true", Ok(json!(true))),
        ] {
            assert_eq!(scalar.read(text), wanted, "{text}");
        }
        assert_eq!(either.write(&json!("5")), None, "it would be read as a number");
        assert_eq!(either.write(&json!(5)).as_deref(), Some("5"));
        assert_eq!(integer.write(&json!(null)), None);
    }
}
