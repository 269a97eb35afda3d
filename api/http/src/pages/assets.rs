//! Style, script and icon, compiled in. Their addresses hold a digest of their content, so browsers keep them for
//! good and never use an old one.

use std::io::Write as _;
use std::sync::LazyLock;

use axum::extract::Path;
use axum::http::HeaderMap;
use axum::http::header::{ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, VARY};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use slipway_types::Digest;

use crate::problem::ApiError;

/// One file.
struct Asset {
    /// `NAME.DIGEST.EXTENSION`.
    file: String,
    media_type: &'static str,
    content: &'static str,
    /// The same for browsers that take gzip. Pages themselves go out plain: they hold what forms carry beside what
    /// an address said, and lengths would tell of it (<https://www.breachattack.com>).
    gzip: Bytes,
}

fn gzip(content: &str) -> Bytes {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    let written = encoder.write_all(content.as_bytes()).and_then(|()| encoder.finish());
    written.expect("invariant: memory takes what is written").into()
}

/// Whether the browser takes gzip (RFC 9110, 12.5.3).
fn takes_gzip(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(ACCEPT_ENCODING).into_iter().filter_map(|value| value.to_str().ok());
    accepted.flat_map(|value| value.split(',')).any(|coding| {
        let (name, weight) = coding.split_once(';').unwrap_or((coding, ""));
        let is_refused =
            weight.trim().strip_prefix("q=").is_some_and(|q| q.parse::<f32>().is_ok_and(|q| q <= 0.0));
        name.trim().eq_ignore_ascii_case("gzip") && !is_refused
    })
}

impl Asset {
    fn new(name: &str, extension: &str, media_type: &'static str, content: &'static str) -> Self {
        let file = format!("{name}.{}.{extension}", Digest::of(content).short());
        Self { file, media_type, content, gzip: gzip(content) }
    }

    fn address(&self) -> String {
        format!("/assets/{}", self.file)
    }
}

struct Assets {
    style: Asset,
    script: Asset,
    icon: Asset,
}

static ASSETS: LazyLock<Assets> = LazyLock::new(|| Assets {
    style: Asset::new("slipway", "css", "text/css; charset=utf-8", include_str!("../../assets/slipway.css")),
    script: Asset::new(
        "slipway",
        "js",
        "text/javascript; charset=utf-8",
        include_str!("../../assets/slipway.js"),
    ),
    icon: Asset::new("slipway", "svg", "image/svg+xml", include_str!("../../assets/slipway.svg")),
});

/// Where a page finds them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Addresses {
    pub(super) style: String,
    pub(super) script: String,
    pub(super) icon: String,
}

impl Addresses {
    pub(super) fn now() -> Self {
        let assets = &*ASSETS;
        Self { style: assets.style.address(), script: assets.script.address(), icon: assets.icon.address() }
    }
}

/// One of the files, by its name with the digest.
pub(super) async fn serve(headers: HeaderMap, Path(file): Path<String>) -> Result<Response, ApiError> {
    let assets = &*ASSETS;
    let found = [&assets.style, &assets.script, &assets.icon].into_iter().find(|asset| asset.file == file);
    let asset =
        found.ok_or_else(|| ApiError::not_found("file", file.chars().take(80).collect::<String>()))?;
    let told = [
        (CONTENT_TYPE, asset.media_type),
        (CACHE_CONTROL, "public, max-age=31536000, immutable"),
        (VARY, "accept-encoding"),
    ];
    Ok(match takes_gzip(&headers) {
        true => (told, [(CONTENT_ENCODING, "gzip")], asset.gzip.clone()).into_response(),
        false => (told, asset.content).into_response(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gzip_is_sent_to_those_who_take_it() {
        for (accept, wanted) in [
            ("gzip, deflate, br, zstd", true),
            ("br, GZIP;q=0.5", true),
            ("gzip;q=0", false),
            ("gzip; q=0.000", false),
            ("identity", false),
        ] {
            let headers = HeaderMap::from_iter([(ACCEPT_ENCODING, accept.parse().unwrap())]);
            assert_eq!(takes_gzip(&headers), wanted, "{accept}");
        }
        assert!(!takes_gzip(&HeaderMap::new()));
    }

    #[test]
    fn addresses_hold_the_content_and_pages_stay_small() {
        let assets = &*ASSETS;
        assert_ne!(assets.style.file, Asset::new("slipway", "css", "", "other").file);
        let bytes: usize =
            [&assets.style, &assets.script, &assets.icon].iter().map(|asset| asset.gzip.len()).sum();
        assert!(bytes < 15_000, "a first visit loads at most 100 KB, the page itself included: {bytes}");
        assert!(!assets.style.content.contains("http"), "no request leaves the server");
    }
}
