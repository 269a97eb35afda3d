//! Incidents: applications that are not as wanted somewhere, and who was told.

use axum::Json;
use axum::extract::State;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use slipway_records::incident::About;
use slipway_records::{Incident, IncidentFilter, NoticeDelivery, Page, Read, Topic};
use slipway_types::name::EnvironmentName;
use slipway_types::{ApplicationName, Role};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::environments;
use super::list::{List, PageQuery};
use crate::auth::Caller;
use crate::extract::Query;
use crate::problem::ApiError;
use crate::state::ServerState;

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct IncidentQuery {
    /// Of this application.
    #[param(value_type = Option<String>)]
    pub(crate) application: Option<ApplicationName>,
    /// In this environment.
    #[param(value_type = Option<String>)]
    pub(crate) environment: Option<EnvironmentName>,
    /// Only those that are not over.
    #[serde(default)]
    pub(crate) open: bool,
    /// Rows in the answer, 1 to 500; 50 if absent.
    pub(crate) limit: Option<u32>,
    /// `next` of the page before.
    #[param(value_type = Option<String>)]
    pub(crate) after: Option<Uuid>,
}

/// A deployment at a moment of an incident.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AboutView {
    pub(crate) deployment: String,
    pub(crate) generation: u64,
    pub(crate) version: String,
    pub(crate) state: String,
    /// What is in the way.
    pub(crate) blocker: Option<String>,
    pub(crate) deployed_by: String,
    pub(crate) since: DateTime<Utc>,
}

/// What a channel was told of an incident.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct IncidentNotice {
    pub(crate) id: String,
    pub(crate) channel: String,
    /// `opened` or `recovered`.
    pub(crate) told: String,
    /// `pending`, `sent` or `failed`.
    pub(crate) state: &'static str,
    pub(crate) attempts: u32,
    /// What came of the last try.
    pub(crate) answer: Option<String>,
    pub(crate) ended_at: Option<DateTime<Utc>>,
}

/// An application that is, or was, not as wanted somewhere.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct IncidentView {
    pub(crate) id: String,
    pub(crate) application: String,
    pub(crate) environment: String,
    pub(crate) open: bool,
    /// The deployment as it was when it last was not as wanted.
    pub(crate) about: AboutView,
    /// The one that is as wanted since. An incident stays open for a while then.
    pub(crate) ended: Option<AboutView>,
    pub(crate) opened_at: DateTime<Utc>,
    pub(crate) closed_at: Option<DateTime<Utc>>,
    pub(crate) notices: Vec<IncidentNotice>,
}

impl From<About> for AboutView {
    fn from(about: About) -> Self {
        Self {
            deployment: about.deployment.to_string(),
            generation: about.generation,
            version: about.version.to_string(),
            state: about.state,
            blocker: about.blocker,
            deployed_by: about.deployed_by,
            since: about.since,
        }
    }
}

impl From<NoticeDelivery> for IncidentNotice {
    fn from(notice: NoticeDelivery) -> Self {
        Self {
            id: notice.id.to_string(),
            channel: notice.channel.to_string(),
            told: notice.once.rsplit('/').next().unwrap_or_default().to_owned(),
            state: notice.state.word(),
            attempts: notice.attempts,
            answer: notice.answer,
            ended_at: notice.ended_at,
        }
    }
}

/// Incidents, newest first.
#[utoipa::path(get, path = "/api/v1/incidents", tag = "deployments", params(IncidentQuery),
    responses((status = 200, body = List<IncidentView>)))]
pub(crate) async fn list(
    State(state): State<ServerState>,
    caller: Caller,
    Query(query): Query<IncidentQuery>,
) -> Result<Json<List<IncidentView>>, ApiError> {
    caller.somewhere(Role::Reader)?;
    let page: Page = PageQuery::new(query.limit, query.after).page()?;
    let mut read = state.records.read().await?;
    let mut filter = IncidentFilter {
        application: caller.limited_to(),
        topic: Some(Topic::Trouble),
        open_only: query.open,
        ..IncidentFilter::default()
    };
    if let Some(name) = &query.application {
        filter.application = Some(caller.application(read.as_mut(), name, Role::Reader).await?.id);
    }
    if let Some(name) = &query.environment {
        filter.environment = Some(environments::found(read.as_mut(), name).await?.id);
    }
    let rows = read.incident_list(&filter, page.clone()).await?;
    let applications = super::names_of(read.as_mut(), rows.iter().map(|row| row.application_id)).await?;
    let mut items = Vec::new();
    for row in rows {
        let application = applications.get(&row.application_id).cloned().unwrap_or_default();
        items.push((row.id.as_uuid(), view(read.as_mut(), row, application).await?));
    }
    Ok(Json(List::page(&page, items)))
}

async fn view(
    read: &mut dyn Read,
    incident: Incident,
    application: String,
) -> Result<IncidentView, ApiError> {
    let environment = read.environment_get(incident.environment_id).await?;
    let notices = read.notices_of(incident.id).await?;
    Ok(IncidentView {
        id: incident.id.to_string(),
        application,
        environment: environment
            .map_or_else(|| incident.environment_id.to_string(), |environment| environment.name.to_string()),
        open: incident.closed_at.is_none(),
        about: incident.about.into(),
        ended: incident.ended.map(AboutView::from),
        opened_at: incident.opened_at,
        closed_at: incident.closed_at,
        notices: notices.into_iter().map(IncidentNotice::from).collect(),
    })
}
