//! Checks of bundles, reported by those whose word they are.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use slipway_records::{BundleCheck, CheckState, DeclaredCheck, NewAuditEntry, Read, Waiver, Write};
use slipway_types::name::CheckName;
use slipway_types::state::{CheckEvent, DeclaredCheckState};
use slipway_types::{ApplicationName, Role, Version};
use utoipa::ToSchema;

use super::following;
use super::list::{List, NamePageQuery};
use crate::auth::Caller;
use crate::extract::{Body, Path, Query};
use crate::problem::ApiError;
use crate::state::ServerState;

/// The longest text of a report, in characters.
const TEXT_CHARS_MAX: usize = 2000;

/// A check of a bundle.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CheckView {
    name: String,
    /// Reported: `pending`, `passed` or `failed`. Declared by developers: `queued`, `running`, `passed`,
    /// `failed`, `error`, `timed_out` or `cancelled`.
    state: &'static str,
    detail: Option<String>,
    url: Option<String>,
    /// The person whose word it is; `slipway` of those that developers declare.
    reported_by: String,
    reported_at: DateTime<Utc>,
    /// What more there is of one that developers declare.
    #[serde(flatten)]
    declared: Option<DeclaredCheckView>,
}

/// A check that developers declare.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DeclaredCheckView {
    /// Names its log among the server's.
    id: String,
    /// Whether it holds the bundle.
    holds: bool,
    /// The image that it runs in, by digest.
    image: String,
    /// Program and arguments.
    command: Vec<String>,
    /// The back-end, and why that one.
    backend: String,
    backend_why: String,
    /// Attempts begun.
    attempt: u32,
    /// The version whose check stands in, if it did not run itself.
    from: Option<String>,
    started_at: Option<DateTime<Utc>>,
    finished_at: Option<DateTime<Utc>>,
    waived_by: Option<String>,
    waived_reason: Option<String>,
}

impl From<DeclaredCheck> for CheckView {
    fn from(check: DeclaredCheck) -> Self {
        let from = match &check.state {
            DeclaredCheckState::Passed { from: Some(earlier) } => Some(earlier.version.to_string()),
            _ => None,
        };
        Self {
            name: check.name.to_string(),
            state: check.state.word(),
            detail: check.state.reason(),
            url: None,
            reported_by: "slipway".to_owned(),
            reported_at: check.finished_at.or(check.started_at).unwrap_or(check.created_at),
            declared: Some(DeclaredCheckView {
                id: check.id.to_string(),
                holds: check.holds(),
                image: check.order.image.to_string(),
                command: check.order.command,
                backend: check.order.backend,
                backend_why: check.order.backend_why,
                attempt: check.attempt,
                from,
                started_at: check.started_at,
                finished_at: check.finished_at,
                waived_by: check.waiver.as_ref().map(|waiver| waiver.by.clone()),
                waived_reason: check.waiver.map(|waiver| waiver.reason),
            }),
        }
    }
}

/// Why a check is to hold its bundle no more.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct WaiveBody {
    /// For the audit record.
    reason: String,
}

/// How a check stands.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CheckBody {
    /// `pending`, `passed` or `failed`.
    #[schema(value_type = String)]
    state: CheckState,
    detail: Option<String>,
    url: Option<String>,
}

/// The checks of a bundle: those that its developers declare, then reported ones by name and who reported.
#[utoipa::path(get, path = "/api/v1/bundles/{application}/{version}/checks", tag = "bundles",
    params(("application" = String, Path), ("version" = String, Path), NamePageQuery),
    responses((status = 200, body = List<CheckView>)))]
pub(crate) async fn list(
    State(state): State<ServerState>,
    caller: Caller,
    Path((application, version)): Path<(ApplicationName, Version)>,
    Query(query): Query<NamePageQuery>,
) -> Result<Json<List<CheckView>>, ApiError> {
    let page = query.page::<String>()?;
    let mut read = state.records.read().await?;
    let application = caller.application(read.as_mut(), &application, Role::Reader).await?;
    let row = read.version_find(application.id, None, &version).await?;
    let row = row.ok_or_else(|| ApiError::not_found("bundle version", &version))?;
    let declared = read.declared_checks_of(row.id).await?.into_iter().map(CheckView::from);
    let reported = read.checks_of(row.id).await?.into_iter().map(|check| CheckView {
        name: check.name.to_string(),
        state: check.state.word(),
        detail: check.detail,
        url: check.url,
        reported_by: check.reported_by,
        reported_at: check.reported_at,
        declared: None,
    });
    let key = |check: &CheckView| match check.declared {
        Some(_) => format!("declared {}", check.name),
        None => format!("reported {} {}", check.name, check.reported_by),
    };
    Ok(Json(page.cut(declared.chain(reported).map(|check| (key(&check), check)).collect())))
}

