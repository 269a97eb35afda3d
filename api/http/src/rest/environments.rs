//! Environments, and what keeps them as they are.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::json;
use slipway_records::job::{JobPayload, NewJob};
use slipway_records::{Cluster, Environment, Hold, NewAuditEntry, Read, Write, pull_token};
use slipway_types::environment::{EnvironmentSettings, Follow};
use slipway_types::name::EnvironmentName;
use slipway_types::{Address, ApplicationName, Role, SecretScope, Version, Violation};
use utoipa::ToSchema;

use super::environment_use::in_use;
use super::labels::checked_reason;
use super::list::{List, NamePageQuery};
use super::secrets::{LeftView, left};
use crate::auth::Caller;
use crate::extract::{Body, Path, Query};
use crate::problem::ApiError;
use crate::state::ServerState;

/// So many environments of one name are looked at, those that were removed among them.
const NAMESAKES_MAX: u32 = 20;

/// An environment.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct EnvironmentView {
    pub(crate) name: String,
    /// `unit/cluster/namespace/stage`.
    pub(crate) address: String,
    /// Upstream, receiver, gates, follow.
    #[schema(value_type = Object)]
    pub(crate) settings: EnvironmentSettings,
    /// Rises with every change.
    pub(crate) revision: i64,
    pub(crate) created_at: DateTime<Utc>,
    pub(crate) created_by: String,
    pub(crate) changed_at: DateTime<Utc>,
    pub(crate) changed_by: String,
    /// Of what was just set: what will not work there.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) notes: Vec<String>,
}

/// An environment as it shall be.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct EnvironmentBody {
    /// `unit/cluster/namespace[/stage]`; needed for a new one, and never changes.
    #[schema(value_type = Option<String>)]
    pub(crate) address: Option<Address>,
    /// All settings: what is absent is unset.
    #[serde(default)]
    #[schema(value_type = Object)]
    pub(crate) settings: EnvironmentSettings,
    /// The revision it must have now. Unchecked if absent.
    pub(crate) if_revision: Option<i64>,
}

/// What keeps an application in an environment as it is.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct HoldBody {
    /// The version to stay at; absent: whatever is there.
    #[schema(value_type = Option<String>)]
    version: Option<Version>,
    /// Why.
    reason: String,
}

impl From<Environment> for EnvironmentView {
    fn from(environment: Environment) -> Self {
        Self {
            name: environment.name.to_string(),
            address: environment.address.to_string(),
            settings: environment.settings,
            revision: environment.revision,
            created_at: environment.created_at,
            created_by: environment.created_by,
            changed_at: environment.changed_at,
            changed_by: environment.changed_by,
            notes: Vec::new(),
        }
    }
}

/// The environment of that name.
pub(crate) async fn found(read: &mut dyn Read, name: &EnvironmentName) -> Result<Environment, ApiError> {
    read.environment_by_name(name).await?.ok_or_else(|| missing(name))
}

/// The environments that have or had that name, the one that is there first; those that had it last, if they are many.
pub(super) async fn ever(read: &mut dyn Read, name: &EnvironmentName) -> Result<Vec<Environment>, ApiError> {
    let found = read.environments_named(name, NAMESAKES_MAX).await?;
    if found.is_empty() { Err(missing(name)) } else { Ok(found) }
}

fn missing(name: &EnvironmentName) -> ApiError {
    ApiError::not_found("environment", name).hint("`slipway env list` shows those there are")
}

fn entry(
    caller: &Caller,
    action: &'static str,
    name: &EnvironmentName,
    detail: serde_json::Value,
) -> NewAuditEntry {
    NewAuditEntry { actor: caller.name().to_owned(), action, subject: format!("environment/{name}"), detail }
}

/// Has what an environment followed or follows from now on looked at again.
async fn wake_followed(tx: &mut dyn Write, followed: [Option<&Follow>; 2]) -> Result<(), ApiError> {
    if followed == [None, None] {
        return Ok(());
    }
    for application in tx.application_list().await? {
        if followed.into_iter().flatten().any(|follow| follow.concerns(&application.name)) {
            let follow = JobPayload::Follow { application: application.id };
            tx.job_enqueue(NewJob::new(follow, Some(application.id))).await?;
        }
    }
    Ok(())
}

