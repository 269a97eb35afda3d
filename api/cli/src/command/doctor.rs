//! `slipway doctor`.

use std::io;
use std::process::{Output, Stdio};
use std::time::Duration;

use anyhow::Result;
use clap::Args;
use serde_json::{Value, json};
use slipway_charts::{ChartOptions, Renderer};
use slipway_records::port::MachineFinding;
use tokio::process::Command;

use super::login::SERVER_WAIT;
use super::{Exit, Global};
use crate::client::login_file;
use crate::output::{ago, data, json as print_json, size, text};
use crate::serve::machine::{is_older, programs};

#[derive(Debug, Args)]
pub(crate) struct DoctorArgs {}

struct Finding {
    what: String,
    ok: bool,
    needed: bool,
    detail: String,
}

/// How long a program may take to say what it is: docker asks its engine.
const PROGRAM_WAIT: Duration = Duration::from_secs(10);

/// The first git that can do all that sources need.
const GIT_MIN: (u32, u32) = (2, 32);

impl Finding {
    /// `git version 2.47.3 (…)`.
    fn refuse_old_git(&mut self) {
        let version = self.detail.split_whitespace().nth(2).unwrap_or_default();
        if self.ok && is_older(version, GIT_MIN) {
            self.ok = false;
            self.detail = format!("{}: update it to {}.{} or later", self.detail, GIT_MIN.0, GIT_MIN.1);
        }
    }
}

pub(crate) async fn run(_args: DoctorArgs, global: &Global) -> Result<Exit> {
    let mut findings = vec![
        program("git", &["--version"], true, "install git; the server and the built-in remote need it").await,
        program(
            "docker",
            &["version", "--format", "{{.Server.Version}}"],
            false,
            "only Dockerfiles with RUN need an engine",
        )
        .await,
    ];
    findings[0].refuse_old_git();
    let server = server(global).await;
    let answers = server.ok;
    findings.push(server);
    if answers {
        let (machine, storage, images, builds, definitions) = tokio::join!(
            machine(global),
            storage(global),
            image_target(global),
            backends(global),
            definitions(global)
        );
        findings.extend(machine);
        findings.extend(storage);
        findings.extend(images);
        findings.extend(builds);
        findings.extend(definitions);
    } else {
        findings.extend(renderers().await);
    }
    let sound = findings.iter().all(|finding| finding.ok || !finding.needed);
    if global.json() {
        let rows: Vec<_> = findings
            .iter()
            .map(|f| json!({"check": f.what, "ok": f.ok, "needed": f.needed, "detail": f.detail}))
            .collect();
        print_json(&json!(rows));
    } else {
        for finding in &findings {
            let mark = match (finding.ok, finding.needed) {
                (true, _) => "ok  ",
                (false, true) => "FAIL",
                (false, false) => "none",
            };
            data(format!("{mark} {:<8} {}", finding.what, finding.detail));
        }
    }
    Ok(Exit(u8::from(!sound)))
}

async fn program(name: &str, args: &[&str], needed: bool, advice: &str) -> Finding {
    let output = said_within(PROGRAM_WAIT, name, args).await;
    let (ok, detail) = match output {
        None => {
            let words = args.first().copied().unwrap_or_default();
            let waited = PROGRAM_WAIT.as_secs();
            (false, format!("`{name} {words}` did not end within {waited} s: run it yourself; {advice}"))
        }
        Some(Ok(output)) if output.status.success() => {
            (true, String::from_utf8_lossy(&output.stdout).trim().to_owned())
        }
        Some(Ok(output)) => {
            let said = String::from_utf8_lossy(&output.stderr).lines().next().unwrap_or_default().to_owned();
            (false, format!("{said}: {advice}"))
        }
        Some(Err(_)) => (false, format!("not installed: {advice}")),
    };
    Finding { what: name.to_owned(), ok, needed, detail }
}

/// What a program said, unless it did not end in time.
async fn said_within(limit: Duration, name: &str, args: &[&str]) -> Option<io::Result<Output>> {
    let mut command = Command::new(name);
    command.args(args).stdin(Stdio::null()).kill_on_drop(true);
    tokio::time::timeout(limit, command.output()).await.ok()
}

async fn server(global: &Global) -> Finding {
    let asked = async { global.client()?.answered_within(SERVER_WAIT).get("/api/v1/server", &[]).await };
    let (ok, detail) = match asked.await {
        Ok(server) => (
            true,
            format!(
                "{} (Slipway {}), registry {}, database {}",
                text(&server["public_url"]),
                text(&server["version"]),
                text(&server["registry"]),
                text(&server["database"])
            ),
        ),
        Err(error) => (false, error.to_string()),
    };
    // Nobody need have a server; one that was named is meant.
    let needed = global.server.server.is_some() || login_file().is_ok_and(|path| path.exists());
    Finding { what: "server".to_owned(), ok, needed, detail }
}

