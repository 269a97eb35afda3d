//! `.dockerignore`, by the rules of moby's pattern matcher.

use crate::dockerfile::glob::Glob;

use super::tree::clean;

/// One line of an ignore file.
#[derive(Debug)]
struct Pattern {
    text: String,
    exception: bool,
    matcher: Matcher,
}

#[derive(Debug)]
enum Matcher {
    /// `**` and a plain text: any path that ends with it.
    Suffix(String),
    Glob(Glob),
}

/// An ignore file.
#[derive(Debug, Default)]
pub(crate) struct IgnoreFile {
    patterns: Vec<Pattern>,
}

/// Which patterns matched a path or its parents.
pub(crate) type Matches = Vec<bool>;

impl IgnoreFile {
    /// Reads an ignore file; the error names the line.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, String> {
        let text = String::from_utf8_lossy(bytes);
        let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
        let mut patterns = Vec::new();
        for (index, line) in text.lines().enumerate() {
            if line.starts_with('#') || line.trim().is_empty() {
                continue;
            }
            let pattern = Pattern::parse(line.trim()).map_err(|why| format!("line {}: {why}", index + 1))?;
            patterns.extend(pattern);
        }
        Ok(Self { patterns })
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.patterns.is_empty()
    }

    /// Whether `path` is left out, given what matched its parent directory (nothing at the root).
    /// Returns the deciding pattern and what to hand on to its children.
    pub(crate) fn excludes(&self, path: &str, parent: Option<&Matches>) -> (Option<&str>, Matches) {
        let mut hits = vec![false; self.patterns.len()];
        let mut excluded = None;
        for (index, pattern) in self.patterns.iter().enumerate() {
            let mut matched = parent.is_some_and(|parent| parent[index]);
            if !matched {
                if pattern.exception != excluded.is_some() {
                    continue;
                }
                matched = pattern.matches(path);
            }
            hits[index] = matched;
            if matched {
                excluded = (!pattern.exception).then_some(pattern.text.as_str());
            }
        }
        (excluded, hits)
    }
}

impl Pattern {
    fn parse(line: &str) -> Result<Option<Self>, String> {
        let (exception, body) = match line.strip_prefix('!') {
            Some(body) => (true, body.trim()),
            None => (false, line),
        };
        if exception && body.is_empty() {
            return Err("illegal exclusion pattern: \"!\"".to_owned());
        }
        // The context's own root is never left out.
        let cleaned = String::from_utf8_lossy(&clean(body.as_bytes())).into_owned();
        if cleaned.is_empty() {
            return Ok(None);
        }
        let matcher = match cleaned.strip_prefix("**") {
            Some(rest) if !rest.contains(['*', '?', '[', ']', '\\']) => Matcher::Suffix(rest.to_owned()),
            _ => Matcher::Glob(
                Glob::ignore(&cleaned).map_err(|_| format!("syntax error in pattern {line:?}"))?,
            ),
        };
        Ok(Some(Self { text: line.to_owned(), exception, matcher }))
    }

    fn matches(&self, path: &str) -> bool {
        match &self.matcher {
            Matcher::Suffix(suffix) => path.ends_with(suffix) || suffix.strip_prefix('/') == Some(path),
            Matcher::Glob(glob) => glob.matches(path),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn excluded(patterns: &str, path: &str) -> bool {
        let file = IgnoreFile::parse(patterns.as_bytes()).unwrap();
        let mut matches = None;
        let mut result = false;
        let ends = path.match_indices('/').map(|(at, _)| at).chain([path.len()]);
        for end in ends {
            let (by, next) = file.excludes(&path[..end], matches.as_ref());
            result = by.is_some();
            matches = Some(next);
        }
        result
    }

    #[test]
    fn patterns_match_as_in_moby() {
        for (patterns, path, expected) in [
            ("**", "file", true),
            ("**", "dir/file", true),
            ("**/", "file", true),
            ("**/**", "dir/file", true),
            ("dir/**", "dir/file", true),
            ("dir/**", "dir/dir2/file", true),
            ("dir/**", "dir", false),
            ("**/dir", "dir/file", true),
            ("**/dir2/*", "dir/dir2/file", true),
            ("**/file*txt", "dir/dir/file.txt", true),
            ("**/**/*.txt", "dir/file.txt", true),
            ("a**/*.txt", "a/file.txt", true),
            ("a**/*.txt", "a/dir/dir/file.txt", true),
            ("a/*.txt", "a/file.txtx", false),
            ("a[b-d]e", "ae", false),
            ("a[b-d]e", "ace", true),
            ("abc.def", "abcZdef", false),
            ("abc?def", "abcZdef", true),
            ("**/foo/bar", "foo/bar", true),
            ("**/foo/bar", "dir/dir2/foo/bar", true),
            ("abc/**", "abc/def", true),
            ("**/.foo", ".foo", true),
            ("*.c", "a/x.c", false),
            ("/a", "a/b", true),
            ("./a/../b", "b", true),
            ("# c\n\nd", "d", true),
            ("d\n!d/keep", "d/keep", false),
            ("d\n!d/keep", "d/drop", true),
            ("*\n!a", "a/b/c", false),
            ("*\n!a/b", "a/x", true),
            ("*\n!a/b\na/b/c", "a/b/c", true),
            ("!a\na", "a", true),
        ] {
            assert_eq!(excluded(patterns, path), expected, "{patterns:?} {path}");
        }
        assert!(IgnoreFile::parse(b"a\n!").unwrap_err().starts_with("line 2"));
        assert!(IgnoreFile::parse(b"[").is_err());
    }
}
