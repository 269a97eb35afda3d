//! The parent's end of a child.

use std::collections::BTreeSet;
use std::io;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use serde_json::Value;
use slipway_types::Digest;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{ChildStderr, ChildStdin, ChildStdout, Command};
use tokio::time::timeout;

use crate::error::Limit;
use crate::frame::{self, Answer, Fault, MAX_HEADER_BYTES};
use crate::host::Settings;
use crate::options::PluginOptions;
use crate::serve::PANIC;

/// How much of a child's last words is read.
const LAST_WORDS_BYTES: u64 = 4 << 10;
/// What a panic or an abort for want of memory says.
const WANT_OF_MEMORY: [&str; 4] =
    ["memory allocation of", "out of memory", "capacity overflow", "AlignedSize must not exceed"];
/// How long a child that closed its output may take to die by itself.
const DYING: Duration = Duration::from_millis(100);
/// How long the kernel may take to end a child that was killed.
const KILLING: Duration = Duration::from_secs(1);

/// How an exchange ended without a fault of the host's own.
pub(crate) enum Exchange {
    /// In full; the child can serve again.
    Answered(Answer, Option<Value>),
    /// With the child's death.
    Ended(Fault),
}

/// A running child.
#[derive(Debug)]
pub(crate) struct Child {
    /// `None` only while it is being dropped.
    process: Option<tokio::process::Child>,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    words: ChildStderr,
    known: BTreeSet<Digest>,
}

impl Child {
    /// Starts a child and waits until it listens from inside its cage.
    pub(crate) async fn start(settings: &Settings) -> io::Result<Self> {
        let mut child = Self::spawn(settings)?;
        let limit = settings.options.start_timeout_ms;
        match timeout(Duration::from_millis(limit), child.greet(&settings.options)).await {
            Ok(Ok(())) => Ok(child),
            Ok(Err(error)) => {
                let (_, words) = child.end().await;
                let words = words.trim();
                Err(io::Error::new(error.kind(), format!("a child did not start: {error}: {words}")))
            }
            Err(_) => Err(io::Error::new(
                io::ErrorKind::TimedOut,
                format!("a child did not start within {limit} ms (start_timeout_ms)"),
            )),
        }
    }

