//! Which applications are bound to an add-on.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use chrono::Utc;
use serde_json::json;
use slipway_records::addon::account_of;
use slipway_records::{AddonBinding, AddonInstance, Application, Environment, Read};
use slipway_types::id::AddonBindingId;
use slipway_types::name::{AddonName, EnvironmentName};
use slipway_types::state::{AddonEvent, AddonState};
use slipway_types::{ApplicationName, Role};

use super::addons::{AddonView, BindBody, entry, found, moved, releasing, shown};
use super::environments;
use crate::auth::Caller;
use crate::extract::{Body, Path};
use crate::problem::ApiError;
use crate::state::ServerState;

/// The longest prefix of variables, in characters.
const PREFIX_CHARS_MAX: usize = 40;

fn checked_prefix(prefix: Option<String>) -> Result<Option<String>, ApiError> {
    let is_prefix = |text: &str| {
        text.len() <= PREFIX_CHARS_MAX
            && text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
    };
    match prefix {
        Some(text) if !is_prefix(&text) => {
            let detail =
                format!("prefix: use letters, digits and `_`, at most {PREFIX_CHARS_MAX} characters");
            Err(ApiError::bad_request("bad_body", detail).hint("for example DB, which gives DB_HOST"))
        }
        prefix => Ok(prefix),
    }
}

/// Why an application in an environment does not reach an instance.
async fn unreached(
    read: &mut dyn Read,
    addon: &AddonInstance,
    place: &Environment,
) -> Result<Option<ApiError>, ApiError> {
    let lies = read.environment_get(addon.environment_id).await?;
    let Some(lies) =
        lies.filter(|lies| addon.in_cluster && lies.address.cluster() != place.address.cluster())
    else {
        return Ok(None);
    };
    let detail = format!(
        "the add-on `{}` is reached from the cluster `{}` alone, and `{}` lies in `{}`",
        addon.name,
        lies.address.cluster(),
        place.name,
        place.address.cluster()
    );
    Ok(Some(ApiError::conflict("addon_elsewhere", detail).hint("apply one in that cluster")))
}

fn binding(
    caller: &Caller,
    addon: &AddonInstance,
    application: &Application,
    place: &Environment,
    prefix: Option<String>,
) -> AddonBinding {
    AddonBinding {
        id: AddonBindingId::new(),
        addon_id: addon.id,
        addon: addon.name.clone(),
        application_id: application.id,
        application: application.name.clone(),
        environment_id: place.id,
        environment: place.name.clone(),
        account: account_of(&application.name, &place.name),
        prefix,
        generation: addon.generation,
        created_at: Utc::now(),
        created_by: caller.name().to_owned(),
        ended_at: None,
    }
}

/// Binds an application in an environment to an instance. The outputs reach it with its next deployment there.
#[utoipa::path(put, path = "/api/v1/addons/{addon}/bindings/{environment}/{application}", tag = "addons",
    params(("addon" = String, Path), ("environment" = String, Path), ("application" = String, Path)),
    request_body = BindBody, responses((status = 201, body = AddonView)))]
pub(crate) async fn bind(
    State(state): State<ServerState>,
    caller: Caller,
    Path((name, environment, application)): Path<(AddonName, EnvironmentName, ApplicationName)>,
    Body(body): Body<BindBody>,
) -> Result<(StatusCode, Json<AddonView>), ApiError> {
    let prefix = checked_prefix(body.prefix)?;
    let mut tx = state.records.begin().await?;
    let application = caller.application(tx.as_mut(), &application, Role::Operator).await?;
    let place = environments::found(tx.as_mut(), &environment).await?;
    let mut addon = found(tx.as_mut(), &name).await?;
    if addon.team != *application.name.team() {
        // Another team's is for whoever answers for the whole server to give.
        caller.on_server(Role::Operator)?;
    }
    if let Some(refused) = unreached(tx.as_mut(), &addon, &place).await? {
        return Err(refused);
    }
    // It would be applied anew, which is not for whoever binds an application to say.
    let did_not_go = matches!(addon.state, AddonState::ReleaseFailed { .. });
    if did_not_go || !addon.change(AddonEvent::Change, caller.name(), Utc::now()) {
        return Err(releasing(&addon));
    }
    let binding = binding(&caller, &addon, &application, &place, prefix);
    if !tx.addon_bind(&binding).await? {
        let detail = format!("`{}` in `{environment}` is bound to `{name}` already", application.name);
        return Err(ApiError::conflict("exists_already", detail).hint(format!(
            "end that first: slipway addon unbind {name} {} --env {environment}",
            application.name
        )));
    }
    if !tx.addon_save(&mut addon).await? {
        return Err(moved(&name));
    }
    let detail = json!({
        "application": application.name,
        "environment": environment,
        "account": binding.account,
        "prefix": binding.prefix,
    });
    tx.audit(entry(&caller, "addon.bind", &name, detail)).await?;
    tx.job_enqueue(addon.job()).await?;
    let view = shown(tx.as_mut(), &caller, addon).await?;
    tx.commit().await?;
    Ok((StatusCode::CREATED, Json(view)))
}

/// Ends a binding: the account loses its way in, and what was made for it goes.
#[utoipa::path(delete, path = "/api/v1/addons/{addon}/bindings/{environment}/{application}", tag = "addons",
    params(("addon" = String, Path), ("environment" = String, Path), ("application" = String, Path)),
    responses((status = 200, body = AddonView)))]
pub(crate) async fn unbind(
    State(state): State<ServerState>,
    caller: Caller,
    Path((name, environment, application)): Path<(AddonName, EnvironmentName, ApplicationName)>,
) -> Result<Json<AddonView>, ApiError> {
    let mut tx = state.records.begin().await?;
    let application = caller.application(tx.as_mut(), &application, Role::Operator).await?;
    let place = environments::found(tx.as_mut(), &environment).await?;
    let mut addon = found(tx.as_mut(), &name).await?;
    let bindings = tx.addon_bindings_of(application.id, place.id).await?;
    let Some(binding) = bindings.iter().find(|binding| binding.addon_id == addon.id) else {
        let detail = format!("`{}` in `{environment}` is not bound to `{name}`", application.name);
        return Err(ApiError::new(StatusCode::NOT_FOUND, "not_bound", detail)
            .hint(format!("`slipway addon show {name}` shows who is")));
    };
    if !addon.change(AddonEvent::Change, caller.name(), Utc::now()) {
        return Err(releasing(&addon));
    }
    tx.addon_unbind(binding.id, caller.name(), Utc::now()).await?;
    if !tx.addon_save(&mut addon).await? {
        return Err(moved(&name));
    }
    let detail =
        json!({"application": application.name, "environment": environment, "account": binding.account});
    tx.audit(entry(&caller, "addon.unbind", &name, detail)).await?;
    tx.job_enqueue(addon.job()).await?;
    let view = shown(tx.as_mut(), &caller, addon).await?;
    tx.commit().await?;
    Ok(Json(view))
}
