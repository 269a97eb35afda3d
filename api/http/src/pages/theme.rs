//! Light or dark: as the device is set, unless the visitor chose.

use axum::http::HeaderMap;

use super::cookie;

/// Name of the cookie that keeps the choice.
pub(super) const COOKIE: &str = "slipway-theme";

/// Which colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Theme {
    Device,
    Light,
    Dark,
}

impl Theme {
    /// All of them.
    pub(super) const ALL: [Self; 3] = [Self::Device, Self::Light, Self::Dark];

    /// Its word in forms, in the cookie and in the style sheet.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Device => "device",
            Self::Light => "light",
            Self::Dark => "dark",
        }
    }

    /// The one with that word.
    pub(super) fn of_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|theme| theme.word() == word)
    }

    /// What the visitor chose.
    pub(super) fn of(headers: &HeaderMap) -> Self {
        cookie::value(headers, COOKIE).and_then(Self::of_word).unwrap_or(Self::Device)
    }
}
