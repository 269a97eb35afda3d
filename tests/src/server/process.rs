//! Programs with a deadline.

use std::fs::File;
use std::io::{Read as _, Seek as _};
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::services;

const TOOL_WITHIN: Duration = Duration::from_secs(90);
const POLL_INTERVAL: Duration = Duration::from_millis(5);

/// A program that has ended.
#[derive(Debug, Clone)]
pub struct Finished {
    /// Exit code; -1 if a signal ended it.
    pub code: i32,
    /// Standard output.
    pub stdout: Vec<u8>,
    /// Standard error.
    pub stderr: String,
}

impl Finished {
    /// Standard output as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }
}

/// Runs `command` to its end. Panics naming it once `deadline` has passed; the process is then killed.
pub fn run_within(mut command: Command, deadline: Duration) -> Finished {
    let mut stdout = tempfile::tempfile().expect("a temporary file");
    let mut stderr = tempfile::tempfile().expect("a temporary file");
    let handle = |file: &File| Stdio::from(file.try_clone().expect("a temporary file"));
    command.stdin(Stdio::null()).stdout(handle(&stdout)).stderr(handle(&stderr));
    let name = command.get_program().display().to_string();
    let mut child = command.spawn().unwrap_or_else(|error| panic!("cannot run {name}: {error}"));
    let end = Instant::now() + deadline;
    let status = loop {
        if let Some(status) = child.try_wait().expect("a child can be waited for") {
            break Some(status);
        }
        if Instant::now() > end {
            drop(child.kill());
            drop(child.wait());
            break None;
        }
        sleep(POLL_INTERVAL);
    };
    let (stdout, stderr) = (read(&mut stdout), String::from_utf8_lossy(&read(&mut stderr)).into_owned());
    let Some(status) = status else {
        panic!("{name} did not end within {deadline:?}; it said:\n{stderr}");
    };
    Finished { code: status.code().unwrap_or(-1), stdout, stderr }
}

/// Runs an installed tool and gives its standard output; panics with what it said if it fails.
pub fn tool_output(name: &str, args: &[&str]) -> Vec<u8> {
    let mut command = Command::new(services::tool(name));
    command.args(args);
    let finished = run_within(command, TOOL_WITHIN);
    assert_eq!(finished.code, 0, "{name} {}:\n{}{}", args.join(" "), finished.text(), finished.stderr);
    finished.stdout
}

fn read(file: &mut File) -> Vec<u8> {
    let mut bytes = Vec::new();
    file.rewind().and_then(|()| file.read_to_end(&mut bytes)).expect("a temporary file can be read");
    bytes
}
