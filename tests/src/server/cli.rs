//! The command line, as a script with an empty home uses it.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use super::{Server, binary, run_within};

const COMMAND_WITHIN: Duration = Duration::from_secs(200);

/// What a command of the CLI gave.
#[derive(Debug, Clone)]
pub struct CliOutput {
    /// The words after `slipway`.
    pub command: String,
    /// Exit code.
    pub code: i32,
    /// Data.
    pub stdout: String,
    /// Talk.
    pub stderr: String,
}

impl CliOutput {
    /// Asserts exit code 0.
    #[expect(clippy::return_self_not_must_use, reason = "often the assertion is all that is wanted")]
    pub fn ok(self) -> Self {
        assert_eq!(self.code, 0, "slipway {}:\n{}{}", self.command, self.stdout, self.stderr);
        self
    }

    /// Standard output as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| {
            panic!("slipway {}: no JSON ({error}):\n{}{}", self.command, self.stdout, self.stderr)
        })
    }
}

impl Server {
    /// Runs `slipway ARGS` as the administrator.
    pub fn cli(&self, args: &[&str]) -> CliOutput {
        self.cli_as(self.token(), args)
    }

    /// Runs `slipway ARGS` with another token.
    pub fn cli_as(&self, token: &str, args: &[&str]) -> CliOutput {
        self.cli_in(self.scratch(), token, args)
    }

    /// Runs `slipway ARGS` in a directory.
    pub fn cli_in(&self, directory: &Path, token: &str, args: &[&str]) -> CliOutput {
        let finished = run_within(self.command(directory, token, args), COMMAND_WITHIN);
        let stdout = finished.text();
        CliOutput { command: args.join(" "), code: finished.code, stdout, stderr: finished.stderr }
    }

    /// Begins `slipway ARGS` with a token, against a server that may never answer. What it prints is lost.
    pub fn cli_begun_as(&self, token: &str, args: &[&str]) -> Child {
        let mut command = self.command(self.scratch(), token, args);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command.spawn().expect("the binary can be run")
    }

    fn command(&self, directory: &Path, token: &str, args: &[&str]) -> Command {
        let mut command = Command::new(binary());
        command.args(args).current_dir(directory);
        self.clean_environment(&mut command);
        command.env("SLIPWAY_SERVER", self.url()).env("SLIPWAY_TOKEN", token);
        command
    }

    /// Runs `slipway ARGS -o json` as the administrator, asserts that it went well, gives what it said.
    pub fn json(&self, args: &[&str]) -> Value {
        self.cli(&[args, &["-o", "json"]].concat()).ok().json()
    }
}
