//! Where a version comes from and where it went: commit, build, image, package, bundle, deployments, each a step with
//! the things of it.

use askama::Template;
use askama::filters::HtmlSafe;

use super::parts::Status;
use super::texts::Texts;

/// Things that one step shows; the page has the rest.
const ITEMS_MAX: usize = 5;

/// From the commit to what runs.
#[derive(Debug, Template)]
#[template(path = "part/chain.html")]
pub(super) struct Chain {
    label: &'static str,
    steps: Vec<Step>,
}

#[derive(Debug)]
struct Step {
    title: &'static str,
    items: Vec<Item>,
    /// How many more there are.
    more: Option<String>,
    /// Whether this is what the page is about.
    is_here: bool,
}

/// A thing of a step.
#[derive(Debug)]
pub(super) struct Item {
    text: String,
    address: Option<String>,
    status: Option<Status>,
    /// What else is to be known of it.
    note: Option<String>,
}

impl HtmlSafe for Chain {}

impl Item {
    pub(super) fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), address: None, status: None, note: None }
    }

    /// The same, leading to its page.
    #[must_use]
    pub(super) fn at(self, address: impl Into<String>) -> Self {
        Self { address: Some(address.into()), ..self }
    }

    #[must_use]
    pub(super) fn status(self, status: Status) -> Self {
        Self { status: Some(status), ..self }
    }

    #[must_use]
    pub(super) fn note(self, note: impl Into<String>) -> Self {
        Self { note: Some(note.into()), ..self }
    }
}

impl Chain {
    pub(super) fn new(t: &Texts) -> Self {
        Self { label: t.versions.provenance, steps: Vec::new() }
    }

    /// Adds a step, if there is anything of it.
    #[must_use]
    pub(super) fn step(self, t: &Texts, title: &'static str, items: Vec<Item>) -> Self {
        self.add(t, title, items, false)
    }

    /// Adds what the page is about.
    #[must_use]
    pub(super) fn here(self, t: &Texts, title: &'static str, item: Item) -> Self {
        self.add(t, title, vec![item], true)
    }

    fn add(mut self, t: &Texts, title: &'static str, mut items: Vec<Item>, is_here: bool) -> Self {
        if items.is_empty() {
            return self;
        }
        let more = items.len().saturating_sub(ITEMS_MAX);
        items.truncate(ITEMS_MAX);
        let more = (more > 0).then(|| (t.versions.more)(more));
        self.steps.push(Step { title, items, more, is_here });
        self
    }
}

#[cfg(test)]
mod tests {
    use super::super::texts::ENGLISH;
    use super::*;

    #[test]
    fn what_a_chain_shows_is_escaped_and_bounded() {
        let items = (0..ITEMS_MAX + 2).map(|n| Item::new(format!("<b>{n}")).note("\"'&").at("/a?b=1&c=\"2"));
        let chain = Chain::new(&ENGLISH)
            .step(&ENGLISH, "Commit", Vec::new())
            .step(&ENGLISH, "Images", items.collect())
            .here(&ENGLISH, "Bundle", Item::new("1.0.0"))
            .to_string();
        assert!(!chain.contains("<b>") && chain.contains("&#60;b&#62;0"), "{chain}");
        assert!(!chain.contains("Commit") && chain.contains("and 2 more"), "{chain}");
        assert_eq!(chain.matches("aria-current=\"step\"").count(), 1, "{chain}");
    }
}
