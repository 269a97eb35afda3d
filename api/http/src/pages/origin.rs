//! Whether a form comes from a page of this server: by what the browser says of its origin, and by a token
//! that only pages of the same sign-in carry.

use axum::http::{HeaderMap, StatusCode};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use subtle::ConstantTimeEq as _;
use url::Url;

use crate::problem::ApiError;

/// The field of every form that carries the token.
pub(super) const FIELD: &str = "form_token";

/// The token of forms in a browser that keeps `secret`: who does not know that cannot make it.
pub(super) fn form_token(secret: &str) -> String {
    let mut mac =
        Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("invariant: HMAC takes keys of any length");
    mac.update(b"slipway forms");
    URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes())
}

/// Refuses a form whose token is another; compared in constant time.
pub(super) fn check_token(expected: &str, given: Option<&str>) -> Result<(), ApiError> {
    let fits = given.is_some_and(|given| given.as_bytes().ct_eq(expected.as_bytes()).into());
    if fits { Ok(()) } else { Err(refused()) }
}

/// Refuses a form that another site's page sent. Browsers that tell neither `Sec-Fetch-Site` nor `Origin` are left
/// to the token.
pub(super) fn check(public_url: &Url, headers: &HeaderMap) -> Result<(), ApiError> {
    let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
    let own = match (text("sec-fetch-site"), text("origin")) {
        (Some(site), _) => matches!(site, "same-origin" | "none"),
        (None, Some(origin)) => {
            // Where people come over TLS, what came without it may be written by whoever carried it.
            let is_plain = public_url.scheme() == "http";
            let host = text("host").unwrap_or_default();
            origin == public_url.origin().ascii_serialization()
                || (!host.is_empty() && origin == format!("https://{host}"))
                || (!host.is_empty() && is_plain && origin == format!("http://{host}"))
        }
        (None, None) => true,
    };
    if own { Ok(()) } else { Err(refused()) }
}

fn refused() -> ApiError {
    let detail = "this form does not come from a page of yours: nothing was changed";
    ApiError::new(StatusCode::FORBIDDEN, "foreign_form", detail)
        .hint("open the page again, here, and send the form from there; sign in anew if that does not help")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_of_other_sites_are_refused() {
        let (tls, plain) = ("https://slipway.example", "http://slipway.example");
        for (public, site, origin, own) in [
            (tls, Some("same-origin"), Some("https://slipway.example"), true),
            (tls, Some("same-origin"), None, true),
            (tls, Some("cross-site"), Some("https://slipway.example"), false),
            (tls, Some("same-site"), None, false),
            (tls, None, Some("https://slipway.example"), true),
            (tls, None, Some("http://slipway.example"), false),
            (tls, None, Some("https://10.0.0.1:8000"), true),
            (tls, None, Some("http://10.0.0.1:8000"), false),
            (plain, None, Some("http://10.0.0.1:8000"), true),
            (plain, None, Some("http://slipway.example"), true),
            (tls, None, Some("https://evil.example"), false),
            (plain, None, Some("http://evil.example"), false),
            (tls, None, Some("null"), false),
            (tls, None, None, true),
        ] {
            let public = Url::parse(public).unwrap();
            let mut headers = HeaderMap::new();
            headers.insert("host", "10.0.0.1:8000".parse().unwrap());
            for (name, value) in [("sec-fetch-site", site), ("origin", origin)] {
                if let Some(value) = value {
                    headers.insert(name, value.parse().unwrap());
                }
            }
            assert_eq!(check(&public, &headers).is_ok(), own, "{public} {site:?} {origin:?}");
        }
    }

    #[test]
    fn a_form_needs_the_token_of_its_browser() {
        let token = form_token("one");
        assert!(check_token(&token, Some(&form_token("one"))).is_ok());
        for wrong in [None, Some(""), Some("x"), Some(form_token("two").as_str())] {
            assert!(check_token(&token, wrong).is_err(), "{wrong:?}");
        }
    }
}
