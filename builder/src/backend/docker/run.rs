//! One build in the engine: its output followed, its silence bounded, its end believed only with an
//! image.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bollard::auth::DockerCredentials;
use bollard::errors::Error;
use bollard::models::BuildInfo;
use bollard::query_parameters::{
    BuildImageOptions, BuilderVersion, InspectContainerOptions, RemoveContainerOptions,
};
use bytes::Bytes;
use futures::{FutureExt, Stream, StreamExt};
use slipway_objects::Spooled;
use slipway_types::Fault;
use tokio::time::Instant;
use tokio_util::io::ReaderStream;
use tokio_util::sync::CancellationToken;

use super::super::context::DOCKERFILE;
use super::engine::{Reached, is_connection, is_missing, no_space, text, unavailable};
use super::{LABEL, Prepared, blob_fault};
use crate::log::LogWriter;

/// How much of a file is read at once, in bytes.
const CHUNK_BYTES: usize = 256 * 1024;
/// The longest line that is kept for a failure, in bytes.
const LINE_BYTES_MAX: usize = 4096;
/// How long the engine has to stop a step by itself.
const STOP_GRACE: Duration = Duration::from_secs(1);

/// A build that the engine is to do.
pub(super) struct EngineBuild<'a> {
    pub(super) reached: &'a Reached,
    pub(super) options: BuildImageOptions,
    pub(super) credentials: Option<HashMap<String, DockerCredentials>>,
    pub(super) context: Spooled,
    pub(super) log: &'a LogWriter,
    pub(super) idle: Duration,
    pub(super) total: Duration,
    pub(super) failure_lines: usize,
}

/// How it ended.
pub(super) enum Ended {
    Built(String),
    Failed(Why),
    Idle,
    Total,
    Cancelled,
}

/// Why there is no image.
pub(super) enum Why {
    Engine(Error),
    /// The stream ended well, but named no image.
    NoImage,
}

/// What the output told on the way.
#[derive(Default)]
pub(super) struct Trace {
    /// Containers that steps ran in.
    pub(super) containers: Vec<String>,
    /// The last step begun, from 1.
    pub(super) step: Option<usize>,
    image: Option<String>,
    line: String,
    lines: VecDeque<String>,
    lines_max: usize,
}

impl EngineBuild<'_> {
    pub(super) async fn run(self, cancelled: &CancellationToken) -> (Ended, Trace) {
        let mut trace = Trace { lines_max: self.failure_lines, ..Trace::default() };
        let activity = Activity::new();
        let body = match file_body(&self.context, activity.clone()) {
            Ok(body) => bollard::body_try_stream(body),
            Err(err) => return (Ended::Failed(Why::Engine(Error::IOError { err })), trace),
        };
        let mut stream =
            std::pin::pin!(self.reached.streams.build_image(self.options, self.credentials, Some(body)));
        let deadline = Instant::now() + self.total;
        loop {
            let next = tokio::select! {
                next = stream.next() => next,
                () = cancelled.cancelled() => {
                    // What has arrived already names the containers to look after.
                    while let Some(Some(Ok(info))) = stream.next().now_or_never() {
                        trace.take(&info);
                    }
                    return (Ended::Cancelled, trace);
                }
                () = activity.silent_for(self.idle) => return (Ended::Idle, trace),
                () = tokio::time::sleep_until(deadline) => return (Ended::Total, trace),
            };
            activity.touch();
            match next {
                Some(Ok(info)) => {
                    if let Some(output) = trace.take(&info) {
                        self.log.write(output).await;
                    }
                }
                Some(Err(error)) => return (Ended::Failed(Why::Engine(error)), trace),
                None => break,
            }
        }
        match trace.image.take() {
            Some(id) => (Ended::Built(id), trace),
            None => (Ended::Failed(Why::NoImage), trace),
        }
    }
}

