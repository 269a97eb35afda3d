//! What is run: the modules of one plug-in.

use std::collections::BTreeMap;
use std::sync::Arc;

use slipway_types::{Digest, Hasher};

/// The Starlark modules of one plug-in. Clones are cheap.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    modules: Arc<BTreeMap<String, String>>,
    entry: String,
    title: String,
    digest: Digest,
}

impl Program {
    /// The program of `modules` (name → Starlark text) whose functions are defined in `entry`.
    pub fn new(modules: BTreeMap<String, String>, entry: impl Into<String>) -> Self {
        let entry = entry.into();
        let digest = digest(&modules, &entry);
        Self { modules: Arc::new(modules), title: entry.clone(), entry, digest }
    }

    /// The program whose only module is `text`.
    pub fn single(entry: impl Into<String>, text: impl Into<String>) -> Self {
        let entry = entry.into();
        Self::new(BTreeMap::from([(entry.clone(), text.into())]), entry)
    }

    /// The same with the name by which errors speak of it, e.g. `trait hpa@1.0.0`. Enters no digest.
    #[must_use]
    pub fn titled(mut self, title: impl Into<String>) -> Self {
        self.title = title.into();
        self
    }

    /// The digest of its modules, their names and the entry.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// The name by which errors speak of it.
    pub fn title(&self) -> &str {
        &self.title
    }

    /// The module that defines the functions.
    pub fn entry(&self) -> &str {
        &self.entry
    }

    /// Name → text.
    pub fn modules(&self) -> &BTreeMap<String, String> {
        &self.modules
    }

    /// The length of all texts.
    pub fn size_bytes(&self) -> u64 {
        self.modules.iter().map(|(name, text)| (name.len() + text.len()) as u64).sum()
    }
}

fn digest(modules: &BTreeMap<String, String>, entry: &str) -> Digest {
    let mut hasher = Hasher::new();
    // Lengths stand before the texts, so no two programs write the same bytes.
    let mut field = |text: &str| {
        hasher.update(&(text.len() as u64).to_be_bytes());
        hasher.update(text.as_bytes());
    };
    field("slipway-program-1");
    field(entry);
    for (name, text) in modules {
        field(name);
        field(text);
    }
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn modules(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect()
    }

    #[test]
    fn the_digest_tells_apart_what_concatenation_would_not() {
        let one = Program::new(modules(&[("a", "bc"), ("d", "")]), "a");
        let other = Program::new(modules(&[("a", "b"), ("cd", "")]), "a");
        assert_ne!(one.digest(), other.digest());
        assert_ne!(one.digest(), Program::new(modules(&[("a", "bc"), ("d", "")]), "d").digest());
    }

    #[test]
    fn a_title_is_no_part_of_the_digest() {
        let program = Program::single("main.star", "x = 1");
        assert_eq!(program.clone().titled("trait hpa@1.0.0").digest(), program.digest());
    }
}