/// All environments, for pages that show or offer every one.
pub(crate) async fn all(state: &ServerState, caller: &Caller) -> Result<Vec<EnvironmentView>, ApiError> {
    caller.somewhere(Role::Reader)?;
    let rows = state.records.read().await?.environment_list().await?;
    Ok(rows.into_iter().map(EnvironmentView::from).collect())
}

/// The environments, by name.
#[utoipa::path(get, path = "/api/v1/environments", tag = "environments", params(NamePageQuery),
    responses((status = 200, body = List<EnvironmentView>)))]
pub(crate) async fn list(
    State(state): State<ServerState>,
    caller: Caller,
    Query(query): Query<NamePageQuery>,
) -> Result<Json<List<EnvironmentView>>, ApiError> {
    caller.somewhere(Role::Reader)?;
    let page = query.page::<EnvironmentName>()?;
    let rows = state.records.read().await?.environment_page(page.after.as_ref(), page.limit).await?;
    let rows = rows.into_iter().map(|row| (row.name.clone(), EnvironmentView::from(row))).collect();
    Ok(Json(List::keyed(page.limit, rows)))
}

/// One environment.
#[utoipa::path(get, path = "/api/v1/environments/{environment}", tag = "environments",
    params(("environment" = String, Path)), responses((status = 200, body = EnvironmentView)))]
pub(crate) async fn show(
    State(state): State<ServerState>,
    caller: Caller,
    Path(name): Path<EnvironmentName>,
) -> Result<Json<EnvironmentView>, ApiError> {
    caller.somewhere(Role::Reader)?;
    Ok(Json(found(state.records.read().await?.as_mut(), &name).await?.into()))
}

/// What is wrong with settings: by themselves, on this server, and with what they name.
async fn violations(
    state: &ServerState,
    read: &mut dyn Read,
    name: &EnvironmentName,
    settings: &EnvironmentSettings,
) -> Result<Vec<Violation>, ApiError> {
    let own = settings.check(name).into_iter();
    let mut found: Vec<Violation> = own
        .map(|wrong| Violation::new("invalid_settings", format!("settings.{}", wrong.field), wrong.message))
        .collect();
    found.extend(state.deploying.check_settings(settings));
    let follow = settings.follow.as_ref().and_then(|follow| follow.from.as_ref());
    for (field, other) in [("upstream", settings.upstream.as_ref()), ("follow.from", follow)] {
        if let Some(other) = other
            && read.environment_by_name(other).await?.is_none()
        {
            let message = format!("there is no environment `{other}`");
            found.push(Violation::new("unregistered_environment", format!("settings.{field}"), message));
        }
    }
    Ok(found)
}

/// Makes an environment or changes its settings.
#[utoipa::path(put, path = "/api/v1/environments/{environment}", tag = "environments",
    params(("environment" = String, Path)), request_body = EnvironmentBody,
    responses((status = 200, body = EnvironmentView), (status = 201, body = EnvironmentView)))]
