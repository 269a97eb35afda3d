//! Component types, traits, policies and workflow steps: those there are, and those people bring.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use slipway_records::defining::{CheckedDefinition, DefinitionSource, KnownDefinition, KnownDefinitions};
use slipway_records::{InstalledDefinition, NewAuditEntry};
use slipway_types::name::DefinitionName;
use slipway_types::{DefinitionKind, ImageReference, Role, Version, Violation};
use utoipa::{IntoParams, ToSchema};

use super::definition_key::DefinitionKey;
use super::definition_users::{CONFIGURATION_OF, Users};
use super::list::{List, NamePageQuery};
use crate::auth::Caller;
use crate::extract::{Body, Path, Query};
use crate::problem::ApiError;
use crate::state::ServerState;

/// A definition in a list.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DefinitionView {
    /// `component`, `trait`, `policy` or `step`.
    #[schema(value_type = String)]
    pub(crate) kind: DefinitionKind,
    pub(crate) name: String,
    pub(crate) version: String,
    /// Of its files.
    pub(crate) digest: String,
    /// Whether it is part of Slipway.
    pub(crate) builtin: bool,
    /// Where it comes from: `{from: builtin}`, `{from: directory, path}` or `{from: package, reference}`.
    #[schema(value_type = Object)]
    pub(crate) source: DefinitionSource,
    /// Whether new plans may use it.
    pub(crate) enabled: bool,
    /// Whether this server can: what is wrong otherwise is told beside the list.
    pub(crate) usable: bool,
    pub(crate) description: String,
    pub(crate) aliases: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) installed_at: Option<DateTime<Utc>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) installed_by: Option<String>,
    /// What was made by it and has not ended: `APP@ENV`.
    pub(crate) used_by: Vec<String>,
    /// The applications that hold its major version.
    pub(crate) held_by: Vec<String>,
}

/// What cannot be used.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DefinitionFaultView {
    /// A folder of the server's machine, or the reference it was installed from.
    pub(crate) place: String,
    #[schema(value_type = Vec<Object>)]
    pub(crate) violations: Vec<Violation>,
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct VersionQuery {
    /// This version; else the one that a plan would take.
    #[param(value_type = Option<String>)]
    pub(crate) version: Option<Version>,
}

/// What is to be installed.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Installation {
    /// HOST/REPOSITORY:TAG or HOST/REPOSITORY@DIGEST.
    #[schema(value_type = String)]
    pub(crate) reference: ImageReference,
    /// Whether it may be another version of a definition that is part of Slipway; needs the role admin.
    #[serde(default)]
    pub(crate) beside_builtin: bool,
}

/// Whether new plans may use a definition.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Enabling {
    pub(crate) enabled: bool,
}

impl DefinitionView {
    fn of(known: KnownDefinition, row: Option<&InstalledDefinition>, users: &Users) -> Self {
        Self {
            used_by: users.running(&known.digest),
            held_by: users.holding(known.kind, known.name.as_str(), known.version.core().0),
            kind: known.kind,
            name: known.name.to_string(),
            version: known.version.to_string(),
            digest: known.digest.to_string(),
            builtin: known.source == DefinitionSource::Builtin,
            source: known.source,
            enabled: row.is_none_or(|row| row.enabled),
            usable: true,
            description: known.description,
            aliases: known.aliases,
            installed_at: row.map(|row| row.installed_at),
            installed_by: row.map(|row| row.installed_by.clone()),
        }
    }
}

/// What is known of a definition that plans may not use.
fn of_row(row: &InstalledDefinition) -> KnownDefinition {
    KnownDefinition {
        kind: row.kind,
        name: row.name.clone(),
        version: row.version.clone(),
        digest: row.digest,
        description: String::new(),
        aliases: Vec::new(),
        source: DefinitionSource::Package { reference: row.reference.clone() },
    }
}

fn row_of<'a>(
    rows: &'a [InstalledDefinition],
    kind: DefinitionKind,
    name: &DefinitionName,
    version: &Version,
) -> Option<&'a InstalledDefinition> {
    rows.iter().find(|row| row.kind == kind && row.name == *name && row.version == *version)
}

