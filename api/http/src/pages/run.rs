//! A run: its stages and components, what took how long, what waits for what, what was reused.

use askama::Template;
use axum::extract::State;
use axum::response::{IntoResponse, Redirect, Response};
use chrono::{DateTime, Utc};
use slipway_records::plan::ComponentPlan;
use slipway_records::{Application, Build, DeclaredCheck, Run, Source, SourceKind};
use slipway_types::state::{BuildState, RunState};
use slipway_types::{ApplicationName, Fault, Role};

use super::address;
use super::bundle_rows::{author_name, link_of_commit};
use super::forms::Posted;
use super::frame::{Frame, Section, show};
use super::graph::Drawing;
use super::log::log_address;
use super::log_of::LogOf;
use super::parts::{Moment, ShortDigest, Status};
use super::run_graph::{Known, slowest, slowest_stage};
use super::tabs::{Link, Tab, Tabs};
use super::texts::Texts;
use super::timeline::{Period, Timeline};
use super::visitor::Member;
use crate::extract::Path;
use crate::problem::ApiError;
use crate::rest::run_actions;
use crate::rest::run_views::{RunName, find_run};
use crate::state::ServerState;

/// A run.
#[derive(Template)]
#[template(path = "run.html")]
struct RunPage {
    t: &'static Texts,
    frame: Frame,
    tabs: Tabs,
    title: String,
    status: Status,
    reason: Option<String>,
    failure: Option<Failure>,
    facts: Facts,
    /// What waits for what.
    drawing: Option<Drawing>,
    timeline: Option<Timeline>,
    slowest: Option<String>,
    builds: Vec<BuildRow>,
    checks: Vec<CheckRow>,
    log: String,
    address: String,
    may_cancel: bool,
    may_retry: bool,
}

/// Why a run failed, and what to do.
struct Failure {
    step: String,
    message: String,
    hint: Option<String>,
}

/// What a run is of.
struct Facts {
    subject: String,
    author: String,
    actor: String,
    git_ref: String,
    commit: String,
    commit_short: String,
    /// Where its forge shows it.
    commit_at: Option<String>,
    created: Moment,
    took: Option<String>,
    /// What it published, and where that is shown.
    published: Option<Link>,
    is_fresh: bool,
}

/// One component's build.
struct BuildRow {
    component: String,
    kit: String,
    status: Status,
    reason: Option<String>,
    hint: Option<String>,
    needs: Vec<String>,
    notes: Vec<String>,
    attempt: u32,
    backend: Option<String>,
    took: Option<String>,
    stages: Vec<Stage>,
    images: Vec<ShortDigest>,
    /// Absent where nothing is built: then nothing is written either.
    log: Option<String>,
}

/// A stage of a build, and how long it took.
struct Stage {
    name: String,
    took: String,
}

/// A check of what was published.
struct CheckRow {
    name: String,
    status: Status,
    reason: Option<String>,
    log: Option<String>,
}

/// The run as it stands; its parts change by themselves where scripts run.
pub(super) async fn page(
    State(state): State<ServerState>,
    member: Member,
    Path((name, number)): Path<(ApplicationName, i64)>,
) -> Result<Response, ApiError> {
    let (t, caller) = (member.visitor.texts(), &member.session.caller);
    let mut read = state.records.read().await?;
    let run = RunName::Number(name.clone(), number);
    let (run, application) = find_run(caller, read.as_mut(), &run, Role::Reader).await?;
    let builds = read.builds_of(run.id).await?;
    let checks = match &run.state {
        RunState::Done { bundle: Some(bundle), .. } => read.declared_checks_of(*bundle).await?,
        _ => Vec::new(),
    };
    let source = read.source_get(application.source_id).await?;
    drop(read);
    let now = Utc::now();
    let is_live = !run.state.is_terminal();
    let is_developer = caller.may(Role::Developer, Some(application.id));
    let here = address::run(&name, number);
    let frame = Frame::new(&member.visitor, Section::Applications, t.run_of(&name.to_string(), number));
    show(&RunPage {
        t,
        frame: if is_live { frame.live(format!("{here}/events")) } else { frame },
        tabs: Tabs::new(&name, Tab::Runs),
        title: format!("#{number}"),
        status: Status::of(t, run.state.word()),
        reason: run.state.reason(),
        failure: failure(&run),
        facts: facts(t, (&application, source.as_ref()), &run, now),
        drawing: Known { run: &run, builds: &builds, checks: &checks }.drawing(t, now),
        timeline: timeline(t, &run, &builds, now),
        slowest: slowest(&builds).map(|(build, took)| {
            let stage = slowest_stage(build).map(|(name, took)| format!(" · {name} {}", t.took(took)));
            t.slowest(build.component.as_str(), &t.took(took)) + &stage.unwrap_or_default()
        }),
        builds: builds.iter().map(|build| build_row(t, &name, number, build, now)).collect(),
        checks: checks.iter().map(|check| check_row(t, &name, number, check)).collect(),
        log: log_address(&name, number, &LogOf::Run),
        address: here,
        may_cancel: is_developer && is_live && !matches!(run.state, RunState::Cancelling { .. }),
        may_retry: is_developer && !is_live && !matches!(run.state, RunState::Done { .. }),
    })
}

fn failure(run: &Run) -> Option<Failure> {
    match &run.state {
        RunState::Failed { step, fault: Fault { message, hint, .. } } => {
            Some(Failure { step: step.to_string(), message: message.clone(), hint: hint.clone() })
        }
        RunState::TimedOut { step, which } => {
            Some(Failure { step: step.to_string(), message: which.clone(), hint: None })
        }
        _ => None,
    }
}

