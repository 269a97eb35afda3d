//! Published versions and their labels.

use async_trait::async_trait;
use slipway_records::{
    Inserted, LabelChange, NewVersion, PackageVersion, Page, ReadPackages, RecordsError, Result,
    VersionFilter, WritePackages,
};
use slipway_types::id::{ApplicationId, RunId, VersionId};
use slipway_types::label::{LabelKey, LabelValue, Labels};
use slipway_types::selection::CommitPrefix;
use slipway_types::{CommitId, ComponentName, Digest, GitRef, Version};

use crate::error::{UnknownWord, failed};
use crate::session::{Handle, Session, Writer};
use crate::value::{Int, Json, Millis, Text, below, int, json, millis, now, rows};

struct VersionRow {
    id: Text<VersionId>,
    application_id: Text<ApplicationId>,
    component: String,
    version: Text<Version>,
    digest: Text<Digest>,
    size: Int<u64>,
    built_as: Text<Version>,
    run_id: Text<RunId>,
    git_ref: Text<GitRef>,
    commit_id: Text<CommitId>,
    fingerprint: Text<Digest>,
    detail: Json<serde_json::Value>,
    labels: Json<Labels>,
    created_at: Millis,
}

impl TryFrom<VersionRow> for PackageVersion {
    type Error = RecordsError;

    fn try_from(row: VersionRow) -> Result<Self> {
        let component = match row.component.as_str() {
            BUNDLE => None,
            name => Some(name.parse().map_err(|_| RecordsError::Unreadable {
                what: format!("version {}", row.id.0),
                source: UnknownWord(name.to_owned()).into(),
            })?),
        };
        Ok(Self {
            id: row.id.0,
            application_id: row.application_id.0,
            component,
            version: row.version.0,
            digest: row.digest.0,
            size: row.size.0,
            built_as: row.built_as.0,
            run_id: row.run_id.0,
            git_ref: row.git_ref.0,
            commit: row.commit_id.0,
            fingerprint: row.fingerprint.0,
            detail: row.detail.0,
            labels: row.labels.0,
            created_at: row.created_at.0,
        })
    }
}

macro_rules! versions {
    ($tail:tt $(, $arg:expr)*) => {
        sqlx::query_as!(
            VersionRow,
            r#"select v.id as "id!: _", v.application_id as "application_id!: _", v.component as "component!",
            v.version as "version!: _", v.digest as "digest!: _", v.size as "size!: _",
            v.built_as as "built_as!: _", v.run_id as "run_id!: _", v.git_ref as "git_ref!: _",
            v.commit_id as "commit_id!: _", v.fingerprint as "fingerprint!: _", v.detail as "detail!: _",
            (select json_group_object(p.key, p.value) from version_label l
                join label_pair p on p.id = l.pair_id where l.version_id = v.id) as "labels!: _",
            v.created_at as "created_at!: _" from "# + $tail
            $(, $arg)*
        )
    };
}

/// What stands in the component's column for a bundle.
const BUNDLE: &str = "";

fn component_column(component: Option<&ComponentName>) -> &str {
    component.map_or(BUNDLE, ComponentName::as_str)
}

/// Where counting the versions of a label stops: enough to tell a rare label from a common one.
const LABEL_COUNT_MAX: i64 = 1000;

/// Above every digit that continues a commit.
const ABOVE_DIGITS: char = 'g';

/// Interned labels that a version must have, the rarest first.
struct Pairs {
    rarest: i64,
    others: Vec<i64>,
}

impl<H: Handle> Session<H> {
    /// The versions with these identities, in that order.
    pub(crate) async fn versions_in_order(&mut self, ids: &[VersionId]) -> Result<Vec<PackageVersion>> {
        let rows =
            versions!("json_each(?1) j cross join version v on v.id = j.value order by j.key", json(&ids))
                .fetch_all(self.db())
                .await;
        rows.map_err(failed)?.into_iter().map(PackageVersion::try_from).collect()
    }

