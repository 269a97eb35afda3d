//! Access tokens: whose they are, what they may do, making one and revoking one.

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use chrono::{DateTime, Utc};
use serde::Deserialize;
use slipway_records::TokenPage;
use slipway_types::{ApplicationName, Role};

use super::field::Field;
use super::form::{Form, Refused, confirmed};
use super::reading::Reading;
use super::{Around, Part, Parts, led, segment, sent};
use crate::extract::{Body, Path, Query};
use crate::pages::address;
use crate::pages::forms::{Fields, Posted};
use crate::pages::frame::{Frame, show_as};
use crate::pages::parts::{Command, Moment, Status, Tone};
use crate::pages::texts::Texts;
use crate::pages::texts::infrastructure::InfrastructureTexts;
use crate::pages::visitor::Member;
use crate::problem::ApiError;
use crate::rest::list::NamePageQuery;
use crate::rest::tokens::{self, CreatedToken, NewTokenBody, TokenPlace, TokenView};
use crate::state::ServerState;

/// Name of the form that makes one.
const CREATE: &str = "create";
/// Name of the forms that revoke one.
const REVOKE: &str = "revoke";
/// Tokens on one page.
const ROWS_MAX: u32 = 50;
/// Seconds in a day.
const DAY_S: u32 = 86_400;
/// The roles, the one that may least first.
const ROLES: [Role; 4] = [Role::Reader, Role::Developer, Role::Operator, Role::Admin];

/// Which tokens.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TokensQuery {
    /// Whether those that hold no more are shown.
    #[serde(default)]
    all: bool,
    /// Name of the last one of the page before, a `/`, and its id.
    after: Option<String>,
}

/// The tokens.
#[derive(Template)]
#[template(path = "infrastructure/tokens.html")]
struct TokensPage {
    t: &'static Texts,
    own: &'static InfrastructureTexts,
    frame: Frame,
    parts: Parts,
    /// The token just made, shown this once.
    made: Option<Made>,
    create: Form,
    roles: Vec<RoleLine>,
    /// What was refused of revoking one.
    refusal: Option<String>,
    rows: Vec<Row>,
    /// Whether there are some that hold no more and are not shown.
    hides_some: bool,
    next: Option<String>,
}

/// A token just made.
struct Made {
    name: String,
    token: Command,
}

/// What a role may do.
struct RoleLine {
    role: &'static str,
    may: &'static str,
}

/// A token.
struct Row {
    name: String,
    person: Option<String>,
    role: &'static str,
    application: Option<String>,
    /// The environment whose nodes pull by it.
    environment: Option<String>,
    break_glass: bool,
    status: Status,
    created: Moment,
    /// When it ends by itself, exactly.
    expires: Option<String>,
    used: Option<Moment>,
    revoke: Option<Form>,
}

/// What has just come of a form.
#[derive(Default)]
struct Outcome {
    made: Option<CreatedToken>,
    refused: Option<Refused>,
}

fn role_name(own: &InfrastructureTexts, role: Role) -> &'static str {
    match role {
        Role::Reader => own.role_reader,
        Role::Developer => own.role_developer,
        Role::Operator => own.role_operator,
        Role::Admin => own.role_admin,
    }
}

fn role_may(own: &InfrastructureTexts, role: Role) -> &'static str {
    match role {
        Role::Reader => own.reader_may,
        Role::Developer => own.developer_may,
        Role::Operator => own.operator_may,
        Role::Admin => own.admin_may,
    }
}

/// Whether a token still lets somebody in.
fn holds(view: &TokenView, now: DateTime<Utc>) -> bool {
    view.revoked_at.is_none() && view.expires_at.is_none_or(|at| now < at)
}

impl TokensQuery {
    /// The tokens that are asked for.
    fn page(&self, now: DateTime<Utc>) -> Result<TokenPage, ApiError> {
        let page = NamePageQuery::new(Some(ROWS_MAX), self.after.clone()).page::<TokenPlace>()?;
        let after = page.after.map(|TokenPlace(name, id)| (name, id));
        Ok(TokenPage { holding_at: (!self.all).then_some(now), after, limit: page.limit })
    }

