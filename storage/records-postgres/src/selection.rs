//! Selecting bundles: each has a short row with all its facets, and an index of them gives those that
//! have any combination.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use slipway_records::{
    Deployed, PackageVersion, ReadChannels, ReadSelections, Result, SelectionPage, WriteSelections,
};
use slipway_types::Version;
use slipway_types::id::{ApplicationId, VersionId};
use slipway_types::label::LabelValue;
use slipway_types::name::EnvironmentName;
use slipway_types::selection::{Condition, LabelRule, Selection};
use uuid::Uuid;

use crate::error::failed;
use crate::session::{Handle, Session, Writer};
use crate::value::{Id, Text, rows, text};

mod statement;

use statement::{Group, Statement, Test, Way};

/// How many bundles at the head of the order are looked through before those that have the facets are
/// gathered: what is common is found there.
const WINDOW_ROWS: i64 = 2_000;

/// What a selection comes to in this database.
#[derive(Default)]
struct Plan {
    groups: Vec<Group>,
    /// Whether an index of facets, or of commits, leads to what is asked for.
    gathers: bool,
    /// Whether what is asked for may be common.
    common: bool,
    /// Whether no bundle can meet it.
    never: bool,
}

impl Plan {
    fn add(&mut self, failing: bool, tests: Vec<Test>) {
        if !failing {
            for test in &tests {
                self.never |= matches!(test, Test::Never);
                self.gathers |= matches!(test, Test::All(_) | Test::Any(_) | Test::Commit(_) | Test::Held);
                self.common |= matches!(test, Test::All(_) | Test::Any(_));
            }
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
        let values: Vec<String> = values.iter().map(|value| text(value)).collect();
        sqlx::query_scalar!(
            "select f.id from facet f where f.application_id = $1 and f.kind = $2 and f.name = $3
            and f.value = any($4)",
            application.as_uuid(),
            kind,
            name,
            &values,
        )
        .fetch_all(self.db())
        .await
        .map_err(failed)
    }

    /// The test of one facet that must be there.
    async fn facet(
        &mut self,
        application: ApplicationId,
        kind_and_name: (&str, &str),
        value: &str,
    ) -> Result<Test> {
        let facets = self.facets(application, kind_and_name, &[value]).await?;
        Ok(if facets.is_empty() { Test::Never } else { Test::All(facets) })
    }

    async fn label_tests(&mut self, application: ApplicationId, selection: &Selection) -> Result<Vec<Test>> {
        let mut tests = Vec::new();
        for (key, rule) in selection.selector.rules() {
            let (label, has_key) = (("label", key.as_str()), ("key", key.as_str()));
            let values: Vec<&str> = match rule {
                LabelRule::Within(values) | LabelRule::Present(values) | LabelRule::NotAmong(values) => {
                    values.iter().map(LabelValue::as_str).collect()
                }
                LabelRule::Absent => Vec::new(),
            };
            let facets = self.facets(application, label, &values).await?;
            match rule {
                LabelRule::Within(_) => tests.push(match facets.len() {
                    0 => Test::Never,
                    1 => Test::All(facets),
                    _ => Test::Any(facets),
                }),
                LabelRule::Present(_) => {
                    tests.push(self.facet(application, has_key, "").await?);
                    tests.push(Test::NoneOf(facets));
                }
                LabelRule::NotAmong(_) => tests.push(Test::NoneOf(facets)),
                LabelRule::Absent => {
                    tests.push(Test::NoneOf(self.facets(application, has_key, &[""]).await?));
                }
            }
        }
        Ok(tests)
    }

    /// Most applications have no held bundle: then nothing is asked of each.
    async fn plan_held(&mut self, application: ApplicationId, failing: bool, plan: &mut Plan) -> Result<()> {
        let any = sqlx::query_scalar!(
            r#"select exists (select 1 from declared_check where application_id = $1 and state <> 'passed'
            and waived_at is null) as "any!""#,
            application.as_uuid(),
        );
        match (failing, any.fetch_one(self.db()).await.map_err(failed)?) {
            (true, true) => plan.add(false, vec![Test::Held]),
            (true, false) => plan.add(false, vec![Test::Never]),
            (false, true) => plan.add(false, vec![Test::NotHeld]),
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
        let mut plan = Plan::default();
        let fails = |condition| failing == Some(condition);
        let is = |version: Option<VersionId>| version.map_or(Test::Never, |id| Test::Is(id.as_uuid()));
        if let Some(name) = &selection.channel {
            let channel = self.channel_get(application, name).await?;
            plan.add(fails(Condition::Channel), vec![is(channel.map(|channel| channel.version_id))]);
        }
        if let Some(environment) = &selection.deployed_in {
            let deployed = self.deployed_now(application, environment).await?;
            plan.add(fails(Condition::DeployedIn), vec![is(deployed.map(|deployed| deployed.version_id))]);
        }
        if let Some(commit) = &selection.commit {
            plan.add(fails(Condition::Commit), vec![Test::Commit(commit.to_string())]);
        }
        let since = selection.published_after.map(Test::Since);
        let before = selection.published_before.map(Test::Before);
        plan.add(fails(Condition::Published), since.into_iter().chain(before).collect());
        if let Some(range) = selection.range.as_ref().filter(|range| !range.is_everything()) {
            plan.add(fails(Condition::Range), vec![Test::Spans(range.spans().to_vec())]);
        }
        if let Some(author) = &selection.author {
            let test = self.facet(application, ("author", ""), &author.key()).await?;
            plan.add(fails(Condition::Author), vec![test]);
        }
        if let Some(branch) = &selection.branch {
            let test = self.facet(application, ("branch", ""), branch.as_str()).await?;
            plan.add(fails(Condition::Branch), vec![test]);
        }
        if !selection.takes_prereleases() {
            let test = self.facet(application, ("release", ""), "").await?;
            plan.add(fails(Condition::Prerelease), vec![test]);
        }
        let tests = self.label_tests(application, selection).await?;
        plan.add(fails(Condition::Selector), tests);
        if !selection.held {
            self.plan_held(application, fails(Condition::Held), &mut plan).await?;
        }
        Ok(plan)
    }

    async fn fetch(&mut self, mut statement: Statement) -> Result<Vec<Uuid>> {
        statement.query().fetch_all(self.db()).await.map_err(failed)
    }
}

struct DeployedRow {
    version_id: Id<VersionId>,
    version: Text<Version>,
    since: DateTime<Utc>,
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
        let plan = self.plan(application, selection, failing).await?;
        if plan.never {
            return Ok(Vec::new());
        }
        let (application, limit) = (application.as_uuid(), rows(page.limit));
        let list = |way| Statement::list(way, application, &plan.groups, page, limit);
        if plan.common {
            let ids = self.fetch(list(Way::Window(WINDOW_ROWS))).await?;
            if i64::try_from(ids.len()).is_ok_and(|found| found >= limit) {
                return self.versions_in_order(&ids).await;
            }
        }
        let way = if plan.gathers { Way::Gather } else { Way::Walk };
        let ids = self.fetch(list(way)).await?;
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
        if plan.never {
            return Ok(0);
        }
        let mut statement = Statement::count(application.as_uuid(), &plan.groups, i64::from(at_most));
        let count: i64 = statement.query().fetch_one(self.db()).await.map_err(failed)?;
        Ok(u32::try_from(count).unwrap_or(at_most))
    }

