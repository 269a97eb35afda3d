//! A git work tree driven by the real client.

use std::cell::Cell;
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::{Finished, run_within};

const GIT_WITHIN: Duration = Duration::from_secs(200);
/// The first commit's time; each later one is a minute younger, so that equal content gives equal ids.
const FIRST_COMMIT_AT: u64 = 1_700_000_000;
/// Answers git's question for a password; the token is in the environment, never in argv or a file.
const CREDENTIAL_HELPER: &str =
    "!f() { test \"$1\" = get && echo username=test && echo \"password=$SLIPWAY_PUSH_TOKEN\"; }; f";

/// A repository in a directory of its own, on branch `main`.
#[derive(Debug)]
pub struct GitRepository {
    directory: TempDir,
    commits: Cell<u64>,
}

/// What a push gave.
#[derive(Debug, Clone)]
pub struct Pushed {
    /// Exit code.
    pub code: i32,
    /// What the person sees, the server's `remote: …` lines included.
    pub stderr: String,
}

impl Default for GitRepository {
    fn default() -> Self {
        Self::new()
    }
}

impl GitRepository {
    /// An empty repository.
    pub fn new() -> Self {
        let directory =
            tempfile::Builder::new().prefix("slipway-git.").tempdir().expect("a temporary directory");
        let repository = Self { directory, commits: Cell::new(0) };
        repository.git(&["init", "--quiet", "--initial-branch=main"]);
        repository.git(&["config", "gc.auto", "0"]);
        repository
    }

    /// A repository with files, not committed yet.
    pub fn with(files: &[(&str, &str)]) -> Self {
        let repository = Self::new();
        for (path, content) in files {
            repository.write(path, content);
        }
        repository
    }

    /// Where the work tree is.
    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Writes a file.
    pub fn write(&self, path: &str, content: impl AsRef<[u8]>) {
        let path = self.path().join(path);
        fs::create_dir_all(path.parent().expect("a file lies in a directory")).expect("a directory");
        fs::write(path, content).expect("a file");
    }

    /// Writes a file that may be executed.
    pub fn write_executable(&self, path: &str, content: impl AsRef<[u8]>) {
        self.write(path, content);
        fs::set_permissions(self.path().join(path), fs::Permissions::from_mode(0o755)).expect("a mode");
    }

    /// Makes a symbolic link.
    pub fn symlink(&self, target: &str, path: &str) {
        symlink(target, self.path().join(path)).expect("a link");
    }

    /// Removes a file or directory.
    pub fn remove(&self, path: &str) {
        self.git(&["rm", "-r", "--quiet", "--force", path]);
    }

    /// Commits everything, even if nothing changed; gives the commit's id.
    pub fn commit(&self, message: &str) -> String {
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--allow-empty", "--message", message]);
        self.head()
    }

    /// The id of the checked-out commit.
    pub fn head(&self) -> String {
        self.git(&["rev-parse", "HEAD"])
    }

    /// Tags the checked-out commit.
    pub fn tag(&self, name: &str) {
        self.git(&["tag", name]);
    }

    /// Makes a branch at `start` and checks it out.
    pub fn branch(&self, name: &str, start: &str) {
        self.git(&["switch", "--quiet", "--create", name, start]);
    }

    /// Checks out a branch.
    pub fn switch(&self, name: &str) {
        self.git(&["switch", "--quiet", name]);
    }

    /// Merges another branch with a merge commit; gives its id.
    pub fn merge(&self, name: &str) -> String {
        self.git(&["merge", "--quiet", "--no-ff", "--message", &format!("Merge {name}"), name]);
        self.head()
    }

    /// Makes, moves or deletes many refs at once: lines of `git update-ref --stdin`.
    pub fn update_refs(&self, lines: &str) {
        self.write(".git/ref-updates", lines);
        let input = fs::File::open(self.path().join(".git/ref-updates")).expect("a file");
        let mut command = self.command();
        let status = command.args(["update-ref", "--stdin"]).stdin(input).status().expect("git runs");
        assert!(status.success(), "git update-ref failed");
    }

