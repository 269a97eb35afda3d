//! The way to a Kubernetes API server: kubeconfig, proxy and authorities, and objects of any kind.

mod breaker;
mod call;
mod cluster;
mod connect;
mod glimpse;
mod kinds;
mod listing;
mod logs;
mod objects;
mod presence;
mod rights;
mod rounds;
mod trimming;
mod watching;

pub use breaker::Outage;
pub use call::{CallError, is_unresolved};
pub use cluster::{Cluster, ClusterOptions};
pub use connect::{ConnectError, Kubeconfig, connect, parse_kubeconfig, read_kubeconfig, server_host};
pub use glimpse::Glimpse;
pub use listing::{Freshness, Labelled, Listed};
pub use objects::{Applied, Deleted, ObjectKey};
pub use rights::Followed;
pub use watching::{Sensed, digest_of};

/// By which API servers know whose fields these are.
pub const FIELD_MANAGER: &str = "slipway";
