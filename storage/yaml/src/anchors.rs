//! What anchors name, for files whose aliases are followed. Each copy is counted, so that few lines
//! cannot become much.

use std::collections::{HashMap, HashSet};

use super::{Entry, Node, Position, Value, YamlError, YamlOptions};

/// The anchored values of a document, and what their copies come to.
#[derive(Default)]
pub(super) struct Anchors {
    known: HashMap<usize, Node>,
    nodes: usize,
    bytes: usize,
}

impl Anchors {
    /// Keeps `node` under `anchor`; an anchor of 0 is none.
    pub(super) fn keep(
        &mut self,
        anchor: usize,
        node: &Node,
        options: &YamlOptions,
    ) -> Result<(), YamlError> {
        if anchor > 0 {
            self.count(node, node.at, options)?;
            self.known.insert(anchor, node.clone());
        }
        Ok(())
    }

    /// A copy of what `anchor` names, as it stands at `at`.
    pub(super) fn copy(
        &mut self,
        anchor: usize,
        at: Position,
        options: &YamlOptions,
    ) -> Result<Node, YamlError> {
        let Some(node) = self.known.remove(&anchor) else {
            return Err(YamlError::new(at, "an alias may not stand inside what it names"));
        };
        self.count(&node, at, options)?;
        let copy = Node { at, value: node.value.clone() };
        self.known.insert(anchor, node);
        Ok(copy)
    }

    fn count(&mut self, node: &Node, at: Position, options: &YamlOptions) -> Result<(), YamlError> {
        let (nodes, bytes, depth) = size(node);
        self.nodes = self.nodes.saturating_add(nodes);
        self.bytes = self.bytes.saturating_add(bytes);
        if self.nodes > options.max_nodes || self.bytes > options.max_bytes || depth > options.max_depth {
            return Err(YamlError::new(at, "aliases make this file too large").hint("write the values out"));
        }
        Ok(())
    }
}

/// Values and keys, bytes of text, and levels of a value.
fn size(node: &Node) -> (usize, usize, usize) {
    let (mut nodes, mut bytes, mut deepest) = (0, 0, 0);
    let mut open = vec![(node, 1)];
    while let Some((node, depth)) = open.pop() {
        nodes += 1;
        deepest = deepest.max(depth);
        match &node.value {
            Value::Text(text) => bytes += text.len(),
            Value::List(items) => open.extend(items.iter().map(|item| (item, depth + 1))),
            Value::Map(entries) => {
                for entry in entries {
                    nodes += 1;
                    bytes += entry.key.len();
                    open.push((&entry.value, depth + 1));
                }
            }
            _ => {}
        }
    }
    (nodes, bytes, deepest)
}

/// Adds what the merge key's value `merged` holds and `entries`, whose keys are `keys`, do not.
pub(super) fn merge(
    entries: &mut Vec<Entry>,
    keys: &mut HashSet<String>,
    merged: Node,
) -> Result<(), YamlError> {
    let at = merged.at;
    let sources = match merged.value {
        Value::Map(source) => vec![source],
        Value::List(items) => {
            let maps = items.into_iter().map(|item| match item.value {
                Value::Map(source) => Ok(source),
                _ => Err(not_mergeable(item.at)),
            });
            maps.collect::<Result<Vec<_>, _>>()?
        }
        _ => return Err(not_mergeable(at)),
    };
    for source in sources {
        for entry in source {
            if keys.insert(entry.key.clone()) {
                entries.push(entry);
            }
        }
    }
    Ok(())
}

fn not_mergeable(at: Position) -> YamlError {
    YamlError::new(at, "a merge key (`<<`) takes a mapping or a list of mappings")
}
