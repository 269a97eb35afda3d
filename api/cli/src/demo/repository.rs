//! A repository that the real `git` client commits to and pushes from.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, bail};
use base64::Engine as _;

/// A working tree with its remote.
pub(crate) struct Repository {
    path: PathBuf,
    header: String,
}

/// A push under way. Its progress text is the server's and goes to the terminal.
pub(crate) struct Pushing(Child);

impl Pushing {
    /// Waits for git; its exit code must be 0.
    pub(crate) fn finish(&mut self) -> Result<()> {
        let status = self.0.wait().context("cannot wait for git")?;
        if status.success() { Ok(()) } else { bail!("git push failed: {status}") }
    }
}

impl Drop for Pushing {
    fn drop(&mut self) {
        // It has ended, or the demonstration has failed before it.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

impl Repository {
    /// An empty repository at `path` whose remote `origin` is `url`.
    pub(crate) fn create(path: &Path, url: &str, token: &str) -> Result<Self> {
        std::fs::create_dir_all(path).with_context(|| format!("cannot make {}", path.display()))?;
        let credential = base64::engine::general_purpose::STANDARD.encode(format!("demo:{token}"));
        let repository = Self { path: path.to_owned(), header: format!("Authorization: Basic {credential}") };
        repository.git(["init", "--quiet", "--initial-branch=main"])?;
        repository.git(["remote", "add", "origin", url])?;
        repository.git(["config", "push.autoSetupRemote", "true"])?;
        repository.git(["config", "user.name", "Demo"])?;
        repository.git(["config", "user.email", "demo@example.com"])?;
        // So that a person can go on pushing from here: the token lies in a file of their own.
        repository.git(["config", "http.extraHeader", &repository.header])?;
        Ok(repository)
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Commits everything; gives the commit's id.
    pub(crate) fn commit(&self, message: &str) -> Result<String> {
        self.git(["add", "--all"])?;
        self.git(["commit", "--quiet", "--message", message])?;
        self.git(["rev-parse", "HEAD"])
    }

    /// Begins to push.
    pub(crate) fn push(&self) -> Result<Pushing> {
        let child = self
            .command()
            .args(["push", "--quiet", "origin", "HEAD"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("cannot run git: is it installed?")?;
        Ok(Pushing(child))
    }

    fn command(&self) -> Command {
        let mut command = Command::new("git");
        command
            .current_dir(&self.path)
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_TERMINAL_PROMPT", "0")
            .env_remove("GIT_DIR")
            .env_remove("GIT_WORK_TREE");
        command
    }

    fn git<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Result<String> {
        let output = self.command().args(args).output().context("cannot run git: is it installed?")?;
        if !output.status.success() {
            bail!("git failed: {}", String::from_utf8_lossy(&output.stderr).trim());
        }
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }
}
