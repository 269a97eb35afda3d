//! Paths of fields inside an object, and patterns over them.
//!
//! Written as people write them: `spec.template.spec.containers[name=web].env[name=A].value`,
//! `metadata.labels["app.kubernetes.io/name"]`. A pattern may say `[*]` for any item of a list.

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// One step of a path.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Step {
    /// Into a field of a map.
    Field(String),
    /// Into the item of a list that has these key fields.
    Item(Vec<(String, String)>),
}

/// The way from an object's top to one of its fields.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct FieldPath(Vec<Step>);

impl FieldPath {
    /// The path of these steps.
    pub fn new(steps: Vec<Step>) -> Self {
        Self(steps)
    }

    /// The path of these fields.
    pub fn of_fields<'a>(fields: impl IntoIterator<Item = &'a str>) -> Self {
        Self(fields.into_iter().map(|field| Step::Field(field.to_owned())).collect())
    }

    /// Its steps.
    pub fn steps(&self) -> &[Step] {
        &self.0
    }

    /// Whether two writers of one value here do no harm: labels and annotations, those of pod
    /// templates too.
    pub fn is_label_or_annotation(&self) -> bool {
        let field =
            |step: &Step, names: &[&str]| matches!(step, Step::Field(name) if names.contains(&name.as_str()));
        self.0.windows(3).any(|steps| {
            field(&steps[0], &["metadata"])
                && field(&steps[1], &["labels", "annotations"])
                && matches!(steps[2], Step::Field(_))
        })
    }
}

impl Borrow<[Step]> for FieldPath {
    fn borrow(&self) -> &[Step] {
        &self.0
    }
}

fn is_plain(field: &str) -> bool {
    !field.is_empty() && field.chars().all(|c| c.is_ascii_alphanumeric() || "_-$".contains(c))
}

/// Appends `field` to a path as people write it.
pub(crate) fn push_field(text: &mut String, field: &str) {
    if is_plain(field) {
        if !text.is_empty() {
            text.push('.');
        }
        text.push_str(field);
    } else {
        text.push_str(&format!("[{}]", serde_json::Value::from(field)));
    }
}

impl fmt::Display for FieldPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::new();
        for step in &self.0 {
            match step {
                Step::Field(field) => push_field(&mut text, field),
                Step::Item(keys) => {
                    let keys: Vec<String> =
                        keys.iter().map(|(key, value)| format!("{key}={value}")).collect();
                    text.push_str(&format!("[{}]", keys.join(",")));
                }
            }
        }
        f.write_str(&text)
    }
}

/// One step of a pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
enum PatternStep {
    Field(String),
    AnyItem,
    Item(String, String),
}

/// A path whose steps into lists may be open. It covers the paths it names and all below them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathPattern {
    text: String,
    steps: Vec<PatternStep>,
}

/// A text that is no path.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{found}` is no path of a field: {why}")]
pub struct InvalidPath {
    found: String,
    why: &'static str,
}

impl PathPattern {
    /// Whether writing `path` touches what the pattern covers: `path` is one of the named ones, lies
    /// below one, or is a whole that contains one.
    pub fn touches(&self, path: &FieldPath) -> bool {
        self.steps.iter().zip(path.steps()).all(|(pattern, step)| pattern.fits(step))
    }

    /// Whether `path` is one of the named ones or lies below one.
    pub fn covers(&self, path: &FieldPath) -> bool {
        path.steps().len() >= self.steps.len() && self.touches(path)
    }
}

impl PatternStep {
    fn fits(&self, step: &Step) -> bool {
        match (self, step) {
            (Self::Field(pattern), Step::Field(field)) => pattern == field,
            (Self::AnyItem, Step::Item(_)) => true,
            (Self::Item(key, value), Step::Item(keys)) => keys.iter().any(|(k, v)| k == key && v == value),
            _ => false,
        }
    }
}

const PATH_CHARS_MAX: usize = 500;

impl FromStr for PathPattern {
    type Err = InvalidPath;

