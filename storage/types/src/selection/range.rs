//! Ranges of versions, compared by SemVer precedence.
//!
//! - Full versions are compared as they are: `>=1.0.0` holds `1.4.3-main.12` and not `1.0.0-rc.1`;
//!   `<2.0.0` holds `2.0.0-rc.1`, which comes before `2.0.0`.
//! - A partial version (`1`, `1.4`, `1.x`, `1.4.*`) stands for all versions that begin so, pre-releases
//!   too: `1.x` and `=1` hold `1.0.0-rc.1`; `<2` and `>=3` lie below and from all of theirs; `>1` lies
//!   above all of `1.x`; `<=1` ends with the last of them. `*` holds everything.
//! - `^1.4.2` goes from there up to the next number left of which all are zero, which it excludes with all
//!   its pre-releases: below all of `2`; `^0.4.2` below all of `0.5`; `^0.0.3` below all of `0.0.4`.
//!   A partial one begins with its own pre-releases: `^1` is `1.x`, `^0.4` is `0.4.x`, `^0` is `0.x`.
//! - `~1.4.2` goes from there and stays below all of `1.5`; `~1.4` is `1.4.x`, `~1` is `1.x`.
//! - `1.4.2` and `=1.4.2` are that version alone.
//! - `1.2.3 - 2.3` goes from `1.2.3` to the last of `2.3.x`; white space stands around the `-`.
//! - Comparators beside one another, separated by white space or commas, must all hold; of alternatives
//!   separated by `||` one must hold. An alternative that holds no version is refused.
//!
//! Whether pre-releases take part at all is not the range's to say: see [`super::Prereleases`].

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::partial::{Partial, PartialError};
use crate::version::Version;

/// The longest range, in bytes.
pub const RANGE_BYTES_MAX: usize = 512;
/// The most alternatives of a range.
pub const ALTERNATIVES_MAX: usize = 16;
/// The most comparators of one alternative.
pub const COMPARATORS_MAX: usize = 16;

/// A text that is no range of versions.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{found}` is not a version range: {why}")]
pub struct InvalidRange {
    /// What was given, cut to 80 characters.
    pub found: String,
    /// What is wrong with it, and what to write instead.
    pub why: String,
}

/// Sort keys from `from` on, up to but without `below`; compare with [`Version::sort_key`].
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span {
    /// The first key, inclusive; empty for all.
    pub from: String,
    /// The end, exclusive; `None` for no end.
    pub below: Option<String>,
}

