//! The deploy stage and what it works with.

use std::sync::Arc;

use slipway_charts::Renderer;
use slipway_definitions::RenderOptions;
use slipway_handoff::CorePort;
use slipway_network::Network;
use slipway_oam::OamOptions;
use slipway_objects::Blobs;
use slipway_oci::builtin::BuiltinRegistry;
use slipway_oci::source::Images;
use slipway_plugins::Host;
use slipway_records::Records;
use slipway_secrets::Secrets;
use slipway_types::RegistryPrefix;

use crate::clusters::Clusters;
use crate::definitions::Definitions;
use crate::live_objects::Looks;
use crate::packages::PackageLimits;

/// Limits and addresses of the deploy stage.
#[derive(Debug, Clone)]
pub struct StageOptions {
    /// Where clusters pull from if their environment names no other registry.
    pub pull_registry: RegistryPrefix,
    /// Limits of packages.
    pub packages: PackageLimits,
    /// Limits of operators' files.
    pub files: OamOptions,
    /// Limits of what definitions render.
    pub rendering: RenderOptions,
    /// Namespaces, `CLUSTER/NAMESPACE`, from which references may read besides their environment's own.
    pub secret_namespaces: Vec<String>,
    /// How long a receiver has for a revision, in minutes.
    pub deadline_minutes: u32,
    /// Whether `http` receivers without TLS are taken.
    pub allow_http: bool,
}

/// Everything the deploy stage works with. Cheap to clone.
#[derive(Clone)]
pub struct Stage {
    /// The records.
    pub records: Arc<dyn Records>,
    /// Where bytes lie.
    pub blobs: Blobs,
    /// Where revisions are kept.
    pub registry: BuiltinRegistry,
    /// Images of this and other registries.
    pub images: Images,
    /// Where secrets are looked up and kept.
    pub secrets: Secrets,
    /// The way out.
    pub network: Network,
    /// Clusters.
    pub clusters: Clusters,
    /// Definitions.
    pub definitions: Definitions,
    /// Who evaluates definitions.
    pub plugins: Host,
    /// Who renders charts.
    pub charts: Renderer,
    /// The built-in reconcile core, where there is one.
    pub core: Option<Arc<dyn CorePort>>,
    /// How objects stood when people asked last.
    pub looks: Looks,
    /// Limits and addresses.
    pub options: StageOptions,
}
