//! Add-ons: instances of resources, and which applications are bound to them.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use slipway_records::addon::AddonFailure;
use slipway_records::{AddonBinding, AddonInstance, Environment, NewAuditEntry, Read, Write};
use slipway_types::id::{AddonId, EnvironmentId};
use slipway_types::name::{AddonName, DEFAULT_TEAM, DefinitionName, EnvironmentName};
use slipway_types::state::{AddonEvent, AddonState};
use slipway_types::{Role, TeamName, Version};
use utoipa::{IntoParams, ToSchema};

use super::environments;
use super::list::{List, NamePageQuery};
use crate::auth::Caller;
use crate::extract::{Body, Path, Query};
use crate::problem::ApiError;
use crate::state::ServerState;

/// The longest owner, in characters.
const OWNER_CHARS_MAX: usize = 200;
/// The most bytes of properties.
const PROPERTIES_BYTES_MAX: usize = 256 << 10;

/// An instance of an add-on.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AddonView {
    pub(crate) name: String,
    pub(crate) team: String,
    pub(crate) owner: String,
    pub(crate) environment: String,
    /// The environment's `unit/cluster/namespace/stage`.
    pub(crate) address: String,
    pub(crate) definition: String,
    pub(crate) version: String,
    #[schema(value_type = Object)]
    pub(crate) properties: Value,
    /// Whether it may not be released.
    pub(crate) protected: bool,
    /// `applying`, `ready`, `degraded`, `failed`, `releasing`, `release_failed` or `released`.
    pub(crate) state: &'static str,
    /// Why it stands so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reason: Option<String>,
    /// What was found when something of it failed last, until it is ready: its node, objects, events, containers and
    /// the end of their logs. For readers of the whole server.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub(crate) failure: Option<AddonFailure>,
    /// What it gives, once it is ready.
    #[schema(value_type = Object)]
    pub(crate) outputs: BTreeMap<String, Value>,
    /// Further outputs that are secrets, made for each binding.
    pub(crate) secrets: Vec<String>,
    /// Rises with every change.
    pub(crate) generation: u64,
    /// Who is bound to it, as far as the caller may see them.
    pub(crate) bindings: Vec<AddonBindingView>,
    pub(crate) created_at: DateTime<Utc>,
    pub(crate) created_by: String,
    pub(crate) changed_at: DateTime<Utc>,
    pub(crate) changed_by: String,
}

/// An application in an environment that is bound to an add-on.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AddonBindingView {
    pub(crate) application: String,
    pub(crate) environment: String,
    /// What the add-on calls it.
    pub(crate) account: String,
    /// What variables begin with that all its components get.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) prefix: Option<String>,
    pub(crate) created_at: DateTime<Utc>,
    pub(crate) created_by: String,
}

/// An instance as it shall be.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AddonBody {
    /// The definition; needed for a new one, and never changes.
    #[schema(value_type = Option<String>)]
    pub(crate) definition: Option<DefinitionName>,
    /// Its version; of a new one the newest, else what it has.
    #[schema(value_type = Option<String>)]
    pub(crate) version: Option<Version>,
    /// Where; needed for a new one, and never changes.
    #[schema(value_type = Option<String>)]
    pub(crate) environment: Option<EnvironmentName>,
    /// Whose; of a new one the team `default`.
    #[schema(value_type = Option<String>)]
    pub(crate) team: Option<TeamName>,
    /// Who answers for it; of a new one the caller.
    pub(crate) owner: Option<String>,
    /// All properties; absent: what it has.
    #[schema(value_type = Option<Object>)]
    pub(crate) properties: Option<Value>,
}

/// Whether an instance may be released.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ProtectionBody {
    /// Whether it may not.
    pub(crate) protected: bool,
}

/// How an instance is taken away.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReleaseQuery {
    /// Leave out what its definition runs before: what that would have taken away stays. For administrators.
    #[serde(default)]
    without_run: bool,
}

/// How an application is bound.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct BindBody {
    /// Gives all components with pods the outputs as variables `PREFIX_OUTPUT`.
    #[serde(default)]
    pub(crate) prefix: Option<String>,
}

