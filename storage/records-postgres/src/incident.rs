//! Incidents.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use slipway_records::incident::About;
use slipway_records::{Incident, IncidentFilter, Page, ReadIncidents, Result, Topic, WriteIncidents};
use slipway_types::id::{ApplicationId, EnvironmentId, IncidentId};

use crate::error::failed;
use crate::session::{Handle, Session, Writer};
use crate::value::{Id, Json, Text, below, json, rows};

struct IncidentRow {
    id: Id<IncidentId>,
    application_id: Id<ApplicationId>,
    environment_id: Id<EnvironmentId>,
    topic: Text<Topic>,
    about: Json<About>,
    ended: Option<Json<About>>,
    opened_at: DateTime<Utc>,
    closed_at: Option<DateTime<Utc>>,
    row_version: i64,
}

impl From<IncidentRow> for Incident {
    fn from(row: IncidentRow) -> Self {
        Self {
            id: row.id.0,
            application_id: row.application_id.0,
            environment_id: row.environment_id.0,
            topic: row.topic.0,
            about: row.about.0,
            ended: row.ended.map(|ended| ended.0),
            opened_at: row.opened_at,
            closed_at: row.closed_at,
            row_version: row.row_version,
        }
    }
}

macro_rules! incidents {
    ($tail:tt $(, $arg:expr)*) => {
        sqlx::query_as!(
            IncidentRow,
            r#"select id as "id!: _", application_id as "application_id!: _",
            environment_id as "environment_id!: _", topic as "topic!: _", about as "about!: _",
            ended as "ended?: _", opened_at as "opened_at!", closed_at as "closed_at?",
            row_version as "row_version!" from incident "# + $tail
            $(, $arg)*
        )
    };
}

#[async_trait]
impl<H: Handle> ReadIncidents for Session<H> {
    async fn incident_get(&mut self, id: IncidentId) -> Result<Option<Incident>> {
        let row = incidents!("where id = $1", id.as_uuid()).fetch_optional(self.db()).await;
        Ok(row.map_err(failed)?.map(Incident::from))
    }

    async fn incident_open(
        &mut self,
        environment: EnvironmentId,
        application: ApplicationId,
        key: &str,
    ) -> Result<Option<Incident>> {
        let row = incidents!(
            "where environment_id = $1 and application_id = $2 and topic_key = $3 and closed_at is null",
            environment.as_uuid(),
            application.as_uuid(),
            key
        )
        .fetch_optional(self.db())
        .await;
        Ok(row.map_err(failed)?.map(Incident::from))
    }

    async fn incident_list(&mut self, filter: &IncidentFilter, page: Page) -> Result<Vec<Incident>> {
        let found = incidents!(
            "where id < $1 and ($2::uuid is null or application_id = $2)
            and ($3::uuid is null or environment_id = $3) and ($4::text is null or topic = $4)
            and (not $5::boolean or closed_at is null) order by id desc limit $6",
            below(page.after),
            filter.application.map(|id| id.as_uuid()),
            filter.environment.map(|id| id.as_uuid()),
            filter.topic.map(Topic::word),
            filter.open_only,
            rows(page.limit)
        )
        .fetch_all(self.db())
        .await;
        Ok(found.map_err(failed)?.into_iter().map(Incident::from).collect())
    }
}

#[async_trait]
impl WriteIncidents for Writer {
    async fn incident_insert(&mut self, incident: &Incident) -> Result<bool> {
        let made = sqlx::query!(
            "insert into incident (id, application_id, environment_id, topic, topic_key, about, ended, opened_at,
            closed_at, row_version) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, 1)
            on conflict (environment_id, application_id, topic_key) where closed_at is null do nothing",
            incident.id.as_uuid(),
            incident.application_id.as_uuid(),
            incident.environment_id.as_uuid(),
            incident.topic.word(),
            incident.topic.key(incident.about.deployment),
            json(&incident.about),
            incident.ended.as_ref().map(json),
            incident.opened_at,
            incident.closed_at,
        )
        .execute(self.db())
        .await
        .map_err(failed)?;
        Ok(made.rows_affected() == 1)
    }

    async fn incident_save(&mut self, incident: &mut Incident) -> Result<bool> {
        let saved = sqlx::query!(
            "update incident set about = $3, ended = $4, closed_at = $5, row_version = row_version + 1
            where id = $1 and row_version = $2",
            incident.id.as_uuid(),
            incident.row_version,
            json(&incident.about),
            incident.ended.as_ref().map(json),
            incident.closed_at,
        )
        .execute(self.db())
        .await
        .map_err(failed)?
        .rows_affected()
            == 1;
        if saved {
            incident.row_version += 1;
        }
        Ok(saved)
    }

    async fn incidents_forget(&mut self, before: DateTime<Utc>, limit: u32) -> Result<u64> {
        let limit = rows(limit);
        sqlx::query!(
            "delete from notice_delivery where incident_id in
            (select id from incident where closed_at < $1 order by closed_at, id limit $2)",
            before,
            limit,
        )
        .execute(self.db())
        .await
        .map_err(failed)?;
        let removed = sqlx::query!(
            "delete from incident where id in
            (select id from incident where closed_at < $1 order by closed_at, id limit $2)",
            before,
            limit,
        )
        .execute(self.db())
        .await
        .map_err(failed)?;
        Ok(removed.rows_affected())
    }
}
