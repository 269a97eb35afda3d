//! Running `git` with nothing of the machine's own settings.

use std::ffi::OsString;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::Command;

use crate::error::GitError;
use crate::options::GitOptions;

/// How much of standard error is kept, from its end.
const STDERR_BYTES: usize = 8 << 10;
/// The most a command may answer on standard output where it is held in memory.
const STDOUT_BYTES: usize = 64 << 20;

/// The settings every command runs with.
const CONFIG: [&str; 7] = [
    // The cache directory is ours, whatever user the container runs as.
    "safe.directory=*",
    "core.hooksPath=/dev/null",
    "gc.auto=0",
    "maintenance.auto=false",
    // Packs move between directories; a file fewer to move.
    "pack.writeReverseIndex=false",
    // Larger blobs are streamed by git instead of held.
    "core.bigFileThreshold=16m",
    "credential.helper=",
];

/// The `git` program with a clean environment.
#[derive(Debug, Clone)]
pub(crate) struct Git {
    program: PathBuf,
    home: PathBuf,
    path: OsString,
    timeout: Duration,
    protocols: &'static str,
}

/// A command that ended.
pub(crate) struct Ran {
    pub(crate) ok: bool,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: String,
}

impl Ran {
    /// The output of a command that must not fail.
    pub(crate) fn expect_ok(self, command: &'static str) -> Result<Vec<u8>, GitError> {
        if self.ok { Ok(self.stdout) } else { Err(GitError::Command { command, stderr: self.stderr }) }
    }
}

impl Git {
    pub(crate) fn new(options: &GitOptions, home: &Path) -> Self {
        Self {
            program: options.program.clone(),
            home: home.to_owned(),
            path: std::env::var_os("PATH").unwrap_or_else(|| "/usr/bin:/bin".into()),
            timeout: Duration::from_millis(options.command_timeout_ms),
            protocols: if options.allow_http { "https:http" } else { "https" },
        }
    }

    /// A command for blocking use in the repository `dir`.
    pub(crate) fn blocking(&self, dir: &Path) -> std::process::Command {
        let mut command = std::process::Command::new(&self.program);
        command
            .env_clear()
            .env("PATH", &self.path)
            .env("HOME", &self.home)
            .env("LC_ALL", "C")
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("GIT_NO_REPLACE_OBJECTS", "1")
            .env("GIT_ALLOW_PROTOCOL", self.protocols)
            .current_dir(&self.home)
            // A Ctrl-C at the server's terminal is the server's to handle.
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        for setting in CONFIG {
            command.args(["-c", setting]);
        }
        let mut git_dir = OsString::from("--git-dir=");
        git_dir.push(dir);
        command.arg(git_dir);
        command
    }

    /// A command in the repository `dir`; its process ends when it is dropped.
    pub(crate) fn command(&self, dir: &Path) -> Command {
        let mut command = Command::from(self.blocking(dir));
        command.kill_on_drop(true);
        command
    }

    /// Runs a command to its end within `command_timeout_ms`.
    pub(crate) async fn run(
        &self,
        command: Command,
        name: &'static str,
        input: Option<Vec<u8>>,
    ) -> Result<Ran, GitError> {
        self.run_within(command, name, input, self.timeout, "command_timeout_ms").await
    }

    /// Runs a command to its end within a named limit.
    pub(crate) async fn run_within(
        &self,
        mut command: Command,
        name: &'static str,
        input: Option<Vec<u8>>,
        within: Duration,
        limit: &'static str,
    ) -> Result<Ran, GitError> {
        if input.is_some() {
            command.stdin(Stdio::piped());
        }
        let mut child = command.spawn().map_err(GitError::io("start git"))?;
        let stdin = child.stdin.take();
        let mut stdout = child.stdout.take().expect("invariant: standard output is piped");
        let stderr = child.stderr.take().expect("invariant: standard error is piped");
        let feed = async {
            if let (Some(mut stdin), Some(input)) = (stdin, input) {
                // A command that stops reading says why on standard error.
                drop(stdin.write_all(&input).await);
            }
        };
        let collect = async {
            let mut bytes = Vec::new();
            let read = (&mut stdout).take(STDOUT_BYTES as u64 + 1).read_to_end(&mut bytes).await;
            (read.map(|_| bytes), stdout)
        };
        let whole = async {
            let ((), (out, stdout), err) = tokio::join!(feed, collect, tail(stderr));
            // Closed before waiting, so that a command with more to say ends.
            drop(stdout);
            Ok::<_, std::io::Error>((out?, err, child.wait().await?))
        };
        let (stdout, stderr, status) = tokio::time::timeout(within, whole)
            .await
            .map_err(|_| GitError::Timeout {
                what: format!("git {name}"),
                limit,
                ms: u64::try_from(within.as_millis()).unwrap_or(u64::MAX),
            })?
            .map_err(GitError::io(format!("run git {name}")))?;
        if stdout.len() > STDOUT_BYTES {
            return Err(GitError::Command { command: name, stderr: "it answered without end".into() });
        }
        Ok(Ran { ok: status.success(), stdout, stderr })
    }
}

/// Reads to the end and keeps the last bytes as text.
pub(crate) async fn tail(mut reader: impl AsyncRead + Unpin) -> String {
    let mut kept = Vec::new();
    let mut buffer = vec![0; 4096];
    while let Ok(n) = reader.read(&mut buffer).await {
        if n == 0 {
            break;
        }
        kept.extend_from_slice(&buffer[..n]);
        if kept.len() > 2 * STDERR_BYTES {
            kept.drain(..kept.len() - STDERR_BYTES);
        }
    }
    String::from_utf8_lossy(&kept).trim().to_owned()
}