pub(crate) async fn put(
    State(state): State<ServerState>,
    caller: Caller,
    Path(name): Path<EnvironmentName>,
    Body(body): Body<EnvironmentBody>,
) -> Result<(StatusCode, Json<EnvironmentView>), ApiError> {
    caller.on_server(Role::Admin)?;
    let mut tx = state.records.begin().await?;
    let wrong = violations(&state, tx.as_mut(), &name, &body.settings).await?;
    if !wrong.is_empty() {
        return Err(ApiError::violations(wrong));
    }
    let (status, environment, followed) = match tx.environment_by_name(&name).await? {
        Some(mut environment) => {
            if body.address.is_some_and(|address| address != environment.address) {
                let detail = format!("environment `{name}` is at {} for ever", environment.address);
                return Err(ApiError::conflict("address_fixed", detail)
                    .hint("make another environment, or remove this one first"));
            }
            if body.if_revision.is_some_and(|wanted| wanted != environment.revision) {
                return Err(moved(&name, environment.revision));
            }
            let is_drift_new = environment.settings.drift() != body.settings.drift();
            let is_receiver_new = environment.settings.receiver != body.settings.receiver;
            let followed = std::mem::replace(&mut environment.settings, body.settings).follow;
            if !tx.environment_save(&mut environment, caller.name()).await? {
                return Err(moved(&name, environment.revision));
            }
            if is_drift_new {
                look_again(tx.as_mut(), &environment).await?;
            }
            if is_receiver_new {
                ask_again(tx.as_mut(), &environment).await?;
            }
            (StatusCode::OK, environment, followed)
        }
        None => {
            let address = body.address.ok_or_else(|| {
                ApiError::bad_request("bad_body", "address: a new environment needs one")
                    .hint("unit/cluster/namespace, e.g. local/kind/shop; the clusters: slipway cluster list")
            })?;
            let cluster = address.cluster().parse().expect("invariant: an address is made of names");
            if tx.cluster_by_name(&cluster).await?.is_none() {
                return Err(unregistered(cluster.as_str(), &tx.cluster_list().await?));
            }
            let made = tx.environment_insert(&name, &address, &body.settings, caller.name()).await?;
            (StatusCode::CREATED, made, None)
        }
    };
    let detail = json!({"address": environment.address, "settings": environment.settings});
    tx.audit(entry(&caller, "environment.put", &name, detail)).await?;
    wake_followed(tx.as_mut(), [followed.as_ref(), environment.settings.follow.as_ref()]).await?;
    let clusters = tx.cluster_list().await?;
    tx.commit().await?;
    let notes = notes(&state, &environment, &clusters).await;
    Ok((status, Json(EnvironmentView { notes, ..environment.into() })))
}

/// Clusters that are named where there is no such one.
const CLUSTERS_NAMED: usize = 10;

fn unregistered(cluster: &str, clusters: &[Cluster]) -> ApiError {
    let known: Vec<&str> =
        clusters.iter().map(|cluster| cluster.name.as_str()).take(CLUSTERS_NAMED).collect();
    let add = format!("slipway cluster add {cluster} --kubeconfig-file FILE");
    let hint = if known.is_empty() {
        format!("no cluster is registered yet: {add}")
    } else {
        format!("registered are {}, see slipway cluster list; register it first: {add}", known.join(", "))
    };
    let message = format!("there is no cluster `{cluster}`");
    ApiError::violations(vec![Violation::new("unregistered_cluster", "address", message).hint(hint)])
}

/// Has the built-in core look at what runs in an environment.
async fn look_again(tx: &mut dyn Write, environment: &Environment) -> Result<(), ApiError> {
    for running in tx.deployments_out_in(environment.id).await? {
        let Some(application) = tx.application_get(running.application_id).await? else { continue };
        let address = environment.address.clone();
        let look = JobPayload::Reconcile { environment: address, application: application.name };
        tx.job_enqueue(NewJob::new(look, Some(application.id))).await?;
    }
    Ok(())
}

/// Has the receiver of an environment asked about what runs there: the one before may have told by itself.
async fn ask_again(tx: &mut dyn Write, environment: &Environment) -> Result<(), ApiError> {
    for running in tx.deployments_out_in(environment.id).await? {
        let observe = JobPayload::Observe { deployment: running.id };
        tx.job_enqueue(NewJob::new(observe, Some(running.application_id))).await?;
    }
    Ok(())
}

/// What will not work in an environment, as far as that is seen before anything is deployed there.
async fn notes(state: &ServerState, environment: &Environment, clusters: &[Cluster]) -> Vec<String> {
    let name = environment.address.cluster();
    let Some(cluster) = clusters.iter().find(|cluster| cluster.name.as_str() == name) else {
        return Vec::new();
    };
    let own = environment.settings.pull_registry.as_ref().map(|pull| &pull.prefix);
    state.deploying.pull_objection(&cluster.settings, own).await.into_iter().collect()
}

fn moved(name: &EnvironmentName, revision: i64) -> ApiError {
    let detail = format!("environment `{name}` has revision {revision} now");
    ApiError::conflict("changed_meanwhile", detail).hint("look at it again and decide anew")
}

/// Forgets an environment in which nothing is deployed or on its way, and tells which secrets are left of it.
#[utoipa::path(delete, path = "/api/v1/environments/{environment}", tag = "environments",
    params(("environment" = String, Path)), responses((status = 200, body = LeftView)))]
