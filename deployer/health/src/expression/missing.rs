//! Which field an expression missed, by its whole path where that can be said.

use std::fmt::Write as _;

use cel::ExecutionError;
use cel::common::ast::{Expr, LiteralValue, operators};
use cel::parser::Expression as Tree;
use serde_json::Value;

use super::shape::children;

/// A place that an expression looks at: a name and the way from there.
#[derive(Debug, Clone)]
pub(super) struct Path {
    name: String,
    steps: Vec<Step>,
}

#[derive(Debug, Clone)]
enum Step {
    Field(String),
    Index(usize),
}

/// The places that `tree` looks at, in the order in which they stand in it. `has(a.b)` looks at `a`.
pub(super) fn paths(tree: &Tree) -> Vec<Path> {
    let mut found = Vec::new();
    collect(tree, &mut found);
    found
}

fn collect(tree: &Tree, found: &mut Vec<Path>) {
    match path(tree) {
        Some(path) => found.push(path),
        None => children(&tree.expr).into_iter().for_each(|child| collect(child, found)),
    }
}

fn path(tree: &Tree) -> Option<Path> {
    match &tree.expr {
        Expr::Ident(name) => Some(Path { name: name.clone(), steps: Vec::new() }),
        Expr::Select(select) if !select.test => {
            Some(path(&select.operand)?.then(Step::Field(select.field.clone())))
        }
        Expr::Call(call) if call.func_name == operators::INDEX => {
            let [of, at] = call.args.as_slice() else { return None };
            let step = match &at.expr {
                Expr::Literal(LiteralValue::String(key)) => Step::Field(key.inner().to_owned()),
                Expr::Literal(LiteralValue::Int(at)) => Step::Index(usize::try_from(*at.inner()).ok()?),
                _ => return None,
            };
            Some(path(of)?.then(step))
        }
        _ => None,
    }
}

impl Path {
    fn then(mut self, step: Step) -> Self {
        self.steps.push(step);
        self
    }

    /// The place up to the first step that leads nowhere, and that step's own name.
    fn broken<'v>(&self, value_of: &dyn Fn(&str) -> Option<&'v Value>) -> Option<(String, &str)> {
        let mut value = value_of(&self.name)?;
        let mut text = self.name.clone();
        for step in &self.steps {
            let (next, own) = match step {
                Step::Field(key) => {
                    text.push_str(&written(key));
                    (value.get(key), key.as_str())
                }
                Step::Index(at) => {
                    write!(text, "[{at}]").expect("invariant: writing to a String does not fail");
                    (value.get(at), "")
                }
            };
            match next {
                Some(next) => value = next,
                None => return Some((text, own)),
            }
        }
        None
    }
}

fn written(key: &str) -> String {
    let is_plain = key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if is_plain { format!(".{key}") } else { format!("[\"{key}\"]") }
}

/// What `error` says is missing; `None` if it is another error. A field of null is as missing as one of
/// nothing: the API server drops what is null.
pub(super) fn name<'v>(
    error: &ExecutionError,
    paths: &[Path],
    value_of: &dyn Fn(&str) -> Option<&'v Value>,
) -> Option<String> {
    let mut broken = paths.iter().filter_map(|path| path.broken(value_of));
    match error {
        ExecutionError::NoSuchKey(key) => {
            let whole = broken.find(|(_, own)| *own == key.as_str()).map(|(text, _)| text);
            Some(whole.unwrap_or_else(|| key.to_string()))
        }
        ExecutionError::IndexOutOfBounds(_) => {
            Some(broken.next().map_or_else(|| "an entry of a list".to_owned(), |(text, _)| text))
        }
        ExecutionError::NoSuchOverload(overload)
            if matches!(overload.function(), "_._" | operators::INDEX)
                && overload.argument_types().first().is_some_and(|of| of == "null_type") =>
        {
            Some(broken.next().map_or_else(|| "a field of null".to_owned(), |(text, _)| text))
        }
        _ => None,
    }
}