/// A range of versions such as `^1.4` or `>=1.0.0 <2 || 3.x`.
#[derive(Clone, PartialEq, Eq)]
pub struct VersionRange {
    alternatives: Vec<Vec<Comparator>>,
    spans: Vec<Span>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operator {
    Exact,
    Caret,
    Tilde,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// The longer of two that begin alike comes first.
const OPERATORS: [(&str, Operator); 7] = [
    ("<=", Operator::LessOrEqual),
    (">=", Operator::GreaterOrEqual),
    ("<", Operator::Less),
    (">", Operator::Greater),
    ("=", Operator::Exact),
    ("^", Operator::Caret),
    ("~", Operator::Tilde),
];

#[derive(Debug, Clone, PartialEq, Eq)]
struct Comparator {
    operator: Operator,
    version: Partial,
}

impl VersionRange {
    /// What it holds as stretches of sort keys, in order and without overlap.
    pub fn spans(&self) -> &[Span] {
        &self.spans
    }

    /// Whether the version lies in it, by precedence alone.
    pub fn contains(&self, version: &Version) -> bool {
        let key = version.sort_key();
        self.spans.iter().any(|span| span.from <= key && span.below.as_ref().is_none_or(|below| key < *below))
    }

    /// Whether it holds every version.
    pub fn is_everything(&self) -> bool {
        matches!(&self.spans[..], [Span { from, below: None }] if from.is_empty())
    }

    /// Whether somebody wrote a pre-release in it, such as `>=1.5.0-rc.1`, and so means to have them.
    pub fn names_prerelease(&self) -> bool {
        self.alternatives.iter().flatten().any(|comparator| comparator.version.is_prerelease())
    }
}

impl Comparator {
    fn span(&self) -> Result<Span, PartialError> {
        let version = &self.version;
        let (floor, ceiling) = (version.floor(), version.ceiling()?);
        let from = |from: String| Span { from, below: None };
        let below = |below: Option<String>| Span { from: String::new(), below };
        Ok(match self.operator {
            Operator::Exact => Span { from: floor, below: ceiling },
            Operator::Caret => Span { from: floor, below: version.caret_end()? },
            Operator::Tilde => Span { from: floor, below: version.tilde_end()? },
            Operator::Less => below(Some(floor)),
            Operator::LessOrEqual => below(ceiling),
            Operator::GreaterOrEqual => from(floor),
            // Above `*` there is nothing.
            Operator::Greater => {
                ceiling.map_or(Span { from: String::new(), below: Some(String::new()) }, from)
            }
        })
    }
}

impl Span {
    fn intersection(self, other: Self) -> Self {
        let below = match (self.below, other.below) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        };
        Self { from: self.from.max(other.from), below }
    }

    fn is_empty(&self) -> bool {
        self.below.as_ref().is_some_and(|below| *below <= self.from)
    }
}

/// The same keys in order, what overlaps or touches made one.
fn union(mut spans: Vec<Span>) -> Vec<Span> {
    spans.sort();
    let mut merged: Vec<Span> = Vec::with_capacity(spans.len());
    for span in spans {
        match merged.last_mut() {
            Some(last) if last.below.as_ref().is_none_or(|below| span.from <= *below) => {
                last.below = match (last.below.take(), span.below) {
                    (Some(one), Some(other)) => Some(one.max(other)),
                    _ => None,
                };
            }
            _ => merged.push(span),
        }
    }
    merged
}

fn comparator(word: &str) -> Result<Comparator, PartialError> {
    for (sign, operator) in OPERATORS {
        if let Some(version) = word.strip_prefix(sign) {
            return Ok(Comparator { operator, version: version.parse()? });
        }
    }
    Ok(Comparator { operator: Operator::Exact, version: word.parse()? })
}

/// Words of an alternative, an operator joined with the version that follows it.
fn words(text: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    for word in text.split(|c: char| c.is_whitespace() || c == ',').filter(|word| !word.is_empty()) {
        match words.last_mut() {
            Some(last) if OPERATORS.iter().any(|(sign, _)| last == sign) => last.push_str(word),
            _ => words.push(word.to_owned()),
        }
    }
    words
}

fn alternative(text: &str) -> Result<Vec<Comparator>, PartialError> {
    let words = words(text);
    if words.is_empty() {
        return Err(PartialError::new("nothing stands there: write `*` for all versions"));
    }
    if words.len() > COMPARATORS_MAX {
        return Err(PartialError::new(format!("more than {COMPARATORS_MAX} comparators beside one another")));
    }
    let mut comparators = Vec::with_capacity(words.len());
    let mut rest = &words[..];
    while !rest.is_empty() {
        if let [low, dash, high, ..] = rest
            && dash == "-"
        {
            comparators.push(Comparator { operator: Operator::GreaterOrEqual, version: low.parse()? });
            comparators.push(Comparator { operator: Operator::LessOrEqual, version: high.parse()? });
            rest = &rest[3..];
        } else {
            comparators.push(comparator(&rest[0])?);
            rest = &rest[1..];
        }
    }
    Ok(comparators)
}

impl FromStr for VersionRange {
    type Err = InvalidRange;

    fn from_str(text: &str) -> Result<Self, InvalidRange> {
        let invalid = |why: String| InvalidRange { found: text.chars().take(80).collect(), why };
        if text.len() > RANGE_BYTES_MAX {
            return Err(invalid(format!("longer than {RANGE_BYTES_MAX} bytes")));
        }
        let parts: Vec<&str> = text.split("||").collect();
        if parts.len() > ALTERNATIVES_MAX {
            return Err(invalid(format!("more than {ALTERNATIVES_MAX} alternatives")));
        }
        let mut alternatives = Vec::with_capacity(parts.len());
        let mut spans = Vec::with_capacity(parts.len());
        for part in parts {
            let comparators = alternative(part).map_err(|error| invalid(error.why))?;
            let mut span = Span { from: String::new(), below: None };
            for comparator in &comparators {
                span = span.intersection(comparator.span().map_err(|error| invalid(error.why))?);
            }
            if span.is_empty() {
                return Err(invalid(format!("no version can lie in `{}`", part.trim())));
            }
            alternatives.push(comparators);
            spans.push(span);
        }
        Ok(Self { alternatives, spans: union(spans) })
    }
}

impl fmt::Display for Comparator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = OPERATORS.iter().find(|(_, operator)| *operator == self.operator);
        let sign = sign.filter(|_| self.operator != Operator::Exact).map_or("", |(sign, _)| *sign);
        write!(f, "{sign}{}", self.version)
    }
}

impl fmt::Display for VersionRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, alternative) in self.alternatives.iter().enumerate() {
            f.write_str(if n == 0 { "" } else { " || " })?;
            for (n, comparator) in alternative.iter().enumerate() {
                write!(f, "{}{comparator}", if n == 0 { "" } else { " " })?;
            }
        }
        Ok(())
    }
}

impl fmt::Debug for VersionRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{self}\"")
    }
}

impl Serialize for VersionRange {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for VersionRange {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests;
