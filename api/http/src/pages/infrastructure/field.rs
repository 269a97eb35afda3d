//! A field of a form: it has a label, keeps what was typed, and says itself what is wrong with that.

use askama::Template;
use askama::filters::HtmlSafe;

use crate::pages::forms::Fields;
use crate::pages::frame::Choice;
use crate::pages::texts::Said;

/// Lines that a field for several shows at once, at least and at most.
const ROWS: (usize, usize) = (3, 24);

/// How a field is filled in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    Text,
    Number,
    Lines,
    Choice,
    Check,
}

/// A field.
#[derive(Debug, Clone, PartialEq, Eq, Template)]
#[template(path = "infrastructure/field.html")]
pub(super) struct Field {
    /// Its form's and its own name.
    id: String,
    name: &'static str,
    /// What the API calls it: what is said of that is said here.
    place: &'static str,
    label: &'static str,
    value: String,
    help: String,
    error: Option<Said>,
    shape: Shape,
    choices: Vec<Choice>,
    required: bool,
}

impl HtmlSafe for Field {}

impl Field {
    fn new(shape: Shape, name: &'static str, label: &'static str, value: String) -> Self {
        let (id, help, choices) = (String::new(), String::new(), Vec::new());
        Self { id, name, place: name, label, value, help, error: None, shape, choices, required: false }
    }

    fn held(fields: &Fields, name: &str) -> String {
        fields.text(name).unwrap_or_default().to_owned()
    }

    /// One line.
    pub(super) fn text(name: &'static str, label: &'static str, fields: &Fields) -> Self {
        Self::new(Shape::Text, name, label, Self::held(fields, name))
    }

    /// A whole number.
    pub(super) fn number(name: &'static str, label: &'static str, fields: &Fields) -> Self {
        Self::new(Shape::Number, name, label, Self::held(fields, name))
    }

    /// Several lines.
    pub(super) fn lines(name: &'static str, label: &'static str, fields: &Fields) -> Self {
        Self::new(Shape::Lines, name, label, Self::held(fields, name))
    }

    /// A value that no page shows again.
    pub(super) fn secret(name: &'static str, label: &'static str) -> Self {
        Self::new(Shape::Lines, name, label, String::new()).required()
    }

    /// Yes or no.
    pub(super) fn check(name: &'static str, label: &'static str, fields: &Fields) -> Self {
        Self::new(Shape::Check, name, label, Self::held(fields, name))
    }

    /// One of several things, each with its text.
    pub(super) fn choice(
        name: &'static str,
        label: &'static str,
        fields: &Fields,
        choices: impl IntoIterator<Item = (String, String)>,
    ) -> Self {
        let value = Self::held(fields, name);
        let choice = |(word, text): (String, String)| Choice { chosen: word == value, value: word, text };
        let choices = choices.into_iter().map(choice).collect();
        Self { choices, ..Self::new(Shape::Choice, name, label, value) }
    }

    /// With more about it.
    #[must_use]
    pub(super) fn help(self, help: impl Into<String>) -> Self {
        Self { help: help.into(), ..self }
    }

    /// It may not be empty.
    #[must_use]
    pub(super) fn required(self) -> Self {
        Self { required: true, ..self }
    }

    /// What the API calls it, if not by the form's name.
    #[must_use]
    pub(super) fn place(self, place: &'static str) -> Self {
        Self { place, ..self }
    }

    /// The same in the form of that id.
    pub(super) fn within(self, form: &str) -> Self {
        Self { id: format!("{form}-{}", self.name), ..self }
    }

    /// How much of `place` is this field: nothing if it is another.
    pub(super) fn share_of(&self, place: &str) -> Option<usize> {
        let within = |own: &str| {
            let rest = place.strip_prefix(own)?;
            (rest.is_empty() || rest.starts_with(['.', '['])).then_some(own.len())
        };
        within(self.place).or_else(|| within(self.name))
    }

    /// Says what is wrong with it; after what was said before.
    pub(super) fn refuse(&mut self, why: &Said) {
        self.error = Some(match self.error.take() {
            Some(before) => before.and(why),
            None => why.clone(),
        });
    }

    /// Whether something is wrong with it.
    pub(super) fn is_wrong(&self) -> bool {
        self.error.is_some()
    }

    fn is_check(&self) -> bool {
        self.shape == Shape::Check
    }

    fn is_lines(&self) -> bool {
        self.shape == Shape::Lines
    }

    fn is_choice(&self) -> bool {
        self.shape == Shape::Choice
    }

    fn is_number(&self) -> bool {
        self.shape == Shape::Number
    }

    fn rows(&self) -> usize {
        self.value.lines().count().clamp(ROWS.0, ROWS.1)
    }

    fn is_described(&self) -> bool {
        self.error.is_some() || !self.help.is_empty()
    }

    /// The ids of what is said of it.
    fn described(&self) -> String {
        let wrong = self.error.iter().map(|_| format!("{}-wrong", self.id));
        let help = Some(format!("{}-help", self.id)).filter(|_| !self.help.is_empty());
        wrong.chain(help).collect::<Vec<_>>().join(" ")
    }
}
