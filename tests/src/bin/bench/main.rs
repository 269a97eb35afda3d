//! Measures a release build of Slipway from outside, against targets. `./bench` runs it.

#![expect(clippy::print_stdout, reason = "a bench prints what it measured")]

use std::process::ExitCode;

use anyhow::{Result, bail};

mod copy;
mod core_fleet;
mod idle;
mod job;
mod kaniko;
mod objects;
mod pages;
mod plan;
mod pull_ladder;
mod push;
mod report;
mod requests;
mod sample;
mod select;
mod webhook;

const USAGE: &str = "usage: bench webhook [SECONDS] | push | copy | idle | objects [GIB] | job [ROUNDS] \
                     | requests [BUILDS] | plan | select [BUNDLES] | core-apply [APPLICATIONS] \
                     | core-idle [APPLICATIONS] | pull-ladder [CLUSTERS] | pages [BUNDLES]";

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match run(&words) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            println!("FAIL  {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Whether every target was met.
fn run(words: &[&str]) -> Result<bool> {
    if rustls::crypto::ring::default_provider().install_default().is_err() {
        bail!("a TLS provider was installed before");
    }
    let name = words.first().copied().unwrap_or_default();
    report::heading(name);
    match words {
        ["webhook"] => webhook::run(webhook::SECONDS_DEFAULT),
        ["webhook", seconds] => webhook::run(seconds.parse()?),
        ["push"] => Ok(push::run()),
        ["copy"] => copy::run(),
        ["idle"] => idle::run(),
        ["objects"] => objects::run(objects::GIB_DEFAULT),
        ["objects", gib] => objects::run(gib.parse()?),
        ["job"] => job::run(job::ROUNDS_DEFAULT),
        ["job", rounds] => job::run(rounds.parse()?),
        ["requests"] => requests::run(requests::BUILDS_DEFAULT),
        ["requests", builds] => requests::run(builds.parse()?),
        ["plan"] => plan::run(),
        ["core-apply"] => core_fleet::apply(core_fleet::APPLICATIONS_DEFAULT),
        ["core-apply", count] => core_fleet::apply(count.parse()?),
        ["core-idle"] => core_fleet::idle(core_fleet::APPLICATIONS_DEFAULT),
        ["core-idle", count] => core_fleet::idle(count.parse()?),
        ["pull-ladder"] => pull_ladder::run(),
        ["pull-ladder", clusters] => pull_ladder::run_with(clusters.parse()?),
        ["pages"] => pages::run(select::BUNDLES_DEFAULT),
        ["pages", bundles] => pages::run(bundles.parse()?),
        ["select"] => select::run(select::BUNDLES_DEFAULT),
        ["select", bundles] => select::run(bundles.parse()?),
        _ => bail!("{USAGE}"),
    }
}
