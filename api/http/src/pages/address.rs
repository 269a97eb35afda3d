//! Addresses of pages.

use std::fmt::Display;

use axum::http::HeaderMap;
use axum::http::header::REFERER;
use slipway_types::{ApplicationName, ComponentName, Version};
use url::{Position, Url, form_urlencoded};

/// The longest address to come back to, in bytes.
const BACK_BYTES_MAX: usize = 2000;

/// A value as a query carries it.
pub(super) fn encoded(text: &str) -> String {
    form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

/// `path` with those parameters that have a value.
pub(super) fn with_query<'a>(path: &str, pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    for (name, value) in pairs {
        if !value.is_empty() {
            query.append_pair(name, value);
        }
    }
    let query = query.finish();
    if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") }
}

/// Where somebody signs in, to be led back.
pub(super) fn sign_in(back: &str) -> String {
    with_query("/sign-in", [("return_to", if back == "/" { "" } else { back })])
}

/// `text` if it is an address of this server, else `/`. Browsers take `//HOST` and `/\HOST` for another server.
pub(super) fn own(text: Option<&str>) -> &str {
    let is_own = |text: &&str| {
        text.len() <= BACK_BYTES_MAX
            && text.starts_with('/')
            && !text.starts_with("//")
            && !text.starts_with("/sign-in")
            && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\')
    };
    text.filter(is_own).unwrap_or("/")
}

/// The page that a form was sent from, as browsers tell it of pages of the same server.
pub(super) fn sent_from(headers: &HeaderMap) -> Option<String> {
    let page = Url::parse(headers.get(REFERER)?.to_str().ok()?).ok()?;
    let page = &page[Position::BeforePath..Position::AfterQuery];
    Some(own(Some(page)).to_owned())
}

/// An application's page.
pub(super) fn application(name: &ApplicationName) -> String {
    application_of_text(&name.to_string())
}

/// The page of the application with that full name.
pub(super) fn application_of_text(name: &str) -> String {
    format!("/applications/{}", name.replace('/', "%2F"))
}

/// Where an application runs.
pub(super) fn deployments(name: &ApplicationName) -> String {
    with_query("/deployments", [("application", name.to_string().as_str())])
}

/// A deployment's page.
pub(super) fn deployment(id: impl Display) -> String {
    format!("/deployments/{id}")
}

/// An application's packages.
pub(super) fn packages(name: &ApplicationName) -> String {
    format!("{}/packages", application(name))
}

/// A bundle's page.
pub(super) fn bundle(name: &ApplicationName, version: &Version) -> String {
    format!("{}/bundles/{version}", application(name))
}

/// The page of one version of a component package.
pub(super) fn package(name: &ApplicationName, component: &ComponentName, version: &Version) -> String {
    format!("{}/{component}/{version}", packages(name))
}

/// Where two bundles are compared.
pub(super) fn compare_bundles(name: &ApplicationName) -> String {
    format!("{}/bundles/compare", application(name))
}

/// Where two packages of a component are compared.
pub(super) fn compare_packages(name: &ApplicationName) -> String {
    format!("{}/compare", packages(name))
}

/// An application in an environment.
pub(super) fn deployments_in(name: &ApplicationName, environment: &str) -> String {
    let name = name.to_string();
    with_query("/deployments", [("application", name.as_str()), ("environment", environment)])
}

/// An application's runs.
pub(super) fn runs(name: &ApplicationName) -> String {
    format!("{}/runs", application(name))
}

/// A run's page.
pub(super) fn run(name: &ApplicationName, number: i64) -> String {
    format!("{}/{number}", runs(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_led_elsewhere() {
        for (text, wanted) in [
            ("/applications/shop?branch=main", "/applications/shop?branch=main"),
            ("//evil.example", "/"),
            ("/\\evil.example", "/"),
            ("https://evil.example", "/"),
            ("/a\r\nSet-Cookie: x", "/"),
            ("/sign-in?return_to=/sign-in", "/"),
            ("", "/"),
        ] {
            assert_eq!(own(Some(text)), wanted, "{text}");
        }
        assert_eq!(own(None), "/");
    }

    #[test]
    fn a_form_leads_back_to_its_page() {
        for (referer, wanted) in [
            (
                "https://slipway.example/deployments?application=a%2Fb#x",
                Some("/deployments?application=a%2Fb"),
            ),
            ("https://slipway.example", Some("/")),
            ("https://slipway.example//evil.example/", Some("/")),
            ("nowhere", None),
        ] {
            let headers = HeaderMap::from_iter([(REFERER, referer.parse().unwrap())]);
            assert_eq!(sent_from(&headers).as_deref(), wanted, "{referer}");
        }
        assert_eq!(sent_from(&HeaderMap::new()), None);
    }

    #[test]
    fn queries_hold_what_has_a_value() {
        assert_eq!(with_query("/a", [("b", ""), ("c", "x y&")]), "/a?c=x+y%26");
        assert_eq!(with_query("/a", [("b", "")]), "/a");
        assert_eq!(sign_in("/"), "/sign-in");
        assert_eq!(sign_in("/a?b=c"), "/sign-in?return_to=%2Fa%3Fb%3Dc");
    }
}