/// All definitions, each with where it stands in the list.
async fn keyed(
    state: &ServerState,
    caller: &Caller,
) -> Result<Vec<(DefinitionKey, DefinitionView)>, ApiError> {
    caller.somewhere(Role::Reader)?;
    let known = state.defining.known().await.map_err(ApiError::of_fault)?;
    let mut read = state.records.read().await?;
    let rows = read.definition_list().await?;
    let users = Users::read(read.as_mut()).await?;
    let disabled = known.disabled.iter().map(of_row);
    let all = known.usable.into_iter().chain(disabled).map(|known| {
        let row = row_of(&rows, known.kind, &known.name, &known.version);
        (DefinitionKey::of(&known), DefinitionView::of(known, row, &users))
    });
    let unusable = known.unusable.iter().map(|row| {
        let known = of_row(row);
        let key = DefinitionKey::of(&known);
        (key, DefinitionView { usable: false, ..DefinitionView::of(known, Some(row), &users) })
    });
    let mut items: Vec<(DefinitionKey, DefinitionView)> = all.chain(unusable).collect();
    if caller.limited_to().is_some() {
        // What others run is not theirs to see.
        for (_, item) in &mut items {
            item.used_by.clear();
            item.held_by.clear();
        }
    }
    Ok(items)
}

/// All definitions, for the page that searches them.
pub(crate) async fn all(state: &ServerState, caller: &Caller) -> Result<Vec<DefinitionView>, ApiError> {
    Ok(keyed(state, caller).await?.into_iter().map(|(_, view)| view).collect())
}

/// The definitions, by kind, name and rising version.
#[utoipa::path(get, path = "/api/v1/definitions", tag = "definitions", params(NamePageQuery),
    responses((status = 200, body = List<DefinitionView>)))]
pub(crate) async fn list(
    State(state): State<ServerState>,
    caller: Caller,
    Query(query): Query<NamePageQuery>,
) -> Result<Json<List<DefinitionView>>, ApiError> {
    let page = query.page::<DefinitionKey>()?;
    Ok(Json(page.cut(keyed(&state, &caller).await?)))
}

/// All that was found or installed and cannot be used by this server, for the page that tells it.
pub(crate) async fn all_faults(
    state: &ServerState,
    caller: &Caller,
) -> Result<Vec<DefinitionFaultView>, ApiError> {
    caller.on_server(Role::Reader)?;
    let known = state.defining.known().await.map_err(ApiError::of_fault)?;
    let view = |fault: slipway_records::defining::DefinitionFault| DefinitionFaultView {
        place: fault.place,
        violations: fault.violations,
    };
    Ok(known.faults.into_iter().map(view).collect())
}

/// Definitions that were found or installed and cannot be used by this server, by where they lie.
#[utoipa::path(get, path = "/api/v1/definitions/faults", tag = "definitions", params(NamePageQuery),
    responses((status = 200, body = List<DefinitionFaultView>)))]
pub(crate) async fn faults(
    State(state): State<ServerState>,
    caller: Caller,
    Query(query): Query<NamePageQuery>,
) -> Result<Json<List<DefinitionFaultView>>, ApiError> {
    let page = query.page::<String>()?;
    let faults = all_faults(&state, &caller).await?;
    Ok(Json(page.cut(faults.into_iter().map(|fault| (fault.place.clone(), fault)).collect())))
}

/// One definition, with the schema of its properties and its files.
#[utoipa::path(get, path = "/api/v1/definitions/{kind}/{name}", tag = "definitions",
    params(("kind" = String, Path, description = "`component`, `trait`, `policy` or `step`"), ("name" = String, Path),
        VersionQuery),
    responses((status = 200, body = Object)))]
pub(crate) async fn show(
    State(state): State<ServerState>,
    caller: Caller,
    Path((kind, name)): Path<(DefinitionKind, DefinitionName)>,
    Query(query): Query<VersionQuery>,
) -> Result<Json<Value>, ApiError> {
    caller.somewhere(Role::Reader)?;
    let found = state.defining.details(kind, name.as_str(), query.version.as_ref()).await;
    let mut found = found.map_err(ApiError::of_fault)?.ok_or_else(|| unknown(&name))?;
    let mut read = state.records.read().await?;
    let own = found["name"].as_str().and_then(|name| name.parse::<DefinitionName>().ok()).unwrap_or(name);
    let version = found["version"].as_str().and_then(|version| version.parse::<Version>().ok());
    let rows = read.definition_list().await?;
    let row = version.as_ref().and_then(|version| row_of(&rows, kind, &own, version));
    found["enabled"] = json!(row.is_none_or(|row| row.enabled));
    if let Some(row) = row {
        found["installed_at"] = json!(row.installed_at);
        found["installed_by"] = json!(row.installed_by);
        found["source"] = json!({"from": "package", "reference": row.reference});
    }
    if caller.limited_to().is_none() {
        let users = Users::read(read.as_mut()).await?;
        let digest = found["digest"].as_str().and_then(|digest| digest.parse().ok());
        found["used_by"] = json!(digest.map(|digest| users.running(&digest)).unwrap_or_default());
        let major = version.map(|version| version.core().0).unwrap_or_default();
        found["held_by"] = json!(users.holding(kind, own.as_str(), major));
    }
    Ok(Json(found))
}

