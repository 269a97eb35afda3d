//! The forms of these pages, and what is said where one is refused.

use askama::Template;
use askama::filters::HtmlSafe;
use axum::http::StatusCode;
use axum::response::Response;
use slipway_types::Violation;

use super::field::Field;
use super::{Around, Part};
use crate::pages::forms::Fields;
use crate::pages::frame::{Frame, show_as};
use crate::pages::tabs::Link;
use crate::pages::texts::infrastructure::InfrastructureTexts;
use crate::pages::texts::{Said, Texts};
use crate::problem::ApiError;

/// A form.
#[derive(Debug, Clone, PartialEq, Eq, Template)]
#[template(path = "infrastructure/form.html")]
pub(super) struct Form {
    /// What the ids of its fields begin with; no other form of the page has it.
    id: String,
    action: String,
    /// What proves that it comes from a page of this server.
    token: String,
    hidden: Vec<Hidden>,
    groups: Vec<Group>,
    button: &'static str,
    /// What the button is about, for those who hear the page.
    about: String,
    /// What must be said yes to.
    confirm: Option<&'static str>,
    /// Whether it is opened first.
    folded: bool,
    is_main: bool,
    /// What is wrong beyond single fields.
    refusal: Vec<Said>,
}

/// What a form sends unseen.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Hidden {
    name: &'static str,
    value: String,
}

/// Fields that belong together.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Group {
    legend: &'static str,
    fields: Vec<Field>,
}

/// A form of a page that was refused.
pub(super) struct Refused {
    form: &'static str,
    error: ApiError,
    fields: Fields,
}

impl HtmlSafe for Form {}

impl Form {
    /// A form without fields: its button alone.
    pub(super) fn new(
        token: &str,
        id: impl Into<String>,
        action: impl Into<String>,
        button: &'static str,
    ) -> Self {
        Self {
            id: id.into(),
            action: action.into(),
            token: token.to_owned(),
            hidden: Vec::new(),
            groups: Vec::new(),
            button,
            about: String::new(),
            confirm: None,
            folded: false,
            is_main: false,
            refusal: Vec::new(),
        }
    }

    /// What its button is about, where a page has several of its kind.
    #[must_use]
    pub(super) fn about(self, about: impl Into<String>) -> Self {
        Self { about: about.into(), ..self }
    }

    /// What cannot be undone: it is opened first, and said yes to.
    #[must_use]
    pub(super) fn confirm(self, what: &'static str) -> Self {
        Self { confirm: Some(what), folded: true, ..self }
    }

    /// It is opened first.
    #[must_use]
    pub(super) fn folded(self) -> Self {
        Self { folded: true, ..self }
    }

    /// What the page is for.
    #[must_use]
    pub(super) fn main(self) -> Self {
        Self { is_main: true, ..self }
    }

    /// Sends this along.
    #[must_use]
    pub(super) fn hidden(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.hidden.push(Hidden { name, value: value.into() });
        self
    }

    /// What follows belongs together.
    #[must_use]
    pub(super) fn group(mut self, legend: &'static str) -> Self {
        self.groups.push(Group { legend, fields: Vec::new() });
        self
    }

    /// One field more.
    #[must_use]
    pub(super) fn field(mut self, field: Field) -> Self {
        let field = field.within(&self.id);
        match self.groups.last_mut() {
            Some(group) => group.fields.push(field),
            None => self.groups.push(Group { legend: "", fields: vec![field] }),
        }
        self
    }

