//! Label selectors in Kubernetes' syntax.
//!
//! `a=b`, `a==b`, `a!=b`, `a in (x,y)`, `a notin (x,y)`, `a` and `!a`, separated by commas; all must hold.
//! `a!=b` and `a notin (x,y)` also hold where there is no `a`. A value with other characters than letters,
//! digits and `-_./:@+` stands in double quotes, within which `\` goes before `"` and `\`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::selector_text::{Condition, Term, is_plain, terms};
use crate::label::{LabelKey, LabelValue, Labels};

/// The longest selector, in bytes.
pub const SELECTOR_BYTES_MAX: usize = 4096;
/// The most terms of a selector.
pub const TERMS_MAX: usize = 32;
/// The most values of one term.
pub const VALUES_MAX: usize = 64;

/// A text that is no label selector.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{found}` is not a label selector: {why}")]
pub struct InvalidSelector {
    /// What was given, cut to 80 characters.
    pub found: String,
    /// What is wrong with it, and what to write instead.
    pub why: String,
}

/// What a selector asks of one key, all its terms taken together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LabelRule {
    /// It has one of these values; never empty.
    Within(BTreeSet<LabelValue>),
    /// It is there, with none of these values; they may be empty.
    Present(BTreeSet<LabelValue>),
    /// It is not there, or has none of these values; never empty.
    NotAmong(BTreeSet<LabelValue>),
    /// It is not there.
    Absent,
}

/// Which labels a version must have, and which not.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct LabelSelector {
    rules: BTreeMap<LabelKey, LabelRule>,
}

impl LabelRule {
    /// Whether a label with that value, or none, satisfies it.
    pub fn allows(&self, value: Option<&LabelValue>) -> bool {
        match (self, value) {
            (Self::Within(values), Some(value)) => values.contains(value),
            (Self::Present(except), Some(value)) => !except.contains(value),
            (Self::NotAmong(except), Some(value)) => !except.contains(value),
            (Self::NotAmong(_) | Self::Absent, None) => true,
            (Self::Within(_) | Self::Present(_), None) | (Self::Absent, Some(_)) => false,
        }
    }

    fn of(condition: Condition) -> Self {
        match condition {
            Condition::In(values) => Self::Within(values),
            Condition::NotIn(values) => Self::NotAmong(values),
            Condition::Exists => Self::Present(BTreeSet::new()),
            Condition::Absent => Self::Absent,
        }
    }

    /// What satisfies both; `None` if nothing does.
    fn both(self, other: Self) -> Option<Self> {
        let left = |values: BTreeSet<_>, except: &BTreeSet<_>| {
            let left: BTreeSet<_> = values.difference(except).cloned().collect();
            (!left.is_empty()).then_some(Self::Within(left))
        };
        match (self, other) {
            (Self::Within(one), Self::Within(other)) => {
                let common: BTreeSet<_> = one.intersection(&other).cloned().collect();
                (!common.is_empty()).then_some(Self::Within(common))
            }
            (Self::Within(values), Self::Present(except) | Self::NotAmong(except))
            | (Self::Present(except) | Self::NotAmong(except), Self::Within(values)) => left(values, &except),
            (Self::NotAmong(one), Self::NotAmong(other)) => Some(Self::NotAmong(&one | &other)),
            (Self::Present(one), Self::Present(other) | Self::NotAmong(other))
            | (Self::NotAmong(one), Self::Present(other)) => Some(Self::Present(&one | &other)),
            (Self::Absent, Self::Absent | Self::NotAmong(_)) | (Self::NotAmong(_), Self::Absent) => {
                Some(Self::Absent)
            }
            (Self::Absent, Self::Within(_) | Self::Present(_))
            | (Self::Within(_) | Self::Present(_), Self::Absent) => None,
        }
    }
}

impl LabelSelector {
    /// The rule of each key, by key.
    pub fn rules(&self) -> &BTreeMap<LabelKey, LabelRule> {
        &self.rules
    }

