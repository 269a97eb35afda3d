//! `.helmignore` as Helm reads it: Go's `filepath.Match`, no `**`, and `!rule` ignores whatever
//! does not match `rule`.

use globset::{GlobBuilder, GlobMatcher};

/// The rules of one chart.
pub(super) struct IgnoreRules(Vec<Rule>);

struct Rule {
    matcher: GlobMatcher,
    negated: bool,
    directories_only: bool,
    /// Whether the whole path is matched, not only its last part.
    whole_path: bool,
}

/// A rule that Helm would refuse too.
pub(super) struct InvalidRule {
    pub(super) line: usize,
    pub(super) message: String,
}

/// Helm's own rule: hidden files are no templates.
const HIDDEN_TEMPLATES: &str = "templates/.?*";

impl IgnoreRules {
    /// The rules of a `.helmignore`, with Helm's own.
    pub(super) fn parse(text: &str) -> Result<Self, InvalidRule> {
        let mut rules = Vec::new();
        for (index, line) in text.trim_start_matches('\u{feff}').lines().chain([HIDDEN_TEMPLATES]).enumerate()
        {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            rules.push(Rule::parse(line).map_err(|message| InvalidRule { line: index + 1, message })?);
        }
        Ok(Self(rules))
    }

    /// Whether the file at `path`, or a directory above it, is ignored.
    pub(super) fn ignores(&self, path: &str) -> bool {
        let above = path.match_indices('/').map(|(end, _)| (&path[..end], true));
        above
            .chain([(path, false)])
            .any(|(path, directory)| self.0.iter().any(|r| r.ignores(path, directory)))
    }
}

impl Rule {
    fn parse(line: &str) -> Result<Self, String> {
        if line.contains("**") {
            return Err("`**` is not supported in .helmignore".to_owned());
        }
        let (negated, rule) = line.strip_prefix('!').map_or((false, line), |rule| (true, rule));
        let (directories_only, rule) = rule.strip_suffix('/').map_or((false, rule), |rule| (true, rule));
        let whole_path = rule.contains('/');
        let rule = rule.strip_prefix('/').unwrap_or(rule);
        // Braces are plain characters to Go.
        let rule = rule.replace('{', "[{]").replace('}', "[}]");
        let glob = GlobBuilder::new(&rule).literal_separator(true).backslash_escape(true).build();
        let matcher = glob.map_err(|error| format!("not a pattern: {}", error.kind()))?.compile_matcher();
        Ok(Self { matcher, negated, directories_only, whole_path })
    }

    fn ignores(&self, path: &str, directory: bool) -> bool {
        let name = if self.whole_path { path } else { path.rsplit('/').next().unwrap_or(path) };
        let applies = directory || !self.directories_only;
        if self.negated {
            !applies || !self.matcher.is_match(name)
        } else {
            applies && self.matcher.is_match(name)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ignores(rules: &str, path: &str) -> bool {
        IgnoreRules::parse(rules).ok().unwrap().ignores(path)
    }

    #[test]
    fn rules_are_helms() {
        assert!(ignores("*.txt", "a/b.txt") && !ignores("/*.txt", "a/b.txt"));
        assert!(ignores("a/*.txt", "a/b.txt") && !ignores("a/*.txt", "a/b/c.txt"));
        assert!(ignores("tmp/", "x/tmp/f") && !ignores("tmp/", "tmp"));
        assert!(ignores("!*.yaml", "a.txt") && !ignores("!*.yaml", "a.yaml"));
        assert!(ignores("", "templates/.hidden.yaml") && !ignores("", "templates/a.yaml"));
        assert!(!ignores("# a\n\n", "a") && !ignores("{a,b}", "a") && ignores("{a,b}", "{a,b}"));
        let wrong = IgnoreRules::parse("a\n**/b").err().unwrap();
        assert_eq!((wrong.line, wrong.message.as_str()), (2, "`**` is not supported in .helmignore"));
    }
}
