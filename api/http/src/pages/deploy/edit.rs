//! One part of the configuration: its form, made from the schema of its definition, and the same as YAML.

use askama::Template;
use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use serde_json::{Value, json};

use super::configuration::{Ground, go_to};
use super::document::{Document, PartContent};
use super::field::{Field, Input};
use super::form::{Form, Wrong, yaml};
use super::part::Part;
use super::review;
use super::steps::Steps;
use super::violations::{Within, within};
use super::wanted::{CONFIGURATION, Wanted};
use crate::pages::forms::{Fields, Posted};
use crate::pages::frame::{Frame, Section, show_as};
use crate::pages::texts::{DeployTexts, Texts};
use crate::pages::visitor::Member;
use crate::problem::ApiError;
use crate::state::ServerState;

/// A part.
#[derive(Template)]
#[template(path = "deploy_part.html")]
struct PartPage {
    t: &'static Texts,
    d: &'static DeployTexts,
    frame: Frame,
    steps: Steps,
    wanted: Wanted,
    method: &'static str,
    part: String,
    kind: String,
    title: String,
    description: String,
    /// Its name, if it has one of its own.
    name: Option<String>,
    name_wrong: Option<String>,
    fields: Vec<Field>,
    has_lists: bool,
    is_new: bool,
    yaml: String,
    yaml_wrong: Option<String>,
    /// What is wrong with it as a whole.
    violations: Vec<String>,
}

/// What is to be done with a part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    Remove,
    /// A new one, of the type that was chosen beside the button.
    Add,
    Edit,
    /// The same, with what the plan says of it.
    Check,
    /// What the inputs hold.
    Save,
    /// An item more in lists.
    More,
    /// What the text beside the inputs says.
    Take,
}

impl Order {
    const ALL: [(&'static str, Self); 7] = [
        ("remove", Self::Remove),
        ("add", Self::Add),
        ("save", Self::Save),
        ("more", Self::More),
        ("take", Self::Take),
        ("check", Self::Check),
        ("edit", Self::Edit),
    ];

    /// The button that was pressed, and the part that it names.
    fn of(fields: &Fields) -> Result<(Self, Part), ApiError> {
        let pressed = Self::ALL.into_iter().find_map(|(name, order)| Some((order, name, fields.text(name)?)));
        let (order, name, part) =
            pressed.ok_or_else(|| ApiError::bad_request("bad_query", "edit: say which part"))?;
        let part = part.parse::<Part>();
        let part = part.map_err(|error| ApiError::bad_request("bad_query", format!("{name}: {error}")))?;
        Ok((order, part))
    }
}

/// What is shown beside the values.
#[derive(Default)]
struct Said {
    wrong: Wrong,
    name_wrong: Option<String>,
    yaml_wrong: Option<String>,
    violations: Vec<String>,
}

/// A part that is being changed.
struct Editor<'a> {
    state: &'a ServerState,
    member: &'a Member,
    wanted: Wanted,
    document: Document,
    part: Part,
    content: PartContent,
    description: String,
    form: Form,
    in_force: Option<Value>,
}

/// What the buttons of the configuration lead to.
pub(super) async fn page(
    State(state): State<ServerState>,
    member: Member,
    RawQuery(query): RawQuery,
) -> Result<Response, ApiError> {
    answer(&state, &member, &Fields::of(query.unwrap_or_default().as_bytes())).await
}

/// The same where the document is too long for an address.
pub(super) async fn sent(State(state): State<ServerState>, posted: Posted) -> Result<Response, ApiError> {
    let member = Member { visitor: posted.visitor, session: posted.session };
    answer(&state, &member, &posted.fields).await
}