    /// `None` if no version can have all of them.
    async fn pairs(&mut self, labels: &[(LabelKey, LabelValue)]) -> Result<Option<Pairs>> {
        let mut counted = Vec::with_capacity(labels.len());
        for (key, value) in labels {
            let pair = sqlx::query!(
                r#"select p.id as "id!: i64", (select count(*) from
                (select 1 from version_label l where l.pair_id = p.id limit ?3)) as "count!: i64"
                from label_pair p where p.key = ?1 and p.value = ?2"#,
                key.as_str(),
                value.as_str(),
                LABEL_COUNT_MAX,
            )
            .fetch_optional(self.db())
            .await
            .map_err(failed)?;
            let Some(pair) = pair else { return Ok(None) };
            counted.push((pair.count, pair.id));
        }
        counted.sort_unstable();
        let mut ids = counted.into_iter().map(|(_, id)| id);
        Ok(ids.next().map(|rarest| Pairs { rarest, others: ids.collect() }))
    }
}

#[async_trait]
impl<H: Handle> ReadPackages for Session<H> {
    async fn version_get(&mut self, id: VersionId) -> Result<Option<PackageVersion>> {
        let row = versions!("version v where v.id = ?1", id.to_string()).fetch_optional(self.db()).await;
        row.map_err(failed)?.map(PackageVersion::try_from).transpose()
    }

    async fn versions_get(&mut self, ids: &[VersionId]) -> Result<Vec<PackageVersion>> {
        self.versions_in_order(ids).await
    }

    async fn version_find(
        &mut self,
        application: ApplicationId,
        component: Option<&ComponentName>,
        version: &Version,
    ) -> Result<Option<PackageVersion>> {
        let row = versions!(
            "version v where v.application_id = ?1 and v.component = ?2 and v.version = ?3",
            application.to_string(),
            component_column(component),
            version.to_string()
        )
        .fetch_optional(self.db())
        .await;
        row.map_err(failed)?.map(PackageVersion::try_from).transpose()
    }

    async fn version_list(&mut self, filter: &VersionFilter, page: Page) -> Result<Vec<PackageVersion>> {
        let application = filter.application.map(|id| id.to_string());
        let component = filter.component.as_ref().map(|component| component_column(component.as_ref()));
        let git_ref = filter.git_ref.as_ref().map(ToString::to_string);
        let commit = filter.commit.as_ref().map(CommitId::as_str);
        let digest = filter.digest.map(|digest| digest.to_string());
        let (below, limit) = (below(page.after), rows(page.limit));
        // One text for each way in, so that each has an index to walk, newest first.
        let rows = if !filter.labels.is_empty() {
            let Some(pairs) = self.pairs(&filter.labels).await? else { return Ok(Vec::new()) };
            versions!(
                "version_label d cross join version v on v.id = d.version_id
                where d.pair_id = ?1 and d.version_id < ?2 and not exists (select 1 from json_each(?3) o
                    where not exists (select 1 from version_label l
                        where l.pair_id = o.value and l.version_id = d.version_id))
                and (?4 is null or v.application_id = ?4) and (?5 is null or v.component = ?5)
                and (?6 is null or v.git_ref = ?6) and (?7 is null or v.commit_id = ?7)
                and (?8 is null or v.digest = ?8) order by d.version_id desc limit ?9",
                pairs.rarest,
                below,
                json(&pairs.others),
                application,
                component,
                git_ref,
                commit,
                digest,
                limit
            )
            .fetch_all(self.db())
            .await
        } else if digest.is_some() {
            versions!(
                "version v where v.digest = ?1 and v.id < ?2
                and (?3 is null or v.application_id = ?3) and (?4 is null or v.component = ?4)
                and (?5 is null or v.git_ref = ?5) and (?6 is null or v.commit_id = ?6)
                order by v.id desc limit ?7",
                digest,
                below,
                application,
                component,
                git_ref,
                commit,
                limit
            )
            .fetch_all(self.db())
            .await
        } else if application.is_some() && git_ref.is_some() {
            versions!(
                "version v where v.application_id = ?1 and v.git_ref = ?2 and v.id < ?3
                and (?4 is null or v.component = ?4) and (?5 is null or v.commit_id = ?5)
                order by v.id desc limit ?6",
                application,
                git_ref,
                below,
                component,
                commit,
                limit
            )
            .fetch_all(self.db())
            .await
        } else if application.is_some() && component.is_some() {
            versions!(
                "version v where v.application_id = ?1 and v.component = ?2 and v.id < ?3
                and (?4 is null or v.commit_id = ?4) order by v.id desc limit ?5",
                application,
                component,
                below,
                commit,
                limit
            )
            .fetch_all(self.db())
            .await
        } else if application.is_some() {
            versions!(
                "version v where v.application_id = ?1 and v.id < ?2
                and (?3 is null or v.commit_id = ?3) order by v.id desc limit ?4",
                application,
                below,
                commit,
                limit
            )
            .fetch_all(self.db())
            .await
        } else {
            versions!(
                "version v where v.id < ?1 and (?2 is null or v.component = ?2)
                and (?3 is null or v.git_ref = ?3) and (?4 is null or v.commit_id = ?4)
                order by v.id desc limit ?5",
                below,
                component,
                git_ref,
                commit,
                limit
            )
            .fetch_all(self.db())
            .await
        };
        rows.map_err(failed)?.into_iter().map(PackageVersion::try_from).collect()
    }

