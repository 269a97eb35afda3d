//! Foreign programs with limits, in a directory and an environment of their own.

use std::ffi::OsStr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use std::{env, io};

use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, kill_process_group, prlimit};
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, Command};

use crate::error::RenderError;
use crate::options::ChartOptions;

/// The most that is read of what a program complains, in bytes; the rest is thrown away.
const MAX_STDERR_BYTES: u64 = 512 << 10;
/// What a program may map besides its data, in bytes: runtimes reserve far more than they use.
const RESERVED_BYTES: u64 = 8 << 30;
const MAX_OPEN_FILES: u64 = 512;
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// How a program ended by itself.
pub(crate) struct Finished {
    pub(crate) success: bool,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: String,
}

/// Why a program did not end by itself.
#[derive(Debug)]
pub(crate) enum Stopped {
    /// It broke the named limit.
    Limit(&'static str),
    /// It could not be run.
    Failed(RenderError),
}

/// An empty directory for one program; gone when dropped.
pub(crate) struct Cage<'a> {
    options: &'a ChartOptions,
    dir: TempDir,
}

impl<'a> Cage<'a> {
    pub(crate) fn new(options: &'a ChartOptions) -> Result<Self, RenderError> {
        let dir = tempfile::Builder::new()
            .prefix("slipway-charts-")
            .permissions(std::fs::Permissions::from_mode(0o700))
            .tempdir()
            .map_err(RenderError::io("make a temporary directory"))?;
        for part in ["home", "tmp"] {
            std::fs::create_dir(dir.path().join(part))
                .map_err(RenderError::io("make a temporary directory"))?;
        }
        Ok(Self { options, dir })
    }

    /// Where programs run.
    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Writes a file below the directory.
    pub(crate) async fn write(&self, path: &Path, bytes: &[u8]) -> Result<(), RenderError> {
        let target = self.dir.path().join(path);
        let written = async {
            if let Some(parent) = target.parent() {
                tokio::fs::create_dir_all(parent).await?;
            }
            tokio::fs::write(&target, bytes).await
        };
        written.await.map_err(RenderError::io("unpack the files of a chart"))
    }

    /// Runs `program`, which the option `option` names, until it ends or breaks a limit.
    pub(crate) async fn run(
        &self,
        program: &Path,
        option: &'static str,
        args: &[impl AsRef<OsStr>],
        input: Option<Vec<u8>>,
    ) -> Result<Finished, Stopped> {
        let failed = |action| move |source| Stopped::Failed(RenderError::Io { action, source });
        let missing = || Stopped::Failed(RenderError::ProgramMissing { program: program.to_owned(), option });
        let found = find(program).ok_or_else(missing)?;
        let mut command = self.command(&found);
        command.args(args).stdin(if input.is_some() { Stdio::piped() } else { Stdio::null() });
        let mut child = command.spawn().map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => missing(),
            _ => failed("start the program")(error),
        })?;
        let group = Group::of(&child);
        group.limit(self.options).map_err(failed("limit the program"))?;
        let within = Duration::from_millis(self.options.timeout_ms);
        let ended =
            tokio::time::timeout(within, attend(&mut child, input, self.options.max_output_bytes)).await;
        let (status, stdout, stderr) = match ended {
            Err(_) => return Err(Stopped::Limit("timeout_ms")),
            Ok(Err(error)) => return Err(failed("read from the program")(error)),
            Ok(Ok(Heard { output: None, .. })) => return Err(Stopped::Limit("max_output_bytes")),
            Ok(Ok(Heard { status, output: Some(stdout), complaint })) => (status, stdout, complaint),
        };
        group.over();
        if !status.success() && is_out_of_memory(&stderr, status) {
            return Err(Stopped::Limit("max_memory_bytes"));
        }
        Ok(Finished { success: status.success(), stdout, stderr })
    }

    fn command(&self, program: &Path) -> Command {
        let home = self.dir.path().join("home");
        let mut command = Command::new(program);
        command
            .env_clear()
            .env("PATH", PATH)
            .env("HOME", &home)
            .env("TMPDIR", self.dir.path().join("tmp"))
            .env("LC_ALL", "C.UTF-8")
            .env("TZ", "UTC")
            .env("GOTRACEBACK", "none")
            // The collector works harder before the kernel's limit ends the program.
            .env("GOMEMLIMIT", (self.options.max_memory_bytes / 4 * 3).to_string())
            .env("XDG_CACHE_HOME", home.join("cache"))
            .env("XDG_CONFIG_HOME", home.join("config"))
            .env("XDG_DATA_HOME", home.join("data"))
            .env("HELM_CACHE_HOME", home.join("cache/helm"))
            .env("HELM_CONFIG_HOME", home.join("config/helm"))
            .env("HELM_DATA_HOME", home.join("data/helm"))
            .env("HELM_PLUGINS", home.join("plugins"))
            .env("HELM_DRIVER", "memory")
            .env("KUSTOMIZE_PLUGIN_HOME", home.join("plugins"))
            .current_dir(self.dir.path())
            .process_group(0)
            .kill_on_drop(true)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }
}

