//! An environment: what it demands, what runs there, and taking it away.

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use chrono::Utc;
use slipway_types::Role;
use slipway_types::name::EnvironmentName;

use super::environment_facts::facts_of;
use super::facts::Facts;
use super::form::{Form, Refused, confirmed};
use super::places::{cluster_of, cluster_page, environment_page};
use super::{Around, Part, Parts, led, sent};
use crate::extract::Path;
use crate::pages::address;
use crate::pages::forms::Posted;
use crate::pages::frame::{Frame, show_as};
use crate::pages::parts::{Moment, Status};
use crate::pages::tabs::Link;
use crate::pages::texts::Texts;
use crate::pages::texts::infrastructure::InfrastructureTexts;
use crate::pages::visitor::Member;
use crate::problem::ApiError;
use crate::rest::environments::{self, EnvironmentView};
use crate::rest::places::{self, PlaceView, WhereQuery};
use crate::state::ServerState;

/// Name of the form that takes it away.
const REMOVE: &str = "remove";
/// Applications on the page; the list of deployments has the rest.
const RUNNING_MAX: usize = 50;

/// An environment.
#[derive(Template)]
#[template(path = "infrastructure/environment.html")]
struct EnvironmentPage {
    t: &'static Texts,
    own: &'static InfrastructureTexts,
    frame: Frame,
    parts: Parts,
    name: String,
    /// What will not work there, of what was just set.
    notes: Vec<String>,
    facts: Facts,
    created: Moment,
    created_by: String,
    changed: Moment,
    changed_by: String,
    revision: i64,
    /// Where it is changed, for those who may.
    edit: Option<String>,
    remove: Option<Form>,
    /// The cluster it lies in, for those who may see that.
    cluster: Option<Link>,
    running: Vec<Running>,
    /// Whether more run there than are shown.
    has_more: bool,
    deployments: String,
}

/// An application there.
struct Running {
    application: Link,
    status: Option<Status>,
    version: String,
    pending: Option<String>,
    pin: Option<String>,
}

/// The environment of that name.
pub(super) async fn page(
    State(state): State<ServerState>,
    Path(name): Path<EnvironmentName>,
    member: Member,
) -> Result<Response, ApiError> {
    let caller = member.session.caller.clone();
    let found = environments::show(State(state.clone()), caller, Path(name)).await?.0;
    shown(&state, &member, found, None).await
}

/// An environment's page, perhaps with what was refused there.
pub(super) async fn shown(
    state: &ServerState,
    member: &Member,
    found: EnvironmentView,
    refused: Option<&Refused>,
) -> Result<Response, ApiError> {
    let caller = &member.session.caller;
    let wanted = WhereQuery::of("", &found.name)?;
    let (places, next) = places::one_page(state, caller, &wanted, ("", RUNNING_MAX)).await?;
    let Around { t, own, frame, parts } =
        Around::new(member, Part::Places, found.name.clone()).at(environment_page(&found.name));
    let may_change = caller.may(Role::Admin, None);
    let here = environment_page(&found.name);
    let remove = || {
        Form::new(&member.session.form_token, REMOVE, format!("{here}/remove"), own.remove_environment)
            .confirm(own.remove_environment_confirm)
            .refused(own, Refused::error(refused, REMOVE))
    };
    let cluster = cluster_of(&found.address);
    let cluster = Link { text: cluster.to_owned(), address: cluster_page(cluster) };
    let now = Utc::now();
    let page = EnvironmentPage {
        t,
        own,
        frame,
        parts,
        facts: facts_of(t, own, &found.address, &found.settings, now),
        notes: found.notes,
        created: Moment::new(t, found.created_at, now),
        created_by: found.created_by,
        changed: Moment::new(t, found.changed_at, now),
        changed_by: found.changed_by,
        revision: found.revision,
        edit: may_change.then(|| format!("{here}/edit")),
        remove: may_change.then(remove),
        cluster: caller.may(Role::Reader, None).then_some(cluster),
        running: places.into_iter().map(|place| running(t, place)).collect(),
        has_more: next.is_some(),
        deployments: address::with_query("/deployments", [("environment", found.name.as_str())]),
        name: found.name,
    };
    show_as(Refused::status(refused), &page)
}

fn running(t: &'static Texts, place: PlaceView) -> Running {
    Running {
        application: Link {
            address: address::application_of_text(&place.application),
            text: place.application,
        },
        status: place.state.map(|state| Status::of(t, state)),
        version: place.version.unwrap_or_default(),
        pending: place.pending.map(|pending| pending.version),
        pin: place.pin.map(|pin| pin.reason),
    }
}

/// Forgets the environment as the API does.
pub(super) async fn remove(
    State(state): State<ServerState>,
    Path(name): Path<EnvironmentName>,
    posted: Posted,
) -> Result<Response, ApiError> {
    let (member, fields) = sent(posted);
    let caller = member.session.caller.clone();
    let done = match confirmed(&fields) {
        Ok(()) => environments::remove(State(state.clone()), caller.clone(), Path(name.clone())).await,
        Err(error) => Err(error),
    };
    match done {
        Ok(_) => Ok(led(Part::Places.address())),
        Err(error) => {
            let refused = Refused::of(REMOVE, error, fields)?;
            let found = environments::show(State(state.clone()), caller, Path(name)).await?.0;
            shown(&state, &member, found, Some(&refused)).await
        }
    }
}
