//! An add-on: what it gives, who is bound to it, and what may be done with it.

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use chrono::{DateTime, Utc};
use slipway_types::name::{AddonName, EnvironmentName};
use slipway_types::{ApplicationName, DefinitionKind, Role};

use super::addons::{addon_page, standing};
use super::definitions::definition_page;
use super::facts::Facts;
use super::field::Field;
use super::form::{Form, Refused, confirmed};
use super::reading::Reading;
use super::{Around, Part, Parts, led, sent};
use crate::extract::{Body, Path, Query};
use crate::pages::forms::{Fields, Posted};
use crate::pages::frame::{Frame, show_as};
use crate::pages::parts::{Moment, Status};
use crate::pages::tabs::Link;
use crate::pages::texts::Texts;
use crate::pages::texts::infrastructure::InfrastructureTexts;
use crate::pages::visitor::Member;
use crate::problem::ApiError;
use crate::rest::addons::{self, AddonBindingView, AddonView, BindBody, ProtectionBody, ReleaseQuery};
use crate::rest::{addon_bindings, environments};
use crate::state::ServerState;

/// Name of the form that binds an application.
const BIND: &str = "bind";
/// Name of the form that ends a binding.
const UNBIND: &str = "unbind";
/// Name of the form that protects it, or lets it go.
const PROTECT: &str = "protect";
/// Name of the form that takes it away.
const RELEASE: &str = "release";

/// An add-on.
#[derive(Template)]
#[template(path = "infrastructure/addon.html")]
struct AddonPage {
    t: &'static Texts,
    own: &'static InfrastructureTexts,
    frame: Frame,
    parts: Parts,
    name: String,
    status: Status,
    reason: Option<String>,
    protected: bool,
    definition: Link,
    facts: Facts,
    properties: String,
    outputs: Facts,
    has_outputs: bool,
    bindings: Vec<Binding>,
    bind: Option<Form>,
    /// What was refused of ending a binding.
    refusal: Option<String>,
    edit: Option<String>,
    actions: Vec<Form>,
    created: Moment,
    created_by: String,
    changed: Moment,
    changed_by: String,
}

/// An application in an environment that is bound to it.
struct Binding {
    application: String,
    environment: String,
    account: String,
    prefix: Option<String>,
    created: Moment,
    created_by: String,
    unbind: Option<Form>,
}

/// Whose bindings a visitor may change.
enum Reach {
    /// Everybody's.
    All,
    /// Those of one application.
    One(String),
    /// Nobody's.
    None,
}

impl Reach {
    async fn of(state: &ServerState, member: &Member) -> Result<Self, ApiError> {
        let caller = &member.session.caller;
        if caller.may(Role::Operator, None) {
            return Ok(Self::All);
        }
        let limited = caller.limited_to().filter(|_| caller.somewhere(Role::Operator).is_ok());
        let Some(id) = limited else { return Ok(Self::None) };
        let application = state.records.read().await?.application_get(id).await?;
        Ok(application.map_or(Self::None, |application| Self::One(application.name.to_string())))
    }

    fn holds(&self, application: &str) -> bool {
        match self {
            Self::All => true,
            Self::One(own) => own == application,
            Self::None => false,
        }
    }

    /// The application that a form is filled with.
    fn first(&self) -> Option<&str> {
        match self {
            Self::All => Some(""),
            Self::One(own) => Some(own),
            Self::None => None,
        }
    }
}

/// The add-on of that name.
pub(super) async fn page(
    State(state): State<ServerState>,
    Path(name): Path<AddonName>,
    member: Member,
) -> Result<Response, ApiError> {
    shown(&state, &member, name, None).await
}

