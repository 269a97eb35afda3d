//! A source: how its forge tells of pushes, what it received, and what was refused.

use std::collections::HashMap;

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use chrono::{DateTime, Utc};
use serde::Deserialize;
use slipway_records::Read;
use slipway_types::id::{DeliveryId, RunId};
use slipway_types::name::SourceName;
use slipway_types::{ApplicationName, Role};
use uuid::Uuid;

use super::cluster::Finding;
use super::facts::Facts;
use super::form::{Form, Refused, confirmed};
use super::sources::{source_page, standing};
use super::{Around, Part, Parts, led, sent};
use crate::auth::Caller;
use crate::extract::{Path, Query};
use crate::pages::address;
use crate::pages::forms::{Fields, Posted};
use crate::pages::frame::{Frame, show_as};
use crate::pages::parts::{Command, Moment, Status, Tone};
use crate::pages::tabs::Link;
use crate::pages::texts::Texts;
use crate::pages::texts::infrastructure::InfrastructureTexts;
use crate::pages::visitor::Member;
use crate::problem::ApiError;
use crate::rest::applications::WebhookUrls;
use crate::rest::list::PageQuery;
use crate::rest::sources::{self, DeliveryView, FindingView, RefusalView, SourceView};
use crate::rest::{names_of, redeliveries};
use crate::state::ServerState;

/// Deliveries on one page.
const ROWS_MAX: u32 = 25;
/// Digits of a commit that are shown.
const COMMIT_DIGITS: usize = 8;
/// Name of the form that makes a new secret.
const ROTATE: &str = "rotate";
/// Name of the forms that judge a delivery anew.
const REDELIVER: &str = "redeliver";

/// Where the page of deliveries before ended.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct After {
    after: Option<Uuid>,
}

/// A source.
#[derive(Template)]
#[template(path = "infrastructure/source.html")]
struct SourcePage {
    t: &'static Texts,
    own: &'static InfrastructureTexts,
    frame: Frame,
    parts: Parts,
    name: String,
    status: Status,
    error: Option<String>,
    swept: Option<Moment>,
    facts: Facts,
    applications: Vec<Link>,
    check: Option<Form>,
    findings: Vec<Finding>,
    /// For each forge; none for Slipway's own remote, which needs none.
    setups: Vec<Setup>,
    /// Shown this once.
    secret: Option<Command>,
    rotate: Option<Form>,
    /// What was refused of judging a delivery anew.
    refusal: Option<String>,
    deliveries: Vec<Delivery>,
    next: Option<String>,
    refusals: Option<Refusals>,
}

/// How a forge is told to tell of pushes.
struct Setup {
    forge: &'static str,
    address: Command,
    steps: &'static str,
}

/// What it received.
struct Delivery {
    status: Status,
    reason: Option<String>,
    origin: &'static str,
    event: String,
    git_ref: Option<String>,
    commit: Option<String>,
    actor: String,
    at: Moment,
    runs: Vec<Link>,
    again: Option<Form>,
}

/// Requests that proved nothing.
struct Refusals {
    total: u64,
    rows: Vec<Refusal>,
}

struct Refusal {
    at: Moment,
    address: String,
    reason: String,
}

/// What has just come of a form.
#[derive(Default)]
struct Outcome {
    findings: Vec<FindingView>,
    secret: Option<String>,
    refused: Option<Refused>,
}

/// What a visitor may do with a source.
struct Rights {
    develops: bool,
    administers: bool,
}

/// The source of that name.
pub(super) async fn page(
    State(state): State<ServerState>,
    Path(name): Path<SourceName>,
    Query(after): Query<After>,
    member: Member,
) -> Result<Response, ApiError> {
    shown(&state, &member, &name, after, Outcome::default()).await
}

