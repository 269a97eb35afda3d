//! `manifests`: Kubernetes objects as they are; the package holds the chosen files.

use globset::{GlobBuilder, GlobMatcher};
use serde::Deserialize;

use crate::kit::{KitError, Planning};
use crate::verb::Verb;
use slipway_yaml::{Node, Value};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct With {
    include: Option<Vec<String>>,
}

const DEFAULT_INCLUDE: [&str; 3] = ["**/*.yaml", "**/*.yml", "**/*.json"];

pub(crate) fn plan(planning: &Planning<'_>) -> Result<Vec<Verb>, KitError> {
    let with: With = planning.with()?;
    let chosen = if let Some(patterns) = &with.include {
        chosen_by(planning, patterns)?
    } else {
        let matchers = DEFAULT_INCLUDE
            .map(|pattern| matcher(pattern).expect("invariant: the default patterns are globs"));
        let is_default = |path: &&String| matchers.iter().any(|matcher| matcher.is_match(path.as_str()));
        planning.files.paths().iter().filter(is_default).cloned().collect()
    };
    if chosen.is_empty() {
        return Err(KitError::new(format!(
            "no YAML or JSON file in the context `{}`",
            planning.declaration.context
        ))
        .hint("choose files by `with.include`"));
    }
    for path in &chosen {
        check_objects(planning, path)?;
    }
    Ok(vec![planning.pack(chosen, None)?])
}

fn matcher(pattern: &str) -> Result<GlobMatcher, globset::Error> {
    Ok(GlobBuilder::new(pattern).literal_separator(true).build()?.compile_matcher())
}

fn chosen_by(planning: &Planning<'_>, patterns: &[String]) -> Result<Vec<String>, KitError> {
    let mut chosen = Vec::new();
    for (index, pattern) in patterns.iter().enumerate() {
        let pointer = format!("/include/{index}");
        let matcher = matcher(pattern)
            .map_err(|error| KitError::with(&pointer, format!("not a glob: {}", error.kind())))?;
        let before = chosen.len();
        chosen.extend(planning.files.paths().iter().filter(|path| matcher.is_match(path)).cloned());
        if chosen.len() == before {
            return Err(KitError::with(pointer, format!("`{pattern}` matches no file of the context")));
        }
    }
    chosen.sort_unstable();
    chosen.dedup();
    Ok(chosen)
}

/// Each document must say what it is, or no cluster will take it.
fn check_objects(planning: &Planning<'_>, path: &str) -> Result<(), KitError> {
    let documents = planning.read_yaml(path)?;
    let mut objects = documents.iter().filter(|document| document.value != Value::Null).peekable();
    if objects.peek().is_none() {
        return Err(KitError::file(path, None, "the file holds no Kubernetes object")
            .hint("leave it out by `with.include`"));
    }
    objects.try_for_each(|document| check_object(path, document))
}

fn check_object(path: &str, document: &Node) -> Result<(), KitError> {
    if !matches!(document.value, Value::Map(_)) {
        let message = format!("expected a Kubernetes object, found {}", document.kind());
        return Err(KitError::file(path, document.at, message).hint("leave it out by `with.include`"));
    }
    for key in ["apiVersion", "kind"] {
        match document.get(key) {
            Some(node) if node.text().is_some_and(|text| !text.is_empty()) => {}
            Some(node) => {
                let message = format!("`{key}` must be text, found {}", node.kind());
                return Err(KitError::file(path, node.at, message));
            }
            None => {
                return Err(KitError::file(path, document.at, format!("the object has no `{key}`"))
                    .hint("if this is no Kubernetes object, leave it out by `with.include`"));
            }
        }
    }
    Ok(())
}
