//! Building positioned trees.

use slipway_yaml::{Entry, Node, Position, Value};

use crate::{Path, Segment};

/// A mapping under construction. What it holds keeps its own places.
pub(super) struct Builder {
    at: Position,
    entries: Vec<Entry>,
}

impl Builder {
    pub(super) fn at(at: Position) -> Self {
        Self { at, entries: Vec::new() }
    }

    pub(super) fn put(&mut self, key: &str, value: Node) {
        self.entries.push(Entry { key: key.to_owned(), key_at: value.at, value });
    }

    pub(super) fn with(mut self, key: &str, value: Node) -> Self {
        self.put(key, value);
        self
    }

    pub(super) fn build(self) -> Node {
        Node { at: self.at, value: Value::Map(self.entries) }
    }
}

pub(super) fn text(at: Position, text: impl Into<String>) -> Node {
    Node { at, value: Value::Text(text.into()) }
}

pub(super) fn entry_mut<'n>(node: &'n mut Node, key: &str) -> Option<&'n mut Node> {
    match &mut node.value {
        Value::Map(entries) => {
            entries.iter_mut().find(|entry| entry.key == key).map(|entry| &mut entry.value)
        }
        _ => None,
    }
}

/// Puts `value` at `path` inside `node`, making what is missing on the way. The error says what
/// stands in the way.
pub(super) fn set(node: &mut Node, path: &Path, value: Node) -> Result<(), String> {
    let at = value.at;
    let mut node = node;
    for segment in path.segments() {
        let kind = node.kind();
        node = inner(node, segment, at).ok_or_else(|| match segment {
            Segment::Index(index) => format!("there is no item {index}"),
            Segment::Key(key) => format!("`{}` would lie in {kind}", crate::decode::shown(key)),
            Segment::Named(name) => {
                format!("an item named `{}` would lie in {kind}", crate::decode::shown(name))
            }
        })?;
    }
    *node = value;
    Ok(())
}

fn inner<'n>(node: &'n mut Node, segment: &Segment, at: Position) -> Option<&'n mut Node> {
    let nothing = || Node { at, value: Value::Null };
    if node.value == Value::Null {
        node.value = match segment {
            Segment::Key(_) => Value::Map(Vec::new()),
            _ => Value::List(Vec::new()),
        };
    }
    match (segment, &mut node.value) {
        (Segment::Key(key), Value::Map(entries)) => {
            let index = entries.iter().position(|entry| entry.key == *key).unwrap_or_else(|| {
                entries.push(Entry { key: key.clone(), key_at: at, value: nothing() });
                entries.len() - 1
            });
            Some(&mut entries[index].value)
        }
        (Segment::Index(index), Value::List(items)) => {
            if *index == items.len() {
                items.push(nothing());
            }
            items.get_mut(*index)
        }
        (Segment::Named(name), Value::List(items)) => {
            let is = |item: &Node| item.get("name").and_then(Node::text) == Some(name);
            let index = items.iter().position(is).unwrap_or_else(|| {
                items.push(Builder::at(at).with("name", text(at, name.clone())).build());
                items.len() - 1
            });
            Some(&mut items[index])
        }
        _ => None,
    }
}

/// How much memory a copy of `node` takes, about.
pub(super) fn weight(node: &Node) -> usize {
    const NODE_BYTES: usize = 64;
    let inside: usize = match &node.value {
        Value::Text(text) => text.len(),
        Value::List(items) => items.iter().map(weight).sum(),
        Value::Map(entries) => entries.iter().map(|entry| entry.key.len() + weight(&entry.value)).sum(),
        _ => 0,
    };
    inside + NODE_BYTES
}
