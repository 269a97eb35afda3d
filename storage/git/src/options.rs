//! Limits of everything that touches git.

use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;
use slipway_network::Network;

/// Limits and settings, each named with its unit.
#[derive(Debug, Clone)]
pub struct GitOptions {
    /// The `git` program.
    pub program: PathBuf,
    /// The largest pack that is received or fetched.
    pub max_pack_bytes: u64,
    /// The most ref updates in one push.
    pub max_commands: usize,
    /// The most refs of one source.
    pub max_refs: usize,
    /// The largest blob that is read.
    pub max_blob_bytes: u64,
    /// The most entries of one listing.
    pub max_tree_entries: usize,
    /// How long the other side of a transfer may be silent.
    pub idle_timeout_ms: u64,
    /// How long a local git command (indexing, connectivity) may take.
    pub command_timeout_ms: u64,
    /// How long one fetch from a forge may take.
    pub fetch_timeout_ms: u64,
    /// Whether sources may be fetched by plain HTTP. For tests only.
    pub allow_http: bool,
    /// Networks that sources may be fetched from although they are not public.
    pub allow_private_addresses: Vec<IpNet>,
    /// Proxy and authorities.
    pub network: Network,
}

impl Default for GitOptions {
    fn default() -> Self {
        Self {
            program: PathBuf::from("git"),
            max_pack_bytes: 4 << 30,
            max_commands: 5_000,
            max_refs: 20_000,
            max_blob_bytes: 2 << 30,
            max_tree_entries: 500_000,
            idle_timeout_ms: 60_000,
            command_timeout_ms: 600_000,
            fetch_timeout_ms: 1_800_000,
            allow_http: false,
            allow_private_addresses: Vec::new(),
            network: Network::default(),
        }
    }
}

impl GitOptions {
    pub(crate) fn idle_timeout(&self) -> Duration {
        Duration::from_millis(self.idle_timeout_ms)
    }
}
