//! The real binary, driven from outside: its server, its command line, `git`, HTTP and OCI layouts.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use tempfile::TempDir;

mod app;
mod cli;
mod git;
mod http;
pub mod layout;
mod process;
mod sample;
mod stub_registry;

pub use app::{App, packages};
pub use cli::CliOutput;
pub use git::{GitRepository, Pushed};
pub use http::Answer;
pub use process::{Finished, run_within, tool_output};
pub use sample::{SHOP_YAML, shop};
pub use stub_registry::StubRegistry;

/// How long a server may take until it is ready, or until it has stopped.
const START_WITHIN: Duration = Duration::from_mins(1);
const STOP_WITHIN: Duration = Duration::from_secs(90);
const POLL_INTERVAL: Duration = Duration::from_millis(20);
/// How much of a server's log a failing test prints.
const MAX_LOG_LINES: usize = 200;

/// How a server is started. The default: embedded SQLite and local disk in a directory of its own.
#[derive(Debug, Clone)]
pub struct ServerOptions {
    /// Data directory; none: one of its own that goes with the server.
    pub data: Option<PathBuf>,
    /// Address to listen on. After the first start the server keeps its port.
    pub listen: String,
    /// Environment, besides `PATH` and an empty `HOME`: `SLIPWAY__SECTION__KEY`, `LC_ALL`, `TZ`, …
    pub env: BTreeMap<String, String>,
    /// `PATH`; none: that of the test.
    pub path: Option<String>,
    /// `umask`, such as `0027`; none: that of the test.
    pub umask: Option<String>,
    /// What runs the binary, such as `["taskset", "-c", "0"]`. It must `exec`.
    pub wrapper: Vec<String>,
    /// More arguments of `slipway serve`.
    pub args: Vec<String>,
    /// `postgres://…`; none: SQLite.
    pub database_url: Option<String>,
    /// Address of the object store; none: local disk.
    pub storage_url: Option<String>,
}

impl Default for ServerOptions {
    fn default() -> Self {
        Self {
            data: None,
            listen: "127.0.0.1:0".to_owned(),
            env: BTreeMap::new(),
            path: None,
            umask: None,
            wrapper: Vec::new(),
            args: Vec::new(),
            database_url: None,
            storage_url: None,
        }
    }
}

impl ServerOptions {
    /// Adds an environment variable.
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.env.insert(name.to_owned(), value.to_owned());
        self
    }
}

/// A running server. It is killed when dropped; its log is printed if the test fails.
#[derive(Debug)]
pub struct Server {
    options: ServerOptions,
    directory: TempDir,
    url: String,
    token: String,
    boots: usize,
    child: Option<Child>,
}

impl Server {
    /// Starts the binary and waits until it is ready.
    pub fn start(options: ServerOptions) -> Self {
        let directory =
            tempfile::Builder::new().prefix("slipway-e2e.").tempdir().expect("a temporary directory");
        fs::create_dir(directory.path().join("home")).expect("an empty home");
        let mut server =
            Self { options, directory, url: String::new(), token: String::new(), boots: 0, child: None };
        server.boot();
        server
    }

    /// A server as a newcomer gets it.
    pub fn fresh() -> Self {
        Self::start(ServerOptions::default())
    }

    /// `http://ADDRESS:PORT`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// `ADDRESS:PORT`.
    pub fn address(&self) -> &str {
        self.url.trim_start_matches("http://")
    }

    /// The first admin token.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// The data directory.
    pub fn data(&self) -> PathBuf {
        self.options.data.clone().unwrap_or_else(|| self.directory.path().join("data"))
    }

    /// A directory that goes with the server, for what a test writes.
    pub fn scratch(&self) -> &Path {
        self.directory.path()
    }

    /// Process id of the running server.
    pub fn pid(&self) -> u32 {
        self.child.as_ref().expect("the server runs").id()
    }

    /// Options, which the next [`Server::restart`] uses.
    pub fn options_mut(&mut self) -> &mut ServerOptions {
        &mut self.options
    }

    /// Everything the server wrote, of every start.
    pub fn log(&self) -> String {
        (1..=self.boots).map(|boot| fs::read_to_string(self.log_path(boot)).unwrap_or_default()).collect()
    }

    /// Whether the process has not ended.
    pub fn runs(&mut self) -> bool {
        self.child.as_mut().is_some_and(|child| matches!(child.try_wait(), Ok(None)))
    }

    /// Kills the process (SIGKILL).
    pub fn kill9(&mut self) {
        if let Some(mut child) = self.child.take() {
            // It may have ended by itself.
            drop(child.kill());
            drop(child.wait());
        }
    }

    /// Asks the server to stop (SIGTERM) and asserts that it ends well.
    pub fn stop(&mut self) {
        self.terminate();
        self.wait_stopped();
    }

