//! The Docker Engine back-end: Dockerfiles that run commands, by the engine's classic builder.
//!
//! The context goes to the engine from a finished file, base images are those of the plan and no
//! others, and the result is exported, verified and put into the registry by Slipway itself: the
//! engine's own word for the image, its id, is no digest that a registry would answer for.
//!
//! Podman's socket speaks the same language and serves too.

mod base;
mod container;
mod engine;
mod export;
mod run;
mod tidy;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bollard::auth::DockerCredentials;
use secrecy::{ExposeSecret, SecretString};
use slipway_network::Network;
use slipway_objects::{Blobs, Spooled};
use slipway_oci::source::Images;
use slipway_records::port::BuildPlace;
use slipway_types::state::{BuiltImage, PlatformManifest};
use slipway_types::{Fault, Platform};
use tokio_util::sync::CancellationToken;

use self::base::Bases;
pub use self::container::ContainerLimits;
use self::engine::{Engine, Reached};
use self::run::{Ended, EngineBuild};
use super::recipe::{Prepared, Recipe};
use super::{BuildError, ContainerRun, ImageBackend, ImageBuild, Requirements, RunEnd, blob_fault, context};
use crate::log::LogWriter;
use crate::target::ImageTarget;

/// Label on everything that a build makes in the engine; its value is [`DockerOptions::owner`].
/// Taken out of the image before it is pushed.
pub const LABEL: &str = "dev.slipway.build";
/// Label on the containers of checks: which boot of this server made them, so that a sweep leaves those
/// that it has just made.
const BOOT_LABEL: &str = "dev.slipway.boot";
/// Where the engine keeps a build's image until it is exported.
const RESULT_REPOSITORY: &str = "slipway-build";

/// How to use the engine.
#[derive(Debug, Clone)]
pub struct DockerOptions {
    /// Address: `unix:///path` or `tcp://host:port`. Podman's socket serves too.
    pub host: String,
    /// Names this server among all that use the engine: leftovers of others are not touched.
    pub owner: String,
    /// `host:port` by which the engine reaches Slipway's registry. Without it the images that a
    /// build needs are loaded into the engine.
    pub engine_registry: Option<String>,
    /// What builds are told of the way to others.
    pub network: Network,
    /// What the engine logs in with at `engine_registry`.
    pub engine_login: Option<EngineLogin>,
    /// The longest wait for the answer to a small request, in milliseconds.
    pub call_timeout_ms: u64,
    /// How long an answer of the probe counts, in milliseconds.
    pub probe_ttl_ms: u64,
    /// The longest a build may be silent, in milliseconds.
    pub idle_timeout_ms: u64,
    /// The longest that the engine may work on one build, in milliseconds.
    pub total_timeout_ms: u64,
    /// The longest wait until a cancelled step has stopped, in milliseconds.
    pub stop_timeout_ms: u64,
    /// The largest context, in bytes of its files.
    pub max_context_bytes: u64,
    /// Most entries of a context.
    pub max_context_entries: usize,
    /// The largest exported image, in bytes.
    pub max_image_bytes: u64,
    /// What the engine may keep of earlier builds' steps, in bytes.
    pub cache_keep_bytes: u64,
    /// What the engine may keep of base images that Slipway loaded, in bytes.
    pub base_keep_bytes: u64,
    /// Age at which a sweep removes the image of a build that nobody went on with, in milliseconds.
    pub leftover_keep_ms: u64,
    /// Lines of the log that a failure shows.
    pub failure_lines: usize,
    /// Threads that compress layers.
    pub compress_threads: usize,
    /// What a check's container may use.
    pub checks: ContainerLimits,
}

/// A user of the registry.
#[derive(Debug, Clone)]
pub struct EngineLogin {
    /// Name.
    pub username: String,
    /// Password or token.
    pub password: SecretString,
}

