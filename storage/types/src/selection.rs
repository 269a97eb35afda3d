//! Which bundles of an application are wanted: the one form of that question, asked by people, by
//! environments that follow, and by policies.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::git::{CommitId, GitRef};
use crate::name::{ChannelName, EnvironmentName};
use crate::text::text_type;

mod partial;
pub mod range;
pub mod selector;
mod selector_text;

pub use range::{InvalidRange, Span, VersionRange};
pub use selector::{InvalidSelector, LabelRule, LabelSelector};

/// The shortest commit prefix, in digits.
pub const COMMIT_PREFIX_DIGITS_MIN: usize = 4;
/// The longest author, in characters.
pub const AUTHOR_CHARS_MAX: usize = 200;

/// What a bundle must be to be selected; all that is given must hold.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "snake_case")]
pub struct Selection {
    /// Its version lies in this range.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub range: Option<VersionRange>,
    /// Its labels are these.
    #[serde(skip_serializing_if = "LabelSelector::is_empty")]
    pub selector: LabelSelector,
    /// It was published from this branch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub branch: Option<BranchName>,
    /// This channel names it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channel: Option<ChannelName>,
    /// It was published from a commit that begins so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub commit: Option<CommitPrefix>,
    /// This person wrote its commit or pushed it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub author: Option<Author>,
    /// It was published at this time or later.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub published_after: Option<DateTime<Utc>>,
    /// It was published before this time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub published_before: Option<DateTime<Utc>>,
    /// It is what this environment runs now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deployed_in: Option<EnvironmentName>,
    /// Whether pre-releases, which builds of branches are too, take part.
    #[serde(skip_serializing_if = "Prereleases::is_auto")]
    pub prerelease: Prereleases,
    /// Whether bundles take part that are held by the checks their developers declare.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub held: bool,
}

/// Whether pre-releases take part in a selection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Prereleases {
    /// If a branch, commit, channel or environment is given, or the range names a pre-release.
    #[default]
    Auto,
    /// They do.
    Yes,
    /// They do not.
    No,
}

/// In which order what was selected is listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SelectionOrder {
    /// The highest version first.
    #[default]
    Precedence,
    /// The one published last first.
    Newest,
}

/// One of the conditions of a selection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Condition {
    /// Pre-releases do not take part.
    Prerelease,
    /// The range of versions.
    Range,
    /// The label selector.
    Selector,
    /// The branch.
    Branch,
    /// The channel.
    Channel,
    /// The commit.
    Commit,
    /// The author.
    Author,
    /// The time of publication.
    Published,
    /// The environment that runs it.
    DeployedIn,
    /// Bundles that their checks hold do not take part.
    Held,
}

impl Condition {
    /// Every condition, in the order in which people are told of them.
    pub const ALL: [Self; 10] = [
        Self::Prerelease,
        Self::Range,
        Self::Selector,
        Self::Branch,
        Self::Channel,
        Self::Commit,
        Self::Author,
        Self::Published,
        Self::DeployedIn,
        Self::Held,
    ];
}

impl Prereleases {
    /// Whether it is left to the rest of the selection.
    pub fn is_auto(&self) -> bool {
        *self == Self::Auto
    }
}

impl Selection {
    /// Whether pre-releases take part, `auto` decided.
    pub fn takes_prereleases(&self) -> bool {
        match self.prerelease {
            Prereleases::Yes => true,
            Prereleases::No => false,
            Prereleases::Auto => {
                self.branch.is_some()
                    || self.commit.is_some()
                    || self.channel.is_some()
                    || self.deployed_in.is_some()
                    || self.range.as_ref().is_some_and(VersionRange::names_prerelease)
            }
        }
    }

    /// The same with `auto` decided, so that taking another condition away does not change it.
    #[must_use]
    pub fn decided(&self) -> Self {
        let prerelease = if self.takes_prereleases() { Prereleases::Yes } else { Prereleases::No };
        Self { prerelease, ..self.clone() }
    }

    /// The conditions that it has.
    pub fn conditions(&self) -> Vec<Condition> {
        Condition::ALL.into_iter().filter(|condition| self.has(*condition)).collect()
    }

    fn has(&self, condition: Condition) -> bool {
        match condition {
            Condition::Prerelease => !self.takes_prereleases(),
            Condition::Range => self.range.as_ref().is_some_and(|range| !range.is_everything()),
            Condition::Selector => !self.selector.is_empty(),
            Condition::Branch => self.branch.is_some(),
            Condition::Channel => self.channel.is_some(),
            Condition::Commit => self.commit.is_some(),
            Condition::Author => self.author.is_some(),
            Condition::Published => self.published_after.is_some() || self.published_before.is_some(),
            Condition::DeployedIn => self.deployed_in.is_some(),
            Condition::Held => !self.held,
        }
    }

    /// The same without one of its conditions, the others as they were.
    #[must_use]
    pub fn without(&self, condition: Condition) -> Self {
        let mut rest = self.decided();
        match condition {
            Condition::Prerelease => rest.prerelease = Prereleases::Yes,
            Condition::Range => rest.range = None,
            Condition::Selector => rest.selector = LabelSelector::default(),
            Condition::Branch => rest.branch = None,
            Condition::Channel => rest.channel = None,
            Condition::Commit => rest.commit = None,
            Condition::Author => rest.author = None,
            Condition::Published => (rest.published_after, rest.published_before) = (None, None),
            Condition::DeployedIn => rest.deployed_in = None,
            Condition::Held => rest.held = true,
        }
        rest
    }

