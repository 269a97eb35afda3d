//! Every part of a server, wired.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use axum::Router;
use chrono::TimeDelta;
use slipway_builder::assemble::{BlockCacheLimits, DiskBlockCache};
use slipway_builder::backend::assemble::AssembleBackend;
use slipway_builder::backend::docker::{ContainerLimits, DockerBackend, DockerOptions};
use slipway_builder::backend::kaniko::{self as kaniko_backend, KanikoBackend};
use slipway_builder::backend::{Backends, ImageBackend};
use slipway_builder::bases::{BaseOptions, BaseResolver};
use slipway_builder::pin::Pin;
use slipway_builder::planner::Planner;
use slipway_builder::preview::Preview;
use slipway_builder::reuse::Reuse;
use slipway_builder::source_check::SourceChecker;
use slipway_builder::target::ImageTarget;
use slipway_core::{Core, Sensor};
use slipway_deployer::Stage;
use slipway_git::{GitOptions, GitStore};
use slipway_http::operation::metrics::Metrics;
use slipway_http::{HttpOptions, HttpRoles, Retention, ServerParts, ServerState};
use slipway_network::Network;
use slipway_notices::Notices;
use slipway_objects::Blobs;
use slipway_oci::source::Images;
use slipway_packager::{Composer, PackageOptions};
use slipway_records::defining::Defining;
use slipway_records::deploying::Deploying;
use slipway_records::noticing::{CountNotices, Noticing};
use slipway_records::{Records, Worker};
use slipway_secrets::Secrets;
use slipway_types::id::InstanceId;
use tokio_util::sync::CancellationToken;

use super::machine::Machine;
use super::registry::Registry;
use super::{DataDirectory, deploy, kaniko, network, notices, observe, or_below, secrets, timers};
use crate::config::{Config, Role};

mod lanes;
mod stores;

/// Spool files older than this are of earlier boots.
const SPOOL_ORPHAN_AGE: Duration = Duration::ZERO;

/// Everything a server is made of.
pub(crate) struct Parts {
    pub records: Arc<dyn Records>,
    blobs: Blobs,
    git: GitStore,
    secrets: Secrets,
    images: Images,
    target: Arc<ImageTarget>,
    planner: Planner,
    backends: Backends,
    docker: Option<Arc<DockerBackend>>,
    kaniko: Option<KanikoBackend>,
    stage: Arc<Stage>,
    core: Core,
    notices: Notices,
    metrics: Arc<Metrics>,
    state: ServerState,
}

