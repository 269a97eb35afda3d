//! What `--deploy` needs, looked at before anything starts: a cluster that answers, and what pods need.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, anyhow, bail};
use clap::Args;
use slipway_kubernetes::{CallError, Cluster, ClusterOptions, connect};
use slipway_network::Network;
use slipway_types::RegistryPrefix;

use super::sample::Purpose;
use super::{kubeconfig, program};
use crate::client::Usage;
use crate::output::say;

/// Where the sample goes if nobody says otherwise.
const NAMESPACE: &str = "slipway-demo";

/// Whether and where the sample is deployed.
#[derive(Debug, Args)]
pub(super) struct DeployArgs {
    /// Deploy the sample to a Kubernetes cluster: show it live, upgrade it, roll it back
    #[arg(long)]
    deploy: bool,
    /// The cluster's kubeconfig; else $KUBECONFIG, else ~/.kube/config
    #[arg(long, value_name = "FILE", requires = "deploy")]
    kubeconfig: Option<PathBuf>,
    /// Context of the kubeconfig; its current one if absent
    #[arg(long, value_name = "NAME", requires = "deploy")]
    context: Option<String>,
    /// Namespace of the sample, made if it is not there; slipway-demo if absent
    #[arg(long, value_name = "NAME", requires = "deploy")]
    namespace: Option<String>,
    /// Listen on this address, which nodes pull from without TLS: the sample gets a pod
    #[arg(long, value_name = "ADDRESS:PORT", requires = "deploy")]
    listen: Option<SocketAddr>,
    /// Copy images to this registry, which nodes pull from without a password: the sample gets a pod
    #[arg(long, value_name = "HOST[/PATH]", requires = "deploy")]
    pull_registry: Option<String>,
}

/// A cluster that answered, and how the sample gets there.
pub(super) struct Reached {
    /// The cluster, to see what came of it.
    pub(super) cluster: Cluster,
    /// Its kubeconfig, which stands alone. Holds credentials.
    pub(super) kubeconfig: String,
    /// Where the sample goes.
    pub(super) namespace: String,
    /// Where nodes pull from, if not from the server itself.
    pub(super) pull_registry: Option<RegistryPrefix>,
    /// Where the server listens, if somebody said.
    pub(super) listen: Option<SocketAddr>,
    /// What the sample is for.
    pub(super) purpose: Purpose,
    /// How a person calls `kubectl` for this cluster.
    pub(super) kubectl: String,
}

impl DeployArgs {
    /// Asks the cluster whether it is there; `None`: nothing is to be deployed.
    pub(super) async fn reach(&self) -> Result<Option<Reached>> {
        if !self.deploy {
            return Ok(None);
        }
        let listen = self.listen.map(usable).transpose()?;
        let pull_registry = self.pull_registry.as_deref().map(str::parse::<RegistryPrefix>).transpose();
        let pull_registry = pull_registry.map_err(|error| Usage(format!("--pull-registry: {error}")))?;
        let has_pods = listen.is_some() || pull_registry.is_some();
        let program = has_pods.then(program::read).transpose()?;
        let path = kubeconfig::find(self.kubeconfig.as_deref())?;
        let (cluster, kubeconfig) = self.connect(&path).await?;
        Ok(Some(Reached {
            cluster,
            kubeconfig,
            namespace: self.namespace.clone().unwrap_or_else(|| NAMESPACE.to_owned()),
            pull_registry,
            listen,
            purpose: Purpose::Deployed { program },
            kubectl: self.kubectl(),
        }))
    }

    async fn connect(&self, path: &Path) -> Result<(Cluster, String)> {
        let shown = path.display();
        let unusable = || leads_to_none(path);
        let file = kubeconfig::read(path, self.context.as_deref()).with_context(unusable)?;
        let text = serde_json::to_string_pretty(&file).context("the kubeconfig cannot be written")?;
        let client = connect(Some(file), None, &Network::default()).await.with_context(unusable)?;
        let cluster = Cluster::new(client, ClusterOptions::default());
        cluster.uid().await.map_err(|error| anyhow!(error.says()).context(unreached(&error, path)))?;
        say(format!("The cluster of {shown} answers."));
        Ok((cluster, text))
    }

    fn kubectl(&self) -> String {
        let mut words = vec!["kubectl".to_owned()];
        words.extend(self.kubeconfig.iter().map(|file| format!("--kubeconfig {}", file.display())));
        words.extend(self.context.iter().map(|context| format!("--context {context}")));
        words.join(" ")
    }
}

