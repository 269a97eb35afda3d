//! What goes wrong on a cluster, and in which word the build ends.

use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use slipway_tests::namespace::{JOB_WITHIN, Namespace};
use slipway_tests::server::{App, GitRepository, Server, running};
use slipway_tests::wait;

use crate::{push_unwatched, tokens, web_build};

/// Waits for a line of the pods' states that `wanted` takes.
fn await_pod(namespace: &Namespace, what: &str, wanted: impl Fn(&str) -> bool) {
    wait::until(&format!("a pod {what}"), JOB_WITHIN, || {
        let columns = "custom-columns=PHASE:.status.phase,RUNS:.status.containerStatuses[0].state.running";
        let pods = namespace.kubectl(&["get", "pods", "--no-headers", "--output", columns]);
        if pods.lines().any(&wanted) { Ok(()) } else { Err(pods) }
    });
}

pub(crate) fn await_running(namespace: &Namespace) {
    await_pod(namespace, "runs its executor", |line| line.contains("startedAt"));
}

/// How long the API server is away: longer than a build here takes.
const AWAY: Duration = Duration::from_secs(8);

struct Setting {
    namespace: Namespace,
    server: Server,
    app: App,
    /// What is being pushed.
    repository: Option<GitRepository>,
}

impl Setting {
    fn new(settings: &[(&str, &str)]) -> Self {
        let namespace = Namespace::create();
        let options =
            settings.iter().fold(namespace.options(), |options, (key, value)| options.env(key, value));
        let server = Server::start(options);
        let app = server.create_app("shop");
        Self { namespace, server, app, repository: None }
    }

    fn push(&mut self, script: &str) -> String {
        let repository = self.repository.insert(running(script));
        push_unwatched(&self.server, &self.app, repository)
    }

    fn log(&self, run: &Value) -> String {
        self.server.cli(&["run", "logs", run["id"].as_str().expect("an id"), "web"]).stdout
    }

    fn assert_done(&self, commit: &str) -> Value {
        let run = self.server.wait_run("shop", commit);
        assert_eq!(run["state"], "done", "{run:#}\n{}", self.log(&run));
        self.namespace.assert_empty();
        run
    }
}

#[test]
fn faults_of_a_deleted_job_are_another_attempt() {
    let mut setting = Setting::new(&[]);
    // It must run on until the tool has found it and deleted its Job.
    let commit = setting.push("/bin/busybox sleep 12");
    await_running(&setting.namespace);
    setting.namespace.kubectl(&["delete", "job", "--selector", "slipway.dev/owner"]);
    let run = setting.assert_done(&commit);
    assert_eq!(web_build(&run)["attempt"], 2, "{run:#}");
}

#[test]
fn faults_of_a_deleted_pod_lose_no_build() {
    let mut setting = Setting::new(&[]);
    let commit = setting.push("echo begun; /bin/busybox sleep 8; echo built");
    await_running(&setting.namespace);
    setting.namespace.kubectl(&[
        "delete",
        "pod",
        "--selector",
        "slipway.dev/owner",
        "--grace-period",
        "0",
        "--wait=false",
    ]);
    let run = setting.assert_done(&commit);
    let log = setting.log(&run);
    assert!(log.contains("\nbegun\n") && log.matches("\nbuilt\n").count() == 1, "{log}");
}

#[test]
fn faults_of_a_full_quota_and_a_deleted_secret_are_waited_out() {
    let mut setting = Setting::new(&[]);
    setting.namespace.kubectl(&["create", "quota", "full", "--hard", "pods=0"]);
    let commit = setting.push("true");
    wait::until("the log says why it waits", JOB_WITHIN, || {
        let log = setting.server.get("/api/v1/runs/shop%231/builds/web/log").text();
        if log.contains("exceeded quota") { Ok(()) } else { Err(log) }
    });
    let shown = || setting.server.json(&["run", "show", "shop#1"])["builds"][0]["reason"].to_string();
    wait::holds("`run show` says why it waits", JOB_WITHIN, || shown().contains("waiting: "));
    assert!(shown().contains("exceeded quota"), "{}", shown());
    setting.namespace.kubectl(&["delete", "secret", "--selector", "slipway.dev/owner"]);
    setting.namespace.kubectl(&["delete", "quota", "full"]);
    setting.assert_done(&commit);
    assert_eq!(shown(), "null");
}

