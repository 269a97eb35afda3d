//! Selecting bundles: a list is driven by the rarest thing asked for, or by two that are about as rare side by side, and
//! the rest is looked up for each of its bundles, all in indexes.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use slipway_records::{
    Deployed, PackageVersion, ReadChannels, ReadSelections, Result, SelectionPage, WriteSelections,
};
use slipway_types::Version;
use slipway_types::id::{ApplicationId, VersionId};
use slipway_types::name::EnvironmentName;
use slipway_types::selection::{Condition, LabelRule, Selection, SelectionOrder};

use crate::error::failed;
use crate::session::{Handle, Session, Writer};
use crate::value::{Millis, Text, json, millis, rows};

mod statement;

use statement::{Group, Source, Statement, Test};

/// Where counting the bundles of a facet stops: enough to tell which one is rare.
const FACET_COUNT_MAX: u32 = 10_000;
/// How many times as long as a list another is at most, so that both are gone through side by side.
const ALIKE_MAX: u32 = 2;
/// How many bundles published last are looked through before the list is driven otherwise.
const WINDOW_ROWS: u32 = 2_000;

/// The most values of a label that are looked up one by one for each bundle.
const LOOKED_UP_MAX: usize = 3;

/// What a selection comes to in this database.
struct Plan {
    groups: Vec<Group>,
    /// Facets of which each bundle has one; each set is one thing asked for.
    facets: Vec<Vec<i64>>,
    /// Whether no bundle can meet it.
    never: bool,
}

impl Plan {
    /// Adds what one condition asks for; `facets`, if the list may be driven by it.
    fn add(&mut self, failing: bool, tests: Vec<Test>, facets: Vec<Vec<i64>>) {
        if !failing {
            self.never |= tests.iter().any(|test| matches!(test, Test::Never));
            self.facets.extend(facets);
        }
        self.groups.push(Group { failing, tests });
    }
}

impl<H: Handle> Session<H> {
    /// The facets of these values that any bundle ever had.
    async fn facets(
        &mut self,
        application: ApplicationId,
        (kind, name): (&str, &str),
        values: &[&str],
    ) -> Result<Vec<i64>> {
        sqlx::query_scalar!(
            r#"select f.id as "id!: i64" from json_each(?4) j cross join facet f on f.application_id = ?1
            and f.kind = ?2 and f.name = ?3 and f.value = j.value"#,
            application.to_string(),
            kind,
            name,
            json(values),
        )
        .fetch_all(self.db())
        .await
        .map_err(failed)
    }