async fn answer(state: &ServerState, member: &Member, fields: &Fields) -> Result<Response, ApiError> {
    let wanted = Wanted::of(fields);
    if let Some(first) = wanted.missing(CONFIGURATION) {
        return Ok(Redirect::to(&first).into_response());
    }
    let (order, part) = Order::of(fields)?;
    let read = Document::read(&wanted.document, &wanted.application_name()?);
    let document = match read {
        Ok(document) if document.has_forms() => document,
        // The page tells what is wrong with it.
        Ok(_) | Err(_) => return go_to(state, member, wanted).await,
    };
    if order == Order::Remove {
        let mut document = document;
        document.remove(&part);
        return go_to(state, member, wanted.with_document(document.text())).await;
    }
    let editor = Editor::open(state, member, fields, (wanted, document), part).await?;
    match order {
        Order::Save => editor.save(fields).await,
        Order::Take => editor.take(fields).await,
        Order::More => editor.show_sent(fields, true, Said::default()),
        Order::Check => editor.check().await,
        Order::Add | Order::Edit | Order::Remove => editor.show(Said::default()),
    }
}

/// The first of `name`, `name-2`, `name-3` … that nobody has.
fn free_name(name: &str, taken: &[(Part, PartContent)]) -> String {
    let is_free = |name: &String| !taken.iter().any(|(_, content)| content.name == *name);
    let numbered = (2..=taken.len() + 2).map(|number| format!("{name}-{number}"));
    std::iter::once(name.to_owned()).chain(numbered).find(is_free).unwrap_or_else(|| name.to_owned())
}

impl<'a> Editor<'a> {
    async fn open(
        state: &'a ServerState,
        member: &'a Member,
        fields: &Fields,
        (wanted, document): (Wanted, Document),
        part: Part,
    ) -> Result<Self, ApiError> {
        let ground = Ground::look(state, member, &wanted).await?;
        let mut content = document.part(&part).unwrap_or_default();
        if !content.properties.is_object() {
            content.properties = json!({});
        }
        let chosen = fields.text("kind").or_else(|| fields.text(&format!("kind:{part}")));
        let kind = content.kind.clone().or_else(|| chosen.map(str::to_owned));
        let kind = kind.or_else(|| ground.kind_of(&part)).unwrap_or_default();
        match &part {
            Part::Component(name) => content.name.clone_from(name),
            Part::Policy(None) => content.name = free_name(&kind, &document.policies()),
            Part::Step(None) => content.name = free_name(&kind, &document.steps()),
            Part::Trait(..) | Part::Policy(Some(_)) | Part::Step(Some(_)) => {}
        }
        let details = ground.known.details(state, part.kind(), &kind).await?.unwrap_or_default();
        let overridable = ground.overridable(&part);
        let takes = |key: &str| {
            let is_opened = |path: &String| {
                let first = path.split('.').next().unwrap_or_default();
                first == key || first == "*"
            };
            overridable.as_ref().is_none_or(|paths| paths.iter().any(is_opened))
        };
        let d = member.visitor.texts().deploying;
        let form = Form::new(d, &details["schema"], &takes);
        let in_force = ground.properties_of(&part, &kind, &content.name);
        // A component keeps the type that its developers gave it.
        if !matches!(part, Part::Component(_)) {
            content.kind = Some(kind.clone());
        }
        Ok(Self {
            state,
            member,
            wanted,
            document,
            part,
            description: details["description"].as_str().unwrap_or_default().to_owned(),
            content: PartContent { kind: content.kind.or(Some(kind)), ..content },
            form,
            in_force,
        })
    }

    async fn save(mut self, fields: &Fields) -> Result<Response, ApiError> {
        let d = self.member.visitor.texts().deploying;
        let mut said = Said::default();
        if self.part.is_named() {
            match fields.text("name") {
                Some(name) => name.clone_into(&mut self.content.name),
                None => said.name_wrong = Some(d.is_needed.to_owned()),
            }
        }
        match self.form.read(fields) {
            Ok(properties) if said.name_wrong.is_none() => self.write(properties).await,
            Ok(_) => self.show_sent(fields, false, said),
            Err(wrong) => self.show_sent(fields, false, Said { wrong, ..said }),
        }
    }