fn view(
    caller: &Caller,
    addon: AddonInstance,
    bindings: &[AddonBinding],
    places: &BTreeMap<EnvironmentId, Environment>,
) -> AddonView {
    let place = places.get(&addon.environment_id);
    let of_it = bindings.iter().filter(|binding| binding.addon_id == addon.id && binding.ended_at.is_none());
    let seen = of_it.filter(|binding| caller.may(Role::Reader, Some(binding.application_id)));
    // Logs of what many share: it is nobody's who sees one application alone.
    let failure = addon.failure.filter(|_| caller.may(Role::Reader, None));
    AddonView {
        bindings: seen.map(binding_view).collect(),
        name: addon.name.to_string(),
        team: addon.team.to_string(),
        owner: addon.owner,
        environment: place.map(|place| place.name.to_string()).unwrap_or_default(),
        address: place.map(|place| place.address.to_string()).unwrap_or_default(),
        definition: addon.definition.to_string(),
        version: addon.version.to_string(),
        properties: addon.properties,
        protected: addon.protected,
        state: addon.state.word(),
        reason: addon.state.reason().map(str::to_owned),
        failure,
        outputs: addon.outputs,
        secrets: addon.binding_secrets,
        generation: addon.generation,
        created_at: addon.created_at,
        created_by: addon.created_by,
        changed_at: addon.changed_at,
        changed_by: addon.changed_by,
    }
}

fn binding_view(binding: &AddonBinding) -> AddonBindingView {
    AddonBindingView {
        application: binding.application.to_string(),
        environment: binding.environment.to_string(),
        account: binding.account.clone(),
        prefix: binding.prefix.clone(),
        created_at: binding.created_at,
        created_by: binding.created_by.clone(),
    }
}

/// An instance with who is bound to it, for people.
pub(super) async fn shown(
    read: &mut dyn Read,
    caller: &Caller,
    addon: AddonInstance,
) -> Result<AddonView, ApiError> {
    let bindings = read.addon_bindings(addon.id).await?;
    let place = read.environment_get(addon.environment_id).await?;
    let places = place.into_iter().map(|place| (place.id, place)).collect();
    Ok(view(caller, addon, &bindings, &places))
}

/// The instance of that name.
pub(super) async fn found(read: &mut dyn Read, name: &AddonName) -> Result<AddonInstance, ApiError> {
    let addon = read.addon_by_name(name).await?;
    addon
        .ok_or_else(|| ApiError::not_found("add-on", name).hint("`slipway addon list` shows those there are"))
}

/// An audit entry about an instance.
pub(super) fn entry(caller: &Caller, action: &'static str, name: &AddonName, detail: Value) -> NewAuditEntry {
    NewAuditEntry { actor: caller.name().to_owned(), action, subject: format!("addon/{name}"), detail }
}

/// Somebody was faster.
pub(super) fn moved(name: &AddonName) -> ApiError {
    ApiError::conflict("changed_meanwhile", format!("the add-on `{name}` changed meanwhile"))
        .hint("look at it again and decide anew")
}

/// It takes no changes any more.
pub(super) fn releasing(addon: &AddonInstance) -> ApiError {
    let detail = format!("the add-on `{}` is {}", addon.name, addon.state.word());
    let hint = match addon.state {
        AddonState::ReleaseFailed { .. } => "whoever answers for it releases it again, or applies it again",
        _ => "wait until it is gone, or take another one",
    };
    ApiError::conflict("addon_releasing", detail).hint(hint)
}

/// Instances with who is bound to them, for people.
async fn views(
    read: &mut dyn Read,
    caller: &Caller,
    rows: Vec<AddonInstance>,
) -> Result<Vec<AddonView>, ApiError> {
    let ids: Vec<AddonId> = rows.iter().map(|addon| addon.id).collect();
    let bindings = read.addon_bindings_among(&ids).await?;
    let lying: Vec<EnvironmentId> = rows.iter().map(|addon| addon.environment_id).collect();
    let places = read.environments_get(&lying).await?;
    let places = places.into_iter().map(|place| (place.id, place)).collect();
    Ok(rows.into_iter().map(|addon| view(caller, addon, &bindings, &places)).collect())
}

