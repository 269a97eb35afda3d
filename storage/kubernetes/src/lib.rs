//! The way to a Kubernetes API server: kubeconfig, proxy and authorities, and objects of any kind.

mod call;
mod connect;
mod objects;

pub use call::CallError;
pub use connect::{ConnectError, Kubeconfig, connect, parse_kubeconfig, read_kubeconfig, server_host};
pub use objects::{Cluster, ClusterOptions, Listed, ObjectKey};
