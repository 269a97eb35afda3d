//! One version of a range, of which the last numbers may be left out.

use std::fmt;
use std::str::FromStr;

use crate::version::Version;

/// `1.4.2-rc.1`, `1.4.2`, `1.4`, `1` or `*`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Partial {
    Full(Version),
    Minor(u64, u64),
    Major(u64),
    Any,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PartialError {
    pub(super) why: String,
}

impl PartialError {
    pub(super) fn new(why: impl Into<String>) -> Self {
        Self { why: why.into() }
    }
}

fn after(number: u64) -> Result<u64, PartialError> {
    number.checked_add(1).ok_or_else(|| PartialError::new(format!("{number} is too large")))
}

fn floor(major: u64, minor: u64, patch: u64) -> Option<String> {
    Some(Version::sort_floor(major, minor, patch))
}

impl Partial {
    pub(super) fn is_prerelease(&self) -> bool {
        matches!(self, Self::Full(version) if version.is_prerelease())
    }

    /// The sort key from which on versions are it or come after it.
    pub(super) fn floor(&self) -> String {
        match self {
            Self::Full(version) => version.sort_key(),
            Self::Minor(major, minor) => Version::sort_floor(*major, *minor, 0),
            Self::Major(major) => Version::sort_floor(*major, 0, 0),
            Self::Any => String::new(),
        }
    }

    /// The sort key from which on versions come after all that it stands for.
    pub(super) fn ceiling(&self) -> Result<Option<String>, PartialError> {
        Ok(match self {
            Self::Full(version) => Some(version.sort_ceiling()),
            Self::Minor(major, minor) => floor(*major, after(*minor)?, 0),
            Self::Major(major) => floor(after(*major)?, 0, 0),
            Self::Any => None,
        })
    }

    /// Where `^` ends.
    pub(super) fn caret_end(&self) -> Result<Option<String>, PartialError> {
        match self {
            Self::Full(version) => Ok(match version.core() {
                (0, 0, patch) => floor(0, 0, after(patch)?),
                (0, minor, _) => floor(0, after(minor)?, 0),
                (major, ..) => floor(after(major)?, 0, 0),
            }),
            Self::Minor(major @ 1.., _) => Self::Major(*major).ceiling(),
            _ => self.ceiling(),
        }
    }

    /// Where `~` ends.
    pub(super) fn tilde_end(&self) -> Result<Option<String>, PartialError> {
        match self {
            Self::Full(version) => {
                let (major, minor, _) = version.core();
                Self::Minor(major, minor).ceiling()
            }
            _ => self.ceiling(),
        }
    }
}

/// A number, or `None` for a wildcard.
fn part(text: &str) -> Result<Option<u64>, PartialError> {
    if matches!(text, "x" | "X" | "*") {
        return Ok(None);
    }
    let plain = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if !plain || (text.len() > 1 && text.starts_with('0')) {
        return Err(PartialError::new(format!(
            "`{text}` is no number of a version: write ranges like `^1.4`, `~1.4.2`, `>=1.0.0 <2`, `1.x`"
        )));
    }
    text.parse().map(Some).map_err(|_| PartialError::new(format!("{text} is too large")))
}

impl FromStr for Partial {
    type Err = PartialError;

    fn from_str(text: &str) -> Result<Self, PartialError> {
        if let Some(rest) = text.strip_prefix(['v', 'V']) {
            return Err(PartialError::new(format!("write `{rest}` without the `v`")));
        }
        let core = text.split(['-', '+']).next().unwrap_or_default();
        let parts: Vec<&str> = core.split('.').collect();
        if parts.len() > 3 {
            return Err(PartialError::new(format!("`{text}` has more than three numbers")));
        }
        let mut numbers = Vec::with_capacity(3);
        let mut wild = false;
        for text in &parts {
            match part(text)? {
                Some(_) if wild => {
                    return Err(PartialError::new(format!("`{text}` follows a wildcard in `{core}`")));
                }
                Some(number) => numbers.push(number),
                None => wild = true,
            }
        }
        if numbers.len() == 3 {
            let version = text.parse::<Version>().map_err(|error| PartialError::new(error.to_string()))?;
            return Ok(Self::Full(version));
        }
        if core != text {
            return Err(PartialError::new(format!(
                "`{text}` has a pre-release without all three numbers: write it like `1.4.0-rc.1`"
            )));
        }
        Ok(match numbers[..] {
            [] => Self::Any,
            [major] => Self::Major(major),
            [major, minor, ..] => Self::Minor(major, minor),
        })
    }
}

impl fmt::Display for Partial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full(version) => write!(f, "{version}"),
            Self::Minor(major, minor) => write!(f, "{major}.{minor}.x"),
            Self::Major(major) => write!(f, "{major}.x"),
            Self::Any => f.write_str("*"),
        }
    }
}
