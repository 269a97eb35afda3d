//! Clusters this server reaches.

use std::collections::HashMap;
use std::sync::Arc;

use secrecy::ExposeSecret as _;
use slipway_kubernetes::{CallError, Cluster, ClusterOptions, Kubeconfig, connect, parse_kubeconfig};
use slipway_network::Network;
use slipway_secrets::Secrets;
use slipway_types::Fault;
use slipway_types::environment::{ClusterFacts, ClusterSettings};
use slipway_types::id::ClusterId;
use tokio::sync::Mutex;

/// Connections to registered clusters, made when they are first needed.
#[derive(Clone)]
pub struct Clusters {
    secrets: Secrets,
    network: Network,
    options: ClusterOptions,
    open: Arc<Mutex<HashMap<ClusterId, Open>>>,
}

struct Open {
    settings: ClusterSettings,
    cluster: Arc<Cluster>,
}

/// The fault to show for a call that failed.
pub fn fault_of(cluster: &str, error: &CallError) -> Fault {
    match error {
        CallError::Away(why) => {
            let message = format!("the cluster {cluster} cannot be asked just now: {why}");
            Fault::transient("cluster_unavailable", message)
        }
        CallError::Refused(status) => {
            let message = format!("the cluster {cluster} refuses: {}", status.message);
            Fault::permanent("cluster_refused", message)
                .hint("give Slipway's user in that cluster the rights it names")
        }
    }
}

/// What of a kubeconfig leads out of it: programs to run, files to read.
fn leads_out(file: &Kubeconfig) -> Option<&'static str> {
    let user = file.auth_infos.iter().filter_map(|named| named.auth_info.as_ref()).find_map(|user| {
        let found = [
            (user.exec.is_some() || user.auth_provider.is_some(), "a program for credentials"),
            (user.token_file.is_some(), "a token file"),
            (user.client_certificate.is_some() || user.client_key.is_some(), "certificate files"),
        ];
        found.into_iter().find(|(is_there, _)| *is_there).map(|(_, what)| what)
    });
    let mut clusters = file.clusters.iter().filter_map(|named| named.cluster.as_ref());
    let authority = clusters.any(|cluster| cluster.certificate_authority.is_some());
    user.or(authority.then_some("a file of authorities"))
}

impl Clusters {
    /// No connection yet.
    pub fn new(secrets: Secrets, network: Network, options: ClusterOptions) -> Self {
        Self { secrets, network, options, open: Arc::default() }
    }

    async fn connect(&self, name: &str, settings: &ClusterSettings) -> Result<Cluster, Fault> {
        let wrong = |why: &dyn std::fmt::Display| {
            Fault::permanent("cluster_config", format!("the cluster {name} cannot be used: {why}"))
        };
        let file = match &settings.kubeconfig {
            None => None,
            Some(reference) => {
                let text = self.secrets.resolve(reference).await?;
                let file = parse_kubeconfig(text.value.expose_secret());
                let file = file.map_err(|why| wrong(&format!("{reference} {why}")))?;
                if let Some(what) = leads_out(&file) {
                    let why = format!("{reference} names {what}, which would be run or read on this server");
                    return Err(wrong(&why).hint("write credentials and certificates into it as data"));
                }
                Some(file)
            }
        };
        let client = connect(file, settings.context.as_deref(), &self.network).await;
        Ok(Cluster::new(client.map_err(|why| wrong(&why))?, self.options.clone()))
    }

    /// The connection to a registered cluster.
    pub async fn of(&self, row: &slipway_records::Cluster) -> Result<Arc<Cluster>, Fault> {
        let mut open = self.open.lock().await;
        if let Some(known) = open.get(&row.id).filter(|known| known.settings == row.settings) {
            return Ok(Arc::clone(&known.cluster));
        }
        let cluster = Arc::new(self.connect(row.name.as_str(), &row.settings).await?);
        open.insert(row.id, Open { settings: row.settings.clone(), cluster: Arc::clone(&cluster) });
        Ok(cluster)
    }

    /// What a cluster is and says of itself, by settings that need not be registered.
    pub async fn look(
        &self,
        name: &str,
        settings: &ClusterSettings,
    ) -> Result<(String, ClusterFacts), Fault> {
        let cluster = self.connect(name, settings).await?;
        let uid = cluster.uid().await.map_err(|error| fault_of(name, &error))?;
        let facts = cluster.facts().await.map_err(|error| fault_of(name, &error))?;
        Ok((uid, facts))
    }
}