fn facts(
    t: &'static Texts,
    (application, source): (&Application, Option<&Source>),
    run: &Run,
    now: DateTime<Utc>,
) -> Facts {
    let at_forge = matches!(source.map(|source| &source.kind), Some(SourceKind::Https { .. }));
    let published = match &run.state {
        RunState::Done { bundle: Some(_), version } => {
            Some(Link { text: version.to_string(), address: address::bundle(&application.name, version) })
        }
        RunState::Done { bundle: None, version } => {
            Some(Link { text: version.to_string(), address: address::packages(&application.name) })
        }
        _ => None,
    };
    let ended = run.finished_at.unwrap_or(now);
    Facts {
        subject: run.subject.clone(),
        author: author_name(&run.author),
        actor: run.actor.clone(),
        git_ref: run.git_ref.short().to_owned(),
        commit: run.commit.to_string(),
        commit_short: run.commit.short().to_owned(),
        commit_at: at_forge.then(|| link_of_commit(application, source, &run.commit).address),
        created: Moment::new(t, run.created_at, now),
        took: run.started_at.map(|began| t.took(ended - began)),
        published,
        is_fresh: run.fresh,
    }
}

/// When what was under way, as far as it has begun.
fn timeline(t: &'static Texts, run: &Run, builds: &[Build], now: DateTime<Utc>) -> Option<Timeline> {
    let began = run.started_at?;
    let ended = run.finished_at.unwrap_or(now);
    let first = builds.iter().filter_map(|build| build.started_at).min();
    let last = builds.iter().filter_map(|build| build.finished_at).max();
    let mut periods = vec![Period::new(t.planning, "off", began, first.unwrap_or(ended))];
    for build in builds {
        if let Some(began) = build.started_at {
            let tone = Status::of(t, build.state.word()).tone();
            let ended = build.finished_at.unwrap_or(ended);
            periods.push(Period::new(build.component.as_str(), tone, began, ended));
        }
    }
    let packages = matches!(run.state, RunState::Packaging | RunState::Done { .. });
    if let Some(began) = last.filter(|_| packages) {
        periods.push(Period::new(t.packaging, "off", began, ended));
    }
    Some(Timeline::new(t, (began, ended), periods))
}

fn build_row(
    t: &'static Texts,
    application: &ApplicationName,
    number: i64,
    build: &Build,
    now: DateTime<Utc>,
) -> BuildRow {
    // What another release wrote may not be read.
    let plan = serde_json::from_value::<ComponentPlan>(build.plan.clone()).ok();
    let needs = plan.as_ref().map(|plan| plan.needs.iter().map(ToString::to_string).collect());
    let images = build.state.images().unwrap_or_default();
    let makes_image = plan.as_ref().is_none_or(|plan| plan.image.is_some());
    BuildRow {
        component: build.component.to_string(),
        kit: build.kit.clone(),
        status: Status::of(t, build.state.word()),
        reason: build.state.reason(),
        hint: match &build.state {
            BuildState::Failed { fault } => fault.hint.clone(),
            _ => None,
        },
        needs: needs.unwrap_or_default(),
        notes: plan.map(|plan| plan.notes()).unwrap_or_default(),
        attempt: build.attempt,
        backend: build.backend.clone(),
        took: build.started_at.map(|began| t.took(build.finished_at.unwrap_or(now) - began)),
        stages: stages(t, build),
        images: images.iter().map(|image| ShortDigest::new(t, &image.digest)).collect(),
        log: makes_image.then(|| log_address(application, number, &LogOf::Build(build.component.clone()))),
    }
}

fn stages(t: &'static Texts, build: &Build) -> Vec<Stage> {
    let stages = build.stages_ms.as_object().into_iter().flatten();
    let took = |ms: i64| t.took(chrono::TimeDelta::milliseconds(ms));
    stages.filter_map(|(name, ms)| Some(Stage { name: name.clone(), took: took(ms.as_i64()?) })).collect()
}

fn check_row(
    t: &'static Texts,
    application: &ApplicationName,
    number: i64,
    check: &DeclaredCheck,
) -> CheckRow {
    let declared = check.name.as_str().strip_prefix(slipway_types::name::SOURCE_CHECK_PREFIX);
    let what = declared.and_then(|name| name.parse().ok()).map(LogOf::Check);
    CheckRow {
        name: check.name.to_string(),
        status: Status::of(t, check.state.word()),
        reason: check.state.reason(),
        log: what.map(|what| log_address(application, number, &what)),
    }
}

/// Stops the run as the API does, and leads back to it.
pub(super) async fn cancel(
    State(state): State<ServerState>,
    Path((name, number)): Path<(ApplicationName, i64)>,
    posted: Posted,
) -> Result<Response, ApiError> {
    let run = RunName::Number(name.clone(), number);
    drop(run_actions::cancel(State(state), posted.session.caller, Path(run)).await?);
    Ok(Redirect::to(&address::run(&name, number)).into_response())
}

/// Repeats the run as the API does, and leads to the new one.
pub(super) async fn retry(
    State(state): State<ServerState>,
    Path((name, number)): Path<(ApplicationName, i64)>,
    posted: Posted,
) -> Result<Response, ApiError> {
    let run = RunName::Number(name.clone(), number);
    let (_, again) = run_actions::retry(State(state), posted.session.caller, Path(run)).await?;
    Ok(Redirect::to(&address::run(&name, again.0.number)).into_response())
}

/// Tells when the run changed.
pub(super) async fn events(
    State(state): State<ServerState>,
    member: Member,
    Path((name, number)): Path<(ApplicationName, i64)>,
) -> Result<impl IntoResponse, ApiError> {
    let run = RunName::Number(name, number);
    crate::rest::events::stream(State(state), member.session.caller, Path(run)).await
}
