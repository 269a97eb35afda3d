//! Decoding the positioned tree by hand, so that every violation has its exact place.

use std::fmt::Display;
use std::str::FromStr;

use slipway_types::{Place, Violation};
use slipway_yaml::{Entry, Node, Position, Value};

use crate::{OamOptions, code, places};

/// Collects the violations of one file while it is decoded.
pub(crate) struct Decoder<'a> {
    pub(crate) file: &'a str,
    pub(crate) options: &'a OamOptions,
    pub(crate) violations: Vec<Violation>,
}

/// What is to be known of a mapping: every key it may have, those it must have.
pub(crate) struct Shape {
    pub(crate) known: &'static [&'static str],
    pub(crate) required: &'static [&'static str],
}

impl<'a> Decoder<'a> {
    pub(crate) fn new(file: &'a str, options: &'a OamOptions) -> Self {
        Self { file, options, violations: Vec::new() }
    }

    pub(crate) fn place(&self, at: Position) -> Place {
        places::place(self.file, at)
    }

    pub(crate) fn wrong(
        &mut self,
        code: &str,
        at: Position,
        path: &str,
        message: impl Into<String>,
    ) -> &mut Violation {
        self.violations.push(Violation::new(code, path, message).at(self.place(at)));
        self.violations.last_mut().expect("invariant: just pushed")
    }

    fn wrong_type(&mut self, node: &Node, path: &str, wanted: &str) {
        let quotable = wanted == "text" && matches!(node.value, Value::Bool(_) | Value::Number(_));
        let message = format!("expected {wanted}, found {}", node.kind());
        let violation = self.wrong(code::WRONG_TYPE, node.at, path, message);
        violation.hint = quotable.then(|| "put it in quotes".to_owned());
    }

    /// Whether `node` is a mapping; its unknown and missing keys are reported.
    pub(crate) fn shaped(&mut self, node: &Node, path: &str, shape: &Shape) -> bool {
        let Value::Map(entries) = &node.value else {
            self.wrong_type(node, path, "a mapping");
            return false;
        };
        for entry in entries.iter().filter(|entry| !shape.known.contains(&entry.key.as_str())) {
            let key = shown(&entry.key);
            let hint = did_you_mean(&entry.key, shape.known);
            self.wrong(
                code::UNKNOWN_FIELD,
                entry.key_at,
                &join(path, &key),
                format!("unknown field `{key}`"),
            )
            .hint = Some(hint);
        }
        for key in shape.required.iter().filter(|key| present(node, key).is_none()) {
            self.wrong(code::MISSING_FIELD, node.at, &join(path, key), format!("`{key}` is missing"));
        }
        true
    }