/// Looks a bare name up in the `PATH` of this process: the program's own is another.
fn find(program: &Path) -> Option<PathBuf> {
    if program.components().count() > 1 {
        return program.is_file().then(|| program.to_owned());
    }
    let path = env::var_os("PATH").unwrap_or_else(|| PATH.into());
    env::split_paths(&path).map(|dir| dir.join(program)).find(|found| found.is_file())
}

struct Heard {
    status: std::process::ExitStatus,
    /// Nothing if it was too long.
    output: Option<Vec<u8>>,
    complaint: String,
}

/// Feeds and hears the program until it ends.
async fn attend(child: &mut Child, input: Option<Vec<u8>>, max_output: usize) -> io::Result<Heard> {
    let stdin = child.stdin.take();
    let stdout = child.stdout.take().expect("invariant: standard output is piped");
    let mut stderr = child.stderr.take().expect("invariant: standard error is piped");
    let feed = async {
        if let (Some(mut stdin), Some(input)) = (stdin, input) {
            // A program that stops reading says why on standard error.
            drop(stdin.write_all(&input).await);
        }
        Ok(())
    };
    let complain = async {
        let mut bytes = Vec::new();
        (&mut stderr).take(MAX_STDERR_BYTES).read_to_end(&mut bytes).await?;
        tokio::io::copy(&mut stderr, &mut tokio::io::sink()).await?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    // Too much output ends the wait at once: whoever prints without end does not end either.
    let heard = async { tokio::try_join!(feed, hear(stdout, max_output), complain) };
    match heard.await {
        Ok(((), output, complaint)) => {
            Ok(Heard { status: child.wait().await?, output: Some(output), complaint })
        }
        Err(error) if error.kind() == io::ErrorKind::FileTooLarge => {
            child.kill().await?;
            Ok(Heard { status: child.wait().await?, output: None, complaint: String::new() })
        }
        Err(error) => Err(error),
    }
}

async fn hear(mut stdout: impl AsyncRead + Unpin, max_bytes: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    (&mut stdout).take(max_bytes as u64 + 1).read_to_end(&mut bytes).await?;
    if bytes.len() > max_bytes { Err(io::ErrorKind::FileTooLarge.into()) } else { Ok(bytes) }
}

/// The processes of one program. Dropped before they are over, they end.
struct Group(Option<Pid>);

impl Group {
    fn of(child: &Child) -> Self {
        let id = child.id().and_then(|id| i32::try_from(id).ok());
        Self(id.and_then(Pid::from_raw))
    }

    /// Set from outside, right after the start: what runs until then is the program's own beginning.
    fn limit(&self, options: &ChartOptions) -> io::Result<()> {
        let Some(pid) = self.0 else { return Ok(()) };
        let memory = options.max_memory_bytes;
        for (resource, limit) in [
            (Resource::Data, memory),
            // For kernels that do not count private mappings as data.
            (Resource::As, memory.saturating_add(RESERVED_BYTES)),
            (Resource::Fsize, options.max_output_bytes as u64),
            (Resource::Nofile, MAX_OPEN_FILES),
            (Resource::Core, 0),
        ] {
            // Nobody may raise what the server itself is held to.
            let limit = getrlimit(resource).maximum.map_or(limit, |own| own.min(limit));
            match prlimit(Some(pid), resource, Rlimit { current: Some(limit), maximum: Some(limit) }) {
                // It has ended already.
                Ok(_) | Err(rustix::io::Errno::SRCH) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    fn over(mut self) {
        self.0 = None;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(pid) = self.0 {
            // None may be left.
            kill_process_group(pid, Signal::KILL).ok();
        }
    }
}

fn is_out_of_memory(complaint: &str, status: std::process::ExitStatus) -> bool {
    use std::os::unix::process::ExitStatusExt as _;
    let says = ["out of memory", "cannot allocate memory", "MemoryError", "failed to reserve", "errno=12"];
    status.signal().is_some() || says.iter().any(|words| complaint.contains(words))
}