    async fn facet_count(&mut self, facets: &[i64]) -> Result<u32> {
        let count = sqlx::query_scalar!(
            r#"select count(*) as "count!: u32" from (select 1 from bundle_facet
            where facet_id in (select value from json_each(?1)) limit ?2)"#,
            json(facets),
            i64::from(FACET_COUNT_MAX),
        );
        count.fetch_one(self.db()).await.map_err(failed)
    }

    /// Whether every bundle has one of these facets, of which none has two.
    async fn all_have(&mut self, application: ApplicationId, facets: &[i64]) -> Result<bool> {
        sqlx::query_scalar!(
            r#"select (select count(*) from bundle_facet where facet_id in (select value from json_each(?1)))
            = (select count(*) from version where component = '' and application_id = ?2) as "all!: bool""#,
            json(facets),
            application.to_string(),
        )
        .fetch_one(self.db())
        .await
        .map_err(failed)
    }

    /// The label pairs of a key with one of these values that any version ever had.
    async fn pair_ids(&mut self, key: &str, values: &[&str]) -> Result<Vec<i64>> {
        sqlx::query_scalar!(
            r#"select p.id as "id!: i64" from json_each(?2) j cross join label_pair p
            on p.key = ?1 and p.value = j.value"#,
            key,
            json(values),
        )
        .fetch_all(self.db())
        .await
        .map_err(failed)
    }

    async fn plan_labels(
        &mut self,
        application: ApplicationId,
        selection: &Selection,
        failing: bool,
        plan: &mut Plan,
    ) -> Result<()> {
        let (mut tests, mut facets) = (Vec::new(), Vec::new());
        for (key, rule) in selection.selector.rules() {
            let key = key.as_str();
            let values: Vec<&str> = match rule {
                LabelRule::Within(values) | LabelRule::Present(values) | LabelRule::NotAmong(values) => {
                    values.iter().map(slipway_types::label::LabelValue::as_str).collect()
                }
                LabelRule::Absent => Vec::new(),
            };
            let pairs = self.pair_ids(key, &values).await?;
            let label = || key.to_owned();
            let kind = if values.is_empty() { "key" } else { "label" };
            let named = if values.is_empty() { &[""][..] } else { &values };
            let found = self.facets(application, (kind, key), named).await?;
            let few = found.len() <= LOOKED_UP_MAX;
            match rule {
                LabelRule::Within(_) => {
                    tests.push(if few {
                        Test::AnyFacet(found.clone())
                    } else {
                        Test::Labelled { key: label(), among: pairs }
                    });
                    facets.push(found);
                }
                LabelRule::Present(_) if values.is_empty() => {
                    tests.push(Test::AnyFacet(found.clone()));
                    facets.push(found);
                }
                LabelRule::Present(_) => {
                    facets.push(self.facets(application, ("key", key), &[""]).await?);
                    tests.push(Test::Present { key: label(), except: pairs });
                }
                LabelRule::NotAmong(_) if !few => {
                    tests.push(Test::NotLabelled { key: label(), among: pairs });
                }
                LabelRule::NotAmong(_) | LabelRule::Absent => tests.push(Test::NoFacet(found)),
            }
        }
        if facets.iter().any(Vec::is_empty) {
            tests.push(Test::Never);
        }
        plan.add(failing, tests, facets);
        Ok(())
    }

    /// Adds a facet that stands for a whole condition.
    async fn plan_facet(
        &mut self,
        application: ApplicationId,
        (kind, value): (&str, &str),
        failing: bool,
        plan: &mut Plan,
    ) -> Result<()> {
        let facets = self.facets(application, (kind, ""), &[value]).await?;
        let test = if facets.is_empty() { Test::Never } else { Test::AnyFacet(facets.clone()) };
        plan.add(failing, vec![test], vec![facets]);
        Ok(())
    }

    /// Most applications have no held bundle: then nothing is asked of each.
    async fn plan_held(&mut self, application: ApplicationId, failing: bool, plan: &mut Plan) -> Result<()> {
        let any = sqlx::query_scalar!(
            r#"select exists (select 1 from declared_check where application_id = ?1 and state <> 'passed'
            and waived_at is null) as "any!: bool""#,
            application.to_string(),
        );
        let any = any.fetch_one(self.db()).await.map_err(failed)?;
        match (failing, any) {
            (true, true) => plan.add(false, vec![Test::Held(application)], Vec::new()),
            (true, false) => plan.add(false, vec![Test::Never], Vec::new()),
            (false, true) => plan.add(false, vec![Test::NotHeld], Vec::new()),
            (false, false) => {}
        }
        Ok(())
    }

    async fn plan(
        &mut self,
        application: ApplicationId,
        selection: &Selection,
        failing: Option<Condition>,
    ) -> Result<Plan> {
        let mut plan = Plan { groups: Vec::new(), facets: Vec::new(), never: false };
        let fails = |condition| failing == Some(condition);
        if let Some(name) = &selection.channel {
            let channel = self.channel_get(application, name).await?;
            let test = channel.map_or(Test::Never, |channel| Test::Is(channel.version_id));
            plan.add(fails(Condition::Channel), vec![test], Vec::new());
        }
        if let Some(environment) = &selection.deployed_in {
            let deployed = self.deployed_now(application, environment).await?;
            let test = deployed.map_or(Test::Never, |deployed| Test::Is(deployed.version_id));
            plan.add(fails(Condition::DeployedIn), vec![test], Vec::new());
        }
        if let Some(commit) = &selection.commit {
            let test = Test::Commit(application, commit.to_string());
            plan.add(fails(Condition::Commit), vec![test], Vec::new());
        }
        let since = selection.published_after.map(|time| Test::Since(millis_from(time)));
        let before = selection.published_before.map(|time| Test::Before(millis_from(time)));
        plan.add(fails(Condition::Published), since.into_iter().chain(before).collect(), Vec::new());
        if let Some(range) = selection.range.as_ref().filter(|range| !range.is_everything()) {
            plan.add(fails(Condition::Range), vec![Test::Spans(range.spans().to_vec())], Vec::new());
        }
        if let Some(author) = &selection.author {
            let key = author.key();
            self.plan_facet(application, ("author", &key), fails(Condition::Author), &mut plan).await?;
        }
        if let Some(branch) = &selection.branch {
            let name = branch.as_str();
            self.plan_facet(application, ("branch", name), fails(Condition::Branch), &mut plan).await?;
        }
        if !selection.takes_prereleases() {
            let facets = self.facets(application, ("release", ""), &[""]).await?;
            plan.add(fails(Condition::Prerelease), vec![Test::Release], vec![facets]);
        }
        self.plan_labels(application, selection, fails(Condition::Selector), &mut plan).await?;
        if !selection.held {
            self.plan_held(application, fails(Condition::Held), &mut plan).await?;
        }
        Ok(plan)
    }

    /// What to go through: as little as can be told in a short time.
    async fn source(
        &mut self,
        application: ApplicationId,
        plan: &Plan,
        order: SelectionOrder,
    ) -> Result<Option<Source>> {
        if plan.never {
            return Ok(None);
        }
        let asked = || plan.groups.iter().filter(|group| !group.failing).flat_map(|group| &group.tests);
        for test in asked() {
            match test {
                Test::Is(version) => return Ok(Some(Source::Version(application, *version))),
                Test::Commit(application, prefix) => {
                    return Ok(Some(Source::Commit(*application, prefix.clone())));
                }
                Test::Held(application) => return Ok(Some(Source::Held(*application))),
                _ => {}
            }
        }
        let mut counted: Vec<(u32, &[i64])> = Vec::with_capacity(plan.facets.len());
        for facets in &plan.facets {
            let count = self.facet_count(facets).await?;
            if count == 0 {
                return Ok(None);
            }
            counted.push((count, &facets[..]));
        }
        // The rarest first; of common ones, one that needs no sorting.
        counted.sort_by_key(|(count, facets)| (*count, facets.len()));
        // Else all would be gone through to find none.
        if counted.first().is_none_or(|(count, _)| *count == FACET_COUNT_MAX) {
            for test in asked() {
                if let Test::NoFacet(facets) = test
                    && self.all_have(application, facets).await?
                {
                    return Ok(None);
                }
            }
        }
        Ok(Some(match counted[..] {
            [(fewer, &[first]), (more, &[second]), ..] if first != second && are_alike(fewer, more) => {
                Source::Both(first, second)
            }
            [(count, facets), ..] if count < FACET_COUNT_MAX || facets.len() == 1 => {
                Source::Facets(facets.to_vec())
            }
            _ => match order {
                SelectionOrder::Precedence => Source::Highest(application),
                SelectionOrder::Newest => Source::Newest(application),
            },
        }))
    }

    async fn fetch(&mut self, mut statement: Statement) -> Result<Vec<VersionId>> {
        let ids: Vec<Text<VersionId>> = statement.query().fetch_all(self.db()).await.map_err(failed)?;
        Ok(ids.into_iter().map(|id| id.0).collect())
    }
}

