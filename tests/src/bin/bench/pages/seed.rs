//! Much of everything, written into the records of a server that stands still.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use chrono::Utc;
use serde_json::json;
use slipway_records::{
    Application, DeploymentCause, Environment, NewAuditEntry, NewDeployment, NewRun, PackageVersion, Page,
    Records, Run, RunFilter, Write,
};
use slipway_records_sqlite::{SqliteOptions, SqliteRecords};
use slipway_types::environment::EnvironmentSettings;
use slipway_types::state::{DeploymentState, RunEvent};
use slipway_types::{ApplicationName, GitRef};

use crate::report::line;
use crate::select;

/// What is written in one transaction.
const BATCH: u32 = 1_000;
/// Applications beside those that are there.
const APPLICATIONS_MAX: u32 = 100;
/// Environments beside those that are there.
const ENVIRONMENTS: u32 = 10;

/// How much there is, by the number of the application's bundles.
pub(super) struct Amounts {
    bundles: u32,
    /// Of a second application.
    fewer_bundles: u32,
    packages: u32,
    runs: u32,
    applications: u32,
    /// That never left, beside one that runs for each application and environment.
    deployments: u32,
    entries: u32,
}

impl Amounts {
    pub(super) fn of(bundles: u32) -> Self {
        Self {
            bundles,
            fewer_bundles: bundles / 10,
            packages: bundles / 5,
            runs: bundles / 10,
            applications: (bundles / 10).clamp(1, APPLICATIONS_MAX),
            deployments: bundles / 10,
            entries: bundles / 5,
        }
    }

    pub(super) fn tell(&self) {
        let Self { bundles, fewer_bundles, packages, runs, applications, deployments, entries } = self;
        line(format!(
            "SQLite: {bundles} bundles with 8 labels each and {fewer_bundles} of another application, {packages} \
             packages, {runs} runs, {applications} more applications in {ENVIRONMENTS} more environments, \
             {deployments} deployments of old, {entries} entries of the audit record"
        ));
    }
}

/// Writes all that into the database of a server's data directory.
pub(super) fn fill(data: &Path, amounts: &Amounts) -> Result<()> {
    tokio::runtime::Runtime::new()?.block_on(async {
        let path = data.join("slipway.db");
        let records = Arc::new(SqliteRecords::open(&path, SqliteOptions::default()).await?);
        let (shop, till) = (named(&*records, "shop").await?, named(&*records, "till").await?);
        add_runs(&*records, &shop, amounts.runs).await?;
        add_packages(&*records, &shop, amounts.packages).await?;
        for (application, bundles) in [(&shop, amounts.bundles), (&till, amounts.fewer_bundles)] {
            select::fill(&*records, application.id, bundles).await?;
            end_queued(&*records, application).await?;
        }
        let environments = add_environments(&*records).await?;
        let bundles = add_applications(&*records, &shop, amounts.applications).await?;
        add_deployments(&*records, &bundles, &environments, amounts.deployments).await?;
        add_entries(&*records, amounts.entries).await?;
        records.close().await;
        Ok(())
    })
}

async fn named(records: &dyn Records, name: &str) -> Result<Application> {
    let name: ApplicationName = name.parse()?;
    let found = records.read().await?.application_by_name(&name).await?;
    found.with_context(|| format!("there is no application {name}"))
}

fn new_run(application: &Application, branch: &str, n: u32) -> Result<NewRun> {
    Ok(NewRun {
        application_id: application.id,
        git_ref: GitRef::Branch(branch.into()),
        commit: format!("{:040x}", 1_000_000 + n).parse()?,
        actor: "ann".into(),
        subject: format!("Change number {n}"),
        author: "Ann Lee <ann@example.com>".into(),
        committed_at: Utc::now(),
        delivery_id: None,
        retry_of: None,
        fresh: false,
    })
}

/// Runs of one branch that have ended.
async fn add_runs(records: &dyn Records, shop: &Application, runs: u32) -> Result<()> {
    for first in (0..runs).step_by(BATCH as usize) {
        let mut tx = records.begin().await?;
        for n in first..runs.min(first + BATCH) {
            let run = tx.run_insert(new_run(shop, "feature-1", n)?).await?.into_inner();
            end(tx.as_mut(), run).await?;
        }
        tx.commit().await?;
    }
    Ok(())
}

/// Ends what is queued: the server is to have nothing to do but pages.
async fn end_queued(records: &dyn Records, application: &Application) -> Result<()> {
    let mut tx = records.begin().await?;
    let filter =
        RunFilter { application: Some(application.id), states: vec!["queued"], ..RunFilter::default() };
    for run in tx.run_list(&filter, Page::first(BATCH)).await? {
        end(tx.as_mut(), run).await?;
    }
    tx.commit().await?;
    Ok(())
}