/// Reports a check. It takes the place of what the same person said of it before; each person has one report of
/// a check. Only that of the person that an environment names as the check's owner opens its gate.
#[utoipa::path(put, path = "/api/v1/bundles/{application}/{version}/checks/{name}", tag = "bundles",
    params(("application" = String, Path), ("version" = String, Path), ("name" = String, Path)),
    request_body = CheckBody, responses((status = 204)))]
pub(crate) async fn put(
    State(state): State<ServerState>,
    caller: Caller,
    Path((application, version, name)): Path<(ApplicationName, Version, CheckName)>,
    Body(body): Body<CheckBody>,
) -> Result<StatusCode, ApiError> {
    if name.is_source() {
        let detail = format!("`{name}` is run by Slipway, nobody reports it");
        return Err(ApiError::new(StatusCode::FORBIDDEN, "check_reserved", detail)
            .hint("choose a name without `source/`"));
    }
    for (field, text) in [("detail", &body.detail), ("url", &body.url)] {
        if text.as_ref().is_some_and(|text| text.chars().count() > TEXT_CHARS_MAX) {
            let detail = format!("{field}: longer than {TEXT_CHARS_MAX} characters");
            return Err(ApiError::bad_request("bad_body", detail)
                .hint("say it shorter, and let `url` lead to the rest"));
        }
    }
    let mut tx = state.records.begin().await?;
    let application = caller.application(tx.as_mut(), &application, Role::Developer).await?;
    let row = tx.version_find(application.id, None, &version).await?;
    let row = row.ok_or_else(|| ApiError::not_found("bundle version", &version))?;
    let person = caller.0.person().to_owned();
    let check = BundleCheck {
        version_id: row.id,
        name: name.clone(),
        state: body.state,
        detail: body.detail,
        url: body.url,
        reported_by: person,
        reported_at: Utc::now(),
    };
    tx.check_put(&check).await?;
    tx.audit(NewAuditEntry {
        actor: caller.name().to_owned(),
        action: "check.report",
        subject: format!("bundle/{}/{version}", application.name),
        detail: json!({"check": name, "state": check.state, "detail": check.detail}),
    })
    .await?;
    following::bundle_changed(tx.as_mut(), application.id, row.id).await?;
    tx.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The check that developers declare of a bundle, if the caller holds `role` on it.
pub(crate) async fn declared(
    read: &mut dyn Read,
    caller: &Caller,
    (application, version, name): (&ApplicationName, &Version, &CheckName),
    role: Role,
) -> Result<DeclaredCheck, ApiError> {
    let application = caller.application(read, application, role).await?;
    let row = read.version_find(application.id, None, version).await?;
    let row = row.ok_or_else(|| ApiError::not_found("bundle version", version))?;
    let checks = read.declared_checks_of(row.id).await?;
    checks.into_iter().find(|check| check.name == *name).ok_or_else(|| {
        let list = format!("slipway check list {} {version}", application.name);
        ApiError::not_found("declared check", name)
            .hint(format!("`{list}` lists them; they are named source/NAME"))
    })
}

fn outrun(name: &CheckName) -> ApiError {
    ApiError::conflict("outrun", format!("check `{name}` was changed meanwhile")).hint("try again")
}

/// Runs a check that developers declare once more, whatever earlier ones said.
#[utoipa::path(post, path = "/api/v1/bundles/{application}/{version}/checks/{name}/rerun", tag = "bundles",
    params(("application" = String, Path), ("version" = String, Path), ("name" = String, Path)),
    responses((status = 202, body = CheckView)))]
pub(crate) async fn rerun(
    State(state): State<ServerState>,
    caller: Caller,
    Path((application, version, name)): Path<(ApplicationName, Version, CheckName)>,
) -> Result<(StatusCode, Json<CheckView>), ApiError> {
    let mut tx = state.records.begin().await?;
    let named = (&application, &version, &name);
    let mut check = declared(tx.as_mut(), &caller, named, Role::Developer).await?;
    let before = check.state.word();
    check.state = check.state.clone().apply(CheckEvent::Rerun).map_err(|_| {
        ApiError::conflict("check_is_live", format!("check `{name}` is still {before}"))
            .hint("wait for its end")
    })?;
    (check.fresh, check.finished_at) = (true, None);
    if !tx.declared_check_save(&mut check).await? {
        return Err(outrun(&name));
    }
    tx.job_enqueue(check.job()).await?;
    tx.audit(NewAuditEntry {
        actor: caller.name().to_owned(),
        action: "check.rerun",
        subject: format!("bundle/{application}/{version}"),
        detail: json!({"check": name, "was": before}),
    })
    .await?;
    tx.commit().await?;
    Ok((StatusCode::ACCEPTED, Json(CheckView::from(check))))
}

