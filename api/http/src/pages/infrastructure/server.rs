//! The server itself: its release and addresses, what it stores where and for how long, whether what it needs is there,
//! and what it has to do.

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use chrono::{DateTime, Utc};
use serde::Deserialize;
use slipway_types::Role;
use uuid::Uuid;

use super::cluster::Finding;
use super::facts::Facts;
use super::{Around, Part, Parts};
use crate::extract::Query;
use crate::pages::address;
use crate::pages::frame::{Frame, show};
use crate::pages::parts::{Moment, Status, Tone, size};
use crate::pages::texts::Texts;
use crate::pages::texts::infrastructure::InfrastructureTexts;
use crate::pages::visitor::Member;
use crate::problem::ApiError;
use crate::rest::list::PageQuery;
use crate::rest::server::{
    self, BuildPlaceView, DeadJobView, DepthView, MachineFindingView, ServerView, StorageView,
};
use crate::state::{Retention, ServerState};

/// Jobs that were given up on one page.
const ROWS_MAX: u32 = 25;

/// Where the page of given up jobs before ended.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct After {
    after: Option<Uuid>,
}

/// The server.
#[derive(Template)]
#[template(path = "infrastructure/server.html")]
struct ServerPage {
    t: &'static Texts,
    own: &'static InfrastructureTexts,
    frame: Frame,
    parts: Parts,
    about: Facts,
    used: Facts,
    measured: Option<Moment>,
    kept: Option<Facts>,
    limits: Facts,
    machine: Vec<Finding>,
    /// When machine and places were looked at.
    looked: Moment,
    places: Vec<Place>,
    queue: Vec<Depth>,
    dead: Vec<DeadJob>,
    next: Option<String>,
}

/// Where images are built.
struct Place {
    backend: &'static str,
    name: String,
    status: Status,
    detail: String,
}

/// Jobs of one kind in one state.
struct Depth {
    kind: String,
    status: Status,
    count: u64,
    oldest: Option<Moment>,
}

/// A job that was given up.
struct DeadJob {
    kind: &'static str,
    payload: String,
    attempt: u32,
    error: Option<String>,
    created: Moment,
}

/// What the server is and how it does.
pub(super) async fn page(
    State(state): State<ServerState>,
    member: Member,
    Query(after): Query<After>,
) -> Result<Response, ApiError> {
    let caller = || member.session.caller.clone();
    let shared = || State(state.clone());
    member.session.caller.on_server(Role::Reader)?;
    let about = server::show(shared(), caller()).await?.0;
    let seen = state.surroundings.seen(&state, &member.session.caller).await?;
    let storage = server::storage(shared(), caller()).await?.0;
    let queue = server::queue(shared(), caller()).await?.0.items;
    let wanted = PageQuery::new(Some(ROWS_MAX), after.after);
    let dead = server::dead_jobs(shared(), caller(), Query(wanted)).await?.0;
    let title = InfrastructureTexts::of(member.visitor.language).server;
    let Around { t, own, frame, parts } = Around::new(&member, Part::Server, title);
    let now = Utc::now();
    let mut machine: Vec<_> = seen.machine.iter().map(|found| machine_finding(own, found)).collect();
    machine.extend(seen.images.as_ref().map(|found| {
        let detail = found.error.clone().unwrap_or_else(|| found.address.clone());
        Finding::new(own, found.ok, "images", detail)
    }));
    show(&ServerPage {
        t,
        own,
        frame,
        parts,
        used: used_facts(own, &storage),
        measured: storage.measured_at.map(|at| Moment::new(t, at, now)),
        kept: about.retention.map(|kept| kept_facts(own, kept)),
        limits: limit_facts(own, &about),
        about: about_facts(t, own, about),
        machine,
        looked: Moment::new(t, seen.at, now),
        places: seen.places.iter().map(|place| place_row(own, place)).collect(),
        queue: queue.into_iter().map(|depth| depth_row(t, own, depth, now)).collect(),
        next: dead.next.map(|next| address::with_query(Part::Server.address(), [("after", next.as_str())])),
        dead: dead.items.into_iter().map(|job| dead_row(t, job, now)).collect(),
    })
}

fn about_facts(t: &Texts, own: &InfrastructureTexts, about: ServerView) -> Facts {
    Facts::default()
        .text(t.version, about.version.to_owned())
        .code(t.address, about.public_url)
        .code(own.registry, about.registry)
        .code(own.images_in, about.image_target)
        .text(own.database, about.database)
}

fn used_facts(own: &InfrastructureTexts, storage: &StorageView) -> Facts {
    let blobs = storage.blobs.map(|count| count.to_string());
    Facts::default().text(own.used_bytes, storage.bytes.map(size)).text(own.used_blobs, blobs)
}

fn kept_facts(own: &InfrastructureTexts, kept: Retention) -> Facts {
    let days = |count: u32| format!("{count} {}", own.days);
    let hours = |count: u32| format!("{count} {}", own.hours);
    let removal = if kept.only_says { own.only_says } else { own.removes };
    Facts::default()
        .text(own.kept_logs, days(kept.log_days))
        .text(own.kept_branches, days(kept.branch_days))
        .text(own.kept_steps, days(kept.cache_days))
        .text(own.kept_blobs, hours(kept.unused_blob_hours))
        .text(own.upkeep, removal.to_owned())
}

fn limit_facts(own: &InfrastructureTexts, about: &ServerView) -> Facts {
    let limits = &about.limits;
    let bytes = |bytes: usize| size(bytes as u64);
    Facts::default()
        .text(own.largest_push, size(limits.max_push_bytes))
        .text(own.largest_blob, size(limits.max_upload_bytes))
        .text(own.largest_manifest, bytes(limits.max_manifest_bytes))
        .text(own.largest_call, bytes(limits.max_api_body_bytes))
        .text(own.largest_webhook, bytes(limits.max_hook_body_bytes))
}

/// What is not needed and not there is no fault.
fn machine_finding(own: &InfrastructureTexts, found: &MachineFindingView) -> Finding {
    let finding = Finding::new(own, found.ok, found.check, found.detail.clone());
    if found.ok || found.needed {
        return finding;
    }
    Finding { status: Status::told(Tone::Off, own.absent), ..finding }
}

fn place_row(own: &InfrastructureTexts, place: &BuildPlaceView) -> Place {
    let status = match place.ok {
        true => Status::told(Tone::Good, own.holds),
        false => Status::told(Tone::Bad, own.fails),
    };
    Place { backend: place.backend, name: place.name.clone(), status, detail: place.detail.clone() }
}

fn depth_row(t: &Texts, own: &InfrastructureTexts, depth: DepthView, now: DateTime<Utc>) -> Depth {
    let status = match depth.state.as_str() {
        "ready" => Status::told(Tone::Waiting, own.job_ready),
        "leased" => Status::told(Tone::Busy, own.job_leased),
        _ => Status::told(Tone::Bad, own.job_dead),
    };
    let oldest = depth.oldest_due.map(|at| Moment::new(t, at, now));
    Depth { kind: depth.kind, status, count: depth.count, oldest }
}

fn dead_row(t: &Texts, job: DeadJobView, now: DateTime<Utc>) -> DeadJob {
    DeadJob {
        kind: job.kind,
        payload: job.payload.to_string(),
        attempt: job.attempt,
        error: job.last_error,
        created: Moment::new(t, job.created_at, now),
    }
}