/// All instances that are not released, for the page that shows every one.
pub(crate) async fn all(state: &ServerState, caller: &Caller) -> Result<Vec<AddonView>, ApiError> {
    caller.somewhere(Role::Reader)?;
    let mut read = state.records.read().await?;
    let rows = read.addon_list().await?;
    views(read.as_mut(), caller, rows).await
}

/// The instances that are not released, by name.
#[utoipa::path(get, path = "/api/v1/addons", tag = "addons", params(NamePageQuery),
    responses((status = 200, body = List<AddonView>)))]
pub(crate) async fn list(
    State(state): State<ServerState>,
    caller: Caller,
    Query(query): Query<NamePageQuery>,
) -> Result<Json<List<AddonView>>, ApiError> {
    caller.somewhere(Role::Reader)?;
    let page = query.page::<AddonName>()?;
    let mut read = state.records.read().await?;
    let rows = read.addon_page(page.after.as_ref(), page.limit).await?;
    let views = views(read.as_mut(), &caller, rows).await?;
    Ok(Json(List::keyed(page.limit, views.into_iter().map(|view| (view.name.clone(), view)).collect())))
}

/// One instance.
#[utoipa::path(get, path = "/api/v1/addons/{addon}", tag = "addons",
    params(("addon" = String, Path)), responses((status = 200, body = AddonView)))]
pub(crate) async fn show(
    State(state): State<ServerState>,
    caller: Caller,
    Path(name): Path<AddonName>,
) -> Result<Json<AddonView>, ApiError> {
    caller.somewhere(Role::Reader)?;
    let mut read = state.records.read().await?;
    let addon = found(read.as_mut(), &name).await?;
    Ok(Json(shown(read.as_mut(), &caller, addon).await?))
}

/// A new instance, as far as the body says; its definition fills in the rest.
fn drafted(
    caller: &Caller,
    name: &AddonName,
    body: &AddonBody,
    place: &Environment,
) -> Result<AddonInstance, ApiError> {
    let definition = body.definition.clone().ok_or_else(|| {
        ApiError::bad_request("bad_body", "definition: a new add-on needs one")
            .hint("`slipway definition list --kind addon` shows those there are")
    })?;
    let now = Utc::now();
    Ok(AddonInstance {
        id: AddonId::new(),
        name: name.clone(),
        team: match &body.team {
            Some(team) => team.clone(),
            None => DEFAULT_TEAM.parse().expect("invariant: the default team has a team's name"),
        },
        owner: body.owner.clone().unwrap_or_else(|| caller.0.person().to_owned()),
        environment_id: place.id,
        definition,
        version: Version::release(0, 0, 0),
        properties: body.properties.clone().unwrap_or_else(|| json!({})),
        protected: true,
        state: AddonState::Applying { why: None },
        outputs: BTreeMap::new(),
        binding_secrets: Vec::new(),
        in_cluster: true,
        has_release: false,
        failure: None,
        generation: 1,
        ready_generation: 0,
        handed_off: 0,
        revision: None,
        predecessor: None,
        sequence: 0,
        created_at: now,
        created_by: caller.name().to_owned(),
        changed_at: now,
        changed_by: caller.name().to_owned(),
        cordoned_at: None,
        row_version: 1,
    })
}

/// What was there with what the body changes.
fn changed(
    caller: &Caller,
    mut addon: AddonInstance,
    body: &AddonBody,
    place: &Environment,
) -> Result<AddonInstance, ApiError> {
    let fixed = |what: &str, is: &str| {
        let detail = format!("the {what} of the add-on `{}` is {is} for ever", addon.name);
        ApiError::conflict("addon_fixed", detail).hint("apply another one under another name")
    };
    if place.id != addon.environment_id {
        return Err(fixed("environment", "another one"));
    }
    if body.definition.as_ref().is_some_and(|definition| *definition != addon.definition) {
        return Err(fixed("definition", addon.definition.as_str()));
    }
    if let Some(team) = &body.team {
        addon.team.clone_from(team);
    }
    if let Some(owner) = &body.owner {
        addon.owner.clone_from(owner);
    }
    if let Some(properties) = &body.properties {
        addon.properties.clone_from(properties);
    }
    if !addon.change(AddonEvent::Change, caller.name(), Utc::now()) {
        return Err(releasing(&addon));
    }
    Ok(addon)
}

