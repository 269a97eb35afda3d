//! Mistakes of properties in people's words.

use jsonschema::ValidationError;
use jsonschema::error::ValidationErrorKind as Kind;
use serde_json::Value;

use super::{Place, Problem, walk, whole};
use crate::suggestion::{did_you_mean, shortened};

pub(super) struct Words<'a> {
    pub(super) root: &'a Value,
    pub(super) instance: &'a Value,
}

impl Words<'_> {
    pub(super) fn problems(&self, error: &ValidationError<'_>) -> Vec<Problem> {
        let place = self.place(error.instance_path().as_str());
        let schema = self.schema(error);
        match error.kind() {
            Kind::AdditionalProperties { unexpected } | Kind::UnevaluatedProperties { unexpected } => {
                let known: Vec<&str> = schema
                    .and_then(|schema| schema.get("properties")?.as_object())
                    .map(|known| known.keys().map(String::as_str).collect())
                    .unwrap_or_default();
                unexpected.iter().map(|key| unknown(&place, key, &known)).collect()
            }
            Kind::Required { property } => {
                let name = property.as_str().unwrap_or_default();
                let part = schema.and_then(|schema| schema.get("properties")?.get(name));
                vec![missing(place, name, part.and_then(|part| self.description(part)))]
            }
            Kind::PropertyNames { error } => {
                let key = error.instance().as_str().unwrap_or_default();
                let wanted =
                    self.schema(error).map_or_else(|| "of another form".to_owned(), |part| self.wanted(part));
                vec![problem(place, format!("the key `{}` must be {wanted}", shortened(key)), None)]
            }
            Kind::AnyOf { context } | Kind::OneOfNotValid { context } => {
                self.alternatives(error, place, schema, context)
            }
            Kind::OneOfMultipleValid { .. } => vec![problem(place, self.too_many(schema), None)],
            Kind::FalseSchema | Kind::Not { .. } => {
                vec![problem(place, "is not allowed here".to_owned(), None)]
            }
            Kind::UniqueItems => vec![problem(place, "must not hold the same twice".to_owned(), None)],
            Kind::Referencing(_) | Kind::BacktrackLimitExceeded { .. } | Kind::RegexEngineFailure { .. } => {
                vec![problem(place, error.masked_with("the value").to_string(), None)]
            }
            _ => vec![self.unfit(error.instance(), place, schema)],
        }
    }

    fn unfit(&self, found: &Value, place: Vec<Place>, schema: Option<&Value>) -> Problem {
        let wanted = schema.map_or_else(|| "another value".to_owned(), |schema| self.wanted(schema));
        let hint = schema.and_then(|schema| self.description(schema));
        let quotable = wanted.starts_with("text") && (found.is_number() || found.is_boolean());
        let hint = if quotable { Some("put it in quotes".to_owned()) } else { hint };
        problem(place, format!("must be {wanted}, is {}", counted(found, &wanted)), hint)
    }

    /// What is wrong where one of several forms was wanted: if the value has the shape of one form
    /// alone, what is wrong with that; else the forms.
    fn alternatives(
        &self,
        error: &ValidationError<'_>,
        place: Vec<Place>,
        schema: Option<&Value>,
        context: &[Vec<ValidationError<'static>>],
    ) -> Vec<Problem> {
        let here = error.instance_path().as_str();
        let shaped = |branch: &&Vec<ValidationError<'static>>| {
            branch.iter().all(|error| {
                !matches!(error.kind(), Kind::Type { .. } | Kind::Constant { .. } | Kind::Enum { .. })
                    || error.instance_path().as_str() != here
            })
        };
        let mut near = context.iter().filter(shaped);
        if let (Some(branch), None) = (near.next(), near.next()) {
            return branch.iter().flat_map(|error| self.problems(error)).collect();
        }
        if let Some(keys) = schema.and_then(required_keys) {
            return vec![problem(place, format!("must have one of {keys}"), None)];
        }
        vec![self.unfit(error.instance(), place, schema)]
    }

    fn too_many(&self, schema: Option<&Value>) -> String {
        match schema.and_then(required_keys) {
            Some(keys) => format!("must have only one of {keys}"),
            None => "fits several of the forms it may have, and must fit exactly one".to_owned(),
        }
    }

    /// The schema whose keyword failed.
    fn schema(&self, error: &ValidationError<'_>) -> Option<&Value> {
        let pointer = error.schema_path().as_str();
        let keyword = format!("/{}", error.kind().keyword());
        let parent = match pointer.rfind(&keyword) {
            Some(end) => &pointer[..end],
            None => pointer,
        };
        walk::at(self.root, parent)
    }

    fn description(&self, schema: &Value) -> Option<String> {
        let text =
            schema.get("description").or_else(|| walk::resolved(self.root, schema).get("description"))?;
        text.as_str().map(str::to_owned)
    }

    /// What `schema` wants, in words.
    fn wanted(&self, schema: &Value) -> String {
        let schema = walk::resolved(self.root, schema);
        if let Some(value) = schema.get("const") {
            return shown(value);
        }
        if let Some(values) = schema.get("enum").and_then(Value::as_array) {
            return format!("one of {}", values.iter().map(shown).collect::<Vec<_>>().join(", "));
        }
        if let Some(kind) = schema.get("type") {
            let kinds = kind.as_array().map_or_else(|| vec![kind], |kinds| kinds.iter().collect());
            let words: Vec<String> =
                kinds.iter().filter_map(|kind| kind.as_str()).map(|kind| of_type(kind, schema)).collect();
            return words.join(" or ");
        }
        let forms = ["anyOf", "oneOf"].iter().find_map(|keyword| schema.get(*keyword)?.as_array());
        match forms {
            Some(forms) => forms.iter().map(|form| self.wanted(form)).collect::<Vec<_>>().join(" or "),
            None => of_bounds(schema),
        }
    }

    /// The steps of a JSON pointer into the properties.
    fn place(&self, pointer: &str) -> Vec<Place> {
        let mut place = Vec::new();
        let mut value = Some(self.instance);
        for token in pointer.split('/').skip(1) {
            let token = token.replace("~1", "/").replace("~0", "~");
            match (value, token.parse::<usize>()) {
                (Some(Value::Array(items)), Ok(index)) => {
                    value = items.get(index);
                    place.push(Place::Index(index));
                }
                (other, _) => {
                    value = other.and_then(|value| value.get(&token));
                    place.push(Place::Key(token));
                }
            }
        }
        place
    }
}

