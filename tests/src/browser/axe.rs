//! What axe-core (<https://github.com/dequelabs/axe-core>) finds on a page.

use std::{env, fs};

use serde_json::Value;

use super::Browser;

/// Style sheets are not loaded again: that would count as requests of the page.
const ALL: &str = "{ resultTypes: ['violations'], preload: false }";
/// The rules that look at colours.
const COLOURS: &str =
    "{ resultTypes: ['violations'], preload: false, runOnly: ['color-contrast', 'link-in-text-block'] }";
const TOLD: &str = "
    .then(found =>
        found.violations.flatMap(rule => rule.nodes.map(node => [
            `${rule.id} (${rule.impact}): ${rule.help}`,
            node.target.flat().join(' '),
            node.failureSummary,
        ])))
";

impl Browser {
    /// Violations of the rules of WCAG and of good practice that can be seen by a program, a line for each
    /// element: `image-alt (critical): Images must have alternative text: img.logo: Fix any of the following: …`
    pub fn violations(&self) -> Vec<String> {
        self.violations_of(ALL)
    }

    /// Asserts that axe finds nothing on the page.
    pub fn assert_accessible(&self) {
        self.assert_none(&self.violations());
    }

    /// Asserts that axe finds nothing wrong with the colours of the page: enough where nothing else has changed since
    /// [`Browser::assert_accessible`].
    pub fn assert_legible(&self) {
        self.assert_none(&self.violations_of(COLOURS));
    }

    fn violations_of(&self, options: &str) -> Vec<String> {
        if self.evaluate("typeof axe === 'undefined'") == Value::Bool(true) {
            self.evaluate(&format!("{}\n;null", source()));
        }
        let found = self.evaluate(&format!("axe.run(document, {options}){TOLD}"));
        let found = found.as_array().expect("axe gives a list");
        found.iter().map(line).collect()
    }

    fn assert_none(&self, violations: &[String]) {
        assert!(violations.is_empty(), "axe on {}:\n{}", self.location(), violations.join("\n"));
    }
}

fn line(violation: &Value) -> String {
    let parts = violation.as_array().into_iter().flatten().filter_map(Value::as_str);
    let parts: Vec<String> =
        parts.map(|part| part.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    parts.join(": ")
}

fn source() -> String {
    let path = env::var("SLIPWAY_TEST_AXE").unwrap_or_else(|_| {
        panic!(
            "SLIPWAY_TEST_AXE is not set: run `./test` or `./test only 'test(NAME)'`, which fetch axe-core"
        )
    });
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}