    /// Says what is wrong: at the fields that it is about, else above all.
    #[must_use]
    pub(super) fn refused(mut self, own: &InfrastructureTexts, error: Option<&ApiError>) -> Self {
        let Some(error) = error else { return self };
        let violations = error.all_violations();
        for violation in violations {
            let Violation { path, message, hint, .. } = violation;
            let said = with_hint(own, message, hint.as_deref());
            if !self.refuse_field(path, &said) {
                let text = if path.is_empty() { said.text } else { format!("{path}: {}", said.text) };
                self.refusal.push(Said { text, ..said });
            }
        }
        if violations.is_empty() {
            let (detail, hint) = (error.detail(), error.way_out());
            let of_field = detail.split_once(": ");
            if !of_field.is_some_and(|(place, why)| self.refuse_field(place, &with_hint(own, why, hint))) {
                self.refusal.push(with_hint(own, detail, hint));
            }
        }
        self
    }

    /// Whether a field is called so; it then says what is wrong.
    fn refuse_field(&mut self, place: &str, why: &Said) -> bool {
        let fields = self.groups.iter_mut().flat_map(|group| &mut group.fields);
        let named = fields.filter_map(|field| Some((field.share_of(place)?, field)));
        match named.max_by_key(|(share, _)| *share) {
            Some((_, field)) => {
                field.refuse(why);
                true
            }
            None => false,
        }
    }

    fn is_folded(&self) -> bool {
        self.folded
    }

    fn is_open(&self) -> bool {
        let mut fields = self.groups.iter().flat_map(|group| &group.fields);
        !self.refusal.is_empty() || fields.any(Field::is_wrong)
    }

    /// The classes of its button.
    fn look(&self) -> &'static str {
        match (self.confirm, self.is_main) {
            (Some(_), _) => "grave",
            (None, true) => "main",
            (None, false) => "plain",
        }
    }
}

fn with_hint(own: &InfrastructureTexts, said: &str, hint: Option<&str>) -> Said {
    let t = own.language.texts();
    let said = t.refusal(said);
    match hint {
        Some(hint) => said.and(&t.refusal(hint)),
        None => said,
    }
}

impl Refused {
    /// What was refused, to be said beside that form of its page; what says nothing of the form goes on as it is.
    pub(super) fn of(form: &'static str, error: ApiError, fields: Fields) -> Result<Self, ApiError> {
        match error.status() {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::INTERNAL_SERVER_ERROR => {
                Err(error)
            }
            _ => Ok(Self { form, error, fields }),
        }
    }

    /// The status of the page that says it.
    pub(super) fn status(refused: Option<&Self>) -> StatusCode {
        refused.map_or(StatusCode::OK, |refused| refused.error.status())
    }

    /// What is wrong with that form.
    pub(super) fn error<'r>(refused: Option<&'r Self>, form: &str) -> Option<&'r ApiError> {
        refused.filter(|refused| refused.form == form).map(|refused| &refused.error)
    }

    /// What was typed into that form; nothing where it is another one that was sent.
    pub(super) fn typed(refused: Option<&Self>, form: &str) -> Fields {
        refused
            .filter(|refused| refused.form == form)
            .map(|refused| refused.fields.clone())
            .unwrap_or_default()
    }
}

/// Refuses what cannot be undone unless it was said yes to.
pub(super) fn confirmed(fields: &Fields) -> Result<(), ApiError> {
    let said = fields.text("confirmed").is_some();
    let refused =
        || ApiError::bad_request("not_confirmed", "it was not said that this is meant: tick the box");
    if said { Ok(()) } else { Err(refused()) }
}

/// A page that is one form, or two.
#[derive(Template)]
#[template(path = "infrastructure/form_page.html")]
struct FormPage {
    t: &'static Texts,
    frame: Frame,
    above: Link,
    title: String,
    intro: &'static str,
    form: Form,
    other_title: &'static str,
    other: Option<Form>,
}

