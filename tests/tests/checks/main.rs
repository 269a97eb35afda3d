//! Checks that developers declare in slipway.yaml, from a real push: run by a real engine or a real
//! cluster, and what they hold.

mod cluster;
mod docker;
mod docker_hostile;
mod docker_kills;

use std::fs;
use std::time::Duration;

use serde_json::{Value, json};
use slipway_tests::server::{App, GitRepository, Server, ServerOptions};
use slipway_tests::{services, wait};

/// Longer than any check may take here.
const WITHIN: Duration = Duration::from_secs(90);

/// A server that runs checks in the engine.
fn options() -> ServerOptions {
    ServerOptions::default().env("SLIPWAY__BUILD__DOCKER_HOST", &services::docker().host)
}

/// A repository whose one image holds busybox and needs no engine to be built, with these checks.
fn checked(checks: &[Value]) -> GitRepository {
    let repository = GitRepository::with(&[
        (
            "web/Dockerfile",
            "FROM scratch\nCOPY busybox /bin/busybox\nCOPY greeting /\nCMD [\"/bin/busybox\"]\n",
        ),
        ("web/greeting", "hello\n"),
    ]);
    repository.write_executable("web/busybox", fs::read("/bin/busybox").expect("busybox-static"));
    declare(&repository, checks);
    repository
}

fn declare(repository: &GitRepository, checks: &[Value]) {
    let file = json!({
        "apiVersion": "slipway.dev/v1", "kind": "Application", "metadata": {"name": "shop"},
        "components": [{"name": "web", "kit": "dockerfile", "context": "web"}],
        "checks": checks,
    });
    repository.write("slipway.yaml", file.to_string());
}

/// A check that runs `script`.
fn script(name: &str, script: &str) -> Value {
    json!({
        "name": name, "image": "web", "timeoutSeconds": 60, "command": ["/bin/busybox", "sh", "-c", script],
    })
}

/// Pushes, and gives the version that was published.
fn publish(server: &Server, app: &App, repository: &GitRepository, message: &str) -> String {
    let run = server.deliver(app, repository, "main", message);
    assert_eq!(run["state"], "done", "{run:#}");
    run["version"].as_str().expect("a version").to_owned()
}

fn checks(server: &Server, version: &str) -> Vec<Value> {
    server.json(&["check", "list", "shop", version]).as_array().cloned().unwrap_or_default()
}

/// The check once it has ended.
fn ended(server: &Server, version: &str, name: &str) -> Value {
    wait::until(&format!("{name} ends"), WITHIN, || {
        let all = checks(server, version);
        let check = all.iter().find(|check| check["name"] == format!("source/{name}")).cloned();
        let check = check.unwrap_or_else(|| panic!("no check {name}: {all:#?}"));
        if check["state"] == "queued" || check["state"] == "running" { Err(check) } else { Ok(check) }
    })
}

/// Waits until the check has written this.
fn await_line(server: &Server, version: &str, name: &str, line: &str) {
    wait::until(&format!("{name} writes {line:?}"), WITHIN, || {
        let log = log(server, version, name);
        if log.contains(line) { Ok(()) } else { Err(log) }
    });
}

fn log(server: &Server, version: &str, name: &str) -> String {
    let bundle = server.bundle("shop", version);
    match bundle["run"].as_str() {
        Some(run) => server.cli(&["run", "logs", run, "--check", name]).stdout,
        None => server.cli(&["check", "log", "shop", version, name]).stdout,
    }
}

/// What would be chosen by itself.
fn picked(server: &Server) -> Value {
    server.get("/api/v1/bundles/pick?application=shop&branch=main").json()
}
