//! The examples of a definition: what it is given and what must come of it.

use serde::Serialize;
use serde_json::Value;
use slipway_plugins::Session;
use slipway_types::Violation;
use slipway_yaml::Node;
use std::sync::Arc;

use crate::call::{Function, RenderError};
use crate::code;
use crate::definition::Definition;
use crate::field_path::push_field;
use crate::folder::{EXAMPLES, Folder};
use crate::object::shape;
use crate::reading::Mistakes;
use crate::suggestion::shortened;
use crate::trial::{Trial, try_function};

const DIFFERENCES_MAX: usize = 20;

/// One example.
#[derive(Debug, Clone, PartialEq)]
pub struct Example {
    /// Its file, without folder and extension.
    pub name: String,
    /// Which of its functions is called.
    pub function: Function,
    /// What the definition is given.
    pub properties: Value,
    /// Changes of the default test context.
    pub context: Value,
    /// What must come of it.
    pub expectation: Expectation,
}

/// What must come of an example.
#[derive(Debug, Clone, PartialEq)]
pub enum Expectation {
    /// Exactly this.
    Returned(Value),
    /// A refusal.
    Refused {
        /// Of which property, relative to the properties.
        path: String,
        /// A part of what is told.
        message: Option<String>,
    },
}

/// How a definition's examples went.
#[derive(Debug, Clone, Serialize)]
pub struct TestReport {
    /// The definition.
    pub definition: String,
    /// Its examples by name.
    pub examples: Vec<ExampleReport>,
}

/// How one example went.
#[derive(Debug, Clone, Serialize)]
pub struct ExampleReport {
    /// Its name.
    pub name: String,
    /// Where what came differs from what must come; empty: it passed.
    pub differences: Vec<String>,
    /// What the definition printed.
    pub talk: Vec<String>,
}

impl TestReport {
    /// Whether every example passed, and there is one.
    pub fn passed(&self) -> bool {
        !self.examples.is_empty() && self.examples.iter().all(|example| example.differences.is_empty())
    }
}

/// Runs the examples of `definition`.
///
/// # Errors
///
/// The plug-in host does not run. Mistakes of the examples' files are the inner error.
pub async fn test_definition(
    session: &mut Session,
    definition: &Arc<Definition>,
) -> Result<Result<TestReport, Vec<Violation>>, RenderError> {
    let examples = match examples(definition.folder()) {
        Ok(examples) => examples,
        Err(violations) => return Ok(Err(violations)),
    };
    let mut reports = Vec::with_capacity(examples.len());
    for example in examples {
        let Example { function, properties, context, .. } = &example;
        let trial = try_function(session, definition, *function, properties, context).await?;
        let differences = example.differences(&trial);
        reports.push(ExampleReport { name: example.name, differences, talk: trial.talk });
    }
    Ok(Ok(TestReport { definition: definition.to_string(), examples: reports }))
}

/// The examples of a folder by name.
pub fn examples(folder: &Folder) -> Result<Vec<Example>, Vec<Violation>> {
    let mut examples = Vec::new();
    let mut violations = Vec::new();
    for (path, bytes) in folder.files().iter().filter(|(path, _)| path.starts_with(EXAMPLES)) {
        let mut mistakes = Mistakes::of(path);
        let name = path.trim_start_matches(EXAMPLES).trim_end_matches(".yaml");
        examples.extend(example(&mut mistakes, name, bytes));
        violations.extend(mistakes.into_violations());
    }
    if violations.is_empty() { Ok(examples) } else { Err(violations) }
}

