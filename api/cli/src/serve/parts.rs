//! Every part of a server, wired.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use axum::Router;
use chrono::TimeDelta;
use secrecy::SecretString;
use slipway_builder::advance::Advance;
use slipway_builder::assemble::{BlockCacheLimits, DiskBlockCache};
use slipway_builder::backend::assemble::AssembleBackend;
use slipway_builder::backend::docker::{ContainerLimits, DockerBackend, DockerOptions};
use slipway_builder::backend::kaniko::{self as kaniko_backend, KanikoBackend};
use slipway_builder::backend::{Backends, ImageBackend};
use slipway_builder::bases::{BaseOptions, BaseResolver};
use slipway_builder::build::{BuildHandler, BuildOptions};
use slipway_builder::check::{CheckHandler, CheckOptions};
use slipway_builder::collect::{CollectHandler, CollectOptions};
use slipway_builder::deliver::DeliverHandler;
use slipway_builder::disk::free_bytes;
use slipway_builder::pin::Pin;
use slipway_builder::planner::Planner;
use slipway_builder::planning::{CancelHandler, Disk, PlanHandler};
use slipway_builder::preview::Preview;
use slipway_builder::reuse::Reuse;
use slipway_builder::source_check::SourceChecker;
use slipway_builder::status::{StatusHandler, StatusOptions};
use slipway_builder::sweep::SweepHandler;
use slipway_builder::target::ImageTarget;
use slipway_core::{Core, Sensor};
use slipway_deployer::Stage;
use slipway_git::{GitOptions, GitStore};
use slipway_http::operation::metrics::Metrics;
use slipway_http::{HttpOptions, HttpRoles, ServerParts, ServerState};
use slipway_network::Network;
use slipway_notices::Notices;
use slipway_objects::{Blobs, BlobsOptions};
use slipway_oci::source::Images;
use slipway_packager::{Composer, PackageHandler, PackageOptions};
use slipway_records::defining::Defining;
use slipway_records::deploying::Deploying;
use slipway_records::noticing::{CountNotices, Noticing};
use slipway_records::{Handler, Lane, Records, Worker};
use slipway_records_postgres::{PostgresOptions, PostgresRecords};
use slipway_records_sqlite::{SqliteOptions, SqliteRecords};
use slipway_secrets::Secrets;
use slipway_types::id::InstanceId;
use slipway_types::secret::{SecretProvider, SecretReference};
use tokio_util::sync::CancellationToken;
use url::Url;

