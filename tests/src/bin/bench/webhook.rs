//! Signed pushes at a steady rate, whatever the server makes of it, while workers run.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use hmac::{Hmac, KeyInit as _, Mac as _};
use reqwest::Client;
use serde_json::{Value, json};
use sha2::Sha256;
use slipway_tests::server::{App, GitRepository, Server};
use tokio::task::JoinSet;

use crate::push::push_to_bundle;
use crate::report::{below, line, ms, quantile, verdict};
use crate::sample;

pub(crate) const SECONDS_DEFAULT: u64 = 60;
const APPLICATIONS: u64 = 50;
const PER_SECOND: u64 = 300;
const BODY_BYTES: usize = 8 << 10;
const P99_TARGET_MS: f64 = 50.0;
/// A bundle is made so often during the flood.
const BUNDLE_EVERY: Duration = Duration::from_secs(2);
const ANSWER_WITHIN: Duration = Duration::from_secs(30);
const SETTLED_WITHIN: Duration = Duration::from_mins(10);

pub(crate) fn run(seconds: u64) -> Result<bool> {
    let server = Server::fresh();
    let began = Instant::now();
    let apps: Vec<App> = (0..APPLICATIONS).map(|n| prepare(&server, &format!("app-{n}")).0).collect();
    let total = seconds * PER_SECOND;
    line(format!(
        "{total} distinct signed pushes of {BODY_BYTES} bytes to {APPLICATIONS} applications, \
         {PER_SECOND}/s in open loop for {seconds} s; latency counts from when each was due"
    ));
    line("workers run: each delivery is judged against its repository (its commit is not there: ignored),");
    line("and all the while another application is pushed to and bundled every 2 s");
    let (busy, repository) = prepare(&server, "busy");
    line(format!("made ready in {:.0} s", began.elapsed().as_secs_f64()));
    let stop = AtomicBool::new(false);
    let (sent, bundles) = thread::scope(|scope| {
        let (server, stopped) = (&server, &stop);
        let bundling = scope.spawn(move || bundle_until(server, &busy, &repository, stopped));
        let sent = flood(&apps, total);
        stop.store(true, Ordering::Relaxed);
        (sent, bundling.join().expect("the other application's bundles come out"))
    });
    let sent = sent?;
    let latencies: Vec<f64> = sent.iter().map(|answer| ms(answer.latency)).collect();
    let refused = sent.iter().filter(|answer| answer.status != Some(202)).count();
    line(format!("{bundles} bundles of the other application meanwhile"));
    line(format!(
        "p50 {:.1} ms, p90 {:.1} ms, p99 {:.1} ms, p99.9 {:.1} ms, max {:.1} ms",
        quantile(&latencies, 0.5),
        quantile(&latencies, 0.9),
        quantile(&latencies, 0.99),
        quantile(&latencies, 0.999),
        quantile(&latencies, 1.0)
    ));
    let fast = below("p99 of the committed answer", quantile(&latencies, 0.99), P99_TARGET_MS, "ms");
    verdict(refused == 0, &format!("{refused} of {total} were not answered 202"));
    let present = check_present(&server, &apps, &sent)?;
    Ok(fast && refused == 0 && present)
}

/// An application with one bundle.
fn prepare(server: &Server, name: &str) -> (App, GitRepository) {
    let app = server.create_app(name);
    let repository = sample::five_components(name);
    push_to_bundle(server, &app, &repository);
    (app, repository)
}

fn bundle_until(server: &Server, app: &App, repository: &GitRepository, stop: &AtomicBool) -> usize {
    let mut bundles = 0;
    while !stop.load(Ordering::Relaxed) {
        let next = Instant::now() + BUNDLE_EVERY;
        repository.write("web/files/count", format!("{bundles}"));
        push_to_bundle(server, app, repository);
        bundles += 1;
        while Instant::now() < next && !stop.load(Ordering::Relaxed) {
            sleep(Duration::from_millis(20));
        }
    }
    bundles
}

/// What became of one push.
struct Answered {
    id: String,
    latency: Duration,
    /// `None`: no answer came.
    status: Option<u16>,
}

#[tokio::main]
async fn flood(apps: &[App], total: u64) -> Result<Vec<Answered>> {
    let client = Client::builder().timeout(ANSWER_WITHIN).pool_max_idle_per_host(256).build()?;
    let began = tokio::time::Instant::now() + Duration::from_millis(100);
    let mut running = JoinSet::new();
    let mut answered = Vec::new();
    for number in 0..total {
        let due = began + Duration::from_secs(1) * u32::try_from(number)? / u32::try_from(PER_SECOND)?;
        let app = &apps[usize::try_from(number % APPLICATIONS)?];
        let address = app.webhook_urls["github"].as_str().context("no address for GitHub")?.to_owned();
        let (client, secret) = (client.clone(), app.webhook_secret.clone());
        tokio::time::sleep_until(due).await;
        running.spawn(async move { send(&client, &address, &secret, number, due).await });
        while let Some(done) = running.try_join_next() {
            answered.push(done?);
        }
    }
    while let Some(done) = running.join_next().await {
        answered.push(done?);
    }
    Ok(answered)
}