    async fn take(mut self, fields: &Fields) -> Result<Response, ApiError> {
        let text = fields.exact("yaml").unwrap_or_default();
        if let Some(name) = fields.text("name").filter(|_| self.part.is_named()) {
            name.clone_into(&mut self.content.name);
        }
        let d = self.member.visitor.texts().deploying;
        let why = match yaml(text) {
            Ok(None) => return self.write(json!({})).await,
            Ok(Some(properties @ Value::Object(_))) => return self.write(properties).await,
            Ok(Some(_)) => d.needs_mapping.to_owned(),
            Err(why) => why,
        };
        self.show_sent(fields, false, Said { yaml_wrong: Some(why), ..Said::default() })
    }

    async fn write(mut self, properties: Value) -> Result<Response, ApiError> {
        let before = self.document.part(&self.part);
        // Only what says it already keeps a type of its own.
        let kind = match &self.part {
            Part::Component(_) => before.and_then(|before| before.kind),
            _ => self.content.kind,
        };
        self.document.put(&self.part, PartContent { kind, name: self.content.name, properties });
        go_to(self.state, self.member, self.wanted.with_document(self.document.text())).await
    }

    /// Shows what the plan says of the part at its inputs.
    async fn check(self) -> Result<Response, ApiError> {
        let mut said = Said::default();
        match review::plan(self.state, &self.member.session.caller, &self.wanted).await {
            Ok(plan) => {
                let inputs = self.form.shown(&self.content.properties, None, &Wrong::new());
                for violation in &plan.violations {
                    let place = within(&self.part, &self.content, violation);
                    let field = match &place {
                        Some(Within::Property(path)) => nearest(&inputs, path),
                        Some(Within::Part) => None,
                        None => continue,
                    };
                    let words = review::in_words(violation);
                    match field {
                        Some(field) => drop(said.wrong.insert(field, words)),
                        None => said.violations.push(words),
                    }
                }
            }
            Err(error) if error.status().is_client_error() => said.violations.push(error.detail().to_owned()),
            Err(error) => return Err(error),
        }
        self.show(said)
    }

    fn show(self, said: Said) -> Result<Response, ApiError> {
        let fields = self.form.shown(&self.content.properties, self.in_force.as_ref(), &said.wrong);
        let text = match self.content.properties.as_object().is_some_and(serde_json::Map::is_empty) {
            true => String::new(),
            false => slipway_yaml::write(&self.content.properties),
        };
        self.page(StatusCode::OK, fields, text, said)
    }

    /// Shows what was typed.
    fn show_sent(self, fields: &Fields, more: bool, said: Said) -> Result<Response, ApiError> {
        let inputs = self.form.sent(fields, more, self.in_force.as_ref(), &said.wrong);
        let text = fields.exact("yaml").unwrap_or_default().to_owned();
        let status = if more { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
        self.page(status, inputs, text, said)
    }

    fn page(
        self,
        status: StatusCode,
        fields: Vec<Field>,
        yaml: String,
        said: Said,
    ) -> Result<Response, ApiError> {
        let t = self.member.visitor.texts();
        let d = t.deploying;
        let kind = self.content.kind.unwrap_or_default();
        let title = match &self.part {
            Part::Component(name) => format!("{} {name}", t.component),
            Part::Trait(component, _) => format!("{} {kind} ({component})", d.a_trait),
            Part::Policy(_) => format!("{} {kind}", d.a_policy),
            Part::Step(_) => format!("{} {kind}", d.a_step),
        };
        let page = PartPage {
            t,
            d,
            frame: Frame::new(&self.member.visitor, Section::Places, title.clone()),
            steps: Steps::new(d, &self.wanted, CONFIGURATION),
            method: self.wanted.method(),
            name: self.part.is_named().then_some(self.content.name),
            name_wrong: said.name_wrong,
            has_lists: fields.iter().any(has_lists),
            is_new: self.part.is_new(),
            part: self.part.to_string(),
            kind,
            title,
            description: self.description,
            fields,
            yaml,
            yaml_wrong: said.yaml_wrong,
            violations: said.violations,
            wanted: self.wanted,
        };
        show_as(status, &page)
    }
}

impl Ground {
    /// The component type that holds, for what is set of a component.
    fn kind_of(&self, part: &Part) -> Option<String> {
        let Part::Component(name) = part else { return None };
        self.in_force.components.iter().find(|one| one.name == *name)?.kind.clone()
    }