/// The machine that the server runs on: its disks, the object store and the proxy it reaches, what renders charts.
async fn machine(global: &Global) -> Vec<Finding> {
    let asked = async { global.client()?.get("/api/v1/server/machine", &[]).await };
    // A server of an earlier release says nothing, and who may not ask it has no use for it.
    let Ok(found) = asked.await else { return Vec::new() };
    let finding = |one: &Value| Finding {
        what: text(&one["check"]),
        ok: one["ok"] == true,
        needed: one["needed"] == true,
        detail: text(&one["detail"]),
    };
    found["items"].as_array().into_iter().flatten().map(finding).collect()
}

/// How much the server stores.
async fn storage(global: &Global) -> Option<Finding> {
    let found = global.client().ok()?.get("/api/v1/server/storage", &[]).await.ok()?;
    let (blobs, bytes) = (found["blobs"].as_u64()?, found["bytes"].as_u64()?);
    let measured = ago(&found["measured_at"]);
    let detail = format!("{} in {blobs} blobs, measured {measured}", size(bytes));
    Some(Finding { what: "storage".to_owned(), ok: true, needed: false, detail })
}

/// What would render charts if a server ran here.
async fn renderers() -> Vec<Finding> {
    let found = programs(&Renderer::new(ChartOptions::default())).await;
    let finding = |one: MachineFinding| Finding {
        what: one.check.to_owned(),
        ok: one.ok,
        needed: one.needed,
        detail: one.detail,
    };
    found.into_iter().map(finding).collect()
}

/// The registry that the server keeps images in, if that is not its own.
async fn image_target(global: &Global) -> Option<Finding> {
    let client = global.client().ok()?;
    let server = client.get("/api/v1/server", &[]).await.ok()?;
    let address = server["image_target"].as_str()?.to_owned();
    let (ok, detail) = match client.get("/api/v1/server/image-target", &[]).await {
        Ok(target) if target["ok"] == true => (true, address),
        Ok(target) => (false, format!("{address}: {}", text(&target["error"]))),
        Err(error) => (false, format!("{address}: {error}")),
    };
    Some(Finding { what: "images".to_owned(), ok, needed: true, detail })
}

/// Where the server builds images.
async fn backends(global: &Global) -> Vec<Finding> {
    let asked = async { global.client()?.get("/api/v1/server/backends", &[]).await };
    // Without a server, or the right to ask it, that has been said already.
    let Ok(found) = asked.await else { return Vec::new() };
    let finding = |place: &Value| Finding {
        what: "builds".to_owned(),
        ok: place["ok"] == true,
        // An engine is used if there is one; a cluster was named.
        needed: place["backend"] == "kaniko",
        detail: place_line(place),
    };
    found["items"].as_array().into_iter().flatten().map(finding).collect()
}

/// A back-end and how it is; where it is, once: a socket says itself, the name of a cluster may stand in other words.
fn place_line(place: &Value) -> String {
    let (backend, name, detail) = (text(&place["backend"]), text(&place["name"]), text(&place["detail"]));
    if name.contains('/') && detail.contains(&name) {
        format!("{backend}: {detail}")
    } else {
        format!("{backend} ({name}): {detail}")
    }
}

/// Definitions that the server found or was given and cannot use.
async fn definitions(global: &Global) -> Vec<Finding> {
    let asked = async { global.client()?.whole("/api/v1/definitions/faults", &[]).await };
    let Ok(found) = asked.await else { return Vec::new() };
    let finding = |fault: &Value| Finding {
        what: "definitions".to_owned(),
        ok: false,
        // The others are used all the same.
        needed: false,
        detail: format!("{}: {}", text(&fault["place"]), text(&fault["violations"][0]["message"])),
    };
    found.iter().map(finding).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_a_back_end_is_stands_once() {
        let socket = "unix:///run/docker.sock";
        for (backend, name, detail, told) in [
            ("docker", socket, "29.0 answers", "docker (unix:///run/docker.sock): 29.0 answers"),
            (
                "docker",
                socket,
                "nothing at unix:///run/docker.sock",
                "docker: nothing at unix:///run/docker.sock",
            ),
            ("kaniko", "test", "namespace test-1", "kaniko (test): namespace test-1"),
        ] {
            let place = json!({"backend": backend, "name": name, "detail": detail});
            assert_eq!(place_line(&place), told);
        }
    }

    #[tokio::test]
    async fn a_program_that_does_not_end_is_not_waited_for() {
        let soon = Duration::from_millis(50);
        assert!(said_within(soon, "sleep", &["60"]).await.is_none());
        let absent = said_within(Duration::from_secs(20), "/does/not/exist", &[]).await;
        assert!(absent.expect("it ends").is_err());
    }

    #[test]
    fn a_git_that_is_too_old_is_refused() {
        let judged = |detail: &str| {
            let mut finding =
                Finding { what: "git".to_owned(), ok: true, needed: true, detail: detail.to_owned() };
            finding.refuse_old_git();
            finding.ok
        };
        assert!(
            judged("git version 2.32.0") && judged("git version 3.0.1") && judged("git version 2.47.3 (x)")
        );
        assert!(!judged("git version 2.31.8") && !judged("git version 1.99.1"));
        assert!(judged("git version unknown"));
    }
}
