//! A log, a window at a time: lines are named by the place of their first byte, so links to them hold however long
//! the log grows, and no page is longer than its window.

use askama::Template;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use futures::stream;
use serde::Deserialize;
use slipway_records::Read;
use slipway_types::{ApplicationName, Role};

use super::address;
use super::ansi::Line;
use super::frame::{Frame, Section, show};
use super::log_of::LogOf;
use super::log_search::{Matches, search};
use super::log_window::{FURTHER_WEIGHT, PAGE_WEIGHT, Part, Window, window};
use super::parts::{Status, size};
use super::texts::Texts;
use super::visitor::Member;
use crate::auth::Caller;
use crate::extract::{Path, Query};
use crate::problem::ApiError;
use crate::rest::logs::{self, Owner, Place, owner_of, read_piece};
use crate::rest::run_views::RunName;
use crate::state::ServerState;

/// Bytes read at once for a download.
const PIECE_BYTES: u64 = 1 << 20;

/// Which part of the log.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LogQuery {
    /// First byte; goes before `before`.
    from: Option<u64>,
    /// The byte after the last; without both, the whole log if it is short, else its end.
    before: Option<u64>,
    /// Bytes of HTML for its lines, within what is sent at all; [`PAGE_WEIGHT`] if absent.
    weight: Option<usize>,
    /// Only lines that hold this text.
    #[serde(default)]
    find: String,
}

/// A part of a log.
#[derive(Template)]
#[template(path = "log.html")]
struct LogPage {
    t: &'static Texts,
    frame: Frame,
    application: String,
    application_address: String,
    number: i64,
    run_address: String,
    what: String,
    status: Status,
    size: String,
    /// The weight of what is fetched while somebody scrolls.
    further: usize,
    lines: Vec<Line>,
    /// What was looked for, and what was found.
    find: String,
    matches: Option<Matches>,
    here: String,
    earlier: Option<String>,
    later: Option<String>,
    download: String,
    /// Where the log goes on by itself.
    follow: Option<String>,
}

impl LogQuery {
    /// What of a log of so many bytes is asked for.
    fn part(&self, size: u64) -> Part {
        match (self.from, self.before) {
            (Some(from), _) => Part::From(from.min(size)),
            (None, before) => Part::Before(before.unwrap_or(size).min(size)),
        }
    }

    fn weight(&self) -> usize {
        self.weight.unwrap_or(PAGE_WEIGHT).clamp(PAGE_WEIGHT, FURTHER_WEIGHT)
    }
}

/// The log that an address names, if the caller may read it.
pub(super) async fn owner(
    caller: &Caller,
    read: &mut dyn Read,
    run: &RunName,
    what: &LogOf,
) -> Result<Owner, ApiError> {
    let part = match what {
        LogOf::Run => logs::Part::Whole,
        LogOf::Build(component) => logs::Part::Build(component),
        LogOf::Check(check) => logs::Part::Check(check),
    };
    owner_of(caller, read, Place::Run(run, part)).await
}

/// A log's page.
pub(super) fn log_address(application: &ApplicationName, number: i64, what: &LogOf) -> String {
    format!("{}/logs/{what}", address::run(application, number))
}

/// A window of the log, or the lines that hold a text.
pub(super) async fn page(
    State(state): State<ServerState>,
    member: Member,
    Path((application, number, what)): Path<(ApplicationName, i64, LogOf)>,
    Query(query): Query<LogQuery>,
) -> Result<Response, ApiError> {
    let (t, caller) = (member.visitor.texts(), &member.session.caller);
    let mut read = state.records.read().await?;
    caller.application(read.as_mut(), &application, Role::Reader).await?;
    let run = RunName::Number(application.clone(), number);
    let owner = owner(caller, read.as_mut(), &run, &what).await?;
    // Asked before reading: what ended then has written all it will.
    let ended = owner.ended(read.as_mut()).await?;
    let word = owner.state(read.as_mut()).await?;
    let bytes = read.log_size(owner.log()).await?;
    drop(read);
    let here = log_address(&application, number, &what);
    let find = query.find.trim().to_owned();
    let (window, matches) = if find.is_empty() {
        let part = query.part(bytes);
        (window(&state, owner.log(), bytes, part, query.weight()).await?, None)
    } else {
        let from = query.from.unwrap_or_default();
        let found = search(&state, owner.log(), (from, bytes), &find, &here).await?;
        (Window { from: 0, to: bytes, lines: Vec::new() }, Some(found))
    };
    show(&LogPage {
        t,
        frame: Frame::new(&member.visitor, Section::Applications, format!("{application} #{number} {what}")),
        application: application.to_string(),
        application_address: address::application(&application),
        number,
        run_address: address::run(&application, number),
        what: what.to_string(),
        status: Status::of(t, word),
        size: size(bytes),
        further: FURTHER_WEIGHT,
        earlier: (window.from > 0).then(|| format!("{here}?before={}", window.from)),
        later: (window.to < bytes && matches.is_none()).then(|| format!("{here}?from={}", window.to)),
        download: format!("{here}/download"),
        follow: (!ended && window.to >= bytes && matches.is_none())
            .then(|| format!("{here}/stream?from={}", window.to)),
        lines: window.lines,
        find,
        matches,
        here,
    })
}

/// The whole log as it was written.
pub(super) async fn download(
    State(state): State<ServerState>,
    member: Member,
    Path((application, number, what)): Path<(ApplicationName, i64, LogOf)>,
) -> Result<Response, ApiError> {
    let mut read = state.records.read().await?;
    let run = RunName::Number(application.clone(), number);
    let owner = owner(&member.session.caller, read.as_mut(), &run, &what).await?;
    let size = read.log_size(owner.log()).await?;
    drop(read);
    let pieces = stream::try_unfold((state, 0), move |(state, offset)| async move {
        if offset >= size {
            return Ok::<_, ApiError>(None);
        }
        let piece = read_piece(&state, owner.log(), offset, PIECE_BYTES.min(size - offset)).await?;
        if piece.is_empty() {
            return Ok(None);
        }
        let next = offset + piece.len() as u64;
        Ok(Some((Bytes::from(piece), (state, next))))
    });
    let file = format!("{}-{number}-{what}.log", application.to_string().replace('/', "-"));
    let headers = [
        (CONTENT_TYPE, "text/plain; charset=utf-8".to_owned()),
        (CONTENT_DISPOSITION, format!("attachment; filename=\"{file}\"")),
    ];
    Ok((headers, Body::from_stream(pieces)).into_response())
}
