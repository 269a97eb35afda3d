//! One command in a finished image: a container without mounts, privileges or a file to write but in
//! memory, whose output is read as it comes and kept nowhere by the engine.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use bollard::container::{AttachContainerResults, LogOutput};
use bollard::errors::Error;
use bollard::models::{ContainerCreateBody, ContainerStateStatusEnum, HostConfig, HostConfigLogConfig};
use bollard::query_parameters::{
    AttachContainerOptions, CreateContainerOptions, InspectContainerOptions, RemoveContainerOptions,
    StartContainerOptions,
};
use futures::StreamExt as _;
use slipway_oci::source::Images;
use slipway_types::{Fault, ImageReference};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use super::base::{BaseImage, base_image};
use super::engine::{Reached, is_connection, is_missing, text};
use super::{BOOT_LABEL, Inner, LABEL};
use crate::assemble::ImageConfig;
use crate::backend::{BuildError, ContainerRun, RunEnd};
use crate::log::LogWriter;

/// How often a container is asked whether it has ended, once it writes nothing more.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// What may be written below `/tmp`, which counts as memory, in bytes.
const TMP_BYTES: u64 = 512 << 20;

/// What a command may use.
#[derive(Debug, Clone, Copy)]
pub struct ContainerLimits {
    /// Memory, in bytes; there is no swap beside it.
    pub memory_bytes: u64,
    /// Processors, in thousandths.
    pub millicpus: u64,
    /// Processes and threads.
    pub pids: u32,
}

impl Default for ContainerLimits {
    fn default() -> Self {
        Self { memory_bytes: 4 << 30, millicpus: 2_000, pids: 1_024 }
    }
}

/// The name of a check's container: one that an earlier attempt left is in the way of the next.
fn name(job: &ContainerRun<'_>) -> String {
    format!("slipway-check-{}", job.check)
}

impl Inner {
    /// Runs the command to its end; nothing of it is left then. Nor is it a little later if the caller does
    /// not wait for the end: another may have the check by then, on an engine of its own.
    pub(super) async fn run_container(
        self: &Arc<Self>,
        job: &ContainerRun<'_>,
    ) -> Result<RunEnd, BuildError> {
        let cancelled = job.cancelled.child_token();
        let _stop = cancelled.clone().drop_guard();
        let waiting = job.clock.pause();
        let (begins, begun) = oneshot::channel::<()>();
        let task = Task {
            inner: Arc::clone(self),
            name: name(job),
            images: self.images.acting_for(job.application),
            image: job.image.pinned(job.digest()?),
            command: job.command.to_vec(),
            env: job.variables(&self.options.network),
            log: job.log.clone(),
            cancelled,
        };
        let running = tokio::spawn(task.finish(begins));
        // It is only ever dropped: once there is a container, or there will be none.
        drop(begun.await);
        drop(waiting);
        let ended = running.await;
        ended.map_err(|error| Fault::bug("docker", format!("the check's task ended badly: {error}")))?
    }

    /// The way into the world is that of builds; everything else is closed.
    fn host_config(&self, volumes: &[String]) -> HostConfig {
        let limits = &self.options.checks;
        let memory = i64::try_from(limits.memory_bytes).unwrap_or(i64::MAX);
        // A volume of the image would be a directory of the engine's own disk.
        let tmpfs = |path: &str| (path.to_owned(), format!("rw,nosuid,nodev,size={TMP_BYTES}"));
        let tmpfs: HashMap<String, String> =
            volumes.iter().map(|path| tmpfs(path)).chain([tmpfs("/tmp")]).collect();
        HostConfig {
            memory: Some(memory),
            memory_swap: Some(memory),
            nano_cpus: Some(i64::try_from(limits.millicpus.saturating_mul(1_000_000)).unwrap_or(i64::MAX)),
            pids_limit: Some(i64::from(limits.pids)),
            cap_drop: Some(vec!["ALL".to_owned()]),
            security_opt: Some(vec!["no-new-privileges".to_owned()]),
            readonly_rootfs: Some(true),
            tmpfs: Some(tmpfs),
            privileged: Some(false),
            ipc_mode: Some("private".to_owned()),
            log_config: Some(HostConfigLogConfig { typ: Some("none".to_owned()), config: None }),
            ..HostConfig::default()
        }
    }
}

/// The part of a run that goes on even if its caller is gone, so that it always cleans up.
struct Task {
    inner: Arc<Inner>,
    name: String,
    images: Images,
    image: ImageReference,
    command: Vec<String>,
    env: BTreeMap<String, String>,
    log: LogWriter,
    cancelled: CancellationToken,
}

impl Task {
    async fn finish(self, begins: oneshot::Sender<()>) -> Result<RunEnd, BuildError> {
        let _used = self.inner.used.read().await;
        let reached = self.inner.engine.reach().await?;
        let body = tokio::select! {
            body = self.body(&reached) => body?,
            () = self.cancelled.cancelled() => return Err(BuildError::Cancelled),
        };
        remove(&reached, &self.name).await?;
        // Not broken off: only its answer tells by which id it is removed.
        let created = self.create(&reached, body).await;
        drop(begins);
        let (left, outcome) = match created {
            // By its id: under the name there may be another's by now.
            Ok(Created::Ready(id)) => {
                let outcome = tokio::select! {
                    outcome = follow(&reached, &id, &self.log) => outcome,
                    () = self.cancelled.cancelled() => Err(BuildError::Cancelled),
                };
                (id, outcome)
            }
            Ok(Created::Refused(why)) => return Ok(RunEnd::NotStarted { why }),
            Err(error) => (self.name.clone(), Err(error)),
        };
        // What could not be removed, the next attempt or the next boot finds.
        if let Err(fault) = remove(&reached, &left).await {
            tracing::warn!(container = left, error = %fault.message, "a check's container stays in the engine");
        }
        outcome
    }

