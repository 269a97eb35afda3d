//! How the objects of one node stand in the cluster now. The part is asked for by itself, since the cluster answers when
//! it does; where scripts run it is fetched as it is opened.

use askama::Template;
use chrono::{DateTime, Utc};
use serde::Deserialize;
use slipway_records::{Application, Deployment, Environment, LiveObject, LiveObjects, LiveState, LiveWanted};
use slipway_types::id::DeploymentId;

use super::evidence::{EventRow, event_row, plain};
use crate::pages::address;
use crate::pages::parts::{Moment, Status, Tone};
use crate::pages::texts::Texts;
use crate::problem::ApiError;
use crate::rest::deployment_objects::look;
use crate::state::ServerState;

/// Which objects the page shows as they are now.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Asked {
    /// Of this node; of none if empty.
    pub(super) objects: String,
    /// Without so many at the beginning.
    from: usize,
}

/// The objects of a node.
#[derive(Template)]
#[template(path = "part/objects.html")]
pub(super) struct ObjectsPart {
    t: &'static Texts,
    asked: Option<Moment>,
    rows: Vec<Row>,
    notes: Vec<String>,
    /// Why the cluster was not asked.
    trouble: Option<String>,
    next: Option<String>,
}

impl askama::filters::HtmlSafe for ObjectsPart {}

/// An object.
struct Row {
    /// Of its events, on a page with parts of several nodes.
    id: String,
    object: String,
    status: Status,
    why: String,
    created: Option<Moment>,
    /// Another generation that wrote it.
    written_by: Option<String>,
    events: Vec<EventRow>,
    events_word: String,
    /// Whether its events are shown without being asked for.
    is_open: bool,
}

/// Where the objects of a node are shown as they are now, from the beginning.
pub(super) fn address_of(deployment: DeploymentId, node: &str) -> String {
    page_of(deployment, node, 0)
}

fn page_of(deployment: DeploymentId, node: &str, from: usize) -> String {
    let from = if from == 0 { String::new() } else { from.to_string() };
    address::with_query(&address::deployment(deployment), [("objects", node), ("from", from.as_str())])
}

impl Asked {
    /// The address of what is asked for.
    pub(super) fn address(&self, deployment: DeploymentId) -> String {
        page_of(deployment, &self.objects, self.from)
    }

    /// What is asked for, if something is. What goes wrong is said in its place: the page is worth showing without it.
    pub(super) async fn part(
        &self,
        state: &ServerState,
        about: (&Deployment, &Application, &Environment),
        t: &'static Texts,
        now: DateTime<Utc>,
    ) -> Option<ObjectsPart> {
        if self.objects.is_empty() {
            return None;
        }
        let wanted = LiveWanted { node: Some(self.objects.clone()), from: self.from };
        Some(match look(state, about, &wanted).await {
            Ok(found) => shown(t, about.0, &self.objects, found, now),
            Err(error) => troubled(t, &error),
        })
    }
}

fn troubled(t: &'static Texts, error: &ApiError) -> ObjectsPart {
    let trouble = Some(plain(error.detail()));
    ObjectsPart { t, asked: None, rows: Vec::new(), notes: Vec::new(), trouble, next: None }
}

fn shown(
    t: &'static Texts,
    deployment: &Deployment,
    node: &str,
    found: LiveObjects,
    now: DateTime<Utc>,
) -> ObjectsPart {
    ObjectsPart {
        t,
        asked: Some(Moment::new(t, found.asked_at, now)),
        rows: found.objects.into_iter().map(|live| row(t, deployment.generation, live, now)).collect(),
        notes: found.notes.iter().map(String::as_str).map(plain).collect(),
        trouble: None,
        next: found.next.map(|from| page_of(deployment.id, node, from)),
    }
}

fn row(t: &'static Texts, generation: u64, live: LiveObject, now: DateTime<Utc>) -> Row {
    let d = t.deployment;
    let (tone, word) = match live.state {
        LiveState::Ready => (Tone::Good, d.node_ready),
        LiveState::Progressing => (Tone::Busy, d.node_waiting),
        LiveState::Failed => (Tone::Bad, t.state("failed")),
        LiveState::Missing => (Tone::Off, d.not_there),
        LiveState::Unknown => (Tone::Off, d.node_unknown),
    };
    let other = live.generation.filter(|written| *written != generation);
    Row {
        id: format!("events-{}", live.object).replace(char::is_whitespace, "-"),
        object: plain(&live.object),
        status: Status::told(tone, word),
        why: plain(&live.why),
        created: live.created_at.map(|at| Moment::new(t, at, now)),
        written_by: other.map(d.written_by),
        events_word: (d.events_of)(live.events.len()),
        events: live.events.into_iter().rev().map(|event| event_row(t, event, now)).collect(),
        is_open: matches!(live.state, LiveState::Progressing | LiveState::Failed),
    }
}

#[cfg(test)]
mod tests {
    use slipway_records::failure::FoundEvent;

    use super::*;
    use crate::pages::texts::ENGLISH;

    const HOSTILE: &str = "<script>alert(1)</script>\u{1b}[31m\"'";

    fn live(state: LiveState) -> LiveObject {
        let event = FoundEvent { message: HOSTILE.to_owned(), ..FoundEvent::default() };
        LiveObject {
            node: "web".to_owned(),
            object: HOSTILE.to_owned(),
            state,
            why: HOSTILE.to_owned(),
            created_at: Some(DateTime::UNIX_EPOCH),
            generation: Some(6),
            events: vec![event],
        }
    }

    fn part(rows: Vec<Row>) -> ObjectsPart {
        let (next, trouble) = (Some("/next".to_owned()), Some(HOSTILE.to_owned()));
        let asked = Some(Moment::new(&ENGLISH, DateTime::UNIX_EPOCH, Utc::now()));
        ObjectsPart { t: &ENGLISH, asked, rows, notes: vec![plain(HOSTILE)], trouble, next }
    }

    #[test]
    fn what_a_cluster_says_is_text() {
        let rows = LiveState::ALL.map(|state| row(&ENGLISH, 7, live(state), Utc::now())).into();
        let html = part(rows).to_string();
        assert!(!html.contains("<script>"), "{html}");
        assert!(html.contains("written by generation 6") && html.contains("1 event"), "{html}");
        for tag in ["div", "details", "summary", "ul", "li", "p", "span", "code"] {
            let opened =
                html.matches(&format!("<{tag}>")).count() + html.matches(&format!("<{tag} ")).count();
            assert_eq!(opened, html.matches(&format!("</{tag}>")).count(), "<{tag}> is not balanced: {html}");
        }
    }

    #[test]
    fn only_another_generation_is_named_and_what_is_ready_keeps_its_events_folded() {
        let ready = row(&ENGLISH, 6, live(LiveState::Ready), Utc::now());
        assert!(ready.written_by.is_none() && !ready.is_open);
        let failed = row(&ENGLISH, 7, live(LiveState::Failed), Utc::now());
        assert!(failed.written_by.is_some() && failed.is_open);
    }

    #[test]
    fn the_first_objects_need_no_number() {
        let id = DeploymentId::new();
        assert_eq!(address_of(id, "step.a b"), format!("/deployments/{id}?objects=step.a+b"));
        let asked = Asked { objects: "web".to_owned(), from: 200 };
        assert_eq!(asked.address(id), format!("/deployments/{id}?objects=web&from=200"));
    }
}
