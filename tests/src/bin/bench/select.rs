//! Selecting among 100,000 bundles with 8 labels each, beside the query one would write at first.

use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result};
use slipway_records::{NewRun, NewSource, NewVersion, Records, SelectionPage, SourceKind};
use slipway_records_postgres::{PostgresOptions, PostgresRecords};
use slipway_records_sqlite::{SqliteOptions, SqliteRecords};
use slipway_tests::server::Database;
use slipway_types::id::{ApplicationId, RunId};
use slipway_types::label::Labels;
use slipway_types::selection::{Selection, SelectionOrder};
use slipway_types::{Digest, GitRef};
use sqlx::{Connection, PgConnection, SqliteConnection};

use crate::report::{below, line, median, ms, quantile};

pub(crate) const BUNDLES_DEFAULT: u32 = 100_000;

const TARGET_MS: f64 = 50.0;
/// Selections of each kind.
const ROUNDS: u32 = 100;
/// The naive query is asked less often: it is slow.
const PEER_ROUNDS: u32 = 5;
const PAGE_ROWS: u32 = 50;
const PEOPLE: u32 = 50;
/// Bundles published in one transaction.
const BATCH: u32 = 1_000;

/// A catalogue in one database.
pub(crate) struct Catalogue {
    records: Arc<dyn Records>,
    application: ApplicationId,
    bundles: u32,
}

pub(crate) fn run(bundles: u32) -> Result<bool> {
    line(format!(
        "{bundles} bundles of one application with 8 labels each; {ROUNDS} selections of each kind"
    ));
    tokio::runtime::Runtime::new()?.block_on(async {
        let sqlite = sqlite(bundles).await?;
        if std::env::var_os("SLIPWAY_TEST_POSTGRES").is_none() {
            line("PostgreSQL is left out: SLIPWAY_TEST_POSTGRES names no server");
            return Ok(sqlite);
        }
        Ok(postgres(bundles).await? && sqlite)
    })
}

async fn sqlite(bundles: u32) -> Result<bool> {
    let directory = tempfile::tempdir()?;
    let path = directory.path().join("records.db");
    let records = Arc::new(SqliteRecords::open(&path, SqliteOptions::default()).await?);
    let catalogue = publish(records.clone(), bundles).await?;
    // As it does once it has run for a day: the planner's figures are kept by the server.
    let met = catalogue.measure("SQLite").await?;
    let mut naive = SqliteConnection::connect(path.to_str().context("the path is UTF-8")?).await?;
    for (what, labels) in PEERS {
        let mut times = Vec::new();
        for _ in 0..PEER_ROUNDS {
            let began = Instant::now();
            sqlx::query(sqlx::AssertSqlSafe(naive_text(labels)))
                .bind(catalogue.application.to_string())
                .fetch_all(&mut naive)
                .await?;
            times.push(ms(began.elapsed()));
        }
        catalogue.compare("SQLite", what, labels, median(&times)).await?;
    }
    records.close().await;
    Ok(met)
}

async fn postgres(bundles: u32) -> Result<bool> {
    let database = Database::create();
    let options = PostgresOptions { url: database.url().to_owned(), ..PostgresOptions::default() };
    let records = Arc::new(PostgresRecords::connect(options).await?);
    let catalogue = publish(records.clone(), bundles).await?;
    // What autovacuum does a minute later.
    database.sql("vacuum analyze");
    let met = catalogue.measure("PostgreSQL").await?;
    let mut naive = PgConnection::connect(database.url()).await?;
    for (what, labels) in PEERS {
        let mut times = Vec::new();
        for _ in 0..PEER_ROUNDS {
            let began = Instant::now();
            sqlx::query(sqlx::AssertSqlSafe(naive_text(labels)))
                .bind(catalogue.application.as_uuid())
                .fetch_all(&mut naive)
                .await?;
            times.push(ms(began.elapsed()));
        }
        catalogue.compare("PostgreSQL", what, labels, median(&times)).await?;
    }
    records.close().await;
    Ok(met)
}

/// Label sets of which the naive query is asked too.
const PEERS: [(&str, &[(&str, &str)]); 3] = [
    ("two common labels", &[("tier", "gold"), ("half", "0")]),
    ("two common labels, no bundle with both", &[("half", "0"), ("parity", "1")]),
    ("a rare label and a common one", &[("source/serial", "4711"), ("tier", "gold")]),
];

/// All labels of all bundles, grouped.
fn naive_text(labels: &[(&str, &str)]) -> String {
    let pairs: Vec<String> =
        labels.iter().map(|(key, value)| format!("(p.key = '{key}' and p.value = '{value}')")).collect();
    format!(
        "select v.id from version v join version_label l on l.version_id = v.id
        join label_pair p on p.id = l.pair_id
        where v.application_id = $1 and v.component = '' and ({})
        group by v.id, v.sort_key having count(*) = {} order by v.sort_key desc limit {PAGE_ROWS}",
        pairs.join(" or "),
        labels.len()
    )
}

