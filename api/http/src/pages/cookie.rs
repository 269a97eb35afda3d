//! Cookies, read and written (RFC 6265).

use axum::http::header::COOKIE;
use axum::http::{HeaderMap, HeaderValue};

/// The value of the first cookie of that name.
pub(super) fn value<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    let lines = headers.get_all(COOKIE).into_iter().filter_map(|line| line.to_str().ok());
    let mut pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.split_once('='));
    pairs.find(|(found, _)| found.trim() == name).map(|(_, value)| value.trim())
}

/// A `Set-Cookie` that no script reads and that other sites' requests do not carry, but links to here do. `secure`:
/// over TLS alone. A `max_age_s` of 0 removes it.
pub(super) fn set(name: &str, value: &str, max_age_s: i64, secure: bool) -> HeaderValue {
    let secure = if secure { "; Secure" } else { "" };
    let text = format!("{name}={value}; Path=/; Max-Age={max_age_s}; HttpOnly; SameSite=Lax{secure}");
    HeaderValue::try_from(text).expect("invariant: names and values of cookies are made here, of plain ASCII")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_is_found_among_others() {
        let mut headers = HeaderMap::new();
        headers.append(COOKIE, "a=1; bb=2".parse().unwrap());
        headers.append(COOKIE, "b=x=y".parse().unwrap());
        assert_eq!(value(&headers, "b"), Some("x=y"));
        assert_eq!(value(&headers, "bb"), Some("2"));
        assert_eq!(value(&headers, "c"), None);
    }

    #[test]
    fn flags_are_set() {
        let plain = set("slipway", "x", 60, false);
        assert_eq!(plain, "slipway=x; Path=/; Max-Age=60; HttpOnly; SameSite=Lax");
        assert_eq!(set("n", "", 0, true), "n=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax; Secure");
    }
}