fn problem(place: Vec<Place>, message: String, hint: Option<String>) -> Problem {
    Problem { place, unknown: false, message, hint }
}

fn unknown(place: &[Place], key: &str, known: &[&str]) -> Problem {
    let mut place = place.to_vec();
    place.push(Place::Key(key.to_owned()));
    let message = format!("unknown property `{}`", shortened(key));
    Problem { unknown: true, ..problem(place, message, Some(did_you_mean(key, known))) }
}

fn missing(mut place: Vec<Place>, name: &str, hint: Option<String>) -> Problem {
    place.push(Place::Key(name.to_owned()));
    problem(place, format!("`{}` is missing", shortened(name)), hint)
}

/// The keys that the forms of `schema` ask for, if that is what tells them apart.
fn required_keys(schema: &Value) -> Option<String> {
    let forms = ["anyOf", "oneOf"].iter().find_map(|keyword| schema.get(*keyword)?.as_array())?;
    let keys: Option<Vec<String>> = forms
        .iter()
        .map(|form| match form.get("required")?.as_array()?.as_slice() {
            [key] => Some(format!("`{}`", key.as_str()?)),
            _ => None,
        })
        .collect();
    keys.map(|keys| keys.join(", "))
}

fn of_type(kind: &str, schema: &Value) -> String {
    let words = match kind {
        "string" => "text",
        "integer" => "a whole number",
        "number" => "a number",
        "boolean" => "true or false",
        "array" => "a list",
        "object" => "a mapping",
        "null" => "nothing",
        other => other,
    };
    let bounds = match kind {
        "string" => match schema.get("pattern").and_then(Value::as_str) {
            Some(pattern) => format!(" of the form `{pattern}`"),
            None if schema.get("minLength").is_some_and(|limit| whole::integer(limit) == Some(1))
                && schema.get("maxLength").is_none() =>
            {
                " that is not empty".to_owned()
            }
            None => range(schema, "minLength", "maxLength", " characters"),
        },
        "integer" | "number" => range(schema, "minimum", "maximum", ""),
        "array" => range(schema, "minItems", "maxItems", " items"),
        "object" => range(schema, "minProperties", "maxProperties", " entries"),
        _ => String::new(),
    };
    format!("{words}{bounds}")
}