    /// Pushes to a URL, with the token as the password.
    pub fn push(&self, url: &str, token: &str, refspecs: &[&str]) -> Pushed {
        let finished = self.remote(token, &[&["push", url], refspecs].concat());
        Pushed { code: finished.code, stderr: finished.stderr }
    }

    /// Pushes from the work tree at `path`, for threads that a repository cannot go to.
    pub fn push_from(path: &Path, url: &str, token: &str, refspecs: &[&str]) -> Pushed {
        let finished = talk(git_in(path), token, &[&["push", url], refspecs].concat());
        Pushed { code: finished.code, stderr: finished.stderr }
    }

    /// Pushes, and leaves while git shows how the run goes on: once `taken` says so.
    pub fn push_until(&self, url: &str, token: &str, refspecs: &[&str], taken: impl Fn() -> bool) {
        let mut command = git_in(self.path());
        authenticate(&mut command, token);
        command.args(["push", url]).args(refspecs);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut git = command.spawn().expect("git can be started");
        let end = Instant::now() + GIT_WITHIN;
        while !taken() {
            assert!(Instant::now() < end, "the push was not taken within {GIT_WITHIN:?}");
            sleep(Duration::from_millis(20));
        }
        // It may have ended by itself.
        drop(git.kill());
        drop(git.wait());
    }

    /// Runs a git command that talks to a server, with the token as the password.
    pub fn remote(&self, token: &str, args: &[&str]) -> Finished {
        talk(self.command(), token, args)
    }

    /// Runs git, asserts that it went well, gives its trimmed output.
    pub fn git(&self, args: &[&str]) -> String {
        let finished = self.try_git(args);
        assert_eq!(finished.code, 0, "git {}:\n{}", args.join(" "), finished.stderr);
        finished.text().trim().to_owned()
    }

    /// Runs git.
    pub fn try_git(&self, args: &[&str]) -> Finished {
        let mut command = self.command();
        command.args(args);
        run_within(command, GIT_WITHIN)
    }

    fn command(&self) -> Command {
        let commits = self.commits.get();
        self.commits.set(commits + 1);
        let date = format!("@{} +0000", FIRST_COMMIT_AT + commits * 60);
        let mut command = git_in(self.path());
        command.env("GIT_AUTHOR_DATE", &date).env("GIT_COMMITTER_DATE", &date);
        command
    }
}

/// Git without anybody's configuration but the test's.
fn git_in(path: &Path) -> Command {
    let mut command = Command::new("git");
    command.current_dir(path).envs([
        ("GIT_CONFIG_NOSYSTEM", "1"),
        ("GIT_CONFIG_GLOBAL", "/dev/null"),
        ("GIT_TERMINAL_PROMPT", "0"),
        ("GIT_AUTHOR_NAME", "Ada"),
        ("GIT_AUTHOR_EMAIL", "ada@example.com"),
        ("GIT_COMMITTER_NAME", "Ada"),
        ("GIT_COMMITTER_EMAIL", "ada@example.com"),
        ("LC_ALL", "C.UTF-8"),
    ]);
    for variable in ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "http_proxy", "https_proxy", "all_proxy"] {
        command.env_remove(variable);
    }
    command
}

fn talk(mut command: Command, token: &str, args: &[&str]) -> Finished {
    authenticate(&mut command, token);
    command.args(args);
    run_within(command, GIT_WITHIN)
}

fn authenticate(command: &mut Command, token: &str) {
    command
        .env("GIT_CONFIG_COUNT", "1")
        .env("GIT_CONFIG_KEY_0", "credential.helper")
        .env("GIT_CONFIG_VALUE_0", CREDENTIAL_HELPER)
        .env("SLIPWAY_PUSH_TOKEN", token);
}
