//! `/deployments/history`: what was deployed where, the newest first.

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use chrono::{DateTime, Utc};
use serde::Deserialize;
use slipway_types::state::DeploymentState;
use uuid::Uuid;

use crate::extract::Query;
use crate::pages::address;
use crate::pages::frame::{Choice, Frame, Section, show};
use crate::pages::parts::{Moment, Status};
use crate::pages::texts::Texts;
use crate::pages::visitor::Member;
use crate::problem::ApiError;
use crate::rest::deployment_views::DeploymentView;
use crate::rest::deployments::{self, DeploymentQuery};
use crate::rest::list::List;
use crate::state::ServerState;

/// Deployments on one page.
const ROWS_MAX: u32 = 50;
/// The page.
const PATH: &str = "/deployments/history";

/// Which deployments; empty fields ask for nothing.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct HistoryQuery {
    application: String,
    environment: String,
    state: String,
    after: Option<Uuid>,
}

/// Deployments.
#[derive(Template)]
#[template(path = "deployment_list.html")]
struct HistoryPage {
    t: &'static Texts,
    frame: Frame,
    application: String,
    environment: String,
    states: Vec<Choice>,
    /// What is wrong with the filters.
    refusal: Option<String>,
    rows: Vec<Row>,
    next: Option<String>,
}

/// A deployment.
pub(super) struct Row {
    pub(super) address: String,
    pub(super) application: String,
    pub(super) environment: String,
    /// Whether that environment was removed.
    pub(super) is_place_gone: bool,
    pub(super) generation: u64,
    pub(super) version: String,
    pub(super) status: Status,
    pub(super) reason: Option<String>,
    pub(super) cause: &'static str,
    pub(super) created_by: String,
    pub(super) at: Moment,
    /// Whether it is the one that the page is about.
    pub(super) is_this: bool,
}

/// A deployment in a list; `this` is the one that the page is about.
pub(super) fn row(t: &'static Texts, view: DeploymentView, this: &str, now: DateTime<Utc>) -> Row {
    Row {
        address: address::deployment(&view.id),
        is_this: view.id == this,
        application: view.application,
        environment: view.environment,
        is_place_gone: view.environment_removed_at.is_some(),
        generation: view.generation,
        version: view.bundle,
        status: Status::of(t, view.state),
        reason: view.reason,
        cause: (t.deployment.cause)(view.cause),
        created_by: view.created_by,
        at: Moment::new(t, view.created_at, now),
    }
}

/// The address of a list.
pub(super) fn address_of(
    (application, environment): (&str, &str),
    state: &str,
    after: Option<&str>,
) -> String {
    let pairs = [
        ("application", application),
        ("environment", environment),
        ("state", state),
        ("after", after.unwrap_or_default()),
    ];
    address::with_query(PATH, pairs)
}

/// The deployments that the form asks for.
pub(super) async fn page(
    State(state): State<ServerState>,
    member: Member,
    Query(query): Query<HistoryQuery>,
) -> Result<Response, ApiError> {
    let t = member.visitor.texts();
    let (found, refusal) = match find(&state, &member, &query).await {
        Ok(found) => (found, None),
        // What is wrong is said beside the form.
        Err(error) if error.status().is_client_error() => (List::whole(Vec::new()), Some(error.in_words())),
        Err(error) => return Err(error),
    };
    let now = Utc::now();
    let next = found
        .next
        .map(|next| address_of((&query.application, &query.environment), &query.state, Some(&next)));
    let choice = |word: &'static str| Choice {
        value: word.to_owned(),
        text: t.state(word).to_owned(),
        chosen: word == query.state,
    };
    show(&HistoryPage {
        t,
        frame: Frame::new(&member.visitor, Section::Deployments, t.deployment.all_deployments),
        states: DeploymentState::WORDS.map(choice).into(),
        refusal,
        rows: found.items.into_iter().map(|view| row(t, view, "", now)).collect(),
        next,
        application: query.application,
        environment: query.environment,
    })
}

async fn find(
    state: &ServerState,
    member: &Member,
    query: &HistoryQuery,
) -> Result<List<DeploymentView>, ApiError> {
    let names = (query.application.as_str(), query.environment.as_str());
    let wanted = DeploymentQuery::of(names, &query.state, (ROWS_MAX, query.after))?;
    let caller = member.session.caller.clone();
    Ok(deployments::list(State(state.clone()), caller, Query(wanted)).await?.0)
}
