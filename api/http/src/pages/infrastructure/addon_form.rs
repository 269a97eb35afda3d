//! Making an add-on, and changing its properties.

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use serde_json::Value;
use slipway_types::name::{AddonName, DefinitionName, EnvironmentName};
use slipway_types::{DefinitionKind, Role, TeamName, Version};

use super::addons::addon_page;
use super::field::Field;
use super::form::{Form, FormOf, Refused, above, form_page};
use super::reading::Reading;
use super::{Around, Part, led, sent};
use crate::extract::{Body, Path};
use crate::pages::forms::{Fields, Posted};
use crate::pages::tabs::Link;
use crate::pages::texts::infrastructure::InfrastructureTexts;
use crate::pages::visitor::Member;
use crate::problem::ApiError;
use crate::rest::addons::{self, AddonBody, AddonView};
use crate::rest::environments;
use crate::state::ServerState;

/// Name of the form.
const APPLY: &str = "apply";

/// What a new one may be of, and where it may lie.
async fn offers(state: &ServerState, member: &Member) -> Result<(Vec<String>, Vec<String>), ApiError> {
    let known = state.defining.known().await.map_err(ApiError::of_fault)?;
    let kinds = known.usable.iter().filter(|known| known.kind == DefinitionKind::Addon);
    let mut kinds: Vec<String> = kinds.map(|known| known.name.to_string()).collect();
    kinds.dedup();
    let places = environments::all(state, &member.session.caller).await?;
    Ok((kinds, places.into_iter().map(|place| place.name).collect()))
}

fn choices(names: &[String]) -> Vec<(String, String)> {
    names.iter().map(|name| (name.clone(), name.clone())).collect()
}

async fn new_form(
    state: &ServerState,
    member: &Member,
    fields: &Fields,
    refused: Option<&Refused>,
) -> Result<Response, ApiError> {
    let (kinds, places) = offers(state, member).await?;
    let around = Around::new(member, Part::Addons, "");
    let (t, own) = (around.t, around.own);
    let form = Form::new(&member.session.form_token, APPLY, "/infrastructure/new-addon", own.new_addon)
        .main()
        .field(Field::text("name", t.name, fields).required().help(own.name_help))
        .field(Field::choice("definition", own.definition, fields, choices(&kinds)))
        .field(Field::text("version", t.version, fields).help(own.addon_version_help))
        .field(Field::choice("environment", own.environment, fields, choices(&places)));
    let of = FormOf {
        above: above(own, Part::Addons),
        title: own.new_addon.to_owned(),
        intro: own.new_addon_intro,
        form: further(form, around.own, fields).refused(own, Refused::error(refused, APPLY)),
        other: None,
    };
    form_page(around.titled(own.new_addon), Refused::status(refused), of)
}

/// The fields of what may change.
fn further(form: Form, own: &'static InfrastructureTexts, fields: &Fields) -> Form {
    form.field(Field::text("team", own.team, fields).help(own.team_help))
        .field(Field::text("owner", own.owner, fields).help(own.owner_help))
        .field(Field::lines("properties", own.properties, fields).help(own.properties_help))
}

/// The form of a new add-on.
pub(super) async fn blank(State(state): State<ServerState>, member: Member) -> Result<Response, ApiError> {
    member.session.caller.on_server(Role::Operator)?;
    new_form(&state, &member, &Fields::filled([("properties", "{}".to_owned())]), None).await
}

fn held(found: &AddonView) -> Result<Fields, ApiError> {
    let properties =
        serde_json::to_string_pretty(&found.properties).map_err(|error| ApiError::internal(&error))?;
    Ok(Fields::filled([
        ("version", found.version.clone()),
        ("team", found.team.clone()),
        ("owner", found.owner.clone()),
        ("properties", properties),
    ]))
}

