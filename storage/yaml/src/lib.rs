//! YAML read with positions and limits.
//!
//! One reader for everything Slipway reads as YAML: every value and key keeps its line and column,
//! every limit is named, and nothing is expanded but where asked for, and then counted, so that aliases
//! cannot blow up.

mod anchors;
mod kubernetes;
mod mapping;
mod scalar;
mod write;

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, StrInput, Tag};

use anchors::Anchors;
use mapping::Mapping;
pub use write::write;

/// A place in a text file, both counted from 1, columns in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Position {
    /// The line.
    pub line: usize,
    /// The column.
    pub column: usize,
}

impl Position {
    /// The beginning of a file.
    pub const START: Self = Self { line: 1, column: 1 };
}

/// One value and where it begins.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// Where.
    pub at: Position,
    /// What.
    pub value: Value,
}

/// A value of the YAML 1.2 core schema.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Nothing, `null` or `~`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number, as JSON has it.
    Number(serde_json::Number),
    /// Text.
    Text(String),
    /// A sequence.
    List(Vec<Node>),
    /// A mapping with text keys, in the file's order.
    Map(Vec<Entry>),
    /// An alias, never followed. Only where [`References::Opaque`] lets it pass.
    Alias,
}

/// One key of a mapping.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// The key.
    pub key: String,
    /// Where the key begins.
    pub key_at: Position,
    /// Its value.
    pub value: Node,
}

/// Whether anchors, aliases, merge keys and tags may stand in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum References {
    /// Each is a mistake.
    Refused,
    /// They pass; an alias is kept as [`Value::Alias`], tags are not looked at.
    Opaque,
    /// Aliases and merge keys are followed, what they copy counts against `max_nodes` and `max_bytes`;
    /// of tags the core schema's pass.
    Followed,
}

/// How plain scalars are understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// By the core schema of YAML 1.2. A repeated key is a mistake.
    Core,
    /// As clients of Kubernetes do: `yes` is true, `0644` is 420, and the last of repeated keys counts.
    Kubernetes,
}

/// Limits of one reading.
#[derive(Debug, Clone)]
pub struct YamlOptions {
    /// The longest file, in bytes.
    pub max_bytes: usize,
    /// The deepest nesting.
    pub max_depth: usize,
    /// The most values and keys together.
    pub max_nodes: usize,
    /// The most mistakes reported of one file.
    pub max_problems: usize,
    /// Whether anchors, aliases, merge keys and tags may stand in the file.
    pub references: References,
    /// How plain scalars are understood.
    pub dialect: Dialect,
}

impl Default for YamlOptions {
    fn default() -> Self {
        Self {
            max_bytes: 1 << 20,
            max_depth: 64,
            max_nodes: 100_000,
            max_problems: 100,
            references: References::Refused,
            dialect: Dialect::Core,
        }
    }
}

/// One reason why a file is not the YAML that is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct YamlError {
    /// Where.
    pub at: Position,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub hint: Option<String>,
}

impl YamlError {
    fn new(at: Position, message: impl Into<String>) -> Self {
        Self { at, message: message.into(), hint: None }
    }

    fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl Node {
    /// The value of `key`, if this is a mapping that has it.
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.entry(key).map(|entry| &entry.value)
    }

    /// The entry of `key`, if this is a mapping that has it.
    pub fn entry(&self, key: &str) -> Option<&Entry> {
        match &self.value {
            Value::Map(entries) => entries.iter().find(|entry| entry.key == key),
            _ => None,
        }
    }

    /// The text, if this is text.
    pub fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The items, if this is a list; else none.
    pub fn items(&self) -> &[Node] {
        match &self.value {
            Value::List(items) => items,
            _ => &[],
        }
    }

    /// The value at a JSON pointer (RFC 6901) below this one.
    pub fn pointer(&self, pointer: &str) -> Option<&Node> {
        let mut node = self;
        for step in pointer.split('/').skip(1) {
            let step = step.replace("~1", "/").replace("~0", "~");
            node = match &node.value {
                Value::List(items) => items.get(step.parse::<usize>().ok()?)?,
                _ => node.get(&step)?,
            };
        }
        Some(node)
    }

    /// The same value as JSON, without positions.
    pub fn to_json(&self) -> serde_json::Value {
        use serde_json::Value as Json;
        match &self.value {
            Value::Null | Value::Alias => Json::Null,
            Value::Bool(value) => Json::Bool(*value),
            Value::Number(value) => Json::Number(value.clone()),
            Value::Text(value) => Json::String(value.clone()),
            Value::List(items) => items.iter().map(Self::to_json).collect(),
            Value::Map(entries) => {
                entries.iter().map(|entry| (entry.key.clone(), entry.value.to_json())).collect()
            }
        }
    }

