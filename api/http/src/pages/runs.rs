//! An application's runs.

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use chrono::Utc;
use serde::Deserialize;
use slipway_records::{Page, Run, RunFilter};
use slipway_types::state::RunState;
use slipway_types::{ApplicationName, Role};
use uuid::Uuid;

use super::address;
use super::bundle_rows::author_name;
use super::frame::{Choice, Frame, Section, show};
use super::parts::{Moment, Status};
use super::tabs::{Tab, Tabs};
use super::texts::Texts;
use super::visitor::Member;
use crate::extract::{Path, Query};
use crate::problem::ApiError;
use crate::rest::runs::branch_ref;
use crate::state::ServerState;

/// Runs on one page.
const ROWS_MAX: u32 = 50;

/// Which runs; empty fields ask for nothing.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RunsQuery {
    branch: String,
    state: String,
    after: Option<Uuid>,
}

/// An application's runs.
#[derive(Template)]
#[template(path = "runs.html")]
struct RunsPage {
    t: &'static Texts,
    frame: Frame,
    tabs: Tabs,
    branch: String,
    states: Vec<Choice>,
    rows: Vec<Row>,
    next: Option<String>,
    /// Whether nothing ran yet.
    is_new: bool,
}

/// A run.
struct Row {
    status: Status,
    number: i64,
    address: String,
    subject: String,
    git_ref: String,
    commit: String,
    author: String,
    actor: String,
    at: Moment,
    took: Option<String>,
    version: Option<String>,
    reason: Option<String>,
}

/// The runs that the form asks for, newest first.
pub(super) async fn page(
    State(state): State<ServerState>,
    member: Member,
    Path(name): Path<ApplicationName>,
    Query(query): Query<RunsQuery>,
) -> Result<Response, ApiError> {
    let (t, caller) = (member.visitor.texts(), &member.session.caller);
    let mut read = state.records.read().await?;
    let application = caller.application(read.as_mut(), &name, Role::Reader).await?;
    let git_ref = match query.branch.trim() {
        "" => None,
        branch => Some(branch_ref(branch)?),
    };
    let wanted = RunState::WORDS.into_iter().find(|word| *word == query.state);
    let filter = RunFilter {
        application: Some(application.id),
        git_ref,
        commit: None,
        states: wanted.into_iter().collect(),
    };
    let runs = read.run_list(&filter, Page { limit: ROWS_MAX, after: query.after }).await?;
    drop(read);
    let last = runs.last().filter(|_| runs.len() >= ROWS_MAX as usize);
    let next = last.map(|last| {
        let after = last.id.to_string();
        let pairs =
            [("branch", query.branch.as_str()), ("state", query.state.as_str()), ("after", after.as_str())];
        address::with_query(&address::runs(&name), pairs)
    });
    let state_choice = |word: &'static str| Choice {
        value: word.to_owned(),
        text: t.state(word).to_owned(),
        chosen: Some(word) == wanted,
    };
    show(&RunsPage {
        t,
        frame: Frame::new(&member.visitor, Section::Applications, name.to_string()),
        tabs: Tabs::new(&name, Tab::Runs),
        states: RunState::WORDS.map(state_choice).into(),
        is_new: runs.is_empty()
            && filter.git_ref.is_none()
            && filter.states.is_empty()
            && query.after.is_none(),
        rows: runs.iter().map(|run| row(t, &name, run)).collect(),
        next,
        branch: query.branch,
    })
}

fn row(t: &'static Texts, application: &ApplicationName, run: &Run) -> Row {
    let took = run.started_at.zip(run.finished_at).map(|(began, ended)| t.took(ended - began));
    Row {
        status: Status::of(t, run.state.word()),
        number: run.number,
        address: address::run(application, run.number),
        subject: run.subject.clone(),
        git_ref: run.git_ref.short().to_owned(),
        commit: run.commit.short().to_owned(),
        author: author_name(&run.author),
        actor: run.actor.clone(),
        at: Moment::new(t, run.created_at, Utc::now()),
        took,
        version: match &run.state {
            RunState::Done { version, .. } => Some(version.to_string()),
            _ => None,
        },
        reason: run.state.reason(),
    }
}