fn edit_form(
    member: &Member,
    name: &AddonName,
    fields: &Fields,
    refused: Option<&Refused>,
) -> Result<Response, ApiError> {
    let around = Around::new(member, Part::Addons, name.to_string());
    let (t, own) = (around.t, around.own);
    let page = addon_page(name.as_str());
    let here = format!("{page}/edit");
    let form = Form::new(&member.session.form_token, APPLY, here.clone(), t.save)
        .main()
        .field(Field::text("version", t.version, fields).help(own.addon_version_help));
    let of = FormOf {
        above: Link { text: name.to_string(), address: page },
        title: format!("{} {name}", own.change),
        intro: "",
        form: further(form, own, fields).refused(own, Refused::error(refused, APPLY)),
        other: None,
    };
    form_page(around.at(here), Refused::status(refused), of)
}

/// The form of an add-on as it is.
pub(super) async fn filled(
    State(state): State<ServerState>,
    Path(name): Path<AddonName>,
    member: Member,
) -> Result<Response, ApiError> {
    let caller = member.session.caller.clone();
    caller.on_server(Role::Operator)?;
    let found = addons::show(State(state), caller, Path(name.clone())).await?.0;
    edit_form(&member, &name, &held(&found)?, None)
}

fn body_of(reading: &mut Reading<'_>) -> AddonBody {
    AddonBody {
        definition: reading.one::<DefinitionName>("definition"),
        version: reading.one::<Version>("version"),
        environment: reading.one::<EnvironmentName>("environment"),
        team: reading.one::<TeamName>("team"),
        owner: reading.text("owner"),
        properties: reading.json::<Value>("properties"),
    }
}

async fn applied(
    state: &ServerState,
    member: &Member,
    name: AddonName,
    body: AddonBody,
) -> Result<AddonView, ApiError> {
    let caller = member.session.caller.clone();
    let (_, view) = addons::put(State(state.clone()), caller, Path(name), Body(body)).await?;
    Ok(view.0)
}

async fn made(state: &ServerState, member: &Member, fields: &Fields) -> Result<AddonView, ApiError> {
    let mut reading = Reading::new(fields);
    let name = reading.needed::<AddonName>("name");
    let body = body_of(&mut reading);
    reading.finish()?;
    let name = name.ok_or_else(|| ApiError::bad_request("bad_body", "name: is empty"))?;
    if state.records.read().await?.addon_by_name(&name).await?.is_some() {
        let detail = format!("name: there is an add-on `{name}` already");
        return Err(ApiError::conflict("exists_already", detail));
    }
    applied(state, member, name, body).await
}

/// Makes an add-on as the API does.
pub(super) async fn create(State(state): State<ServerState>, posted: Posted) -> Result<Response, ApiError> {
    let (member, fields) = sent(posted);
    member.session.caller.on_server(Role::Operator)?;
    match made(&state, &member, &fields).await {
        Ok(view) => Ok(led(&addon_page(&view.name))),
        Err(error) => {
            let refused = Refused::of(APPLY, error, fields.clone())?;
            new_form(&state, &member, &fields, Some(&refused)).await
        }
    }
}

async fn changed(
    state: &ServerState,
    member: &Member,
    name: &AddonName,
    fields: &Fields,
) -> Result<AddonView, ApiError> {
    let mut reading = Reading::new(fields);
    let body = body_of(&mut reading);
    reading.finish()?;
    applied(state, member, name.clone(), body).await
}

/// Changes an add-on as the API does.
pub(super) async fn change(
    State(state): State<ServerState>,
    Path(name): Path<AddonName>,
    posted: Posted,
) -> Result<Response, ApiError> {
    let (member, fields) = sent(posted);
    let caller = member.session.caller.clone();
    caller.on_server(Role::Operator)?;
    let Json(_) = addons::show(State(state.clone()), caller, Path(name.clone())).await?;
    match changed(&state, &member, &name, &fields).await {
        Ok(view) => Ok(led(&addon_page(&view.name))),
        Err(error) => {
            let refused = Refused::of(APPLY, error, fields.clone())?;
            edit_form(&member, &name, &fields, Some(&refused))
        }
    }
}