    async fn published_commits(
        &mut self,
        application: ApplicationId,
        prefix: &CommitPrefix,
        limit: u32,
    ) -> Result<Vec<CommitId>> {
        let found = sqlx::query_scalar!(
            r#"select distinct commit_id as "commit!: Text<CommitId>" from version
            where application_id = ?1 and commit_id >= ?2 and commit_id < ?3 order by commit_id limit ?4"#,
            application.to_string(),
            prefix.as_str(),
            format!("{prefix}{ABOVE_DIGITS}"),
            rows(limit)
        )
        .fetch_all(self.db())
        .await
        .map_err(failed)?;
        Ok(found.into_iter().map(|commit| commit.0).collect())
    }

    async fn package_by_fingerprint(
        &mut self,
        application: ApplicationId,
        component: &ComponentName,
        fingerprint: &Digest,
    ) -> Result<Option<PackageVersion>> {
        let row = versions!(
            "version v where v.application_id = ?1 and v.component = ?2 and v.fingerprint = ?3
            and v.version = v.built_as order by v.id limit 1",
            application.to_string(),
            component.as_str(),
            fingerprint.to_string()
        )
        .fetch_optional(self.db())
        .await;
        row.map_err(failed)?.map(PackageVersion::try_from).transpose()
    }

    async fn bundle_by_lock(
        &mut self,
        application: ApplicationId,
        lock: &Digest,
    ) -> Result<Option<PackageVersion>> {
        let row = versions!(
            "version v where v.application_id = ?1 and v.component = '' and v.fingerprint = ?2
            order by v.id limit 1",
            application.to_string(),
            lock.to_string()
        )
        .fetch_optional(self.db())
        .await;
        row.map_err(failed)?.map(PackageVersion::try_from).transpose()
    }
}

impl Writer {
    /// Gives a version labels it does not have yet.
    async fn labels_add(&mut self, version: VersionId, labels: &Labels) -> Result<()> {
        if labels.is_empty() {
            return Ok(());
        }
        let labels = json(labels);
        sqlx::query!(
            "insert into label_pair (key, value) select key, value from json_each(?1) where true
            on conflict (key, value) do nothing",
            labels,
        )
        .execute(self.db())
        .await
        .map_err(failed)?;
        sqlx::query!(
            // Labels come first: from figures of a smaller table the planner would look through all pairs there are.
            "insert into version_label (pair_id, version_id, key) select p.id, ?2, p.key
            from json_each(?1) l cross join label_pair p on p.key = l.key and p.value = l.value",
            labels,
            version.to_string(),
        )
        .execute(self.db())
        .await
        .map_err(failed)?;
        Ok(())
    }