    /// Whether it asks for nothing.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// Whether a version with these labels is selected.
    pub fn matches(&self, labels: &Labels) -> bool {
        self.rules.iter().all(|(key, rule)| rule.allows(labels.get(key)))
    }

    /// The same that also asks for a label with that value.
    pub fn with(&self, key: LabelKey, value: LabelValue) -> Result<Self, InvalidSelector> {
        let mut selector = self.clone();
        let condition = Condition::In(BTreeSet::from([value]));
        match selector.add(Term { key, condition }) {
            Ok(()) => Ok(selector),
            Err((one, other)) => {
                let found = format!("{one},{other}").chars().take(80).collect();
                Err(InvalidSelector { found, why: contradiction(&one, &other) })
            }
        }
    }

    /// Adds a term; on failure the two that contradict each other, as text.
    fn add(&mut self, Term { key, condition }: Term) -> Result<(), (String, String)> {
        let rule = LabelRule::of(condition);
        let merged = match self.rules.get(&key) {
            None => rule,
            Some(before) => {
                let texts = (Shown(&key, before).to_string(), Shown(&key, &rule).to_string());
                before.clone().both(rule).ok_or(texts)?
            }
        };
        self.rules.insert(key, merged);
        Ok(())
    }
}

fn contradiction(one: &str, other: &str) -> String {
    format!("`{one}` and `{other}` cannot both hold, so it selects nothing: leave one of them out")
}

impl FromStr for LabelSelector {
    type Err = InvalidSelector;

    fn from_str(text: &str) -> Result<Self, InvalidSelector> {
        let invalid = |why: String| InvalidSelector { found: text.chars().take(80).collect(), why };
        if text.len() > SELECTOR_BYTES_MAX {
            return Err(invalid(format!("longer than {SELECTOR_BYTES_MAX} bytes")));
        }
        let terms = terms(text).map_err(invalid)?;
        if terms.len() > TERMS_MAX {
            return Err(invalid(format!("{} terms, and {TERMS_MAX} are the most", terms.len())));
        }
        let mut selector = Self::default();
        for term in terms {
            selector.add(term).map_err(|(one, other)| invalid(contradiction(&one, &other)))?;
        }
        Ok(selector)
    }
}

/// A rule of a key, as the terms it is written by.
struct Shown<'a>(&'a LabelKey, &'a LabelRule);

struct Value<'a>(&'a LabelValue);

impl fmt::Display for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.0.as_str();
        if !text.is_empty() && text.chars().all(is_plain) {
            f.write_str(text)
        } else {
            write!(f, "\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
        }
    }
}

fn show(
    f: &mut fmt::Formatter<'_>,
    key: &LabelKey,
    (one, many): (&str, &str),
    values: &BTreeSet<LabelValue>,
) -> fmt::Result {
    if let (1, Some(value)) = (values.len(), values.first()) {
        return write!(f, "{key}{one}{}", Value(value));
    }
    write!(f, "{key} {many} (")?;
    for (n, value) in values.iter().enumerate() {
        write!(f, "{}{}", if n == 0 { "" } else { "," }, Value(value))?;
    }
    f.write_str(")")
}

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const NOT: (&str, &str) = ("!=", "notin");
        let Self(key, rule) = self;
        match rule {
            LabelRule::Within(values) => show(f, key, ("=", "in"), values),
            LabelRule::NotAmong(except) => show(f, key, NOT, except),
            LabelRule::Absent => write!(f, "!{key}"),
            LabelRule::Present(except) => {
                write!(f, "{key}")?;
                if except.is_empty() {
                    return Ok(());
                }
                f.write_str(",")?;
                show(f, key, NOT, except)
            }
        }
    }
}

impl fmt::Display for LabelSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, (key, rule)) in self.rules.iter().enumerate() {
            write!(f, "{}{}", if n == 0 { "" } else { "," }, Shown(key, rule))?;
        }
        Ok(())
    }
}

