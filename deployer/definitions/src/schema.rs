//! The JSON Schema of a definition's properties.

mod defaults;
mod entries;
mod keywords;
mod safety;
mod text;
mod walk;
mod whole;
mod words;

use std::fmt;

use jsonschema::error::ValidationErrorKind;
use jsonschema::{Draft, PatternOptions, ValidationError, Validator};
use serde_json::{Map, Value, json};

use crate::suggestion::shortened;
use defaults::Defaults;
use entries::Patterns;
use whole::Whole;

/// The name of the file.
pub const SCHEMA_FILE: &str = "schema.json";
/// What one pattern may take once it is compiled.
const PATTERN_MAX_BYTES: usize = 128 << 10;
const PROBLEMS_MAX: usize = 100;

/// A compiled JSON Schema (2020-12).
pub struct Schema {
    source: Value,
    validator: Validator,
    patterns: Patterns,
}

/// One mistake in properties.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// The steps from the properties' top to what is wrong.
    pub place: Vec<Place>,
    /// Whether the property itself is not known.
    pub unknown: bool,
    /// What is wrong.
    pub message: String,
    /// The way out.
    pub hint: Option<String>,
}

/// One step into properties.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// Into a mapping.
    Key(String),
    /// Into a list.
    Index(usize),
}

/// Why a schema cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {message}")]
pub struct InvalidSchema {
    /// JSON pointer to what is wrong.
    pub path: String,
    /// What is wrong.
    pub message: String,
}

impl Schema {
    /// Compiles the text of a schema. Refused are keys that stand twice, unknown keywords, references to
    /// anywhere but `#/$defs/`, references in a circle, what would take unbounded time to check against,
    /// and defaults that do not fit.
    pub fn compile(text: &[u8]) -> Result<Self, InvalidSchema> {
        let invalid = |message: String| InvalidSchema { path: "/".to_owned(), message };
        let source = text::read(text).map_err(|error| invalid(format!("not valid JSON: {error}")))?;
        safety::check(&source)?;
        keywords::check(&source, "")?;
        let validator = validator(&source)?;
        let patterns = Patterns::compile(&source)?;
        check_defaults(&source, &patterns)?;
        Ok(Self { source, validator, patterns })
    }

    /// The schema itself.
    pub fn source(&self) -> &Value {
        &self.source
    }

    /// Fills in the defaults of properties that are not given, nested ones too.
    pub fn fill_defaults(&self, properties: &mut Value) {
        Defaults { root: &self.source, patterns: &self.patterns }.fill(&self.source, properties);
    }

    /// Makes integers of numbers such as `30.0` where the schema wants integers.
    pub fn make_whole(&self, properties: &mut Value) {
        Whole { root: &self.source, patterns: &self.patterns }.make(&self.source, properties);
    }

    /// Every mistake of `properties`, sorted by place.
    pub fn problems(&self, properties: &Value) -> Vec<Problem> {
        let words = words::Words { root: &self.source, instance: properties };
        let mut problems: Vec<Problem> = self
            .validator
            .iter_errors(properties)
            .take(PROBLEMS_MAX)
            .flat_map(|error| words.problems(&error))
            .collect();
        problems.sort();
        problems.dedup();
        problems
    }
}

fn validator(source: &Value) -> Result<Validator, InvalidSchema> {
    let patterns = PatternOptions::regex().size_limit(PATTERN_MAX_BYTES).dfa_size_limit(PATTERN_MAX_BYTES);
    jsonschema::options()
        .with_draft(Draft::Draft202012)
        .with_pattern_options(patterns)
        .offline()
        .build(source)
        .map_err(|error| InvalidSchema { path: at(&error), message: unusable(&error) })
}

fn unusable(error: &ValidationError<'_>) -> String {
    match error.kind() {
        ValidationErrorKind::Format { .. } => {
            format!("{} is no pattern that can be used", shortened(&error.instance().to_string()))
        }
        _ => error.to_string(),
    }
}

/// Checks every default against the schema that it stands in, with the defaults inside filled in: it is an
/// operator who would be told of it later, and could do nothing.
fn check_defaults(source: &Value, patterns: &Patterns) -> Result<(), InvalidSchema> {
    let mut with_default = Vec::new();
    defaults::gather(source, "", &mut with_default);
    if with_default.is_empty() {
        return Ok(());
    }
    let (mut schemas, mut values) = (Map::new(), Map::new());
    for (index, (_, schema)) in with_default.iter().enumerate() {
        let mut default = schema.get("default").cloned().unwrap_or_default();
        Defaults { root: source, patterns }.fill(schema, &mut default);
        schemas.insert(index.to_string(), (*schema).clone());
        values.insert(index.to_string(), default);
    }
    let definitions = source.get("$defs").cloned().unwrap_or_else(|| json!({}));
    let root = json!({"$defs": definitions, "properties": schemas});
    // A default inside a default has its schema compiled once for each of them.
    safety::measure(&root).map_err(|error| InvalidSchema {
        path: "/".to_owned(),
        message: format!("the schemas that have a `default`, those inside them again: {}", error.message),
    })?;
    let validator = validator(&root)?;
    let instance = Value::Object(values);
    let words = words::Words { root: &root, instance: &instance };
    let mut problems = validator.iter_errors(&instance).flat_map(|error| words.problems(&error));
    let Some(problem) = problems.next() else { return Ok(()) };
    let mut steps = problem.place.iter();
    let index = match steps.next() {
        Some(Place::Key(index)) => index.parse::<usize>().unwrap_or_default(),
        _ => 0,
    };
    let path = with_default.get(index).map(|(path, _)| format!("{path}/default")).unwrap_or_default();
    let inside: String = steps.map(ToString::to_string).collect();
    let inside = if inside.is_empty() { inside } else { format!("{inside} ") };
    let message = format!("the default does not fit its own schema: {inside}{}", problem.message);
    Err(InvalidSchema { path, message })
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key(key) => write!(f, ".{key}"),
            Self::Index(index) => write!(f, "[{index}]"),
        }
    }
}

fn at(error: &ValidationError<'_>) -> String {
    let pointer = error.instance_path().as_str();
    if pointer.is_empty() { "/".to_owned() } else { pointer.to_owned() }
}

impl fmt::Debug for Schema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Schema").field(&self.source).finish()
    }
}

#[cfg(test)]
mod tests;