#[test]
fn faults_of_a_quota_on_jobs_are_waited_out_too() {
    let mut setting = Setting::new(&[]);
    setting.namespace.kubectl(&["create", "quota", "full", "--hard", "count/jobs.batch=0"]);
    let commit = setting.push("true");
    wait::until("`run show` says why it waits", JOB_WITHIN, || {
        // Before the push has arrived there is no run.
        let shown = setting.server.get("/api/v1/runs/shop%231").text();
        if shown.contains("exceeded quota") { Ok(()) } else { Err(shown) }
    });
    setting.namespace.kubectl(&["delete", "quota", "full"]);
    setting.assert_done(&commit);
}

#[test]
fn faults_of_a_quota_that_stays_full_time_the_build_out_by_name() {
    let mut setting = Setting::new(&[("SLIPWAY__KANIKO__START_TIMEOUT_MS", "20000")]);
    setting.namespace.kubectl(&["create", "quota", "full", "--hard", "pods=0"]);
    let commit = setting.push("true");
    let run = setting.server.wait_run("shop", &commit);
    assert_eq!(run["state"], "timed_out", "{run:#}");
    let reason = web_build(&run)["reason"].to_string();
    assert!(reason.contains("start_timeout_ms = 20000") && reason.contains("exceeded quota"), "{reason}");
    setting.namespace.assert_empty();
}

#[test]
fn faults_of_an_image_that_cannot_be_pulled_fail_the_build_by_name() {
    let missing = format!("127.0.0.1:9/executor@sha256:{}", "0".repeat(64));
    let mut setting = Setting::new(&[("SLIPWAY__KANIKO__IMAGE", &missing)]);
    let commit = setting.push("true");
    let run = setting.server.wait_run("shop", &commit);
    assert_eq!(run["state"], "failed", "{run:#}");
    let reason = run["reason"].to_string();
    assert!(reason.contains("127.0.0.1:9/executor") && reason.contains("cannot start"), "{reason}");
    setting.namespace.assert_empty();
}

/// A stopped process that goes on when this is dropped.
struct Paused(String);

impl Paused {
    fn process(pid: u32) -> Self {
        let paused = Self(pid.to_string());
        paused.signal("-STOP");
        paused
    }

    fn signal(&self, signal: &str) {
        let status = std::process::Command::new("kill").args([signal, &self.0]).status().expect("kill");
        assert!(status.success() && Path::new("/proc").join(&self.0).exists(), "process {}", self.0);
    }
}

impl Drop for Paused {
    fn drop(&mut self) {
        self.signal("-CONT");
    }
}

#[test]
fn faults_of_an_api_server_that_does_not_answer_are_waited_out() {
    let mut setting = Setting::new(&[]);
    let commit = setting.push("/bin/busybox sleep 4; echo slept");
    await_running(&setting.namespace);
    let paused = Paused::process(setting.namespace.cluster.apiserver_pid().expect("the API server runs"));
    std::thread::sleep(AWAY);
    drop(paused);
    let run = setting.assert_done(&commit);
    assert_eq!(web_build(&run)["attempt"], 1, "{run:#}");
    assert_eq!(setting.log(&run).matches("slept\n").count(), 1, "{}", setting.log(&run));
}

#[test]
fn faults_of_the_command_itself_fail_the_build_with_its_log() {
    let mut setting = Setting::new(&[]);
    let commit = setting.push("echo it goes wrong; exit 7");
    let run = setting.server.wait_run("shop", &commit);
    assert_eq!(run["state"], "failed", "{run:#}");
    assert!(run["reason"].to_string().contains("exit code 7"), "{run:#}");
    assert!(setting.log(&run).contains("it goes wrong\n"));
    setting.namespace.assert_empty();
}

#[test]
fn faults_that_somebody_cancels_leave_nothing_running() {
    let mut setting = Setting::new(&[]);
    let commit = setting.push("/bin/busybox sleep 600");
    await_running(&setting.namespace);
    setting.server.cli(&["run", "cancel", "shop#1"]).ok();
    let run = setting.server.wait_run("shop", &commit);
    assert_eq!(run["state"], "cancelled", "{run:#}");
    setting.namespace.assert_empty();
    let pods = setting.namespace.kubectl(&["get", "pods", "--output", "name"]);
    assert_eq!(pods.trim(), "");
    tokens::assert_all_ended(&setting.server);
}
