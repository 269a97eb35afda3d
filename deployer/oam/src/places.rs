//! Where the parts of an application stand in their file.

use slipway_types::Place;
use slipway_yaml::{Node, Position, Value};

use crate::path::{Path, Segment};

/// The file's tree with its positions, found by the application's own paths.
#[derive(Debug, Clone, PartialEq)]
pub struct Places {
    file: String,
    root: Node,
}

impl Places {
    pub(crate) fn new(file: &str, root: Node) -> Self {
        Self { file: file.to_owned(), root }
    }

    /// The file, as its writer knows it.
    pub fn file(&self) -> &str {
        &self.file
    }

    /// Where `path` stands, or the nearest thing around it that stands somewhere.
    pub fn place_of(&self, path: &str) -> Option<Place> {
        self.nearest(&path.parse().ok()?).map(|(place, _)| place)
    }

    /// The same, and how many segments of `path` were found.
    pub(crate) fn nearest(&self, path: &Path) -> Option<(Place, usize)> {
        let first = path.segments().first()?;
        let top = match first {
            Segment::Key(key) if matches!(key.as_str(), "metadata" | "spec" | "apiVersion" | "kind") => {
                &self.root
            }
            _ => self.root.get("spec")?,
        };
        let mut node = step(top, first)?;
        let mut found = 1;
        for segment in &path.segments()[1..] {
            let Some(inner) = step(node, segment) else { break };
            node = inner;
            found += 1;
        }
        Some((self.place(node.at), found))
    }

    /// Where all of `path` stands.
    pub(crate) fn exact(&self, path: &Path) -> Option<Place> {
        self.nearest(path).filter(|(_, found)| *found == path.segments().len()).map(|(place, _)| place)
    }

    fn place(&self, at: Position) -> Place {
        place(&self.file, at)
    }
}

/// A position of `file`.
pub(crate) fn place(file: &str, at: Position) -> Place {
    Place { file: file.to_owned(), line: at.line, column: at.column }
}

fn step<'n>(node: &'n Node, segment: &Segment) -> Option<&'n Node> {
    match (segment, &node.value) {
        (Segment::Key(key), Value::Map(_)) => node.get(key),
        (Segment::Index(index), Value::List(items)) => items.get(*index),
        (Segment::Named(name), Value::List(items)) => named(items, name),
        _ => None,
    }
}

/// The item of that name; traits and nameless policies and steps go by their type.
fn named<'n>(items: &'n [Node], name: &str) -> Option<&'n Node> {
    let is = |item: &Node, key: &str, text: &str| item.get(key).and_then(Node::text) == Some(text);
    let by_name = items.iter().find(|item| is(item, "name", name));
    let by_type = || items.iter().find(|item| is(item, "type", name));
    let by_both = || {
        let (kind, instance) = name.split_once(':')?;
        let of_kind = items.iter().filter(|item| is(item, "type", kind));
        of_kind
            .into_iter()
            .find(|item| item.get("properties").is_some_and(|properties| is(properties, "name", instance)))
    };
    by_name.or_else(by_type).or_else(by_both)
}