impl fmt::Debug for LabelSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{self}\"")
    }
}

impl Serialize for LabelSelector {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for LabelSelector {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn selector(text: &str) -> LabelSelector {
        text.parse().unwrap()
    }

    fn labels(pairs: &[(&str, &str)]) -> Labels {
        pairs.iter().map(|(key, value)| (key.parse().unwrap(), value.parse().unwrap())).collect()
    }

    #[test]
    fn each_form_selects_what_it_says() {
        let shop = labels(&[("tier", "gold"), ("source/team", "a b"), ("empty", "")]);
        for (text, expected) in [
            ("tier=gold", true),
            ("tier == gold", true),
            ("tier=silver", false),
            ("other=gold", false),
            ("tier!=silver", true),
            ("tier!=gold", false),
            ("other!=gold", true),
            ("tier in (silver, gold)", true),
            ("tier in(silver,bronze)", false),
            ("tier notin (silver)", true),
            ("other notin (silver,gold)", true),
            ("tier notin (gold , silver)", false),
            ("tier", true),
            ("other", false),
            ("!other", true),
            ("! tier", false),
            ("source/team=\"a b\"", true),
            ("empty=", true),
            ("empty=\"\"", true),
            ("tier=", false),
            ("tier=gold , !other,empty", true),
            ("tier=gold,other", false),
            ("", true),
        ] {
            let selector = selector(text);
            assert_eq!(selector.matches(&shop), expected, "{text}");
            assert_eq!(self::selector(&selector.to_string()), selector, "{text} is shown as {selector}");
        }
        assert!(selector("in in (notin)").matches(&labels(&[("in", "notin")])));
    }

    #[test]
    fn terms_of_one_key_become_one_rule() {
        for (text, shown) in [
            ("a=x,a!=y", "a=x"),
            ("a,a=x", "a=x"),
            ("a in (x,y,z),a in (y,z,w),a notin (z)", "a=y"),
            ("!a,a!=x", "!a"),
            ("a!=y,a!=x", "a notin (x,y)"),
            ("a!=y,a", "a,a!=y"),
            ("b,a=\"q \\\" \\\\\"", "a=\"q \\\" \\\\\",b"),
        ] {
            assert_eq!(selector(text).to_string(), shown);
        }
    }

    #[test]
    fn contradictions_and_nonsense_are_refused_with_the_reason() {
        let many = (0..40).map(|n| format!("k{n}")).collect::<Vec<_>>().join(",");
        let values = format!("a in ({})", (0..70).map(|n| n.to_string()).collect::<Vec<_>>().join(","));
        for (bad, why) in [
            ("a=x,a=y", "`a=x` and `a=y` cannot both hold"),
            ("a,!a", "`a` and `!a` cannot both hold"),
            ("!a,a=x", "cannot both hold"),
            ("a=x,a!=x", "cannot both hold"),
            ("a in (x,y),b,a notin (x,y)", "cannot both hold"),
            ("a=x,", "a key is missing at the end"),
            (",a", "a key is missing before `,`"),
            ("a in ()", "a value is missing"),
            ("a in (x", "`)` is missing"),
            ("a in x", "`(` is missing"),
            ("a=x b=y", "a comma is missing before `b`"),
            ("a=\"x", "a quote is not closed"),
            ("a > 5", "`>` has no meaning here"),
            ("!a=x", "a comma is missing before `=`"),
            ("-a=x", "not a valid label key"),
            ("foo/bar=x", "not a valid label key"),
            (&format!("a={}", "x".repeat(64)), "not a valid label value"),
            (&many, "40 terms, and 32 are the most"),
            (&values, "more than 64 values"),
            (&"x".repeat(5000), "longer than 4096"),
        ] {
            let error = bad.parse::<LabelSelector>().unwrap_err();
            assert!(error.why.contains(why), "{bad:?}: {error}");
        }
    }
}
