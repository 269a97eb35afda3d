//! Commits and refs.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A git object id: 40 lower-case hex digits (SHA-1 repositories).
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CommitId(String);

/// A text that is not an object id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{found}` is not a git commit id: expected 40 lower-case hex digits")]
pub struct InvalidCommitId {
    /// What was given, cut to 80 characters.
    pub found: String,
}

impl CommitId {
    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The first 8 digits, for people's eyes.
    pub fn short(&self) -> &str {
        &self.0[..8]
    }

    /// The all-zero id, by which git says "no object".
    pub fn is_zero(&self) -> bool {
        self.0.bytes().all(|b| b == b'0')
    }

    /// The all-zero id.
    pub fn zero() -> Self {
        Self("0".repeat(40))
    }
}

impl FromStr for CommitId {
    type Err = InvalidCommitId;

    fn from_str(text: &str) -> Result<Self, InvalidCommitId> {
        if text.len() == 40 && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)) {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidCommitId { found: text.chars().take(80).collect() })
        }
    }
}

/// A branch or a tag, the only refs that build.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum GitRef {
    /// `refs/heads/…`, holding what follows.
    Branch(String),
    /// `refs/tags/…`, holding what follows.
    Tag(String),
}

/// A text that names neither a branch nor a tag, or that git would refuse.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{found}` is not a branch or tag ref: expected refs/heads/NAME or refs/tags/NAME, valid by git check-ref-format"
)]
pub struct InvalidGitRef {
    /// What was given, cut to 80 characters.
    pub found: String,
}

/// The longest full ref name, in bytes.
pub const REF_BYTES_MAX: usize = 255;

impl GitRef {
    /// The name after `refs/heads/` or `refs/tags/`.
    pub fn short(&self) -> &str {
        match self {
            Self::Branch(name) | Self::Tag(name) => name,
        }
    }

    /// The branch name, if this is a branch.
    pub fn branch(&self) -> Option<&str> {
        match self {
            Self::Branch(name) => Some(name),
            Self::Tag(_) => None,
        }
    }
}

/// The rules of `git check-ref-format` for one full name.
fn is_ref_format(name: &str) -> bool {
    let forbidden = |c: char| c.is_control() || " ~^:?*[\\\u{7f}".contains(c);
    name.len() <= REF_BYTES_MAX
        && !name.contains("..")
        && !name.contains("@{")
        && !name.ends_with('.')
        && !name.chars().any(forbidden)
        && name.split('/').all(|part| {
            !part.is_empty() && !part.starts_with('.') && !part.to_ascii_lowercase().ends_with(".lock")
        })
}

impl FromStr for GitRef {
    type Err = InvalidGitRef;

    fn from_str(text: &str) -> Result<Self, InvalidGitRef> {
        let invalid = || InvalidGitRef { found: text.chars().take(80).collect() };
        if !is_ref_format(text) {
            return Err(invalid());
        }
        if let Some(name) = text.strip_prefix("refs/heads/") {
            // `-` first would be read as an option by git's own commands.
            if name.starts_with('-') || name == "HEAD" {
                return Err(invalid());
            }
            Ok(Self::Branch(name.to_owned()))
        } else if let Some(name) = text.strip_prefix("refs/tags/") {
            if name.starts_with('-') {
                return Err(invalid());
            }
            Ok(Self::Tag(name.to_owned()))
        } else {
            Err(invalid())
        }
    }
}

impl fmt::Display for GitRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Branch(name) => write!(f, "refs/heads/{name}"),
            Self::Tag(name) => write!(f, "refs/tags/{name}"),
        }
    }
}

impl fmt::Display for CommitId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

macro_rules! text_serde {
    ($type:ident) => {
        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "\"{self}\"")
            }
        }

        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

text_serde!(CommitId);
text_serde!(GitRef);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refs_are_branches_or_tags_that_git_would_accept() {
        assert_eq!("refs/heads/feature/x".parse(), Ok(GitRef::Branch("feature/x".into())));
        assert_eq!("refs/tags/v1.0.0".parse(), Ok(GitRef::Tag("v1.0.0".into())));
        for bad in [
            "main",
            "refs/heads/",
            "refs/pull/1/head",
            "refs/heads/a..b",
            "refs/heads/-x",
            "refs/heads/a.lock",
            "refs/heads/a b",
            "refs/heads/a\nb",
            "refs/heads//a",
            "refs/heads/.a",
            "refs/heads/a@{1}",
            "refs/heads/a.lock/b",
            "refs/heads/../../x",
            "refs/tags/-d",
        ] {
            assert!(bad.parse::<GitRef>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn commit_ids_are_forty_lower_case_hex_digits() {
        assert!("a".repeat(40).parse::<CommitId>().is_ok());
        for bad in ["A".repeat(40), "a".repeat(39), "g".repeat(40)] {
            assert!(bad.parse::<CommitId>().is_err());
        }
        assert!(CommitId::zero().is_zero());
    }
}