use super::machine::Machine;
use super::registry::Registry;
use super::{DataDirectory, deploy, kaniko, network, notices, observe, or_below, secrets, timers};
use crate::config::{Config, Role};

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
        let records = open_records(config, data).await?;
        let secrets = secrets::open(config, data, Arc::clone(&records)).await?;
        let network = network::open(config, data, &secrets).await?;
        let blobs = open_blobs(config, data, &secrets, &network).await?;
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
            machine: Arc::new(Machine::new(config, data, &stage.charts)),
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

    fn lanes(&self, config: &Config, directory: &DataDirectory) -> Vec<Lane> {
        let mut lanes = Vec::new();
        if config.has(Role::Builder) {
            lanes.extend(self.pipeline(config, directory));
        }
        if config.has(Role::Deployer) {
            lanes.extend(deploy::lanes(&self.stage, &self.core, &self.git, &config.deploy));
            lanes.extend(notices::lanes(&self.notices));
        }
        if config.has(Role::Gc) {
            lanes.push(Lane {
                name: "upkeep",
                handlers: vec![("collect", Arc::new(self.collect(config)))],
                slots: 1,
            });
        }
        lanes
    }

    fn pipeline(&self, config: &Config, directory: &DataDirectory) -> Vec<Lane> {
        let cores = std::thread::available_parallelism().map_or(2, usize::from);
        let builds = if config.build.max_builds == 0 { cores } else { config.build.max_builds };
        let clusters: usize = config.kaniko.clusters.iter().map(|cluster| cluster.max_jobs).sum();
        let runs: Vec<(&'static str, Arc<dyn Handler>)> = vec![
            ("plan", Arc::new(self.plan(config, directory))),
            ("package", Arc::new(self.package(config))),
            ("cancel", Arc::new(CancelHandler { advance: self.advance(config) })),
        ];
        let mut lanes = vec![
            Lane { name: "deliver", handlers: vec![("deliver", Arc::new(self.deliver()))], slots: 4 },
            Lane { name: "runs", handlers: runs, slots: cores.max(2) },
            Lane {
                name: "builds",
                handlers: vec![
                    ("build", Arc::new(self.image_builds(config))),
                    ("check", Arc::new(self.checks(config))),
                ],
                slots: builds,
            },
            Lane { name: "sweeps", handlers: vec![("sweep", Arc::new(self.sweep()))], slots: 2 },
            Lane { name: "feedback", handlers: vec![("status", Arc::new(self.status(config)))], slots: 2 },
        ];
        // Left to servers that have clusters.
        if clusters > 0 {
            let builds: Arc<dyn Handler> = Arc::new(self.image_builds(config));
            lanes.push(Lane {
                name: "cluster builds",
                handlers: vec![("cluster_build", builds), ("cluster_check", Arc::new(self.checks(config)))],
                slots: clusters,
            });
        }
        lanes
    }

    fn status(&self, config: &Config) -> StatusHandler {
        let options = StatusOptions { git: self.git.options().clone(), ..StatusOptions::default() };
        StatusHandler::new(Arc::clone(&self.records), self.secrets.clone(), config.public_url(), options)
    }

    fn collect(&self, config: &Config) -> CollectHandler {
        let options = CollectOptions {
            keep_log_days: config.gc.keep_log_days,
            keep_branch_days: config.packages.keep_branch_days,
            keep_cache_days: config.kaniko.cache_keep_days,
            keep_resolution_hours: config.registries.max_base_age_hours,
            gc_grace_hours: config.gc.grace_hours,
            dry_run: config.gc.dry_run,
            ..CollectOptions::default()
        };
        CollectHandler::new(Arc::clone(&self.records), self.blobs.clone(), self.git.clone(), options)
    }

    fn advance(&self, config: &Config) -> Advance {
        Advance {
            records: Arc::clone(&self.records),
            reuse: reuse(config, Arc::clone(&self.records), Arc::clone(&self.target)),
        }
    }

    fn deliver(&self) -> DeliverHandler {
        DeliverHandler {
            records: Arc::clone(&self.records),
            git: self.git.clone(),
            secrets: self.secrets.clone(),
        }
    }

    fn sweep(&self) -> SweepHandler {
        SweepHandler {
            records: Arc::clone(&self.records),
            git: self.git.clone(),
            secrets: self.secrets.clone(),
        }
    }

    fn plan(&self, config: &Config, directory: &DataDirectory) -> PlanHandler {
        PlanHandler {
            records: Arc::clone(&self.records),
            planner: self.planner.clone(),
            advance: self.advance(config),
            disk: Disk {
                free_bytes,
                path: directory.path().to_owned(),
                min_free_bytes: config.storage.min_free_bytes,
            },
        }
    }

    fn package(&self, config: &Config) -> PackageHandler {
        let image_tags = config.image_tags().expect("invariant: loading the configuration has checked it");
        PackageHandler {
            records: Arc::clone(&self.records),
            blobs: self.blobs.clone(),
            git: self.git.clone(),
            options: PackageOptions { image_tags, ..PackageOptions::default() },
        }
    }

    fn checks(&self, config: &Config) -> CheckHandler {
        CheckHandler {
            records: Arc::clone(&self.records),
            blobs: self.blobs.clone(),
            backends: self.backends.clone(),
            options: CheckOptions {
                build_timeout: Duration::from_millis(config.build.build_timeout_ms),
                max_log_bytes: config.build.max_log_bytes,
                reuse_age_max: TimeDelta::days(i64::from(config.build.max_reuse_age_days)),
            },
        }
    }

    fn image_builds(&self, config: &Config) -> BuildHandler {
        BuildHandler {
            records: Arc::clone(&self.records),
            blobs: self.blobs.clone(),
            git: self.git.clone(),
            backends: self.backends.clone(),
            pin: Pin { images: self.images.clone(), target: Arc::clone(&self.target) },
            bases: self.planner.bases.clone(),
            advance: self.advance(config),
            options: BuildOptions {
                build_timeout: Duration::from_millis(config.build.build_timeout_ms),
                max_log_bytes: config.build.max_log_bytes,
            },
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

async fn open_records(config: &Config, data: &Path) -> Result<Arc<dyn Records>> {
    if !config.database.url.is_empty() {
        let options = PostgresOptions {
            url: config.database.url.clone(),
            password: database_password(config)?,
            max_connections: config.database.max_connections,
            ..PostgresOptions::default()
        };
        let records =
            PostgresRecords::connect(options).await.context("cannot open the PostgreSQL database")?;
        return Ok(Arc::new(records));
    }
    let path = data.join("slipway.db");
    let is_empty = std::fs::metadata(&path).map_or(true, |file| file.len() == 0);
    // The key is made after the database: that it is there alone means that the database was lost.
    if is_empty && data.join("secret.key").exists() {
        bail!(
            "{} was used before, but its database slipway.db is gone or empty: put it back, or restore a \
             backup (`slipway admin restore`); to begin anew, move secret.key away",
            data.display()
        );
    }
    let records = SqliteRecords::open(&path, SqliteOptions::default())
        .await
        .with_context(|| format!("cannot open the database {}", path.display()))?;
    Ok(Arc::new(records))
}

/// The password comes from the environment: the built-in secrets lie in the database it opens.
fn database_password(config: &Config) -> Result<Option<SecretString>> {
    if config.database.password.is_empty() {
        return Ok(None);
    }
    let reference: SecretReference = config.database.password.parse().context("database.password")?;
    if reference.provider != SecretProvider::Env {
        bail!("database.password must be secret://env/VARIABLE");
    }
    let value = std::env::var(&reference.path)
        .with_context(|| format!("database.password: {} is not set", reference.path))?;
    Ok(Some(value.into()))
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

async fn open_blobs(config: &Config, data: &Path, secrets: &Secrets, network: &Network) -> Result<Blobs> {
    let storage = &config.storage;
    let url = if storage.url.is_empty() {
        let directory = data.join("blobs");
        std::fs::create_dir_all(&directory)
            .with_context(|| format!("cannot make {}", directory.display()))?;
        Url::from_file_path(&directory)
            .map_err(|()| anyhow::anyhow!("the data directory must be absolute"))?
            .to_string()
    } else {
        storage.url.clone()
    };
    let mut options = BlobsOptions::new(url, or_below(&storage.spool_dir, data, "spool"));
    options.max_spool_bytes = storage.max_spool_bytes;
    options.network = network.clone();
    let given = |text: &String| (!text.is_empty()).then(|| text.clone());
    options.s3.endpoint = given(&storage.s3_endpoint);
    options.s3.region.clone_from(&storage.s3_region);
    options.s3.access_key = given(&storage.s3_access_key).map(Into::into);
    options.s3.path_style = storage.s3_path_style;
    options.s3.allow_http = storage.s3_allow_http;
    if !storage.s3_secret_key.is_empty() {
        let reference: SecretReference = storage.s3_secret_key.parse().context("storage.s3_secret_key")?;
        options.s3.secret_key = Some(secrets.resolve(&reference).await?.value);
    }
    Blobs::open(options).await.context("cannot open the object store")
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
        ..HttpOptions::default()
    })
}