    /// The page that goes on behind a token.
    fn behind(&self, last: &TokenView) -> String {
        let all = if self.all { "true" } else { "" };
        let after = TokenPlace::of(last);
        address::with_query(Part::Tokens.address(), [("all", all), ("after", after.as_str())])
    }
}

/// The tokens that still let somebody in, or all.
pub(super) async fn page(
    State(state): State<ServerState>,
    member: Member,
    Query(query): Query<TokensQuery>,
) -> Result<Response, ApiError> {
    shown(&state, &member, &query, Outcome::default()).await
}

async fn shown(
    state: &ServerState,
    member: &Member,
    query: &TokensQuery,
    came: Outcome,
) -> Result<Response, ApiError> {
    let now = Utc::now();
    let (items, any_ended) = tokens::page(state, &member.session.caller, &query.page(now)?, now).await?;
    let title = InfrastructureTexts::of(member.visitor.language).tokens;
    let Around { t, own, frame, parts } = Around::new(member, Part::Tokens, title).at(Part::Tokens.address());
    let refused = came.refused.as_ref();
    let last = items.last().filter(|_| items.len() >= ROWS_MAX as usize);
    let next = last.map(|last| query.behind(last));
    let page = TokensPage {
        t,
        own,
        frame,
        parts,
        create: create_form(member, (t, own), refused),
        roles: ROLES.map(|role| RoleLine { role: role_name(own, role), may: role_may(own, role) }).into(),
        refusal: Refused::error(refused, REVOKE).map(|error| error.detail().to_owned()),
        rows: items.into_iter().map(|view| row(member, (t, own), view, now)).collect(),
        hides_some: !query.all && any_ended,
        next,
        made: came.made.map(|made| Made { name: made.row.name, token: Command::new(t, made.token) }),
    };
    show_as(Refused::status(refused), &page)
}

