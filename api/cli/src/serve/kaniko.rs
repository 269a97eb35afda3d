//! The Kaniko back-end from its configuration.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;
use slipway_builder::backend::kaniko::{ClusterOptions, KanikoBackend, KanikoOptions, PodOptions};
use slipway_builder::backend::{Choice, ImageBackend as _};
use slipway_kubernetes::read_kubeconfig;
use slipway_network::Network;
use slipway_yaml as yaml;
use tokio_util::sync::CancellationToken;

use crate::config::{ClusterSettings, Config, Kaniko, Mistakes};

/// How often what attempts have left is looked for.
const SWEEP_EVERY: Duration = Duration::from_secs(60);
/// How much longer Kubernetes lets a Job run than Slipway does.
const DEADLINE_BEYOND_MS: u64 = 5 * 60_000;

/// How the back-end works and where, if the configuration names clusters.
pub(super) fn options(
    config: &Config,
    network: &Network,
) -> Result<Option<(KanikoOptions, Vec<ClusterOptions>)>> {
    if config.kaniko.clusters.is_empty() {
        return Ok(None);
    }
    let clusters = config.kaniko.clusters.iter().map(cluster).collect::<Result<_>>()?;
    Ok(Some((jobs(config, network)?, clusters)))
}

/// Removes what attempts that are over have left, until `stop`.
pub(super) async fn sweep(kaniko: KanikoBackend, stop: CancellationToken) {
    for place in kaniko.places().await {
        let (cluster, found) = (place.name, place.detail);
        if place.ok {
            tracing::info!(cluster, found, "builds run there");
        } else {
            tracing::warn!(cluster, error = found, "builds wait for it");
        }
    }
    loop {
        if let Err(fault) = kaniko.sweep().await {
            tracing::warn!(error = %fault.message, "cannot sweep the clusters");
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(SWEEP_EVERY) => {}
        }
    }
}

/// Looks at what the configuration says, without a cluster.
pub(super) fn check(config: &Config, mistakes: &mut Mistakes) {
    if !config.kaniko.clusters.is_empty() {
        for settings in &config.kaniko.clusters {
            mistakes.of("kaniko.clusters", cluster(settings));
        }
        let jobs = jobs(config, &Network::default());
        let checked = jobs.and_then(|jobs| jobs.check().map_err(|fault| anyhow::anyhow!(fault.message)));
        mistakes.of("kaniko", checked);
        return;
    }
    // What is wrong with that setting itself is told already.
    let held = config.held_backends().unwrap_or_default();
    if let Some((application, _)) = held.iter().find(|(_, choice)| **choice == Choice::Kaniko) {
        let message =
            format!("build.held_backends holds {application} to kaniko, but kaniko.clusters is empty");
        mistakes.note("build.held_backends", message);
    }
    if config.build.backend == Choice::Kaniko {
        mistakes.note("build.backend", "build.backend is kaniko, but kaniko.clusters is empty");
    }
}

fn cluster(settings: &ClusterSettings) -> Result<ClusterOptions> {
    if settings.name.is_empty() || settings.max_jobs == 0 {
        bail!("kaniko.clusters: each needs a name and max_jobs of at least 1");
    }
    let path = &settings.kubeconfig;
    if !path.as_os_str().is_empty() && !path.is_file() {
        bail!("kaniko.clusters: {}: there is no file {}", settings.name, path.display());
    }
    if path.is_file() {
        let context = || format!("kaniko.clusters: {}", settings.name);
        let file = read_kubeconfig(path).with_context(context)?;
        let named = |name: &str| file.contexts.iter().any(|context| context.name == name);
        if !settings.context.is_empty() && !named(&settings.context) {
            bail!(
                "kaniko.clusters: {}: {} has no context `{}`",
                settings.name,
                path.display(),
                settings.context
            );
        }
    }
    Ok(ClusterOptions {
        name: settings.name.clone(),
        kubeconfig: (!path.as_os_str().is_empty()).then(|| path.clone()),
        context: (!settings.context.is_empty()).then(|| settings.context.clone()),
        namespace: settings.namespace.clone(),
        max_jobs: settings.max_jobs,
    })
}

