//! Notices: the channels there are, whether one works, and who was told of what.

use askama::Template;
use axum::extract::State;
use axum::response::{Redirect, Response};
use chrono::{DateTime, Utc};
use serde::Deserialize;
use slipway_types::Role;
use slipway_types::name::NoticeChannelName;
use uuid::Uuid;

use super::form::Form;
use super::{Around, Part, Parts, sent};
use crate::extract::{Path, Query};
use crate::pages::address;
use crate::pages::forms::Posted;
use crate::pages::frame::{Frame, show};
use crate::pages::parts::{Moment, Status, Tone};
use crate::pages::tabs::Link;
use crate::pages::texts::Texts;
use crate::pages::texts::infrastructure::InfrastructureTexts;
use crate::pages::visitor::Member;
use crate::problem::ApiError;
use crate::rest::incidents::{self, IncidentNotice, IncidentQuery, IncidentView};
use crate::rest::notices::{self, ChannelTested, NoticeChannelView};
use crate::state::ServerState;

/// Incidents on one page.
const ROWS_MAX: u32 = 25;

/// Where the page of incidents before ended.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct After {
    after: Option<Uuid>,
}

/// Channels and incidents.
#[derive(Template)]
#[template(path = "infrastructure/notices.html")]
struct NoticesPage {
    t: &'static Texts,
    own: &'static InfrastructureTexts,
    frame: Frame,
    parts: Parts,
    channels: Vec<Channel>,
    tested: Option<Tested>,
    incidents: Vec<Incident>,
    next: Option<String>,
}

/// A channel.
struct Channel {
    name: String,
    kind: &'static str,
    /// What it is for: teams, environments, labels.
    scope: Vec<String>,
    events: String,
    pending: u64,
    /// How many were given up, with the form that sends them again.
    failed: u64,
    again: Option<Form>,
    last: Option<Status>,
    answer: Option<String>,
    at: Option<Moment>,
    test: Form,
}

/// What a channel answered to a test.
struct Tested {
    channel: String,
    status: Status,
    answer: String,
    hint: Option<String>,
}

/// What people were told of.
struct Incident {
    application: Link,
    environment: String,
    status: Status,
    blocker: Option<String>,
    at: Moment,
    notices: Vec<Notice>,
}

/// What a channel was told.
struct Notice {
    channel: String,
    status: Status,
    answer: Option<String>,
}

/// The channels, and the incidents last opened.
pub(super) async fn page(
    State(state): State<ServerState>,
    member: Member,
    Query(after): Query<After>,
) -> Result<Response, ApiError> {
    shown(&state, &member, after, None).await
}

async fn shown(
    state: &ServerState,
    member: &Member,
    after: After,
    tested: Option<ChannelTested>,
) -> Result<Response, ApiError> {
    let caller = &member.session.caller;
    caller.on_server(Role::Operator)?;
    let channels = notices::all(state, caller).await?;
    let wanted = IncidentQuery {
        application: None,
        environment: None,
        open: false,
        limit: Some(ROWS_MAX),
        after: after.after,
    };
    let incidents = incidents::list(State(state.clone()), caller.clone(), Query(wanted)).await?.0;
    let title = InfrastructureTexts::of(member.visitor.language).notices;
    let Around { t, own, frame, parts } =
        Around::new(member, Part::Notices, title).at(Part::Notices.address());
    let now = Utc::now();
    let token = &member.session.form_token;
    show(&NoticesPage {
        t,
        own,
        frame,
        parts,
        channels: channels.into_iter().map(|view| channel((t, own), token, view, now)).collect(),
        tested: tested.map(|answer| test_answer(own, answer)),
        next: incidents
            .next
            .map(|next| address::with_query(Part::Notices.address(), [("after", next.as_str())])),
        incidents: incidents.items.into_iter().map(|view| incident(t, own, view, now)).collect(),
    })
}

/// How a notice stands, by its state's word.
fn standing(own: &InfrastructureTexts, state: &str) -> Status {
    let (tone, word) = match state {
        "sent" => (Tone::Good, own.notice_sent),
        "failed" => (Tone::Bad, own.notice_failed),
        _ => (Tone::Waiting, own.notice_pending),
    };
    Status::told(tone, word)
}

fn channel(
    (t, own): (&Texts, &'static InfrastructureTexts),
    token: &str,
    view: NoticeChannelView,
    now: DateTime<Utc>,
) -> Channel {
    let test = Form::new(
        token,
        format!("test-{}", view.name),
        format!("/infrastructure/notices/{}/test", view.name),
        own.test_channel,
    );
    let again = || {
        Form::new(
            token,
            format!("again-{}", view.name),
            format!("/infrastructure/notices/{}/resend", view.name),
            own.send_again,
        )
        .about(view.name.clone())
    };
    let again = (view.failed > 0).then(again);
    let selector = Some(view.selector).filter(|selector| !selector.is_empty());
    let last = view.last.as_ref();
    Channel {
        kind: view.kind,
        scope: view.teams.into_iter().chain(view.environments).chain(selector).collect(),
        events: view.events.join(", "),
        pending: view.pending,
        failed: view.failed,
        again,
        at: last.and_then(|last| last.at).map(|at| Moment::new(t, at, now)),
        last: last.map(|last| standing(own, last.state)),
        answer: view.last.and_then(|last| last.answer),
        test: test.about(view.name.clone()),
        name: view.name,
    }
}

fn test_answer(own: &InfrastructureTexts, answer: ChannelTested) -> Tested {
    let ChannelTested { channel, ok, answer, hint } = answer;
    let state = if ok { "sent" } else { "failed" };
    Tested { channel, status: standing(own, state), answer, hint }
}

fn incident(
    t: &'static Texts,
    own: &InfrastructureTexts,
    view: IncidentView,
    now: DateTime<Utc>,
) -> Incident {
    let status = match (view.open, view.ended.is_some()) {
        (true, false) => Status::told(Tone::Bad, own.incident_open),
        (true, true) => Status::told(Tone::Waiting, own.incident_recovering),
        (false, _) => Status::told(Tone::Off, own.incident_over),
    };
    Incident {
        application: Link {
            address: address::application_of_text(&view.application),
            text: view.application,
        },
        environment: view.environment,
        status,
        blocker: view.about.blocker,
        at: Moment::new(t, view.opened_at, now),
        notices: view.notices.into_iter().map(|row| notice(own, row)).collect(),
    }
}

fn notice(own: &InfrastructureTexts, row: IncidentNotice) -> Notice {
    Notice { status: standing(own, row.state), channel: row.channel, answer: row.answer }
}

/// Sends a test to a channel as the API does, and shows what it answered.
pub(super) async fn test(
    State(state): State<ServerState>,
    Path(name): Path<NoticeChannelName>,
    posted: Posted,
) -> Result<Response, ApiError> {
    let (member, _) = sent(posted);
    let caller = member.session.caller.clone();
    let tested = notices::test(State(state.clone()), caller, Path(name)).await?.0;
    shown(&state, &member, After::default(), Some(tested)).await
}

/// Sends again what was given up for a channel.
pub(super) async fn resend(
    State(state): State<ServerState>,
    Path(name): Path<NoticeChannelName>,
    posted: Posted,
) -> Result<Redirect, ApiError> {
    let (member, _) = sent(posted);
    let caller = member.session.caller.clone();
    notices::resend_all(State(state.clone()), caller, Path(name)).await.map(drop)?;
    Ok(Redirect::to(Part::Notices.address()))
}