    /// What operators may set; `None`: all.
    fn overridable(&self, part: &Part) -> Option<Vec<String>> {
        let Part::Component(name) = part else { return None };
        self.in_force.components.iter().find(|one| one.name == *name)?.overridable.clone()
    }

    /// The properties that hold already.
    fn properties_of(&self, part: &Part, kind: &str, name: &str) -> Option<Value> {
        let component = |name: &str| self.in_force.components.iter().find(|one| one.name == name);
        let found = match part {
            Part::Component(name) => return component(name).map(|one| one.properties.clone()),
            Part::Trait(of, _) => component(of)?.traits.iter().find(|one| one.kind == kind),
            Part::Policy(_) => self.in_force.policies.iter().find(|one| one.name == name),
            Part::Step(_) => self.in_force.steps.iter().find(|one| one.name == name),
        };
        found.map(|one| one.properties.clone())
    }
}

fn has_lists(field: &Field) -> bool {
    match &field.input {
        Input::Items(_) => true,
        Input::Group(fields) => fields.iter().any(has_lists),
        Input::Line(_) | Input::Choice(_) | Input::Area(_) => false,
    }
}

/// The input at `path`, or the innermost one around it.
fn nearest(fields: &[Field], path: &str) -> Option<String> {
    let around = |field: &&Field| {
        let rest = path.strip_prefix(field.name.trim_start_matches(['p', 'y']));
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    let field = fields.iter().filter(|field| field.name.contains('/')).find(around)?;
    let inside = match &field.input {
        Input::Group(fields) => nearest(fields, path),
        Input::Items(items) => items.groups.iter().find_map(|group| nearest(group, path)),
        Input::Line(_) | Input::Choice(_) | Input::Area(_) => None,
    };
    inside.or_else(|| Some(field.name.clone()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pages::texts::ENGLISH;

    #[test]
    fn a_violation_stands_at_the_innermost_input() {
        let schema = json!({"type": "object", "properties": {
            "pp": {"type": "integer"},
            "cpu": {"type": "object", "properties": {"value": {"type": "integer"}}},
            "ports": {"type": "array", "items": {"type": "object", "properties": {"port": {"type": "integer"}}}},
            "any": {"type": "object"},
        }});
        let form = Form::new(ENGLISH.deploying, &schema, &|_| true);
        let fields = form.shown(&json!({"ports": [{"port": 1}]}), None, &Wrong::new());
        for (path, wanted) in [
            ("/pp", Some("p/pp")),
            ("/cpu/value", Some("p/cpu/value")),
            ("/cpu/other", Some("p/cpu")),
            ("/ports/0/port", Some("p/ports/0/port")),
            ("/any/x/y", Some("y/any")),
            ("/unknown", None),
        ] {
            assert_eq!(nearest(&fields, path).as_deref(), wanted, "{path}");
        }
    }

    #[test]
    fn the_button_says_what_is_done_and_new_parts_get_a_free_name() {
        let order = |query: &str| Order::of(&Fields::of(query.as_bytes()));
        let policy = Part::Policy(Some(0));
        assert_eq!(order("edit=policy/0&remove=policy/1").unwrap(), (Order::Remove, Part::Policy(Some(1))));
        assert_eq!(order("save=policy/0&p/x=1").unwrap(), (Order::Save, policy.clone()));
        assert!(order("p/x=1").is_err() && order("edit=x").is_err());
        let taken =
            |name: &str| (policy.clone(), PartContent { name: name.to_owned(), ..PartContent::default() });
        assert_eq!(free_name("topology", &[]), "topology");
        assert_eq!(free_name("topology", &[taken("topology"), taken("topology-2")]), "topology-3");
    }
}
