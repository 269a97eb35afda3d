//! Making an environment, and changing one: by fields, or as one document.

use axum::extract::State;
use axum::response::Response;
use slipway_types::environment::{EnvironmentSettings, ReceiverSettings};
use slipway_types::name::EnvironmentName;
use slipway_types::{Address, Role};

use super::environment;
use super::environment_settings::{fields_of, held, read};
use super::field::Field;
use super::form::{Form, FormOf, Refused, above, form_page};
use super::places::environment_page;
use super::reading::Reading;
use super::{Around, Part, led, sent};
use crate::extract::{Body, Path};
use crate::pages::forms::{Fields, Posted};
use crate::pages::tabs::Link;
use crate::pages::visitor::Member;
use crate::problem::ApiError;
use crate::rest::clusters;
use crate::rest::environments::{self, EnvironmentBody, EnvironmentView};
use crate::state::ServerState;

/// Name of the form that has fields.
const SETTINGS: &str = "settings";
/// Name of the form that has one document.
const DOCUMENT: &str = "document";

/// The names of other environments.
async fn others(state: &ServerState, member: &Member, but: &str) -> Result<Vec<String>, ApiError> {
    let all = environments::all(state, &member.session.caller).await?;
    Ok(all.into_iter().map(|environment| environment.name).filter(|name| name != but).collect())
}

async fn new_form(
    state: &ServerState,
    member: &Member,
    fields: &Fields,
    refused: Option<&Refused>,
) -> Result<Response, ApiError> {
    let clusters = clusters::all(state, &member.session.caller).await?;
    let clusters = clusters.into_iter().map(|cluster| cluster.name).collect::<Vec<_>>().join(", ");
    let others = others(state, member, "").await?;
    let around = Around::new(member, Part::Places, "");
    let (t, own) = (around.t, around.own);
    let form = Form::new(
        &member.session.form_token,
        SETTINGS,
        "/infrastructure/new-environment",
        own.new_environment,
    );
    let form = form.main().field(Field::text("name", t.name, fields).required().help(own.name_help)).field(
        Field::text("address", t.address, fields).required().help(format!("{} {clusters}", own.address_help)),
    );
    let form = fields_of(form, (t, own), fields, &others, &EnvironmentSettings::default());
    let of = FormOf {
        above: above(own, Part::Places),
        title: own.new_environment.to_owned(),
        intro: own.new_environment_intro,
        form: form.refused(own, Refused::error(refused, SETTINGS)),
        other: None,
    };
    form_page(around.titled(own.new_environment), Refused::status(refused), of)
}

/// The form of a new environment.
pub(super) async fn blank(State(state): State<ServerState>, member: Member) -> Result<Response, ApiError> {
    member.session.caller.on_server(Role::Admin)?;
    let usual = EnvironmentSettings {
        receiver: ReceiverSettings::Core {},
        create_namespace: true,
        ..EnvironmentSettings::default()
    };
    new_form(&state, &member, &Fields::filled(held(&usual)), None).await
}

/// Makes an environment as the API does.
pub(super) async fn create(State(state): State<ServerState>, posted: Posted) -> Result<Response, ApiError> {
    let (member, fields) = sent(posted);
    member.session.caller.on_server(Role::Admin)?;
    match made(&state, &member, &fields).await {
        Ok(view) => gone_on(&state, &member, view).await,
        Err(error) => {
            let refused = Refused::of(SETTINGS, error, fields.clone())?;
            new_form(&state, &member, &fields, Some(&refused)).await
        }
    }
}

async fn made(state: &ServerState, member: &Member, fields: &Fields) -> Result<EnvironmentView, ApiError> {
    let mut reading = Reading::new(fields);
    let name = reading.needed::<EnvironmentName>("name");
    let address = reading.needed::<Address>("address");
    let settings = read(&mut reading, EnvironmentSettings::default());
    reading.finish()?;
    let name = name.ok_or_else(|| ApiError::bad_request("bad_body", "name: is empty"))?;
    if state.records.read().await?.environment_by_name(&name).await?.is_some() {
        let detail = format!("name: there is an environment `{name}` already");
        return Err(ApiError::conflict("exists_already", detail));
    }
    // Whoever makes one of the same name meanwhile goes first.
    let body = EnvironmentBody { address, settings, if_revision: Some(0) };
    let caller = member.session.caller.clone();
    let (_, made) = environments::put(State(state.clone()), caller, Path(name), Body(body)).await?;
    Ok(made.0)
}

/// Shows the environment; with what will not work there, if that was said.
async fn gone_on(state: &ServerState, member: &Member, view: EnvironmentView) -> Result<Response, ApiError> {
    if view.notes.is_empty() {
        return Ok(led(&environment_page(&view.name)));
    }
    environment::shown(state, member, view, None).await
}

