//! Add-ons: which there are, and how they stand.

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use chrono::{DateTime, Utc};
use slipway_types::Role;

use super::{Around, Part, Parts};
use crate::pages::frame::{Frame, show};
use crate::pages::parts::{Moment, Status, Tone};
use crate::pages::texts::Texts;
use crate::pages::texts::infrastructure::InfrastructureTexts;
use crate::pages::visitor::Member;
use crate::problem::ApiError;
use crate::rest::addons::{self, AddonView};
use crate::state::ServerState;

/// The add-ons.
#[derive(Template)]
#[template(path = "infrastructure/addons.html")]
struct AddonsPage {
    t: &'static Texts,
    own: &'static InfrastructureTexts,
    frame: Frame,
    parts: Parts,
    may_change: bool,
    rows: Vec<Row>,
}

/// An add-on.
struct Row {
    name: String,
    page: String,
    status: Status,
    reason: Option<String>,
    definition: String,
    environment: String,
    owner: String,
    team: String,
    protected: bool,
    /// How many are bound to it, as far as the visitor may see them.
    bindings: usize,
    changed: Moment,
}

/// An add-on's page.
pub(super) fn addon_page(name: &str) -> String {
    format!("/infrastructure/addons/{name}")
}

/// How an add-on stands, by its state's word.
pub(super) fn standing(own: &InfrastructureTexts, state: &str) -> Status {
    let (tone, word) = match state {
        "applying" => (Tone::Busy, own.addon_applying),
        "ready" => (Tone::Good, own.addon_ready),
        "degraded" => (Tone::Bad, own.addon_degraded),
        "failed" => (Tone::Bad, own.addon_failed),
        "release_failed" => (Tone::Bad, own.addon_release_failed),
        "releasing" => (Tone::Busy, own.addon_releasing),
        _ => (Tone::Off, own.addon_released),
    };
    Status::told(tone, word)
}

/// All add-ons that are not released.
pub(super) async fn page(State(state): State<ServerState>, member: Member) -> Result<Response, ApiError> {
    let caller = &member.session.caller;
    let items = addons::all(&state, caller).await?;
    let title = InfrastructureTexts::of(member.visitor.language).addons;
    let Around { t, own, frame, parts } = Around::new(&member, Part::Addons, title);
    let now = Utc::now();
    show(&AddonsPage {
        t,
        own,
        frame,
        parts,
        may_change: caller.may(Role::Operator, None),
        rows: items.into_iter().map(|view| row(t, own, view, now)).collect(),
    })
}

fn row(t: &Texts, own: &InfrastructureTexts, view: AddonView, now: DateTime<Utc>) -> Row {
    Row {
        page: addon_page(&view.name),
        status: standing(own, view.state),
        definition: format!("{} {}", view.definition, view.version),
        bindings: view.bindings.len(),
        changed: Moment::new(t, view.changed_at, now),
        name: view.name,
        reason: view.reason,
        environment: view.environment,
        owner: view.owner,
        team: view.team,
        protected: view.protected,
    }
}