fn row(
    member: &Member,
    (t, own): (&Texts, &'static InfrastructureTexts),
    view: TokenView,
    now: DateTime<Utc>,
) -> Row {
    let status = if view.revoked_at.is_some() {
        Status::told(Tone::Off, own.revoked)
    } else if holds(&view, now) {
        Status::told(Tone::Good, own.token_holds)
    } else {
        Status::told(Tone::Off, own.token_expired)
    };
    let action = format!("/infrastructure/tokens/{}/revoke", segment(&view.id));
    let revoke = || {
        Form::new(&member.session.form_token, REVOKE, action, own.revoke)
            .about(view.name.clone())
            .confirm(own.revoke_confirm)
    };
    Row {
        revoke: holds(&view, now).then(revoke),
        role: view.role.map_or(own.pull_only, |role| role_name(own, role)),
        status,
        created: Moment::new(t, view.created_at, now),
        expires: view.expires_at.map(|at| at.format("%Y-%m-%d %H:%M UTC").to_string()),
        used: view.last_used_at.map(|at| Moment::new(t, at, now)),
        name: view.name,
        person: view.person,
        application: view.application,
        environment: view.pulls_for,
        break_glass: view.break_glass,
    }
}

fn create_form(
    member: &Member,
    (t, own): (&'static Texts, &'static InfrastructureTexts),
    refused: Option<&Refused>,
) -> Form {
    let fields = Refused::typed(refused, CREATE);
    let roles = ROLES.map(|role| (role.to_string(), role_name(own, role).to_owned()));
    Form::new(&member.session.form_token, CREATE, Part::Tokens.address(), own.new_token)
        .folded()
        .field(Field::text("name", t.name, &fields).required().help(own.token_name_help))
        .field(Field::choice("role", own.role, &fields, roles))
        .field(Field::text("person", own.person, &fields).help(own.person_help))
        .field(Field::text("application", own.application, &fields).help(own.token_application_help))
        .field(
            Field::number("days", own.expires_in_days, &fields).place("expires_in_s").help(own.expires_help),
        )
        .field(Field::check("break_glass", own.break_glass, &fields).help(own.break_glass_help))
        .refused(own, Refused::error(refused, CREATE))
}

fn wanted(fields: &Fields) -> Result<NewTokenBody, ApiError> {
    let mut reading = Reading::new(fields);
    let name = reading.needed::<String>("name").unwrap_or_default();
    let role = reading.needed::<Role>("role");
    let body = NewTokenBody {
        name,
        person: reading.text("person"),
        role: role.unwrap_or(Role::Reader),
        break_glass: reading.ticked("break_glass"),
        application: reading.one::<ApplicationName>("application"),
        expires_in_s: reading.number("days").map(|days| days.saturating_mul(DAY_S)),
    };
    reading.finish().map(|()| body)
}

/// Makes a token as the API does, and shows it this once.
pub(super) async fn create(State(state): State<ServerState>, posted: Posted) -> Result<Response, ApiError> {
    let (member, fields) = sent(posted);
    let caller = member.session.caller.clone();
    caller.on_server(Role::Admin)?;
    let done = match wanted(&fields) {
        Ok(body) => tokens::create(State(state.clone()), caller, Body(body)).await,
        Err(error) => Err(error),
    };
    let came = match done {
        Ok((_, made)) => Outcome { made: Some(made.0), refused: None },
        Err(error) => Outcome { made: None, refused: Some(Refused::of(CREATE, error, fields)?) },
    };
    shown(&state, &member, &TokensQuery::default(), came).await
}

/// Revokes a token as the API does: whoever signed in by it is signed out.
pub(super) async fn revoke(
    State(state): State<ServerState>,
    Path(token): Path<String>,
    posted: Posted,
) -> Result<Response, ApiError> {
    let (member, fields) = sent(posted);
    let caller = member.session.caller.clone();
    caller.on_server(Role::Admin)?;
    let done = match confirmed(&fields) {
        Ok(()) => tokens::revoke(State(state.clone()), caller, Path(token)).await,
        Err(error) => Err(error),
    };
    match done {
        Ok(_) => Ok(led(Part::Tokens.address())),
        Err(error) => {
            let refused = Some(Refused::of(REVOKE, error, fields)?);
            shown(&state, &member, &TokensQuery::default(), Outcome { made: None, refused }).await
        }
    }
}

#[cfg(test)]
mod tests {
    use slipway_types::id::TokenId;

    use super::*;

    #[test]
    fn a_page_of_tokens_starts_behind_the_last_one_of_the_page_before() {
        let (now, id) = (Utc::now(), TokenId::new());
        let query = |all, after: Option<String>| TokensQuery { all, after }.page(now).ok();
        let page = |holding_at, after| TokenPage { holding_at, after, limit: ROWS_MAX };
        assert_eq!(query(false, None), Some(page(Some(now), None)));
        let after = Some((String::from("a/b"), id));
        assert_eq!(query(true, Some(format!("a/b/{id}"))), Some(page(None, after)));
        for wrong in ["", "a", "a/b", "/", &format!("\0/{id}")] {
            assert_eq!(query(true, Some(wrong.to_owned())), None, "{wrong}");
        }
    }

    #[test]
    fn a_form_makes_a_token_that_ends_after_days() {
        let fields = Fields::filled([
            ("name", "ci".to_owned()),
            ("role", "developer".to_owned()),
            ("days", "30".to_owned()),
            ("application", "shop".to_owned()),
        ]);
        let body = wanted(&fields).unwrap();
        assert_eq!(
            (body.name.as_str(), body.role, body.expires_in_s),
            ("ci", Role::Developer, Some(2_592_000))
        );
        assert_eq!((body.break_glass, body.person), (false, None));
        let wrong = Fields::filled([("role", "king".to_owned()), ("days", "x".to_owned())]);
        let wrong = wanted(&wrong).unwrap_err();
        let places: Vec<_> = wrong.all_violations().iter().map(|wrong| wrong.path.as_str()).collect();
        assert_eq!(places, ["name", "role", "days"]);
    }
}
