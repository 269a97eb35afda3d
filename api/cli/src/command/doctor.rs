//! `slipway doctor`.

use std::process::Command;

use anyhow::Result;
use clap::Args;
use serde_json::json;

use super::{Exit, Global};
use crate::output::{data, json as print_json, text};

#[derive(Debug, Args)]
pub(crate) struct DoctorArgs {}

struct Finding {
    what: &'static str,
    ok: bool,
    needed: bool,
    detail: String,
}

pub(crate) async fn run(_args: DoctorArgs, global: &Global) -> Result<Exit> {
    let mut findings = vec![
        program("git", &["--version"], true, "install git; the server and the built-in remote need it"),
        program(
            "docker",
            &["version", "--format", "{{.Server.Version}}"],
            false,
            "only Dockerfiles with RUN need an engine",
        ),
    ];
    findings.push(server(global).await);
    findings.extend(image_target(global).await);
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

fn program(name: &'static str, args: &[&str], needed: bool, advice: &str) -> Finding {
    let output = Command::new(name).args(args).output();
    let (ok, detail) = match output {
        Ok(output) if output.status.success() => {
            (true, String::from_utf8_lossy(&output.stdout).trim().to_owned())
        }
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stderr).lines().next().unwrap_or_default().to_owned();
            (false, format!("{said}: {advice}"))
        }
        Err(_) => (false, format!("not installed: {advice}")),
    };
    Finding { what: name, ok, needed, detail }
}

async fn server(global: &Global) -> Finding {
    let asked = async { global.client()?.get("/api/v1/server", &[]).await };
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
    Finding { what: "server", ok, needed: false, detail }
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
    Some(Finding { what: "images", ok, needed: true, detail })
}