    /// What this is, in words.
    pub fn kind(&self) -> String {
        match &self.value {
            Value::Null => "nothing".to_owned(),
            Value::Bool(value) => format!("the boolean {value}"),
            Value::Number(value) => format!("the number {value}"),
            Value::Text(_) => "text".to_owned(),
            Value::List(_) => "a list".to_owned(),
            Value::Map(_) => "a mapping".to_owned(),
            Value::Alias => "an alias".to_owned(),
        }
    }
}

/// Reads every document of `bytes`; on mistakes, all of them in the file's order.
pub fn read(bytes: &[u8], options: &YamlOptions) -> Result<Vec<Node>, Vec<YamlError>> {
    let text = text_of(bytes, options).map_err(|error| vec![error])?;
    let mut tree = Tree {
        options,
        documents: Vec::new(),
        open: Vec::new(),
        nodes: 0,
        anchors: Anchors::default(),
        errors: Vec::new(),
    };
    let mut parser = Parser::new(StrInput::new(text));
    while let Some(event) = parser.next_event() {
        let taken = match event {
            Ok((event, span)) => tree.take(event, position(&span.start)),
            Err(error) => Err(syntax_error(text, &error)),
        };
        if let Err(error) = taken {
            tree.errors.push(error);
            break;
        }
        if tree.errors.len() >= options.max_problems {
            break;
        }
    }
    if tree.errors.is_empty() { Ok(tree.documents) } else { Err(tree.errors) }
}

fn position(marker: &Marker) -> Position {
    Position { line: marker.line().max(1), column: marker.col() + 1 }
}

fn syntax_error(text: &str, error: &saphyr_parser::ScanError) -> YamlError {
    let at = position(error.marker());
    let message = format!("not valid YAML: {}", error.info());
    let line = text.lines().nth(at.line - 1).unwrap_or_default();
    let indent = &line[..line.len() - line.trim_start().len()];
    match indent.chars().position(|c| c == '\t') {
        Some(before) => YamlError::new(Position { line: at.line, column: before + 1 }, message)
            .hint("a tab cannot indent YAML, use spaces"),
        None => YamlError::new(at, message),
    }
}

/// The text of `bytes`: short enough, UTF-8, and without what YAML forbids.
fn text_of<'a>(bytes: &'a [u8], options: &YamlOptions) -> Result<&'a str, YamlError> {
    if bytes.len() > options.max_bytes {
        let (is, may) = (bytes.len(), options.max_bytes);
        return Err(YamlError::new(Position::START, format!("the file has {is} bytes, the limit is {may}")));
    }
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let before = String::from_utf8_lossy(&bytes[..error.valid_up_to()]);
        YamlError::new(end_of(&before), "the file is not UTF-8 text")
    })?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    // The parser takes NUL for the end of the file.
    match text.char_indices().find(|(_, c)| is_forbidden(*c)) {
        Some((index, c)) => {
            let message = format!("the character U+{:04X} may not stand in YAML", u32::from(c));
            Err(YamlError::new(end_of(&text[..index]), message))
        }
        None => Ok(text),
    }
}

/// The complement of `c-printable` (YAML 1.2.2, 5.1).
fn is_forbidden(c: char) -> bool {
    (c.is_control() && !matches!(c, '\t' | '\n' | '\r' | '\u{85}')) || matches!(c, '\u{fffe}' | '\u{ffff}')
}

fn end_of(text: &str) -> Position {
    let last = text.rsplit('\n').next().unwrap_or_default();
    Position { line: text.matches('\n').count() + 1, column: last.chars().count() + 1 }
}

/// The tree as far as it is read. Kept on a stack of its own: input never deepens ours.
struct Tree<'a> {
    options: &'a YamlOptions,
    documents: Vec<Node>,
    open: Vec<Open>,
    nodes: usize,
    anchors: Anchors,
    errors: Vec<YamlError>,
}

/// A list or mapping whose end has not come yet.
enum Open {
    List { at: Position, anchor: usize, items: Vec<Node> },
    Map(Mapping),
}

