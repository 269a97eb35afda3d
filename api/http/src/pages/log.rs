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
use uuid::Uuid;

use super::address;
use super::ansi::{Line, Terminal};
use super::frame::{Frame, Section, show};
use super::log_of::LogOf;
use super::log_search::{Matches, search};
use super::parts::{Status, size};
use super::texts::Texts;
use super::visitor::Member;
use crate::auth::Caller;
use crate::extract::{Path, Query};
use crate::problem::ApiError;
use crate::rest::logs::{Owner, Part, Place, owner_of, read_piece};
use crate::rest::run_views::RunName;
use crate::state::ServerState;

/// Bytes on one page.
const WINDOW_BYTES: u64 = 128 << 10;
/// Lines on one page: as HTML an empty one is two hundred times its own size.
const LINES_MAX: usize = 5000;
/// Bytes read at once for a download.
const PIECE_BYTES: u64 = 1 << 20;

/// Which part of the log.
#[derive(Debug, Default, Deserialize)]
pub(super) struct LogQuery {
    /// First byte; absent: the whole log if it is short, else its end.
    from: Option<u64>,
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
    /// Bytes on one page, at most.
    window: u64,
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

/// A window into a log.
struct Window {
    from: u64,
    to: u64,
    lines: Vec<Line>,
}

/// The log that an address names, if the caller may read it.
pub(super) async fn owner(
    caller: &Caller,
    read: &mut dyn Read,
    run: &RunName,
    what: &LogOf,
) -> Result<Owner, ApiError> {
    let part = match what {
        LogOf::Run => Part::Whole,
        LogOf::Build(component) => Part::Build(component),
        LogOf::Check(check) => Part::Check(check),
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
    let here = log_address(&application, number, &what);
    let find = query.find.trim().to_owned();
    let (window, matches) = if find.is_empty() {
        let window = window(&state, read.as_mut(), owner.log(), query.from, bytes).await?;
        drop(read);
        (window, None)
    } else {
        drop(read);
        let from = query.from.unwrap_or_default();
        let found = search(&state, owner.log(), (from, bytes), &find, &here).await?;
        (Window { from: 0, to: bytes, lines: Vec::new() }, Some(found))
    };
    let at = |from: u64| format!("{here}?from={from}");
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
        window: WINDOW_BYTES,
        earlier: (window.from > 0).then(|| at(window.from.saturating_sub(WINDOW_BYTES))),
        later: (window.to < bytes && matches.is_none()).then(|| at(window.to)),
        download: format!("{here}/download"),
        follow: (!ended && window.to >= bytes && matches.is_none())
            .then(|| format!("{here}/stream?from={}", window.to)),
        lines: window.lines,
        find,
        matches,
        here,
    })
}

/// Whole lines from about `from` on; without it the log itself, or its end if it is longer than a window.
async fn window(
    state: &ServerState,
    read: &mut dyn Read,
    log: Uuid,
    from: Option<u64>,
    size: u64,
) -> Result<Window, ApiError> {
    let is_end = from.is_none();
    let from = from.unwrap_or_else(|| size.saturating_sub(WINDOW_BYTES)).min(size);
    // One byte more tells whether a line begins there.
    let probe = from.saturating_sub(1);
    let bytes = read_piece(state, read, log, probe, WINDOW_BYTES + from - probe).await?;
    let skipped = if from == 0 {
        0
    } else {
        let line = bytes.iter().position(|byte| *byte == b'\n').map(|place| place + 1);
        // Where no line begins, what is there of a long one is shown: whoever goes back gets on.
        line.filter(|begin| *begin < bytes.len()).unwrap_or(bytes.len().min(1))
    };
    let bytes = &bytes[skipped..];
    let from = probe + skipped as u64;
    let at_end = from + bytes.len() as u64 >= size;
    let last_break = bytes.iter().rposition(|byte| *byte == b'\n').map(|place| place + 1);
    // A line longer than the window is cut.
    let length = if at_end { bytes.len() } else { last_break.unwrap_or(bytes.len()) };
    let lines = Terminal::default().lines(&bytes[..length], from);
    let whole = Window { from, to: from + length as u64, lines };
    Ok(if is_end { whole.last_lines() } else { whole.first_lines() })
}

impl Window {
    /// Its first lines, as many as a page shows.
    fn first_lines(mut self) -> Self {
        if let Some(next) = self.lines.get(LINES_MAX) {
            self.to = next.at;
            self.lines.truncate(LINES_MAX);
        }
        self
    }

    /// Its last ones.
    fn last_lines(mut self) -> Self {
        let more = self.lines.len().saturating_sub(LINES_MAX);
        self.lines.drain(..more);
        if let Some(first) = self.lines.first().filter(|_| more > 0) {
            self.from = first.at;
        }
        self
    }
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
        let mut read = state.records.read().await?;
        let piece =
            read_piece(&state, read.as_mut(), owner.log(), offset, PIECE_BYTES.min(size - offset)).await?;
        drop(read);
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
