//! Clusters, environments, configuration.

use async_trait::async_trait;
use slipway_records::{
    Cluster, Configuration, ConfigurationOrigin, Environment, NewConfiguration, ReadEnvironments,
    RecordsError, Result, WriteEnvironments,
};
use slipway_types::environment::{ClusterFacts, ClusterSettings, EnvironmentSettings};
use slipway_types::id::{ApplicationId, ClusterId, EnvironmentId};
use slipway_types::name::{ClusterName, EnvironmentName};
use slipway_types::{Address, Digest};
use sqlx::SqliteConnection;

use crate::error::{failed, failed_insert};
use crate::session::{Handle, Session, Writer};
use crate::value::{Json, Millis, Text, json, millis, now, rows};

struct ClusterRow {
    id: Text<ClusterId>,
    name: Text<ClusterName>,
    uid: String,
    settings: Json<ClusterSettings>,
    facts: Option<Json<ClusterFacts>>,
    revision: i64,
    created_at: Millis,
    created_by: String,
}

impl From<ClusterRow> for Cluster {
    fn from(row: ClusterRow) -> Self {
        Self {
            id: row.id.0,
            name: row.name.0,
            uid: row.uid,
            settings: row.settings.0,
            facts: row.facts.map(|facts| facts.0),
            revision: row.revision,
            created_at: row.created_at.0,
            created_by: row.created_by,
        }
    }
}

macro_rules! clusters {
    ($tail:tt $(, $arg:expr)*) => {
        sqlx::query_as!(
            ClusterRow,
            r#"select id as "id!: _", name as "name!: _", uid as "uid!", settings as "settings!: _",
            facts as "facts?: _", revision as "revision!", created_at as "created_at!: _",
            created_by as "created_by!" from cluster where removed_at is null "# + $tail
            $(, $arg)*
        )
    };
}

struct EnvironmentRow {
    id: Text<EnvironmentId>,
    name: Text<EnvironmentName>,
    address: Text<Address>,
    settings: Json<EnvironmentSettings>,
    revision: i64,
    created_at: Millis,
    created_by: String,
    changed_at: Millis,
    changed_by: String,
    removed_at: Option<Millis>,
}

impl From<EnvironmentRow> for Environment {
    fn from(row: EnvironmentRow) -> Self {
        Self {
            id: row.id.0,
            name: row.name.0,
            address: row.address.0,
            settings: row.settings.0,
            revision: row.revision,
            created_at: row.created_at.0,
            created_by: row.created_by,
            changed_at: row.changed_at.0,
            changed_by: row.changed_by,
            removed_at: row.removed_at.map(|at| at.0),
        }
    }
}

macro_rules! environments {
    ($tail:tt $(, $arg:expr)*) => {
        sqlx::query_as!(
            EnvironmentRow,
            r#"select id as "id!: _", name as "name!: _", address as "address!: _", settings as "settings!: _",
            revision as "revision!", created_at as "created_at!: _", created_by as "created_by!",
            changed_at as "changed_at!: _", changed_by as "changed_by!", removed_at as "removed_at?: _"
            from environment "# + $tail
            $(, $arg)*
        )
    };
}

pub(crate) struct ConfigurationRow {
    pub(crate) application_id: Text<ApplicationId>,
    pub(crate) level: String,
    pub(crate) version: i64,
    pub(crate) document: String,
    pub(crate) digest: Text<Digest>,
    pub(crate) set_at: Millis,
    pub(crate) set_by: String,
    pub(crate) reason: Option<String>,
    pub(crate) origin: Option<Json<ConfigurationOrigin>>,
}

impl From<ConfigurationRow> for Configuration {
    fn from(row: ConfigurationRow) -> Self {
        Self {
            application_id: row.application_id.0,
            level: row.level,
            version: row.version,
            document: row.document,
            digest: row.digest.0,
            set_at: row.set_at.0,
            set_by: row.set_by,
            reason: row.reason,
            origin: row.origin.map(|origin| origin.0),
        }
    }
}

macro_rules! configurations {
    ($tail:tt $(, $arg:expr)*) => {
        sqlx::query_as!(
            ConfigurationRow,
            r#"select application_id as "application_id!: _", level as "level!", version as "version!",
            document as "document!", digest as "digest!: _", set_at as "set_at!: _", set_by as "set_by!",
            reason, origin as "origin?: _" from configuration where application_id = ?1 and level = ?2 "# + $tail
            $(, $arg)*
        )
    };
}

/// Lets nothing be made in an environment that was removed.
pub(crate) async fn refuse_removed(db: &mut SqliteConnection, environment: EnvironmentId) -> Result<()> {
    let place = sqlx::query!(
        r#"select name as "name!", removed_at is not null as "removed!: bool" from environment where id = ?1"#,
        environment.to_string(),
    )
    .fetch_optional(db)
    .await
    .map_err(failed)?;
    match place.filter(|place| place.removed) {
        Some(place) => Err(RecordsError::Removed { what: format!("environment `{}`", place.name) }),
        None => Ok(()),
    }
}

