//! In which language a page is written: by the visitor's choice, else by what the browser asks for.

use axum::http::HeaderMap;
use axum::http::header::ACCEPT_LANGUAGE;

use super::cookie;
use super::texts::{CHINESE, ENGLISH, Texts};

/// Name of the cookie that keeps the choice.
pub(super) const COOKIE: &str = "slipway-language";

/// A language that the catalogue has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Language {
    English,
    Chinese,
}

impl Language {
    /// All of them.
    pub(super) const ALL: [Self; 2] = [Self::English, Self::Chinese];

    /// The tag of BCP 47, as pages, forms and the cookie carry it.
    pub(super) fn tag(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::Chinese => "zh-Hans",
        }
    }

    /// Its own name for itself.
    pub(super) fn own_name(self) -> &'static str {
        match self {
            Self::English => "English",
            Self::Chinese => "中文",
        }
    }

    /// The texts of pages in it.
    pub(super) fn texts(self) -> &'static Texts {
        match self {
            Self::English => &ENGLISH,
            Self::Chinese => &CHINESE,
        }
    }

    /// The one with that tag.
    pub(super) fn of_tag(tag: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|language| language.tag() == tag)
    }

    /// What the visitor chose, else the browser's first choice among those there are, else English.
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let chosen = cookie::value(headers, COOKIE).and_then(Self::of_tag);
        let asked = || headers.get(ACCEPT_LANGUAGE)?.to_str().ok().and_then(preferred);
        chosen.or_else(asked).unwrap_or(Self::English)
    }
}

/// The known language of highest weight in an `Accept-Language` header (RFC 9110, 12.5.4).
fn preferred(header: &str) -> Option<Language> {
    let mut best: Option<(Language, f32)> = None;
    for range in header.split(',').take(20) {
        let mut parts = range.split(';').map(str::trim);
        let tag = parts.next().unwrap_or_default().to_ascii_lowercase();
        let language = match tag.split('-').next() {
            Some("en") => Language::English,
            Some("zh") => Language::Chinese,
            _ => continue,
        };
        let weight = parts.find_map(|part| part.strip_prefix("q=")?.trim().parse().ok()).unwrap_or(1.0_f32);
        if weight > 0.0 && best.is_none_or(|(_, heaviest)| weight > heaviest) {
            best = Some((language, weight));
        }
    }
    best.map(|(language, _)| language)
}

#[cfg(test)]
mod tests {
    use axum::http::header::COOKIE as COOKIE_HEADER;

    use super::*;

    #[test]
    fn the_choice_goes_before_what_the_browser_asks_for() {
        for (cookie, accept, wanted) in [
            ("", "", Language::English),
            ("", "zh-CN,zh;q=0.9,en;q=0.8", Language::Chinese),
            ("", "de-DE, en;q=0.5, zh;q=0.9", Language::Chinese),
            ("", "en-GB,zh;q=0", Language::English),
            ("", "fr, *", Language::English),
            ("slipway-language=en", "zh", Language::English),
            ("a=b; slipway-language=zh-Hans", "en", Language::Chinese),
            ("slipway-language=xx", "zh", Language::Chinese),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(COOKIE_HEADER, cookie.parse().unwrap());
            headers.insert(ACCEPT_LANGUAGE, accept.parse().unwrap());
            assert_eq!(Language::of(&headers), wanted, "{cookie} {accept}");
        }
    }
}