fn in_vain(listen: SocketAddr, reason: &str) -> Option<String> {
    let is_refused = reason.contains(&listen.to_string()) && reason.contains("connection refused");
    is_refused.then(|| {
        format!(
            "nodes cannot pull from {listen}: it is loopback, and they are not this machine; {OTHER_ADDRESS}"
        )
    })
}

fn leads_to_none(kubeconfig: &Path) -> String {
    format!(
        "--deploy needs a cluster, and {} leads to none: give another file with --kubeconfig FILE and --context \
         NAME",
        kubeconfig.display()
    )
}

/// Why the cluster of a kubeconfig gave no answer. A name that cannot be resolved makes no file wrong.
fn unreached(error: &CallError, kubeconfig: &Path) -> String {
    if !error.is_unresolved() {
        return leads_to_none(kubeconfig);
    }
    format!(
        "--deploy needs a cluster, and the host's name of the API server in {} cannot be resolved here: look at the \
         DNS of this machine, at a VPN that is not up, or choose another context with --context NAME",
        kubeconfig.display()
    )
}

/// An address that others can be told.
fn usable(listen: SocketAddr) -> Result<SocketAddr> {
    if listen.ip().is_unspecified() || listen.port() == 0 {
        bail!(Usage(format!(
            "--listen {listen} is no address that nodes can be told: give one address of this machine that they \
             reach, and a port"
        )));
    }
    Ok(listen)
}

/// What to do where nodes cannot pull from this server's address.
const OTHER_ADDRESS: &str = "end this and give --listen ADDRESS:PORT with an address of this machine that nodes reach, or \
                             --pull-registry HOST:PORT";

impl Reached {
    /// Where nodes are told to pull from, if that is an address by which each machine means itself.
    fn loopback(&self) -> Option<SocketAddr> {
        self.listen.filter(|listen| listen.ip().is_loopback() && self.pull_registry.is_none())
    }

    /// Why waiting is in vain, if a node's `reason` says that nobody answers it where this server listens: it means
    /// itself by that address.
    pub(super) fn in_vain(&self, reason: &str) -> Option<String> {
        in_vain(self.loopback()?, reason)
    }

    /// Says what nodes are asked to do, and what they would need to do more.
    pub(super) fn tell_pods(&self, server: &str) {
        match (&self.purpose, &self.pull_registry) {
            (Purpose::Deployed { program: Some(_) }, Some(registry)) => {
                say(format!("Images are copied to {registry}; nodes must reach it, and pull from it."));
            }
            (Purpose::Deployed { program: Some(_) }, None) if self.loopback().is_some() => say(format!(
                "Nodes are told to pull from {server}, which is loopback: only a node that is this machine itself \
                 reaches it. For any other, {OTHER_ADDRESS}."
            )),
            (Purpose::Deployed { program: Some(_) }, None) => say(format!(
                "Nodes pull from {server}: they must reach it, and their container engine must allow a registry \
                 without TLS there."
            )),
            _ => {
                say(format!(
                    "Nodes cannot pull from {server}, which is loopback: `web` gets no pod (replicas: 0)."
                ));
                say(
                    "To see one, give --pull-registry HOST:PORT, a registry that this machine and the nodes reach \
                     (kind and k3d document a local one), or --listen ADDRESS:PORT, where they reach this server.",
                );
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_cannot_be_resolved_makes_no_file_wrong() {
        let told = |why: &str| unreached(&CallError::Away(why.to_owned()), Path::new("/home/me/config"));
        let unresolved = told("the host's name of its API server cannot be resolved: dns error");
        assert!(unresolved.contains("/home/me/config cannot be resolved"), "{unresolved}");
        assert!(told("Connection refused").contains("give another file"));
    }

    #[test]
    fn a_node_that_means_itself_by_loopback_pulls_nothing() {
        let listen = "127.0.0.1:7300".parse().unwrap();
        let refused = "ErrImagePull: dial tcp 127.0.0.1:7300: connect: connection refused";
        assert!(in_vain(listen, refused).is_some_and(|why| why.contains("--listen")));
        for other in
            ["ErrImagePull: dial tcp 10.0.0.7:80: connect: connection refused", "127.0.0.1:7300: 401"]
        {
            assert_eq!(in_vain(listen, other), None);
        }
    }

    #[test]
    fn an_address_of_no_machine_is_refused() {
        let is_usable = |text: &str| usable(text.parse().unwrap()).is_ok();
        assert!(is_usable("10.0.0.7:7300") && is_usable("127.0.0.1:7300") && is_usable("[fd00::1]:7300"));
        assert!(!is_usable("0.0.0.0:7300") && !is_usable("[::]:7300") && !is_usable("10.0.0.7:0"));
    }
}
