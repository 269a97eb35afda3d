//! Paths into an application: `components[web].properties.env[0].value`.

use std::fmt;
use std::str::FromStr;

use serde_json::Value;

/// The most characters of a path that is read.
pub const PATH_CHARS_MAX: usize = 1000;
/// The most segments of a path that is read.
pub const PATH_SEGMENTS_MAX: usize = 64;

/// One step of a path.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Segment {
    /// A key of a mapping: `.key`, or `["any key"]`.
    Key(String),
    /// An item of a list by its number: `[0]`.
    Index(usize),
    /// An item of a list by its name: `[web]`.
    Named(String),
}

/// A path, from outside in.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Path(Vec<Segment>);

/// A text that is no path.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{found}` is not a path: {why}")]
pub struct InvalidPath {
    /// What was given, cut to 80 characters.
    pub found: String,
    /// What is wrong with it.
    pub why: &'static str,
}

impl Path {
    /// The path of these segments.
    pub fn new(segments: Vec<Segment>) -> Self {
        Self(segments)
    }

    /// Its segments.
    pub fn segments(&self) -> &[Segment] {
        &self.0
    }

    /// Whether it has no segment.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The path with one segment more.
    #[must_use]
    pub fn then(&self, segment: Segment) -> Self {
        let mut segments = self.0.clone();
        segments.push(segment);
        Self(segments)
    }

    /// The path with all of `tail` below it.
    #[must_use]
    pub fn join(&self, tail: &Self) -> Self {
        Self(self.0.iter().chain(&tail.0).cloned().collect())
    }

    /// What remains after the first `count` segments.
    #[must_use]
    pub fn skip(&self, count: usize) -> Self {
        Self(self.0.iter().skip(count).cloned().collect())
    }

    /// The value at this path inside `value`. A name finds the list's item with that `name`.
    pub fn find<'v>(&self, value: &'v Value) -> Option<&'v Value> {
        self.0.iter().try_fold(value, |value, segment| segment.find(value))
    }

    /// Puts `filling` at this path inside `value`. Missing keys are made, missing items are not:
    /// then nothing changes and the answer is false.
    pub fn fill(&self, value: &mut Value, filling: Value) -> bool {
        if !self.is_hole(value) {
            return false;
        }
        let mut value = value;
        for segment in &self.0 {
            if value.is_null() {
                *value = Value::Object(serde_json::Map::new());
            }
            let inner = match (segment, value) {
                (Segment::Key(key), Value::Object(map)) => {
                    Some(map.entry(key.clone()).or_insert(Value::Null))
                }
                (Segment::Index(index), Value::Array(items)) => items.get_mut(*index),
                (Segment::Named(name), Value::Array(items)) => {
                    items.iter_mut().find(|item| item.get("name").and_then(Value::as_str) == Some(name))
                }
                _ => None,
            };
            let Some(inner) = inner else { return false };
            value = inner;
        }
        *value = filling;
        true
    }

    /// Whether something may be filled in at this path of `value`: every item on the way is there,
    /// and nothing but mappings and lists is passed.
    pub fn is_hole(&self, value: &Value) -> bool {
        let mut value = Some(value).filter(|value| !value.is_null());
        for segment in &self.0 {
            value = match (segment, value) {
                (Segment::Key(_), None) => None,
                (Segment::Key(key), Some(Value::Object(map))) => {
                    map.get(key).filter(|value| !value.is_null())
                }
                (Segment::Index(_) | Segment::Named(_), Some(list @ Value::Array(_))) => {
                    match segment.find(list) {
                        None => return false,
                        found => found,
                    }
                }
                _ => return false,
            };
        }
        true
    }
}

impl Segment {
    /// The value one step inside `value`.
    pub fn find<'v>(&self, value: &'v Value) -> Option<&'v Value> {
        match (self, value) {
            (Self::Key(key), Value::Object(map)) => map.get(key),
            (Self::Index(index), Value::Array(items)) => items.get(*index),
            (Self::Named(name), Value::Array(items)) => {
                items.iter().find(|item| item.get("name").and_then(Value::as_str) == Some(name))
            }
            _ => None,
        }
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, segment) in self.0.iter().enumerate() {
            match segment {
                Segment::Key(key) if is_plain(key) => {
                    f.write_str(if index == 0 { "" } else { "." })?;
                    f.write_str(key)?;
                }
                Segment::Key(key) => write!(f, "[{}]", quoted(key))?,
                Segment::Index(number) => write!(f, "[{number}]")?,
                Segment::Named(name) if is_plain_name(name) => write!(f, "[{name}]")?,
                Segment::Named(name) => write!(f, "[name={}]", quoted(name))?,
            }
        }
        Ok(())
    }
}

fn quoted(text: &str) -> String {
    Value::String(text.to_owned()).to_string()
}

fn is_plain(key: &str) -> bool {
    !key.is_empty() && key.chars().all(is_plain_char)
}

fn is_plain_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '$')
}

