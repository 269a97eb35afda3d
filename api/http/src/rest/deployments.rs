//! Deploying what was chosen, and what was deployed.

use std::cmp::Reverse;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::json;
use slipway_records::job::{JobPayload, NewJob};
use slipway_records::{DeploymentFilter, Environment, NewAuditEntry, Page, Read, Write};
use slipway_types::id::{ApplicationId, DeploymentId, EnvironmentId};
use slipway_types::name::EnvironmentName;
use slipway_types::state::DeploymentState;
use slipway_types::{ApplicationName, Role};
use utoipa::IntoParams;
use uuid::Uuid;

use super::deployment_choices::{Chosen, DeployBody, choose, new_deployment};
use super::deployment_holds::ProposedDeployment;
use super::deployment_views::{DeploymentDetail, DeploymentName, DeploymentView, Places, detail, find, view};
use super::environments;
use super::labels::checked_reason;
use super::list::{List, PageQuery};
use crate::auth::Caller;
use crate::extract::{Body, Path, Query};
use crate::problem::ApiError;
use crate::state::ServerState;

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct DeploymentQuery {
    /// Of this application.
    #[param(value_type = Option<String>)]
    application: Option<ApplicationName>,
    /// In this environment, or in one of that name that was removed.
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

impl DeploymentQuery {
    /// What a form asks for; an empty text asks for all.
    pub(crate) fn of(
        (application, environment): (&str, &str),
        state: &str,
        (limit, after): (u32, Option<Uuid>),
    ) -> Result<Self, ApiError> {
        let bad = |field: &str, error: &dyn std::error::Error| {
            ApiError::bad_request("bad_query", format!("{field}: {error}"))
        };
        let given = |text: &str| Some(text.trim().to_owned()).filter(|text| !text.is_empty());
        let application = given(application).map(|text| text.parse::<ApplicationName>()).transpose();
        let environment = given(environment).map(|text| text.parse::<EnvironmentName>()).transpose();
        Ok(Self {
            application: application.map_err(|error| bad("application", &error))?,
            environment: environment.map_err(|error| bad("environment", &error))?,
            state: given(state),
            limit: Some(limit),
            after,
        })
    }

    /// What to look for: one filter for each environment that has or had the name.
    async fn filters(&self, caller: &Caller, read: &mut dyn Read) -> Result<Vec<DeploymentFilter>, ApiError> {
        let mut filter = DeploymentFilter { application: caller.limited_to(), ..DeploymentFilter::default() };
        if let Some(name) = &self.application {
            filter.application = Some(caller.application(read, name, Role::Reader).await?.id);
        }
        for word in self.state.iter().flat_map(|words| words.split(',')) {
            let known = DeploymentState::WORDS.into_iter().find(|known| *known == word.trim());
            filter.states.push(known.ok_or_else(|| {
                let detail = format!("state: expected some of {}", DeploymentState::WORDS.join(", "));
                ApiError::bad_request("bad_query", detail)
            })?);
        }
        let Some(name) = &self.environment else { return Ok(vec![filter]) };
        let places = environments::ever(read, name).await?;
        let in_place =
            |place: Environment| DeploymentFilter { environment: Some(place.id), ..filter.clone() };
        Ok(places.into_iter().map(in_place).collect())
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

/// Makes a deployment.
async fn make(state: &ServerState, caller: &Caller, body: &DeployBody) -> Result<DeploymentView, ApiError> {
    let mut tx = state.records.begin().await?;
    let reason = checked_reason(body.reason.clone())?;
    let chosen = choose(caller, tx.as_mut(), body, Role::Operator).await?;
    let made = store(tx.as_mut(), caller, &chosen, reason).await?;
    tx.commit().await?;
    Ok(made)
}

/// Makes a deployment for somebody who saw `newest` as the newest of that application there; if another is by now,
/// nothing is made. So a form that is sent twice deploys once.
pub(crate) async fn create_after(
    state: &ServerState,
    caller: &Caller,
    body: &DeployBody,
    newest: Option<DeploymentId>,
) -> Result<DeploymentView, ApiError> {
    let mut tx = state.records.begin().await?;
    let reason = checked_reason(body.reason.clone())?;
    let chosen = choose(caller, tx.as_mut(), body, Role::Operator).await?;
    let made = store(tx.as_mut(), caller, &chosen, reason).await?;
    // After the new one took its generation, for which others wait who deploy there at the same time.
    let rows =
        tx.deployment_list(&place(chosen.application.id, chosen.environment.id), Page::first(2)).await?;
    let before = rows.into_iter().map(|row| row.id).find(|id| id.to_string() != made.id);
    if before != newest {
        return Err(changed_meanwhile());
    }
    tx.commit().await?;
    Ok(made)
}

/// What somebody looked at is not what stands there now.
pub(crate) fn changed_meanwhile() -> ApiError {
    let detail = "something else was deployed there since this page was shown: nothing was done";
    ApiError::conflict("changed_meanwhile", detail).hint("look at what stands there now, then decide again")
}

/// The newest deployment of an application in an environment.
pub(crate) async fn newest(
    read: &mut dyn Read,
    application: ApplicationId,
    environment: EnvironmentId,
) -> Result<Option<DeploymentId>, ApiError> {
    let rows = read.deployment_list(&place(application, environment), Page::first(1)).await?;
    Ok(rows.first().map(|row| row.id))
}

fn place(application: ApplicationId, environment: EnvironmentId) -> DeploymentFilter {
    DeploymentFilter {
        application: Some(application),
        environment: Some(environment),
        ..DeploymentFilter::default()
    }
}

/// Makes a deployment of what was chosen.
pub(super) async fn store(
    tx: &mut dyn Write,
    caller: &Caller,
    chosen: &Chosen,
    reason: Option<String>,
) -> Result<DeploymentView, ApiError> {
    let proposed = ProposedDeployment {
        application: &chosen.application,
        environment: &chosen.environment,
        cause: &chosen.cause,
    };
    proposed.keep_to_holds(tx, caller, chosen.bundle.id).await?;
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
    let filters = query.filters(&caller, read.as_mut()).await?;
    let mut rows = Vec::new();
    for filter in filters {
        rows.extend(read.deployment_list(&filter, page.clone()).await?);
    }
    rows.sort_by_key(|row| Reverse(row.id));
    rows.truncate(page.limit as usize);
    let places = Places::look(read.as_mut(), &rows).await?;
    let items = rows.iter().map(|row| (row.id.as_uuid(), places.view(row)));
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