async fn shown(
    state: &ServerState,
    member: &Member,
    name: &SourceName,
    after: After,
    came: Outcome,
) -> Result<Response, ApiError> {
    let caller = &member.session.caller;
    let path = || Path(name.clone());
    let view = sources::show(State(state.clone()), caller.clone(), path()).await?.0;
    let wanted = Query(PageQuery::new(Some(ROWS_MAX), after.after));
    let received = sources::deliveries(State(state.clone()), caller.clone(), path(), wanted).await?.0;
    let mut read = state.records.read().await?;
    let rights = Rights {
        develops: sources::reach(caller, read.as_mut(), name, Role::Developer).await.is_ok(),
        administers: sources::reach(caller, read.as_mut(), name, Role::Admin).await.is_ok(),
    };
    let runs = runs_of(caller, read.as_mut(), &received.items).await?;
    drop(read);
    let refused = match rights.develops {
        true => Some(sources::refusals(State(state.clone()), caller.clone(), path()).await?.0),
        false => None,
    };
    let here = source_page(&view.name);
    let Around { t, own, frame, parts } =
        Around::new(member, Part::Sources, view.name.clone()).at(here.clone());
    let now = Utc::now();
    let token = &member.session.form_token;
    let Outcome { findings, secret, refused: refusal } = came;
    let rotate = || {
        Form::new(token, ROTATE, format!("{here}/webhook-secret"), own.new_webhook_secret)
            .confirm(own.new_webhook_secret_confirm)
            .refused(own, Refused::error(refusal.as_ref(), ROTATE))
    };
    let is_mirrored = view.kind == "https";
    let again = |id: &str| {
        let action = format!("{here}/deliveries/{id}/redeliver");
        rights.develops.then(|| Form::new(token, REDELIVER, action, own.redeliver).about(id))
    };
    let page = SourcePage {
        t,
        own,
        parts,
        frame,
        status: standing(own, &view),
        swept: view.swept_at.map(|at| Moment::new(t, at, now)),
        facts: facts_of(t, own, &view),
        applications: view.applications.iter().map(|name| application_link(name.as_str())).collect(),
        check: rights
            .develops
            .then(|| Form::new(token, "check", format!("{here}/check"), own.check_source).main()),
        findings: findings
            .into_iter()
            .map(|found| Finding::new(own, found.ok, found.check, found.detail))
            .collect(),
        secret: secret.map(|secret| Command::new(t, secret)),
        rotate: (rights.administers && is_mirrored).then(rotate),
        refusal: Refused::error(refusal.as_ref(), REDELIVER).map(|error| error.detail().to_owned()),
        next: received.next.map(|next| address::with_query(&here, [("after", next.as_str())])),
        deliveries: received
            .items
            .into_iter()
            .map(|row| delivery(t, own, (&runs, now), again(&row.id), row))
            .collect(),
        refusals: refused.map(|refused| Refusals {
            total: refused.total,
            rows: refused.items.into_iter().map(|row| refusal_row(t, row, now)).collect(),
        }),
        error: view.last_error,
        setups: if is_mirrored { setups(t, own, view.webhook_urls) } else { Vec::new() },
        name: view.name,
    };
    show_as(Refused::status(refusal.as_ref()), &page)
}

fn application_link(name: &str) -> Link {
    Link { text: name.to_owned(), address: address::application_of_text(name) }
}

fn facts_of(t: &Texts, own: &InfrastructureTexts, view: &SourceView) -> Facts {
    let is_mirrored = view.kind == "https";
    Facts::default()
        .code(t.mirrored_from, view.url.clone())
        .text(own.kind, (!is_mirrored).then(|| t.own_remote.to_owned()))
        .code(own.credential, view.credential.clone())
        .text(
            own.compared_every,
            is_mirrored.then(|| t.took(chrono::TimeDelta::seconds(view.poll_interval_s.into()))),
        )
}

/// How each forge is set up, at its own address.
fn setups(t: &Texts, own: &InfrastructureTexts, urls: WebhookUrls) -> Vec<Setup> {
    let WebhookUrls { github, gitlab, gitea, generic } = urls;
    [
        ("GitHub", github, own.setup_github),
        ("GitLab", gitlab, own.setup_gitlab),
        ("Gitea, Forgejo", gitea, own.setup_gitea),
        ("HMAC-SHA256", generic, own.setup_generic),
    ]
    .into_iter()
    .map(|(forge, address, steps)| Setup { forge, address: Command::new(t, address), steps })
    .collect()
}