impl Trace {
    /// Learns from a message; returns what of it belongs into the log.
    fn take(&mut self, info: &BuildInfo) -> Option<Bytes> {
        if let Some(id) = info.aux.as_ref().and_then(|aux| aux.id.as_ref()) {
            self.image = Some(id.clone());
        }
        if let Some(output) = &info.stream {
            self.read(output);
            return Some(Bytes::from(output.clone()));
        }
        let status = info.status.as_ref()?;
        let moving = info.progress_detail.as_ref().is_some_and(|detail| detail.current.is_some());
        if moving {
            return None;
        }
        let line = match &info.id {
            Some(id) => format!("{id}: {status}\n"),
            None => format!("{status}\n"),
        };
        self.read(&line);
        Some(Bytes::from(line))
    }

    fn read(&mut self, output: &str) {
        for piece in output.split_inclusive('\n') {
            if self.line.len() < LINE_BYTES_MAX {
                self.line.push_str(piece);
            }
            if piece.ends_with('\n') {
                let line = std::mem::take(&mut self.line);
                self.read_line(line.trim_end());
            }
        }
    }

    fn read_line(&mut self, line: &str) {
        if let Some(step) = step_number(line) {
            self.step = Some(step);
        } else if let Some(container) = line.strip_prefix(" ---> Running in ")
            && (12..=64).contains(&container.len())
            && container.bytes().all(|byte| byte.is_ascii_hexdigit())
        {
            self.containers.push(container.to_owned());
        }
        if line.trim().is_empty() {
            return;
        }
        if self.lines.len() >= self.lines_max {
            self.lines.pop_front();
        }
        self.lines.push_back(line.to_owned());
    }

    /// The last lines of the output.
    pub(super) fn tail(&self) -> String {
        let unfinished = Some(self.line.as_str()).filter(|line| !line.trim().is_empty());
        let lines: Vec<&str> = self.lines.iter().map(String::as_str).chain(unfinished).collect();
        lines.join("\n")
    }
}

/// `Step 3/7 : RUN make`, in Podman's words `STEP 3/7: RUN make`.
fn step_number(line: &str) -> Option<usize> {
    let rest = line.strip_prefix("Step ").or_else(|| line.strip_prefix("STEP "))?;
    rest.split_once('/')?.0.parse().ok()
}

impl Why {
    /// `gone`: the engine did not answer right afterwards.
    pub(super) fn fault(&self, host: &str, gone: bool, place: &str, tail: &str) -> Fault {
        let lost = matches!(self, Self::Engine(error) if is_connection(error));
        let said = match self {
            Self::Engine(error) => text(error),
            Self::NoImage => "the engine ended the build without an image".to_owned(),
        };
        let message = if tail.is_empty() {
            format!("{place}: {said}")
        } else {
            format!("{place}: {said}\nthe last lines of its output:\n{tail}")
        };
        if gone || lost || said.contains("context canceled") {
            let went = format!("{place}: the Docker engine at {host} went away during the build: {said}");
            let fault = unavailable(host, &Error::RequestTimeoutError);
            return Fault { message: went, ..fault };
        }
        if said.to_lowercase().contains("no space left") {
            return no_space(host, &message);
        }
        if matches!(self, Self::NoImage) {
            return Fault::transient("docker_no_image", message);
        }
        let network =
            ["dial tcp", "i/o timeout", "TLS handshake timeout", "connection refused", "toomanyrequests"];
        if !said.contains("non-zero code") && network.iter().any(|word| said.contains(word)) {
            return Fault::transient("docker_network", message)
                .hint("The engine could not reach an address; images that it shall not fetch itself are loaded by Slipway.");
        }
        let fault = Fault::permanent("build_failed", message);
        if said.contains("non-zero code: 137") {
            return fault.hint("137 means killed: the step probably ran out of memory.");
        }
        fault
    }
}

/// Waits until none of the containers runs any more; kills what the engine leaves running. Only
/// containers with our label are touched: a build can write what it likes into its output.
pub(super) async fn ensure_stopped(
    reached: &Reached,
    containers: &[String],
    owner: &str,
    limit: Duration,
) -> bool {
    let last = containers.iter().rev().take(2);
    let stopped = futures::future::join_all(last.map(|id| stop_one(reached, id, owner, limit))).await;
    stopped.into_iter().all(|stopped| stopped)
}

