//! Decoding the positioned tree by hand, so that every mistake has its exact place.

use std::fmt::Display;
use std::str::FromStr;

use slipway_buildkits::suggestion::did_you_mean;
use slipway_yaml::{Entry, Node, Position, Value, YamlError};

use super::problem::{Problem, Problems};
use super::{ManifestOptions, Positioned};

/// Collects the mistakes of one file while it is decoded.
pub(super) struct Decoder<'a> {
    file: &'a str,
    options: &'a ManifestOptions,
    problems: Vec<Problem>,
}

/// The known keys of one mapping.
pub(super) struct Fields<'n> {
    node: &'n Node,
    path: String,
}

impl<'n> Fields<'n> {
    /// The value of `key` and its path.
    pub(super) fn get(&self, key: &str) -> Option<(&'n Node, String)> {
        self.node.get(key).map(|node| (node, join(&self.path, key)))
    }
}

/// The path of `key` below `path`.
pub(super) fn join(path: &str, key: &str) -> String {
    if path.is_empty() { shown(key) } else { format!("{path}.{}", shown(key)) }
}

/// The path of a JSON pointer below `path`.
pub(super) fn join_pointer(path: &str, pointer: &str) -> String {
    pointer.split('/').skip(1).fold(path.to_owned(), |path, step| {
        let step = step.replace("~1", "/").replace("~0", "~");
        if step.bytes().all(|b| b.is_ascii_digit()) { format!("{path}[{step}]") } else { join(&path, &step) }
    })
}

/// `text`, cut and on one line.
pub(super) fn shown(text: &str) -> String {
    text.chars().take(60).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

impl<'a> Decoder<'a> {
    pub(super) fn new(file: &'a str, options: &'a ManifestOptions) -> Self {
        Self { file, options, problems: Vec::new() }
    }

    pub(super) fn file(&self) -> &'a str {
        self.file
    }

    pub(super) fn options(&self) -> &'a ManifestOptions {
        self.options
    }

    pub(super) fn into_problems(self) -> Problems {
        Problems::new(self.problems, self.options.max_problems)
    }

    pub(super) fn problem(&mut self, at: Position, path: &str, message: impl Into<String>) -> &mut Problem {
        self.problems.push(Problem::new(self.file, at, path, message));
        self.problems.last_mut().expect("invariant: just pushed")
    }

    pub(super) fn report(&mut self, path: &str, error: YamlError) {
        self.problem(error.at, path, error.message).hint = error.hint;
    }

    fn wrong_type(&mut self, node: &Node, path: &str, wanted: &str) {
        let quotable = wanted == "text" && matches!(node.value, Value::Bool(_) | Value::Number(_));
        let problem = self.problem(node.at, path, format!("expected {wanted}, found {}", node.kind()));
        problem.hint = quotable.then(|| "put it in quotes".to_owned());
    }

    /// The mapping's fields, with unknown and missing keys reported.
    pub(super) fn fields<'n>(
        &mut self,
        node: &'n Node,
        path: &str,
        known: &[&str],
        required: &[&str],
    ) -> Option<Fields<'n>> {
        let Value::Map(entries) = &node.value else {
            self.wrong_type(node, path, "a mapping");
            return None;
        };
        for entry in entries.iter().filter(|entry| !known.contains(&entry.key.as_str())) {
            let message = format!("unknown key `{}`", shown(&entry.key));
            self.problem(entry.key_at, path, message).hint = Some(did_you_mean(&entry.key, known));
        }
        for key in required.iter().filter(|key| node.get(key).is_none()) {
            self.problem(node.at, path, format!("missing key `{key}`"));
        }
        Some(Fields { node, path: path.to_owned() })
    }

    /// The entries of a mapping with free keys.
    pub(super) fn entries<'n>(&mut self, node: &'n Node, path: &str) -> &'n [Entry] {
        match &node.value {
            Value::Map(entries) if self.fits(node, path, entries.len(), self.options.max_items) => entries,
            Value::Map(_) => &[],
            _ => {
                self.wrong_type(node, path, "a mapping");
                &[]
            }
        }
    }

    /// The items of a list with their paths.
    pub(super) fn items<'n>(&mut self, node: &'n Node, path: &str, max: usize) -> Vec<(&'n Node, String)> {
        match &node.value {
            Value::List(items) if self.fits(node, path, items.len(), max) => {
                items.iter().enumerate().map(|(index, item)| (item, format!("{path}[{index}]"))).collect()
            }
            Value::List(_) => Vec::new(),
            _ => {
                self.wrong_type(node, path, "a list");
                Vec::new()
            }
        }
    }

    fn fits(&mut self, node: &Node, path: &str, count: usize, max: usize) -> bool {
        if count > max {
            self.problem(node.at, path, format!("{count} items, the limit is {max}"));
        }
        count <= max
    }

    pub(super) fn text<'n>(&mut self, node: &'n Node, path: &str) -> Option<&'n str> {
        if node.text().is_none() {
            self.wrong_type(node, path, "text");
        }
        node.text()
    }

    /// Text read as `T`.
    pub(super) fn parsed<T>(&mut self, node: &Node, path: &str) -> Option<Positioned<T>>
    where
        T: FromStr<Err: Display>,
    {
        let text = self.text(node, path)?;
        match text.parse() {
            Ok(value) => Some(Positioned { value, at: node.at, path: path.to_owned() }),
            Err(error) => {
                self.problem(node.at, path, error.to_string());
                None
            }
        }
    }

    /// A list of texts read as `T`, none of them twice.
    pub(super) fn parsed_list<T>(&mut self, node: &Node, path: &str) -> Vec<Positioned<T>>
    where
        T: FromStr<Err: Display>,
    {
        self.distinct(node, path, Self::parsed)
    }

    /// A list read by `read`, none of its texts twice.
    pub(super) fn distinct<T>(
        &mut self,
        node: &Node,
        path: &str,
        read: impl Fn(&mut Self, &Node, &str) -> Option<Positioned<T>>,
    ) -> Vec<Positioned<T>> {
        let mut seen = std::collections::HashSet::new();
        let mut values = Vec::new();
        for (item, path) in self.items(node, path, self.options.max_items) {
            if let Some(text) = item.text().filter(|text| !seen.insert(*text)) {
                self.problem(item.at, &path, format!("`{}` stands twice", shown(text)));
            }
            values.extend(read(self, item, &path));
        }
        values
    }

    /// A mapping kept as it is.
    pub(super) fn mapping(&mut self, node: &Node, path: &str) -> Option<Positioned<Node>> {
        if !matches!(node.value, Value::Map(_)) {
            self.wrong_type(node, path, "a mapping");
            return None;
        }
        Some(Positioned { value: node.clone(), at: node.at, path: path.to_owned() })
    }

    /// The mapping at `key`; where there is none, an empty one at the place of `fields`.
    pub(super) fn optional_mapping(&mut self, fields: &Fields<'_>, key: &str) -> Option<Positioned<Node>> {
        if let Some((node, path)) = fields.get(key) {
            return self.mapping(node, &path);
        }
        let at = fields.node.at;
        let value = Node { at, value: Value::Map(Vec::new()) };
        Some(Positioned { value, at, path: join(&fields.path, key) })
    }

    pub(super) fn constant(&mut self, node: &Node, path: &str, wanted: &str) {
        if let Some(text) = self.text(node, path)
            && text != wanted
        {
            self.problem(node.at, path, format!("expected `{wanted}`, found `{}`", shown(text)));
        }
    }
}
