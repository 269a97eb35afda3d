//! What was found when nodes failed: conditions, events, and what containers wrote.

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use chrono::{DateTime, Utc};
use serde::Deserialize;
use slipway_records::Failure;
use slipway_records::failure::{FoundCondition, FoundContainer, FoundEvent, FoundLog};
use slipway_types::id::DeploymentId;
use uuid::Uuid;

use super::nodes;
use crate::extract::{Path, Query};
use crate::pages::address;
use crate::pages::ansi::{Line, Terminal};
use crate::pages::log_window::{PAGE_WEIGHT, last_within};
use crate::pages::parts::{Moment, Status, Tone};
use crate::pages::texts::Texts;
use crate::pages::visitor::Member;
use crate::problem::ApiError;
use crate::rest::deployment_failures::{self, FailureLogQuery};
use crate::rest::deployment_views::DeploymentName;
use crate::state::ServerState;

/// Bytes of HTML that the ends of all logs have on the page of a deployment, at most: more stands on it than logs.
const TAILS_WEIGHT: usize = PAGE_WEIGHT / 2;

/// What was found when a node failed.
#[derive(Template)]
#[template(path = "part/failure.html")]
pub(super) struct FailureRow {
    t: &'static Texts,
    id: Uuid,
    node: String,
    attempt: u32,
    status: Status,
    at: Moment,
    blocker: String,
    objects: Vec<ObjectRow>,
    events: Vec<EventRow>,
    containers: Vec<ContainerRow>,
    notes: Vec<String>,
    /// Whether it is the newest: shown without being asked.
    is_open: bool,
}

impl askama::filters::HtmlSafe for FailureRow {}

/// An object that was not ready.
struct ObjectRow {
    object: String,
    reason: String,
    conditions: Vec<String>,
}

/// Something that the cluster told.
pub(super) struct EventRow {
    pub(super) status: Status,
    pub(super) at: Option<Moment>,
    pub(super) object: String,
    pub(super) reason: String,
    pub(super) message: String,
    pub(super) count: u64,
}

/// A container, and what it wrote.
struct ContainerRow {
    pod: String,
    container: String,
    state: String,
    reason: String,
    message: String,
    exit_code: Option<i64>,
    restarts: Option<String>,
    logs: Vec<LogRow>,
}

/// The end of a log.
struct LogRow {
    title: &'static str,
    lines: Vec<Line>,
    problem: Option<String>,
    /// All of it that is kept; absent if there is nothing.
    whole: Option<String>,
}

/// What programs wrote, without what a terminal would obey: nothing of it is text.
pub(super) fn plain(text: &str) -> String {
    text.chars().filter(|char| !char.is_control() || char.is_whitespace()).collect()
}

/// The failures of a deployment, the newest first.
pub(super) fn rows(
    t: &'static Texts,
    deployment: DeploymentId,
    failures: Vec<Failure>,
    now: DateTime<Utc>,
) -> Vec<FailureRow> {
    let newest = failures.last().map(|failure| failure.id);
    let mut weight = TAILS_WEIGHT;
    failures
        .into_iter()
        .rev()
        .map(|failure| {
            let is_open = Some(failure.id) == newest;
            row(t, deployment, failure, is_open, now, &mut weight)
        })
        .collect()
}

fn row(
    t: &'static Texts,
    deployment: DeploymentId,
    failure: Failure,
    is_open: bool,
    now: DateTime<Utc>,
    weight: &mut usize,
) -> FailureRow {
    let Failure { id, node, attempt, at, found, .. } = failure;
    let logs = format!("{}/failures/{id}/log", address::deployment(deployment));
    let objects = found.objects.into_iter().map(|object| ObjectRow {
        conditions: object.conditions.iter().map(condition).collect(),
        object: plain(&object.object),
        reason: plain(&object.reason),
    });
    FailureRow {
        t,
        id,
        node: plain(&node),
        attempt,
        status: nodes::status(t, &found.state),
        at: Moment::new(t, at, now),
        blocker: plain(&found.blocker),
        objects: objects.collect(),
        events: found.events.into_iter().map(|event| event_row(t, event, now)).collect(),
        containers: found
            .containers
            .into_iter()
            .map(|container| container_row(t, &logs, container, weight))
            .collect(),
        notes: found.notes.iter().map(String::as_str).map(plain).collect(),
        is_open,
    }
}

fn condition(condition: &FoundCondition) -> String {
    let FoundCondition { kind, status, reason, message, .. } = condition;
    let more: Vec<&str> =
        [reason.as_str(), message.as_str()].into_iter().filter(|text| !text.is_empty()).collect();
    match more.as_slice() {
        [] => plain(&format!("{kind}={status}")),
        more => plain(&format!("{kind}={status}: {}", more.join(": "))),
    }
}

pub(super) fn event_row(t: &'static Texts, event: FoundEvent, now: DateTime<Utc>) -> EventRow {
    let is_warning = event.kind == "Warning";
    let status = match is_warning {
        true => Status::told(Tone::Bad, "Warning"),
        false => Status::told(Tone::Off, "Normal"),
    };
    EventRow {
        status,
        at: event.at.map(|at| Moment::new(t, at, now)),
        object: plain(&event.object),
        reason: plain(&event.reason),
        message: plain(&event.message),
        count: event.count,
    }
}

