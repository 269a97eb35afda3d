//! Secrets: their names and scopes, and setting one. No page ever has a value.

use askama::Template;
use axum::Json;
use axum::extract::State;
use axum::response::Response;
use chrono::{DateTime, Utc};
use serde::Deserialize;
use slipway_types::name::EnvironmentName;
use slipway_types::{ApplicationName, Role, SecretScope, TeamName};

use super::field::Field;
use super::form::{Form, Refused};
use super::reading::Reading;
use super::{Around, Part, Parts, led, segment, sent};
use crate::extract::{Body, Path, Query};
use crate::pages::address;
use crate::pages::forms::{Fields, Posted};
use crate::pages::frame::{Frame, show_as};
use crate::pages::parts::Moment;
use crate::pages::texts::Texts;
use crate::pages::texts::infrastructure::InfrastructureTexts;
use crate::pages::visitor::Member;
use crate::problem::ApiError;
use crate::rest::secrets::{self, NewSecret, ScopeQuery, SecretView};
use crate::state::ServerState;

/// Name of the form.
const SET: &str = "set";

/// For whom secrets are, as forms and addresses say it; nothing at all: for the server and everybody.
#[derive(Debug, Default, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct ScopeText {
    pub(super) team: String,
    pub(super) application: String,
    pub(super) environment: String,
}

/// The secrets.
#[derive(Template)]
#[template(path = "infrastructure/secrets.html")]
struct SecretsPage {
    t: &'static Texts,
    own: &'static InfrastructureTexts,
    frame: Frame,
    parts: Parts,
    wanted: ScopeText,
    /// What is wrong with the filters.
    refusal: Option<String>,
    /// Whether the visitor must name an application.
    must_choose: bool,
    rows: Vec<Row>,
    set: Form,
}

/// A secret, without its value.
struct Row {
    name: String,
    page: String,
    scope: String,
    version: u64,
    set: Moment,
    set_by: String,
}

impl ScopeText {
    fn of(fields: &Fields) -> Self {
        let text = |name: &str| fields.text(name).unwrap_or_default().to_owned();
        Self { team: text("team"), application: text("application"), environment: text("environment") }
    }

    fn fields(&self) -> Vec<(&'static str, String)> {
        vec![
            ("team", self.team.clone()),
            ("application", self.application.clone()),
            ("environment", self.environment.clone()),
        ]
    }

    /// The scope as the API is asked for it.
    pub(super) fn query(&self) -> Result<ScopeQuery, ApiError> {
        let fields = Fields::filled(self.fields());
        let mut reading = Reading::new(&fields);
        let query = ScopeQuery {
            team: reading.one::<TeamName>("team"),
            application: reading.one::<ApplicationName>("application"),
            environment: reading.one::<EnvironmentName>("environment"),
        };
        reading.finish().map(|()| query)
    }

    /// That of a secret.
    fn of_scope(scope: &SecretScope) -> Self {
        let application = scope.application().map(ToString::to_string).unwrap_or_default();
        match scope {
            SecretScope::Global | SecretScope::Application(_) => Self { application, ..Self::default() },
            SecretScope::Team(team) => Self { team: team.to_string(), ..Self::default() },
            SecretScope::Environment(_, environment) => {
                Self { application, environment: environment.to_string(), ..Self::default() }
            }
        }
    }

    /// A secret's page.
    pub(super) fn page(&self, name: &str) -> String {
        self.below(name, "")
    }

    /// Where a form of a secret's page is sent.
    pub(super) fn below(&self, name: &str, action: &str) -> String {
        let path = format!("/infrastructure/secrets/{}{action}", segment(name));
        let pairs = [
            ("team", self.team.as_str()),
            ("application", self.application.as_str()),
            ("environment", self.environment.as_str()),
        ];
        address::with_query(&path, pairs)
    }

    fn is_empty(&self) -> bool {
        [&self.team, &self.application, &self.environment].iter().all(|text| text.trim().is_empty())
    }
}

/// The one application whose secrets a visitor may set, if it is one.
async fn own_application(state: &ServerState, member: &Member) -> Result<Option<String>, ApiError> {
    let Some(id) = member.session.caller.limited_to() else { return Ok(None) };
    let found = state.records.read().await?.application_get(id).await?;
    Ok(found.map(|application| application.name.to_string()))
}

/// The secrets that the form asks for.
pub(super) async fn page(
    State(state): State<ServerState>,
    member: Member,
    Query(wanted): Query<ScopeText>,
) -> Result<Response, ApiError> {
    member.session.caller.somewhere(Role::Operator)?;
    let wanted = match own_application(&state, &member).await? {
        Some(application) if wanted.is_empty() => ScopeText { application, ..wanted },
        _ => wanted,
    };
    shown(&state, &member, wanted, None).await
}

