//! `helm`, and what it renders.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use slipway_tests::server::{Finished, run_within};
use slipway_tests::services;

/// Longer than any wait that it is told.
const HELM_WITHIN: Duration = Duration::from_mins(6);

/// A file or directory of `deploy`.
pub(crate) fn deploy(path: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy")).join(path)
}

/// Runs `helm VERB NAME CHART` with further arguments.
pub(crate) fn helm(verb: &str, args: &[&str]) -> Finished {
    let mut command = Command::new(services::tool("helm"));
    command.arg(verb);
    if verb != "lint" {
        command.arg("slipway");
    }
    if verb != "uninstall" {
        command.arg(deploy("chart"));
    }
    command.args(args);
    run_within(command, HELM_WITHIN)
}

/// What `helm` prints, which must do what it is told.
pub(crate) fn helm_ok(verb: &str, args: &[&str]) -> String {
    let finished = helm(verb, args);
    assert_eq!(finished.code, 0, "helm {verb} {}: {}{}", args.join(" "), finished.text(), finished.stderr);
    finished.text()
}

/// The path of one of the chart's value files.
pub(crate) fn values(name: &str) -> String {
    deploy("chart/ci").join(name).with_extension("yaml").display().to_string()
}
