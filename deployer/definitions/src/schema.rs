//! The JSON Schema of a definition's properties.

mod defaults;
mod safety;
mod walk;
mod words;

use std::fmt;

use jsonschema::{Draft, PatternOptions, ValidationError, Validator};
use serde_json::Value;

/// The name of the file.
pub const SCHEMA_FILE: &str = "schema.json";
const PATTERN_MAX_BYTES: usize = 1 << 20;
const PROBLEMS_MAX: usize = 100;

/// A compiled JSON Schema (2020-12).
pub struct Schema {
    source: Value,
    validator: Validator,
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
    /// Compiles the text of a schema. Refused are references to anywhere but `#/$defs/`, references in
    /// a circle, and what would take unbounded time to check against.
    pub fn compile(text: &[u8]) -> Result<Self, InvalidSchema> {
        let invalid = |message: String| InvalidSchema { path: "/".to_owned(), message };
        let source: Value =
            serde_json::from_slice(text).map_err(|error| invalid(format!("not valid JSON: {error}")))?;
        safety::check(&source)?;
        let patterns =
            PatternOptions::regex().size_limit(PATTERN_MAX_BYTES).dfa_size_limit(PATTERN_MAX_BYTES);
        let validator = jsonschema::options()
            .with_draft(Draft::Draft202012)
            .with_pattern_options(patterns)
            .offline()
            .build(&source)
            .map_err(|error| InvalidSchema { path: at(&error), message: error.to_string() })?;
        Ok(Self { source, validator })
    }

    /// The schema itself.
    pub fn source(&self) -> &Value {
        &self.source
    }

    /// Fills in the defaults of properties that are not given, nested ones too.
    pub fn fill_defaults(&self, properties: &mut Value) {
        defaults::fill(&self.source, &self.source, properties);
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
