//! Paths that match patterns.

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};

use super::{EntryKind, Snapshot, TreeEntry};
use crate::error::{GitError, PathError};

impl Snapshot {
    /// Everything but directories whose path matches one of `patterns`, sorted and once each.
    ///
    /// Patterns are from the repository's root, with or without a slash in front; `*` stops at a
    /// slash, `**` does not; one that names a directory means all that lies below.
    pub fn matching<S: AsRef<str>>(&self, patterns: &[S]) -> Result<Vec<TreeEntry>, GitError> {
        let patterns: Vec<&str> = patterns.iter().map(|p| p.as_ref().trim_matches('/')).collect();
        let globs = compile(&patterns)?;
        let mut prefixes: Vec<&str> = patterns.iter().map(|pattern| literal_prefix(pattern)).collect();
        prefixes.sort_unstable();
        prefixes.dedup();
        let mut found: Vec<TreeEntry> = Vec::new();
        for prefix in prefixes {
            match self.entry(prefix)? {
                None => {}
                Some(entry) if entry.kind == EntryKind::Directory => found.extend(self.list(prefix, true)?),
                Some(entry) => found.push(entry),
            }
        }
        found.retain(|entry| entry.kind != EntryKind::Directory && globs.is_match(&entry.path));
        found.sort_by(|a, b| a.path.cmp(&b.path));
        found.dedup();
        Ok(found)
    }
}

fn compile(patterns: &[&str]) -> Result<GlobSet, GitError> {
    let wrong = |pattern: &str| {
        let path = pattern.to_owned();
        move |error: globset::Error| PathError::Pattern { path, why: error.kind().to_string() }
    };
    let mut set = GlobSetBuilder::new();
    for pattern in patterns {
        let below = if pattern.is_empty() { "**".to_owned() } else { format!("{pattern}/**") };
        for glob in [(*pattern).to_owned(), below] {
            let glob = GlobBuilder::new(&glob).literal_separator(true).build().map_err(wrong(pattern))?;
            set.add(glob);
        }
    }
    set.build().map_err(wrong("")).map_err(GitError::from)
}

/// The directory, or the whole path, in front of the first special character.
fn literal_prefix(pattern: &str) -> &str {
    match pattern.find(['*', '?', '[', '{', '\\']) {
        None => pattern,
        Some(at) => pattern[..at].rsplit_once('/').map_or("", |(directory, _)| directory),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_literal_part_of_a_pattern_is_walked() {
        for (pattern, prefix) in
            [("libs/**", "libs"), ("a/b*/c", "a"), ("**/x", ""), ("a/b", "a/b"), ("a/{b,c}", "a")]
        {
            assert_eq!(literal_prefix(pattern), prefix, "{pattern}");
        }
    }
}
