//! Starting, cancelling and repeating runs.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::json;
use slipway_records::pipeline::{Moved, run_move};
use slipway_records::{
    Application, Delivery, JobPayload, NewAuditEntry, NewDelivery, NewJob, NewRun, Origin, Page, Read, Run,
    RunFilter, Write,
};
use slipway_types::id::{ApplicationId, DeliveryId};
use slipway_types::state::{DeliveryState, RunEvent, RunState};
use slipway_types::{ApplicationName, CommitId, GitRef, Role};
use tokio::time::Instant;
use utoipa::ToSchema;

use super::checks::{Stopped, stop};
use super::run_views::{RunName, RunView, find_run, run_view};
use super::sources::DeliveryView;
use crate::auth::Caller;
use crate::extract::{Body, Path};
use crate::problem::ApiError;
use crate::state::ServerState;

/// How often the start of a run looks whether it was made.
const START_POLL: Duration = Duration::from_millis(50);

/// A run to be started.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct StartRun {
    #[schema(value_type = String)]
    application: ApplicationName,
    /// Full ref, or the name of a branch or tag.
    r#ref: String,
    /// A commit reachable from the ref; its head if absent.
    #[schema(value_type = Option<String>)]
    commit: Option<CommitId>,
    /// Reuse nothing; repeats the run if the commit has one.
    #[serde(default)]
    fresh: bool,
}

/// What was started.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Started {
    /// The run, once it is made.
    run: Option<RunView>,
    /// The request for it, where the run had to be made.
    delivery: Option<DeliveryView>,
}

/// Starts a run, or answers with the one the commit has.
#[utoipa::path(post, path = "/api/v1/runs", tag = "runs", request_body = StartRun,
    responses((status = 200, body = Started), (status = 201, body = Started), (status = 202, body = Started)))]