async fn edit_form(
    state: &ServerState,
    member: &Member,
    found: &EnvironmentView,
    refused: Option<&Refused>,
) -> Result<Response, ApiError> {
    let others = others(state, member, &found.name).await?;
    let here = environment_page(&found.name);
    let around = Around::new(member, Part::Places, found.name.clone()).at(format!("{here}/edit"));
    let (t, own) = (around.t, around.own);
    let typed = |form: &str, held: Fields| match Refused::error(refused, form) {
        Some(_) => Refused::typed(refused, form),
        None => held,
    };
    let fields = typed(SETTINGS, Fields::filled(held(&found.settings)));
    // A form that was refused keeps the revision that it was made from.
    let revision =
        |fields: &Fields| fields.text("revision").map_or_else(|| found.revision.to_string(), str::to_owned);
    let token = &member.session.form_token;
    let form = Form::new(token, SETTINGS, format!("{here}/edit"), t.save)
        .main()
        .hidden("revision", revision(&fields));
    let form = fields_of(form, (t, own), &fields, &others, &found.settings);
    let document =
        serde_json::to_string_pretty(&found.settings).map_err(|error| ApiError::internal(&error))?;
    let written = typed(DOCUMENT, Fields::filled([("document", document)]));
    let other = Form::new(token, DOCUMENT, format!("{here}/settings"), t.save)
        .about(own.settings_document)
        .hidden("revision", revision(&written))
        .field(
            Field::lines("document", own.settings_document, &written)
                .place("settings")
                .help(own.settings_document_help),
        );
    let of = FormOf {
        above: Link { text: found.name.clone(), address: here },
        title: format!("{} {}", own.change, found.name),
        intro: "",
        form: form.refused(own, Refused::error(refused, SETTINGS)),
        other: Some((own.all_settings, other.refused(own, Refused::error(refused, DOCUMENT)))),
    };
    form_page(around, Refused::status(refused), of)
}

/// The form of an environment as it is.
pub(super) async fn filled(
    State(state): State<ServerState>,
    Path(name): Path<EnvironmentName>,
    member: Member,
) -> Result<Response, ApiError> {
    let caller = member.session.caller.clone();
    caller.on_server(Role::Admin)?;
    let found = environments::show(State(state.clone()), caller, Path(name)).await?.0;
    edit_form(&state, &member, &found, None).await
}

/// The settings that a form asks for, over those there are.
type Wanted = fn(&Fields, EnvironmentSettings) -> Result<EnvironmentSettings, ApiError>;

fn by_fields(fields: &Fields, before: EnvironmentSettings) -> Result<EnvironmentSettings, ApiError> {
    let mut reading = Reading::new(fields);
    let settings = read(&mut reading, before);
    reading.finish().map(|()| settings)
}

fn by_document(fields: &Fields, _: EnvironmentSettings) -> Result<EnvironmentSettings, ApiError> {
    let mut reading = Reading::new(fields);
    if fields.text("document").is_none() {
        reading.refuse("document", "is empty: write {} to set nothing");
    }
    let settings = reading.json::<EnvironmentSettings>("document");
    reading.finish().map(|()| settings.unwrap_or_default())
}

/// Changes the settings as the API does.
async fn changed(
    state: ServerState,
    name: EnvironmentName,
    posted: Posted,
    form: &'static str,
    wanted: Wanted,
) -> Result<Response, ApiError> {
    let (member, fields) = sent(posted);
    let caller = member.session.caller.clone();
    caller.on_server(Role::Admin)?;
    let found = environments::show(State(state.clone()), caller.clone(), Path(name.clone())).await?.0;
    let if_revision = fields.text("revision").and_then(|text| text.parse().ok()).or(Some(0));
    let done = match wanted(&fields, found.settings.clone()) {
        Ok(settings) => {
            let body = EnvironmentBody { address: None, settings, if_revision };
            environments::put(State(state.clone()), caller, Path(name), Body(body)).await
        }
        Err(error) => Err(error),
    };
    match done {
        Ok((_, view)) => gone_on(&state, &member, view.0).await,
        Err(error) => {
            let refused = Refused::of(form, error, fields)?;
            edit_form(&state, &member, &found, Some(&refused)).await
        }
    }
}

/// Changes what the fields say.
pub(super) async fn change(
    State(state): State<ServerState>,
    Path(name): Path<EnvironmentName>,
    posted: Posted,
) -> Result<Response, ApiError> {
    changed(state, name, posted, SETTINGS, by_fields).await
}

/// Sets what the document says, and nothing else.
pub(super) async fn write(
    State(state): State<ServerState>,
    Path(name): Path<EnvironmentName>,
    posted: Posted,
) -> Result<Response, ApiError> {
    changed(state, name, posted, DOCUMENT, by_document).await
}