fn unknown(name: &DefinitionName) -> ApiError {
    ApiError::not_found("definition", name).hint("`slipway definition list` shows those there are")
}

fn entry(caller: &Caller, action: &'static str, row: &InstalledDefinition) -> NewAuditEntry {
    NewAuditEntry {
        actor: caller.name().to_owned(),
        action,
        subject: format!("definition/{}/{}", row.kind, row.name),
        detail: json!({"version": row.version, "digest": row.digest, "reference": row.reference}),
    }
}

/// Pulls a definition, checks it in the caged host and offers it to plans from now on.
#[utoipa::path(post, path = "/api/v1/definitions", tag = "definitions", request_body = Installation,
    responses((status = 200, body = Object), (status = 201, body = Object)))]
pub(crate) async fn install(
    State(state): State<ServerState>,
    caller: Caller,
    Body(wanted): Body<Installation>,
) -> Result<(StatusCode, Json<Value>), ApiError> {
    // Of no kind may anybody with less install one.
    caller.on_server(Role::Operator)?;
    let checked = state.defining.fetch(&wanted.reference).await.map_err(ApiError::of_fault)?;
    let checked = checked.map_err(ApiError::violations)?;
    caller.on_server(checked.kind.publisher())?;
    check_beside_builtin(&caller, &checked, wanted.beside_builtin)?;
    let row = InstalledDefinition {
        kind: checked.kind,
        name: checked.name,
        version: checked.version,
        digest: checked.digest,
        archive: checked.archive,
        reference: checked.reference,
        enabled: true,
        installed_at: Utc::now(),
        installed_by: caller.name().to_owned(),
    };
    let shown = json!({
        "kind": row.kind, "name": row.name, "version": row.version, "digest": row.digest,
        "reference": row.reference,
    });
    if checked.installed {
        return Ok((StatusCode::OK, Json(shown)));
    }
    let mut tx = state.records.begin().await?;
    tx.definition_insert(&row).await?;
    tx.audit(entry(&caller, "definition.install", &row)).await?;
    tx.commit().await?;
    Ok((StatusCode::CREATED, Json(shown)))
}

/// Another version of what is part of Slipway would be taken by every application that holds its major
/// version: that is said on purpose, by whoever runs the server.
fn check_beside_builtin(caller: &Caller, checked: &CheckedDefinition, said: bool) -> Result<(), ApiError> {
    if !checked.beside_builtin || checked.installed {
        return Ok(());
    }
    if !said {
        let (kind, name) = (checked.kind, &checked.name);
        let detail =
            format!("{} `{name}` is part of Slipway: {} would stand beside it", kind.noun(), checked.version);
        return Err(ApiError::conflict("definition_is_builtin", detail)
            .hint("give it a name of its own, or say that it is meant: --beside-builtin"));
    }
    caller.on_server(Role::Admin)
}

/// Whoever may install a definition may change what becomes of it: beside one that is part of Slipway an
/// admin alone.
pub(crate) fn may_change(
    caller: &Caller,
    known: &KnownDefinitions,
    kind: DefinitionKind,
    name: &DefinitionName,
) -> Result<(), ApiError> {
    let is_builtin = known
        .usable
        .iter()
        .any(|one| one.source == DefinitionSource::Builtin && one.kind == kind && one.name == *name);
    caller.on_server(if is_builtin { Role::Admin } else { kind.publisher() })
}

/// Offers an installed definition to new plans, or no longer. What runs stays.
#[utoipa::path(put, path = "/api/v1/definitions/{kind}/{name}/{version}", tag = "definitions",
    params(("kind" = String, Path), ("name" = String, Path), ("version" = String, Path)),
    request_body = Enabling, responses((status = 204)))]
