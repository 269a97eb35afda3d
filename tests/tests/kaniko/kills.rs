//! The server is killed (SIGKILL) at chosen points of builds on a cluster.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use slipway_records::fault_point::CLUSTER_POINTS;
use slipway_tests::namespace::{JOB_WITHIN, Namespace};
use slipway_tests::server::Server;

use crate::faults::await_running;
use crate::{push_unwatched, repository, tokens, web_build};

/// So often the server is killed at each point.
const KILLS_PER_POINT: usize = 6;
/// Points of every build at which a cluster's may be lost too.
const FURTHER_POINTS: [&str; 2] = ["build.before_commit", "build.committed"];

/// Rounds in which one of two servers is killed.
const TAKEOVER_TRIES_MAX: usize = 12;

fn stopped_at(marker: &PathBuf) -> Option<String> {
    fs::read_to_string(marker).ok().filter(|point| !point.is_empty())
}

#[test]
fn faults_of_54_kills_lose_no_job_and_leave_none() {
    let namespace = Namespace::create();
    let mut server = Server::start(namespace.options());
    let app = server.create_app("shop");
    // Long enough to be seen running.
    let repository = repository("/bin/busybox sleep 1; echo built");
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
            let end = Instant::now() + JOB_WITHIN;
            while stopped_at(&marker).is_none() {
                assert!(Instant::now() < end, "the server never came to {point}:\n{}", server.log());
                std::thread::sleep(Duration::from_millis(5));
            }
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

/// Either of the two may have the build, so one is killed until it was the one; a lease lasts 30 s.
#[test]
fn faults_of_a_killed_server_leave_its_job_to_the_other() {
    let namespace = Namespace::create();
    let mut servers = Server::start(namespace.options_of_two());
    let app = servers.create_app("shop");
    let repository = repository("/bin/busybox sleep 3; echo built");
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