fn jobs(config: &Config, network: &Network) -> Result<KanikoOptions> {
    let kaniko = &config.kaniko;
    let address = if kaniko.address.is_empty() { config.public_url() } else { kaniko.address.clone() };
    let bundle = &kaniko.ca_bundle;
    let ca_bundle = if bundle.as_os_str().is_empty() {
        network.authorities().map(|authorities| authorities.pem().to_owned())
    } else {
        let read = std::fs::read_to_string(bundle);
        Some(read.with_context(|| format!("kaniko.ca_bundle: cannot read {}", bundle.display()))?)
    };
    Ok(KanikoOptions {
        owner: kaniko.owner.clone(),
        image: kaniko.image.clone(),
        slipway_image: kaniko.slipway_image.clone(),
        address: address.parse().with_context(|| format!("kaniko.address `{address}` is no URL"))?,
        network: network.clone(),
        ca_bundle,
        platform: kaniko.platform.parse().context("kaniko.platform")?,
        cache_days: kaniko.cache.then_some(kaniko.cache_keep_days),
        flags: kaniko.flags.clone(),
        pull_registry: pull_registry(config),
        pod: pod(kaniko)?,
        place_timeout_ms: kaniko.place_timeout_ms,
        start_timeout_ms: kaniko.start_timeout_ms,
        deadline_ms: config.build.build_timeout_ms + DEADLINE_BEYOND_MS,
        ttl_s: kaniko.ttl_s,
        stop_timeout_ms: kaniko.stop_timeout_ms,
        max_context_bytes: config.build.max_context_bytes,
        ..KanikoOptions::default()
    })
}

/// Where nodes pull the images of checks.
fn pull_registry(config: &Config) -> Option<String> {
    let given = [&config.kaniko.pull_registry, &config.deploy.pull_registry];
    given.into_iter().find(|host| !host.is_empty()).cloned()
}

fn pod(kaniko: &Kaniko) -> Result<PodOptions> {
    Ok(PodOptions {
        requests: pairs("kaniko.requests", &kaniko.requests)?,
        limits: pairs("kaniko.limits", &kaniko.limits)?,
        node_selector: pairs("kaniko.node_selector", &kaniko.node_selector)?,
        tolerations: kaniko
            .tolerations
            .iter()
            .map(serde_json::to_value)
            .collect::<Result<_, _>>()
            .context("kaniko.tolerations")?,
        priority_class: (!kaniko.priority_class.is_empty()).then(|| kaniko.priority_class.clone()),
        labels: pairs("kaniko.labels", &kaniko.labels)?,
        overlay: overlay(kaniko)?,
    })
}

/// `KEY=VALUE`, one each.
fn pairs(key: &str, list: &[String]) -> Result<BTreeMap<String, String>> {
    let pair = |text: &String| {
        let pair = text.split_once('=').with_context(|| format!("{key}: `{text}` is not KEY=VALUE"))?;
        Ok((pair.0.trim().to_owned(), pair.1.trim().to_owned()))
    };
    list.iter().map(pair).collect()
}

fn overlay(kaniko: &Kaniko) -> Result<Option<Value>> {
    let path = &kaniko.pod_overlay;
    if path.as_os_str().is_empty() {
        return Ok(None);
    }
    let bytes =
        std::fs::read(path).with_context(|| format!("kaniko.pod_overlay: cannot read {}", path.display()))?;
    match yaml::read(&bytes, &yaml::YamlOptions::default()) {
        Ok(documents) if documents.len() == 1 => Ok(Some(documents[0].to_json())),
        Ok(_) => bail!("kaniko.pod_overlay: {} must be one YAML document", path.display()),
        Err(errors) => {
            let first = errors.first().map(|error| format!("line {}: {}", error.at.line, error.message));
            bail!("kaniko.pod_overlay: {}: {}", path.display(), first.unwrap_or_default())
        }
    }
}
