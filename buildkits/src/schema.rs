//! JSON Schema validation whose answers name the place and read like the rest of Slipway.

use jsonschema::error::{TypeKind, ValidationErrorKind};
use jsonschema::{ValidationError, Validator};
use serde_json::Value;

use crate::suggestion::did_you_mean;

/// A compiled JSON Schema.
#[derive(Debug)]
pub struct Schema {
    source: Value,
    validator: Validator,
}

/// One mistake in an instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SchemaProblem {
    /// JSON pointer (RFC 6901) to the value at fault.
    pub pointer: String,
    /// The key inside that object, if the key and not the value is at fault.
    pub key: Option<String>,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub hint: Option<String>,
}

/// A schema that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("the JSON Schema is not valid: {0}")]
pub struct InvalidSchema(String);

impl Schema {
    /// Compiles `source`.
    pub fn compile(source: Value) -> Result<Self, InvalidSchema> {
        let validator = jsonschema::validator_for(&source).map_err(|e| InvalidSchema(e.to_string()))?;
        Ok(Self { source, validator })
    }

    /// The schema itself.
    pub fn source(&self) -> &Value {
        &self.source
    }

    /// Every mistake of `instance`, in no set order.
    pub fn problems(&self, instance: &Value) -> Vec<SchemaProblem> {
        self.validator.iter_errors(instance).flat_map(|error| self.describe(&error)).collect()
    }

    fn describe(&self, error: &ValidationError<'_>) -> Vec<SchemaProblem> {
        let pointer = error.instance_path().as_str().to_owned();
        if let ValidationErrorKind::AdditionalProperties { unexpected } = error.kind() {
            let known = self.properties_beside(error.schema_path().as_str());
            let unknown = |key: &String| SchemaProblem {
                pointer: pointer.clone(),
                key: Some(key.clone()),
                message: format!("unknown key `{}`", shortened(key)),
                hint: Some(did_you_mean(key, &known)),
            };
            return unexpected.iter().map(unknown).collect();
        }
        let (message, hint) = words(error);
        vec![SchemaProblem { pointer, key: None, message, hint }]
    }

    /// The keys of `properties` beside the keyword at `schema_path`.
    fn properties_beside(&self, schema_path: &str) -> Vec<&str> {
        let parent = schema_path.rsplit_once('/').map_or("", |(parent, _)| parent);
        self.source
            .pointer(parent)
            .and_then(|schema| schema.get("properties"))
            .and_then(Value::as_object)
            .map(|properties| properties.keys().map(String::as_str).collect())
            .unwrap_or_default()
    }
}

fn words(error: &ValidationError<'_>) -> (String, Option<String>) {
    let found = error.instance();
    match error.kind() {
        ValidationErrorKind::Type { kind } => {
            let wanted = match kind {
                TypeKind::Single(kind) => kind.to_string(),
                TypeKind::Multiple(kinds) => {
                    kinds.iter().map(|kind| kind.to_string()).collect::<Vec<_>>().join(" or ")
                }
            };
            let quotable = wanted == "string" && (found.is_number() || found.is_boolean());
            (
                format!("expected {}, found {}", article(&wanted), kind_of(found)),
                quotable.then(|| "put it in quotes".to_owned()),
            )
        }
        ValidationErrorKind::Required { property } => {
            let property = property.as_str().map_or_else(|| property.to_string(), str::to_owned);
            (format!("missing key `{property}`"), None)
        }
        ValidationErrorKind::Pattern { pattern } => {
            (format!("{} is not of the form `{pattern}`", shortened(&found.to_string())), None)
        }
        ValidationErrorKind::MinLength { limit: 1 } => ("must not be empty".to_owned(), None),
        _ => (error.masked_with("the value").to_string(), None),
    }
}

/// A JSON type's name with its article.
fn article(kind: &str) -> String {
    match kind {
        "null" => "nothing".to_owned(),
        "string" => "text".to_owned(),
        "array" => "a list".to_owned(),
        "object" => "a mapping".to_owned(),
        "integer" => "an integer".to_owned(),
        other => format!("a {other}"),
    }
}

/// What `value` is, in words.
fn kind_of(value: &Value) -> String {
    match value {
        Value::Null => "nothing".to_owned(),
        Value::Bool(value) => format!("the boolean {value}"),
        Value::Number(value) => format!("the number {value}"),
        Value::String(_) => "text".to_owned(),
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "a mapping".to_owned(),
    }
}

/// `text`, cut for display.
fn shortened(text: &str) -> String {
    const SHOWN_CHARS: usize = 60;
    if text.chars().count() <= SHOWN_CHARS {
        text.to_owned()
    } else {
        format!("{}…", text.chars().take(SHOWN_CHARS).collect::<String>())
    }
}