    fn from_str(text: &str) -> Result<Self, InvalidPath> {
        let invalid = |why| InvalidPath { found: text.chars().take(80).collect(), why };
        if text.len() > PATH_CHARS_MAX {
            return Err(invalid("it is longer than 500 characters"));
        }
        let mut steps = Vec::new();
        let mut rest = text;
        while !rest.is_empty() {
            rest = if rest.starts_with('[') {
                let (step, after) = bracket(rest).map_err(invalid)?;
                steps.push(step);
                after
            } else {
                let bare = if steps.is_empty() {
                    rest
                } else {
                    rest.strip_prefix('.').ok_or_else(|| invalid("a `.` is missing"))?
                };
                let end = bare.find(['.', '[']).unwrap_or(bare.len());
                if end == 0 {
                    return Err(invalid("a field has no name"));
                }
                steps.push(PatternStep::Field(bare[..end].to_owned()));
                &bare[end..]
            };
        }
        if steps.is_empty() {
            return Err(invalid("it is empty"));
        }
        Ok(Self { text: text.to_owned(), steps })
    }
}

/// The step at the front of `text`, which begins with `[`, and what comes after it.
fn bracket(text: &str) -> Result<(PatternStep, &str), &'static str> {
    let inner = &text[1..];
    if inner.starts_with('"') {
        let mut values = serde_json::Deserializer::from_str(inner).into_iter::<String>();
        let field = values.next().and_then(Result::ok).ok_or("a quoted field does not end")?;
        let after = inner[values.byte_offset()..].strip_prefix(']').ok_or("a `]` is missing")?;
        return Ok((PatternStep::Field(field), after));
    }
    let (inside, after) = inner.split_once(']').ok_or("a `]` is missing")?;
    if inside == "*" {
        return Ok((PatternStep::AnyItem, after));
    }
    match inside.split_once('=') {
        Some((key, value)) if !key.is_empty() && !value.is_empty() => {
            Ok((PatternStep::Item(key.to_owned(), value.to_owned()), after))
        }
        _ => {
            Err("a list is entered by `[*]` or `[name=VALUE]`, a field with odd characters by `[\"FIELD\"]`")
        }
    }
}

impl fmt::Display for PathPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Serialize for FieldPath {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl Serialize for PathPattern {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for PathPattern {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(name: &str) -> Step {
        Step::Item(vec![("name".into(), name.into())])
    }

    fn field(name: &str) -> Step {
        Step::Field(name.into())
    }

    #[test]
    fn paths_read_as_people_write_them() {
        let path = FieldPath::new(vec![
            field("spec"),
            field("containers"),
            item("web"),
            field("a.b/c"),
            Step::Item(vec![("containerPort".into(), "80".into()), ("protocol".into(), "TCP".into())]),
        ]);
        assert_eq!(path.to_string(), r#"spec.containers[name=web]["a.b/c"][containerPort=80,protocol=TCP]"#);
    }

    #[test]
    fn a_pattern_covers_what_is_below_and_touches_what_is_above() {
        let pattern: PathPattern = r#"spec.containers[*].env[name=A]["x.y"]"#.parse().unwrap();
        let mut steps = vec![field("spec"), field("containers"), item("web"), field("env")];
        let list = FieldPath::new(steps.clone());
        assert!(pattern.touches(&list) && !pattern.covers(&list));
        steps.push(item("B"));
        assert!(!pattern.touches(&FieldPath::new(steps.clone())));
        *steps.last_mut().unwrap() = item("A");
        steps.extend([field("x.y"), field("z")]);
        assert!(pattern.covers(&FieldPath::new(steps)));
    }

    #[test]
    fn what_is_no_path_is_refused() {
        for bad in ["", "a..b", ".a", "a.", "a[", "a[0]", "a[]", "a[=x]", "a[\"x]", "a[*]b", &"a".repeat(501)]
        {
            assert!(bad.parse::<PathPattern>().is_err(), "{bad}");
        }
    }

    #[test]
    fn labels_of_pod_templates_are_labels() {
        let path = |text: &str| FieldPath::of_fields(text.split('.'));
        assert!(path("metadata.labels.a").is_label_or_annotation());
        assert!(path("spec.template.metadata.annotations.a").is_label_or_annotation());
        assert!(!path("spec.labels.a").is_label_or_annotation());
        assert!(!path("metadata.labels").is_label_or_annotation());
    }
}