    async fn version_row_insert(&mut self, version: &PackageVersion) -> Result<bool> {
        let made = sqlx::query!(
            "insert into version (id, application_id, component, version, sort_key, digest, size, built_as,
            run_id, git_ref, commit_id, fingerprint, detail, created_at)
            values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)
            on conflict (application_id, component, version) do nothing",
            version.id.to_string(),
            version.application_id.to_string(),
            component_column(version.component.as_ref()),
            version.version.to_string(),
            version.version.sort_key(),
            version.digest.to_string(),
            int(version.size),
            version.built_as.to_string(),
            version.run_id.to_string(),
            version.git_ref.to_string(),
            version.commit.as_str(),
            version.fingerprint.to_string(),
            json(&version.detail),
            millis(version.created_at),
        )
        .execute(self.db())
        .await
        .map_err(failed)?;
        Ok(made.rows_affected() == 1)
    }

    async fn label_get(&mut self, version: VersionId, key: &LabelKey) -> Result<Option<LabelValue>> {
        let value = sqlx::query_scalar!(
            r#"select p.value as "value!: Text<LabelValue>" from version_label l
            join label_pair p on p.id = l.pair_id where l.version_id = ?1 and l.key = ?2"#,
            version.to_string(),
            key.as_str(),
        )
        .fetch_optional(self.db())
        .await
        .map_err(failed)?;
        Ok(value.map(|value| value.0))
    }
}

#[async_trait]
impl WritePackages for Writer {
    async fn number_next(&mut self, application: ApplicationId, branch: &str) -> Result<u64> {
        let number = sqlx::query_scalar!(
            r#"insert into branch_number (application_id, branch, last) values (?1, ?2, 1)
            on conflict (application_id, branch) do update set last = last + 1
            returning last as "last!: Int<u64>""#,
            application.to_string(),
            branch,
        )
        .fetch_one(self.db())
        .await
        .map_err(failed)?;
        Ok(number.0)
    }

    async fn version_insert(&mut self, version: NewVersion) -> Result<Inserted<PackageVersion>> {
        let version = PackageVersion {
            id: VersionId::new(),
            application_id: version.application_id,
            component: version.component,
            version: version.version,
            digest: version.digest,
            size: version.size,
            built_as: version.built_as,
            run_id: version.run_id,
            git_ref: version.git_ref,
            commit: version.commit,
            fingerprint: version.fingerprint,
            detail: version.detail,
            labels: version.labels,
            created_at: now(),
        };
        if self.version_row_insert(&version).await? {
            self.labels_add(version.id, &version.labels).await?;
            return Ok(Inserted::New(version));
        }
        let found = self
            .version_find(version.application_id, version.component.as_ref(), &version.version)
            .await?
            .filter(|found| found.digest == version.digest);
        found.map(Inserted::Existing).ok_or_else(|| RecordsError::Conflict {
            what: match &version.component {
                Some(component) => {
                    format!("version {} of component `{component}` with another digest", version.version)
                }
                None => format!("bundle {} with another digest", version.version),
            },
        })
    }

    async fn label_change(&mut self, change: &LabelChange) -> Result<bool> {
        let old = self.label_get(change.version_id, &change.key).await?;
        if change.check && old != change.old {
            return Ok(false);
        }
        if old == change.new {
            return Ok(true);
        }
        sqlx::query!(
            "delete from version_label where version_id = ?1 and key = ?2",
            change.version_id.to_string(),
            change.key.as_str(),
        )
        .execute(self.db())
        .await
        .map_err(failed)?;
        if let Some(value) = &change.new {
            let label = Labels::from([(change.key.clone(), value.clone())]);
            self.labels_add(change.version_id, &label).await?;
        }
        sqlx::query!(
            "insert into label_history (version_id, key, old_value, new_value, changed_at, changed_by, reason)
            values (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            change.version_id.to_string(),
            change.key.as_str(),
            old.as_ref().map(LabelValue::as_str),
            change.new.as_ref().map(LabelValue::as_str),
            millis(now()),
            change.by,
            change.reason,
        )
        .execute(self.db())
        .await
        .map_err(failed)?;
        Ok(true)
    }
}
