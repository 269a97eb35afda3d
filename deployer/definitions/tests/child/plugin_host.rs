//! The child that this crate's tests call definitions in.

use std::process::ExitCode;

fn main() -> ExitCode {
    slipway_plugins::serve()
}