impl Tree<'_> {
    fn take(&mut self, event: Event<'_>, at: Position) -> Result<(), YamlError> {
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                self.reference(at, anchor, tag.as_deref());
                self.scalar(text.into_owned(), style, anchor, tag.as_deref(), at)
            }
            Event::SequenceStart(anchor, tag) => {
                self.reference(at, anchor, tag.as_deref());
                self.start(Open::List { at, anchor, items: Vec::new() }, at)
            }
            Event::MappingStart(anchor, tag) => {
                self.reference(at, anchor, tag.as_deref());
                self.start(Open::Map(Mapping::new(at, anchor)), at)
            }
            Event::Alias(anchor) => self.alias(anchor, at),
            Event::SequenceEnd | Event::MappingEnd => self.end(),
            _ => Ok(()),
        }
    }

    fn refuse(&mut self, at: Position, message: &str) {
        self.errors.push(YamlError::new(at, message).hint("write the value out"));
    }

    fn follows(&self) -> bool {
        self.options.references == References::Followed
    }

    fn reference(&mut self, at: Position, anchor: usize, tag: Option<&Tag>) {
        if self.options.references == References::Opaque {
            return;
        }
        if anchor > 0 && !self.follows() {
            self.refuse(at, "anchors (`&name`) are not allowed");
        }
        if tag.is_some_and(|tag| !self.follows() || !tag.is_yaml_core_schema() || tag.suffix == "binary") {
            self.errors.push(
                YamlError::new(at, "tags (`!name`) are not allowed")
                    .hint("use quotes for text that looks like a number"),
            );
        }
    }

    fn alias(&mut self, anchor: usize, at: Position) -> Result<(), YamlError> {
        let node = match self.options.references {
            References::Followed => self.anchors.copy(anchor, at, self.options)?,
            References::Opaque => Node { at, value: Value::Alias },
            References::Refused => {
                self.refuse(at, "aliases (`*name`) are not allowed");
                Node { at, value: Value::Alias }
            }
        };
        self.put(node)
    }

    fn scalar(
        &mut self,
        text: String,
        style: ScalarStyle,
        anchor: usize,
        tag: Option<&Tag>,
        at: Position,
    ) -> Result<(), YamlError> {
        if let Some(Open::Map(Mapping { key: None, merging: false, .. })) = self.open.last() {
            self.key(text, style, at);
            return self.count(at);
        }
        let is_text =
            style != ScalarStyle::Plain || (self.follows() && tag.is_some_and(|t| t.suffix == "str"));
        let value = if is_text {
            Value::Text(text)
        } else {
            let plain = match self.options.dialect {
                Dialect::Core => scalar::plain(text),
                Dialect::Kubernetes => kubernetes::plain(text),
            };
            plain.unwrap_or_else(|message| {
                self.errors.push(YamlError::new(at, message).hint("put it in quotes if text is meant"));
                Value::Null
            })
        };
        let node = Node { at, value };
        self.keep(anchor, &node)?;
        self.put(node)
    }

    /// A key is text however it is written: `8080:` and `on:` name what they show.
    fn key(&mut self, text: String, style: ScalarStyle, at: Position) {
        let follows = self.follows();
        let Some(Open::Map(map)) = self.open.last_mut() else { return };
        let merge = text == "<<" && style == ScalarStyle::Plain;
        if merge && follows {
            map.merging = true;
            return;
        }
        let repeated = !map.keys.insert(text.clone()) && !merge;
        map.key = Some((text.clone(), at));
        if merge && self.options.references == References::Refused {
            self.refuse(at, "merge keys (`<<`) are not allowed");
        } else if repeated && self.options.dialect == Dialect::Kubernetes {
            map.repeated = true;
        } else if repeated {
            let shown: String = text.chars().take(60).collect();
            self.errors.push(YamlError::new(at, format!("the key `{shown}` stands twice")));
        }
    }

    fn start(&mut self, open: Open, at: Position) -> Result<(), YamlError> {
        if let Some(Open::Map(Mapping { key: None, merging: false, .. })) = self.open.last() {
            return Err(YamlError::new(at, "a key must be text, not a list or a mapping"));
        }
        if self.open.len() >= self.options.max_depth {
            let limit = self.options.max_depth;
            return Err(YamlError::new(at, format!("nested deeper than {limit} levels")));
        }
        self.open.push(open);
        Ok(())
    }

    fn end(&mut self) -> Result<(), YamlError> {
        let (anchor, node) = match self.open.pop() {
            Some(Open::List { at, anchor, items }) => (anchor, Node { at, value: Value::List(items) }),
            Some(Open::Map(map)) => (map.anchor, map.finish()?),
            None => return Ok(()),
        };
        self.keep(anchor, &node)?;
        self.put(node)
    }

    fn keep(&mut self, anchor: usize, node: &Node) -> Result<(), YamlError> {
        if self.follows() { self.anchors.keep(anchor, node, self.options) } else { Ok(()) }
    }

    fn count(&mut self, at: Position) -> Result<(), YamlError> {
        self.nodes += 1;
        if self.nodes > self.options.max_nodes {
            return Err(YamlError::new(at, format!("more than {} values", self.options.max_nodes)));
        }
        Ok(())
    }

    fn put(&mut self, node: Node) -> Result<(), YamlError> {
        self.count(node.at)?;
        match self.open.last_mut() {
            None => self.documents.push(node),
            Some(Open::List { items, .. }) => items.push(node),
            Some(Open::Map(map)) if map.merging => {
                map.merging = false;
                map.merged.push(node);
            }
            Some(Open::Map(map)) => match map.key.take() {
                Some((key, key_at)) => map.entries.push(Entry { key, key_at, value: node }),
                None => return Err(YamlError::new(node.at, "a key must be text, not an alias")),
            },
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
