//! Choosing a bundle for an environment, and watching what becomes of it.

use std::convert::Infallible;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use axum::response::sse::Event;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use slipway_records::deploying::{DeployRequest, GateView, ObjectChange, RunningView};
use slipway_records::job::{JobPayload, NewJob};
use slipway_records::{
    Application, Change, DeploymentCause, DeploymentFilter, Environment, NewAuditEntry, NewDeployment,
    PackageVersion, Page, Read, Write,
};
use slipway_types::id::DeploymentId;
use slipway_types::name::EnvironmentName;
use slipway_types::selection::{Selection, SelectionOrder};
use slipway_types::state::DeploymentState;
use slipway_types::{ApplicationName, GitRef, Role, Version, Violation};
use tokio::sync::mpsc;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::deployment_holds::What;
use super::deployment_views::{
    DeploymentDetail, DeploymentName, DeploymentView, detail, find, in_words, names, view,
};
use super::labels::checked_reason;
use super::list::{List, PageQuery};
use super::logs::{sse, wait_for};
use super::{bundles, environments, rollbacks};
use crate::auth::Caller;
use crate::extract::{Body, Path, Query};
use crate::problem::{ApiError, chain};
use crate::state::ServerState;

/// The largest document given with a deployment, in bytes.
const DOCUMENT_BYTES_MAX: usize = 1 << 20;

/// What is to be deployed where. At most one of `bundle`, `select`, `promote_from`, `rollback`, `rollback_to`,
/// `restart` and `remove`; none means the newest release.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct DeployBody {
    #[schema(value_type = String)]
    application: ApplicationName,
    #[schema(value_type = String)]
    environment: EnvironmentName,
    /// Exactly this bundle.
    #[schema(value_type = Option<String>)]
    bundle: Option<Version>,
    /// The highest bundle that matches.
    #[schema(value_type = Option<Object>)]
    select: Option<Selection>,
    /// What this environment runs.
    #[schema(value_type = Option<String>)]
    promote_from: Option<EnvironmentName>,
    /// The newest revision that was live and is not what runs.
    #[serde(default)]
    rollback: bool,
    /// The revision of this generation. One that was live passes no gates.
    rollback_to: Option<u64>,
    /// What runs already, with the configuration and the secrets of now.
    #[serde(default)]
    restart: bool,
    /// Nothing any more: what runs is taken away.
    #[serde(default)]
    remove: bool,
    /// A restart takes the revision that runs with nothing moved but versions of secrets.
    #[serde(default)]
    secrets_only: bool,
    /// Configuration for this deployment alone: an OAM Application. Operators alone plan with one.
    document: Option<String>,
    /// Whether a plan shows the objects themselves.
    #[serde(default)]
    objects: bool,
    /// Why; needed to roll back, to restart and to remove.
    reason: Option<String>,
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct DeploymentQuery {
    /// Of this application.
    #[param(value_type = Option<String>)]
    application: Option<ApplicationName>,
    /// In this environment.
    #[param(value_type = Option<String>)]
    environment: Option<EnvironmentName>,
    /// In one of these states, with commas between them.
    state: Option<String>,
    /// Rows in the answer, 1 to 500; 50 if absent.
    limit: Option<u32>,
    /// `next` of the page before.
    #[param(value_type = Option<String>)]
    after: Option<Uuid>,
}

/// The bundle of a plan.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PlannedBundle {
    version: String,
    digest: String,
    /// Absent of what people composed.
    commit: Option<String>,
    branch: Option<String>,
}

/// What a bundle would become.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PlanView {
    bundle: PlannedBundle,
    /// Why this bundle, in words.
    explanation: Vec<String>,
    /// Digest of what would be frozen.
    revision: Option<String>,
    #[schema(value_type = Vec<Object>)]
    violations: Vec<Violation>,
    notes: Vec<String>,
    /// What would change in the cluster.
    #[schema(value_type = Vec<Object>)]
    differences: Vec<ObjectChange>,
    /// What the environment runs now, and how the two revisions differ.
    #[schema(value_type = Option<Object>)]
    running: Option<RunningView>,
    /// The objects in the order they would be applied, if that was asked. Secrets are references.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<Object>>)]
    objects: Option<Vec<Value>>,
    /// The nodes and what each waits for, if objects were asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    graph: Option<Value>,
    /// How the environment's gates stand now.
    #[schema(value_type = Vec<Object>)]
    gates: Vec<GateView>,
    /// Other environments that it reaches.
    reaches: Vec<String>,
}