#[async_trait]
impl<H: Handle> ReadEnvironments for Session<H> {
    async fn cluster_by_name(&mut self, name: &ClusterName) -> Result<Option<Cluster>> {
        let row = clusters!("and name = ?1", name.as_str()).fetch_optional(self.db()).await;
        Ok(row.map_err(failed)?.map(Cluster::from))
    }

    async fn cluster_by_uid(&mut self, uid: &str) -> Result<Option<Cluster>> {
        let row = clusters!("and uid = ?1", uid).fetch_optional(self.db()).await;
        Ok(row.map_err(failed)?.map(Cluster::from))
    }

    async fn cluster_list(&mut self) -> Result<Vec<Cluster>> {
        let rows = clusters!("order by name").fetch_all(self.db()).await;
        Ok(rows.map_err(failed)?.into_iter().map(Cluster::from).collect())
    }

    async fn cluster_page(&mut self, after: Option<&ClusterName>, limit: u32) -> Result<Vec<Cluster>> {
        let after = after.map_or("", ClusterName::as_str);
        let found = clusters!("and name > ?1 order by name limit ?2", after, rows(limit));
        let found = found.fetch_all(self.db()).await.map_err(failed)?;
        Ok(found.into_iter().map(Cluster::from).collect())
    }

    async fn environment_get(&mut self, id: EnvironmentId) -> Result<Option<Environment>> {
        let row = environments!("where id = ?1", id.to_string()).fetch_optional(self.db()).await;
        Ok(row.map_err(failed)?.map(Environment::from))
    }

    async fn environments_get(&mut self, ids: &[EnvironmentId]) -> Result<Vec<Environment>> {
        let ids: Vec<String> = ids.iter().map(ToString::to_string).collect();
        let found = environments!("where id in (select value from json_each(?1))", json(&ids))
            .fetch_all(self.db())
            .await;
        Ok(found.map_err(failed)?.into_iter().map(Environment::from).collect())
    }

    async fn environment_by_name(&mut self, name: &EnvironmentName) -> Result<Option<Environment>> {
        let row = environments!("where name = ?1 and removed_at is null", name.as_str())
            .fetch_optional(self.db())
            .await;
        Ok(row.map_err(failed)?.map(Environment::from))
    }

    async fn environments_named(&mut self, name: &EnvironmentName, limit: u32) -> Result<Vec<Environment>> {
        let found = environments!(
            "where name = ?1 order by removed_at is not null, removed_at desc, id desc limit ?2",
            name.as_str(),
            rows(limit)
        )
        .fetch_all(self.db())
        .await;
        Ok(found.map_err(failed)?.into_iter().map(Environment::from).collect())
    }

    async fn environment_by_address(&mut self, address: &Address) -> Result<Option<Environment>> {
        let row = environments!("where address = ?1 and removed_at is null", address.to_string())
            .fetch_optional(self.db())
            .await;
        Ok(row.map_err(failed)?.map(Environment::from))
    }

    async fn environment_list(&mut self) -> Result<Vec<Environment>> {
        let rows = environments!("where removed_at is null order by name").fetch_all(self.db()).await;
        Ok(rows.map_err(failed)?.into_iter().map(Environment::from).collect())
    }

    async fn environment_page(
        &mut self,
        after: Option<&EnvironmentName>,
        limit: u32,
    ) -> Result<Vec<Environment>> {
        let after = after.map_or("", EnvironmentName::as_str);
        let found = environments!(
            "where removed_at is null and name > ?1 order by name limit ?2",
            after,
            rows(limit)
        );
        let found = found.fetch_all(self.db()).await.map_err(failed)?;
        Ok(found.into_iter().map(Environment::from).collect())
    }

    async fn configuration_at(
        &mut self,
        application: ApplicationId,
        level: &str,
    ) -> Result<Option<Configuration>> {
        let row = configurations!("order by version desc limit 1", application.to_string(), level)
            .fetch_optional(self.db())
            .await;
        Ok(row.map_err(failed)?.map(Configuration::from))
    }

    async fn configuration_history(
        &mut self,
        application: ApplicationId,
        level: &str,
        limit: u32,
    ) -> Result<Vec<Configuration>> {
        let found =
            configurations!("order by version desc limit ?3", application.to_string(), level, rows(limit))
                .fetch_all(self.db())
                .await;
        Ok(found.map_err(failed)?.into_iter().map(Configuration::from).collect())
    }
}

