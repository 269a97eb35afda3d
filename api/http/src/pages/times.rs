//! Times as how long ago, or exactly: as the visitor chose. Pages carry both, and the style sheet shows one.

use axum::http::HeaderMap;

use super::cookie;

/// Name of the cookie that keeps the choice.
pub(super) const COOKIE: &str = "slipway-times";

/// How times are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Times {
    /// How long ago; the exact one where a pointer rests.
    Ago,
    /// To the second, in UTC.
    Exact,
}

impl Times {
    /// Its word in forms, in the cookie and in the style sheet.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Ago => "ago",
            Self::Exact => "exact",
        }
    }

    /// The one with that word.
    pub(super) fn of_word(word: &str) -> Option<Self> {
        [Self::Ago, Self::Exact].into_iter().find(|times| times.word() == word)
    }

    /// The one that is not chosen.
    pub(super) fn other(self) -> Self {
        match self {
            Self::Ago => Self::Exact,
            Self::Exact => Self::Ago,
        }
    }

    /// What the visitor chose.
    pub(super) fn of(headers: &HeaderMap) -> Self {
        cookie::value(headers, COOKIE).and_then(Self::of_word).unwrap_or(Self::Ago)
    }
}
