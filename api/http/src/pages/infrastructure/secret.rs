//! A secret: who uses it, giving it its next value, and removing it.

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use chrono::Utc;
use slipway_records::deploying::{SecretUser, SecretUserKind};
use slipway_types::{Role, SecretScope};

use super::field::Field;
use super::form::{Form, Refused, confirmed};
use super::secrets::ScopeText;
use super::{Around, Part, Parts, led, sent};
use crate::extract::{Body, Path, Query};
use crate::pages::forms::{Fields, Posted};
use crate::pages::frame::{Frame, show_as};
use crate::pages::parts::{Moment, Status};
use crate::pages::texts::Texts;
use crate::pages::texts::infrastructure::InfrastructureTexts;
use crate::pages::visitor::Member;
use crate::problem::ApiError;
use crate::rest::secret_restarts::{self, RestartView, RestartsView};
use crate::rest::secret_users::{self, RotateBody, RotationView};
use crate::rest::secrets::{self, ScopeQuery, SecretView};
use crate::state::ServerState;

/// Name of the form that gives the next value.
const ROTATE: &str = "rotate";
/// Name of the form that removes it.
const REMOVE: &str = "remove";

/// A secret, without its value.
#[derive(Template)]
#[template(path = "infrastructure/secret.html")]
struct SecretPage {
    t: &'static Texts,
    own: &'static InfrastructureTexts,
    frame: Frame,
    parts: Parts,
    name: String,
    scope: String,
    reference: String,
    version: u64,
    set: Moment,
    set_by: String,
    users: Vec<User>,
    /// Why it is not known who uses it.
    problem: Option<String>,
    /// Whether it was just given its next value.
    was_rotated: bool,
    /// The newest restarts.
    restarts: Option<Restarts>,
    rotate: Form,
    remove: Form,
}

/// Who uses it.
struct User {
    kind: &'static str,
    place: String,
    components: String,
    status: Option<Status>,
    version: Option<String>,
    problem: Option<String>,
}

/// What became of what ran with it, once it had a next value.
struct Restarts {
    version: u64,
    started: Moment,
    by: String,
    /// Where the page is looked at again, while they go on.
    again: Option<String>,
    problem: Option<String>,
    rows: Vec<Restart>,
}

/// What became of one place.
struct Restart {
    place: String,
    /// Whether its turn has not come.
    waits: bool,
    /// The new generation; absent if there is none.
    generation: Option<u64>,
    problem: Option<String>,
}

/// What has just come of a form.
#[derive(Default)]
struct Outcome {
    rotation: Option<RotationView>,
    refused: Option<Refused>,
}

/// The scope that an address names, whether what it names is there or not.
fn named(query: &ScopeQuery) -> SecretScope {
    match (&query.team, &query.application, &query.environment) {
        (_, Some(application), Some(environment)) => {
            SecretScope::Environment(application.clone(), environment.clone())
        }
        (_, Some(application), None) => SecretScope::Application(application.clone()),
        (Some(team), None, _) => SecretScope::Team(team.clone()),
        (None, None, _) => SecretScope::Global,
    }
}

/// The secret of that name and scope.
async fn found(
    state: &ServerState,
    member: &Member,
    name: &str,
    query: &ScopeQuery,
) -> Result<SecretView, ApiError> {
    let all = secrets::all(state, &member.session.caller, query).await?;
    let scope = named(query);
    let row = all.into_iter().find(|row| row.name == name && row.scope == scope);
    row.ok_or_else(|| ApiError::not_found("secret", name.chars().take(120).collect::<String>()))
}

/// The secret of that name, in the scope that the address names.
pub(super) async fn page(
    State(state): State<ServerState>,
    Path(name): Path<String>,
    Query(scope): Query<ScopeText>,
    member: Member,
) -> Result<Response, ApiError> {
    shown(&state, &member, &name, &scope, Outcome::default()).await
}

async fn shown(
    state: &ServerState,
    member: &Member,
    name: &str,
    scope: &ScopeText,
    came: Outcome,
) -> Result<Response, ApiError> {
    let caller = &member.session.caller;
    caller.somewhere(Role::Operator)?;
    let query = scope.query()?;
    let view = found(state, member, name, &query).await?;
    let Outcome { rotation, refused } = came;
    let was_rotated = rotation.is_some();
    let restarts = newest_restarts(state, member, name, &query).await?;
    let (users, problem) = match rotation {
        Some(rotation) => (rotation.users, rotation.problem),
        None => {
            let path = Path(name.to_owned());
            match secret_users::users(State(state.clone()), caller.clone(), path, Query(query)).await {
                Ok(list) => (list.0.items, None),
                Err(error) => (Vec::new(), Some(error.detail().to_owned())),
            }
        }
    };
    let Around { t, own, frame, parts } =
        Around::new(member, Part::Secrets, view.name.clone()).at(scope.page(name));
    let token = &member.session.form_token;
    let fields = Refused::typed(refused.as_ref(), ROTATE);
    let rotate = Form::new(token, ROTATE, scope.below(name, "/rotate"), own.rotate_secret)
        .folded()
        .field(Field::secret("value", own.secret_value).help(own.secret_value_help))
        .field(Field::check("restart", own.restart_users, &fields).help(own.restart_users_help))
        .field(Field::text("reason", own.reason, &fields));
    let remove = Form::new(token, REMOVE, scope.below(name, "/remove"), own.remove_secret)
        .confirm(own.remove_secret_confirm);
    let page = SecretPage {
        t,
        own,
        frame,
        parts,
        scope: view.scope.to_string(),
        reference: view.reference,
        version: view.version,
        set: Moment::new(t, view.set_at, Utc::now()),
        set_by: view.set_by,
        users: users.into_iter().map(|user| user_row(t, own, user)).collect(),
        problem,
        was_rotated,
        restarts: restarts.map(|view| shown_restarts(t, view, &scope.page(name))),
        rotate: rotate.refused(own, Refused::error(refused.as_ref(), ROTATE)),
        remove: remove.refused(own, Refused::error(refused.as_ref(), REMOVE)),
        name: view.name,
    };
    show_as(Refused::status(refused.as_ref()), &page)
}