/// A bundle that was chosen, and why.
pub(super) struct Chosen {
    application: Application,
    environment: Environment,
    bundle: PackageVersion,
    pub(super) cause: DeploymentCause,
    explanation: Value,
    /// Configuration for this deployment alone.
    document: Option<String>,
}

impl DeployBody {
    fn check(&self) -> Result<(), ApiError> {
        let given = [
            self.bundle.is_some(),
            self.select.is_some(),
            self.promote_from.is_some(),
            self.rollback,
            self.rollback_to.is_some(),
            self.restart,
            self.remove,
        ];
        if given.into_iter().filter(|given| *given).count() > 1 {
            let detail = "give one of `bundle`, `select`, `promote_from`, `rollback`, `rollback_to`, `restart` \
                          and `remove`";
            return Err(ApiError::bad_request("bad_body", detail));
        }
        if self.secrets_only && (!self.restart || self.document.is_some()) {
            let detail = "secrets_only: goes with `restart`, and without `document`";
            return Err(ApiError::bad_request("bad_body", detail));
        }
        let needs_reason = self.rolls_back() || self.restart || self.remove;
        if needs_reason && self.reason.as_ref().is_none_or(|reason| reason.trim().is_empty()) {
            return Err(ApiError::bad_request("bad_body", "reason: say why"));
        }
        if self.document.as_ref().is_some_and(|document| document.len() > DOCUMENT_BYTES_MAX) {
            let detail = format!("document: longer than {DOCUMENT_BYTES_MAX} bytes");
            return Err(ApiError::bad_request("bad_body", detail));
        }
        Ok(())
    }

    fn rolls_back(&self) -> bool {
        self.rollback || self.rollback_to.is_some()
    }
}

pub(super) async fn choose(
    caller: &Caller,
    read: &mut dyn Read,
    body: &DeployBody,
    role: Role,
) -> Result<Chosen, ApiError> {
    body.check()?;
    let application = caller.application(read, &body.application, role).await?;
    let environment = environments::found(read, &body.environment).await?;
    let reason = body.reason.clone().unwrap_or_default();
    let mut document = body.document.clone();
    let no_bundle = || ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, "no_bundle", "the bundle is gone");
    let (bundle, cause, explanation) = if let Some(version) = &body.bundle {
        let row = read.version_find(application.id, None, version).await?;
        let row = row.ok_or_else(|| ApiError::not_found("bundle version", version))?;
        (row, DeploymentCause::Deploy, json!({"asked": format!("bundle {version}")}))
    } else if let Some(from) = &body.promote_from {
        let running = still_wanted(running(read, &application, from).await?, from)?;
        let row = read.version_get(running.bundle_id).await?.ok_or_else(no_bundle)?;
        let asked = format!("what {from} runs: generation {}", running.generation);
        (row, DeploymentCause::Promote { from: from.to_string() }, json!({"asked": asked}))
    } else if body.rolls_back() {
        let earlier = rollbacks::earlier(read, &application, &environment, body.rollback_to).await?;
        let row = read.version_get(earlier.bundle_id).await?.ok_or_else(no_bundle)?;
        let (cause, explanation) = rollbacks::cause(&earlier, reason);
        // What was given with it belongs to what runs again.
        document = document.or(earlier.document);
        (row, cause, explanation)
    } else if body.restart {
        let running = running(read, &application, &environment.name).await?;
        let running = still_wanted(running, &environment.name)?;
        let row = read.version_get(running.bundle_id).await?.ok_or_else(no_bundle)?;
        // What was given with the deployment belongs to what runs.
        document = document.or(running.document);
        let of = body.secrets_only.then_some(running.generation);
        let asked = match of {
            Some(generation) => format!("generation {generation} again, with the secrets of now"),
            None => "what runs, with the configuration and the secrets of now".to_owned(),
        };
        (row, DeploymentCause::Restart { reason, of }, json!({"asked": asked}))
    } else if body.remove {
        let running = running(read, &application, &environment.name).await?;
        let row = read.version_get(running.bundle_id).await?.ok_or_else(no_bundle)?;
        let asked = format!("nothing any more: generation {} is taken away", running.generation);
        (row, DeploymentCause::Remove { reason }, json!({"asked": asked}))
    } else {
        let selection = body.select.clone().unwrap_or_default();
        bundles::check_named(read, application.id, &selection).await?;
        let pick = read.pick(application.id, &selection, SelectionOrder::Precedence).await?;
        let explanation =
            serde_json::to_value(&pick.explanation).map_err(|error| ApiError::internal(&error))?;
        let row = pick.version.ok_or_else(|| {
            let detail = pick.explanation.lines.join("; ");
            ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, "no_bundle", detail)
        })?;
        (row, DeploymentCause::Deploy, json!({"selection": selection, "explanation": explanation}))
    };
    Ok(Chosen { application, environment, bundle, cause, explanation, document })
}