/// What such a page shows.
pub(super) struct FormOf {
    /// Where it is reached from.
    pub(super) above: Link,
    pub(super) title: String,
    pub(super) intro: &'static str,
    pub(super) form: Form,
    /// Another form, with its title.
    pub(super) other: Option<(&'static str, Form)>,
}

/// A page that is one form, or two.
pub(super) fn form_page(around: Around, status: StatusCode, of: FormOf) -> Result<Response, ApiError> {
    let Around { t, frame, .. } = around;
    let FormOf { above, title, intro, form, other } = of;
    let (other_title, other) = other.unzip();
    let other_title = other_title.unwrap_or_default();
    show_as(status, &FormPage { t, frame, above, title, intro, form, other_title, other })
}

/// The way back from a form to its part of the infrastructure.
pub(super) fn above(own: &InfrastructureTexts, part: Part) -> Link {
    Link { text: part.text(own).to_owned(), address: part.address().to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pages::language::Language;

    fn form() -> Form {
        let fields = Fields::filled([("name", "<b>\"".to_owned()), ("windows", "mon\nx".to_owned())]);
        Form::new("<t>", "make", "/here?a=\"b", "Make")
            .hidden("kept", "<i>")
            .field(Field::text("name", "Name", &fields).required().help("as in shop"))
            .group("Gates")
            .field(Field::lines("windows", "Windows", &fields).place("settings.gates.windows"))
            .field(Field::secret("value", "Value"))
            .confirm("Yes")
    }

    #[test]
    fn what_was_typed_is_kept_and_escaped() {
        let html = form().to_string();
        assert!(!html.contains("<b>") && !html.contains("<i>") && !html.contains("<t>"), "{html}");
        for seen in [
            "<label for=\"make-name\">Name</label>",
            "value=\"&#60;b&#62;&#34;\"",
            "aria-describedby=\"make-name-help\"",
            "<legend>Gates</legend>",
            ">\nmon\nx</textarea>",
            "name=\"confirmed\"",
            "<details class=\"folded\"><summary>",
        ] {
            assert!(html.contains(seen), "{seen}: {html}");
        }
    }

    #[test]
    fn what_is_wrong_is_said_at_its_field() {
        let english = InfrastructureTexts::of(Language::English);
        let wrong = ApiError::violations(vec![
            Violation::new("a", "settings.gates.windows[1]", "is no <window>"),
            Violation::new("b", "settings.receiver", "is away").hint("try again"),
        ]);
        let html = form().refused(english, Some(&wrong)).to_string();
        let said = "<p id=\"make-windows-wrong\" class=\"wrong\" lang=\"en\" dir=\"auto\">is no &#60;window&#62;</p>";
        assert!(html.contains(said) && html.contains("aria-describedby=\"make-windows-wrong\""), "{html}");
        assert!(html.contains("settings.receiver: is away. try again") && html.contains(" open>"), "{html}");
        for (detail, at_field) in
            [("name: too long", true), ("names: too long", false), ("it is: away", false)]
        {
            let html = form().refused(english, Some(&ApiError::bad_request("bad_body", detail))).to_string();
            assert_eq!(html.contains("make-name-wrong"), at_field, "{detail}");
            assert_eq!(html.contains("role=\"alert\""), !at_field, "{detail}");
        }
    }

    #[test]
    fn what_is_wrong_is_said_in_the_language_of_the_form() {
        let chinese = InfrastructureTexts::of(Language::Chinese);
        let wrong = ApiError::violations(vec![
            Violation::new("a", "name", "is empty"),
            Violation::new("b", "other", "is of no use"),
        ]);
        let html = form().refused(chinese, Some(&wrong)).to_string();
        assert!(html.contains("class=\"wrong\" lang=\"zh-Hans\" dir=\"auto\">不能为空</p>"), "{html}");
        assert!(html.contains("<p lang=\"en\" dir=\"auto\">other: is of no use</p>"), "{html}");
    }

    #[test]
    fn what_nobody_may_see_or_do_is_no_matter_of_the_form() {
        let refused = |error| Refused::of("make", error, Fields::default()).is_ok();
        assert!(refused(ApiError::bad_request("x", "y")) && refused(ApiError::conflict("x", "y")));
        assert!(!refused(ApiError::unauthorized("x")));
        assert!(confirmed(&Fields::default()).is_err());
    }
}