fn place_of(application: Option<String>, environment: Option<String>) -> String {
    match (application, environment) {
        (Some(application), Some(environment)) => format!("{application}@{environment}"),
        (one, other) => one.or(other).unwrap_or_default(),
    }
}

fn user_row(t: &Texts, own: &InfrastructureTexts, user: SecretUser) -> User {
    let kind = match user.kind {
        SecretUserKind::Running => own.user_running,
        SecretUserKind::Pending => own.user_pending,
        SecretUserKind::Build => own.user_build,
        SecretUserKind::Configuration => own.user_configuration,
        SecretUserKind::Server => own.user_server,
    };
    User {
        kind,
        place: place_of(
            user.application.map(|application| application.to_string()),
            user.environment.map(|environment| environment.to_string()),
        ),
        components: user.components.join(", "),
        status: user.state.map(|state| Status::of(t, state)),
        version: user.version,
        problem: user.problem,
    }
}

/// The newest restarts, if there were any.
async fn newest_restarts(
    state: &ServerState,
    member: &Member,
    name: &str,
    query: &ScopeQuery,
) -> Result<Option<RestartsView>, ApiError> {
    let (caller, path) = (member.session.caller.clone(), Path(name.to_owned()));
    match secret_restarts::newest(State(state.clone()), caller, path, Query(query.clone())).await {
        Ok(found) => Ok(Some(found.0)),
        Err(error) if error.status() == StatusCode::NOT_FOUND => Ok(None),
        Err(error) => Err(error),
    }
}

fn shown_restarts(t: &'static Texts, view: RestartsView, page: &str) -> Restarts {
    Restarts {
        version: view.version,
        started: Moment::new(t, view.started_at, Utc::now()),
        by: view.by,
        again: view.ended_at.is_none().then(|| page.to_owned()),
        problem: view.problem,
        rows: view.restarts.into_iter().map(restart).collect(),
    }
}

fn restart(view: RestartView) -> Restart {
    let hint = view.hint.map(|hint| format!(". {hint}")).unwrap_or_default();
    Restart {
        place: place_of(Some(view.application), Some(view.environment)),
        waits: view.state == "waiting",
        generation: view.generation,
        problem: view.problem.map(|problem| format!("{problem}{hint}")),
    }
}

async fn rotated(
    state: &ServerState,
    member: &Member,
    name: &str,
    scope: &ScopeText,
    fields: &Fields,
) -> Result<RotationView, ApiError> {
    let value = fields.file("value");
    let value = value.ok_or_else(|| ApiError::bad_request("bad_body", "value: is empty"))?;
    let body = Body(RotateBody {
        value,
        restart: fields.text("restart").is_some(),
        reason: fields.text("reason").map(str::to_owned),
    });
    let caller = member.session.caller.clone();
    let query = Query(scope.query()?);
    Ok(secret_users::rotate(State(state.clone()), caller, Path(name.to_owned()), query, body).await?.0)
}

/// Gives the secret its next value as the API does, and shows what became of who uses it.
pub(super) async fn rotate(
    State(state): State<ServerState>,
    Path(name): Path<String>,
    Query(scope): Query<ScopeText>,
    posted: Posted,
) -> Result<Response, ApiError> {
    let (member, fields) = sent(posted);
    let came = match rotated(&state, &member, &name, &scope, &fields).await {
        Ok(rotation) => Outcome { rotation: Some(rotation), refused: None },
        Err(error) => Outcome { rotation: None, refused: Some(Refused::of(ROTATE, error, fields)?) },
    };
    shown(&state, &member, &name, &scope, came).await
}

/// Removes the secret as the API does.
pub(super) async fn remove(
    State(state): State<ServerState>,
    Path(name): Path<String>,
    Query(scope): Query<ScopeText>,
    posted: Posted,
) -> Result<Response, ApiError> {
    let (member, fields) = sent(posted);
    let caller = member.session.caller.clone();
    let done = match confirmed(&fields).and_then(|()| scope.query()) {
        Ok(query) => secrets::remove(State(state.clone()), caller, Path(name.clone()), Query(query)).await,
        Err(error) => Err(error),
    };
    match done {
        Ok(_) => Ok(led(Part::Secrets.address())),
        Err(error) => {
            let refused = Some(Refused::of(REMOVE, error, fields)?);
            shown(&state, &member, &name, &scope, Outcome { rotation: None, refused }).await
        }
    }
}