impl Parts {
    /// Opens and connects everything.
    pub(crate) async fn build(
        config: &Config,
        directory: &DataDirectory,
        stop: CancellationToken,
    ) -> Result<Self> {
        let data = directory.path();
        let records = stores::open_records(config, data).await?;
        let secrets = secrets::open(config, data, Arc::clone(&records)).await?;
        let network = network::open(config, data, &secrets).await?;
        let blobs = stores::open_blobs(config, data, &secrets, &network).await?;
        let git = GitStore::open(
            data.join("cache").join("git"),
            blobs.clone(),
            Arc::clone(&records),
            git_options(config, &network)?,
        )
        .await
        .context("cannot open the git cache")?;
        let Registry { builtin: registry, external, images, target } =
            Registry::open(config, &network, &secrets, Arc::clone(&records), &blobs).await?;
        let mut backends: Vec<Arc<dyn ImageBackend>> = vec![Arc::new(AssembleBackend {
            blobs: blobs.clone(),
            images: images.clone(),
            target: Arc::clone(&target),
            options: slipway_builder::assemble::Options {
                spool_dir: or_below(&config.storage.spool_dir, data, "spool"),
                ..Default::default()
            },
            cache: Some(Arc::new(open_block_cache(config, data)?)),
        })];
        let docker = docker_options(config, directory, &network).map(|options| {
            Arc::new(DockerBackend::connect(options, blobs.clone(), images.clone(), Arc::clone(&target)))
        });
        backends.extend(docker.clone().map(|docker| docker as Arc<dyn ImageBackend>));
        let kaniko = kaniko::options(config, &network)?
            .map(|(options, clusters)| {
                let (records, blobs, images) = (Arc::clone(&records), blobs.clone(), images.clone());
                KanikoBackend::connect(options, clusters, records, blobs, images, Arc::clone(&target))
            })
            .transpose()
            .map_err(|fault| anyhow::anyhow!(fault.message))?;
        backends.extend(kaniko.clone().map(|kaniko| Arc::new(kaniko) as Arc<dyn ImageBackend>));
        let backends =
            Backends { all: backends, server: config.build.backend, held: config.held_backends()? };
        let planner = planner(config, &records, &git, &images, &backends, &secrets);
        let checker =
            SourceChecker { git: git.clone(), secrets: secrets.clone(), records: Arc::clone(&records) };
        let (stage, core) = deploy::stage(deploy::Ground {
            config,
            records: &records,
            blobs: &blobs,
            registry: &registry,
            images: &images,
            secrets: &secrets,
            network: &network,
        })?;
        let stage = Arc::new(stage);
        let metrics = Arc::new(Metrics::default());
        let counts = Arc::clone(&metrics) as Arc<dyn CountNotices>;
        let notices = notices::open(config, &records, &secrets, &network, counts)?;
        let state = ServerState::new(ServerParts {
            records: Arc::clone(&records),
            blobs: blobs.clone(),
            git: git.clone(),
            registry,
            external,
            secrets: secrets.clone(),
            planning: Arc::new(Preview {
                planner: planner.clone(),
                reuse: reuse(config, Arc::clone(&records), Arc::clone(&target)),
            }),
            source_check: Arc::new(checker),
            places: Arc::new(shown_places(config, &backends)),
            machine: Arc::new(Machine::new(config, data, &stage.charts, &blobs, &network)),
            deploying: Arc::clone(&stage) as Arc<dyn Deploying>,
            composing: Arc::new(composer(&records, &blobs, &images, &target)),
            defining: Arc::clone(&stage) as Arc<dyn Defining>,
            noticing: Arc::new(notices.clone()) as Arc<dyn Noticing>,
            metrics: Arc::clone(&metrics),
            stopping: stop,
            options: http_options(config)?,
        });
        Ok(Self {
            records,
            blobs,
            git,
            secrets,
            images,
            target,
            planner,
            backends,
            docker,
            kaniko,
            stage,
            core,
            notices,
            metrics,
            state,
        })
    }

    /// Where secrets are looked up.
    pub(crate) fn secrets(&self) -> &Secrets {
        &self.secrets
    }

    /// What this instance answers.
    pub(crate) fn router(&self) -> Router {
        slipway_http::router(self.state.clone())
    }

    /// Works off jobs until `stop`.
    pub(crate) fn work(
        self,
        config: &Config,
        directory: &DataDirectory,
        stop: CancellationToken,
    ) -> impl Future<Output = ()> + Send + use<> {
        let name = directory.name();
        let owner = format!("{name}/{}", InstanceId::new());
        let lanes = self.lanes(config, directory);
        let sensor = config.has(Role::Deployer).then(|| Sensor::new(self.core.clone()));
        let (records, blobs, metrics, docker) = (self.records, self.blobs, self.metrics, self.docker);
        let kaniko = self.kaniko.filter(|_| config.has(Role::Builder));
        let data = directory.path().to_owned();
        async move {
            match records.queue().release(&format!("{name}/")).await {
                Ok(0) => {}
                Ok(jobs) => tracing::info!(jobs, "took back the jobs of an earlier boot"),
                Err(error) => tracing::warn!(%error, "cannot take back the jobs of an earlier boot"),
            }
            if let Err(error) = blobs.sweep_spool(SPOOL_ORPHAN_AGE).await {
                tracing::warn!(%error, "cannot sweep the spool directory");
            }
            if let Err(error) = timers::resume(records.as_ref()).await {
                tracing::warn!(%error, "cannot look for unfinished runs");
            }
            if let Some(docker) = docker {
                // Without an engine there is nothing to sweep.
                tokio::spawn(async move { drop(docker.sweep().await) });
            }
            tokio::spawn(observe::measure(Arc::clone(&metrics), data, kaniko.clone(), stop.clone()));
            if let Some(kaniko) = kaniko {
                tokio::spawn(kaniko::sweep(kaniko, stop.clone()));
            }
            let worker = Worker::new(Arc::clone(&records), owner, Default::default());
            tokio::join!(
                worker.run(lanes, stop.clone()),
                timers::run(Arc::clone(&records), stop.clone()),
                deploy::sense(sensor, stop.clone()),
                observe::run(records, metrics, stop),
            );
        }
    }
}