impl Default for DockerOptions {
    fn default() -> Self {
        Self {
            host: "unix:///var/run/docker.sock".to_owned(),
            owner: "slipway".to_owned(),
            engine_registry: None,
            network: Network::default(),
            engine_login: None,
            call_timeout_ms: 30_000,
            probe_ttl_ms: 5_000,
            idle_timeout_ms: 10 * 60_000,
            total_timeout_ms: 2 * 60 * 60_000,
            stop_timeout_ms: 10_000,
            max_context_bytes: 2 << 30,
            max_context_entries: 1_000_000,
            max_image_bytes: 32 << 30,
            cache_keep_bytes: 20 << 30,
            base_keep_bytes: 20 << 30,
            leftover_keep_ms: 6 * 60 * 60_000,
            failure_lines: 20,
            compress_threads: std::thread::available_parallelism().map_or(1, usize::from),
            checks: ContainerLimits::default(),
        }
    }
}

/// Builds images with a Docker engine.
#[derive(Clone)]
pub struct DockerBackend {
    inner: Arc<Inner>,
}

struct Inner {
    options: DockerOptions,
    engine: Engine,
    blobs: Blobs,
    images: Images,
    target: Arc<ImageTarget>,
    /// Names this boot.
    boot: String,
    /// Builds hold it for reading; what removes from the engine what they might use, for writing.
    used: tokio::sync::RwLock<()>,
    /// One base image is loaded at a time: two builds may want the same.
    loading: tokio::sync::Mutex<()>,
}

impl DockerBackend {
    /// A back-end for the engine at `options.host`, which need not answer yet. Base images come from
    /// `images`, results go to `target`.
    pub fn connect(options: DockerOptions, blobs: Blobs, images: Images, target: Arc<ImageTarget>) -> Self {
        let engine = Engine::new(&options);
        let (used, loading) = (tokio::sync::RwLock::default(), tokio::sync::Mutex::default());
        let boot = slipway_types::id::InstanceId::new().to_string();
        Self { inner: Arc::new(Inner { options, engine, blobs, images, target, boot, used, loading }) }
    }

    /// What answers at the address, for people: name, version, API version, platform.
    pub async fn describe(&self) -> Result<String, Fault> {
        Ok(self.inner.engine.reach().await?.to_string())
    }

    /// Removes what builds of earlier boots have left in the engine and bounds its cache. To be
    /// called while this server builds nothing: at start.
    pub async fn sweep(&self) -> Result<(), Fault> {
        let reached = self.inner.engine.reach().await?;
        tidy::sweep(&reached, &self.inner.options, &self.inner.boot).await?;
        tidy::bound(&reached, &self.inner.options).await
    }
}

#[async_trait]
impl ImageBackend for DockerBackend {
    fn name(&self) -> &'static str {
        "docker"
    }

    fn recipe(&self) -> u32 {
        1
    }

    async fn can(&self, wanted: &Requirements) -> Result<String, String> {
        if let Some((line, what)) = &wanted.buildkit {
            return Err(format!(
                "line {line}: {what} needs BuildKit, which the engine's classic builder lacks"
            ));
        }
        if let Some((line, what)) = &wanted.beyond_classic {
            return Err(format!("line {line}: {what} is unknown to the engine's classic builder"));
        }
        if wanted.secrets {
            return Err("the classic builder cannot mount build secrets".into());
        }
        let reached = self.inner.engine.reach().await.map_err(|fault| fault.message)?;
        if wanted.foreign_platforms || reached.platform != Platform::default() {
            return Err(format!("the engine builds for {} only", reached.platform));
        }
        Ok(match wanted.run {
            Some(line) => format!("line {line} runs a command; {reached} answers"),
            None => format!("{reached} answers"),
        })
    }

    async fn places(&self) -> Vec<BuildPlace> {
        let found = self.describe().await;
        let ok = found.is_ok();
        let detail = found.unwrap_or_else(|fault| fault.message);
        vec![BuildPlace { backend: self.name(), name: self.inner.options.host.clone(), ok, detail }]
    }

    async fn build(&self, job: ImageBuild<'_>) -> Result<BuiltImage, BuildError> {
        let inner = Arc::clone(&self.inner);
        let cancelled = job.cancelled.child_token();
        // Should the caller not wait for the end, the engine is told to stop all the same.
        let _stop = cancelled.clone().drop_guard();
        let reached = inner.engine.reach().await?;
        let platform = only_platform(&job, &reached)?;
        let result = format!("{RESULT_REPOSITORY}/{}", job.build.id);
        let made = tokio::select! {
            made = inner.prepare(&job, &reached, &platform, &result) => made?,
            () = cancelled.cancelled() => return Err(BuildError::Cancelled),
        };
        let images = inner.images.acting_for(job.application);
        let work = Work {
            inner,
            reached,
            made,
            result,
            tag: format!("{RESULT_REPOSITORY}/{}:{}", job.build.id, job.build.attempt),
            images,
            dockerfile: job.plan.dockerfile.clone(),
            repository: job.repository.to_owned(),
            platform,
            log: job.log.clone(),
            cancelled,
        };
        tokio::spawn(work.finish())
            .await
            .map_err(|error| Fault::bug("docker", format!("the build's task ended badly: {error}")))?
    }

    async fn can_run(&self) -> Result<String, String> {
        let reached = self.inner.engine.reach().await.map_err(|fault| fault.message)?;
        Ok(format!("{reached} answers"))
    }

    async fn run(&self, run: ContainerRun<'_>) -> Result<RunEnd, BuildError> {
        self.inner.run_container(&run).await
    }
}

