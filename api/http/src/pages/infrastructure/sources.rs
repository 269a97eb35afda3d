//! Sources: where commits come from.

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use chrono::{DateTime, Utc};
use serde::Deserialize;
use slipway_types::Role;
use slipway_types::name::SourceName;

use super::{Around, Part, Parts};
use crate::extract::{Path, Query};
use crate::pages::address;
use crate::pages::frame::{Frame, show};
use crate::pages::parts::{Moment, Status, Tone};
use crate::pages::texts::Texts;
use crate::pages::texts::infrastructure::InfrastructureTexts;
use crate::pages::visitor::Member;
use crate::problem::ApiError;
use crate::rest::sources::{self, SourceView};
use crate::state::ServerState;

/// Sources on one page.
const ROWS_MAX: u32 = 25;

/// Where the page before ended.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SourcesQuery {
    /// Name of its last source.
    after: Option<SourceName>,
}

/// The sources.
#[derive(Template)]
#[template(path = "infrastructure/sources.html")]
struct SourcesPage {
    t: &'static Texts,
    own: &'static InfrastructureTexts,
    frame: Frame,
    parts: Parts,
    rows: Vec<Row>,
    next: Option<String>,
}

/// A source.
struct Row {
    name: String,
    page: String,
    url: Option<String>,
    applications: String,
    status: Status,
    error: Option<String>,
    swept: Option<Moment>,
}

/// A source's page.
pub(super) fn source_page(name: &str) -> String {
    format!("/infrastructure/sources/{name}")
}

/// How a source stands, by what its last comparison said.
pub(super) fn standing(own: &InfrastructureTexts, view: &SourceView) -> Status {
    match (&view.last_error, view.swept_at) {
        (Some(_), _) => Status::told(Tone::Bad, own.source_fails),
        (None, Some(_)) => Status::told(Tone::Good, own.source_answers),
        (None, None) => Status::told(Tone::Waiting, own.source_unseen),
    }
}

/// A page of all sources; for a token of one application that one's.
async fn seen(
    state: &ServerState,
    member: &Member,
    query: &SourcesQuery,
) -> Result<Vec<SourceView>, ApiError> {
    let caller = &member.session.caller;
    let Some(limited) = caller.limited_to() else {
        return sources::page(state, caller, query.after.as_ref(), ROWS_MAX).await;
    };
    caller.somewhere(Role::Reader)?;
    let mut read = state.records.read().await?;
    let Some(application) = read.application_get(limited).await? else { return Ok(Vec::new()) };
    let Some(source) = read.source_get(application.source_id).await? else { return Ok(Vec::new()) };
    drop(read);
    match sources::show(State(state.clone()), caller.clone(), Path(source.name)).await {
        Ok(view) => Ok(vec![view.0]),
        // It feeds others too.
        Err(error) if error.status().is_client_error() => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

/// The sources that the visitor may see.
pub(super) async fn page(
    State(state): State<ServerState>,
    member: Member,
    Query(query): Query<SourcesQuery>,
) -> Result<Response, ApiError> {
    let items = seen(&state, &member, &query).await?;
    let title = InfrastructureTexts::of(member.visitor.language).sources;
    let Around { t, own, frame, parts } = Around::new(&member, Part::Sources, title);
    let now = Utc::now();
    let last = items.last().filter(|_| items.len() >= ROWS_MAX as usize);
    let next = last.map(|last| address::with_query(Part::Sources.address(), [("after", last.name.as_str())]));
    let rows = items.into_iter().map(|view| row(t, own, view, now)).collect();
    show(&SourcesPage { t, own, frame, parts, rows, next })
}

fn row(t: &Texts, own: &InfrastructureTexts, view: SourceView, now: DateTime<Utc>) -> Row {
    Row {
        page: source_page(&view.name),
        status: standing(own, &view),
        applications: view.applications.join(", "),
        swept: view.swept_at.map(|at| Moment::new(t, at, now)),
        name: view.name,
        url: view.url,
        error: view.last_error,
    }
}