async fn stop_one(reached: &Reached, id: &str, owner: &str, limit: Duration) -> bool {
    let began = Instant::now();
    loop {
        let found = reached.docker.inspect_container(id, None::<InspectContainerOptions>).await;
        match found {
            Err(error) if is_missing(&error) => return true,
            Err(error) => tracing::debug!(container = id, %error, "the engine does not tell about a step"),
            Ok(container) => {
                let labels = container.config.and_then(|config| config.labels).unwrap_or_default();
                if labels.get(LABEL).map(String::as_str) != Some(owner) {
                    return true;
                }
                let running = container.state.and_then(|state| state.running).unwrap_or(false);
                if !running || began.elapsed() >= STOP_GRACE {
                    let options = RemoveContainerOptions { force: true, v: true, ..Default::default() };
                    drop(reached.docker.remove_container(id, Some(options)).await);
                }
            }
        }
        if began.elapsed() >= limit {
            return false;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// When something last moved.
#[derive(Clone)]
pub(super) struct Activity(Arc<Mutex<Instant>>);

impl Activity {
    pub(super) fn new() -> Self {
        Self(Arc::new(Mutex::new(Instant::now())))
    }

    pub(super) fn touch(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    /// Returns once nothing has moved for `limit`.
    pub(super) async fn silent_for(&self, limit: Duration) {
        loop {
            let due = *self.0.lock().unwrap_or_else(PoisonError::into_inner) + limit;
            if Instant::now() >= due {
                return;
            }
            tokio::time::sleep_until(due).await;
        }
    }
}

/// A finished file as the body of a request.
pub(super) fn file_body(
    spooled: &Spooled,
    activity: Activity,
) -> io::Result<impl Stream<Item = io::Result<Bytes>> + Send + 'static> {
    let file = spooled.open().map_err(|error| io::Error::other(blob_fault(error)))?;
    let chunks = ReaderStream::with_capacity(tokio::fs::File::from_std(file), CHUNK_BYTES);
    Ok(chunks.inspect(move |_| activity.touch()))
}

/// What the engine is asked for.
pub(super) fn options(prepared: &Prepared, tag: &str) -> BuildImageOptions {
    BuildImageOptions {
        dockerfile: DOCKERFILE.to_owned(),
        t: Some(tag.to_owned()),
        rm: true,
        forcerm: true,
        buildargs: Some(prepared.arguments.clone().into_iter().collect()),
        target: prepared.parameters.target.clone().unwrap_or_default(),
        version: BuilderVersion::BuilderV1,
        ..BuildImageOptions::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream(text: &str) -> BuildInfo {
        BuildInfo { stream: Some(text.to_owned()), ..BuildInfo::default() }
    }

    #[test]
    fn the_output_tells_step_container_and_last_lines() {
        let mut trace = Trace { lines_max: 2, ..Trace::default() };
        for text in ["Step 1/2 : FROM x\n", "Step 2/2 : RUN y", "\n", " ---> Running in 0123456789ab\n"] {
            trace.take(&stream(text));
        }
        trace.take(&stream(" ---> Running in ../../x\nhal"));
        assert_eq!(trace.step, Some(2));
        assert_eq!(trace.containers, ["0123456789ab"]);
        assert_eq!(trace.tail(), " ---> Running in 0123456789ab\n ---> Running in ../../x\nhal");
        assert!(trace.image.is_none());
    }

    #[test]
    fn failures_are_told_apart() {
        let why = |said: &str| Why::Engine(Error::DockerStreamError { error: said.to_owned() });
        let code = |why: Why, gone| why.fault("unix:///x", gone, "D:2: RUN y", "out").code;
        let failed = why("The command '/bin/sh -c y' returned a non-zero code: 1");
        assert_eq!(
            failed.fault("h", false, "D:2: RUN y", "out").message,
            "D:2: RUN y: The command '/bin/sh -c y' returned a non-zero code: 1\nthe last lines of its output:\nout"
        );
        assert_eq!(code(failed, false), "build_failed");
        assert_eq!(code(why("The command returned a non-zero code: 137"), true), "docker_unavailable");
        assert_eq!(code(why("write /x: no space left on device"), false), "docker_no_space");
        assert_eq!(code(Why::NoImage, false), "docker_no_image");
        assert_eq!(code(Why::NoImage, true), "docker_unavailable");
    }
}
