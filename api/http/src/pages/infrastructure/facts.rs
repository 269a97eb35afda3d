//! What is known of a thing, term by term.

use askama::Template;
use askama::filters::HtmlSafe;

/// Facts in the order in which they are told.
#[derive(Debug, Clone, Default, PartialEq, Eq, Template)]
#[template(path = "infrastructure/facts.html")]
pub(super) struct Facts {
    facts: Vec<Fact>,
}

/// A term, and what there is to say of it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Fact {
    term: &'static str,
    lines: Vec<String>,
    is_code: bool,
}

impl HtmlSafe for Facts {}

impl Facts {
    fn with(mut self, term: &'static str, lines: Vec<String>, is_code: bool) -> Self {
        if !lines.is_empty() {
            self.facts.push(Fact { term, lines, is_code });
        }
        self
    }

    /// One text; nothing if there is none.
    #[must_use]
    pub(super) fn text(self, term: &'static str, text: impl Into<Option<String>>) -> Self {
        let lines = text.into().into_iter().collect();
        self.with(term, lines, false)
    }

    /// Several texts.
    #[must_use]
    pub(super) fn lines(self, term: &'static str, lines: Vec<String>) -> Self {
        self.with(term, lines, false)
    }

    /// What programs write or read.
    #[must_use]
    pub(super) fn code(self, term: &'static str, text: impl Into<Option<String>>) -> Self {
        let lines = text.into().into_iter().collect();
        self.with(term, lines, true)
    }

    /// Several of these.
    #[must_use]
    pub(super) fn codes(self, term: &'static str, lines: Vec<String>) -> Self {
        self.with(term, lines, true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_known_is_not_told() {
        let facts = Facts::default()
            .text("Name", "<b>".to_owned())
            .text("Nothing", None::<String>)
            .lines("None", Vec::new())
            .code("Address", Some("a/\"b".to_owned()))
            .codes("Both", vec!["x".to_owned(), "y".to_owned()]);
        let html = facts.to_string();
        assert!(html.contains("<bdi class=\"line\">&#60;b&#62;</bdi>"), "{html}");
        assert!(html.contains("<code class=\"line\">a/&#34;b</code>"), "{html}");
        assert!(!html.contains("Nothing") && !html.contains("None"), "{html}");
        assert_eq!(html.matches("<dt>").count(), 3);
    }
}