fn planner(
    config: &Config,
    records: &Arc<dyn Records>,
    git: &GitStore,
    images: &Images,
    backends: &Backends,
    secrets: &Secrets,
) -> Planner {
    Planner {
        records: Arc::clone(records),
        git: git.clone(),
        bases: BaseResolver {
            records: Arc::clone(records),
            images: images.clone(),
            options: base_options(config),
        },
        backends: backends.clone(),
        secrets: secrets.clone(),
        max_context_bytes: config.build.max_context_bytes,
    }
}

fn base_options(config: &Config) -> BaseOptions {
    BaseOptions {
        resolve_timeout: Duration::from_millis(config.registries.resolve_timeout_ms),
        max_base_age: TimeDelta::hours(i64::from(config.registries.max_base_age_hours)),
    }
}

/// Where and how Dockerfiles that run commands are built, unless that is switched off.
fn docker_options(config: &Config, directory: &DataDirectory, network: &Network) -> Option<DockerOptions> {
    let build = &config.build;
    let from_env = || std::env::var("DOCKER_HOST").ok().filter(|host| !host.is_empty());
    let host = if build.docker_host.is_empty() { from_env() } else { Some(build.docker_host.clone()) };
    if host.as_deref() == Some("none") {
        return None;
    }
    let defaults = DockerOptions::default();
    Some(DockerOptions {
        host: host.unwrap_or_else(|| defaults.host.clone()),
        owner: directory.name().to_string(),
        network: network.clone(),
        idle_timeout_ms: build.docker_idle_timeout_ms,
        total_timeout_ms: build.build_timeout_ms,
        max_context_bytes: build.max_context_bytes,
        cache_keep_bytes: build.docker_cache_keep_bytes,
        checks: ContainerLimits {
            memory_bytes: build.check_memory_bytes,
            millicpus: build.check_millicpus,
            pids: build.check_pids,
        },
        ..defaults
    })
}

fn open_block_cache(config: &Config, data: &Path) -> Result<DiskBlockCache> {
    let directory = data.join("cache").join("blocks");
    let limits = BlockCacheLimits {
        max_bytes: config.build.layer_cache_max_bytes,
        keep_free_bytes: config.storage.min_free_bytes,
    };
    DiskBlockCache::open(&directory, limits)
        .with_context(|| format!("cannot open the cache {}", directory.display()))
}

fn git_options(config: &Config, network: &Network) -> Result<GitOptions> {
    let networks = config.git.allow_private_networks.iter().map(|network| network.parse());
    Ok(GitOptions {
        max_pack_bytes: config.git.max_pack_bytes,
        allow_http: config.git.allow_http,
        network: network.clone(),
        allow_private_addresses: networks.collect::<Result<_, _>>().context("git.allow_private_networks")?,
        ..GitOptions::default()
    })
}

/// What this server says of where images are built. One that builds nothing may lack the rights.
fn shown_places(config: &Config, backends: &Backends) -> Backends {
    let mut shown = backends.clone();
    shown.all.retain(|backend| config.has(Role::Builder) || backend.name() != kaniko_backend::NAME);
    shown
}

fn reuse(config: &Config, records: Arc<dyn Records>, target: Arc<ImageTarget>) -> Reuse {
    let age_max = TimeDelta::days(i64::from(config.build.max_reuse_age_days));
    Reuse { records, target, age_max }
}

/// Who composes bundles by hand.
fn composer(
    records: &Arc<dyn Records>,
    blobs: &Blobs,
    images: &Images,
    target: &Arc<ImageTarget>,
) -> Composer {
    Composer {
        records: Arc::clone(records),
        blobs: blobs.clone(),
        images: Arc::new(Pin { images: images.clone(), target: Arc::clone(target) }),
        timeout: PackageOptions::default().package_timeout,
    }
}

fn http_options(config: &Config) -> Result<HttpOptions> {
    Ok(HttpOptions {
        public_url: config.public_url().parse().context("server.public_url")?,
        roles: HttpRoles { api: config.has(Role::Api), registry: config.has(Role::Registry) },
        max_push_bytes: config.git.max_pack_bytes,
        retention: Some(Retention {
            log_days: config.gc.keep_log_days,
            branch_days: config.packages.keep_branch_days,
            cache_days: config.kaniko.cache_keep_days,
            unused_blob_hours: config.gc.grace_hours,
            only_says: config.gc.dry_run,
        }),
        ..HttpOptions::default()
    })
}