/// An add-on's page, perhaps with what was refused there.
async fn shown(
    state: &ServerState,
    member: &Member,
    name: AddonName,
    refused: Option<&Refused>,
) -> Result<Response, ApiError> {
    let caller = &member.session.caller;
    let found = addons::show(State(state.clone()), caller.clone(), Path(name)).await?.0;
    let environments = environments::all(state, caller).await?;
    let environments: Vec<_> = environments.into_iter().map(|environment| environment.name).collect();
    let reach = Reach::of(state, member).await?;
    let here = addon_page(&found.name);
    let Around { t, own, frame, parts } =
        Around::new(member, Part::Addons, found.name.clone()).at(here.clone());
    let now = Utc::now();
    let operates = caller.may(Role::Operator, None);
    // What is protected has no form to take it away, beside which that could be said.
    let unsaid = Refused::error(refused, RELEASE).filter(|_| found.protected);
    let refusal = Refused::error(refused, UNBIND).or(unsaid).map(|error| error.detail().to_owned());
    let properties =
        serde_json::to_string_pretty(&found.properties).map_err(|error| ApiError::internal(&error))?;
    let page = AddonPage {
        t,
        own,
        frame,
        parts,
        status: standing(own, found.state),
        definition: Link {
            address: definition_page(DefinitionKind::Addon, &found.definition, &found.version),
            text: format!("{} {}", found.definition, found.version),
        },
        facts: facts_of(t, own, &found),
        outputs: outputs_of(own, &found),
        has_outputs: !found.outputs.is_empty() || !found.secrets.is_empty(),
        bind: bind_form(member, own, &found, (&reach, environments.as_slice()), refused),
        edit: operates.then(|| format!("{here}/edit")),
        actions: if operates { actions(member, own, &found, refused) } else { Vec::new() },
        created: Moment::new(t, found.created_at, now),
        changed: Moment::new(t, found.changed_at, now),
        bindings: found
            .bindings
            .into_iter()
            .map(|bound| binding(member, (t, own), &here, bound, &reach, now))
            .collect(),
        refusal,
        properties,
        name: found.name,
        reason: found.reason,
        protected: found.protected,
        created_by: found.created_by,
        changed_by: found.changed_by,
    };
    show_as(Refused::status(refused), &page)
}

fn facts_of(t: &Texts, own: &InfrastructureTexts, found: &AddonView) -> Facts {
    Facts::default()
        .text(t.environment, found.environment.clone())
        .code(t.address, found.address.clone())
        .text(own.team, found.team.clone())
        .text(own.owner, found.owner.clone())
        .text(own.generation, found.generation.to_string())
}

fn outputs_of(own: &InfrastructureTexts, found: &AddonView) -> Facts {
    let outputs = found.outputs.iter().map(|(name, value)| format!("{name}: {value}"));
    Facts::default().codes(own.outputs, outputs.collect()).codes(own.secret_outputs, found.secrets.clone())
}

