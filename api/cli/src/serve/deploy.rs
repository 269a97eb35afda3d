//! The deploy stage from its configuration.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result};
use slipway_charts::{ChartOptions, Renderer};
use slipway_core::ladder::LadderOptions;
use slipway_core::{Core, CoreOptions, ReconcileHandler, Sensor};
use slipway_definitions::RenderOptions;
use slipway_deployer::addon::AddonHandler;
use slipway_deployer::calls::Calls;
use slipway_deployer::clusters::Clusters;
use slipway_deployer::configuration_source::ConfigureHandler;
use slipway_deployer::core_host::CoreHost;
use slipway_deployer::definitions::Definitions;
use slipway_deployer::follow::FollowHandler;
use slipway_deployer::handler::DeployHandler;
use slipway_deployer::live_objects::Looks;
use slipway_deployer::observe::ObserveHandler;
use slipway_deployer::packages::PackageLimits;
use slipway_deployer::rotation::RotateHandler;
use slipway_deployer::{Stage, StageOptions};
use slipway_git::GitStore;
use slipway_handoff::CorePort;
use slipway_kubernetes::ClusterOptions;
use slipway_network::Network;
use slipway_oam::OamOptions;
use slipway_objects::Blobs;
use slipway_oci::builtin::BuiltinRegistry;
use slipway_oci::source::Images;
use slipway_plugins::{Host, PluginOptions};
use slipway_records::{Lane, Records};
use slipway_secrets::Secrets;
use slipway_types::RegistryPrefix;
use tokio_util::sync::CancellationToken;

use crate::config::{Config, Deploy};

/// Receivers that are asked at once: they wait for the network, not for this machine.
const OBSERVING_SLOTS: usize = 8;

/// What the deploy stage is built on.
pub(super) struct Ground<'a> {
    pub(super) config: &'a Config,
    pub(super) records: &'a Arc<dyn Records>,
    pub(super) blobs: &'a Blobs,
    pub(super) registry: &'a BuiltinRegistry,
    pub(super) images: &'a Images,
    pub(super) secrets: &'a Secrets,
    pub(super) network: &'a Network,
}

/// The deploy stage, and the reconcile core in it.
pub(super) fn stage(ground: Ground<'_>) -> Result<(Stage, Core)> {
    let deploy = &ground.config.deploy;
    let charts = ChartOptions {
        helm_program: deploy.helm.clone(),
        kustomize_program: deploy.kustomize.clone(),
        timeout_ms: deploy.render_timeout_ms,
        ..ChartOptions::default()
    };
    let directory = Some(deploy.definitions_dir.clone()).filter(|path| !path.as_os_str().is_empty());
    // This very program, wherever it lies and whatever took its place on disk.
    let host = vec![PathBuf::from("/proc/self/exe").into_os_string(), crate::PLUGIN_HOST.into()];
    let stage = Stage {
        records: Arc::clone(ground.records),
        blobs: ground.blobs.clone(),
        registry: ground.registry.clone(),
        images: ground.images.clone(),
        secrets: ground.secrets.clone(),
        network: ground.network.clone(),
        clusters: Clusters::new(ground.secrets.clone(), ground.network.clone(), ClusterOptions::default()),
        definitions: Definitions::new(Arc::clone(ground.records), ground.blobs.clone(), directory),
        plugins: Host::new(host, PluginOptions::default()),
        charts: Renderer::new(charts),
        core: None,
        looks: Looks::default(),
        options: StageOptions {
            pull_registry: pull_registry(ground.config)?,
            packages: PackageLimits::default(),
            files: OamOptions::default(),
            rendering: RenderOptions::default(),
            secret_namespaces: ground.config.secrets.kubernetes_namespaces.clone(),
            deadline_minutes: deploy.deadline_minutes,
            allow_http: deploy.allow_http_receivers,
        },
    };
    // The core works by the stage, which hands off to it.
    let calls = Calls::new(&deploy.calls, &deploy.calls_private_hosts, ground.network)?;
    let ladder = LadderOptions { polls_per_second: deploy.polls_per_second, ..LadderOptions::default() };
    let options = CoreOptions {
        ladder,
        calls: !calls.is_empty(),
        // Half of them is for others, however many one cluster has.
        turns_a_cluster: deploy.max_reconciles.div_ceil(2),
        ..CoreOptions::default()
    };
    let host = Arc::new(CoreHost { stage: stage.clone(), calls });
    let core = Core::new(Arc::clone(ground.records), host, options);
    let port: Arc<dyn CorePort> = Arc::new(core.clone());
    Ok((Stage { core: Some(port), ..stage }, core))
}

fn pull_registry(config: &Config) -> Result<RegistryPrefix> {
    if !config.deploy.pull_registry.is_empty() {
        return config.deploy.pull_registry.parse().context("deploy.pull_registry");
    }
    let url = config.public_url();
    let host = url.split_once("://").map_or(url.as_str(), |(_, rest)| rest);
    let host = host.split('/').next().unwrap_or(host);
    let with_port =
        if host.contains(':') { host.to_owned() } else { format!("{host}:{}", default_port(&url)) };
    with_port.parse().with_context(|| format!("server.public_url: `{host}` is no registry's host"))
}

fn default_port(url: &str) -> u16 {
    if url.starts_with("https://") { 443 } else { 80 }
}

/// What works deployments off.
pub(super) fn lanes(stage: &Arc<Stage>, core: &Core, git: &GitStore, config: &Deploy) -> Vec<Lane> {
    let slots = config.max_deploys;
    vec![
        Lane {
            name: "deployments",
            handlers: vec![("deploy", Arc::new(DeployHandler { stage: Arc::clone(stage) }))],
            slots: slots.max(1),
        },
        Lane {
            name: "observing",
            handlers: vec![("observe", Arc::new(ObserveHandler { stage: Arc::clone(stage) }))],
            slots: OBSERVING_SLOTS,
        },
        Lane {
            name: "reconciling",
            handlers: vec![("reconcile", Arc::new(ReconcileHandler { core: core.clone() }))],
            slots: config.max_reconciles,
        },
        Lane {
            name: "addons",
            handlers: vec![("addon", Arc::new(AddonHandler { stage: Arc::clone(stage) }))],
            slots: slots.max(1),
        },
        Lane {
            name: "following",
            handlers: vec![("follow", Arc::new(FollowHandler { stage: Arc::clone(stage) }))],
            slots: 2,
        },
        Lane {
            name: "restarting",
            handlers: vec![("rotate", Arc::new(RotateHandler { stage: Arc::clone(stage) }))],
            slots: 2,
        },
        Lane {
            name: "configuration",
            handlers: vec![(
                "configure",
                Arc::new(ConfigureHandler { stage: Arc::clone(stage), git: git.clone() }),
            )],
            slots: 1,
        },
    ]
}

/// Has looked at what changes in clusters until `stop`; without a sensor, nothing.
pub(super) async fn sense(sensor: Option<Sensor>, stop: CancellationToken) {
    if let Some(sensor) = sensor {
        sensor.run(stop).await;
    }
}