pub(crate) async fn remove(
    State(state): State<ServerState>,
    caller: Caller,
    Path(name): Path<EnvironmentName>,
) -> Result<Json<LeftView>, ApiError> {
    caller.on_server(Role::Admin)?;
    let mut tx = state.records.begin().await?;
    let environment = found(tx.as_mut(), &name).await?;
    // First, for from then on nothing new comes there. If it is in use, it never happened.
    if !tx.environment_remove(environment.id).await? {
        return Err(missing(&name));
    }
    if let Some(used) = in_use(tx.as_mut(), &environment).await? {
        return Err(used);
    }
    tx.audit(entry(&caller, "environment.remove", &name, json!({}))).await?;
    pull_token::end_of_environment(tx.as_mut(), &environment, caller.name()).await?;
    let is_gone = |scope: &SecretScope| matches!(scope, SecretScope::Environment(_, of) if *of == name);
    let left = left(tx.as_mut(), is_gone).await?;
    tx.commit().await?;
    Ok(Json(left))
}

/// Pins an application in an environment to a version, or holds it as it is.
#[utoipa::path(put, path = "/api/v1/environments/{environment}/holds/{application}", tag = "environments",
    params(("environment" = String, Path), ("application" = String, Path)), request_body = HoldBody,
    responses((status = 204)))]
pub(crate) async fn hold(
    State(state): State<ServerState>,
    caller: Caller,
    Path((name, application)): Path<(EnvironmentName, ApplicationName)>,
    Body(body): Body<HoldBody>,
) -> Result<StatusCode, ApiError> {
    let reason = checked_reason(Some(body.reason))?.filter(|reason| !reason.trim().is_empty());
    let reason = reason.ok_or_else(|| ApiError::bad_request("bad_body", "reason: say why"))?;
    let mut tx = state.records.begin().await?;
    let application = caller.application(tx.as_mut(), &application, Role::Operator).await?;
    let environment = found(tx.as_mut(), &name).await?;
    let version_id = match &body.version {
        None => None,
        Some(version) => {
            let row = tx.version_find(application.id, None, version).await?;
            Some(row.ok_or_else(|| ApiError::not_found("bundle version", version))?.id)
        }
    };
    let detail = json!({"application": application.name, "version": body.version, "reason": reason});
    let hold = Hold {
        environment_id: environment.id,
        application_id: application.id,
        version_id,
        reason,
        by: caller.0.person().to_owned(),
        at: Utc::now(),
        // Who pins what was rolled back lets nothing go.
        rollback_to: tx.hold_get(environment.id, application.id).await?.and_then(|before| before.rollback_to),
    };
    tx.hold_put(&hold).await?;
    tx.audit(entry(&caller, "environment.hold", &name, detail)).await?;
    tx.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Lets an application in an environment go again.
#[utoipa::path(delete, path = "/api/v1/environments/{environment}/holds/{application}", tag = "environments",
    params(("environment" = String, Path), ("application" = String, Path)), responses((status = 204)))]
pub(crate) async fn release(
    State(state): State<ServerState>,
    caller: Caller,
    Path((name, application)): Path<(EnvironmentName, ApplicationName)>,
) -> Result<StatusCode, ApiError> {
    let mut tx = state.records.begin().await?;
    let application = caller.application(tx.as_mut(), &application, Role::Operator).await?;
    let environment = found(tx.as_mut(), &name).await?;
    if !tx.hold_release(environment.id, application.id).await? {
        let detail = format!("nothing holds `{}` in `{name}`", application.name);
        return Err(ApiError::new(StatusCode::NOT_FOUND, "not_held", detail));
    }
    let detail = json!({"application": application.name});
    tx.audit(entry(&caller, "environment.release", &name, detail)).await?;
    let follow = JobPayload::Follow { application: application.id };
    tx.job_enqueue(NewJob::new(follow, Some(application.id))).await?;
    // What others changed meanwhile may be corrected from now on.
    let (address, name) = (environment.address.clone(), application.name.clone());
    let look = JobPayload::Reconcile { environment: address, application: name };
    tx.job_enqueue(NewJob::new(look, Some(application.id))).await?;
    for waiting in tx.deployments_open(environment.id, application.id).await? {
        if waiting.state.is_pending() {
            let look = JobPayload::Deploy { deployment: waiting.id };
            tx.job_enqueue(NewJob::new(look, Some(application.id))).await?;
        }
    }
    tx.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}
