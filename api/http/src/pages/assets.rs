//! Style, script and icon, compiled in. Their addresses hold a digest of their content, so browsers keep them for
//! good and never use an old one.

use std::sync::LazyLock;

use axum::extract::Path;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use slipway_types::Digest;

use crate::problem::ApiError;

/// One file.
struct Asset {
    /// `NAME.DIGEST.EXTENSION`.
    file: String,
    media_type: &'static str,
    content: &'static str,
}

impl Asset {
    fn new(name: &str, extension: &str, media_type: &'static str, content: &'static str) -> Self {
        Self { file: format!("{name}.{}.{extension}", Digest::of(content).short()), media_type, content }
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
pub(super) async fn serve(Path(file): Path<String>) -> Result<Response, ApiError> {
    let assets = &*ASSETS;
    let found = [&assets.style, &assets.script, &assets.icon].into_iter().find(|asset| asset.file == file);
    let asset =
        found.ok_or_else(|| ApiError::not_found("file", file.chars().take(80).collect::<String>()))?;
    let headers = [(CONTENT_TYPE, asset.media_type), (CACHE_CONTROL, "public, max-age=31536000, immutable")];
    Ok((headers, asset.content).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_hold_the_content_and_pages_stay_small() {
        let assets = &*ASSETS;
        assert_ne!(assets.style.file, Asset::new("slipway", "css", "", "other").file);
        let bytes: usize =
            [&assets.style, &assets.script, &assets.icon].iter().map(|asset| asset.content.len()).sum();
        assert!(bytes < 60_000, "a first visit loads at most 100 KB, the page itself included: {bytes}");
        assert!(!assets.style.content.contains("http"), "no request leaves the server");
    }
}