fn container_row(
    t: &'static Texts,
    logs: &str,
    container: FoundContainer,
    weight: &mut usize,
) -> ContainerRow {
    let d = t.deployment;
    let whole = |previous: bool| {
        let mut pairs = vec![("pod", container.pod.as_str()), ("container", container.container.as_str())];
        if previous {
            pairs.push(("previous", "true"));
        }
        address::with_query(logs, pairs)
    };
    let mut shown = vec![log_row(d.wrote_last, &container.log, whole(false), weight)];
    let previous = container.previous.as_ref();
    shown.extend(previous.map(|log| log_row(d.before_restart, log, whole(true), weight)));
    ContainerRow {
        logs: shown,
        restarts: (container.restarts > 0).then(|| (d.restarts)(container.restarts)),
        pod: plain(&container.pod),
        container: plain(&container.container),
        state: plain(&container.state),
        reason: plain(&container.reason),
        message: plain(&container.message),
        exit_code: container.exit_code,
    }
}

/// The last lines of a log, as many as there is `weight` left for; the whole is a link away.
fn log_row(title: &'static str, log: &FoundLog, whole: String, weight: &mut usize) -> LogRow {
    let text = log.tail.join("\n");
    let lines = if text.is_empty() { Vec::new() } else { Terminal::default().lines(text.as_bytes(), 0) };
    LogRow {
        title,
        lines: last_within(lines, weight),
        problem: log.problem.as_deref().map(plain),
        whole: (log.bytes > 0).then_some(whole),
    }
}

/// Which log of a failure.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct LogQuery {
    pod: String,
    container: String,
    previous: bool,
}

/// A container's log as it was kept, as plain text.
pub(super) async fn log(
    State(state): State<ServerState>,
    member: Member,
    Path((name, failure)): Path<(DeploymentName, Uuid)>,
    Query(query): Query<LogQuery>,
) -> Result<Response, ApiError> {
    let caller = member.session.caller;
    let wanted = FailureLogQuery::of(&query.pod, &query.container, query.previous);
    deployment_failures::log(State(state), caller, Path((name, failure)), Query(wanted)).await
}

#[cfg(test)]
mod tests {
    use slipway_records::failure::{Found, FoundObject};

    use super::*;
    use crate::pages::log_window::line_weight;
    use crate::pages::texts::ENGLISH;

    fn hostile() -> String {
        "<script>alert(1)</script>\u{1b}[31m\"'".to_owned()
    }

    fn failure() -> Failure {
        let condition = FoundCondition {
            kind: "Available".to_owned(),
            status: "False".to_owned(),
            message: hostile(),
            ..FoundCondition::default()
        };
        let log = FoundLog { bytes: 9, tail: vec![hostile(), "done".to_owned()], ..FoundLog::default() };
        let container = FoundContainer {
            pod: "web-1".to_owned(),
            container: hostile(),
            state: "waiting".to_owned(),
            exit_code: Some(1),
            restarts: 2,
            log: log.clone(),
            previous: Some(log),
            ..FoundContainer::default()
        };
        let object = FoundObject {
            object: "Deployment web".to_owned(),
            reason: hostile(),
            conditions: vec![condition],
        };
        let event = FoundEvent { kind: "Warning".to_owned(), message: hostile(), ..FoundEvent::default() };
        Failure {
            id: Uuid::now_v7(),
            deployment_id: DeploymentId::new(),
            node: hostile(),
            attempt: 2,
            at: DateTime::UNIX_EPOCH,
            found: Found {
                state: "failed".to_owned(),
                blocker: hostile(),
                objects: vec![object],
                events: vec![event],
                containers: vec![container],
                notes: vec![hostile()],
            },
        }
    }

    #[test]
    fn what_a_cluster_says_is_text() {
        let (one, two) = (failure(), failure());
        let newest = two.id;
        let rows = rows(&ENGLISH, one.deployment_id, vec![one, two], Utc::now());
        assert!(rows[0].id == newest && rows[0].is_open && !rows[1].is_open);
        let html = rows[0].to_string();
        assert!(!html.contains("<script>") && !html.contains('\u{1b}'), "{html}");
        assert!(html.contains("restarted 2 times") && html.contains("exit code 1"), "{html}");
        assert!(html.contains("previous=true") && html.contains("Available=False"), "{html}");
        for tag in ["div", "section", "details", "ul", "li", "p", "table", "tr", "td", "ol", "span"] {
            let opened =
                html.matches(&format!("<{tag}>")).count() + html.matches(&format!("<{tag} ")).count();
            assert_eq!(opened, html.matches(&format!("</{tag}>")).count(), "<{tag}> is not balanced: {html}");
        }
    }

    #[test]
    fn ends_of_logs_weigh_what_a_page_takes_and_lead_to_the_whole() {
        let mut failure = failure();
        let log = FoundLog { bytes: 9, tail: vec!["\"".repeat(400); 5], ..FoundLog::default() };
        let container = FoundContainer {
            pod: "web-1".to_owned(),
            log: log.clone(),
            previous: Some(log),
            ..FoundContainer::default()
        };
        failure.found.containers = vec![container; 10];
        let rows = rows(&ENGLISH, failure.deployment_id, vec![failure.clone(), failure], Utc::now());
        let logs: Vec<&LogRow> =
            rows.iter().flat_map(|row| &row.containers).flat_map(|container| &container.logs).collect();
        let weight: usize = logs.iter().flat_map(|log| &log.lines).map(line_weight).sum();
        assert!(weight > TAILS_WEIGHT / 2 && weight <= TAILS_WEIGHT, "{weight} bytes");
        assert_eq!(logs[0].lines.len(), 5, "the newest first");
        assert!(logs.len() == 40 && logs.iter().all(|log| log.whole.is_some()));
    }
}
