//! Heredocs: `<<NAME`, `<<-NAME`, `<<"NAME"`.

use super::expand::{Expander, Variables};

/// The opening word of a heredoc.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Opening {
    pub(super) name: String,
    pub(super) expand: bool,
    pub(super) strip_tabs: bool,
}

/// A heredoc with its content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Heredoc {
    pub(super) opening: Opening,
    pub(super) content: String,
}

impl Opening {
    /// Reads one word; `None` if it opens no heredoc.
    pub(super) fn parse(word: &str) -> Option<Self> {
        let after_digits = word.trim_start_matches(|c: char| c.is_ascii_digit());
        let rest = after_digits.strip_prefix("<<")?;
        let (strip_tabs, rest) = match rest.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, rest),
        };
        let rest = rest.trim_start();
        if rest.is_empty() || rest.contains('<') {
            return None;
        }
        let none = Variables::new();
        let words = Expander::unset(false).words(rest, &none).ok()?;
        let raw = Expander::unset(true).words(rest, &none).ok()?;
        let ([name], [raw]) = (words.as_slice(), raw.as_slice()) else { return None };
        let quotes = |text: &str| text.matches(['\'', '"']).count();
        Some(Self { name: name.clone(), expand: quotes(name) == quotes(raw), strip_tabs })
    }

    /// All heredocs that `line` opens, in order.
    pub(super) fn all(line: &str) -> Vec<Self> {
        let words = Expander::raw().words(line, &Variables::new()).unwrap_or_default();
        words.iter().filter_map(|word| Self::parse(word)).collect()
    }

    /// Whether `line`, without its line end, closes this heredoc.
    pub(super) fn is_closed_by(&self, line: &str) -> bool {
        let line = if self.strip_tabs { line.trim_start_matches('\t') } else { line };
        line == self.name
    }
}

impl Heredoc {
    /// The content as the file or script receives it.
    pub(super) fn text(&self) -> String {
        if !self.opening.strip_tabs {
            return self.content.clone();
        }
        self.content.split_inclusive('\n').map(|line| line.trim_start_matches('\t')).collect()
    }
}
