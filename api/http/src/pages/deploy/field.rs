//! Inputs of forms that are made from schemas, as templates write them.

use askama::Template;
use askama::filters::HtmlSafe;

use crate::pages::frame::Choice;

/// An input with its label, what is known of it, and what is wrong with it.
#[derive(Debug, Clone, PartialEq, Template)]
#[template(path = "part/deploy_field.html")]
pub(super) struct Field {
    /// Its name in the form, which is its `id` too.
    pub(super) name: String,
    pub(super) label: String,
    /// What the schema says of it.
    pub(super) description: Option<String>,
    /// What holds without it, and how it is written, in the visitor's language.
    pub(super) notes: Vec<String>,
    pub(super) required: bool,
    pub(super) deprecated: Option<&'static str>,
    pub(super) wrong: Option<String>,
    pub(super) input: Input,
}

/// How a value is put in.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Input {
    Line(Line),
    Choice(Vec<Choice>),
    Area(Area),
    Group(Vec<Field>),
    Items(Items),
}

/// One line of text.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Line {
    pub(super) value: String,
    pub(super) is_number: bool,
    /// In characters; empty: no bound.
    pub(super) longest: String,
}

/// Several lines of text.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Area {
    pub(super) value: String,
    pub(super) rows: usize,
}

/// Groups, one after the other.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Items {
    /// The field that says how many there are.
    pub(super) count: String,
    pub(super) groups: Vec<Vec<Field>>,
    /// What one of them is called.
    pub(super) noun: &'static str,
}

impl HtmlSafe for Field {}

impl Field {
    /// What tells more of it, by their ids.
    fn described_by(&self) -> String {
        let name = &self.name;
        let mut ids = Vec::new();
        if self.description.is_some() || !self.notes.is_empty() {
            ids.push(format!("{name}-help"));
        }
        if self.wrong.is_some() {
            ids.push(format!("{name}-wrong"));
        }
        ids.join(" ")
    }
}

impl Area {
    pub(super) fn new(value: String) -> Self {
        let rows = (value.lines().count() + 1).clamp(3, 20);
        Self { value, rows }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_a_schema_says_is_text() {
        let hostile = "<script>alert(1)</script>\"'</textarea>";
        let field = |input: Input| Field {
            name: "p/<b>\"".to_owned(),
            label: hostile.to_owned(),
            description: Some(hostile.to_owned()),
            notes: vec![hostile.to_owned()],
            required: true,
            deprecated: None,
            wrong: Some(hostile.to_owned()),
            input,
        };
        let line = Input::Line(Line { value: hostile.to_owned(), is_number: false, longest: String::new() });
        let choice = Choice { value: hostile.to_owned(), text: hostile.to_owned(), chosen: true };
        let items =
            Items { count: "c/<b>".to_owned(), groups: vec![vec![field(line.clone())]], noun: "item" };
        for input in [
            line.clone(),
            Input::Choice(vec![choice]),
            Input::Area(Area::new(hostile.to_owned())),
            Input::Group(vec![field(line)]),
            Input::Items(items),
        ] {
            let text = field(input).to_string();
            assert!(!text.contains("<script>") && !text.contains("<b>"), "{text}");
            assert_eq!(text.matches("</textarea>").count(), text.matches("<textarea").count(), "{text}");
            assert!(text.contains("aria-invalid=\"true\"") || text.contains("<fieldset"), "{text}");
        }
    }
}