    async fn deployed_now(
        &mut self,
        application: ApplicationId,
        environment: &EnvironmentName,
    ) -> Result<Option<Deployed>> {
        let row = sqlx::query_as!(
            DeployedRow,
            r#"select d.version_id as "version_id!: _", v.version as "version!: _", d.since
            from deployed d join version v on v.id = d.version_id
            where d.application_id = $1 and d.environment = $2 and d.until is null"#,
            application.as_uuid(),
            environment.as_str(),
        )
        .fetch_optional(self.db())
        .await
        .map_err(failed)?;
        Ok(row.map(|row| Deployed {
            environment: environment.clone(),
            version_id: row.version_id.0,
            version: row.version.0,
            since: row.since,
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
        self.lock_application(application).await?;
        let before = self.deployed_now(application, environment).await?;
        if before.map(|before| before.version_id) == version {
            return Ok(());
        }
        let (application, environment) = (application.as_uuid(), environment.as_str());
        sqlx::query!(
            "update deployed set until = $3 where application_id = $1 and environment = $2 and until is null",
            application,
            environment,
            at,
        )
        .execute(self.db())
        .await
        .map_err(failed)?;
        if let Some(version) = version {
            sqlx::query!(
                "insert into deployed (environment, application_id, version_id, since) values ($1, $2, $3, $4)",
                environment,
                application,
                version.as_uuid(),
                at,
            )
            .execute(self.db())
            .await
            .map_err(failed)?;
        }
        Ok(())
    }
}