    /// Sends SIGTERM only; [`Server::wait_stopped`] waits for the end.
    pub fn terminate(&self) {
        let pid = self.pid().to_string();
        let sent = Command::new("sh").args(["-c", "kill -TERM \"$0\"", &pid]).status().expect("sh runs");
        assert!(sent.success(), "the server has ended before it was asked to:\n{}", self.log());
    }

    /// Waits until the server has ended with exit code 0.
    pub fn wait_stopped(&mut self) {
        let end = Instant::now() + STOP_WITHIN;
        let mut child = self.child.take().expect("the server runs");
        loop {
            if let Some(status) = child.try_wait().expect("the server can be waited for") {
                assert!(status.success(), "the server ended with {status}:\n{}", self.log());
                return;
            }
            if Instant::now() > end {
                drop(child.kill());
                drop(child.wait());
                panic!("the server did not stop within {STOP_WITHIN:?}:\n{}", self.log());
            }
            sleep(POLL_INTERVAL);
        }
    }

    /// Starts a stopped or killed server again, on the same data, address and options.
    pub fn restart(&mut self) {
        assert!(self.child.is_none(), "stop or kill the server first");
        self.boot();
    }

    fn boot(&mut self) {
        self.boots += 1;
        let log = fs::File::create(self.log_path(self.boots)).expect("a log file");
        let mut command = self.command();
        command.stdin(Stdio::null()).stderr(log.try_clone().expect("a log file")).stdout(log);
        self.child = Some(command.spawn().expect("the server can be started"));
        let end = Instant::now() + START_WITHIN;
        while !self.is_ready() {
            assert!(self.runs(), "the server ended at once:\n{}", self.log());
            assert!(Instant::now() < end, "the server is not ready within {START_WITHIN:?}:\n{}", self.log());
            sleep(POLL_INTERVAL);
        }
        if let Ok(token) = fs::read_to_string(self.data().join("admin.token")) {
            token.trim().clone_into(&mut self.token);
        }
    }

    fn is_ready(&mut self) -> bool {
        let log = fs::read_to_string(self.log_path(self.boots)).unwrap_or_default();
        let Some((_, rest)) = log.split_once("listens on ") else { return false };
        let Some((url, _)) = rest.split_once('\n') else { return false };
        url.clone_into(&mut self.url);
        http::request(self.address(), "GET", "/readyz", &[], b"").is_ok_and(|answer| answer.status == 200)
    }

    fn command(&self) -> Command {
        let options = &self.options;
        let mut words: Vec<std::ffi::OsString> = Vec::new();
        if let Some(umask) = &options.umask {
            words.extend(["sh", "-c", "umask \"$0\"; exec \"$@\"", umask].map(Into::into));
        }
        words.extend(options.wrapper.iter().map(Into::into));
        words.extend([binary().into(), "serve".into(), "--data".into(), self.data().into()]);
        let listen = if self.url.is_empty() { &options.listen } else { self.address() };
        words.extend(["--listen".into(), listen.into()]);
        words.extend(options.args.iter().map(Into::into));
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).current_dir(self.directory.path());
        self.clean_environment(&mut command);
        if let Some(url) = &options.database_url {
            command.env("SLIPWAY__DATABASE__URL", url);
        }
        if let Some(url) = &options.storage_url {
            command.env("SLIPWAY__STORAGE__URL", url);
        }
        command.envs(&options.env);
        command
    }

    /// Nothing of the test's own environment but `PATH`, and a home without anything in it.
    fn clean_environment(&self, command: &mut Command) {
        let path = self.options.path.clone().or_else(|| env::var("PATH").ok()).unwrap_or_default();
        command.env_clear().env("PATH", path).env("HOME", self.directory.path().join("home"));
        if let Some(temporary) = env::var_os("TMPDIR") {
            command.env("TMPDIR", temporary);
        }
    }

    fn log_path(&self, boot: usize) -> PathBuf {
        self.directory.path().join(format!("server-{boot}.log"))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill9();
        if std::thread::panicking() {
            print_log(self.address(), &self.log());
        }
    }
}

#[expect(clippy::print_stderr, reason = "a failing test shows what its server said")]
fn print_log(address: &str, log: &str) {
    let lines: Vec<&str> = log.lines().collect();
    let shown = &lines[lines.len().saturating_sub(MAX_LOG_LINES)..];
    eprintln!("--- the last {} lines of the server at {address}\n{}\n---", shown.len(), shown.join("\n"));
}

/// The `slipway` binary: `SLIPWAY_BIN`, else the one beside the running test.
pub fn binary() -> PathBuf {
    if let Some(path) = env::var_os("SLIPWAY_BIN") {
        return PathBuf::from(path);
    }
    let test = env::current_exe().expect("the running test has a path");
    let profile = test.ancestors().find(|directory| directory.join("deps").is_dir());
    let found = profile.map(|directory| directory.join("slipway")).filter(|path| path.is_file());
    found
        .unwrap_or_else(|| panic!("no `slipway` beside {}: cargo build --release -p slipway", test.display()))
}
