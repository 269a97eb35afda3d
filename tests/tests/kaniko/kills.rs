//! The server is killed (SIGKILL) more than 50 times while it builds on a cluster: at each chosen point, and
//! at any moment, which a printed seed determines; `SLIPWAY_TEST_SEED` repeats one.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use slipway_records::fault_point::CLUSTER_POINTS;
use slipway_tests::namespace::{JOB_WITHIN, Namespace};
use slipway_tests::random::Random;
use slipway_tests::server::{Server, running};
use slipway_tests::wait;

use crate::faults::await_running;
use crate::{push_unwatched, tokens, web_build};

/// So often the server is killed at each point.
const KILLS_PER_POINT: usize = 3;
/// So often it is killed at any moment.
const KILLS_AT_ANY_MOMENT: u64 = 30;
/// Kills of one build. With more losses in a row its job would be suspected of ending the process.
const KILLS_PER_BUILD_MAX: u64 = 2;
/// The latest moment of a kill, after the attempt began or the server came back: about when a build ends.
const MOMENT_MAX_MS: u64 = 2500;
/// Lines that a build prints, one each 100 ms.
const LINES: u64 = 12;
/// Points of every build at which a cluster's may be lost too.
const FURTHER_POINTS: [&str; 2] = ["build.before_commit", "build.committed"];

/// Rounds in which one of two servers is killed.
const TAKEOVER_TRIES_MAX: usize = 12;

fn stopped_at(marker: &PathBuf) -> Option<String> {
    fs::read_to_string(marker).ok().filter(|point| !point.is_empty())
}

#[test]
fn faults_of_kills_at_chosen_points_lose_no_job_and_leave_none() {
    let namespace = Namespace::create();
    let mut server = Server::start(namespace.options());
    let app = server.create_app("shop");
    // Long enough to be seen running.
    let repository = running("/bin/busybox sleep 1; echo built");
    let marker = server.scratch().join("stopped");
    let mut commits = Vec::new();
    for round in 0..KILLS_PER_POINT {
        for point in CLUSTER_POINTS.iter().chain(&FURTHER_POINTS) {
            server.stop();
            drop(fs::remove_file(&marker));
            let options = server.options_mut();
            options.env.insert("SLIPWAY_TEST_STOP_AT".into(), format!("{point}:1"));
            options.env.insert("SLIPWAY_TEST_STOP_MARKER".into(), marker.display().to_string());
            server.restart();
            repository.write("web/index.html", format!("{round} {point}\n"));
            commits.push(push_unwatched(&server, &app, &repository));
            let what = format!("the server comes to {point}");
            wait::holds(&what, JOB_WITHIN, || stopped_at(&marker).is_some());
            server.kill9();
            let options = server.options_mut();
            options.env.remove("SLIPWAY_TEST_STOP_AT");
            server.restart();
            let run = server.wait_run("shop", commits.last().expect("a commit"));
            assert_eq!(run["state"], "done", "killed at {point}: {run:#}\n{}", server.log());
            assert_eq!(web_build(&run)["attempt"], 1, "killed at {point}: {run:#}");
        }
    }
    let log = |commit: &str| {
        let run = server.wait_run("shop", commit);
        server.cli(&["run", "logs", run["id"].as_str().expect("an id"), "web"]).ok().stdout
    };
    for commit in &commits {
        assert_eq!(log(commit).matches("\nbuilt\n").count(), 1, "{}", log(commit));
    }
    let runs = server.json(&["run", "list", "--app", "shop", "--limit", "200"]);
    assert_eq!(runs.as_array().map(Vec::len), Some(commits.len()));
    assert_eq!(server.bundles("shop").len(), commits.len());
    namespace.assert_empty();
    tokens::assert_used_ended(&server);
}