    /// The same of which only that condition is left.
    #[must_use]
    pub fn only(&self, condition: Condition) -> Self {
        let others = Condition::ALL.into_iter().filter(|other| *other != condition);
        others.fold(self.decided(), |rest, other| rest.without(other))
    }
}

impl fmt::Display for Selection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fn text<T: ToString>(value: Option<&T>) -> Option<String> {
            value.map(ToString::to_string)
        }
        let time = |time: Option<&DateTime<Utc>>| {
            time.map(|time| time.to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true))
        };
        let selector = (!self.selector.is_empty()).then(|| self.selector.to_string());
        let mut any = false;
        for (name, value) in [
            ("range", text(self.range.as_ref())),
            ("selector", selector),
            ("branch", text(self.branch.as_ref())),
            ("channel", text(self.channel.as_ref())),
            ("commit", text(self.commit.as_ref())),
            ("author", text(self.author.as_ref())),
            ("published since", time(self.published_after.as_ref())),
            ("published before", time(self.published_before.as_ref())),
            ("deployed in", text(self.deployed_in.as_ref())),
            ("pre-releases", (!self.prerelease.is_auto()).then(|| self.prerelease.to_string())),
        ] {
            if let Some(value) = value {
                write!(f, "{}{name} `{value}`", if any { ", " } else { "" })?;
                any = true;
            }
        }
        if any { Ok(()) } else { f.write_str("any bundle") }
    }
}

/// A text that names none of a few words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{found}` is not known: write {expected}")]
pub struct UnknownWord {
    /// What was given, cut to 80 characters.
    pub found: String,
    /// What may be given.
    pub expected: &'static str,
}

macro_rules! words {
    ($type:ident, $expected:literal, $($word:literal => $variant:ident),*) => {
        impl FromStr for $type {
            type Err = UnknownWord;

            fn from_str(text: &str) -> Result<Self, UnknownWord> {
                match text {
                    $($word => Ok(Self::$variant),)*
                    _ => Err(UnknownWord { found: text.chars().take(80).collect(), expected: $expected }),
                }
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self { $(Self::$variant => $word),* })
            }
        }
    };
}

words!(Prereleases, "`auto`, `yes` or `no`", "auto" => Auto, "yes" => Yes, "no" => No);
words!(SelectionOrder, "`precedence` or `newest`", "precedence" => Precedence, "newest" => Newest);

/// A branch, by its name without `refs/heads/`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BranchName(String);

/// The first digits of a commit id, or all of them.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CommitPrefix(String);

/// Somebody who wrote a commit (by name, by mail address, or `Name <address>`) or pushed it (by the name
/// that Slipway or the forge knows); the letters A to Z compare without case.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Author(String);

/// A text that does not say which bundles.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSelection {
    /// No branch.
    #[error("`{0}` is not a branch: write its name without refs/heads/, valid by git check-ref-format")]
    Branch(String),
    /// No commit prefix.
    #[error(
        "`{0}` is not the beginning of a commit id: expected {COMMIT_PREFIX_DIGITS_MIN} to 40 hex digits"
    )]
    Commit(String),
    /// No author.
    #[error("`{0}` is not an author: expected 1 to {AUTHOR_CHARS_MAX} printable characters")]
    Author(String),
}

impl BranchName {
    /// The ref that it is.
    pub fn git_ref(&self) -> GitRef {
        GitRef::Branch(self.0.clone())
    }
}

impl From<&CommitId> for CommitPrefix {
    fn from(commit: &CommitId) -> Self {
        Self(commit.as_str().to_owned())
    }
}

impl Author {
    /// By what a person is found who wrote a commit as `author` and whom others know as `actor`: what
    /// [`Author::key`] is one of.
    pub fn keys(author: &str, actor: &str) -> Vec<String> {
        let mut keys = vec![author, actor];
        if let Some((name, rest)) = author.split_once('<') {
            keys.extend([name, rest.trim_end_matches(['>', ' '])]);
        }
        let mut keys: Vec<String> =
            keys.iter().filter_map(|key| Some(key.parse::<Self>().ok()?.key())).collect();
        keys.sort();
        keys.dedup();
        keys
    }

    /// What it is compared by.
    pub fn key(&self) -> String {
        self.0.to_ascii_lowercase()
    }
}

impl FromStr for BranchName {
    type Err = InvalidSelection;

    fn from_str(text: &str) -> Result<Self, InvalidSelection> {
        match format!("refs/heads/{text}").parse() {
            Ok(GitRef::Branch(name)) if !text.starts_with("refs/") => Ok(Self(name)),
            _ => Err(InvalidSelection::Branch(text.chars().take(80).collect())),
        }
    }
}

impl FromStr for CommitPrefix {
    type Err = InvalidSelection;

    fn from_str(text: &str) -> Result<Self, InvalidSelection> {
        let valid = (COMMIT_PREFIX_DIGITS_MIN..=40).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_hexdigit());
        if valid {
            Ok(Self(text.to_ascii_lowercase()))
        } else {
            Err(InvalidSelection::Commit(text.chars().take(80).collect()))
        }
    }
}

impl FromStr for Author {
    type Err = InvalidSelection;

    fn from_str(text: &str) -> Result<Self, InvalidSelection> {
        let text = text.trim();
        if text.is_empty() || text.chars().count() > AUTHOR_CHARS_MAX || text.chars().any(char::is_control) {
            return Err(InvalidSelection::Author(text.chars().take(80).collect()));
        }
        Ok(Self(text.to_owned()))
    }
}

macro_rules! shown_as_text {
    ($($type:ident),*) => {$(
        impl $type {
            /// It as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        text_type!($type);
    )*};
}

shown_as_text!(BranchName, CommitPrefix, Author);

#[cfg(test)]
mod tests;