fn example(mistakes: &mut Mistakes, name: &str, bytes: &[u8]) -> Option<Example> {
    let document = mistakes.document(bytes)?;
    mistakes
        .mapping(&document, "", |fields| {
            let properties = fields.optional("properties").map_or(Value::Null, Node::to_json);
            let context = fields.optional("ctx").map_or(Value::Null, Node::to_json);
            let function = if fields.flag("release") { Function::Release } else { Function::Render };
            let (expect, refuse) = (fields.optional("expect"), fields.optional("refuse"));
            let expectation = match (expect, refuse) {
                (Some(node), None) => Expectation::Returned(node.to_json()),
                (None, Some(node)) => fields.mistakes.mapping(node, "refuse", |fields| {
                    let path =
                        fields.optional("path").and_then(|node| node.text()).unwrap_or_default().to_owned();
                    let message = fields.optional("message").and_then(|node| node.text()).map(str::to_owned);
                    Expectation::Refused { path, message }
                })?,
                _ => {
                    let at = fields.at();
                    fields.mistakes.add(at, "", "must have either `expect` or `refuse`");
                    return None;
                }
            };
            Some(Example { name: name.to_owned(), function, properties, context, expectation })
        })
        .flatten()
}

impl Example {
    /// Where what came of it differs from what must come.
    pub fn differences(&self, trial: &Trial) -> Vec<String> {
        match &self.expectation {
            Expectation::Refused { path, message } => refusal(trial, path, message.as_deref()),
            Expectation::Returned(_) if !trial.violations.is_empty() => {
                trial.violations.iter().map(told).collect()
            }
            Expectation::Returned(expected) => {
                let mut expected = expected.clone();
                shape::drop_nulls(&mut expected);
                let mut found = trial.returned.clone().unwrap_or_default();
                leave_out_unnamed_verbs(&expected, &mut found);
                let mut differences = Vec::new();
                compare("", &expected, &found, &mut differences);
                differences
            }
        }
    }
}

fn told(violation: &Violation) -> String {
    match &violation.hint {
        Some(hint) => format!("{violation} ({hint})"),
        None => violation.to_string(),
    }
}

/// Verbs other than objects are compared only where the example speaks of any.
fn leave_out_unnamed_verbs(expected: &Value, found: &mut Value) {
    let named = expected.as_array().is_some_and(|items| items.iter().any(|item| item.get("verb").is_some()));
    if let (false, Value::Array(items)) = (named, found) {
        items.retain(|item| item.get("verb").is_none());
    }
}

fn refusal(trial: &Trial, path: &str, message: Option<&str>) -> Vec<String> {
    let refused = |violation: &Violation| {
        [code::INVALID_PROPERTY, code::UNKNOWN_FIELD, code::IMAGE_MISSING].contains(&violation.code.as_str())
    };
    let here = |violation: &Violation| {
        let inside = violation.path.strip_prefix("properties").unwrap_or(&violation.path);
        inside.trim_start_matches('.') == path && message.is_none_or(|part| violation.message.contains(part))
    };
    if trial.violations.iter().any(|violation| refused(violation) && here(violation)) {
        return Vec::new();
    }
    let said = message.map_or_else(String::new, |message| format!(" saying `{message}`"));
    let mut differences = vec![format!("expected a refusal of `{path}`{said}")];
    differences.extend(trial.violations.iter().map(|violation| format!("found {}", told(violation))));
    if trial.violations.is_empty() {
        differences.push("found none".to_owned());
    }
    differences
}

fn compare(path: &str, expected: &Value, found: &Value, differences: &mut Vec<String>) {
    if differences.len() >= DIFFERENCES_MAX {
        return;
    }
    match (expected, found) {
        (Value::Object(expected), Value::Object(found)) => {
            for (field, value) in expected {
                let path = below(path, field);
                match found.get(field) {
                    Some(there) => compare(&path, value, there, differences),
                    None => differences.push(format!("{path}: expected {}, found nothing", shown(value))),
                }
            }
            for (field, value) in found.iter().filter(|(field, _)| !expected.contains_key(*field)) {
                differences.push(format!("{}: expected nothing, found {}", below(path, field), shown(value)));
            }
        }
        (Value::Array(expected), Value::Array(found)) => {
            for index in 0..expected.len().max(found.len()) {
                let path = format!("{path}[{index}]");
                match (expected.get(index), found.get(index)) {
                    (Some(expected), Some(found)) => compare(&path, expected, found, differences),
                    (Some(expected), None) => {
                        differences.push(format!("{path}: expected {}, found nothing", shown(expected)));
                    }
                    (None, Some(found)) => {
                        differences.push(format!("{path}: expected nothing, found {}", shown(found)));
                    }
                    (None, None) => {}
                }
            }
        }
        (expected, found) if expected == found => {}
        (expected, found) => {
            differences.push(format!("{path}: expected {}, found {}", shown(expected), shown(found)));
        }
    }
}

