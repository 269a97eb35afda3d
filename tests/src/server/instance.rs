//! One running process of `slipway serve`.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::{ServerOptions, binary, http};

/// How long a server may take until it is ready, or until it has stopped.
const START_WITHIN: Duration = Duration::from_mins(1);
const STOP_WITHIN: Duration = Duration::from_secs(90);
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// A process with a data directory of its own.
#[derive(Debug)]
pub(super) struct Instance {
    /// Tells its logs from those of others in the same directory.
    name: &'static str,
    directory: PathBuf,
    data: PathBuf,
    /// Empty until the first start; then it keeps its port.
    address: String,
    boots: usize,
    child: Option<Child>,
}

impl Instance {
    /// A process that has not been started; it runs in `directory`, which holds its `home`.
    pub(super) fn new(name: &'static str, directory: &Path, data: PathBuf) -> Self {
        let directory = directory.to_owned();
        Self { name, directory, data, address: String::new(), boots: 0, child: None }
    }

    /// `ADDRESS:PORT`.
    pub(super) fn address(&self) -> &str {
        &self.address
    }

    /// The data directory.
    pub(super) fn data(&self) -> &Path {
        &self.data
    }

    /// Process id while it runs.
    pub(super) fn pid(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    /// Everything it wrote, of every start.
    pub(super) fn log(&self) -> String {
        (1..=self.boots).map(|boot| fs::read_to_string(self.log_path(boot)).unwrap_or_default()).collect()
    }

    /// Whether the process has not ended.
    pub(super) fn runs(&mut self) -> bool {
        self.child.as_mut().is_some_and(|child| matches!(child.try_wait(), Ok(None)))
    }

    /// Starts the process and waits until it is ready.
    pub(super) fn boot(&mut self, options: &ServerOptions) {
        assert!(self.child.is_none(), "stop or kill the server first");
        self.boots += 1;
        let log = fs::File::create(self.log_path(self.boots)).expect("a log file");
        let mut command = self.command(options);
        command.stdin(Stdio::null()).stderr(log.try_clone().expect("a log file")).stdout(log);
        self.child = Some(command.spawn().expect("the server can be started"));
        let end = Instant::now() + START_WITHIN;
        while !self.is_ready() {
            assert!(self.runs(), "the server ended at once:\n{}", self.log());
            assert!(Instant::now() < end, "the server is not ready within {START_WITHIN:?}:\n{}", self.log());
            sleep(POLL_INTERVAL);
        }
    }

    /// Kills the process (SIGKILL).
    pub(super) fn kill9(&mut self) {
        if let Some(mut child) = self.child.take() {
            // It may have ended by itself.
            drop(child.kill());
            drop(child.wait());
        }
    }

    /// Sends SIGTERM; [`Instance::wait_stopped`] waits for the end.
    pub(super) fn terminate(&self) {
        let pid = self.pid().expect("the server runs").to_string();
        let sent = Command::new("sh").args(["-c", "kill -TERM \"$0\"", &pid]).status().expect("sh runs");
        assert!(sent.success(), "the server has ended before it was asked to:\n{}", self.log());
    }

    /// Waits until the process has ended with exit code 0.
    pub(super) fn wait_stopped(&mut self) {
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

    fn is_ready(&mut self) -> bool {
        let log = fs::read_to_string(self.log_path(self.boots)).unwrap_or_default();
        let Some((_, rest)) = log.split_once("listens on http://") else { return false };
        let Some((address, _)) = rest.split_once('\n') else { return false };
        address.clone_into(&mut self.address);
        http::request(&self.address, "GET", "/readyz", &[], b"").is_ok_and(|answer| answer.status == 200)
    }

    fn command(&self, options: &ServerOptions) -> Command {
        let mut words: Vec<OsString> = Vec::new();
        if let Some(umask) = &options.umask {
            words.extend(["sh", "-c", "umask \"$0\"; exec \"$@\"", umask].map(Into::into));
        }
        words.extend(options.wrapper.iter().map(Into::into));
        words.extend([binary().into(), "serve".into(), "--data".into(), self.data.clone().into()]);
        let listen = if self.address.is_empty() { &options.listen } else { &self.address };
        words.extend(["--listen".into(), listen.into()]);
        words.extend(options.args.iter().map(Into::into));
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).current_dir(&self.directory);
        clean_environment(&mut command, &self.directory, options);
        command.envs(&options.env);
        command
    }

    fn log_path(&self, boot: usize) -> PathBuf {
        self.directory.join(format!("{}-{boot}.log", self.name))
    }
}

/// Also one that never became ready.
impl Drop for Instance {
    fn drop(&mut self) {
        self.kill9();
    }
}

/// Nothing of the test's own environment but `PATH`, and a home without anything in it.
pub(super) fn clean_environment(command: &mut Command, directory: &Path, options: &ServerOptions) {
    let path = options.path.clone().or_else(|| env::var("PATH").ok()).unwrap_or_default();
    command.env_clear().env("PATH", path).env("HOME", directory.join("home"));
    if let Some(temporary) = env::var_os("TMPDIR") {
        command.env("TMPDIR", temporary);
    }
}