fn only_platform(job: &ImageBuild<'_>, reached: &Reached) -> Result<Platform, Fault> {
    match job.plan.platforms.as_slice() {
        [only] if *only == reached.platform => Ok(only.clone()),
        wanted => {
            let wanted: Vec<String> = wanted.iter().map(ToString::to_string).collect();
            let message =
                format!("the engine builds for {}, not for {}", reached.platform, wanted.join(", "));
            Err(Fault::permanent("docker_platform", message))
        }
    }
}

/// What there is before the engine works.
enum Made {
    /// An earlier attempt has built the image already.
    Image(String),
    /// All that the engine is to be given.
    Ready { prepared: Prepared, context: Spooled, bases: Bases },
}

impl Inner {
    async fn prepare(
        &self,
        job: &ImageBuild<'_>,
        reached: &Reached,
        platform: &Platform,
        result: &str,
    ) -> Result<Made, BuildError> {
        if let Some(id) = tidy::finished(reached, result).await? {
            job.log.line(format!("an earlier attempt has built {}", short(&id))).await;
            return Ok(Made::Image(id));
        }
        let snapshot = job.git.snapshot(job.source.id, job.commit).await.map_err(|error| error.fault())?;
        let (recipe, snapshot) = Recipe::read(snapshot, job.context, &job.plan.dockerfile).await?;
        let parameters = job.parameters(platform, platform, &self.target);
        recipe.check(&parameters)?;
        let bases = self.bases(&recipe, &parameters, job, reached).await?;
        let label = format!("{LABEL}={}", self.options.owner);
        let prepared =
            recipe.prepare(parameters, &bases.names, Some(&label))?.with_proxy(&self.options.network);
        let content = prepared.text.clone().into_bytes();
        let spool = self.blobs.blocking_spool().map_err(blob_fault)?;
        let (context, beside) = (job.context.to_owned(), recipe.dockerignore);
        let limits = context::Limits {
            max_context_bytes: self.options.max_context_bytes,
            max_context_entries: self.options.max_context_entries,
        };
        let context = tokio::task::spawn_blocking(move || {
            let files = super::assemble::GitContext::new(snapshot, &context);
            context::write(&files, beside.as_deref(), &content, spool, &limits)
        })
        .await
        .map_err(|error| Fault::bug("docker", format!("writing the context ended badly: {error}")))??;
        job.log.line(format!("context: {} bytes", context.size())).await;
        Ok(Made::Ready { prepared, context, bases })
    }

    fn credentials(&self) -> Option<std::collections::HashMap<String, DockerCredentials>> {
        let (registry, login) = (self.options.engine_registry.clone()?, self.options.engine_login.as_ref()?);
        let credentials = DockerCredentials {
            username: Some(login.username.clone()),
            password: Some(login.password.expose_secret().to_owned()),
            serveraddress: Some(registry.clone()),
            ..DockerCredentials::default()
        };
        Some([(registry, credentials)].into())
    }
}

/// The part of a build that goes on even if its caller is gone, so that it always cleans up.
struct Work {
    inner: Arc<Inner>,
    reached: Reached,
    made: Made,
    /// The result's repository in the engine.
    result: String,
    tag: String,
    /// Where base images are.
    images: Images,
    dockerfile: String,
    repository: String,
    platform: Platform,
    log: LogWriter,
    cancelled: CancellationToken,
}