fn version_of(n: u32) -> String {
    let core = format!("{}.{}.{}", 1 + n / 25_000, n / 1_000 % 25, n % 1_000);
    if n.is_multiple_of(100) { core } else { format!("{core}-main.{n}") }
}

/// `half` and `parity` never agree, `era` goes with the version, `source/serial` is another for each.
fn labels_of(n: u32) -> Result<Labels> {
    let mixed = n.wrapping_mul(2_654_435_761) >> 8;
    let pairs = [
        ("source/team", "shop".to_owned()),
        ("source/serial", n.to_string()),
        ("tier", if mixed.is_multiple_of(2) { "gold" } else { "silver" }.to_owned()),
        ("half", (n % 2).to_string()),
        ("parity", (n % 2).to_string()),
        ("ring", (mixed % 10).to_string()),
        ("zone", (mixed % 1_000).to_string()),
        ("era", if n < 50_000 { "old" } else { "new" }.to_owned()),
    ];
    pairs.into_iter().map(|(key, value)| Ok((key.parse()?, value.parse()?))).collect()
}

/// Publishes bundles of the application `shop`, which it makes.
async fn publish(records: Arc<dyn Records>, bundles: u32) -> Result<Catalogue> {
    let began = Instant::now();
    let mut tx = records.begin().await?;
    let source =
        NewSource { name: "shop".parse()?, kind: SourceKind::Builtin, credential: None, poll_interval_s: 60 };
    let source = tx.source_insert(source).await?;
    let application = tx.application_insert(&"shop".parse()?, source.id, "").await?.id;
    tx.commit().await?;
    fill(&*records, application, bundles).await?;
    line(format!("published to {} in {:.0} s", records.describe(), began.elapsed().as_secs_f64()));
    Ok(Catalogue { records, application, bundles })
}

/// Publishes bundles of an application, of runs of several people that stay queued.
pub(crate) async fn fill(records: &dyn Records, application: ApplicationId, bundles: u32) -> Result<()> {
    let mut tx = records.begin().await?;
    let mut runs = Vec::new();
    for n in 0..PEOPLE {
        let run = NewRun {
            application_id: application,
            git_ref: GitRef::Branch("main".into()),
            commit: format!("{n:040x}").parse()?,
            actor: format!("user-{n}"),
            subject: "Go on".into(),
            author: format!("User {n} <user-{n}@example.com>"),
            committed_at: chrono::Utc::now(),
            delivery_id: None,
            retry_of: None,
            fresh: false,
        };
        runs.push(tx.run_insert(run).await?.into_inner().id);
    }
    tx.commit().await?;
    for first in (0..bundles).step_by(BATCH as usize) {
        let mut tx = records.begin().await?;
        for n in first..bundles.min(first + BATCH) {
            // The last one pushed once in a thousand.
            let person = if n % 1_000 == 7 { PEOPLE - 1 } else { n % (PEOPLE - 1) };
            tx.version_insert(new_version(application, runs[person as usize], n)?).await?;
        }
        tx.commit().await?;
    }
    Ok(())
}

/// A bundle, the `n`th.
pub(crate) fn new_version(application_id: ApplicationId, run_id: RunId, n: u32) -> Result<NewVersion> {
    let version = version_of(n);
    let branch = if n % 10 < 7 { "main".to_owned() } else { format!("feature-{}", n % 100) };
    Ok(NewVersion {
        application_id,
        component: None,
        version: version.parse()?,
        digest: Digest::of(&version),
        size: 1_000,
        built_as: version.parse()?,
        run_id,
        git_ref: GitRef::Branch(branch),
        commit: Digest::of(n.to_string()).hex()[..40].parse()?,
        fingerprint: Digest::of(n.to_string()),
        detail: serde_json::json!({"members": members(&version)}),
        labels: labels_of(n)?,
    })
}

/// Five packages, of which one is new.
fn members(version: &str) -> Vec<serde_json::Value> {
    let digest = Digest::of(version);
    let member = |n: u32| {
        serde_json::json!({
            "component": format!("part-{n}"), "version": version, "built_as": version, "digest": digest,
            "manifest_size": 1_000, "size": 20_000, "kit": "dockerfile", "images": [], "reused": n > 0,
            "fingerprint": digest,
        })
    };
    (0..5).map(member).collect()
}

