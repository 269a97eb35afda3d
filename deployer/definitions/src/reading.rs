//! YAML read strictly: every mistake with its place, unknown fields refused.

use slipway_types::{Place, Violation};
use slipway_yaml::{self as yaml, Node, Position, Value, YamlError, YamlOptions};

use crate::code;
use crate::field_path::push_field;
use crate::suggestion::{did_you_mean, shortened};

/// The mistakes of one file, gathered while it is read.
#[derive(Debug)]
pub(crate) struct Mistakes {
    file: String,
    found: Vec<Violation>,
}

impl Mistakes {
    pub(crate) fn of(file: &str) -> Self {
        Self { file: file.to_owned(), found: Vec::new() }
    }

    pub(crate) fn into_violations(self) -> Vec<Violation> {
        self.found
    }

    /// The one document of `bytes`.
    pub(crate) fn document(&mut self, bytes: &[u8]) -> Option<Node> {
        match yaml::read(bytes, &YamlOptions::default()) {
            Ok(mut documents) if documents.len() == 1 => documents.pop(),
            Ok(documents) => {
                let count = documents.len();
                self.add(Position::START, "", format!("must hold one YAML document, holds {count}"));
                None
            }
            Err(errors) => {
                for error in errors {
                    self.add_yaml(error);
                }
                None
            }
        }
    }

    fn add_yaml(&mut self, error: YamlError) {
        self.add(error.at, "", error.message);
        if let (Some(last), Some(hint)) = (self.found.last_mut(), error.hint) {
            last.hint = Some(hint);
        }
    }

    pub(crate) fn add(&mut self, at: Position, path: &str, message: impl Into<String>) -> &mut Violation {
        let place = Place { file: self.file.clone(), line: at.line, column: at.column };
        let path = if path.is_empty() { self.file.clone() } else { path.to_owned() };
        self.found.push(Violation::new(code::INVALID_DEFINITION, path, message).at(place));
        self.found.last_mut().expect("invariant: one was pushed just now")
    }

    /// Reads the mapping `node` at `path` with `read`; fields nobody asked for are mistakes.
    pub(crate) fn mapping<'a, T>(
        &mut self,
        node: &'a Node,
        path: &str,
        read: impl FnOnce(&mut Fields<'_, 'a>) -> T,
    ) -> Option<T> {
        if !matches!(node.value, Value::Map(_)) {
            self.add(node.at, path, format!("must be a mapping, is {}", node.kind()));
            return None;
        }
        let mut fields = Fields { node, path: path.to_owned(), known: Vec::new(), mistakes: self };
        let value = read(&mut fields);
        fields.finish();
        Some(value)
    }

    pub(crate) fn text<'a>(&mut self, node: &'a Node, path: &str) -> Option<&'a str> {
        match node.text() {
            Some(text) if !text.is_empty() => Some(text),
            Some(_) => {
                self.add(node.at, path, "must not be empty");
                None
            }
            None => {
                self.add(node.at, path, format!("must be text, is {}", node.kind()));
                None
            }
        }
    }

    /// `text` as a `T`, which says itself what is wrong with it.
    pub(crate) fn parsed<T: std::str::FromStr<Err: std::fmt::Display>>(
        &mut self,
        node: &Node,
        path: &str,
    ) -> Option<T> {
        match self.text(node, path)?.parse() {
            Ok(value) => Some(value),
            Err(error) => {
                self.add(node.at, path, format!("{error}"));
                None
            }
        }
    }

    /// Every item of the list `node`, read by `read`; a list longer than `limit` is a mistake.
    pub(crate) fn list<'a, T>(
        &mut self,
        node: &'a Node,
        path: &str,
        limit: usize,
        mut read: impl FnMut(&mut Self, &'a Node, &str) -> Option<T>,
    ) -> Vec<T> {
        if !matches!(node.value, Value::List(_)) {
            self.add(node.at, path, format!("must be a list, is {}", node.kind()));
        }
        if node.items().len() > limit {
            self.add(node.at, path, format!("has {} items, at most {limit} are allowed", node.items().len()));
            return Vec::new();
        }
        let items = node.items().iter().enumerate();
        items.filter_map(|(index, item)| read(self, item, &format!("{path}[{index}]"))).collect()
    }
}

/// The fields of one mapping.
pub(crate) struct Fields<'m, 'a> {
    node: &'a Node,
    path: String,
    known: Vec<&'static str>,
    pub(crate) mistakes: &'m mut Mistakes,
}

impl<'a> Fields<'_, 'a> {
    pub(crate) fn path_of(&self, key: &str) -> String {
        let mut path = self.path.clone();
        push_field(&mut path, key);
        path
    }

    pub(crate) fn at(&self) -> Position {
        self.node.at
    }

    /// The value of `key`, if it is there.
    pub(crate) fn optional(&mut self, key: &'static str) -> Option<&'a Node> {
        // Some are asked for twice, and are still one.
        if !self.known.contains(&key) {
            self.known.push(key);
        }
        self.node.get(key)
    }

    /// The value of `key`; its absence is a mistake.
    pub(crate) fn required(&mut self, key: &'static str) -> Option<&'a Node> {
        let value = self.optional(key);
        if value.is_none() {
            let path = self.path_of(key);
            self.mistakes.add(self.node.at, &path, format!("`{key}` is missing"));
        }
        value
    }

    pub(crate) fn required_text(&mut self, key: &'static str) -> Option<&'a str> {
        let node = self.required(key)?;
        self.mistakes.text(node, &self.path_of(key))
    }

    pub(crate) fn flag(&mut self, key: &'static str) -> bool {
        let Some(node) = self.optional(key) else { return false };
        let Value::Bool(value) = node.value else {
            let path = self.path_of(key);
            self.mistakes.add(node.at, &path, format!("must be true or false, is {}", node.kind()));
            return false;
        };
        value
    }

    /// The items of the list `key`, read by `read`; nothing if it is not there.
    pub(crate) fn items<T>(
        &mut self,
        key: &'static str,
        limit: usize,
        read: impl FnMut(&mut Mistakes, &'a Node, &str) -> Option<T>,
    ) -> Vec<T> {
        let Some(node) = self.optional(key) else { return Vec::new() };
        let path = self.path_of(key);
        self.mistakes.list(node, &path, limit, read)
    }

    pub(crate) fn texts(&mut self, key: &'static str, limit: usize) -> Vec<String> {
        self.items(key, limit, |mistakes, node, path| mistakes.text(node, path).map(str::to_owned))
    }

    fn finish(self) {
        let Value::Map(entries) = &self.node.value else { return };
        for entry in entries.iter().filter(|entry| !self.known.contains(&entry.key.as_str())) {
            let path = self.path_of(&entry.key);
            self.mistakes
                .add(entry.key_at, &path, format!("unknown field `{}`", shortened(&entry.key)))
                .hint = Some(did_you_mean(&entry.key, &self.known));
        }
    }
}