/// Whether lists are about as long, as far as they were counted: one that was not counted to its end may be far longer
/// than one that was.
fn are_alike(fewer: u32, more: u32) -> bool {
    let is_known = more < FACET_COUNT_MAX || fewer == FACET_COUNT_MAX;
    is_known && more <= fewer.saturating_mul(ALIKE_MAX)
}

/// The first whole millisecond that is not before the time.
fn millis_from(time: DateTime<Utc>) -> i64 {
    let whole = millis(time);
    whole + i64::from(DateTime::from_timestamp_millis(whole).is_some_and(|whole| whole < time))
}

struct DeployedRow {
    version_id: Text<VersionId>,
    version: Text<Version>,
    since: Millis,
}

#[async_trait]
impl<H: Handle> ReadSelections for Session<H> {
    async fn selection_list(
        &mut self,
        application: ApplicationId,
        selection: &Selection,
        failing: Option<Condition>,
        page: &SelectionPage,
    ) -> Result<Vec<PackageVersion>> {
        let limit = rows(page.limit);
        let plan = self.plan(application, selection, failing).await?;
        let Some(source) = self.source(application, &plan, page.order).await? else {
            return Ok(Vec::new());
        };
        let after = page.after.as_ref();
        // Common facets lie in order of precedence only: what was published last is mostly found among
        // the last few, without sorting all.
        if page.order == SelectionOrder::Newest && matches!(source, Source::Facets(_) | Source::Both(..)) {
            let window = Source::Window(application, WINDOW_ROWS);
            let ids = self.fetch(Statement::list(&window, &plan.groups, page.order, after, limit)).await?;
            if i64::try_from(ids.len()).is_ok_and(|found| found >= limit) {
                return self.versions_in_order(&ids).await;
            }
        }
        let ids = self.fetch(Statement::list(&source, &plan.groups, page.order, after, limit)).await?;
        self.versions_in_order(&ids).await
    }