/// Waits until the run of a commit has a build that has begun.
fn await_attempt(server: &Server, commit: &str) {
    let path = format!("/api/v1/runs?application=shop&commit={commit}");
    wait::until(&format!("a build of {commit} begins"), JOB_WITHIN, || {
        let run = server.get(&path).json()["items"][0].clone();
        if let Some(id) = run["id"].as_str() {
            let run = server.get(&format!("/api/v1/runs/{id}")).json();
            let begun =
                run["builds"].as_array().is_some_and(|builds| builds.iter().any(|b| b["state"] != "queued"));
            if begun {
                return Ok(());
            }
        }
        Err(run)
    });
}

#[test]
fn faults_of_kills_at_any_moment_lose_no_line_and_double_none() {
    let seed = Random::seed_of_environment();
    eprintln!("SLIPWAY_TEST_SEED={seed}");
    let mut random = Random::new(seed);
    let namespace = Namespace::create();
    let mut server = Server::start(namespace.options());
    let app = server.create_app("shop");
    let script = format!(
        "i=0; while [ $i -lt {LINES} ]; do echo line $i; /bin/busybox usleep 100000; i=$((i + 1)); done"
    );
    let repository = running(&script);
    let expected: Vec<String> = (0..LINES).map(|line| format!("line {line}")).collect();
    let (mut kills, mut builds, mut adopted) = (0, 0, 0);
    while kills < KILLS_AT_ANY_MOMENT {
        builds += 1;
        repository.write("web/index.html", format!("{builds}\n"));
        let commit = push_unwatched(&server, &app, &repository);
        await_attempt(&server, &commit);
        let mut moments = Vec::new();
        for _ in 0..=random.below(KILLS_PER_BUILD_MAX) {
            moments.push(random.below(MOMENT_MAX_MS));
            std::thread::sleep(Duration::from_millis(*moments.last().expect("a moment")));
            server.kill9();
            server.restart();
            kills += 1;
        }
        let run = server.wait_run("shop", &commit);
        let log = server.cli(&["run", "logs", run["id"].as_str().expect("an id"), "web"]).ok().stdout;
        assert_eq!(run["state"], "done", "killed after {moments:?} ms: {run:#}\n{log}");
        assert_eq!(web_build(&run)["attempt"], 1, "killed after {moments:?} ms: {run:#}");
        let lines: Vec<&str> = log.lines().filter(|line| line.starts_with("line ")).collect();
        assert_eq!(lines, expected, "killed after {moments:?} ms\n{log}");
        adopted += usize::from(log.contains("slipway: going on with Job"));
    }
    eprintln!("{kills} kills of {builds} builds; {adopted} Jobs were gone on with");
    assert!(adopted > 0, "no kill met a Job");
    assert_eq!(server.bundles("shop").len(), builds);
    namespace.assert_empty();
    tokens::assert_used_ended(&server);
}

/// Either of the two may have the build, so one is killed until it was the one; a lease lasts 30 s.
#[test]
fn faults_of_a_killed_server_leave_its_job_to_the_other() {
    let namespace = Namespace::create();
    let mut servers = Server::start(namespace.options_of_two());
    let app = servers.create_app("shop");
    let repository = running("/bin/busybox sleep 3; echo built");
    for round in 0..TAKEOVER_TRIES_MAX {
        let instance = round % 2;
        repository.write("web/index.html", format!("{round}\n"));
        let commit = push_unwatched(&servers, &app, &repository);
        await_running(&namespace);
        servers.kill9_of(instance);
        let run = servers.wait_run("shop", &commit);
        assert_eq!(run["state"], "done", "{run:#}");
        assert_eq!(web_build(&run)["attempt"], 1, "{run:#}");
        let log = servers.cli(&["run", "logs", run["id"].as_str().expect("an id"), "web"]).ok().stdout;
        assert_eq!(log.matches("\nbuilt\n").count(), 1, "{log}");
        servers.restart_of(instance, &[]);
        namespace.assert_empty();
        if log.contains("slipway: going on with Job") {
            return;
        }
    }
    panic!("no build was taken over in {TAKEOVER_TRIES_MAX} rounds");
}
