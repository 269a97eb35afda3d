//! Where two values differ, as a table.

use askama::Template;
use askama::filters::HtmlSafe;

use super::texts::{Texts, VersionTexts};
use crate::value_differences::Difference;

/// Differences beside one another.
#[derive(Template)]
#[template(path = "part/differences.html")]
pub(super) struct DifferenceTable {
    v: &'static VersionTexts,
    differences: Vec<Difference>,
    /// How many more there are.
    more: Option<String>,
}

impl HtmlSafe for DifferenceTable {}

impl DifferenceTable {
    /// The first of them, at most `max`.
    pub(super) fn new(t: &Texts, mut differences: Vec<Difference>, max: usize) -> Self {
        let more = differences.len().saturating_sub(max);
        differences.truncate(max);
        Self { v: t.versions, differences, more: (more > 0).then(|| (t.versions.more)(more)) }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.differences.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::texts::ENGLISH;
    use super::*;
    use crate::value_differences::differences;

    #[test]
    fn a_table_is_escaped_and_bounded() {
        let found = differences(&json!({"<b>": 1, "c": 1}), &json!({"<b>": "<script>", "c": 2}));
        let table = DifferenceTable::new(&ENGLISH, found, 1).to_string();
        assert!(table.contains("&#60;script&#62;") && !table.contains("<b>"), "{table}");
        assert!(table.contains("and 1 more"), "{table}");
    }
}
