//! `slipway`: the server, its command line and its demonstration in one binary.
//!
//! Exit codes: 0 done, 1 refused or failed, 2 wrong usage, 3 it has not ended (a wait expired, the server stayed
//! away, or a gate is closed), 4 cancelled, withdrawn or superseded.

use std::process::ExitCode;

use clap::Parser;

mod client;
mod command;
mod config;
mod demo;
mod local;
mod output;
mod secret_input;
mod serve;

use command::{Cli, Exit};

/// The word that makes this program the caged child that plug-ins run in.
pub(crate) const PLUGIN_HOST: &str = "plugin-host";

fn main() -> ExitCode {
    // Before anything opens a file or starts a thread: the cage closes what it finds.
    if std::env::args_os().nth(1).is_some_and(|word| word == PLUGIN_HOST) {
        return slipway_plugins::serve();
    }
    let cli = Cli::parse();
    rustls::crypto::ring::default_provider()
        .install_default()
        .expect("invariant: nothing installed a TLS provider before main");
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            output::error(&format!("cannot start: {error}"));
            return ExitCode::from(1);
        }
    };
    let outcome = runtime.block_on(command::run(cli));
    // Blocking reads of standard input must not hold the process.
    runtime.shutdown_background();
    match outcome {
        Ok(Exit(code)) => ExitCode::from(code),
        Err(error) => {
            output::report(&error);
            ExitCode::from(client::exit_code(&error))
        }
    }
}