async fn running(
    read: &mut dyn Read,
    application: &Application,
    environment: &EnvironmentName,
) -> Result<slipway_records::Deployment, ApiError> {
    let row = environments::found(read, environment).await?;
    read.deployment_out(row.id, application.id).await?.ok_or_else(|| {
        let detail = format!("`{environment}` runs nothing of `{}`", application.name);
        ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, "nothing_runs", detail)
    })
}

/// What is being taken away is neither started again nor taken further.
fn still_wanted(
    running: slipway_records::Deployment,
    environment: &EnvironmentName,
) -> Result<slipway_records::Deployment, ApiError> {
    if matches!(running.cause, DeploymentCause::Remove { .. }) {
        let detail =
            format!("it is being taken away from `{environment}`, by generation {}", running.generation);
        return Err(
            ApiError::conflict("being_removed", detail).hint("deploy a bundle: slipway deploy create")
        );
    }
    Ok(running)
}

impl Chosen {
    /// The bundle's version.
    pub(super) fn version(&self) -> &Version {
        &self.bundle.version
    }
}

pub(super) fn request(chosen: &Chosen) -> DeployRequest {
    DeployRequest {
        application: chosen.application.clone(),
        environment: chosen.environment.clone(),
        bundle: chosen.bundle.clone(),
        document: chosen.document.clone(),
    }
}

/// What a bundle would become in an environment, or what a rollback would do, which needs no `reason` here; writes
/// nothing. With a `document` it is for operators.
#[utoipa::path(post, path = "/api/v1/deployments/plan", tag = "deployments", request_body = DeployBody,
    responses((status = 200, body = PlanView)))]
pub(crate) async fn plan(
    State(state): State<ServerState>,
    caller: Caller,
    Body(mut body): Body<DeployBody>,
) -> Result<Json<PlanView>, ApiError> {
    if body.rolls_back() {
        // Who only looks need not say why.
        body.reason.get_or_insert_with(|| "a plan".to_owned());
    }
    if body.secrets_only {
        let detail = "secrets_only: nothing is planned there, the revision that runs is taken as it is";
        return Err(ApiError::bad_request("bad_body", detail));
    }
    // A document names what it likes: its plan would tell which Secrets a namespace has, and their keys.
    let role = if body.document.is_some() { Role::Operator } else { Role::Reader };
    let mut read = state.records.read().await?;
    let chosen = choose(&caller, read.as_mut(), &body, role).await?;
    drop(read);
    if body.remove {
        let detail = "there is nothing to plan where everything goes";
        return Err(ApiError::bad_request("bad_body", detail).hint("`slipway deploy show` names what runs"));
    }
    let planned = match &chosen.cause {
        DeploymentCause::Rollback { to, was_live, .. } => {
            state.deploying.rollback_plan(&request(&chosen), *to, *was_live).await
        }
        _ => state.deploying.plan(&request(&chosen)).await,
    };
    let planned = planned.map_err(ApiError::of_fault)?;
    let draft = NewDeployment { document: None, ..new_deployment(&chosen, &caller) }
        .draft(0, chosen.bundle.created_at);
    let draft = slipway_records::Deployment { revision: planned.revision, ..draft };
    let gates = state.deploying.gates(&draft, &chosen.environment, &chosen.bundle).await;
    let branch = match &chosen.bundle.git_ref {
        GitRef::Branch(name) => Some(name.clone()),
        GitRef::Tag(_) => None,
    };
    Ok(Json(PlanView {
        bundle: PlannedBundle {
            version: chosen.bundle.version.to_string(),
            digest: chosen.bundle.digest.to_string(),
            commit: chosen.bundle.source_commit().map(ToString::to_string),
            branch,
        },
        explanation: in_words(&chosen.explanation),
        revision: planned.revision.map(|digest| digest.to_string()),
        violations: planned.violations,
        notes: planned.notes,
        differences: planned.differences,
        running: planned.running,
        objects: body.objects.then_some(planned.objects),
        graph: planned.graph.filter(|_| body.objects),
        gates: gates.map_err(ApiError::of_fault)?,
        reaches: planned.reaches,
    }))
}

