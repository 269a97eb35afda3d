//! `/deployments`: what runs where.

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use chrono::Utc;
use serde::Deserialize;

use super::address;
use super::frame::{Frame, Section, show};
use super::parts::{Moment, Status};
use super::texts::Texts;
use super::visitor::Member;
use crate::extract::Query;
use crate::problem::ApiError;
use crate::rest::places::{self, PlaceView, WhereQuery};
use crate::state::ServerState;

/// Places on one page.
const ROWS_MAX: usize = 50;

/// Where to look.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DeploymentsQuery {
    /// Only this application.
    #[serde(default)]
    application: String,
    /// Only this environment.
    #[serde(default)]
    environment: String,
    /// The last place of the page before.
    #[serde(default)]
    after: String,
}

/// Applications in environments.
#[derive(Template)]
#[template(path = "deployments.html")]
struct DeploymentsPage {
    t: &'static Texts,
    frame: Frame,
    application: String,
    environment: String,
    rows: Vec<Row>,
    next: Option<String>,
}

/// An application in an environment.
struct Row {
    application: String,
    application_address: String,
    environment: String,
    /// What runs; absent where something is on its way to a place that runs nothing.
    running: Option<Running>,
    pending: Option<Pending>,
    pin: Option<String>,
    /// What the environment upstream runs, where that is something else.
    behind: Option<String>,
}

struct Running {
    status: Status,
    version: String,
    /// The deployment's page.
    address: String,
    source: Option<String>,
    reason: Option<String>,
    since: Option<Moment>,
}

struct Pending {
    status: Status,
    version: String,
    /// The deployment's page.
    address: String,
    reason: Option<String>,
}

/// What every environment runs of every application.
pub(super) async fn page(
    State(state): State<ServerState>,
    member: Member,
    Query(query): Query<DeploymentsQuery>,
) -> Result<Response, ApiError> {
    let t = member.visitor.texts();
    let wanted = WhereQuery::of(&query.application, &query.environment)?;
    let page = (query.after.as_str(), ROWS_MAX);
    let (places, last) = places::one_page(&state, &member.session.caller, &wanted, page).await?;
    let next = last.map(|last| {
        let pairs = [
            ("application", query.application.as_str()),
            ("environment", query.environment.as_str()),
            ("after", last.as_str()),
        ];
        address::with_query("/deployments", pairs)
    });
    show(&DeploymentsPage {
        t,
        frame: Frame::new(&member.visitor, Section::Deployments, t.deployments),
        application: query.application,
        environment: query.environment,
        rows: places.into_iter().map(|place| row(t, place)).collect(),
        next,
    })
}

fn row(t: &'static Texts, place: PlaceView) -> Row {
    let now = Utc::now();
    let source = match (&place.branch, &place.commit) {
        (Some(branch), Some(commit)) => Some(format!("{branch}@{}", commit.get(..8).unwrap_or(commit))),
        (None, Some(commit)) => Some(commit.get(..8).unwrap_or(commit).to_owned()),
        (branch, None) => branch.clone(),
    };
    let running = place.state.zip(place.version).map(|(state, version)| Running {
        status: Status::of(t, state),
        version,
        address: place.deployment.as_deref().map(address::deployment).unwrap_or_default(),
        source,
        reason: place.reason,
        since: place.since.map(|since| Moment::new(t, since, now)),
    });
    Row {
        application_address: address::application_of_text(&place.application),
        application: place.application,
        environment: place.environment,
        running,
        pending: place.pending.map(|pending| Pending {
            status: Status::of(t, pending.state),
            version: pending.version,
            address: address::deployment(&pending.id),
            reason: pending.reason,
        }),
        pin: place.pin.map(|pin| pin.reason),
        behind: place.upstream.filter(|_| place.behind).and_then(|upstream| upstream.version),
    }
}