    async fn selection_count(
        &mut self,
        application: ApplicationId,
        selection: &Selection,
        failing: Option<Condition>,
        at_most: u32,
    ) -> Result<u32> {
        let plan = self.plan(application, selection, failing).await?;
        let Some(source) = self.source(application, &plan, SelectionOrder::Precedence).await? else {
            return Ok(0);
        };
        let mut statement = Statement::count(&source, &plan.groups, i64::from(at_most));
        let count: u32 = statement.query().fetch_one(self.db()).await.map_err(failed)?;
        Ok(count)
    }

    async fn deployed_now(
        &mut self,
        application: ApplicationId,
        environment: &EnvironmentName,
    ) -> Result<Option<Deployed>> {
        let row = sqlx::query_as!(
            DeployedRow,
            r#"select d.version_id as "version_id!: _", v.version as "version!: _", d.since as "since!: _"
            from deployed d join version v on v.id = d.version_id
            where d.application_id = ?1 and d.environment = ?2 and d.until is null"#,
            application.to_string(),
            environment.as_str(),
        )
        .fetch_optional(self.db())
        .await
        .map_err(failed)?;
        Ok(row.map(|row| Deployed {
            environment: environment.clone(),
            version_id: row.version_id.0,
            version: row.version.0,
            since: row.since.0,
        }))
    }
}

#[async_trait]
impl WriteSelections for Writer {
    async fn deployed_note(
        &mut self,
        environment: &EnvironmentName,
        application: ApplicationId,
        version: Option<VersionId>,
        at: DateTime<Utc>,
    ) -> Result<()> {
        let before = self.deployed_now(application, environment).await?;
        if before.map(|before| before.version_id) == version {
            return Ok(());
        }
        let (application, environment) = (application.to_string(), environment.as_str());
        sqlx::query!(
            "update deployed set until = ?3 where application_id = ?1 and environment = ?2 and until is null",
            application,
            environment,
            millis(at),
        )
        .execute(self.db())
        .await
        .map_err(failed)?;
        if let Some(version) = version {
            sqlx::query!(
                "insert into deployed (environment, application_id, version_id, since) values (?1, ?2, ?3, ?4)",
                environment,
                application,
                version.to_string(),
                millis(at),
            )
            .execute(self.db())
            .await
            .map_err(failed)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_that_may_be_far_longer_is_not_gone_through_beside_another() {
        for (fewer, more, alike) in [
            (3, 6, true),
            (3, 7, false),
            (6_000, 9_000, true),
            (6_000, FACET_COUNT_MAX, false),
            (FACET_COUNT_MAX, FACET_COUNT_MAX, true),
        ] {
            assert_eq!(are_alike(fewer, more), alike, "{fewer} and {more}");
        }
    }
}
