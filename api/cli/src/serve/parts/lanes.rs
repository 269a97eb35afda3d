//! Which jobs this server works off, how many at once, and by which handlers.

use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use slipway_builder::advance::Advance;
use slipway_builder::build::{BuildHandler, BuildOptions};
use slipway_builder::check::{CheckHandler, CheckOptions};
use slipway_builder::collect::{CollectHandler, CollectOptions};
use slipway_builder::deliver::DeliverHandler;
use slipway_builder::disk::free_bytes;
use slipway_builder::pin::Pin;
use slipway_builder::planning::{CancelHandler, Disk, PlanHandler};
use slipway_builder::status::{StatusHandler, StatusOptions};
use slipway_builder::sweep::SweepHandler;
use slipway_packager::{PackageHandler, PackageOptions};
use slipway_records::{Handler, Lane};

use super::{Parts, reuse};
use crate::config::{Config, Role};
use crate::serve::{DataDirectory, deploy, notices};

impl Parts {
    /// The lanes of this server's roles.
    pub(super) fn lanes(&self, config: &Config, directory: &DataDirectory) -> Vec<Lane> {
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
            blobs: self.blobs.clone(),
            max_log_bytes: config.build.max_log_bytes,
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