async fn found(
    state: &ServerState,
    member: &Member,
    wanted: &ScopeText,
) -> Result<Vec<SecretView>, ApiError> {
    secrets::all(state, &member.session.caller, &wanted.query()?).await
}

async fn shown(
    state: &ServerState,
    member: &Member,
    wanted: ScopeText,
    refused: Option<&Refused>,
) -> Result<Response, ApiError> {
    let must_choose = wanted.is_empty() && !member.session.caller.may(Role::Admin, None);
    let (rows, refusal) = match must_choose {
        true => (Vec::new(), None),
        false => match found(state, member, &wanted).await {
            Ok(rows) => (rows, None),
            // What is wrong is said beside the form.
            Err(error) if error.status().is_client_error() => (Vec::new(), Some(error.detail().to_owned())),
            Err(error) => return Err(error),
        },
    };
    let title = InfrastructureTexts::of(member.visitor.language).secrets;
    let Around { t, own, frame, parts } = Around::new(member, Part::Secrets, title);
    let now = Utc::now();
    let set = set_form(member, (t, own), &wanted, refused);
    let page = SecretsPage {
        t,
        own,
        frame,
        parts,
        wanted,
        refusal,
        must_choose,
        rows: rows.into_iter().map(|view| row(t, view, now)).collect(),
        set,
    };
    show_as(Refused::status(refused), &page)
}

fn row(t: &Texts, view: SecretView, now: DateTime<Utc>) -> Row {
    Row {
        page: ScopeText::of_scope(&view.scope).page(&view.name),
        scope: view.scope.to_string(),
        set: Moment::new(t, view.set_at, now),
        name: view.name,
        version: view.version,
        set_by: view.set_by,
    }
}

fn set_form(
    member: &Member,
    (t, own): (&'static Texts, &'static InfrastructureTexts),
    wanted: &ScopeText,
    refused: Option<&Refused>,
) -> Form {
    let fields = match Refused::error(refused, SET) {
        Some(_) => Refused::typed(refused, SET),
        None => Fields::filled(wanted.fields()),
    };
    Form::new(&member.session.form_token, SET, Part::Secrets.address(), own.set_secret)
        .folded()
        .field(Field::text("name", t.name, &fields).required().help(own.secret_name_help))
        .field(Field::secret("value", own.secret_value).help(own.secret_value_help))
        .field(Field::text("application", own.application, &fields).help(own.secret_application_help))
        .field(Field::text("environment", own.environment, &fields).help(own.secret_environment_help))
        .field(Field::text("team", own.team, &fields).help(own.secret_team_help))
        .refused(own, Refused::error(refused, SET))
}

async fn kept(state: &ServerState, member: &Member, fields: &Fields) -> Result<String, ApiError> {
    let scope = ScopeText::of(fields);
    let query = scope.query()?;
    let mut reading = Reading::new(fields);
    let name = reading.needed::<String>("name").unwrap_or_default();
    let value = fields.file("value");
    if value.is_none() {
        reading.refuse("value", "is empty");
    }
    reading.finish()?;
    let body = Body(NewSecret { value: value.unwrap_or_default() });
    let caller = member.session.caller.clone();
    let Json(_) = secrets::put(State(state.clone()), caller, Path(name.clone()), Query(query), body).await?;
    Ok(scope.page(&name))
}

/// Sets a secret as the API does.
pub(super) async fn set(State(state): State<ServerState>, posted: Posted) -> Result<Response, ApiError> {
    let (member, fields) = sent(posted);
    member.session.caller.somewhere(Role::Operator)?;
    match kept(&state, &member, &fields).await {
        Ok(page) => Ok(led(&page)),
        Err(error) => {
            let wanted = ScopeText::of(&fields);
            let refused = Refused::of(SET, error, fields)?;
            shown(&state, &member, wanted, Some(&refused)).await
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_has_a_page_for_each_scope() {
        for (scope, wanted) in [
            ("global", "/infrastructure/secrets/webhook%2Fshop"),
            ("team/a", "/infrastructure/secrets/webhook%2Fshop?team=a"),
            ("application/default/shop", "/infrastructure/secrets/webhook%2Fshop?application=shop"),
            (
                "environment/a/shop/prod",
                "/infrastructure/secrets/webhook%2Fshop?application=a%2Fshop&environment=prod",
            ),
        ] {
            let scope: SecretScope = scope.parse().unwrap();
            let text = ScopeText::of_scope(&scope);
            assert_eq!(text.page("webhook/shop"), wanted);
            assert!(text.query().is_ok());
        }
        let wrong = ScopeText { team: "No Team".to_owned(), ..ScopeText::default() };
        assert_eq!(wrong.query().unwrap_err().all_violations()[0].path, "team");
    }
}
