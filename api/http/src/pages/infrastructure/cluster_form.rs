//! Registering a cluster, and changing how it is reached.

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use slipway_types::environment::Sensing;
use slipway_types::name::ClusterName;
use slipway_types::{Role, SecretReference};

use super::cluster::{self, Outcome};
use super::field::Field;
use super::form::{Form, FormOf, Refused, above, form_page};
use super::places::cluster_page;
use super::reading::{Reading, lines_of_pairs};
use super::{Around, Part, led, sent};
use crate::extract::{Body, Path};
use crate::pages::forms::{Fields, Posted};
use crate::pages::tabs::Link;
use crate::pages::visitor::Member;
use crate::problem::ApiError;
use crate::rest::clusters::{self, ClusterBody, ClusterView};
use crate::state::ServerState;

/// Name of the form.
const REACH: &str = "reach";

/// What the fields hold of a cluster that is registered.
fn held(found: &ClusterView) -> Fields {
    Fields::filled([
        ("kubeconfig", found.kubeconfig.clone().unwrap_or_default()),
        ("context", found.context.clone().unwrap_or_default()),
        ("sensing", found.sensing.to_owned()),
        ("labels", lines_of_pairs(&found.labels)),
    ])
}

/// The form of a new cluster, or of the one of that name.
fn form(
    member: &Member,
    known: Option<&ClusterName>,
    fields: &Fields,
    refused: Option<&Refused>,
) -> Result<Response, ApiError> {
    let around = Around::new(member, Part::Places, "");
    let (t, own) = (around.t, around.own);
    let (action, title, way_back) = match known {
        None => {
            ("/infrastructure/new-cluster".to_owned(), own.new_cluster.to_owned(), above(own, Part::Places))
        }
        Some(name) => {
            let page = cluster_page(name.as_str());
            let title = format!("{} {name}", own.change);
            (format!("{page}/edit"), title, Link { text: name.to_string(), address: page })
        }
    };
    let button = if known.is_some() { t.save } else { own.new_cluster };
    let mut form = Form::new(&member.session.form_token, REACH, action.clone(), button).main();
    if known.is_none() {
        form = form.field(Field::text("name", t.name, fields).required().help(own.name_help));
    }
    let sensings = [("watch", own.sensing_watch), ("pull", own.sensing_pull)];
    let sensings = sensings.map(|(word, text)| (word.to_owned(), text.to_owned()));
    form = form
        .field(Field::text("kubeconfig", own.reached_by, fields).help(own.kubeconfig_help))
        .field(Field::text("context", own.context, fields).help(own.context_help))
        .field(Field::choice("sensing", own.sensing, fields, sensings).help(own.sensing_help))
        .field(Field::lines("labels", t.labels, fields).help(own.labels_help));
    if known.is_some() {
        form =
            form.field(Field::check("replace", own.replace_cluster, fields).help(own.replace_cluster_help));
    }
    let of = FormOf {
        above: way_back,
        title: title.clone(),
        intro: if known.is_some() { "" } else { own.new_cluster_intro },
        form: form.refused(own, Refused::error(refused, REACH)),
        other: None,
    };
    form_page(around.titled(title).at(action), Refused::status(refused), of)
}

/// The form of a new cluster.
pub(super) async fn blank(member: Member) -> Result<Response, ApiError> {
    member.session.caller.on_server(Role::Admin)?;
    form(&member, None, &Fields::default(), None)
}

/// The form of a cluster as it is.
pub(super) async fn filled(
    State(state): State<ServerState>,
    Path(name): Path<ClusterName>,
    member: Member,
) -> Result<Response, ApiError> {
    let caller = member.session.caller.clone();
    caller.on_server(Role::Admin)?;
    let found = clusters::show(State(state), caller, Path(name.clone())).await?.0;
    form(&member, Some(&name), &held(&found), None)
}

fn wanted(mut reading: Reading<'_>) -> Result<ClusterBody, ApiError> {
    let sensing = match reading.text("sensing").as_deref() {
        Some("pull") => Sensing::Pull,
        _ => Sensing::Watch,
    };
    let body = ClusterBody {
        kubeconfig: reading.one::<SecretReference>("kubeconfig"),
        context: reading.text("context"),
        labels: reading.pairs("labels"),
        sensing: Some(sensing),
        replace: reading.ticked("replace"),
    };
    reading.finish().map(|()| body)
}

async fn registered(
    state: &ServerState,
    member: &Member,
    name: &ClusterName,
    body: ClusterBody,
) -> Result<ClusterView, ApiError> {
    let caller = member.session.caller.clone();
    let (_, view) = clusters::put(State(state.clone()), caller, Path(name.clone()), Body(body)).await?;
    Ok(view.0)
}

/// Shows the cluster; with what will not work there, if that was said.
async fn gone_on(state: &ServerState, member: &Member, view: ClusterView) -> Result<Response, ApiError> {
    if view.notes.is_empty() {
        return Ok(led(&cluster_page(&view.name)));
    }
    cluster::shown(state, member, view, Outcome::default()).await
}

async fn made(state: &ServerState, member: &Member, fields: &Fields) -> Result<ClusterView, ApiError> {
    let mut reading = Reading::new(fields);
    let name = reading.needed::<ClusterName>("name");
    let body = wanted(reading)?;
    let name = name.ok_or_else(|| ApiError::bad_request("bad_body", "name: is empty"))?;
    if state.records.read().await?.cluster_by_name(&name).await?.is_some() {
        let detail = format!("name: there is a cluster `{name}` already");
        return Err(ApiError::conflict("exists_already", detail));
    }
    registered(state, member, &name, body).await
}

/// Registers a cluster as the API does.
pub(super) async fn create(State(state): State<ServerState>, posted: Posted) -> Result<Response, ApiError> {
    let (member, fields) = sent(posted);
    member.session.caller.on_server(Role::Admin)?;
    match made(&state, &member, &fields).await {
        Ok(view) => gone_on(&state, &member, view).await,
        Err(error) => {
            let refused = Refused::of(REACH, error, fields.clone())?;
            form(&member, None, &fields, Some(&refused))
        }
    }
}

/// Changes how a cluster is reached as the API does.
pub(super) async fn change(
    State(state): State<ServerState>,
    Path(name): Path<ClusterName>,
    posted: Posted,
) -> Result<Response, ApiError> {
    let (member, fields) = sent(posted);
    let caller = member.session.caller.clone();
    caller.on_server(Role::Admin)?;
    let Json(_) = clusters::show(State(state.clone()), caller, Path(name.clone())).await?;
    let done = match wanted(Reading::new(&fields)) {
        Ok(body) => registered(&state, &member, &name, body).await,
        Err(error) => Err(error),
    };
    match done {
        Ok(view) => gone_on(&state, &member, view).await,
        Err(error) => {
            let refused = Refused::of(REACH, error, fields.clone())?;
            form(&member, Some(&name), &fields, Some(&refused))
        }
    }
}