fn binding(
    member: &Member,
    (t, own): (&Texts, &'static InfrastructureTexts),
    here: &str,
    bound: AddonBindingView,
    reach: &Reach,
    now: DateTime<Utc>,
) -> Binding {
    let unbind = || {
        Form::new(&member.session.form_token, UNBIND, format!("{here}/unbind"), own.unbind)
            .about(format!("{} {}", bound.application, bound.environment))
            .confirm(own.unbind_confirm)
            .hidden("application", bound.application.clone())
            .hidden("environment", bound.environment.clone())
    };
    Binding {
        unbind: reach.holds(&bound.application).then(unbind),
        created: Moment::new(t, bound.created_at, now),
        application: bound.application,
        environment: bound.environment,
        account: bound.account,
        prefix: bound.prefix,
        created_by: bound.created_by,
    }
}

fn bind_form(
    member: &Member,
    own: &'static InfrastructureTexts,
    found: &AddonView,
    (reach, environments): (&Reach, &[String]),
    refused: Option<&Refused>,
) -> Option<Form> {
    let application = reach.first()?;
    let fields = match Refused::error(refused, BIND) {
        Some(_) => Refused::typed(refused, BIND),
        None => Fields::filled([("application", application.to_owned())]),
    };
    let choices = environments.iter().map(|name| (name.clone(), name.clone()));
    let form = Form::new(
        &member.session.form_token,
        BIND,
        format!("{}/bind", addon_page(&found.name)),
        own.bind_application,
    );
    let form = form
        .folded()
        .field(Field::text("application", own.application, &fields).required())
        .field(Field::choice("environment", own.environment, &fields, choices))
        .field(Field::text("prefix", own.prefix, &fields).help(own.prefix_help));
    Some(form.refused(own, Refused::error(refused, BIND)))
}

/// What operators may do with it.
fn actions(
    member: &Member,
    own: &'static InfrastructureTexts,
    found: &AddonView,
    refused: Option<&Refused>,
) -> Vec<Form> {
    let token = &member.session.form_token;
    let here = addon_page(&found.name);
    let (button, wanted) = if found.protected { (own.let_go, "no") } else { (own.protect, "yes") };
    let protect = Form::new(token, PROTECT, format!("{here}/protection"), button).hidden("protected", wanted);
    let mut actions = vec![protect.refused(own, Refused::error(refused, PROTECT))];
    if !found.protected && found.state != "releasing" {
        let release = Form::new(token, RELEASE, format!("{here}/release"), own.release_addon);
        let release = release.confirm(own.release_addon_confirm);
        actions.push(release.refused(own, Refused::error(refused, RELEASE)));
    }
    actions
}

/// Leads back to the add-on, or shows it with what was refused.
async fn answered<T: Send>(
    state: &ServerState,
    member: &Member,
    name: AddonName,
    (form, fields): (&'static str, Fields),
    done: Result<T, ApiError>,
) -> Result<Response, ApiError> {
    match done {
        Ok(_) => Ok(led(&addon_page(name.as_str()))),
        Err(error) => shown(state, member, name, Some(&Refused::of(form, error, fields)?)).await,
    }
}

/// Protects the add-on, or lets it go.
pub(super) async fn protect(
    State(state): State<ServerState>,
    Path(name): Path<AddonName>,
    posted: Posted,
) -> Result<Response, ApiError> {
    let (member, fields) = sent(posted);
    let body = Body(ProtectionBody { protected: fields.text("protected") == Some("yes") });
    let caller = member.session.caller.clone();
    let done = addons::protect(State(state.clone()), caller, Path(name.clone()), body).await;
    answered(&state, &member, name, (PROTECT, fields), done).await
}

/// Takes the add-on away.
pub(super) async fn release(
    State(state): State<ServerState>,
    Path(name): Path<AddonName>,
    posted: Posted,
) -> Result<Response, ApiError> {
    let (member, fields) = sent(posted);
    let caller = member.session.caller.clone();
    let done = match confirmed(&fields) {
        Ok(()) => {
            let whole = Query(ReleaseQuery::default());
            addons::release(State(state.clone()), caller, Path(name.clone()), whole).await
        }
        Err(error) => Err(error),
    };
    answered(&state, &member, name, (RELEASE, fields), done).await
}

/// An application in an environment.
fn place_of(reading: &mut Reading<'_>) -> Option<(EnvironmentName, ApplicationName)> {
    let application = reading.needed::<ApplicationName>("application");
    reading.needed::<EnvironmentName>("environment").zip(application)
}

async fn bound(
    state: &ServerState,
    member: &Member,
    name: &AddonName,
    fields: &Fields,
) -> Result<(), ApiError> {
    let mut reading = Reading::new(fields);
    let place = place_of(&mut reading);
    let prefix = reading.text("prefix");
    reading.finish()?;
    let Some((environment, application)) = place else { return Ok(()) };
    let path = Path((name.clone(), environment, application));
    let caller = member.session.caller.clone();
    addon_bindings::bind(State(state.clone()), caller, path, Body(BindBody { prefix })).await.map(|_| ())
}

/// Binds an application.
pub(super) async fn bind(
    State(state): State<ServerState>,
    Path(name): Path<AddonName>,
    posted: Posted,
) -> Result<Response, ApiError> {
    let (member, fields) = sent(posted);
    let done = bound(&state, &member, &name, &fields).await;
    answered(&state, &member, name, (BIND, fields), done).await
}

async fn unbound(
    state: &ServerState,
    member: &Member,
    name: &AddonName,
    fields: &Fields,
) -> Result<(), ApiError> {
    confirmed(fields)?;
    let mut reading = Reading::new(fields);
    let place = place_of(&mut reading);
    reading.finish()?;
    let Some((environment, application)) = place else { return Ok(()) };
    let path = Path((name.clone(), environment, application));
    addon_bindings::unbind(State(state.clone()), member.session.caller.clone(), path).await.map(|_| ())
}

/// Ends a binding.
pub(super) async fn unbind(
    State(state): State<ServerState>,
    Path(name): Path<AddonName>,
    posted: Posted,
) -> Result<Response, ApiError> {
    let (member, fields) = sent(posted);
    let done = unbound(&state, &member, &name, &fields).await;
    answered(&state, &member, name, (UNBIND, fields), done).await
}
