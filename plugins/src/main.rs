//! The plug-in host's child as a program of its own.

use std::process::ExitCode;

fn main() -> ExitCode {
    slipway_plugins::serve()
}
