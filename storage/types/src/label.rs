//! Labels: `key=value` on a version.
//!
//! Labels from `slipway.yaml` live under `source/`, the server's own under `slipway/`; unprefixed
//! keys come from people who have the right to set them.

use std::collections::BTreeMap;
use std::str::FromStr;

use crate::text::text_type;

/// The prefix of labels that developers write in `slipway.yaml`.
pub const SOURCE_PREFIX: &str = "source/";
/// The prefix of labels that the server writes.
pub const SERVER_PREFIX: &str = "slipway/";
/// The longest key (with prefix) and value, in characters: Kubernetes' limit for label values.
pub const LABEL_CHARS_MAX: usize = 63;

/// Who may write a label, told by its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LabelOrigin {
    /// Declared in `slipway.yaml`.
    Source,
    /// Written by the server.
    Server,
    /// Written by people.
    People,
}

/// A label's key: letters, digits, `-`, `_`, `.`, with an optional `source/` or `slipway/` before it.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LabelKey(String);

/// A label's value: up to 63 printable characters, possibly none.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LabelValue(String);

/// The labels of one version.
pub type Labels = BTreeMap<LabelKey, LabelValue>;

/// A text that is no label key or value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidLabel {
    /// The key is not of the form.
    #[error(
        "`{0}` is not a valid label key: letters, digits, `-`, `_` and `.`, beginning and ending with a letter or \
         digit, at most {LABEL_CHARS_MAX} characters"
    )]
    Key(String),
    /// The value is not of the form.
    #[error(
        "`{0}` is not a valid label value: at most {LABEL_CHARS_MAX} printable characters, no line breaks"
    )]
    Value(String),
}

impl LabelKey {
    /// The key as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Who may write it.
    pub fn origin(&self) -> LabelOrigin {
        if self.0.starts_with(SOURCE_PREFIX) {
            LabelOrigin::Source
        } else if self.0.starts_with(SERVER_PREFIX) {
            LabelOrigin::Server
        } else {
            LabelOrigin::People
        }
    }

    /// The key `source/<key>` for a key that a developer wrote.
    pub fn of_source(key: &str) -> Result<Self, InvalidLabel> {
        format!("{SOURCE_PREFIX}{key}").parse()
    }

    /// The key `slipway/<key>` for one of the server's own.
    pub fn of_server(key: &str) -> Result<Self, InvalidLabel> {
        format!("{SERVER_PREFIX}{key}").parse()
    }
}

impl LabelValue {
    /// The value as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The nearest valid value: unprintable characters become `-`, the rest is cut.
    pub fn nearest(text: &str) -> Self {
        Self(text.chars().map(|c| if c.is_control() { '-' } else { c }).take(LABEL_CHARS_MAX).collect())
    }
}

impl FromStr for LabelKey {
    type Err = InvalidLabel;

    fn from_str(text: &str) -> Result<Self, InvalidLabel> {
        let bare =
            text.strip_prefix(SOURCE_PREFIX).or_else(|| text.strip_prefix(SERVER_PREFIX)).unwrap_or(text);
        let edge = |c: char| c.is_ascii_alphanumeric();
        let inner = |c: char| edge(c) || "-_.".contains(c);
        let valid = !bare.is_empty()
            && text.len() <= LABEL_CHARS_MAX
            && bare.starts_with(edge)
            && bare.ends_with(edge)
            && bare.chars().all(inner);
        if valid {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidLabel::Key(text.chars().take(80).collect()))
        }
    }
}

impl FromStr for LabelValue {
    type Err = InvalidLabel;

    fn from_str(text: &str) -> Result<Self, InvalidLabel> {
        if text.chars().count() <= LABEL_CHARS_MAX && !text.chars().any(char::is_control) {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidLabel::Value(text.chars().take(80).collect()))
        }
    }
}

text_type!(LabelKey, LabelValue);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_prefix_tells_the_writer() {
        let origin = |text: &str| text.parse::<LabelKey>().unwrap().origin();
        assert_eq!(origin("source/team"), LabelOrigin::Source);
        assert_eq!(origin("slipway/branch"), LabelOrigin::Server);
        assert_eq!(origin("keep"), LabelOrigin::People);
        assert_eq!(
            LabelKey::of_source("slipway/branch"),
            Err(InvalidLabel::Key("source/slipway/branch".into()))
        );
    }

    #[test]
    fn other_prefixes_and_odd_characters_are_refused() {
        for bad in ["", "a/b", "source/", "-a", "a-", "a b", "a=b", &"k".repeat(64)] {
            assert!(bad.parse::<LabelKey>().is_err(), "{bad:?}");
        }
        assert!("a\nb".parse::<LabelValue>().is_err());
        assert_eq!(LabelValue::nearest("a\nb").as_str(), "a-b");
    }
}