pub(crate) async fn start(
    State(state): State<ServerState>,
    caller: Caller,
    Body(wanted): Body<StartRun>,
) -> Result<(StatusCode, Json<Started>), ApiError> {
    let mut read = state.records.read().await?;
    let application = caller.application(read.as_mut(), &wanted.application, Role::Developer).await?;
    let (git_ref, commit) = resolve(read.as_mut(), &application, &wanted.r#ref, wanted.commit).await?;
    let earlier = match &commit {
        Some(commit) => latest(read.as_mut(), application.id, &git_ref, commit).await?,
        None => None,
    };
    drop(read);
    match earlier {
        Some(run) if wanted.fresh && run.state.is_terminal() => {
            let run = repeat(&state, &run, caller.name(), true).await?;
            Ok((StatusCode::CREATED, Json(started(&run, &application))))
        }
        Some(run) => Ok((StatusCode::OK, Json(started(&run, &application)))),
        None => {
            let delivery = NewDelivery {
                source_id: application.source_id,
                origin: Origin::Manual,
                external_id: None,
                event: "start".to_owned(),
                git_ref: Some(git_ref),
                commit,
                actor: caller.name().to_owned(),
                fresh: wanted.fresh,
                state: DeliveryState::Received,
            };
            deliver(&state, delivery, &application).await
        }
    }
}

fn started(run: &Run, application: &Application) -> Started {
    Started { run: Some(run_view(run, application.name.to_string())), delivery: None }
}

/// Commits the delivery and waits a moment for its run.
async fn deliver(
    state: &ServerState,
    delivery: NewDelivery,
    application: &Application,
) -> Result<(StatusCode, Json<Started>), ApiError> {
    let mut tx = state.records.begin().await?;
    tx.audit(NewAuditEntry {
        actor: delivery.actor.clone(),
        action: "run.start",
        subject: format!("application/{}", application.name),
        detail: json!({"ref": delivery.git_ref, "commit": delivery.commit, "fresh": delivery.fresh}),
    })
    .await?;
    let delivery = tx.delivery_insert(delivery).await?.into_inner();
    let job = NewJob::new(JobPayload::Deliver { delivery: delivery.id }, Some(application.id));
    tx.job_enqueue(job).await?;
    tx.commit().await?;
    let delivery = settled(state, delivery.id).await?.unwrap_or(delivery);
    match &delivery.state {
        DeliveryState::Failed { fault } => return Err(ApiError::of_fault(fault.clone())),
        DeliveryState::Ignored { reason } => {
            return Err(ApiError::conflict("ignored", format!("nothing to build: {reason}")));
        }
        DeliveryState::Received | DeliveryState::Planned { .. } => {}
    }
    let mut read = state.records.read().await?;
    let mut own = None;
    if let DeliveryState::Planned { runs } = &delivery.state {
        for id in runs {
            let run = read.run_get(*id).await?;
            own = run.filter(|run| run.application_id == application.id).or(own);
        }
    }
    let status = if own.is_some() { StatusCode::CREATED } else { StatusCode::ACCEPTED };
    let run = own.map(|run| run_view(&run, application.name.to_string()));
    Ok((status, Json(Started { run, delivery: Some(DeliveryView::from(&delivery)) })))
}

/// The delivery once it is settled; `None` if that takes longer than `start_wait_ms`.
async fn settled(state: &ServerState, id: DeliveryId) -> Result<Option<Delivery>, ApiError> {
    let deadline = Instant::now() + Duration::from_millis(state.options.start_wait_ms);
    while Instant::now() < deadline {
        let delivery = state.records.read().await?.delivery_get(id).await?;
        if let Some(delivery) = delivery.filter(|delivery| delivery.state.is_terminal()) {
            return Ok(Some(delivery));
        }
        tokio::time::sleep(START_POLL).await;
    }
    Ok(None)
}

/// The full ref that was meant, and its commit where the records know it.
pub(crate) async fn resolve(
    read: &mut dyn Read,
    application: &Application,
    text: &str,
    commit: Option<CommitId>,
) -> Result<(GitRef, Option<CommitId>), ApiError> {
    let candidates = if text.starts_with("refs/") {
        vec![text.to_owned()]
    } else {
        vec![format!("refs/heads/{text}"), format!("refs/tags/{text}")]
    };
    let mut named = Vec::new();
    for candidate in candidates {
        let candidate: GitRef =
            candidate.parse().map_err(|error| ApiError::bad_request("bad_body", format!("ref: {error}")))?;
        named.push(candidate);
    }
    let refs = read.git_refs(application.source_id).await?;
    let found = named.iter().find_map(|name| refs.iter().find(|row| row.name == *name));
    match found {
        Some(row) => Ok((row.name.clone(), Some(commit.unwrap_or_else(|| row.commit.clone())))),
        // A mirror may not have seen it yet: the delivery's job looks.
        None if !refs.is_empty() || commit.is_some() => {
            let detail = format!("`{}` has no branch or tag `{text}`", application.name);
            Err(ApiError::new(StatusCode::NOT_FOUND, "no_such_ref", detail))
        }
        None => Ok((named.swap_remove(0), None)),
    }
}

/// The newest run of (application, ref, commit).
async fn latest(
    read: &mut dyn Read,
    application: ApplicationId,
    git_ref: &GitRef,
    commit: &CommitId,
) -> Result<Option<Run>, ApiError> {
    let filter = RunFilter {
        application: Some(application),
        git_ref: Some(git_ref.clone()),
        commit: Some(commit.into()),
        states: Vec::new(),
    };
    Ok(read.run_list(&filter, Page::first(1)).await?.into_iter().next())
}

/// A new run that repeats `run`; a live one of the same commit is adopted.
async fn repeat(state: &ServerState, run: &Run, by: &str, fresh: bool) -> Result<Run, ApiError> {
    let mut tx = state.records.begin().await?;
    if let Some(live) = latest(tx.as_mut(), run.application_id, &run.git_ref, &run.commit).await?
        && !live.state.is_terminal()
    {
        return Ok(live);
    }
    let again = insert_again(tx.as_mut(), run, by, fresh).await?;
    tx.audit(NewAuditEntry {
        actor: by.to_owned(),
        action: "run.retry",
        subject: format!("run/{}", again.id),
        detail: json!({"of": run.id, "fresh": fresh}),
    })
    .await?;
    tx.commit().await?;
    Ok(again)
}

async fn insert_again(tx: &mut dyn Write, run: &Run, by: &str, fresh: bool) -> Result<Run, ApiError> {
    let again = NewRun {
        application_id: run.application_id,
        git_ref: run.git_ref.clone(),
        commit: run.commit.clone(),
        actor: by.to_owned(),
        subject: run.subject.clone(),
        author: run.author.clone(),
        committed_at: run.committed_at,
        delivery_id: None,
        retry_of: Some(run.id),
        fresh,
    };
    let again = tx.run_insert(again).await?.into_inner();
    tx.job_enqueue(NewJob::new(JobPayload::Plan { run: again.id }, Some(again.application_id))).await?;
    Ok(again)
}

/// Repeats an ended run; builds that ended well are adopted.
#[utoipa::path(post, path = "/api/v1/runs/{run}/retry", tag = "runs", params(("run" = String, Path)),
    responses((status = 201, body = RunView)))]