async fn send(
    client: &Client,
    address: &str,
    secret: &str,
    number: u64,
    due: tokio::time::Instant,
) -> Answered {
    let body = body(number);
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("HMAC takes keys of any length");
    mac.update(body.as_bytes());
    let signature = format!("sha256={}", hex::encode(mac.finalize().into_bytes()));
    let id = format!("00000000-0000-4000-8000-{number:012x}");
    let request = client.post(address);
    let request = request
        .header("content-type", "application/json")
        .header("user-agent", "GitHub-Hookshot/bench")
        .header("x-github-event", "push")
        .header("x-github-delivery", &id)
        .header("x-hub-signature-256", signature)
        .body(body);
    let status = match request.send().await {
        Ok(answer) => {
            let status = answer.status().as_u16();
            // Read to its end, so that the connection serves the next one.
            answer.bytes().await.ok().map(|_| status)
        }
        Err(_) => None,
    };
    Answered { id, latency: due.elapsed(), status }
}

/// A push as GitHub describes it, of a commit of its own.
fn body(number: u64) -> String {
    let commit = |salt: u64| format!("{:040x}", (u128::from(salt) << 64) | u128::from(number + 1));
    let push = |padding: usize| {
        json!({
            "ref": "refs/heads/main",
            "before": commit(1),
            "after": commit(2),
            "created": false, "deleted": false, "forced": false,
            "pusher": {"name": "ada", "email": "ada@example.com"},
            "sender": {"login": "ada", "id": 1, "type": "User"},
            "repository": {"id": 1, "name": "bench", "full_name": "ada/bench", "default_branch": "main"},
            "head_commit": {"id": commit(2), "message": "x".repeat(padding), "author": {"name": "Ada"}},
        })
        .to_string()
    };
    let bare = push(0).len();
    push(BODY_BYTES - bare)
}

/// Whether every push that was sent is listed, once each; waits until all are settled.
fn check_present(server: &Server, apps: &[App], sent: &[Answered]) -> Result<bool> {
    let began = Instant::now();
    let (mut found, mut states) = (BTreeSet::new(), std::collections::BTreeMap::new());
    let mut listed = 0;
    for app in apps {
        for delivery in settled(server, app)? {
            *states.entry(delivery["state"].to_string()).or_insert(0_u64) += 1;
            if let Some(id) = delivery["external_id"].as_str() {
                listed += 1;
                found.insert(id.to_owned());
            }
        }
    }
    let missing = sent.iter().filter(|answer| !found.contains(&answer.id)).count();
    line(format!("all settled {:.0} s after the last answer: {states:?}", began.elapsed().as_secs_f64()));
    let present = missing == 0 && listed == sent.len();
    verdict(present, &format!("{} of {} pushes present, {listed} listed", sent.len() - missing, sent.len()));
    Ok(present)
}

/// Every delivery of an application's source, once no worker has anything to do for them.
fn settled(server: &Server, app: &App) -> Result<Vec<Value>> {
    let end = Instant::now() + SETTLED_WITHIN;
    loop {
        let deliveries = deliveries(server, app)?;
        let waiting = deliveries.iter().filter(|delivery| delivery["state"] == "received").count();
        if waiting == 0 {
            return Ok(deliveries);
        }
        ensure!(Instant::now() < end, "{waiting} deliveries are not settled within {SETTLED_WITHIN:?}");
        sleep(Duration::from_millis(500));
    }
}

fn deliveries(server: &Server, app: &App) -> Result<Vec<Value>> {
    let address = app.webhook_urls["github"].as_str().unwrap_or_default();
    let source = address.rsplit('/').nth(1).context("a webhook address without its source")?;
    let mut rows = Vec::new();
    let mut after = String::new();
    loop {
        let answer = server.get(&format!("/api/v1/sources/{source}/deliveries?limit=500{after}"));
        ensure!(answer.status == 200, "the list of deliveries: {}", answer.text());
        let mut page = answer.json();
        if let Value::Array(items) = page["items"].take() {
            rows.extend(items);
        }
        match page["next"].as_str() {
            Some(next) => after = format!("&after={next}"),
            None => return Ok(rows),
        }
    }
}
