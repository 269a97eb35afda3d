//! A mapping whose end has not come yet.

use std::collections::HashSet;

use super::{Entry, Node, Position, Value, YamlError};

/// What is read of it so far.
pub(super) struct Mapping {
    pub(super) at: Position,
    pub(super) anchor: usize,
    pub(super) entries: Vec<Entry>,
    pub(super) keys: HashSet<String>,
    pub(super) key: Option<(String, Position)>,
    /// What merge keys name, if they are followed.
    pub(super) merged: Vec<Node>,
    /// Whether the next value is a merge key's.
    pub(super) merging: bool,
    /// Whether a key stands more than once, and the last counts.
    pub(super) repeated: bool,
}

impl Mapping {
    pub(super) fn new(at: Position, anchor: usize) -> Self {
        let (entries, keys, merged) = (Vec::new(), HashSet::new(), Vec::new());
        Self { at, anchor, entries, keys, key: None, merged, merging: false, repeated: false }
    }

    pub(super) fn finish(mut self) -> Result<Node, YamlError> {
        if self.repeated {
            let mut seen = HashSet::new();
            self.entries.reverse();
            self.entries.retain(|entry| seen.insert(entry.key.clone()));
            self.entries.reverse();
        }
        for merged in self.merged {
            super::anchors::merge(&mut self.entries, &mut self.keys, merged)?;
        }
        Ok(Node { at: self.at, value: Value::Map(self.entries) })
    }
}