fn new_deployment(chosen: &Chosen, caller: &Caller) -> NewDeployment {
    NewDeployment {
        application_id: chosen.application.id,
        environment_id: chosen.environment.id,
        bundle_id: chosen.bundle.id,
        bundle_version: chosen.bundle.version.clone(),
        bundle_digest: chosen.bundle.digest,
        lock: chosen.bundle.fingerprint,
        choice: chosen.explanation.clone(),
        cause: chosen.cause.clone(),
        created_by: caller.0.person().to_owned(),
        document: chosen.document.clone(),
    }
}

/// Deploys: the answer is a draft, which is checked, frozen, held against the gates and handed off.
#[utoipa::path(post, path = "/api/v1/deployments", tag = "deployments", request_body = DeployBody,
    responses((status = 201, body = DeploymentView)))]
pub(crate) async fn create(
    State(state): State<ServerState>,
    caller: Caller,
    Body(body): Body<DeployBody>,
) -> Result<(StatusCode, Json<DeploymentView>), ApiError> {
    Ok((StatusCode::CREATED, Json(make(&state, &caller, &body).await?)))
}

impl DeployBody {
    /// A bundle for an environment, which is not deployed by this body alone.
    pub(super) fn plain(
        (application, environment): (ApplicationName, EnvironmentName),
        (bundle, select): (Option<Version>, Option<Selection>),
        document: Option<String>,
        reason: Option<String>,
    ) -> Self {
        Self {
            application,
            environment,
            bundle,
            select,
            promote_from: None,
            rollback: false,
            rollback_to: None,
            restart: false,
            remove: false,
            secrets_only: false,
            document,
            objects: false,
            reason,
        }
    }

    /// The revision of a generation that was live, once more.
    pub(super) fn back_to(
        names: (ApplicationName, EnvironmentName),
        generation: u64,
        reason: String,
    ) -> Self {
        Self { rollback_to: Some(generation), ..Self::plain(names, (None, None), None, Some(reason)) }
    }

    /// The revision that runs, once more, with nothing moved but versions of secrets.
    pub(super) fn rotation(
        application: ApplicationName,
        environment: EnvironmentName,
        reason: Option<String>,
    ) -> Self {
        let plain = Self::plain((application, environment), (None, None), None, reason);
        Self { restart: true, secrets_only: true, ..plain }
    }
}

/// Makes a deployment.
async fn make(state: &ServerState, caller: &Caller, body: &DeployBody) -> Result<DeploymentView, ApiError> {
    let mut tx = state.records.begin().await?;
    let made = make_within(tx.as_mut(), caller, body).await?;
    tx.commit().await?;
    Ok(made)
}

/// The same as part of a transaction.
pub(super) async fn make_within(
    tx: &mut dyn Write,
    caller: &Caller,
    body: &DeployBody,
) -> Result<DeploymentView, ApiError> {
    let reason = checked_reason(body.reason.clone())?;
    let chosen = choose(caller, tx, body, Role::Operator).await?;
    store(tx, caller, &chosen, reason).await
}

/// Makes a deployment of what was chosen.
pub(super) async fn store(
    tx: &mut dyn Write,
    caller: &Caller,
    chosen: &Chosen,
    reason: Option<String>,
) -> Result<DeploymentView, ApiError> {
    let what =
        What { application: &chosen.application, environment: &chosen.environment, cause: &chosen.cause };
    what.keep_to_holds(tx, caller, chosen.bundle.id).await?;
    let deployment = tx.deployment_insert(new_deployment(chosen, caller)).await?;
    tx.audit(NewAuditEntry {
        actor: caller.name().to_owned(),
        action: "deployment.create",
        subject: format!("deployment/{}", deployment.id),
        detail: json!({
            "application": chosen.application.name,
            "environment": chosen.environment.name,
            "generation": deployment.generation,
            "bundle": deployment.bundle_version,
            "cause": deployment.cause,
            "reason": reason,
        }),
    })
    .await?;
    let job = JobPayload::Deploy { deployment: deployment.id };
    tx.job_enqueue(NewJob::new(job, Some(chosen.application.id))).await?;
    let (application, environment) =
        (chosen.application.name.to_string(), chosen.environment.name.to_string());
    Ok(view(&deployment, &application, &environment))
}

/// Deployments, newest first.
#[utoipa::path(get, path = "/api/v1/deployments", tag = "deployments", params(DeploymentQuery),
    responses((status = 200, body = List<DeploymentView>)))]