/// What came of stopping checks.
pub(crate) enum Stopped {
    /// None of them went on.
    Nothing,
    /// These were stopped.
    Some,
    /// One moved meanwhile: look again.
    Outrun,
}

/// Stops the check if it goes on. Who runs it sees that.
pub(crate) async fn stop(
    tx: &mut dyn Write,
    mut check: DeclaredCheck,
    caller: &Caller,
    (subject, detail): (String, Value),
) -> Result<(Stopped, DeclaredCheck), ApiError> {
    let Ok(state) = check.state.clone().apply(CheckEvent::Cancel(caller.name().to_owned())) else {
        return Ok((Stopped::Nothing, check));
    };
    (check.state, check.finished_at) = (state, Some(Utc::now()));
    if !tx.declared_check_save(&mut check).await? {
        return Ok((Stopped::Outrun, check));
    }
    let actor = caller.name().to_owned();
    tx.audit(NewAuditEntry { actor, action: "check.cancel", subject, detail }).await?;
    Ok((Stopped::Some, check))
}

/// Stops a check that developers declare. What it holds, it goes on to hold.
#[utoipa::path(post, path = "/api/v1/bundles/{application}/{version}/checks/{name}/cancel", tag = "bundles",
    params(("application" = String, Path), ("version" = String, Path), ("name" = String, Path)),
    responses((status = 202, body = CheckView)))]
pub(crate) async fn cancel(
    State(state): State<ServerState>,
    caller: Caller,
    Path((application, version, name)): Path<(ApplicationName, Version, CheckName)>,
) -> Result<(StatusCode, Json<CheckView>), ApiError> {
    let mut tx = state.records.begin().await?;
    let named = (&application, &version, &name);
    let check = declared(tx.as_mut(), &caller, named, Role::Developer).await?;
    let detail = json!({"check": name, "was": check.state.word()});
    let entry = (format!("bundle/{application}/{version}"), detail);
    match stop(tx.as_mut(), check, &caller, entry).await? {
        (Stopped::Nothing, check) => {
            let detail = format!("check `{name}` is {} already", check.state.word());
            Err(ApiError::conflict("check_ended", detail))
        }
        (Stopped::Outrun, _) => Err(outrun(&name)),
        (Stopped::Some, check) => {
            tx.commit().await?;
            Ok((StatusCode::ACCEPTED, Json(CheckView::from(check))))
        }
    }
}

/// Lets a bundle go although this check of its developers is not green. An operator's word, kept with the
/// check and in the audit record; it opens no gate.
#[utoipa::path(post, path = "/api/v1/bundles/{application}/{version}/checks/{name}/waive", tag = "bundles",
    params(("application" = String, Path), ("version" = String, Path), ("name" = String, Path)),
    request_body = WaiveBody, responses((status = 200, body = CheckView)))]
pub(crate) async fn waive(
    State(state): State<ServerState>,
    caller: Caller,
    Path((application, version, name)): Path<(ApplicationName, Version, CheckName)>,
    Body(body): Body<WaiveBody>,
) -> Result<Json<CheckView>, ApiError> {
    let reason = body.reason.trim();
    if reason.is_empty() || reason.chars().count() > TEXT_CHARS_MAX {
        let detail = format!("reason: expected 1 to {TEXT_CHARS_MAX} characters");
        return Err(ApiError::bad_request("bad_body", detail));
    }
    let mut tx = state.records.begin().await?;
    let named = (&application, &version, &name);
    let mut check = declared(tx.as_mut(), &caller, named, Role::Operator).await?;
    if !check.holds() {
        return Err(ApiError::conflict("check_holds_nothing", format!("check `{name}` holds no bundle")));
    }
    let by = caller.0.person().to_owned();
    check.waiver = Some(Waiver { by, reason: reason.to_owned(), at: Utc::now() });
    if !tx.declared_check_save(&mut check).await? {
        return Err(outrun(&name));
    }
    tx.audit(NewAuditEntry {
        actor: caller.name().to_owned(),
        action: "check.waive",
        subject: format!("bundle/{application}/{version}"),
        detail: json!({"check": name, "was": check.state.word(), "reason": reason}),
    })
    .await?;
    following::bundle_changed(tx.as_mut(), check.application_id, check.version_id).await?;
    tx.commit().await?;
    tracing::warn!(%application, %version, %name, person = caller.0.person(), "a check was waived");
    Ok(Json(CheckView::from(check)))
}
