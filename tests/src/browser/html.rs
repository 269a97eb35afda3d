//! Whether the source of a page is HTML without a mistake that a parser sees.
//!
//! Browsers mend what they are given; this says where they must. It knows what
//! <https://html.spec.whatwg.org/multipage/parsing.html> calls parse errors, and identifiers that are given
//! twice. Which element may stand in which is known only as far as parsing depends on it.

use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

use html5ever::tendril::{StrTendril, TendrilSink as _};
use html5ever::tokenizer::TokenizerOpts;
use html5ever::tree_builder::{ElementFlags, NodeOrText, QuirksMode, TreeBuilderOpts, TreeSink};
use html5ever::{Attribute, ExpandedName, ParseOpts, QualName, parse_document};

/// Asserts that [`mistakes`] finds none.
pub fn assert_valid_html(html: &str) {
    let mistakes = mistakes(html);
    assert!(mistakes.is_empty(), "this is no valid HTML:\n{}", mistakes.join("\n"));
}

/// The mistakes in the source of a whole page, a line each with its place: `line 3: …: <p>a</div>`.
pub fn mistakes(html: &str) -> Vec<String> {
    let options = ParseOpts {
        tokenizer: TokenizerOpts { exact_errors: true, ..TokenizerOpts::default() },
        // What is there for browsers without scripts is looked at too.
        tree_builder: TreeBuilderOpts {
            exact_errors: true,
            scripting_enabled: false,
            ..TreeBuilderOpts::default()
        },
    };
    let found = parse_document(Judge::default(), options).one(html);
    let lines: Vec<&str> = html.lines().collect();
    let told = |(line, mistake): (u64, Cow<'static, str>)| {
        let index = usize::try_from(line.saturating_sub(1)).unwrap_or(usize::MAX);
        format!("line {line}: {mistake}: {}", lines.get(index).unwrap_or(&"").trim())
    };
    found.into_iter().map(told).collect()
}

/// A tree that remembers of each node only what the parser asks for.
#[derive(Debug)]
struct Judge {
    line: Cell<u64>,
    mistakes: RefCell<Vec<(u64, Cow<'static, str>)>>,
    /// Line of each identifier.
    identifiers: RefCell<BTreeMap<String, u64>>,
    document: Handle,
}

type Handle = Rc<Option<QualName>>;

impl Default for Judge {
    fn default() -> Self {
        Self {
            line: Cell::new(1),
            mistakes: RefCell::default(),
            identifiers: RefCell::default(),
            document: Rc::new(None),
        }
    }
}

impl Judge {
    fn mistake(&self, mistake: impl Into<Cow<'static, str>>) {
        self.mistakes.borrow_mut().push((self.line.get(), mistake.into()));
    }
}

impl TreeSink for Judge {
    type Handle = Handle;
    type Output = Vec<(u64, Cow<'static, str>)>;
    type ElemName<'a> = ExpandedName<'a>;

    fn finish(self) -> Self::Output {
        self.mistakes.into_inner()
    }

    fn parse_error(&self, message: Cow<'static, str>) {
        self.mistake(message);
    }

    fn set_current_line(&self, line: u64) {
        self.line.set(line);
    }

    fn get_document(&self) -> Handle {
        Rc::clone(&self.document)
    }

    fn elem_name<'a>(&'a self, target: &'a Handle) -> ExpandedName<'a> {
        (**target).as_ref().expect("invariant: only elements are asked for their names").expanded()
    }

    fn create_element(&self, name: QualName, attributes: Vec<Attribute>, _: ElementFlags) -> Handle {
        for attribute in attributes.iter().filter(|attribute| &*attribute.name.local == "id") {
            let identifier = attribute.value.to_string();
            let before = self.identifiers.borrow_mut().insert(identifier.clone(), self.line.get());
            if let Some(line) = before {
                self.mistake(format!("the id «{identifier}» of line {line} again"));
            }
        }
        Rc::new(Some(name))
    }

    fn create_comment(&self, _: StrTendril) -> Handle {
        Rc::new(None)
    }

    fn create_pi(&self, _: StrTendril, _: StrTendril) -> Handle {
        Rc::new(None)
    }

    fn get_template_contents(&self, _: &Handle) -> Handle {
        Rc::new(None)
    }

    fn same_node(&self, one: &Handle, other: &Handle) -> bool {
        Rc::ptr_eq(one, other)
    }

    fn set_quirks_mode(&self, mode: QuirksMode) {
        if mode != QuirksMode::NoQuirks {
            self.mistake("browsers lay this page out as they did before there were standards");
        }
    }

    fn append(&self, _: &Handle, _: NodeOrText<Handle>) {}

    fn append_based_on_parent_node(&self, _: &Handle, _: &Handle, _: NodeOrText<Handle>) {}

    fn append_before_sibling(&self, _: &Handle, _: NodeOrText<Handle>) {}

    fn append_doctype_to_document(&self, _: StrTendril, _: StrTendril, _: StrTendril) {}

    fn add_attrs_if_missing(&self, _: &Handle, _: Vec<Attribute>) {}

    fn remove_from_parent(&self, _: &Handle) {}

    fn reparent_children(&self, _: &Handle, _: &Handle) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(body: &str) -> String {
        format!(
            "<!DOCTYPE html>\n<html lang=\"en\">\n<head><title>Page</title></head>\n<body>\n{body}\n</body>\n</html>\n"
        )
    }

    #[test]
    fn what_is_right_has_no_mistakes() {
        for body in [
            "<p>a &amp; b & c<p>optional ends<ul><li>one<li>two</ul>",
            "<img src=\"a.png\" alt=\"\"><br><input>",
            "<svg viewBox=\"0 0 1 1\"><path d=\"M0 0\"/></svg>",
            "<noscript><p>No scripts</p></noscript><template><tr><td>a</td></tr></template>",
            "<table><thead><tr><th>a</th></tr></thead><tbody><tr><td>b</td></tr></tbody></table>",
            "<details><summary>部署</summary><dl><dt>a</dt><dd>b</dd></dl></details>",
            "<script>const a = '<p>' + 1 < 2;</script>",
        ] {
            assert_eq!(mistakes(&page(body)), Vec::<String>::new(), "{body}");
        }
    }

    #[test]
    fn what_a_browser_must_mend_is_told_with_its_line() {
        for (body, line) in [
            ("<div><span>open</div>", 5),
            ("<p>a</p>\n</div>", 6),
            ("<p><div>a</div></p>", 5),
            ("<b><i>crossed</b></i>", 5),
            ("<div/>", 5),
            ("<p class=\"a\" class=\"b\">twice</p>", 5),
            ("<p id=\"a\">a</p>\n<p id=\"a\">b</p>", 6),
            ("<p title=\"a\"lang=\"en\">b</p>", 5),
            ("<a href=\"/\">a <a href=\"/\">b</a></a>", 5),
            ("<table><p>a</p></table>", 5),
            ("<noscript><p>a</div></noscript>", 5),
        ] {
            let found = mistakes(&page(body));
            let told = found.first().is_some_and(|first| first.starts_with(&format!("line {line}: ")));
            assert!(told, "{body}: {found:?}");
        }
        assert!(
            !mistakes("<html><head><title>a</title></head><body></body></html>").is_empty(),
            "no doctype"
        );
    }
}