fn checked(body: &AddonBody) -> Result<(), ApiError> {
    if body.owner.as_ref().is_some_and(|owner| owner.is_empty() || owner.chars().count() > OWNER_CHARS_MAX) {
        let detail = format!("owner: must have 1 to {OWNER_CHARS_MAX} characters");
        return Err(ApiError::bad_request("bad_body", detail));
    }
    if let Some(properties) = &body.properties {
        if !properties.is_object() {
            return Err(ApiError::bad_request("bad_body", "properties: must be an object"));
        }
        if properties.to_string().len() > PROPERTIES_BYTES_MAX {
            let detail = format!("properties: larger than {PROPERTIES_BYTES_MAX} bytes");
            return Err(ApiError::bad_request("bad_body", detail));
        }
    }
    Ok(())
}

/// The environment that the body names, or that the instance lies in.
async fn place_of(
    read: &mut dyn Read,
    body: &AddonBody,
    known: Option<&AddonInstance>,
) -> Result<Environment, ApiError> {
    if let Some(name) = &body.environment {
        return environments::found(read, name).await;
    }
    let lies = match known {
        Some(addon) => read.environment_get(addon.environment_id).await?,
        None => None,
    };
    lies.ok_or_else(|| ApiError::bad_request("bad_body", "environment: a new add-on needs one"))
}

/// Makes an instance or changes its properties and version.
#[utoipa::path(put, path = "/api/v1/addons/{addon}", tag = "addons",
    params(("addon" = String, Path)), request_body = AddonBody,
    responses((status = 200, body = AddonView), (status = 201, body = AddonView)))]
pub(crate) async fn put(
    State(state): State<ServerState>,
    caller: Caller,
    Path(name): Path<AddonName>,
    Body(body): Body<AddonBody>,
) -> Result<(StatusCode, Json<AddonView>), ApiError> {
    caller.on_server(Role::Operator)?;
    checked(&body)?;
    let mut read = state.records.read().await?;
    let known = read.addon_by_name(&name).await?;
    let place = place_of(read.as_mut(), &body, known.as_ref()).await?;
    drop(read);
    let is_new = known.is_none();
    let (draft, version) = match known {
        None => (drafted(&caller, &name, &body, &place)?, body.version.clone()),
        Some(known) => {
            let version = body.version.clone().unwrap_or_else(|| known.version.clone());
            (changed(&caller, known, &body, &place)?, Some(version))
        }
    };
    let checked = state.deploying.check_addon(draft, version.as_ref()).await.map_err(ApiError::of_fault)?;
    let mut addon = checked.map_err(ApiError::violations)?;
    let mut tx = state.records.begin().await?;
    if is_new {
        tx.addon_insert(&addon).await?;
    } else if !tx.addon_save(&mut addon).await? {
        return Err(moved(&name));
    }
    let detail = json!({
        "definition": format!("{}@{}", addon.definition, addon.version),
        "environment": place.name,
        "owner": addon.owner,
        "properties": addon.properties,
    });
    tx.audit(entry(&caller, "addon.apply", &name, detail)).await?;
    tx.job_enqueue(addon.job()).await?;
    let view = shown(tx.as_mut(), &caller, addon).await?;
    tx.commit().await?;
    Ok((if is_new { StatusCode::CREATED } else { StatusCode::OK }, Json(view)))
}

/// Protects an instance from being released, or lets it go.
#[utoipa::path(put, path = "/api/v1/addons/{addon}/protection", tag = "addons",
    params(("addon" = String, Path)), request_body = ProtectionBody,
    responses((status = 200, body = AddonView)))]