    /// What the engine is to make, once it has the image.
    async fn body(&self, reached: &Reached) -> Result<ContainerCreateBody, BuildError> {
        let image = base_image(&self.images, &self.image, &reached.platform).await?;
        let loaded = self.inner.load(&self.images, &image, &self.log, reached).await?;
        let (env, options) = (self.env.iter(), &self.inner.options);
        let labels = [(LABEL, options.owner.clone()), (BOOT_LABEL, self.inner.boot.clone())];
        Ok(ContainerCreateBody {
            image: Some(loaded),
            entrypoint: Some(self.command.clone()),
            env: Some(env.map(|(name, value)| format!("{name}={value}")).collect()),
            labels: Some(labels.map(|(name, value)| (name.to_owned(), value)).into()),
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            healthcheck: None,
            host_config: Some(self.inner.host_config(&volumes_of(&image))),
            ..ContainerCreateBody::default()
        })
    }

    async fn create(&self, reached: &Reached, body: ContainerCreateBody) -> Result<Created, BuildError> {
        let options = CreateContainerOptions { name: Some(self.name.clone()), ..Default::default() };
        match reached.docker.create_container(Some(options), body).await {
            Ok(created) => Ok(Created::Ready(created.id)),
            Err(Error::DockerResponseServerError { status_code: 400, message }) => {
                Ok(Created::Refused(message))
            }
            Err(error) => Err(reached.fault("make a container", &error).into()),
        }
    }
}

enum Created {
    /// Under this id.
    Ready(String),
    /// The engine will not make it of this image and command.
    Refused(String),
}

/// The directories that the image wants kept outside of its layers.
fn volumes_of(image: &BaseImage) -> Vec<String> {
    let config = serde_json::from_slice::<ImageConfig>(&image.config);
    let volumes = config.map(|config| config.config.volumes).unwrap_or_default();
    volumes.into_iter().filter(|path| path.starts_with('/') && path != "/" && path != "/tmp").collect()
}

/// Starts the container and reads what it writes until it has ended.
async fn follow(reached: &Reached, name: &str, log: &LogWriter) -> Result<RunEnd, BuildError> {
    let streams = AttachContainerOptions { stream: true, stdout: true, stderr: true, ..Default::default() };
    let attached = reached.streams.attach_container(name, Some(streams)).await;
    let AttachContainerResults { mut output, .. } =
        attached.map_err(|error| reached.fault("follow a container", &error))?;
    match reached.docker.start_container(name, None::<StartContainerOptions>).await {
        Ok(()) => {}
        Err(Error::DockerResponseServerError { status_code: 400 | 404 | 500, message })
            if could_not_begin(&message) =>
        {
            return Ok(RunEnd::NotStarted { why: message });
        }
        Err(error) => return Err(reached.fault("start a container", &error).into()),
    }
    while let Some(piece) = output.next().await {
        match piece {
            Ok(LogOutput::StdIn { .. }) => {}
            // What is beyond the log's limit is read and let go, so that its writer can end.
            Ok(piece) => log.write(piece.into_bytes()).await,
            Err(error) if is_connection(&error) => break,
            Err(error) => return Err(reached.fault("read a container's output", &error).into()),
        }
    }
    ended(reached, name).await
}

/// Whether it is the image or the command that is at fault, not the engine.
fn could_not_begin(message: &str) -> bool {
    let message = message.to_lowercase();
    [
        "executable file not found",
        "no such file or directory",
        "permission denied",
        "exec format error",
        "is a directory",
        "unable to find user",
        "no matching entries in passwd",
        "chdir to cwd",
    ]
    .iter()
    .any(|words| message.contains(words))
}

async fn ended(reached: &Reached, name: &str) -> Result<RunEnd, BuildError> {
    loop {
        let found = reached.docker.inspect_container(name, None::<InspectContainerOptions>).await;
        let state = match found {
            Ok(found) => found.state.unwrap_or_default(),
            Err(error) if is_missing(&error) => {
                let message = format!("the container {name} was removed by somebody");
                return Err(Fault::transient("container_lost", message).into());
            }
            Err(error) => return Err(reached.fault("look at a container", &error).into()),
        };
        if !state.running.unwrap_or_default() {
            if matches!(state.status, Some(ContainerStateStatusEnum::CREATED)) {
                return Err(Fault::transient("container_lost", "the container never began").into());
            }
            let code = state.exit_code.unwrap_or(-1);
            // Stopped together with the engine: nothing is known of the command.
            if state.error.as_ref().is_some_and(|error| !error.is_empty()) && code == 0 {
                let why = state.error.unwrap_or_default();
                return Err(Fault::transient("container_lost", why).into());
            }
            return Ok(RunEnd::Exited { code, out_of_memory: state.oom_killed.unwrap_or_default() });
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Removes the container and what belongs to it; fine if it is gone.
async fn remove(reached: &Reached, name: &str) -> Result<(), Fault> {
    let options = RemoveContainerOptions { force: true, v: true, ..Default::default() };
    match reached.docker.remove_container(name, Some(options)).await {
        Ok(()) => Ok(()),
        Err(error) if is_missing(&error) => Ok(()),
        Err(error) => {
            tracing::debug!(container = name, error = text(&error), "a container is not removed");
            Err(reached.fault("remove a container", &error))
        }
    }
}
