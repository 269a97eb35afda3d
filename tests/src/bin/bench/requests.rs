//! What builds ask of the API server, as its audit log tells.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead as _, BufReader, Seek as _, SeekFrom};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use slipway_tests::namespace::Namespace;
use slipway_tests::server::{App, GitRepository, Server};

use crate::kaniko;
use crate::report::{below, line, verdict};

/// Builds, if nobody says how many.
pub(crate) const BUILDS_DEFAULT: usize = 200;
/// Jobs at once.
const JOBS_MAX: usize = 20;
/// Eight are what a build takes: Secret and Job are made and tied to each other, the log is followed and then
/// looked at once more, the Secret is read for its token, Job and Secret are deleted. While a pod waits for its
/// node, its events and its Secret are looked at, every ten seconds. Watches, and the sweep each minute, are
/// shared by all builds.
const TARGET: f64 = 12.0;
const RUN_WITHIN: Duration = Duration::from_mins(20);
/// The API server writes its log in pieces.
const LOGGED_WITHIN: Duration = Duration::from_secs(30);
const OURS: &str = "slipway/";

pub(crate) fn run(builds: usize) -> Result<bool> {
    let namespace = Namespace::create();
    let options = namespace.options_for(JOBS_MAX);
    let server = Server::start(options.env("SLIPWAY__BUILD__MAX_BUILDS", &JOBS_MAX.to_string()));
    let app = server.create_app("bench");
    let log = &namespace.cluster.audit_log;
    let mut from = std::fs::metadata(log).with_context(|| format!("cannot read {}", log.display()))?.len();
    line(format!("{builds} components in one push, {JOBS_MAX} Jobs at once; requests of our user agent"));
    let began = Instant::now();
    let most = build_all(&server, &app, &kaniko::application("bench", builds)?, &namespace)?;
    let seconds = began.elapsed().as_secs_f64();
    namespace.assert_empty();
    line(format!("all pushed after {seconds:.0} s; at most {most} Jobs were seen at once"));
    let mut asked = BTreeMap::new();
    let end = Instant::now() + LOGGED_WITHIN;
    let deletion = ("delete".to_owned(), "secrets".to_owned());
    while asked.get(&deletion).is_none_or(|count| *count < builds) {
        ensure!(Instant::now() < end, "the audit log has not all deletions: {asked:?}");
        from = count(log, from, &namespace.name, &mut asked)?;
    }
    Ok(report(&asked, builds) & cap(most))
}

fn cap(most: usize) -> bool {
    let met = most <= JOBS_MAX;
    verdict(met, &format!("Jobs at once: {most} (target at most {JOBS_MAX})"));
    met
}

/// Pushes, and waits until the run is done; gives how many Jobs there were at most.
fn build_all(server: &Server, app: &App, repository: &GitRepository, namespace: &Namespace) -> Result<usize> {
    let commit = repository.commit("Build all");
    let path = format!("/api/v1/runs?application={}&commit={commit}", app.name);
    let taken = || server.get(&path).json()["items"][0].is_object();
    repository.push_until(&app.git_url, server.token(), &["HEAD:refs/heads/main"], taken);
    let end = Instant::now() + RUN_WITHIN;
    let mut most = 0;
    loop {
        let run = server.get(&path).json()["items"][0].clone();
        match run["state"].as_str() {
            Some("done") => return Ok(most),
            Some("failed" | "timed_out" | "cancelled") => bail!("the run should be done: {run:#}"),
            _ => ensure!(Instant::now() < end, "not done within {RUN_WITHIN:?}: {run:#}"),
        }
        most = most.max(live_jobs(namespace));
        std::thread::sleep(Duration::from_secs(1));
    }
}

fn live_jobs(namespace: &Namespace) -> usize {
    let ended = "custom-columns=ENDED:.status.conditions[0].type";
    let jobs = namespace.kubectl(&["get", "jobs", "--no-headers", "--output", ended]);
    jobs.lines().filter(|line| line.trim() == "<none>").count()
}

/// Adds what was asked in a namespace since `from`, by verb and resource; gives how far the log was read.
fn count(
    log: &Path,
    from: u64,
    namespace: &str,
    asked: &mut BTreeMap<(String, String), usize>,
) -> Result<u64> {
    let mut file = File::open(log)?;
    file.seek(SeekFrom::Start(from))?;
    let (mut reader, mut read, mut text) = (BufReader::new(file), from, String::new());
    while reader.read_line(&mut text)? > 0 && text.ends_with('\n') {
        read += text.len() as u64;
        let event: Value = serde_json::from_str(&text)?;
        let object = &event["objectRef"];
        let ours = event["userAgent"].as_str().is_some_and(|agent| agent.starts_with(OURS));
        if ours && event["stage"] == "RequestReceived" && object["namespace"] == namespace {
            let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            let resource = match object["subresource"].as_str() {
                Some(part) => format!("{}/{part}", word(&object["resource"])),
                None => word(&object["resource"]),
            };
            *asked.entry((word(&event["verb"]), resource)).or_default() += 1;
        }
        text.clear();
    }
    Ok(read)
}

#[expect(clippy::cast_precision_loss, reason = "a few thousand requests")]
fn report(asked: &BTreeMap<(String, String), usize>, builds: usize) -> bool {
    let builds = builds as f64;
    for ((verb, resource), count) in asked {
        line(format!("{verb:>6} {resource:<9} {count:>6}, {:.2} a build", *count as f64 / builds));
    }
    let all: usize = asked.values().sum();
    line(format!("{all} requests in all"));
    below("requests to the API server", all as f64 / builds, TARGET, "a build")
}