pub(crate) async fn protect(
    State(state): State<ServerState>,
    caller: Caller,
    Path(name): Path<AddonName>,
    Body(body): Body<ProtectionBody>,
) -> Result<Json<AddonView>, ApiError> {
    caller.on_server(Role::Operator)?;
    let mut tx = state.records.begin().await?;
    let mut addon = found(tx.as_mut(), &name).await?;
    addon.protected = body.protected;
    if !tx.addon_save(&mut addon).await? {
        return Err(moved(&name));
    }
    let detail = json!({"protected": body.protected});
    tx.audit(entry(&caller, "addon.protect", &name, detail)).await?;
    let view = shown(tx.as_mut(), &caller, addon).await?;
    tx.commit().await?;
    Ok(Json(view))
}

/// How many commands that end a binding are told at once.
const UNBINDS_TOLD: usize = 3;

/// Why an instance may not be released.
async fn holding(tx: &mut dyn Write, addon: &AddonInstance) -> Result<Option<ApiError>, ApiError> {
    let bindings = tx.addon_bindings(addon.id).await?;
    let live = bindings.iter().filter(|binding| binding.ended_at.is_none());
    let binders: Vec<String> = live
        .clone()
        .map(|binding| format!("`{}` in `{}`", binding.application, binding.environment))
        .collect();
    let name = &addon.name;
    if !binders.is_empty() {
        let detail = format!("the add-on `{name}` is bound by {}", binders.join(", "));
        let unbind: Vec<String> = live
            .take(UNBINDS_TOLD)
            .map(|one| format!("slipway addon unbind {name} {} --env {}", one.application, one.environment))
            .collect();
        return Ok(Some(
            ApiError::conflict("addon_bound", detail)
                .hint(format!("end each binding first: {}", unbind.join("; "))),
        ));
    }
    Ok(addon.protected.then(|| {
        ApiError::conflict("addon_protected", format!("the add-on `{name}` is protected"))
            .hint(format!("let it go first: slipway addon protect {name} --off"))
    }))
}

/// Has an instance go; `false` if its state does not allow that. Where nothing is to run before, it goes at once.
fn leave(addon: &mut AddonInstance, leaves_out: bool, by: &str) -> bool {
    let now = Utc::now();
    let leaves_out = leaves_out || !addon.has_release;
    let ends = matches!(addon.state, AddonState::Ending { .. } | AddonState::ReleaseFailed { .. });
    let begins = (leaves_out && ends) || addon.change(AddonEvent::Release, by, now);
    begins && (!leaves_out || addon.change(AddonEvent::Ended, by, now))
}

/// Takes an instance away with everything that was made for it. What its definition runs at a release runs first.
#[utoipa::path(delete, path = "/api/v1/addons/{addon}", tag = "addons",
    params(("addon" = String, Path), ReleaseQuery), responses((status = 202, body = AddonView)))]
pub(crate) async fn release(
    State(state): State<ServerState>,
    caller: Caller,
    Path(name): Path<AddonName>,
    Query(query): Query<ReleaseQuery>,
) -> Result<(StatusCode, Json<AddonView>), ApiError> {
    caller.on_server(if query.without_run { Role::Admin } else { Role::Operator })?;
    let mut tx = state.records.begin().await?;
    let mut addon = found(tx.as_mut(), &name).await?;
    if let Some(refused) = holding(tx.as_mut(), &addon).await? {
        return Err(refused);
    }
    let leaves_out = query.without_run && !matches!(addon.state, AddonState::Releasing { .. });
    if addon.state.is_leaving() && !leaves_out {
        return Ok((StatusCode::ACCEPTED, Json(shown(tx.as_mut(), &caller, addon).await?)));
    }
    if !leave(&mut addon, leaves_out, caller.name()) {
        return Err(releasing(&addon));
    }
    if !tx.addon_save(&mut addon).await? {
        return Err(moved(&name));
    }
    let detail = json!({"generation": addon.generation, "without_run": leaves_out});
    tx.audit(entry(&caller, "addon.release", &name, detail)).await?;
    tx.job_enqueue(addon.job()).await?;
    let view = shown(tx.as_mut(), &caller, addon).await?;
    tx.commit().await?;
    Ok((StatusCode::ACCEPTED, Json(view)))
}