    /// The entries of a mapping with free keys.
    pub(crate) fn entries<'n>(&mut self, node: &'n Node, path: &str) -> &'n [Entry] {
        match &node.value {
            Value::Map(entries)
                if self.fits(node, path, entries.len(), self.options.max_items, "max_items") =>
            {
                entries
            }
            Value::Map(_) => &[],
            _ => {
                self.wrong_type(node, path, "a mapping");
                &[]
            }
        }
    }

    /// The items of a list.
    pub(crate) fn items<'n>(
        &mut self,
        node: &'n Node,
        path: &str,
        max: usize,
        limit: &'static str,
    ) -> &'n [Node] {
        match &node.value {
            Value::List(items) if self.fits(node, path, items.len(), max, limit) => items,
            Value::List(_) => &[],
            _ => {
                self.wrong_type(node, path, "a list");
                &[]
            }
        }
    }

    pub(crate) fn fits(&mut self, node: &Node, path: &str, count: usize, max: usize, limit: &str) -> bool {
        if count > max {
            let message = format!("{count} items, the limit {limit} is {max}");
            self.wrong(code::LIMIT_EXCEEDED, node.at, path, message);
        }
        count <= max
    }

    pub(crate) fn text<'n>(&mut self, node: &'n Node, path: &str) -> Option<&'n str> {
        if node.text().is_none() {
            self.wrong_type(node, path, "text");
        }
        node.text()
    }

    /// The text at `key`, if there is one.
    pub(crate) fn text_at(&mut self, node: &Node, key: &str, path: &str) -> Option<String> {
        let value = present(node, key)?;
        self.text(value, &join(path, key)).map(str::to_owned)
    }

    /// Texts by key.
    pub(crate) fn texts(&mut self, node: &Node, path: &str) -> std::collections::BTreeMap<String, String> {
        let mut texts = std::collections::BTreeMap::new();
        for entry in self.entries(node, path) {
            if let Some(text) = self.text(&entry.value, &join(path, &shown(&entry.key))) {
                texts.insert(entry.key.clone(), text.to_owned());
            }
        }
        texts
    }

    /// Text that reads as `T`.
    pub(crate) fn parses<T>(&mut self, node: &Node, path: &str, code: &str) -> Option<String>
    where
        T: FromStr<Err: Display>,
    {
        let text = self.text(node, path)?;
        match text.parse::<T>() {
            Ok(_) => Some(text.to_owned()),
            Err(error) => {
                self.wrong(code, node.at, path, error.to_string());
                None
            }
        }
    }

    /// One of `words`.
    pub(crate) fn word<T: Copy>(&mut self, node: &Node, path: &str, words: &[(&str, T)]) -> Option<T> {
        let text = self.text(node, path)?;
        if let Some((_, value)) = words.iter().find(|(word, _)| *word == text) {
            return Some(*value);
        }
        let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        let message = format!("`{}` is not possible here", shown(text));
        self.wrong(code::INVALID_VALUE, node.at, path, message).hint = Some(did_you_mean(text, &known));
        None
    }

    /// A mapping kept as it is.
    pub(crate) fn properties(&mut self, node: &Node, path: &str) -> crate::Properties {
        match present(node, "properties").map(|inner| (inner, inner.to_json())) {
            None => crate::Properties::new(),
            Some((_, serde_json::Value::Object(map))) => map,
            Some((inner, _)) => {
                self.wrong_type(inner, &join(path, "properties"), "a mapping");
                crate::Properties::new()
            }
        }
    }
}

/// The value at `key`, unless it is null: in YAML a key with nothing behind it is not given.
pub(crate) fn present<'n>(node: &'n Node, key: &str) -> Option<&'n Node> {
    node.get(key).filter(|value| value.value != Value::Null)
}

/// The path of `key` below `path`.
pub(crate) fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

/// Text of a file as it is repeated in a message.
pub(crate) fn shown(text: &str) -> String {
    let mut shown: String = text.chars().take(60).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    shown
}

/// The word of `known` that is near enough to `found` to be what was meant.
pub(crate) fn nearest<'w>(found: &str, known: impl IntoIterator<Item = &'w str>) -> Option<&'w str> {
    // A long text is no typing mistake, and the distance is quadratic in its length.
    if found.len() > 64 {
        return None;
    }
    let folded = found.to_lowercase();
    let distances = known.into_iter().map(|word| {
        let near = strsim::damerau_levenshtein(&folded, &word.to_lowercase());
        (near, word)
    });
    let near_enough = |(distance, word): &(usize, &str)| *distance <= (word.chars().count() / 3).max(1);
    distances.filter(near_enough).min().map(|(_, word)| word)
}

/// The hint for an unknown word: the nearest one, else all of them.
pub(crate) fn did_you_mean(found: &str, known: &[&str]) -> String {
    match nearest(found, known.iter().copied()) {
        Some(word) => format!("did you mean `{word}`?"),
        None => {
            let words: Vec<String> = known.iter().map(|word| format!("`{word}`")).collect();
            let verb = if words.len() == 1 { "is" } else { "are" };
            format!("possible {verb} {}", words.join(", "))
        }
    }
}