fn is_plain_name(name: &str) -> bool {
    let allowed = |c: char| is_plain_char(c) || matches!(c, '.' | '/' | '@' | ':');
    !name.is_empty() && name.chars().all(allowed) && name.bytes().any(|b| !b.is_ascii_digit())
}

impl FromStr for Path {
    type Err = InvalidPath;

    fn from_str(text: &str) -> Result<Self, InvalidPath> {
        let wrong = |why| InvalidPath { found: text.chars().take(80).collect(), why };
        if text.len() > PATH_CHARS_MAX {
            return Err(wrong("it is too long"));
        }
        let mut segments = Vec::new();
        let mut rest = text;
        while !rest.is_empty() {
            let (segment, after) = match rest.strip_prefix('[') {
                Some(inside) => bracket(inside).map_err(wrong)?,
                None => key(rest, segments.is_empty()).map_err(wrong)?,
            };
            segments.push(segment);
            rest = after;
            if segments.len() > PATH_SEGMENTS_MAX {
                return Err(wrong("it has too many parts"));
            }
        }
        if segments.is_empty() {
            return Err(wrong("it is empty"));
        }
        Ok(Self(segments))
    }
}

fn key(rest: &str, first: bool) -> Result<(Segment, &str), &'static str> {
    let rest = if first { rest } else { rest.strip_prefix('.').ok_or("`.` or `[` must follow `]`")? };
    let end = rest.find(|c| !is_plain_char(c)).unwrap_or(rest.len());
    match rest.split_at(end) {
        ("", _) => Err("a key has letters, digits, `-` and `_`; write others as [\"key\"]"),
        (key, after) => Ok((Segment::Key(key.to_owned()), after)),
    }
}

/// What follows a `[`.
fn bracket(inside: &str) -> Result<(Segment, &str), &'static str> {
    if inside.starts_with('"') {
        return string(inside).map(|(key, after)| (Segment::Key(key), after));
    }
    if let Some(name) = inside.strip_prefix("name=") {
        return string(name).map(|(name, after)| (Segment::Named(name), after));
    }
    let (text, after) = inside.split_once(']').ok_or("`]` is missing")?;
    if text.is_empty() {
        return Err("nothing stands between `[` and `]`");
    }
    if text.bytes().all(|b| b.is_ascii_digit()) {
        let index = text.parse().map_err(|_| "the number is too large")?;
        return Ok((Segment::Index(index), after));
    }
    if is_plain_name(text) { Ok((Segment::Named(text.to_owned()), after)) } else { Err("no such name") }
}

/// A JSON string and the `]` after it.
fn string(text: &str) -> Result<(String, &str), &'static str> {
    let mut stream = serde_json::Deserializer::from_str(text).into_iter::<String>();
    let value = stream.next().and_then(Result::ok).ok_or("the quoted key is not closed")?;
    let after = text[stream.byte_offset()..].strip_prefix(']').ok_or("`]` is missing")?;
    Ok((value, after))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_shown_as_they_are_read() {
        for text in [
            "components[web].traits[hpa].properties.max",
            "components[web].properties.env[0].value",
            r#"properties.annotations["a.b/c"].x"#,
            r#"["a \"b\""]"#,
            r#"env[name="0"].value"#,
            "traits[gateway:public]",
            "$secret",
        ] {
            assert_eq!(text.parse::<Path>().unwrap().to_string(), text);
        }
        for wrong in
            ["", ".a", "a..b", "a[", "a[]", "a[\"x]", "a[0]b", "a b", "a[99999999999999999999]", "a[x y]"]
        {
            assert!(wrong.parse::<Path>().is_err(), "{wrong}");
        }
        assert!("a.".repeat(65).parse::<Path>().is_err());
    }

    #[test]
    fn values_are_found_by_key_number_and_name() {
        let value = serde_json::json!({"env": [{"name": "A", "value": 1}, {"name": "B", "value": 2}]});
        let find = |path: &str| path.parse::<Path>().unwrap().find(&value).cloned();
        assert_eq!(find("env[1].value"), Some(2.into()));
        assert_eq!(find("env[B].value"), Some(2.into()));
        assert_eq!(find("env[C].value"), None);
        assert_eq!(find("env.A"), None);
    }

    #[test]
    fn holes_are_filled_where_items_are_there() {
        let declared = serde_json::json!({"env": [{"name": "A"}], "port": 1});
        let fill = |path: &str| {
            let mut value = declared.clone();
            path.parse::<Path>().unwrap().fill(&mut value, "x".into()).then_some(value)
        };
        assert_eq!(fill("env[0].value").unwrap()["env"][0]["value"], "x");
        assert_eq!(fill("env[A].value").unwrap()["env"][0]["value"], "x");
        assert_eq!(fill("values.db.host").unwrap()["values"]["db"]["host"], "x");
        assert_eq!(fill("port").unwrap()["port"], "x");
        for none in ["env[1].value", "env[B].value", "env.A", "port.number", "args[0]"] {
            assert_eq!(fill(none), None, "{none}");
        }
    }
}