pub(crate) async fn list(
    State(state): State<ServerState>,
    caller: Caller,
    Query(query): Query<DeploymentQuery>,
) -> Result<Json<List<DeploymentView>>, ApiError> {
    caller.somewhere(Role::Reader)?;
    let page: Page = PageQuery::new(query.limit, query.after).page()?;
    let mut read = state.records.read().await?;
    let mut filter = DeploymentFilter { application: caller.limited_to(), ..DeploymentFilter::default() };
    if let Some(name) = &query.application {
        filter.application = Some(caller.application(read.as_mut(), name, Role::Reader).await?.id);
    }
    if let Some(name) = &query.environment {
        filter.environment = Some(environments::found(read.as_mut(), name).await?.id);
    }
    if let Some(word) = &query.state {
        for word in word.split(',') {
            let known = DeploymentState::WORDS.into_iter().find(|known| *known == word.trim());
            filter.states.push(known.ok_or_else(|| {
                let detail = format!("state: expected some of {}", DeploymentState::WORDS.join(", "));
                ApiError::bad_request("bad_query", detail)
            })?);
        }
    }
    let rows = read.deployment_list(&filter, page.clone()).await?;
    let names = names(read.as_mut(), &rows).await?;
    let items = rows.iter().map(|row| {
        let application = names.applications.get(&row.application_id).map_or("", String::as_str);
        let environment = names.environments.get(&row.environment_id).map_or("", String::as_str);
        (row.id.as_uuid(), view(row, application, environment))
    });
    Ok(Json(List::page(&page, items.collect())))
}

/// One deployment.
#[utoipa::path(get, path = "/api/v1/deployments/{deployment}", tag = "deployments",
    params(("deployment" = String, Path)), responses((status = 200, body = DeploymentDetail)))]
pub(crate) async fn show(
    State(state): State<ServerState>,
    caller: Caller,
    Path(name): Path<DeploymentName>,
) -> Result<Json<DeploymentDetail>, ApiError> {
    let mut read = state.records.read().await?;
    let (deployment, application, environment) = find(&caller, read.as_mut(), name, Role::Reader).await?;
    drop(read);
    Ok(Json(detail(&state, &deployment, &application, &environment).await?))
}

/// The deployment whenever it changed: events `deployment`, then `end` once nothing moves by itself.
#[utoipa::path(get, path = "/api/v1/deployments/{deployment}/events", tag = "deployments",
    params(("deployment" = String, Path)),
    responses((status = 200, body = DeploymentDetail, content_type = "text/event-stream")))]
pub(crate) async fn stream(
    State(state): State<ServerState>,
    caller: Caller,
    Path(name): Path<DeploymentName>,
) -> Result<impl IntoResponse, ApiError> {
    let mut read = state.records.read().await?;
    find(&caller, read.as_mut(), name, Role::Reader).await?;
    drop(read);
    let (sender, receiver) = mpsc::channel(4);
    tokio::spawn(async move {
        if let Err(error) = follow(&state, &caller, name, &sender).await {
            tracing::warn!(error = %chain(&error), "an event stream was cut");
        }
    });
    Ok(sse(receiver))
}

async fn follow(
    state: &ServerState,
    caller: &Caller,
    name: DeploymentName,
    events: &mpsc::Sender<Result<Event, Infallible>>,
) -> Result<(), ApiError> {
    let mut changes = state.records.changes().subscribe();
    let mut sent = String::new();
    loop {
        let mut read = state.records.read().await?;
        let (deployment, application, environment) = find(caller, read.as_mut(), name, Role::Reader).await?;
        drop(read);
        let detail = detail(state, &deployment, &application, &environment).await?;
        let text = serde_json::to_string(&detail).map_err(|error| ApiError::internal(&error))?;
        if text != sent {
            if events.send(Ok(Event::default().event("deployment").data(&text))).await.is_err() {
                return Ok(());
            }
            sent = text;
        }
        if deployment.state.is_terminal() || deployment.state.has_arrived() {
            // Whoever left early needs no end.
            drop(events.send(Ok(Event::default().event("end").data(""))).await);
            return Ok(());
        }
        let id: DeploymentId = deployment.id;
        let concerns = move |change| matches!(change, Change::Deployment(other) if other == id);
        tokio::select! {
            () = state.stopping.cancelled() => return Ok(()),
            () = events.closed() => return Ok(()),
            () = wait_for(&mut changes, concerns) => {}
            () = tokio::time::sleep(Duration::from_millis(state.options.stream_poll_ms)) => {}
        }
    }
}
