//! How long the server takes for each page with 100,000 bundles behind it, beside the API's answer with the same
//! facts, and how much a first visit loads.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use slipway_records::{Application, NewRun, Page, Records, Run, RunFilter, Write};
use slipway_records_sqlite::{SqliteOptions, SqliteRecords};
use slipway_tests::server::{Answer, Server, ServerOptions, World};
use slipway_types::GitRef;
use slipway_types::state::RunEvent;

use crate::report::{below, line, median, ms, quantile};
use crate::select;

const TARGET_MS: f64 = 50.0;
const LOAD_TARGET_BYTES: f64 = 100_000.0;
/// So often each page is asked for, and each answer of the API.
const ROUNDS: u32 = 200;
/// Component packages beside the bundles.
const PACKAGES: u32 = 20_000;
/// Runs that have ended, beside those that published.
const RUNS: u32 = 10_000;
/// Applications beside the one with the bundles.
const APPLICATIONS: u32 = 100;
/// What is written in one transaction.
const BATCH: u32 = 1_000;

/// A page: what it is, its address, and what the API is asked for the same facts.
type Kind = (&'static str, &'static str, Option<&'static str>);

const KINDS: [Kind; 15] = [
    ("sign-in", "/sign-in", None),
    ("home", "/", Some("/api/v1/applications")),
    ("home, found by name", "/?q=app-42", None),
    ("new application", "/new-application", None),
    ("bundles", "/applications/shop", Some("/api/v1/bundles?application=shop&limit=25")),
    (
        "bundles of a branch",
        "/applications/shop?branch=feature-17",
        Some("/api/v1/bundles?application=shop&branch=feature-17&limit=25"),
    ),
    (
        "bundles by two labels",
        "/applications/shop?selector=tier%3Dgold%2Chalf%3D0",
        Some("/api/v1/bundles?application=shop&selector=tier%3Dgold%2Chalf%3D0&prerelease=yes&limit=25"),
    ),
    (
        "bundles by two labels, none",
        "/applications/shop?selector=half%3D0%2Cparity%3D1",
        Some("/api/v1/bundles?application=shop&selector=half%3D0%2Cparity%3D1&prerelease=yes&limit=25"),
    ),
    ("bundles of an author", "/applications/shop?q=user-49%40example.com", None),
    ("packages", "/applications/shop/packages", Some("/api/v1/packages?application=shop")),
    ("runs", "/applications/shop/runs", Some("/api/v1/runs?application=shop")),
    ("run", "/applications/shop/runs/1", Some("/api/v1/runs/shop%231")),
    ("log", "/applications/shop/runs/1/logs/run", None),
    ("deployments", "/deployments", Some("/api/v1/where")),
    ("infrastructure", "/infrastructure", None),
];

/// Somebody who is signed in.
struct Visitor {
    server: Server,
    cookie: String,
}

pub(crate) fn run(bundles: u32) -> Result<bool> {
    let server = seeded(bundles)?;
    line(format!(
        "SQLite, {bundles} bundles with 8 labels each, {PACKAGES} packages, {RUNS} runs, {APPLICATIONS} other \
         applications; {ROUNDS} times each, over loopback on a connection of its own"
    ));
    let visitor = Visitor::sign_in(server)?;
    let (mut slowest, mut largest) = (0.0_f64, 0.0_f64);
    for (what, page, api) in KINDS {
        let (p50, p99) = visitor.timed(|visitor| visitor.page(page))?;
        let bytes = visitor.first_load(page)?;
        let beside = match api {
            None => String::new(),
            Some(api) => {
                let (p50, p99) = visitor.timed(|visitor| visitor.ask(api))?;
                format!("; the API: p50 {p50:.1} ms, p99 {p99:.1} ms")
            }
        };
        line(format!(
            "{what}: p50 {p50:.1} ms, p99 {p99:.1} ms, first load {:.1} kB{beside}",
            bytes / 1000.0
        ));
        (slowest, largest) = (slowest.max(p99), largest.max(bytes));
    }
    let soon = below("the slowest page, p99", slowest, TARGET_MS, "ms");
    Ok(below("the largest first load", largest, LOAD_TARGET_BYTES, "bytes") && soon)
}

/// A server over a database that has all that.
fn seeded(bundles: u32) -> Result<Server> {
    let options = ServerOptions { world: Some(World::Embedded), ..ServerOptions::default() };
    let mut server = Server::start(options);
    server.stop();
    let path = server.data().join("slipway.db");
    tokio::runtime::Runtime::new()?.block_on(async {
        let records = Arc::new(SqliteRecords::open(&path, SqliteOptions::default()).await?);
        select::publish(records.clone(), bundles).await?;
        let mut read = records.read().await?;
        let shop = read.application_by_name(&"shop".parse()?).await?.context("the application is made")?;
        drop(read);
        add_runs(&*records, &shop).await?;
        add_packages(&*records, &shop).await?;
        let mut tx = records.begin().await?;
        for n in 0..APPLICATIONS {
            tx.application_insert(&format!("app-{n}").parse()?, shop.source_id, &format!("app-{n}")).await?;
        }
        tx.commit().await?;
        records.close().await;
        anyhow::Ok(())
    })?;
    server.restart();
    Ok(server)
}

/// Runs of one branch, and the end of every run: the server is to have nothing to do but pages.
async fn add_runs(records: &dyn Records, shop: &Application) -> Result<()> {
    for first in (0..RUNS).step_by(BATCH as usize) {
        let mut tx = records.begin().await?;
        for n in first..RUNS.min(first + BATCH) {
            let run = NewRun {
                application_id: shop.id,
                git_ref: GitRef::Branch("feature-1".into()),
                commit: format!("{:040x}", 1_000_000 + n).parse()?,
                actor: "ann".into(),
                subject: format!("Change number {n}"),
                author: "Ann Lee <ann@example.com>".into(),
                committed_at: chrono::Utc::now(),
                delivery_id: None,
                retry_of: None,
                fresh: false,
            };
            let run = tx.run_insert(run).await?.into_inner();
            end(tx.as_mut(), run).await?;
        }
        tx.commit().await?;
    }
    let mut tx = records.begin().await?;
    let filter = RunFilter { application: Some(shop.id), states: vec!["queued"], ..RunFilter::default() };
    let queued = tx.run_list(&filter, Page::first(BATCH)).await?;
    for run in queued {
        end(tx.as_mut(), run).await?;
    }
    tx.commit().await?;
    Ok(())
}

/// Ends a queued run, with nothing left for the server to tell anybody.
async fn end(tx: &mut dyn Write, mut run: Run) -> Result<()> {
    run.state = run.state.apply(RunEvent::Skip("[skip ci]".into()))?;
    run.finished_at = Some(chrono::Utc::now());
    ensure!(tx.run_save(&mut run).await?, "somebody else changed the run");
    Ok(())
}

async fn add_packages(records: &dyn Records, shop: &Application) -> Result<()> {
    let mut read = records.read().await?;
    let filter = RunFilter { application: Some(shop.id), ..RunFilter::default() };
    let run = read.run_list(&filter, Page::first(1)).await?.into_iter().next().context("there are runs")?;
    drop(read);
    for first in (0..PACKAGES).step_by(BATCH as usize) {
        let mut tx = records.begin().await?;
        for n in first..PACKAGES.min(first + BATCH) {
            let mut package = select::new_version(shop.id, run.id, n)?;
            package.component = Some(format!("part-{}", n % 5).parse()?);
            tx.version_insert(package).await?;
        }
        tx.commit().await?;
    }
    Ok(())
}

impl Visitor {
    fn sign_in(server: Server) -> Result<Self> {
        let headers = [
            ("Accept", "text/html"),
            ("Origin", server.url()),
            ("Content-Type", "application/x-www-form-urlencoded"),
        ];
        let body = format!("token={}", server.token());
        let answer = server.request("POST", "/sign-in", &headers, body.as_bytes());
        ensure!(answer.status == 303, "sign-in: {} {}", answer.status, answer.text());
        let cookie = answer.header("set-cookie").context("no cookie")?;
        let cookie = cookie.split(';').next().unwrap_or_default().to_owned();
        Ok(Self { server, cookie })
    }

    fn page(&self, path: &str) -> Answer {
        let headers = [("Accept", "text/html"), ("Cookie", self.cookie.as_str())];
        self.server.request("GET", path, &headers, b"")
    }

    fn ask(&self, path: &str) -> Answer {
        self.server.get(path)
    }

    /// The p50 and p99 of what is asked, in milliseconds.
    fn timed(&self, ask: impl Fn(&Self) -> Answer) -> Result<(f64, f64)> {
        let mut times = Vec::new();
        for _ in 0..ROUNDS {
            let began = Instant::now();
            let answer = ask(self);
            times.push(ms(began.elapsed()));
            ensure!(answer.status == 200, "{}: {}", answer.status, answer.text());
        }
        Ok((median(&times), quantile(&times, 0.99)))
    }

    /// Bytes of the bodies of a page and of what its head loads.
    #[expect(clippy::cast_precision_loss, reason = "a page is smaller than an f64 counts exactly")]
    fn first_load(&self, path: &str) -> Result<f64> {
        let page = self.page(path);
        let text = page.text();
        let mut bytes = page.body.len();
        let assets: BTreeSet<&str> =
            text.split('"').filter(|address| address.starts_with("/assets/")).collect();
        ensure!(assets.len() >= 3, "style, script and icon: {assets:?}");
        for asset in assets {
            let answer = self.page(asset);
            ensure!(answer.status == 200, "{asset}: {}", answer.status);
            bytes += answer.body.len();
        }
        Ok(bytes as f64)
    }
}
