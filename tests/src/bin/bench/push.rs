//! From `git push` to the bundle where every component is unchanged.

use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use serde_json::Value;
use slipway_tests::server::{App, GitRepository, Server};

use crate::report::{ROUNDS, below, line, median, ms};
use crate::sample;

const TARGET_MS: f64 = 1000.0;
const RUN_WITHIN: Duration = Duration::from_mins(5);
const POLL_INTERVAL: Duration = Duration::from_millis(5);

pub(crate) fn run() -> bool {
    let server = Server::fresh();
    let app = server.create_app("bench");
    let repository = sample::five_components("bench");
    line("5 components, none changed: each commit touches README.md only");
    let first = push_to_bundle(&server, &app, &repository);
    line(format!("first push, all built: {:.0} ms", ms(first.elapsed)));
    let mut rounds = Vec::new();
    for round in 1..=ROUNDS {
        repository.write("README.md", format!("Round {round}.\n"));
        let pushed = push_to_bundle(&server, &app, &repository);
        let bundle = server.bundle_of(&pushed.run);
        let reused = bundle["packages"].as_array().is_some_and(|packages| {
            packages.len() == 5 && packages.iter().all(|package| package["reused"] == true)
        });
        assert!(reused, "every package should be reused: {bundle:#}");
        line(format!("round {round}: {:.0} ms", ms(pushed.elapsed)));
        rounds.push(ms(pushed.elapsed));
    }
    below("push to bundle, median", median(&rounds), TARGET_MS, "ms")
}

/// A push whose bundle is there.
pub(crate) struct Timed {
    pub(crate) run: Value,
    pub(crate) elapsed: Duration,
}

/// Commits everything; the time runs from the start of `git push` until the run is seen to be done.
pub(crate) fn push_to_bundle(server: &Server, app: &App, repository: &GitRepository) -> Timed {
    let commit = repository.commit("Go on");
    let began = Instant::now();
    thread::scope(|scope| {
        let waiting = scope.spawn(|| {
            let run = wait_for_run(server, &app.name, &commit, began + RUN_WITHIN);
            (run, began.elapsed())
        });
        server.push(app, repository, &["HEAD:refs/heads/main"]);
        let (run, elapsed) = waiting.join().expect("the run ends");
        Timed { run, elapsed }
    })
}

fn wait_for_run(server: &Server, application: &str, commit: &str, end: Instant) -> Value {
    let path = format!("/api/v1/runs?application={application}&commit={commit}");
    loop {
        let run = server.get(&path).json()["items"][0].clone();
        match run["state"].as_str() {
            Some("done") => return run,
            Some("failed" | "timed_out" | "cancelled" | "superseded" | "skipped") => {
                panic!("the run should be done: {run:#}")
            }
            _ => assert!(Instant::now() < end, "no bundle within {RUN_WITHIN:?}: {run:#}"),
        }
        sleep(POLL_INTERVAL);
    }
}