/// A kind of selection: what it is, in which order, and the selection of the `n`th round.
type Kind = (&'static str, SelectionOrder, fn(u32) -> serde_json::Value);

const KINDS: [Kind; 16] = {
    use SelectionOrder::{Newest, Precedence};
    use serde_json::json;
    [
        ("releases", Precedence, |_| json!({})),
        ("releases in a range", Precedence, |n| json!({"range": format!("^{}", 1 + n % 4)})),
        ("branch and range", Precedence, |n| json!({"branch": "main", "range": format!("~1.{}", n % 25)})),
        (
            "one common label",
            Precedence,
            |n| json!({"selector": format!("ring={}", n % 10), "prerelease": "yes"}),
        ),
        ("two common labels", Precedence, |_| json!({"selector": "tier=gold,half=0", "prerelease": "yes"})),
        (
            "two common labels, empty",
            Precedence,
            |_| json!({"selector": "half=0,parity=1", "prerelease": "yes"}),
        ),
        (
            "two common labels, empty, newest first",
            Newest,
            |_| json!({"selector": "half=0,parity=1", "prerelease": "yes"}),
        ),
        (
            "a rare label and two common ones",
            Precedence,
            |n| json!({"selector": format!("zone={},tier=gold,era=old", n * 7 % 1_000), "prerelease": "yes"}),
        ),
        ("one of 40 values", Precedence, |n| {
            let values: Vec<String> = (0..40).map(|value| (value + n).to_string()).collect();
            json!({"selector": format!("zone in ({})", values.join(",")), "prerelease": "yes"})
        }),
        ("none of 40 values, newest first", Newest, |n| {
            let values: Vec<String> = (0..40).map(|value| (value + n).to_string()).collect();
            json!({"selector": format!("zone notin ({}),ring", values.join(",")), "prerelease": "yes"})
        }),
        (
            "without a label that all have",
            Precedence,
            |_| json!({"selector": "!source/team", "prerelease": "yes"}),
        ),
        (
            "label and range, empty",
            Precedence,
            |_| json!({"selector": "era=old", "range": ">=3", "prerelease": "yes"}),
        ),
        ("label of old ones, newest first", Newest, |_| json!({"selector": "era=old", "prerelease": "yes"})),
        ("commit", Precedence, |n| json!({"commit": &Digest::of((n * 911).to_string()).hex()[..10]})),
        ("a rare author", Newest, |n| {
            json!({"author": format!("user-{}@example.com", PEOPLE - 1), "range": format!(">={}", 1 + n % 3),
                "prerelease": "yes"})
        }),
        (
            "of an hour long ago",
            Precedence,
            |_| json!({"published_before": "2026-01-01T00:00:00Z", "prerelease": "yes"}),
        ),
    ]
};

impl Catalogue {
    async fn timed(&self, selection: &Selection, order: SelectionOrder) -> Result<(f64, usize)> {
        let page = SelectionPage { order, limit: PAGE_ROWS, after: None };
        let mut read = self.records.read().await?;
        let began = Instant::now();
        let selected = read.select(self.application, selection, &page, false).await?;
        Ok((ms(began.elapsed()), selected.versions.len()))
    }

    /// Whether all kinds meet the target.
    async fn measure(&self, database: &str) -> Result<bool> {
        let mut all = Vec::new();
        for (what, order, selection) in KINDS {
            let (mut times, mut rows) = (Vec::new(), 0);
            for round in 0..ROUNDS {
                let selection: Selection = serde_json::from_value(selection(round))?;
                let (time, found) = self.timed(&selection, order).await?;
                times.push(time);
                rows = found;
            }
            let (p50, p99) = (median(&times), quantile(&times, 0.99));
            line(format!("{database}, {what}: p50 {p50:.1} ms, p99 {p99:.1} ms, {rows} rows"));
            all.extend(times);
        }
        let explained = self.explained().await?;
        line(format!("{database}, a pick with its explanation: median {explained:.1} ms"));
        let what = format!("{database}, page of {PAGE_ROWS} of {} bundles, all kinds, p99", self.bundles);
        Ok(below(&what, quantile(&all, 0.99), TARGET_MS, "ms"))
    }

    async fn explained(&self) -> Result<f64> {
        let mut times = Vec::new();
        for _ in 0..PEER_ROUNDS {
            let selection = serde_json::json!({"range": "^3", "selector": "tier=gold,ring!=3"});
            let selection: Selection = serde_json::from_value(selection)?;
            let mut read = self.records.read().await?;
            let began = Instant::now();
            read.pick(self.application, &selection, SelectionOrder::Precedence).await?;
            times.push(ms(began.elapsed()));
        }
        Ok(median(&times))
    }

    /// The same labels by the naive query, which took `naive_ms`.
    async fn compare(
        &self,
        database: &str,
        what: &str,
        labels: &[(&str, &str)],
        naive_ms: f64,
    ) -> Result<()> {
        let selector: Vec<String> = labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
        let selection = serde_json::json!({"selector": selector.join(","), "prerelease": "yes"});
        let selection: Selection = serde_json::from_value(selection)?;
        let mut times = Vec::new();
        for _ in 0..PEER_ROUNDS {
            times.push(self.timed(&selection, SelectionOrder::Precedence).await?.0);
        }
        let own_ms = median(&times);
        line(format!(
            "{database}, {what}: {own_ms:.1} ms, by GROUP BY over all labels {naive_ms:.1} ms: {:.0} times",
            naive_ms / own_ms
        ));
        Ok(())
    }
}