fn below(path: &str, field: &str) -> String {
    let mut path = path.to_owned();
    push_field(&mut path, field);
    path
}

fn shown(value: &Value) -> String {
    shortened(&value.to_string())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn trial(returned: Value) -> Trial {
        Trial { returned: Some(returned), talk: Vec::new(), violations: Vec::new() }
    }

    fn differences(expected: Value, found: Value) -> Vec<String> {
        let expectation = Expectation::Returned(expected);
        let example = Example {
            name: "a".into(),
            function: Function::Render,
            properties: json!({}),
            context: json!({}),
            expectation,
        };
        example.differences(&trial(found))
    }

    #[test]
    fn every_difference_is_told_with_its_path() {
        let expected = json!([{"kind": "A", "spec": {"a": 1, "b": [1, 2], "n": null}}]);
        assert_eq!(
            differences(expected.clone(), json!([{"kind": "A", "spec": {"a": 1, "b": [1, 2]}}])),
            [""; 0]
        );
        assert_eq!(
            differences(expected, json!([{"kind": "B", "spec": {"b": [1], "c": 1}}, {"kind": "C"}])),
            [
                "[0].kind: expected \"A\", found \"B\"",
                "[0].spec.a: expected 1, found nothing",
                "[0].spec.b[1]: expected 2, found nothing",
                "[0].spec.c: expected nothing, found 1",
                "[1]: expected nothing, found {\"kind\":\"C\"}",
            ]
        );
    }

    #[test]
    fn other_verbs_count_where_one_is_named() {
        let output = json!({"verb": "output.set", "name": "a", "value": 1});
        let found = json!([{"kind": "A"}, output]);
        assert_eq!(differences(json!([{"kind": "A"}]), found.clone()), [""; 0]);
        assert_eq!(differences(json!([{"kind": "A"}, output]), found.clone()), [""; 0]);
        assert_ne!(differences(json!([output]), found), [""; 0]);
    }

    #[test]
    fn a_refusal_is_known_by_its_path_and_words() {
        let refused = |path: &str| Trial {
            violations: vec![Violation::new(code::INVALID_PROPERTY, path, "must be a number, is \"x\"")],
            ..trial(json!([]))
        };
        assert_eq!(refusal(&refused("properties.ports[0].port"), "ports[0].port", Some("a number")), [""; 0]);
        assert_eq!(refusal(&refused("properties"), "", None), [""; 0]);
        assert_eq!(refusal(&refused("properties.port"), "ports", None).len(), 2);
        assert_eq!(refusal(&refused("properties.port"), "port", Some("text")).len(), 2);
        assert_eq!(refusal(&trial(json!([])), "port", None)[1], "found none");
    }

    #[test]
    fn an_example_says_one_thing() {
        let read = |text: &str| {
            let files = [("examples/a.yaml".to_owned(), text.as_bytes().to_vec())];
            let mut mistakes = Mistakes::of("a");
            let example = example(&mut mistakes, "a", &files[0].1);
            (example, mistakes.into_violations().len())
        };
        assert!(read("properties: {a: 1}\nexpect: []\n").0.is_some());
        assert_eq!(read("properties: {a: 1}\n"), (None, 1));
        assert_eq!(read("expect: []\nrefuse: {path: a}\n"), (None, 1));
        assert_eq!(read("expect: []\nexpected: []\n").1, 1);
    }
}