    fn spawn(settings: &Settings) -> io::Result<Self> {
        let [program, arguments @ ..] = settings.command.as_slice() else {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "no command to start children with"));
        };
        let mut process = Command::new(program)
            .args(arguments)
            .env_clear()
            .current_dir("/")
            // A Ctrl-C meant for the server must not end its children mid-call.
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let missing = || io::Error::other("a child without pipes");
        Ok(Self {
            input: process.stdin.take().ok_or_else(missing)?,
            output: BufReader::new(process.stdout.take().ok_or_else(missing)?),
            words: process.stderr.take().ok_or_else(missing)?,
            process: Some(process),
            known: BTreeSet::new(),
        })
    }

    async fn greet(&mut self, options: &PluginOptions) -> io::Result<()> {
        let mut frames = Vec::new();
        frame::append_json(&mut frames, options)?;
        self.input.write_all(&frames).await?;
        self.read(MAX_HEADER_BYTES).await.map(drop)
    }

    pub(crate) fn process_id(&self) -> Option<u32> {
        self.process.as_ref().and_then(tokio::process::Child::id)
    }

    pub(crate) fn knows(&self, program: Digest) -> bool {
        self.known.contains(&program)
    }

    pub(crate) fn known_programs(&self) -> u64 {
        self.known.len() as u64
    }

    pub(crate) fn remember(&mut self, program: Digest) {
        self.known.insert(program);
    }

    /// Sends the frames of one call and reads its answer. A child that does not answer is dead
    /// when this returns.
    pub(crate) async fn exchange(&mut self, frames: &[u8], options: &PluginOptions) -> io::Result<Exchange> {
        let limit = options.call_timeout_ms;
        match timeout(Duration::from_millis(limit), self.converse(frames, options)).await {
            Ok(Ok((answer, value))) => Ok(Exchange::Answered(answer, value)),
            Ok(Err(error)) => {
                let (status, words) = self.end().await;
                match cause(status, &words, options) {
                    Some(fault) => Ok(Exchange::Ended(fault)),
                    None => {
                        Err(io::Error::new(error.kind(), format!("a child ended: {}", shown(status, &words))))
                    }
                }
            }
            Err(_) => {
                self.kill().await;
                Ok(Exchange::Ended(Fault::Limit { which: Limit::Wall, limit, at: None }))
            }
        }
    }

    async fn converse(
        &mut self,
        frames: &[u8],
        options: &PluginOptions,
    ) -> io::Result<(Answer, Option<Value>)> {
        self.input.write_all(frames).await?;
        let answer: Answer = serde_json::from_slice(&self.read(MAX_HEADER_BYTES).await?)?;
        let value = match &answer.fault {
            None => Some(serde_json::from_slice(&self.read(options.max_output_bytes).await?)?),
            Some(_) => None,
        };
        Ok((answer, value))
    }

    async fn read(&mut self, max_bytes: u64) -> io::Result<Vec<u8>> {
        let mut header = [0; 4];
        self.output.read_exact(&mut header).await?;
        let mut body = vec![0; frame::length(header, max_bytes)?];
        self.output.read_exact(&mut body).await?;
        Ok(body)
    }

    /// Waits for a child that stopped talking, kills it if it lives on; how it died, and its last
    /// words.
    async fn end(&mut self) -> (Option<ExitStatus>, String) {
        let mut words = Vec::new();
        // It holds the other end of this pipe until it is dead.
        if timeout(DYING, (&mut self.words).take(LAST_WORDS_BYTES).read_to_end(&mut words)).await.is_err() {
            tracing::debug!("a plug-in's child went silent without dying");
        }
        (self.kill().await, String::from_utf8_lossy(&words).into_owned())
    }

    /// Kills the child, if it still lives; how it died.
    async fn kill(&mut self) -> Option<ExitStatus> {
        let process = self.process.as_mut()?;
        if process.try_wait().ok().flatten().is_none() {
            drop(process.start_kill());
        }
        timeout(KILLING, process.wait()).await.ok().and_then(Result::ok)
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        let (Some(mut process), Ok(runtime)) = (self.process.take(), tokio::runtime::Handle::try_current())
        else {
            return;
        };
        // Waited for here and now it would block; left to itself it would be a zombie for a while.
        drop(process.start_kill());
        runtime.spawn(async move { process.wait().await });
    }
}

/// The limit that ended a child, if it was one.
fn cause(status: Option<ExitStatus>, words: &str, options: &PluginOptions) -> Option<Fault> {
    let limit = |which, limit| Some(Fault::Limit { which, limit, at: None });
    if WANT_OF_MEMORY.iter().any(|word| words.contains(word)) {
        return limit(Limit::Memory, options.max_memory_bytes);
    }
    if words.contains("overflowed its stack") {
        return limit(Limit::Stack, options.max_stack_bytes);
    }
    if let Some(message) = words.lines().find_map(|line| line.strip_prefix(PANIC)) {
        let message =
            format!("the interpreter could not go on: {message}; write this part of the plug-in differently");
        return Some(Fault::failed(message));
    }
    match rustix::process::Signal::from_named_raw(status?.signal()?)? {
        rustix::process::Signal::XCPU => limit(Limit::Cpu, options.max_cpu_ms),
        rustix::process::Signal::SEGV | rustix::process::Signal::BUS => {
            limit(Limit::Stack, options.max_stack_bytes)
        }
        _ => None,
    }
}

fn shown(status: Option<ExitStatus>, words: &str) -> String {
    let status = status.map_or_else(|| "it does not die".to_owned(), |status| status.to_string());
    let words = words.trim();
    if words.is_empty() { status } else { format!("{status}, saying `{words}`") }
}