/// Bounds of a schema that names no type.
fn of_bounds(schema: &Value) -> String {
    let kinds = [
        ("pattern", "string"),
        ("minLength", "string"),
        ("maxLength", "string"),
        ("minimum", "number"),
        ("maximum", "number"),
        ("minItems", "array"),
        ("maxItems", "array"),
        ("properties", "object"),
        ("required", "object"),
    ];
    let kind = kinds.iter().find(|(keyword, _)| schema.get(*keyword).is_some());
    kind.map_or_else(|| "another value".to_owned(), |(_, kind)| of_type(kind, schema))
}

/// `value` beside what was wanted: a list where a list was wanted has too many items or too few.
fn counted(value: &Value, wanted: &str) -> String {
    let (kind, count) = match value {
        Value::Array(items) => ("list", items.len()),
        Value::Object(fields) => ("mapping", fields.len()),
        _ => return shown(value),
    };
    match count {
        _ if !wanted.starts_with(&format!("a {kind}")) => shown(value),
        0 => format!("an empty {kind}"),
        count => format!("a {kind} of {count}"),
    }
}

/// `unit` for one of it, if that is what there is: ` items`, ` item`.
fn of_number(number: &Value, unit: &str) -> String {
    match (whole::integer(number), unit) {
        (Some(1), " entries") => " entry".to_owned(),
        (Some(1), unit) => unit.trim_end_matches('s').to_owned(),
        (_, unit) => unit.to_owned(),
    }
}

fn range(schema: &Value, low: &str, high: &str, unit: &str) -> String {
    let bound = |keyword: &str| {
        let bound = schema.get(keyword)?;
        Some(whole::integer(bound).map_or_else(|| bound.clone(), Value::from))
    };
    let (low_bound, high_bound) = (bound(low), bound(high));
    let with = if unit.is_empty() { "" } else { "with " };
    let above = schema.get("exclusiveMinimum").filter(|_| unit.is_empty());
    let below = schema.get("exclusiveMaximum").filter(|_| unit.is_empty());
    match (low_bound, high_bound) {
        (Some(low), Some(high)) => format!(" {with}from {low} to {high}{unit}"),
        (Some(low), None) => {
            format!(" {with}of at least {low}{}", of_number(&low, unit)).replace("with of ", "with ")
        }
        (None, Some(high)) => {
            format!(" {with}of at most {high}{}", of_number(&high, unit)).replace("with of ", "with ")
        }
        (None, None) => match (above, below) {
            (Some(low), _) => format!(" above {low}"),
            (None, Some(high)) => format!(" below {high}"),
            (None, None) => String::new(),
        },
    }
}

/// `value` as people see it.
fn shown(value: &Value) -> String {
    match value {
        Value::Null => "nothing".to_owned(),
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "a mapping".to_owned(),
        other => shortened(&other.to_string()),
    }
}
