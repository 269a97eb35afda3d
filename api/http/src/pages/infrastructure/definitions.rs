//! Definitions: those there are, what cannot be used, and installing one.

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;
use slipway_records::defining::DefinitionSource;
use slipway_types::{DefinitionKind, ImageReference, Role};

use super::field::Field;
use super::form::{Form, Refused};
use super::reading::Reading;
use super::{Around, Part, Parts, led, sent};
use crate::extract::{Body, Query};
use crate::pages::address;
use crate::pages::forms::{Fields, Posted};
use crate::pages::frame::{Choice, Frame, show_as};
use crate::pages::parts::{Status, Tone};
use crate::pages::texts::Texts;
use crate::pages::texts::infrastructure::InfrastructureTexts;
use crate::pages::visitor::Member;
use crate::problem::ApiError;
use crate::rest::definitions::{self, DefinitionFaultView, DefinitionView, Installation};
use crate::state::ServerState;

/// Name of the form.
const INSTALL: &str = "install";

/// Which definitions; empty fields ask for nothing.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct DefinitionsQuery {
    /// A kind's word.
    kind: String,
    /// A part of names and descriptions.
    q: String,
}

/// The definitions.
#[derive(Template)]
#[template(path = "infrastructure/definitions.html")]
struct DefinitionsPage {
    t: &'static Texts,
    own: &'static InfrastructureTexts,
    frame: Frame,
    parts: Parts,
    kinds: Vec<Choice>,
    q: String,
    rows: Vec<Row>,
    faults: Vec<Fault>,
    install: Option<Form>,
}

/// A version of a definition.
struct Row {
    kind: &'static str,
    name: String,
    page: String,
    version: String,
    description: String,
    status: Status,
    source: &'static str,
    /// How many deployments were made by it.
    used: usize,
    /// How many applications hold its major version.
    held: usize,
}

/// What cannot be used.
struct Fault {
    place: String,
    violations: Vec<String>,
}

/// What a kind of definition is called.
pub(super) fn kind_name(own: &InfrastructureTexts, kind: DefinitionKind) -> &'static str {
    match kind {
        DefinitionKind::Component => own.kind_component,
        DefinitionKind::Trait => own.kind_trait,
        DefinitionKind::Policy => own.kind_policy,
        DefinitionKind::Step => own.kind_step,
        DefinitionKind::Addon => own.kind_addon,
    }
}

/// Whether new plans may use it, and whether this server can.
pub(super) fn standing(own: &InfrastructureTexts, usable: bool, enabled: bool) -> Status {
    match (usable, enabled) {
        (false, _) => Status::told(Tone::Bad, own.unusable),
        (true, true) => Status::told(Tone::Good, own.enabled),
        (true, false) => Status::told(Tone::Off, own.disabled),
    }
}

/// A definition's page; of that version, if one is given.
pub(super) fn definition_page(kind: DefinitionKind, name: &str, version: &str) -> String {
    address::with_query(&format!("/infrastructure/definitions/{kind}/{name}"), [("version", version)])
}

/// The definitions that the form asks for.
pub(super) async fn page(
    State(state): State<ServerState>,
    member: Member,
    Query(query): Query<DefinitionsQuery>,
) -> Result<Response, ApiError> {
    shown(&state, &member, query, None).await
}

async fn shown(
    state: &ServerState,
    member: &Member,
    query: DefinitionsQuery,
    refused: Option<&Refused>,
) -> Result<Response, ApiError> {
    let caller = &member.session.caller;
    let all = definitions::all(state, caller).await?;
    let faults = match caller.may(Role::Reader, None) {
        true => definitions::all_faults(state, caller).await?,
        false => Vec::new(),
    };
    let Around { t, own, frame, parts } =
        Around::new(member, Part::Definitions, InfrastructureTexts::of(member.visitor.language).definitions);
    let kind = DefinitionKind::ALL.into_iter().find(|kind| kind.word() == query.kind);
    let q = query.q.trim().to_lowercase();
    let wanted = |view: &DefinitionView| {
        kind.is_none_or(|kind| kind == view.kind)
            && (view.name.contains(&q) || view.description.to_lowercase().contains(&q))
    };
    let kinds = DefinitionKind::ALL.map(|known| Choice {
        value: known.word().to_owned(),
        text: kind_name(own, known).to_owned(),
        chosen: kind == Some(known),
    });
    let page = DefinitionsPage {
        t,
        own,
        frame,
        parts,
        kinds: kinds.into(),
        q: query.q,
        rows: all.into_iter().filter(wanted).map(|view| row(own, view)).collect(),
        faults: faults.into_iter().map(fault).collect(),
        install: caller.may(Role::Operator, None).then(|| install_form(member, own, refused)),
    };
    show_as(Refused::status(refused), &page)
}

fn row(own: &InfrastructureTexts, view: DefinitionView) -> Row {
    Row {
        kind: kind_name(own, view.kind),
        page: definition_page(view.kind, &view.name, &view.version),
        status: standing(own, view.usable, view.enabled),
        source: source_name(own, &view.source),
        used: view.used_by.len(),
        held: view.held_by.len(),
        name: view.name,
        version: view.version,
        description: view.description,
    }
}

fn source_name(own: &InfrastructureTexts, source: &DefinitionSource) -> &'static str {
    match source {
        DefinitionSource::Builtin => own.from_slipway,
        DefinitionSource::Directory { .. } => own.from_directory,
        DefinitionSource::Package { .. } => own.from_package,
    }
}

fn fault(view: DefinitionFaultView) -> Fault {
    Fault { place: view.place, violations: view.violations.iter().map(ToString::to_string).collect() }
}

fn install_form(member: &Member, own: &'static InfrastructureTexts, refused: Option<&Refused>) -> Form {
    let fields = Refused::typed(refused, INSTALL);
    let address = Part::Definitions.address();
    let mut form = Form::new(&member.session.form_token, INSTALL, address, own.install_definition)
        .folded()
        .field(Field::text("reference", own.package_reference, &fields).required().help(own.reference_help));
    if member.session.caller.may(Role::Admin, None) {
        form = form.field(Field::check("beside_builtin", own.beside_builtin, &fields));
    }
    form.refused(own, Refused::error(refused, INSTALL))
}

fn wanted(fields: &Fields) -> Result<Installation, ApiError> {
    let mut reading = Reading::new(fields);
    let reference = reading.needed::<ImageReference>("reference");
    let beside_builtin = reading.ticked("beside_builtin");
    reading.finish()?;
    let reference = reference.ok_or_else(|| ApiError::bad_request("bad_body", "reference: is empty"))?;
    Ok(Installation { reference, beside_builtin })
}

/// Installs a definition as the API does, and leads to it.
pub(super) async fn install(State(state): State<ServerState>, posted: Posted) -> Result<Response, ApiError> {
    let (member, fields) = sent(posted);
    let caller = member.session.caller.clone();
    caller.on_server(Role::Operator)?;
    let done = match wanted(&fields) {
        Ok(wanted) => definitions::install(State(state.clone()), caller, Body(wanted)).await,
        Err(error) => Err(error),
    };
    match done {
        Ok((_, made)) => {
            let text = |key: &str| made.0[key].as_str().unwrap_or_default();
            let kind = text("kind").parse::<DefinitionKind>();
            let page = kind.map(|kind| definition_page(kind, text("name"), text("version")));
            Ok(led(page.as_deref().unwrap_or(Part::Definitions.address())))
        }
        Err(error) => {
            let refused = Refused::of(INSTALL, error, fields)?;
            shown(&state, &member, DefinitionsQuery::default(), Some(&refused)).await
        }
    }
}
