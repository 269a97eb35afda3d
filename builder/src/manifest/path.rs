//! Paths and globs of a manifest, turned into paths from the repository's top.

use std::fmt;

use globset::{GlobBuilder, GlobMatcher};
use slipway_buildkits::path::{self, InvalidPath};

/// The longest path or glob, in bytes: Linux's `PATH_MAX`.
const PATH_BYTES_MAX: usize = 4096;

/// A normalised path inside the repository. The top is `""`, shown as `.`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RepositoryPath(String);

/// A text that is no path inside the repository.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{why}")]
pub struct InvalidRepositoryPath {
    why: String,
    /// What to do.
    pub hint: Option<&'static str>,
}

impl RepositoryPath {
    /// `text` as written in a file of `directory`: from the repository's top if it begins with `/`.
    pub fn resolve(directory: &str, text: &str) -> Result<Self, InvalidRepositoryPath> {
        resolve(directory, text).map(Self)
    }

    /// The path, `""` for the top.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RepositoryPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_empty() { "." } else { &self.0 })
    }
}

/// A glob over paths from the repository's top. `*` stays in its directory, `**` does not.
#[derive(Debug, Clone)]
pub struct WatchPattern {
    pattern: String,
    matcher: GlobMatcher,
}

impl PartialEq for WatchPattern {
    fn eq(&self, other: &Self) -> bool {
        self.pattern == other.pattern
    }
}

impl WatchPattern {
    /// `text` as written in a file of `directory`: from the repository's top if it begins with `/`.
    pub fn resolve(directory: &str, text: &str) -> Result<Self, InvalidRepositoryPath> {
        let pattern = resolve(directory, text)?;
        let glob = GlobBuilder::new(&pattern).literal_separator(true).build().map_err(|error| {
            InvalidRepositoryPath {
                why: format!("`{}` is not a glob: {}", shown(text), error.kind()),
                hint: None,
            }
        })?;
        Ok(Self { pattern, matcher: glob.compile_matcher() })
    }

    /// The glob, from the repository's top.
    pub fn as_str(&self) -> &str {
        &self.pattern
    }

    /// Whether the file at `path`, from the repository's top, is watched; a pattern that names a
    /// directory watches all below it.
    pub fn is_match(&self, path: &str) -> bool {
        self.matcher.is_match(path)
            || path.match_indices('/').any(|(end, _)| self.matcher.is_match(&path[..end]))
    }
}

fn resolve(directory: &str, text: &str) -> Result<String, InvalidRepositoryPath> {
    let invalid = |why: String, hint| InvalidRepositoryPath { why, hint };
    if text.len() > PATH_BYTES_MAX {
        return Err(invalid(format!("the path is longer than {PATH_BYTES_MAX} bytes"), None));
    }
    let resolved = match text.strip_prefix('/') {
        Some("") => Ok(String::new()),
        Some(from_top) => path::resolve("", from_top),
        None => path::resolve(directory, text),
    };
    let name = shown(text);
    resolved.map_err(|error| match error {
        InvalidPath::Outside => invalid(format!("`{name}` leads outside the repository"), None),
        InvalidPath::Absolute => invalid(
            format!("`{name}` begins with more than one `/`"),
            Some("one `/` stands for the repository's top"),
        ),
        InvalidPath::Empty => invalid("the path is empty".into(), Some("`.` is the file's own directory")),
        InvalidPath::Odd => invalid(format!("`{name}` {error}"), Some("separate directories by `/`")),
    })
}

fn shown(text: &str) -> String {
    text.chars().take(80).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_leading_slash_is_the_repositorys_top() {
        let path = |text| RepositoryPath::resolve("apps/shop", text).map(|p| p.to_string());
        assert_eq!(path("api"), Ok("apps/shop/api".into()));
        assert_eq!(path("/libs/../base"), Ok("base".into()));
        assert_eq!(path("../.."), Ok(".".into()));
        assert!(path("../../..").is_err() && path("/..").is_err() && path("//x").is_err());
    }

    #[test]
    fn watching_a_directory_watches_all_below_it() {
        let watched = |pattern, path| WatchPattern::resolve("shop", pattern).unwrap().is_match(path);
        assert!(watched("/libs/**", "libs/a/b.rs") && watched("/libs", "libs/a/b.rs"));
        assert!(watched("*.lock", "shop/x.lock") && !watched("*.lock", "x.lock"));
        assert!(!watched("/libs/*.rs", "libs/a/b.rs"));
        assert!(WatchPattern::resolve("", "[a").is_err());
    }
}
