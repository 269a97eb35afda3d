//! The interpreter's errors in people's words.

use slipway_types::Place;
use starlark::ErrorKind;
use starlark::codemap::FileSpan;

use super::Watch;
use crate::error::{Limit, Refusal};
use crate::frame::Fault;

/// Characters of a message, of a refusal's parts and of the text an error points at.
const MESSAGE_CHARACTERS: usize = 2_000;
const PATH_CHARACTERS: usize = 500;
const TEXT_CHARACTERS: usize = 80;
/// Calls an error lists.
const CALLS_SHOWN: usize = 8;

/// What `refuse` throws.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Thrown(pub(super) Refusal);

/// What a constructor finds wrong with its arguments.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Misuse(pub(super) String);

/// A failure at a place.
pub(super) fn at(span: Option<&FileSpan>, message: String) -> Fault {
    Fault::Failed {
        message: cut(&message, MESSAGE_CHARACTERS),
        at: span.map(place),
        text: span.and_then(text),
        called_from: Vec::new(),
    }
}

/// The fault of an error of the interpreter.
pub(super) fn of(error: &starlark::Error, watch: &Watch) -> Fault {
    let mut frames = error.call_stack().frames.iter().rev().filter_map(|frame| frame.location.as_ref());
    let span = error.span();
    if watch.expired.get() {
        return watch.limit(Limit::Cpu, watch.options.max_cpu_ms, span.or_else(|| frames.next()).map(place));
    }
    let inner = match error.kind() {
        ErrorKind::StackOverflow(_) => {
            return watch.limit(Limit::CallDepth, watch.options.max_call_depth, span.map(place));
        }
        ErrorKind::Native(inner) | ErrorKind::Other(inner) => Some(inner),
        _ => None,
    };
    if let Some(Thrown(refusal)) = inner.and_then(|inner| inner.downcast_ref()) {
        return Fault::Refused(Refusal {
            path: cut(&refusal.path, PATH_CHARACTERS),
            message: cut(&refusal.message, MESSAGE_CHARACTERS),
            hint: refusal.hint.as_deref().map(|hint| cut(hint, MESSAGE_CHARACTERS)),
        });
    }
    let mut fault = at(span, message(error));
    if let Fault::Failed { called_from, at, .. } = &mut fault {
        called_from.extend(frames.map(place).take(CALLS_SHOWN));
        called_from.retain(|call| Some(call) != at.as_ref());
    }
    fault
}

fn message(error: &starlark::Error) -> String {
    let message = error.without_diagnostic().to_string();
    if let Some(message) = too_large(&message) {
        return message;
    }
    let message = match error.kind() {
        ErrorKind::Fail(_) => message.strip_prefix("fail:").unwrap_or(&message).trim_start(),
        _ => message.strip_prefix("Parse error: ").unwrap_or(&message),
    };
    match way_out(message) {
        Some(way_out) => cut(message, MESSAGE_CHARACTERS) + "; " + way_out,
        None => cut(message, MESSAGE_CHARACTERS),
    }
}

/// What the interpreter says of a number beyond what a built-in function takes, in words.
fn too_large(message: &str) -> Option<String> {
    let (_, rest) = message.split_once("Error unpacking value for parameter `")?;
    let (parameter, kind) = rest.split_once('`')?;
    let is_number = kind.contains("int");
    is_number.then(|| format!("the number given for `{parameter}` is too large; stay below 2147483648"))
}

/// What to do about the mistakes that are made most often.
fn way_out(message: &str) -> Option<&'static str> {
    let advice = [
        (
            "Object of type `dict` has no attribute",
            "the fields of a dict are read with `[\"name\"]` or `.get(\"name\")`",
        ),
        ("reserved keyword `while`", "loop with `for … in range(…)`"),
        (
            "reserved keyword `import`",
            "other modules of the definition come by `load(\"name.star\", \"function\")`",
        ),
        ("reserved keyword `class`", "group values with `struct(…)`"),
        ("reserved keyword", "Starlark does not have it"),
        ("type annotations are not allowed", "leave the type out"),
        ("tabs are not allowed", "indent with spaces"),
        ("Integer overflow", "keep integers within 64 bits"),
    ];
    if message.starts_with("Key `") && message.ends_with("was not found") {
        return Some("ask with `.get(…)` where a key may be missing");
    }
    advice.into_iter().find(|(mistake, _)| message.contains(mistake)).map(|(_, way_out)| way_out)
}

fn place(span: &FileSpan) -> Place {
    let begin = span.resolve_span().begin;
    Place { file: span.filename().to_owned(), line: begin.line + 1, column: begin.column + 1 }
}

fn text(span: &FileSpan) -> Option<String> {
    let line = span.source_span().lines().next().unwrap_or_default().trim();
    (!line.is_empty()).then(|| cut(line, TEXT_CHARACTERS))
}

/// `text`, no longer than so many characters.
pub(super) fn cut(text: &str, characters: usize) -> String {
    match text.char_indices().nth(characters) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_beyond_a_parameter_is_called_too_large() {
        let told = too_large("Error unpacking value for parameter `a1` of type `int").unwrap();
        assert!(told.starts_with("the number given for `a1` is too large"), "{told}");
        assert_eq!(too_large("Type of parameter `a1` doesn't match"), None);
    }
}