pub(crate) async fn enable(
    State(state): State<ServerState>,
    caller: Caller,
    Path((kind, name, version)): Path<(DefinitionKind, DefinitionName, Version)>,
    Body(wanted): Body<Enabling>,
) -> Result<StatusCode, ApiError> {
    caller.on_server(kind.publisher())?;
    let known = state.defining.known().await.map_err(ApiError::of_fault)?;
    may_change(&caller, &known, kind, &name)?;
    if wanted.enabled {
        let objection = state.defining.objection(kind, &name, &version).await.map_err(ApiError::of_fault)?;
        if let Some(taken) = objection {
            let hint = taken.hint.unwrap_or_else(|| "see: slipway definition list".to_owned());
            return Err(ApiError::conflict("definition_name_taken", taken.message).hint(hint));
        }
    }
    let mut tx = state.records.begin().await?;
    let rows = tx.definition_list().await?;
    let row = row_of(&rows, kind, &name, &version).ok_or_else(|| not_installed(&name, &version))?;
    if row.enabled == wanted.enabled {
        return Ok(StatusCode::NO_CONTENT);
    }
    tx.definition_enable(kind, &name, &version, wanted.enabled).await?;
    let action = if wanted.enabled { "definition.enable" } else { "definition.disable" };
    tx.audit(entry(&caller, action, row)).await?;
    tx.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}

fn not_installed(name: &DefinitionName, version: &Version) -> ApiError {
    ApiError::not_found("installed definition", format!("{name}@{version}")).hint(
        "those that are part of Slipway or of a directory are not installed; see `slipway definition list`",
    )
}

/// Forgets an installed definition that nobody uses.
#[utoipa::path(delete, path = "/api/v1/definitions/{kind}/{name}/{version}", tag = "definitions",
    params(("kind" = String, Path), ("name" = String, Path), ("version" = String, Path)),
    responses((status = 204)))]
pub(crate) async fn remove(
    State(state): State<ServerState>,
    caller: Caller,
    Path((kind, name, version)): Path<(DefinitionKind, DefinitionName, Version)>,
) -> Result<StatusCode, ApiError> {
    caller.on_server(kind.publisher())?;
    let known = state.defining.known().await.map_err(ApiError::of_fault)?;
    may_change(&caller, &known, kind, &name)?;
    let mut read = state.records.read().await?;
    let rows = read.definition_list().await?;
    let row = row_of(&rows, kind, &name, &version).ok_or_else(|| not_installed(&name, &version))?;
    let users = Users::read(read.as_mut()).await?;
    drop(read);
    // All that operators wrote is parsed: on no thread that others wait for, and while nothing is locked.
    let (defining, asked, usable) = (Arc::clone(&state.defining), row.clone(), known.usable.clone());
    let needed = tokio::task::spawn_blocking(move || {
        users.needing(&asked, &usable, |document| defining.named_by(document))
    });
    let needed = needed.await.map_err(|error| ApiError::internal(&error))?;
    if !needed.is_empty() {
        return Err(in_use(row, &needed));
    }
    let mut tx = state.records.begin().await?;
    // What began to run or was held meanwhile.
    let users = Users::running_or_holding(tx.as_mut()).await?;
    let needed = users.needing(row, &known.usable, |_| Vec::new());
    if !needed.is_empty() {
        return Err(in_use(row, &needed));
    }
    if !tx.definition_remove(kind, &name, &version).await? {
        return Err(not_installed(&name, &version));
    }
    tx.audit(entry(&caller, "definition.remove", row)).await?;
    tx.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}

fn in_use(row: &InstalledDefinition, needed: &[String]) -> ApiError {
    let (kind, name, version) = (row.kind.noun(), &row.name, &row.version);
    let detail = format!("{kind} `{name}` {version} is in use: {}", needed.join(", "));
    ApiError::conflict("definition_in_use", detail).hint(release_hint(needed))
}

/// How what needs a definition comes to do without it.
fn release_hint(needed: &[String]) -> String {
    let configured = needed.iter().filter(|need| need.starts_with(CONFIGURATION_OF)).count();
    let mut ways = Vec::new();
    if configured < needed.len() {
        ways.push("deploy what runs with another version first, and hold another major version");
    }
    if configured > 0 {
        ways.push("take it out of these configurations: slipway env config APP --edit [--level LEVEL]");
    }
    format!("{}; `slipway definition disable` keeps it from new plans", ways.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_needs_a_definition_is_told_how_to_do_without() {
        let configured = format!("{CONFIGURATION_OF}shop for all environments");
        let told = release_hint(std::slice::from_ref(&configured));
        assert!(told.contains("slipway env config APP") && !told.contains("deploy what runs"), "{told}");
        let told = release_hint(&["shop@prod".to_owned(), configured]);
        assert!(told.contains("slipway env config APP") && told.contains("deploy what runs"), "{told}");
    }
}
