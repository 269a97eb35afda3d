//! Which secrets revisions were frozen with, and whose deployments have those revisions.

use async_trait::async_trait;
use slipway_records::{Deployment, ReadSecretUses, Result, RevisionSecret, WriteSecretUses};
use slipway_types::{Digest, SecretReference, SecretScope};

use super::DeploymentRow;
use crate::error::failed;
use crate::session::{Handle, Session, Writer};
use crate::value::{Json, Text, json, text};

struct UseRow {
    revision: Text<Digest>,
    reference: Text<SecretReference>,
    scope: Option<Text<SecretScope>>,
    version: String,
    components: Json<Vec<String>>,
}

impl From<UseRow> for (Digest, RevisionSecret) {
    fn from(row: UseRow) -> Self {
        let used = RevisionSecret {
            reference: row.reference.0,
            scope: row.scope.map(|scope| scope.0),
            version: row.version,
            components: row.components.0,
        };
        (row.revision.0, used)
    }
}

#[async_trait]
impl<H: Handle> ReadSecretUses for Session<H> {
    async fn deployments_with_secret(&mut self, found_by: &str) -> Result<Vec<Deployment>> {
        let found = deployments!(
            "where revision in (select s.revision from revision_secret s where s.name = $1)
            and (state in ('frozen', 'awaiting', 'approved')
                or (state in ('handed_off', 'delivered', 'progressing', 'suspended', 'live', 'degraded',
                    'unreachable', 'failed', 'timed_out', 'terminating', 'terminated', 'deleting')
                and not exists (select 1 from deployment n where n.environment_id = d.environment_id
                    and n.application_id = d.application_id and n.generation > d.generation
                    and n.handed_off_at is not null)))
            order by application_id, environment_id, generation",
            text(found_by)
        )
        .fetch_all(self.db())
        .await;
        Ok(found.map_err(failed)?.into_iter().map(Deployment::from).collect())
    }

    async fn deployments_with_unnoted_secrets(&mut self) -> Result<Vec<Deployment>> {
        let found = deployments!(
            "where revision is not null
            and not exists (select 1 from revision_secret_noted s where s.revision = d.revision)
            and (state in ('frozen', 'awaiting', 'approved')
                or (state in ('handed_off', 'delivered', 'progressing', 'suspended', 'live', 'degraded',
                    'unreachable', 'failed', 'timed_out', 'terminating', 'terminated', 'deleting')
                and not exists (select 1 from deployment n where n.environment_id = d.environment_id
                    and n.application_id = d.application_id and n.generation > d.generation
                    and n.handed_off_at is not null)))
            order by application_id, environment_id, generation"
        )
        .fetch_all(self.db())
        .await;
        Ok(found.map_err(failed)?.into_iter().map(Deployment::from).collect())
    }

    async fn secret_uses(&mut self, found_by: &str) -> Result<Vec<(Digest, RevisionSecret)>> {
        let found = sqlx::query_as!(
            UseRow,
            r#"select s.revision as "revision!: _", s.reference as "reference!: _", s.scope as "scope?: _",
            s.version as "version!", s.components as "components!: _" from revision_secret s
            where s.name = $1 and exists (select 1 from deployment d where d.revision = s.revision
                and d.state not in ('rejected', 'broken', 'declined', 'expired', 'withdrawn', 'superseded',
                    'deleted'))
            order by s.revision, s.reference"#,
            text(found_by),
        )
        .fetch_all(self.db())
        .await
        .map_err(failed)?;
        Ok(found.into_iter().map(<(Digest, RevisionSecret)>::from).collect())
    }

    async fn revision_secrets(&mut self, revision: &Digest) -> Result<Vec<RevisionSecret>> {
        let found = sqlx::query_as!(
            UseRow,
            r#"select revision as "revision!: _", reference as "reference!: _", scope as "scope?: _",
            version as "version!", components as "components!: _" from revision_secret
            where revision = $1 order by reference"#,
            revision.to_string(),
        )
        .fetch_all(self.db())
        .await
        .map_err(failed)?;
        Ok(found.into_iter().map(|row| <(Digest, RevisionSecret)>::from(row).1).collect())
    }
}

#[async_trait]
impl WriteSecretUses for Writer {
    async fn revision_secrets_note(&mut self, revision: &Digest, secrets: &[RevisionSecret]) -> Result<()> {
        sqlx::query!(
            "insert into revision_secret_noted (revision) values ($1) on conflict (revision) do nothing",
            revision.to_string(),
        )
        .execute(self.db())
        .await
        .map_err(failed)?;
        for used in secrets {
            sqlx::query!(
                "insert into revision_secret (revision, reference, name, scope, version, components)
                values ($1, $2, $3, $4, $5, $6) on conflict (revision, reference) do nothing",
                revision.to_string(),
                text(&used.reference.to_string()),
                text(&slipway_records::secret_use::found_by(&used.reference)),
                used.scope.as_ref().map(ToString::to_string),
                text(&used.version),
                json(&used.components),
            )
            .execute(self.db())
            .await
            .map_err(failed)?;
        }
        Ok(())
    }
}