#[async_trait]
impl WriteEnvironments for Writer {
    async fn cluster_insert(
        &mut self,
        name: &ClusterName,
        uid: &str,
        settings: &ClusterSettings,
        facts: Option<&ClusterFacts>,
        by: &str,
    ) -> Result<Cluster> {
        let cluster = Cluster {
            id: ClusterId::new(),
            name: name.clone(),
            uid: uid.to_owned(),
            settings: settings.clone(),
            facts: facts.cloned(),
            revision: 1,
            created_at: now(),
            created_by: by.to_owned(),
        };
        sqlx::query!(
            "insert into cluster (id, name, uid, settings, facts, revision, created_at, created_by)
            values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
            cluster.id.to_string(),
            cluster.name.as_str(),
            cluster.uid,
            json(&cluster.settings),
            cluster.facts.as_ref().map(json),
            cluster.revision,
            millis(cluster.created_at),
            cluster.created_by,
        )
        .execute(self.db())
        .await
        .map_err(|error| failed_insert(error, || format!("cluster `{name}`, or one with its UID,")))?;
        Ok(cluster)
    }

    async fn cluster_save(&mut self, cluster: &mut Cluster) -> Result<bool> {
        let saved = sqlx::query!(
            "update cluster set uid = ?3, settings = ?4, facts = ?5, revision = revision + 1
            where id = ?1 and revision = ?2 and removed_at is null",
            cluster.id.to_string(),
            cluster.revision,
            cluster.uid,
            json(&cluster.settings),
            cluster.facts.as_ref().map(json),
        )
        .execute(self.db())
        .await
        .map_err(failed)?
        .rows_affected()
            == 1;
        if saved {
            cluster.revision += 1;
        }
        Ok(saved)
    }

    async fn cluster_remove(&mut self, id: ClusterId) -> Result<bool> {
        let removed = sqlx::query!(
            "update cluster set removed_at = ?2 where id = ?1 and removed_at is null",
            id.to_string(),
            millis(now()),
        )
        .execute(self.db())
        .await
        .map_err(failed)?;
        Ok(removed.rows_affected() == 1)
    }

    async fn environment_insert(
        &mut self,
        name: &EnvironmentName,
        address: &Address,
        settings: &EnvironmentSettings,
        by: &str,
    ) -> Result<Environment> {
        let at = now();
        let environment = Environment {
            id: EnvironmentId::new(),
            name: name.clone(),
            address: address.clone(),
            settings: settings.clone(),
            revision: 1,
            created_at: at,
            created_by: by.to_owned(),
            changed_at: at,
            changed_by: by.to_owned(),
            removed_at: None,
        };
        sqlx::query!(
            "insert into environment (id, name, address, settings, revision, created_at, created_by, changed_at,
            changed_by) values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?6, ?7)",
            environment.id.to_string(),
            environment.name.as_str(),
            environment.address.to_string(),
            json(&environment.settings),
            environment.revision,
            millis(at),
            environment.created_by,
        )
        .execute(self.db())
        .await
        .map_err(|error| {
            failed_insert(error, || format!("environment `{name}`, or one with the address {address},"))
        })?;
        Ok(environment)
    }

    async fn environment_save(&mut self, environment: &mut Environment, by: &str) -> Result<bool> {
        let at = now();
        let saved = sqlx::query!(
            "update environment set settings = ?3, revision = revision + 1, changed_at = ?4, changed_by = ?5
            where id = ?1 and revision = ?2 and removed_at is null",
            environment.id.to_string(),
            environment.revision,
            json(&environment.settings),
            millis(at),
            by,
        )
        .execute(self.db())
        .await
        .map_err(failed)?
        .rows_affected()
            == 1;
        if saved {
            environment.revision += 1;
            environment.changed_at = at;
            by.clone_into(&mut environment.changed_by);
        }
        Ok(saved)
    }

    async fn environment_remove(&mut self, id: EnvironmentId) -> Result<bool> {
        let removed = sqlx::query!(
            "update environment set removed_at = ?2 where id = ?1 and removed_at is null",
            id.to_string(),
            millis(now()),
        )
        .execute(self.db())
        .await
        .map_err(failed)?;
        Ok(removed.rows_affected() == 1)
    }

    async fn configuration_put(&mut self, new: NewConfiguration) -> Result<Configuration> {
        let digest = Digest::of(&new.document);
        let row = sqlx::query_as!(
            ConfigurationRow,
            r#"insert into configuration (application_id, level, version, document, digest, set_at, set_by,
            reason, origin) select ?1, ?2, coalesce((select max(version) from configuration
                where application_id = ?1 and level = ?2), 0) + 1, ?3, ?4, ?5, ?6, ?7, ?8
            returning application_id as "application_id!: _", level as "level!", version as "version!",
            document as "document!", digest as "digest!: _", set_at as "set_at!: _", set_by as "set_by!",
            reason, origin as "origin?: _""#,
            new.application_id.to_string(),
            new.level,
            new.document,
            digest.to_string(),
            millis(now()),
            new.by,
            new.reason,
            new.origin.as_ref().map(json),
        )
        .fetch_one(self.db())
        .await
        .map_err(|error| failed_insert(error, || "a newer version of this configuration".into()))?;
        Ok(row.into())
    }
}