/// Ends a queued run, with nothing left for the server to tell anybody.
async fn end(tx: &mut dyn Write, mut run: Run) -> Result<()> {
    run.state = run.state.apply(RunEvent::Skip("[skip ci]".into()))?;
    run.finished_at = Some(Utc::now());
    ensure!(tx.run_save(&mut run).await?, "somebody else changed the run");
    Ok(())
}

async fn add_packages(records: &dyn Records, shop: &Application, packages: u32) -> Result<()> {
    let filter = RunFilter { application: Some(shop.id), ..RunFilter::default() };
    let runs = records.read().await?.run_list(&filter, Page::first(1)).await?;
    let run = runs.first().context("there are runs")?.id;
    for first in (0..packages).step_by(BATCH as usize) {
        let mut tx = records.begin().await?;
        for n in first..packages.min(first + BATCH) {
            let mut package = select::new_version(shop.id, run, n)?;
            package.component = Some(format!("part-{}", n % 5).parse()?);
            tx.version_insert(package).await?;
        }
        tx.commit().await?;
    }
    Ok(())
}

/// Each follows the one before it, on the cluster that is there.
async fn add_environments(records: &dyn Records) -> Result<Vec<Environment>> {
    let mut tx = records.begin().await?;
    let mut made = Vec::new();
    for n in 0..ENVIRONMENTS {
        let upstream = n.checked_sub(1).map(|before| format!("place-{before}"));
        let settings: EnvironmentSettings =
            serde_json::from_value(json!({"receiver": {"type": "oci"}, "upstream": upstream}))?;
        let (name, address) = (format!("place-{n}").parse()?, format!("local/test/place-{n}").parse()?);
        made.push(tx.environment_insert(&name, &address, &settings, "ann").await?);
    }
    tx.commit().await?;
    Ok(made)
}

/// Applications with a bundle each.
async fn add_applications(
    records: &dyn Records,
    shop: &Application,
    applications: u32,
) -> Result<Vec<PackageVersion>> {
    let mut bundles = Vec::new();
    let mut tx = records.begin().await?;
    for n in 0..applications {
        let name = format!("app-{n}");
        let made = tx.application_insert(&name.parse()?, shop.source_id, &name).await?;
        let run = tx.run_insert(new_run(&made, "main", n)?).await?.into_inner();
        let run_id = run.id;
        end(tx.as_mut(), run).await?;
        bundles.push(tx.version_insert(select::new_version(made.id, run_id, n)?).await?.into_inner());
    }
    tx.commit().await?;
    Ok(bundles)
}

/// Those that never left lie before those that run.
async fn add_deployments(
    records: &dyn Records,
    bundles: &[PackageVersion],
    environments: &[Environment],
    deployments: u32,
) -> Result<()> {
    let places =
        || bundles.iter().flat_map(move |bundle| environments.iter().map(move |place| (bundle, place)));
    let withdrawn = || DeploymentState::Withdrawn { by: "ann".into() };
    let delivered = || DeploymentState::Delivered { artifact: "registry.example/app@sha256:0".into() };
    let old = places().cycle().take(deployments as usize).map(|place| (place, withdrawn()));
    let all: Vec<_> = old.chain(places().map(|place| (place, delivered()))).collect();
    for some in all.chunks(BATCH as usize) {
        let mut tx = records.begin().await?;
        for ((bundle, place), state) in some {
            let mut made = tx.deployment_insert(new_deployment(bundle, place)).await?;
            made.handed_off_at = matches!(state, DeploymentState::Delivered { .. }).then(Utc::now);
            made.state = state.clone();
            ensure!(tx.deployment_save(&mut made).await?, "somebody else changed the deployment");
        }
        tx.commit().await?;
    }
    Ok(())
}

fn new_deployment(bundle: &PackageVersion, place: &Environment) -> NewDeployment {
    NewDeployment {
        application_id: bundle.application_id,
        environment_id: place.id,
        bundle_id: bundle.id,
        bundle_version: bundle.version.clone(),
        bundle_digest: bundle.digest,
        lock: bundle.fingerprint,
        choice: json!({}),
        cause: DeploymentCause::Deploy,
        created_by: "ann".into(),
        document: None,
    }
}

async fn add_entries(records: &dyn Records, entries: u32) -> Result<()> {
    for first in (0..entries).step_by(BATCH as usize) {
        let mut tx = records.begin().await?;
        for n in first..entries.min(first + BATCH) {
            tx.audit(NewAuditEntry {
                actor: "ann".into(),
                action: "label.set",
                subject: format!("bundle/shop/{n}"),
                detail: json!({"key": "tier", "value": "gold", "reason": "it shines"}),
            })
            .await?;
        }
        tx.commit().await?;
    }
    Ok(())
}