/// The runs that serve deliveries, by their ids. A source may have fed an application that the visitor may not see.
async fn runs_of(
    caller: &Caller,
    read: &mut dyn Read,
    deliveries: &[DeliveryView],
) -> Result<HashMap<String, Link>, ApiError> {
    let ids: Vec<&String> = deliveries.iter().flat_map(|delivery| &delivery.runs).collect();
    let mut found = Vec::new();
    for id in ids {
        let known = match id.parse::<RunId>() {
            Ok(run) => read.run_get(run).await?,
            Err(_) => None,
        };
        let known = known.filter(|run| caller.may(Role::Reader, Some(run.application_id)));
        found.extend(known.map(|run| (id.clone(), run)));
    }
    let names = names_of(read, found.iter().map(|(_, run)| run.application_id)).await?;
    let link = |(id, run): (String, slipway_records::Run)| {
        let name = names.get(&run.application_id)?;
        let application = name.parse::<ApplicationName>().ok()?;
        let link =
            Link { text: format!("{name} #{}", run.number), address: address::run(&application, run.number) };
        Some((id, link))
    };
    Ok(found.into_iter().filter_map(link).collect())
}

fn delivery_status(own: &InfrastructureTexts, state: &str) -> Status {
    let (tone, word) = match state {
        "planned" => (Tone::Good, own.delivery_planned),
        "failed" => (Tone::Bad, own.delivery_failed),
        "ignored" => (Tone::Off, own.delivery_ignored),
        _ => (Tone::Waiting, own.delivery_received),
    };
    Status::told(tone, word)
}

fn delivery(
    t: &Texts,
    own: &InfrastructureTexts,
    (runs, now): (&HashMap<String, Link>, DateTime<Utc>),
    again: Option<Form>,
    row: DeliveryView,
) -> Delivery {
    Delivery {
        status: delivery_status(own, row.state),
        runs: row.runs.iter().filter_map(|id| runs.get(id).cloned()).collect(),
        // What names no branch or tag, or is not judged yet, is not judged anew.
        again: again.filter(|_| row.r#ref.is_some() && row.state != "received"),
        reason: row.reason,
        origin: row.origin,
        event: row.event,
        git_ref: row.r#ref,
        commit: row.commit.map(|commit| commit.chars().take(COMMIT_DIGITS).collect()),
        actor: row.actor,
        at: Moment::new(t, row.received_at, now),
    }
}

fn refusal_row(t: &Texts, row: RefusalView, now: DateTime<Utc>) -> Refusal {
    Refusal { at: Moment::new(t, row.at, now), address: row.address, reason: row.reason }
}

/// Looks at the source as the API does, and shows what was found.
pub(super) async fn check(
    State(state): State<ServerState>,
    Path(name): Path<SourceName>,
    posted: Posted,
) -> Result<Response, ApiError> {
    let (member, _) = sent(posted);
    let caller = member.session.caller.clone();
    let found = sources::check(State(state.clone()), caller, Path(name.clone())).await?.0;
    let came = Outcome { findings: found.items, ..Outcome::default() };
    shown(&state, &member, &name, After::default(), came).await
}

async fn rotated(
    state: &ServerState,
    member: &Member,
    name: &SourceName,
    fields: &Fields,
) -> Result<String, ApiError> {
    confirmed(fields)?;
    let caller = member.session.caller.clone();
    let made = sources::rotate_webhook_secret(State(state.clone()), caller, Path(name.clone())).await?;
    Ok(made.0.webhook_secret)
}

/// Makes a new webhook secret, and shows it this once.
pub(super) async fn rotate(
    State(state): State<ServerState>,
    Path(name): Path<SourceName>,
    posted: Posted,
) -> Result<Response, ApiError> {
    let (member, fields) = sent(posted);
    let came = match rotated(&state, &member, &name, &fields).await {
        Ok(secret) => Outcome { secret: Some(secret), ..Outcome::default() },
        Err(error) => Outcome { refused: Some(Refused::of(ROTATE, error, fields)?), ..Outcome::default() },
    };
    shown(&state, &member, &name, After::default(), came).await
}

/// Judges a delivery anew.
pub(super) async fn redeliver(
    State(state): State<ServerState>,
    Path((name, delivery)): Path<(SourceName, DeliveryId)>,
    posted: Posted,
) -> Result<Response, ApiError> {
    let (member, fields) = sent(posted);
    let caller = member.session.caller.clone();
    let path = Path((name.clone(), delivery));
    match redeliveries::redeliver(State(state.clone()), caller, path).await {
        Ok(_) => Ok(led(&source_page(name.as_str()))),
        Err(error) => {
            let refused = Some(Refused::of(REDELIVER, error, fields)?);
            let came = Outcome { refused, ..Outcome::default() };
            shown(&state, &member, &name, After::default(), came).await
        }
    }
}