pub(crate) async fn retry(
    State(state): State<ServerState>,
    caller: Caller,
    Path(name): Path<RunName>,
) -> Result<(StatusCode, Json<RunView>), ApiError> {
    let mut read = state.records.read().await?;
    let (run, application) = find_run(&caller, read.as_mut(), &name, Role::Developer).await?;
    drop(read);
    if !run.state.is_terminal() {
        let detail = format!("run {}#{} is still {}", application.name, run.number, run.state.word());
        return Err(ApiError::conflict("run_is_live", detail).hint("wait for its end, or cancel it"));
    }
    if matches!(run.state, RunState::Done { .. }) {
        let detail = format!("run {}#{} is done: there is nothing to retry", application.name, run.number);
        return Err(ApiError::conflict("run_is_done", detail)
            .hint("to build it anew: `slipway run start --app NAME --ref REF --fresh`"));
    }
    let again = repeat(&state, &run, caller.name(), run.fresh).await?;
    Ok((StatusCode::CREATED, Json(run_view(&again, application.name.to_string()))))
}

/// Stops the checks that still go on over what the run published. Who runs them sees it.
async fn cancel_checks(tx: &mut dyn Write, run: &Run, caller: &Caller) -> Result<Stopped, ApiError> {
    let RunState::Done { bundle: Some(bundle), .. } = run.state else { return Ok(Stopped::Nothing) };
    let mut stopped = Stopped::Nothing;
    for check in tx.declared_checks_of(bundle).await? {
        let entry = (format!("check/{}", check.id), json!({"check": check.name, "run": run.id}));
        match stop(tx, check, caller, entry).await?.0 {
            Stopped::Nothing => {}
            Stopped::Outrun => return Ok(Stopped::Outrun),
            Stopped::Some => stopped = Stopped::Some,
        }
    }
    Ok(stopped)
}

/// Stops a live run; of one that is done, the checks that still go on.
#[utoipa::path(post, path = "/api/v1/runs/{run}/cancel", tag = "runs", params(("run" = String, Path)),
    responses((status = 202, body = RunView)))]
pub(crate) async fn cancel(
    State(state): State<ServerState>,
    caller: Caller,
    Path(name): Path<RunName>,
) -> Result<(StatusCode, Json<RunView>), ApiError> {
    loop {
        let mut tx = state.records.begin().await?;
        let (mut run, application) = find_run(&caller, tx.as_mut(), &name, Role::Developer).await?;
        if run.state.is_terminal() {
            match cancel_checks(tx.as_mut(), &run, &caller).await? {
                Stopped::Nothing => {}
                Stopped::Outrun => continue,
                Stopped::Some => {
                    tx.commit().await?;
                    return Ok((StatusCode::ACCEPTED, Json(run_view(&run, application.name.to_string()))));
                }
            }
            let detail = format!("run {}#{} is {} already", application.name, run.number, run.state.word());
            return Err(ApiError::conflict("run_ended", detail));
        }
        if !matches!(run.state, RunState::Cancelling { .. }) {
            let event = RunEvent::Cancel(caller.name().to_owned());
            match run_move(tx.as_mut(), &mut run, event).await? {
                Moved::Stored => {
                    tx.audit(NewAuditEntry {
                        actor: caller.name().to_owned(),
                        action: "run.cancel",
                        subject: format!("run/{}", run.id),
                        detail: json!({"application": application.name, "number": run.number}),
                    })
                    .await?;
                }
                Moved::Refused | Moved::Outrun => continue,
            }
        }
        tx.job_enqueue(NewJob::new(JobPayload::Cancel { run: run.id }, Some(application.id))).await?;
        tx.commit().await?;
        return Ok((StatusCode::ACCEPTED, Json(run_view(&run, application.name.to_string()))));
    }
}