impl Work {
    async fn finish(mut self) -> Result<BuiltImage, BuildError> {
        let inner = Arc::clone(&self.inner);
        let used = inner.used.read().await;
        let outcome = self.image().await;
        // The engine may be gone; what could not be removed, the next sweep finds by its name.
        if let Err(fault) = tidy::remove_result(&self.reached, &self.result).await {
            tracing::warn!(image = self.result, error = %fault.message, "a build's image stays in the engine");
        }
        drop(used);
        if outcome.is_ok() {
            self.bound().await;
        }
        outcome
    }

    async fn bound(&self) {
        let Ok(_alone) = self.inner.used.try_write() else { return };
        if let Err(fault) = tidy::bound(&self.reached, &self.inner.options).await {
            tracing::warn!(error = %fault.message, "the engine's cache was not bounded");
        }
    }

    async fn image(&mut self) -> Result<BuiltImage, BuildError> {
        let (id, known) = match std::mem::replace(&mut self.made, Made::Image(String::new())) {
            Made::Image(id) => (id, base::KnownLayers::new()),
            Made::Ready { prepared, context, bases } => {
                (self.engine_build(prepared, context).await?, bases.layers)
            }
        };
        self.log.line(format!("exporting {}", short(&id))).await;
        let cancelled = self.cancelled.clone();
        tokio::select! {
            image = self.push(&id, known) => image,
            () = cancelled.cancelled() => Err(BuildError::Cancelled),
        }
    }

    async fn engine_build(&self, prepared: Prepared, context: Spooled) -> Result<String, BuildError> {
        let options = &self.inner.options;
        let build = EngineBuild {
            reached: &self.reached,
            options: run::options(&prepared, &self.tag),
            credentials: self.inner.credentials(),
            context,
            log: &self.log,
            idle: Duration::from_millis(options.idle_timeout_ms),
            total: Duration::from_millis(options.total_timeout_ms),
            failure_lines: options.failure_lines,
        };
        let (ended, trace) = build.run(&self.cancelled).await;
        if let Ended::Built(id) = ended {
            return Ok(id);
        }
        let stop_limit = Duration::from_millis(options.stop_timeout_ms);
        let stopped = run::ensure_stopped(&self.reached, &trace.containers, &options.owner, stop_limit).await;
        let place = prepared.place(&self.dockerfile, trace.step);
        let error = match ended {
            Ended::Built(id) => return Ok(id),
            Ended::Cancelled => BuildError::Cancelled,
            Ended::Idle => BuildError::TimedOut(format!(
                "{place}: silent longer than idle_timeout_ms = {}",
                options.idle_timeout_ms
            )),
            Ended::Total => BuildError::TimedOut(format!(
                "{place}: the engine worked longer than total_timeout_ms = {}",
                options.total_timeout_ms
            )),
            Ended::Failed(why) => {
                let gone = self.inner.engine.is_gone().await;
                return Err(why.fault(&self.reached.host, gone, &place, &trace.tail()).into());
            }
        };
        if stopped {
            return Err(error);
        }
        let limit = options.stop_timeout_ms;
        let message = format!("{place}: the step still runs in the engine after stop_timeout_ms = {limit}");
        Err(Fault::transient("docker_not_stopped", message).into())
    }

    /// Puts the engine's image into the registry.
    async fn push(&self, id: &str, known: base::KnownLayers) -> Result<BuiltImage, BuildError> {
        let inner = &self.inner;
        let export = export::Export { inner, images: &self.images, reached: &self.reached, log: &self.log };
        let (digest, size) = export.to_registry(id, &known, &self.platform, &self.repository).await?;
        let media_type = slipway_types::media_type::OCI_MANIFEST;
        let only = PlatformManifest {
            platform: self.platform.clone(),
            digest,
            size,
            media_type: media_type.to_owned(),
        };
        Ok(inner.target.built(&self.repository, digest, media_type, size, vec![only]))
    }
}

/// An image id as people see it.
fn short(id: &str) -> &str {
    let id = id.strip_prefix("sha256:").unwrap_or(id);
    id.get(..12).unwrap_or(id)
}
